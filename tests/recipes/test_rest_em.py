"""ReST-EM: k draws from its law, the prompt in the row without being learnt, at most ten right solutions a problem."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from doubles.drafting import Desk, drafted
from synthgain import Scripted, generate
from synthgain.recipes.rest_em import RECIPE, ReSTEM
from synthgain.types import Anchor, Prompt, Recipe, SynthgainError, is_learnt

PROBLEM = Anchor("How many are 3 and 4?", "q#1", {"answer": "7", "id": "a"})
OTHER = Anchor("How many are 5 and 4?", "q#2", {"answer": "9"})
SHOTS = (("How many are 1 and 2?", "1 + 2 = 3\nAnswer: 3"),)


def recipe(**knobs: object) -> Recipe:
    return replace(RECIPE, draft=ReSTEM(**knobs))  # type: ignore[arg-type]


async def test_k_draws_of_the_papers_law() -> None:
    desk = Desk(lambda prompt: f"Answer: {prompt.draw}")
    rows = await drafted(RECIPE, PROBLEM, desk)
    assert [prompt.draw for prompt in desk.asked] == list(range(32)) and len(rows) == 32
    law = desk.asked[0].sampling
    assert (law.temperature, law.top_k, law.top_p) == (0.7, 40, 1.0)
    assert all(prompt.messages == desk.asked[0].messages for prompt in desk.asked)


async def test_the_prompt_is_input_and_only_the_solution_is_learnt() -> None:
    row = (await drafted(recipe(k=1, shots=SHOTS), PROBLEM, Desk(lambda prompt: "Answer: 7\nmore")))[0]
    assert row.messages is not None
    assert [turn["role"] for turn in row.messages] == ["user", "assistant", "user", "assistant"]
    assert [is_learnt(turn, place) for place, turn in enumerate(row.messages)] == [False, False, False, True]
    assert row.answer == "Answer: 7"
    bare = (await drafted(recipe(k=1, shots=SHOTS, prompt_in_row=False), PROBLEM, Desk(lambda p: "Answer: 7")))[0]
    assert [turn["content"] for turn in bare.messages or ()] == [PROBLEM.text, "Answer: 7"]


def test_ten_right_ones_a_problem_stay_and_wrong_ones_do_not_count(tmp_path: Path) -> None:
    def reply(prompt: Prompt) -> str:
        easy = "3 and 4" in prompt.messages[-1]["content"]
        return "Answer: 7" if easy and prompt.draw % 2 else "Answer: 9" if prompt.draw < 4 else "Answer: 0"

    run = generate(RECIPE, [PROBLEM, OTHER], model=Scripted(reply), out=tmp_path / "run")
    rows = [row for file in run.files("rows") for row in pq.read_table(file).to_pylist()]
    kept = [row["anchor_ids"][0] for row in rows if row["kept"]]
    assert sorted(map(kept.count, set(kept))) == [4, 10]
    assert run.record["dropped_by"] == {"at-most": 6, "final-answer": 64 - 20}


@pytest.mark.parametrize("knobs", [{"k": 0}, {"shots": (("a",),)}])
def test_bad_knobs(knobs: dict[str, object]) -> None:
    with pytest.raises(SynthgainError):
        ReSTEM(**knobs)  # type: ignore[arg-type]

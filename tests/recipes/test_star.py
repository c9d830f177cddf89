"""STaR: a hint for the failed ones only, and no trace of it in the row; greedy; what no hint could mend is in the record."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from doubles.drafting import Desk, drafted
from synthgain import Scripted, generate
from synthgain.recipes.star import RECIPE, STaR
from synthgain.types import Anchor, Prompt, Recipe, SynthgainError

EASY = Anchor("How many are 3 and 4?", "q#1", {"answer": "7", "id": "a"})
HARD = Anchor("How many are 30 and 41?", "q#2", {"answer": "30 + 41 = <<30+41=71>>71\n#### 71"})
SHOTS = (("How many are 1 and 2?", "1 + 2 = 3\nAnswer: 3"),)


def recipe(**knobs: object) -> Recipe:
    return replace(RECIPE, draft=STaR(**knobs))  # type: ignore[arg-type]


def hinted(prompt: Prompt) -> bool:
    return prompt.messages[-1]["content"].endswith(")")


async def test_a_right_answer_buys_no_hint() -> None:
    desk = Desk(lambda prompt: "3 + 4 = 7\nAnswer: 7\n\nQuestion: more")
    rows = await drafted(RECIPE, EASY, desk)
    assert len(desk.asked) == len(rows) == 1
    assert rows[0].answer == "3 + 4 = 7\nAnswer: 7"
    assert rows[0].fields == {"answer": "7", "rationalised": False, "question_id": "a"}
    assert desk.asked[0].sampling.temperature == 0 and not hinted(desk.asked[0])


async def test_a_wrong_answer_is_asked_again_with_the_answer_and_the_row_has_no_hint() -> None:
    desk = Desk(lambda prompt: "30 + 41 = 71\nAnswer: 71" if hinted(prompt) else "Answer: 61")
    rows = await drafted(RECIPE, HARD, desk)
    assert [hinted(prompt) for prompt in desk.asked] == [False, True]
    assert desk.asked[1].messages[-1]["content"] == "How many are 30 and 41? (71)"
    assert [row.fields["rationalised"] for row in rows] == [False, True]
    for row in rows:
        assert row.messages is not None and [turn["role"] for turn in row.messages] == ["user", "assistant"]
        assert row.messages[0]["content"] == HARD.text
    assert rows[1].answer == "30 + 41 = 71\nAnswer: 71" and rows[1].fields["answer"] == "71"
    assert len(await drafted(recipe(rationalise=False), HARD, Desk(lambda prompt: "Answer: 61"))) == 1


async def test_shots_carry_a_hint_where_the_question_does() -> None:
    desk = Desk(lambda prompt: "Answer: 0")
    await drafted(recipe(shots=SHOTS), EASY, desk)
    plain, told = ([turn["content"] for turn in prompt.messages] for prompt in desk.asked)
    assert plain == [SHOTS[0][0], SHOTS[0][1], EASY.text]
    assert told[-3:] == [f"{SHOTS[0][0]} (3)", SHOTS[0][1], f"{EASY.text} (7)"] and len(told) == 4


def test_every_question_is_in_the_record_and_a_solution_that_names_the_hint_falls(tmp_path: Path) -> None:
    def reply(prompt: Prompt) -> str:
        if not hinted(prompt):
            return "I do not know."
        return "By the hint it is 7.\nAnswer: 7" if "3 and 4" in prompt.messages[-1]["content"] else "Answer: 17"

    run = generate(RECIPE, [EASY, HARD], model=Scripted(reply), out=tmp_path / "run")
    rows = [row for file in run.files("rows") for row in pq.read_table(file).to_pylist()]
    told = [(json.loads(row["fields"])["rationalised"], row["check"]) for row in rows]
    assert sorted(told) == [
        (False, "final-answer"),
        (False, "final-answer"),
        (True, "final-answer"),
        (True, "hint-left"),
    ]
    assert run.record["counts"]["calls_bought"] == 4 and run.record["counts"]["kept"] == 0


def test_bad_shots() -> None:
    with pytest.raises(SynthgainError):
        STaR(shots=("a", "b"))  # type: ignore[arg-type]

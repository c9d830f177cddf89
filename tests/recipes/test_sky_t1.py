"""Sky-T1: difficulty decides what is bought, and the answer is verified after the rewrite, not before."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from doubles.drafting import Desk, drafted
from synthgain import Run, Scripted, generate
from synthgain.recipes.sky_t1 import RECIPE, SkyT1, difficulty, sections
from synthgain.types import Anchor, Prompt, SynthgainError

PROBLEM = Anchor("How many are 3 and 4?", "q#1", {"answer": "7", "id": "a"})
WRITTEN = "### Thought\nThree and four... seven.\n\n### Solution\n3 + 4 = 7. \\boxed{7}"


def replies(trace: str, edited: str, label: str = "Plain. [[2]]") -> Callable[[Prompt], Any]:
    said = {"judge": label, "writer": trace, "editor": edited}
    return lambda prompt: said[prompt.to]


def made(out: Path, trace: str, edited: str) -> tuple[Run, dict[str, Any]]:
    run = generate(RECIPE, [PROBLEM], model=Scripted(replies(trace, edited)), out=out)
    return run, next(row for file in run.files("rows") for row in pq.read_table(file).to_pylist())


def test_a_rewrite_that_changes_the_answer_falls(tmp_path: Path) -> None:
    _, row = made(tmp_path / "run", "So it is \\boxed{7}.", WRITTEN.replace("\\boxed{7}", "\\boxed{8}"))
    assert (row["kept"], row["check"], row["reason"]) == (False, "final-answer", "wrong final answer")
    assert json.loads(row["fields"])["teacher_right"] is True


def test_a_rewrite_that_makes_the_answer_readable_stays(tmp_path: Path) -> None:
    _, row = made(tmp_path / "run", "three and four, that makes seven of them in all", WRITTEN)
    assert row["kept"] and json.loads(row["fields"])["teacher_right"] is False
    question, answer = row["messages"]
    assert (question["content"], answer["content"]) == (PROBLEM.text, "3 + 4 = 7. \\boxed{7}")
    assert answer["reasoning"] == "Three and four... seven."


async def test_roles_laws_and_order_of_the_calls() -> None:
    desk = Desk(replies("<think>Hm.</think>\\boxed{7}", WRITTEN))  # type: ignore[arg-type]
    row = (await drafted(RECIPE, PROBLEM, desk))[0]
    assert [prompt.to for prompt in desk.asked] == ["judge", "writer", "editor"]
    assert [prompt.sampling.temperature for prompt in desk.asked] == [0.7, 0.0, 0.7]
    assert desk.asked[1].sampling.max_tokens == desk.asked[2].sampling.max_tokens == 16_384
    edited = desk.asked[2].messages[-1]["content"]
    assert edited.index("(End of the example)") < edited.index(PROBLEM.text) < edited.index("\\boxed{7}")
    assert row.fields["difficulty"] == 2.0 and row.fields["question_id"] == "a"


async def test_a_thinking_teachers_thought_goes_to_the_editor(tmp_path: Path) -> None:
    asked: list[Prompt] = []

    def reply(prompt: Prompt) -> Any:
        asked.append(prompt)
        thinks = {"content": "\\boxed{7}", "reasoning": "First three, then four."}
        return {"judge": "[[1]]", "writer": thinks, "editor": WRITTEN}[prompt.to]

    generate(RECIPE, [PROBLEM], model=Scripted(reply), out=tmp_path / "run")
    assert asked[-1].messages[-1]["content"].endswith("First three, then four.\n\n\\boxed{7}")


async def test_limits_of_difficulty_keep_a_trace_from_being_bought() -> None:
    limited = replace(RECIPE, draft=SkyT1(easiest=3, hardest=6))
    for label, why in (("[[2.5]]", "too easy"), ("[[7]]", "too hard"), ("hard", "its difficulty could not be read")):
        desk = Desk(replies("t", WRITTEN, label))
        rows = await drafted(limited, PROBLEM, desk)
        assert [prompt.to for prompt in desk.asked] == ["judge"]
        assert [row.verdicts[0].reason for row in rows] == [why] and rows[0].verdicts[0].check == "difficulty"
    assert len(await drafted(limited, PROBLEM, Desk(replies("t", WRITTEN, "[[4]]")))) == 1
    given = Anchor(PROBLEM.text, "", {"answer": "7", "difficulty": 4})
    desk = Desk(replies("t", WRITTEN))
    assert (await drafted(limited, given, desk))[0].fields["difficulty"] == 4.0
    assert [prompt.to for prompt in desk.asked] == ["writer", "editor"]


async def test_a_cut_or_empty_trace_is_not_edited() -> None:
    cut = Desk(replies("Thinking and thinking", WRITTEN), finish="length")
    assert (await drafted(RECIPE, PROBLEM, cut))[0].verdicts[0].reason == "the trace was cut off"
    empty = Desk(replies("", WRITTEN))
    assert (await drafted(RECIPE, PROBLEM, empty))[0].verdicts[0].reason == "the teacher said nothing"
    assert all(prompt.to != "editor" for desk in (cut, empty) for prompt in desk.asked)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("### Thought\na\n### Solution\nb", ("a", "b")),
        ("Sure!\n**Thought:**\na\nb\n\n## Final Solution:\nc", ("a\nb", "c")),
        ("### Thought\na\n### Solution\nan attempt\n### Solution\nb", ("a\n### Solution\nan attempt", "b")),
        ("### Solution\nb\n### Thought\na", None),
        ("### Thought\n\n### Solution\nb", None),
        ("### Thought\na\n### Solution\n", None),
        ("the thought\nand the solution", None),
        ("", None),
    ],
)
def test_sections(text: str, parts: tuple[str, str] | None) -> None:
    assert sections(text) == parts


@pytest.mark.parametrize(
    ("text", "rating"),
    [
        ("[[3]]", 3.0),
        ("first [[2]], no: [[4.5]]", 4.5),
        ("[7]", 7.0),
        ("[[11]]", None),
        ("[[0]]", None),
        ("3", 3.0),
        ("of 3", None),
    ],
)
def test_difficulty(text: str, rating: float | None) -> None:
    assert difficulty(text) == rating


@pytest.mark.parametrize("knobs", [{"easiest": 5, "hardest": 4}, {"label": False, "easiest": 2}])
def test_bad_knobs(knobs: dict[str, Any]) -> None:
    with pytest.raises(SynthgainError):
        SkyT1(**knobs)

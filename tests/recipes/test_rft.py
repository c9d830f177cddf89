"""RFT: k draws, cut after the answer, rows without the prefix, distinct paths counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from doubles.drafting import Desk, drafted
from synthgain import Scripted, generate
from synthgain.recipes.rft import RECIPE, RFT, cut
from synthgain.types import Anchor, CallFailed, SynthgainError

QUESTION = Anchor("How many are 3 and 4?", "q#1", {"answer": "7", "id": "a"})
SHOTS = (("How many are 1 and 2?", "1 + 2 = 3\nAnswer: 3"), ("How many are 5 and 1?", "5 + 1 = 6\nAnswer: 6"))


def recipe(**knobs: object) -> object:
    return replace(RECIPE, draft=RFT(**knobs))  # type: ignore[arg-type]


async def test_k_draws_of_one_prompt() -> None:
    desk = Desk(lambda prompt: f"Answer: {prompt.draw}")
    rows = await drafted(recipe(k=5, shots=SHOTS), QUESTION, desk)  # type: ignore[arg-type]
    assert [p.draw for p in desk.asked] == [0, 1, 2, 3, 4]
    assert all(p.messages == desk.asked[0].messages for p in desk.asked)
    assert [m["role"] for m in desk.asked[0].messages] == ["user", "assistant"] * 2 + ["user"]
    law = desk.asked[0].sampling
    assert (law.temperature, law.max_tokens) == (0.7, 256)
    assert [row.answer for row in rows] == [f"Answer: {i}" for i in range(5)]
    assert all([m["content"] for m in row.messages or ()] == [QUESTION.text, row.answer] for row in rows)
    assert all(row.calls[0].prompt.draw == i for i, row in enumerate(rows))


async def test_paths_count_distinct_right_equation_lists() -> None:
    answers = ["3 + 4 = 7\nAnswer: 7", "3 + 4 = 7 indeed\nAnswer: 7", "3 + 5 = 8\nAnswer: 8", "4 + 3 = 7\nAnswer: 7"]
    rows = await drafted(recipe(k=4), QUESTION, Desk(lambda p: answers[p.draw]))  # type: ignore[arg-type]
    assert [row.fields["paths"] for row in rows] == [1, 1, 1, 2]
    assert rows[3].fields["equations"] == ["4+3=7"]
    assert {row.fields["answer"] for row in rows} == {"7"} and rows[0].fields["question_id"] == "a"


async def test_without_shots_the_form_of_the_answer_is_asked_for() -> None:
    desk = Desk(lambda p: "Answer: 7")
    await drafted(recipe(k=1), QUESTION, desk)  # type: ignore[arg-type]
    assert [m["role"] for m in desk.asked[0].messages] == ["system", "user"]
    await drafted(recipe(k=1, instruction=""), QUESTION, desk)  # type: ignore[arg-type]
    assert [m["role"] for m in desk.asked[1].messages] == ["user"]


async def test_the_human_solution_is_added_when_asked() -> None:
    worked = Anchor("How many?", "", {"answer": "7", "worked": "3 + 4 = 7\nAnswer: 7"})
    gsm = Anchor("How many?", "", {"answer": "It is <<3+4=7>>7.\n#### 7"})
    for anchor in (worked, gsm):
        rows = await drafted(recipe(k=1), anchor, Desk(lambda p: "Answer: 7"))  # type: ignore[arg-type]
        assert [row.fields["human"] for row in rows] == [True, False]
        assert rows[0].calls == () and rows[0].fields["answer"] == "7"
        assert len(await drafted(recipe(k=1, gold=False), anchor, Desk(lambda p: "Answer: 7"))) == 1  # type: ignore[arg-type]
    assert len(await drafted(recipe(k=1), QUESTION, Desk(lambda p: "Answer: 7"))) == 1  # type: ignore[arg-type]


async def test_a_lost_call_loses_its_own_row_only() -> None:
    rows = await drafted(
        recipe(k=3), QUESTION, Desk(lambda p: CallFailed("no") if p.draw == 1 else f"Answer: {p.draw}")
    )  # type: ignore[arg-type]
    assert [row.answer for row in rows] == ["Answer: 0", "Answer: 2"]


@pytest.mark.parametrize(
    ("text", "stays"),
    [
        ("3 + 4 = 7\nAnswer: 7\n\nQuestion: next", "3 + 4 = 7\nAnswer: 7"),
        ("<<3+4=7>>\n#### 7\nmore", "<<3+4=7>>\n#### 7"),
        ("The answer: 7 apples. So\nAnswer: 8", "The answer: 7 apples. So"),
        ("no mark\nat all ", "no mark\nat all"),
        ("Answer:\nAnswer: 7\nx", "Answer:\nAnswer: 7"),
        ("**Answer:** 7\nx", "**Answer:** 7"),
        ("", ""),
    ],
)
def test_cut(text: str, stays: str) -> None:
    assert cut(text) == stays


@pytest.mark.parametrize("fields", [{}, {"answer": None}, {"answer": " "}])
def test_a_question_without_gold_stops_before_anything_is_bought(fields: dict[str, object], tmp_path: Path) -> None:
    model = Scripted(lambda prompt: "Answer: 7")
    with pytest.raises(SynthgainError, match="answer"):
        generate("rft", [QUESTION, Anchor("How many?", "q#2", fields)], model=model, out=tmp_path / "run", strict=True)
    assert model.asked == 0


@pytest.mark.parametrize("knobs", [{"k": 0}, {"shots": ("a", "b")}, {"shots": (("a",),)}])
def test_bad_knobs(knobs: dict[str, object]) -> None:
    with pytest.raises(SynthgainError):
        RFT(**knobs)  # type: ignore[arg-type]

"""s1: either student's right answer drops a question, a wrong teacher does not; three filters that can be taken away one by one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from doubles.drafting import Desk, drafted
from synthgain import Run, Scripted, generate
from synthgain.recipes.s1 import DOMAINS, RECIPE, S1K, domain
from synthgain.types import Anchor, Prompt, Recipe

SUM = Anchor("How many are 3 and 4?", "q#1", {"answer": "7", "id": "1"})


def recipe(**knobs: Any) -> Recipe:
    return replace(RECIPE, draft=S1K(**knobs))


def said(small: str, large: str, teacher: str, label: str = "11") -> Any:
    texts = {"small": small, "large": large, "writer": teacher, "judge": label}
    return lambda prompt: texts[prompt.to]


def rows(run: Run) -> list[dict[str, Any]]:
    return [row for file in run.files("rows") for row in pq.read_table(file).to_pylist()]


@pytest.mark.parametrize(
    ("small", "large", "asked", "solved"),
    [
        ("Answer: 7", "Answer: 8", ["small"], "small"),
        ("Answer: 8", "Answer: 7", ["small", "large"], "large"),
        ("Answer: 8", "I give up.", ["small", "large", "writer", "judge"], ""),
    ],
)
async def test_either_students_right_answer_drops_the_question(
    small: str, large: str, asked: list[str], solved: str
) -> None:
    desk = Desk(said(small, large, "Answer: 9"))
    made = await drafted(RECIPE, SUM, desk)
    assert [prompt.to for prompt in desk.asked] == asked
    assert [row.fields["solved_by"] for row in made] == [solved]
    assert [row.verdicts[0].check for row in made if row.verdicts] == (["difficulty"] if solved else [])


async def test_a_wrong_teacher_stays_and_is_marked() -> None:
    row = (await drafted(RECIPE, SUM, Desk(said("x", "y", "Answer: 9", "It is about numbers.\n11"))))[0]
    assert row.fields["right"] is False and row.fields["domain"] == "11 number theory"
    assert row.answer == "Answer: 9" and row.calls[-1].text == "Answer: 9"


async def test_a_given_domain_buys_no_label_and_without_difficulty_no_student_is_asked() -> None:
    given = Anchor(SUM.text, "", {"answer": "7", "domain": "sums"})
    desk = Desk(said("Answer: 7", "Answer: 7", "Answer: 7"))
    row = (await drafted(recipe(difficulty=False), given, desk))[0]
    assert [prompt.to for prompt in desk.asked] == ["writer"] and row.fields["domain"] == "sums"


@pytest.mark.parametrize(
    ("source", "answer", "words", "kept_first"),
    [
        ("AIME", "Answer: 7", 1, True),
        ("aime", "Answer: 8", 1, False),
        ("math", "Answer: 7", 20, True),
        ("math", "Answer: 7", 1, False),
        ("numina", "Answer: 7", 20, False),
    ],
)
async def test_preselection(source: str, answer: str, words: int, kept_first: bool) -> None:
    anchor = Anchor(SUM.text, "", {"answer": "7", "source": source})
    desk = Desk(said("x", "y", "so " * words + answer))
    row = (await drafted(recipe(long=10), anchor, desk))[0]
    assert row.fields["preselected"] is kept_first


def test_the_three_filters_are_stages_of_their_own(tmp_path: Path) -> None:
    broken = Anchor("See ![Image](x). How many are 2 and 2?", "q#2", {"answer": "4", "domain": "b"})
    anchors = [Anchor(f"How many are {n} and 4?", f"q#{n}", {"answer": str(n + 4), "domain": "a"}) for n in range(1, 6)]

    def reply(prompt: Prompt) -> str:
        return "Answer: 5" if prompt.to == "small" else "well " * len(prompt.messages[-1]["content"]) + "Answer: 0"

    def ran(name: str, **options: Any) -> Run:
        return generate(RECIPE, [*anchors, broken], model=Scripted(reply), out=tmp_path / name, **options)

    assert ran("all").record["dropped_by"] == {"broken-question": 1, "difficulty": 1}
    assert ran("diverse", with_=["s1=2"]).record["dropped_by"] == {"broken-question": 1, "difficulty": 1, "s1": 2}
    bare = ran("bare", without=["all"], knobs={"difficulty": False})
    assert bare.record["dropped_by"] == {} and bare.record["counts"]["kept"] == 6
    assert ran("random", without=["s1"], with_=["random=3"]).record["counts"]["kept"] == 3
    longest = ran("longest", without=["s1"], with_=["longest=1:by=trace_tokens"])
    kept = [json.loads(row["fields"])["trace_tokens"] for row in rows(longest) if row["kept"]]
    assert kept == [
        max(
            json.loads(row["fields"])["trace_tokens"] or 0 for row in rows(longest) if row["check"] != "broken-question"
        )
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("11", "11 number theory"),
        ("Of 1999, so 05", "05 combinatorics"),
        ("99", ""),
        ("", ""),
        ("11 or 51", "51 geometry"),
    ],
)
def test_domain(text: str, found: str) -> None:
    assert domain(text, DOMAINS) == found


def test_domains_have_codes_of_their_own() -> None:
    assert len({name[:2] for name in DOMAINS}) == len(DOMAINS) == 61

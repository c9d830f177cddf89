"""Persona Hub: people from texts and from people, tasks in their voice, and the arm without people."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from doubles.drafting import Desk, drafted
from synthgain import Scripted, generate
from synthgain.recipes.persona import RECIPE, Persona, people_in
from synthgain.types import Anchor, Prompt, Recipe, SynthgainError

TEXT = Anchor("The ferry leaves at six in winter.", "t#1")


def with_(**knobs: object) -> Recipe:
    return replace(RECIPE, draft=Persona(**knobs))  # type: ignore[arg-type]


def reply(prompt: Prompt) -> str:
    said = prompt.messages[-1]["content"]
    if "Who would be likely" in said:
        return "1. **A pilot of small ferries**\n2. A woman who sells tickets\n3. A pilot of small ferries"
    if "Who is close to" in said:
        return f"Somebody close to ({said.split(chr(10))[0][10:40]})"
    if "The person:" in said:
        return f"A request of {said.split('The person: ')[1]}"
    return "A request of nobody" if said.startswith("Think of") else f"Answer to {said}"


async def test_people_bring_tasks_and_the_text_is_not_shown_with_them() -> None:
    desk = Desk(reply)
    rows = await drafted(with_(personas=2), TEXT, desk)
    assert (
        TEXT.text in desk.asked[0].messages[0]["content"] and "Describe 2 such" in desk.asked[0].messages[0]["content"]
    )
    assert all(TEXT.text not in p.messages[0]["content"] for p in desk.asked[1:])
    assert [row.fields["persona"] for row in rows] == ["A pilot of small ferries", "A woman who sells tickets"]
    assert [turn["content"] for turn in rows[0].messages or ()] == [
        "A request of A pilot of small ferries", "Answer to A request of A pilot of small ferries",
    ]  # fmt: skip
    assert (desk.asked[1].sampling.temperature, desk.asked[1].sampling.max_tokens) == (0.7, 2048)


async def test_persons_lead_to_persons() -> None:
    rows = await drafted(with_(relations=2), TEXT, Desk(reply))
    assert [row.fields["relation"] for row in rows] == [0, 1, 2]
    assert rows[2].fields["persona"].startswith("Somebody close to (Somebody close")
    assert [len(row.calls) for row in rows] == [3, 4, 5]


async def test_kinds_control_and_given_people() -> None:
    desk = Desk(reply)
    rows = await drafted(
        with_(kinds=("instruction", "knowledge"), control=True), Anchor("x", "", {"persona": "A smith"}), desk
    )
    assert [(r.fields["persona"], r.fields["kind"], r.text is None) for r in rows] == [
        ("A smith", "instruction", True), ("A smith", "knowledge", False), ("", "instruction", True), ("", "knowledge", False),
    ]  # fmt: skip
    assert not any("Who would be likely" in p.messages[0]["content"] for p in desk.asked)


async def test_nobody_and_cut_answers_are_rows_that_fall() -> None:
    assert [r.fallen and r.fallen.reason for r in await drafted(RECIPE, TEXT, Desk(lambda p: "1. \n- *"))] == [
        "nobody was described"
    ]
    cut = await drafted(RECIPE, TEXT, Desk(reply, finish="length"))
    assert [r.fallen and r.fallen.reason for r in cut] == ["the people were cut off"]
    given = Anchor("x", "", {"persona": "A smith"})
    assert [r.fallen and r.fallen.reason for r in await drafted(RECIPE, given, Desk(reply, finish="length"))] == [
        "the task was cut off"
    ]


def test_near_people_fall_with_all_their_rows(tmp_path: Path) -> None:
    anchors = [
        Anchor(f"text {n}", "", {"persona": "A smith who shoes horses in the hills of the north"}) for n in range(2)
    ]
    recipe = with_(kinds=("instruction", "mathematics"))
    run = generate(
        recipe, anchors, model=Scripted(lambda p: f"{p.id('x')[:8]} {p.id('y')[:8]} words"), out=tmp_path / "r"
    )
    assert run.record["dropped_by"]["near-field"] == 2


@pytest.mark.parametrize(
    ("text", "people"),
    [
        ("A baker\nA judge\nA cook", ["A baker", "A judge"]),
        ("Sure, here are two people:\n\n- A baker.\n- A judge.", ["A baker.", "A judge."]),
        ("Person 1: A baker", ["A baker"]),
        ("", []),
        ("123\n---", []),
    ],
)
def test_people_in(text: str, people: list[str]) -> None:
    assert people_in(text, 2) == people


@pytest.mark.parametrize("knobs", [{"kinds": ()}, {"kinds": ("npc",)}, {"personas": 0}, {"relations": -1}])
def test_bad_knobs(knobs: dict[str, object]) -> None:
    with pytest.raises(SynthgainError):
        Persona(**knobs)  # type: ignore[arg-type]

"""LIMA: nothing is bought; what is not in an assistant's voice falls; the selection keeps one style and all kinds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from doubles.drafting import Desk, drafted
from synthgain import Scripted, generate
from synthgain.curate.uniform_style import UniformStyle
from synthgain.recipes.lima import LIMA, RECIPE
from synthgain.types import Anchor, SynthgainError

THINGS = ("gate", "mill", "barn", "tower", "bridge", "well", "arch", "loft", "quay", "fence")


def anchors() -> list[Anchor]:
    return [
        Anchor(
            f"How is a {thing} kept in order?",
            f"a#{n}",
            {
                "output": f"Look at the {thing} in spring. Brush off what is loose. Oil what turns, and wait two days.",
                "category": "ab"[n % 5 == 0],
            },
        )
        for n, thing in enumerate(THINGS)
    ]


def test_nothing_is_bought_and_other_voices_fall(tmp_path: Path) -> None:
    model = Scripted(lambda p: "never")
    personal = Anchor(
        "How do I oil a gate?",
        "",
        {"output": "I oiled my gate once and I liked it. My neighbour did not. I would do it again."},
    )
    run = generate(RECIPE, [*anchors(), personal], model=model, out=tmp_path / "run")
    assert model.asked == 0 and run.record["counts"]["calls_bought"] == 0
    assert run.record["counts"]["kept"] == 10 and run.record["dropped_by"] == {"impersonal": 1}


def test_the_selection_spreads_over_categories(tmp_path: Path) -> None:
    checks = tuple(UniformStyle(most=4) if isinstance(c, UniformStyle) else c for c in RECIPE.checks)
    run = generate(replace(RECIPE, checks=checks), anchors(), model=Scripted(lambda p: ""), out=tmp_path / "run")
    assert run.record["counts"]["kept"] == 4 and run.record["dropped_by"] == {"uniform-style": 6}


async def test_a_title_may_stand_for_the_question() -> None:
    asked = set()
    for n in range(30):
        anchor = Anchor(f"Long question {n}?", "", {"output": "Yes.", "title": f"Title {n}"})
        [row] = await drafted(RECIPE, anchor, Desk(lambda p: ""))
        asked.add((row.messages or ())[0]["content"].split()[0])
        [plain] = await drafted(replace(RECIPE, draft=LIMA(titles=False)), anchor, Desk(lambda p: ""))
        assert (plain.messages or ())[0]["content"] == f"Long question {n}?"
    assert asked == {"Long", "Title"}


@pytest.mark.parametrize(
    ("answer", "why"),
    [("", "no answer is given"), ("ab", "answer too short"), ("a" * 30, "answer too long"), ("a" * 10, "")],
)
async def test_limits(answer: str, why: str) -> None:
    [row] = await drafted(
        replace(RECIPE, draft=LIMA(least=5, most=20)), Anchor("Q?", "", {"output": answer}), Desk(lambda p: "")
    )
    assert (row.fallen.reason if row.fallen else "") == why
    with pytest.raises(SynthgainError):
        LIMA(least=5, most=4)

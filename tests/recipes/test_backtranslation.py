"""Backtranslation: the human text is the answer as it stands, tags part seed from web, the judge's score decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from doubles.drafting import Desk, drafted
from synthgain import Scripted, curate, generate
from synthgain.recipes.backtranslation import EXAMPLES, RECIPE, SEED_TAG, WEB_TAG, Backtranslation, instruction_in
from synthgain.types import Anchor, Prompt, SynthgainError

TEXT = EXAMPLES[0]


def replies(instruction: str = "How do I move a hive?", score: str = "Good.\nScore: 5") -> Callable[[Prompt], str]:
    return lambda prompt: score if prompt.to == "judge" else instruction


async def test_the_human_text_is_the_answer_untouched() -> None:
    desk = Desk(replies('**Request:** "How do I move a hive?"'))
    rows = await drafted(RECIPE, TEXT, desk)
    assert [turn["content"] for turn in rows[0].messages or ()] == [WEB_TAG, "How do I move a hive?", TEXT.text]
    assert rows[0].fields["score"] == 5 and not rows[0].fields["human"] and len(rows[0].calls) == 2
    law = desk.asked[0].sampling
    assert (law.temperature, law.top_p) == (0.7, 0.9) and TEXT.text in desk.asked[0].messages[0]["content"]
    assert TEXT.text in desk.asked[1].messages[0]["content"] and desk.asked[1].sampling.temperature == 0


async def test_seed_pairs_cost_nothing_and_stand_under_another_tag() -> None:
    desk = Desk(replies())
    chat = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]
    for anchor in (Anchor("Why?", "", {"output": "So."}), Anchor("Why?", "", {"messages": chat})):
        [row] = await drafted(RECIPE, anchor, desk)
        assert [turn["content"] for turn in row.messages or ()] == [SEED_TAG, "Why?", "So."] and row.fields["human"]
    assert not desk.asked and SEED_TAG != WEB_TAG


async def test_texts_of_another_length_cost_nothing_and_fall() -> None:
    desk = Desk(replies())
    for text, why in (("short", "text too short"), ("x" * 3001, "text too long")):
        [row] = await drafted(RECIPE, Anchor(text), desk)
        assert row.fallen is not None and row.fallen.reason == why
    assert not desk.asked


async def test_shots_are_earlier_turns_and_several_scores_are_a_mean() -> None:
    desk = Desk(lambda p: f"Score: {3 + p.draw}" if p.to == "judge" else "What?")
    recipe = replace(RECIPE, draft=Backtranslation(shots=(("A text.", "A request?"),), scores=3))
    [row] = await drafted(recipe, TEXT, desk)
    assert [turn["role"] for turn in desk.asked[0].messages] == ["user", "assistant", "user"]
    assert row.fields["score"] == 4 and all(p.sampling.temperature == 1 for p in desk.asked[1:])
    assert [p.draw for p in desk.asked[1:]] == [0, 1, 2]


@pytest.mark.parametrize(("score", "kept"), [("Score: 5", 1), ("Score: 4", 0), ("no score", 0), ("Score: 9", 0)])
def test_what_the_judge_does_not_find_good_falls_and_the_uncurated_arm_is_free(
    score: str, kept: int, tmp_path: Path
) -> None:
    run = generate(RECIPE, [TEXT], model=Scripted(replies(score=score)), out=tmp_path / "run")
    assert run.record["counts"]["kept"] == kept
    again = curate(run, without=["judge-score"])
    assert again.record["counts"]["kept"] == 1 and again.record["counts"]["calls_bought"] == 0


async def test_no_instruction_costs_no_score() -> None:
    desk = Desk(replies("..."))
    assert [r.fallen and r.fallen.reason for r in await drafted(RECIPE, TEXT, desk)] == ["no instruction"] and len(
        desk.asked
    ) == 1
    cut = await drafted(RECIPE, TEXT, Desk(replies(), finish="length"))
    assert [r.fallen and r.fallen.reason for r in cut] == ["the instruction was cut off"]


@pytest.mark.parametrize(
    ("said", "instruction"),
    [
        ("Sure! Here is my answer:\nWhy?", "Why?"),
        ("The request was: Why?", "Why?"),
        ("“Why?”", "Why?"),
        ("Why?", "Why?"),
    ],
)
def test_instruction_in(said: str, instruction: str) -> None:
    assert instruction_in(said) == instruction


@pytest.mark.parametrize("knobs", [{"scores": 0}, {"shots": ("a",)}, {"shots": (("a",),)}])
def test_bad_knobs(knobs: dict[str, object]) -> None:
    with pytest.raises(SynthgainError):
        Backtranslation(**knobs)  # type: ignore[arg-type]

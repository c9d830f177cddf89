"""Judges: what they are asked, what their answers say, and the check that reads a bought score."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import synthgain as sg
from synthgain.curate import load
from synthgain.curate.judge_score import JudgeScore
from synthgain.curate.judges import Rubric, reward_of, reward_prompt, settled
from synthgain.types import Anchor, Models, Prompt, Recipe, Row, SynthgainError, assistant, user

RUBRIC = Rubric(("It names the river.",))


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("It does.\nScore: 7", 7),
        ("**Score:** 8/10", 8),
        ("Score: 3. No, wait.\nScore: 9.5", 9.5),
        ("Rating: [[6]]", 6),
        ("[[10]]", 10),
        ("The score is 4.", 4),
        ("7", 7),
        ("7/10", 7),
        ("<think>Score: 2</think>Score: 5", 5),
        ("Score - 6", 6),
        ("Score: 11", None),
        ("Score: 0", None),
        ("Score: -3", None),
        ("Score: high", None),
        ("It has 7 words.", None),
        ("Score: 123456789", None),
        ("", None),
        ("<think>Score: 7", None),
    ],
)
def test_a_score(text: str, score: float | None) -> None:
    assert RUBRIC.score(text) == score


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("A is longer.\nVerdict: B", "second"),
        ("**Verdict:** A", "first"),
        ("[[A]]", "first"),
        ("[[C]]", "tie"),
        ("Verdict: tie", "tie"),
        ("Verdict: Answer B", "second"),
        ("The better answer is A.", "first"),
        ("B", "second"),
        ("Verdict: A\nOn reflection:\nVerdict: B", "second"),
        ("Verdict: Albert", None),
        ("It would be better a little shorter.", None),
        ("A mill", None),
        ("", None),
    ],
)
def test_a_choice(text: str, choice: str | None) -> None:
    assert RUBRIC.choice(text) == choice


def test_both_orders_must_agree() -> None:
    assert settled("first", "second") == "first" and settled("second", "first") == "second"
    assert (
        settled("first", "first")
        == settled("second", "second")
        == settled("tie", "first")
        == settled("tie", "tie")
        == "tie"
    )
    assert settled(None, "first") is None and settled("first", None) is None


def test_prompts_share_their_head_and_swap_the_answers() -> None:
    one, other = RUBRIC.pair_prompts("Which river?", "The Tolmar.", "A river.")
    assert one.messages[0] == other.messages[0] and "It names the river." in one.messages[0]["content"]
    swapped = (
        one.messages[1]["content"]
        .replace("The Tolmar.", "?")
        .replace("A river.", "The Tolmar.")
        .replace("?\n</answer_A>", "A river.\n</answer_A>")
    )
    assert other.messages[1]["content"] == swapped
    score = RUBRIC.score_prompt("Which river?", "The Tolmar.")
    assert (score.to, score.sampling.temperature) == ("judge", 0) and "The Tolmar." in score.messages[-1]["content"]
    assert "few sentences" not in Rubric(reasons=False).score_prompt("?", "!").messages[0]["content"]


def test_rubrics_that_make_no_sense_are_refused() -> None:
    for criteria, lowest, highest in (((), 1, 10), (("a",), 5, 5)):
        with pytest.raises(SynthgainError):
            Rubric(criteria, lowest, highest)


def test_rewards() -> None:
    assert reward_of("-3.25") == -3.25 and reward_of("good") is None and reward_of("nan") is None
    assert [turn["role"] for turn in reward_prompt("?", "!").messages] == ["user", "assistant"]


@pytest.mark.parametrize(
    ("fields", "reason", "score"),
    [
        ({"judge_score": 7}, "", 7),
        ({"judge_score": 6.9}, "its score is too low", 6.9),
        ({"judge_score": [9, 7, 8]}, "", 7),
        ({"judge_score": [9, 1, 8]}, "its score is too low", 1),
        ({"judge_score": [9, None]}, "has no score", None),
        ({"judge_score": []}, "has no score", None),
        ({"judge_score": None}, "has no score", None),
        ({"judge_score": "9"}, "", 9),
        ({"judge_score": "nine"}, "has no score", None),
        ({"judge_score": True}, "has no score", None),
        ({"judge_score": float("nan")}, "has no score", None),
        ({}, "has no score", None),
        ({"human": True}, "", None),
        ({"human": True, "judge_score": 1}, "", None),
    ],
)
def test_the_check(fields: dict[str, object], reason: str, score: float | None) -> None:
    verdict = JudgeScore()(Row(text="A mill", fields=fields), ())
    assert (verdict.reason, verdict.keeps, verdict.score) == (reason, not reason, score)


def test_another_field_and_limit() -> None:
    assert load("judge-score=4:field=quality") == JudgeScore(4, "quality")
    assert not JudgeScore(4, "quality")(Row(text="x", fields={"quality": 3}), ()).keeps


@pytest.mark.parametrize("old", ["judged", "scored=4"])
def test_a_name_of_before_says_the_new_one(old: str) -> None:
    with pytest.raises(SynthgainError) as error:
        load(old)
    assert "it is 'judge-score' now" in error.value.next


async def judged(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
    answer = await models(Prompt((user(anchor.text),)))
    call = await models(RUBRIC.score_prompt(anchor.text, answer.text))
    chat = (user(anchor.text), assistant(answer.text))
    yield Row(messages=chat, calls=(answer, call), fields={"judge_score": RUBRIC.score(call.text)})


def test_a_threshold_is_changed_at_no_cost(tmp_path: Path) -> None:
    asked: list[Prompt] = []

    def says(prompt: Prompt) -> str:
        asked.append(prompt)
        if len(prompt.messages) == 1:
            return f"It is the Tolmar, {prompt.messages[0]['content']}"
        return (
            "Hm."
            if "three" in prompt.messages[1]["content"]
            else f"Score: {8 if 'one' in prompt.messages[1]['content'] else 4}"
        )

    recipe = Recipe("judged", "1", judged, roles=("writer", "judge"), checks=(JudgeScore(),))
    run = sg.generate(recipe, ["one?", "two?", "three?"], model=sg.Scripted(says), out=tmp_path)
    assert run.record["counts"]["kept"] == 1 and len(asked) == 6
    again = sg.curate(run, recipe=recipe, with_=["judge-score=4"])
    assert again.record["counts"]["kept"] == 2 and len(asked) == 6

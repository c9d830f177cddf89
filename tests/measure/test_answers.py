"""The gain on answers, their prompts being given, and where the value is taken to lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from synthgain import examples
from synthgain.measure.aim import aim_of
from synthgain.measure.answers import answer_gains, held_out_answer_gains, judged_answers, prompt_words
from synthgain.measure.data import Data
from synthgain.measure.grounded import Grounds
from synthgain.measure.held_out import hold_out
from synthgain.measure.ngrams import Asked
from synthgain.measure.proxy import proxy_gain
from synthgain.types import SynthgainError


def row(question: str, answer: str, **more: Any) -> dict[str, Any]:
    return {"text": f"{question}\n\n{answer}", "prompt": question, "answer": answer, **more}


def real(question: str, answer: str) -> dict[str, Any]:
    return {"text": question, "asked": question, "answered": answer}


PROBLEMS = examples.problems(160, level=1, seed=0, split="train")
MORE = examples.problems(200, level=1, seed=5, split="train")
ANCHORS = [real(p["question"], p["worked"]) for p in PROBLEMS]


def test_the_right_questions_with_useless_answers_gain_nothing() -> None:
    """By the whole text such rows looked as good as right ones: they predict the questions."""
    right = Data.of([row(p["question"], p["worked"]) for p in MORE], ANCHORS)
    useless = Data.of(
        [row(p["question"], f"I like long walks with dog number {i}.") for i, p in enumerate(MORE)], ANCHORS
    )
    of_texts = [proxy_gain(data)[0].value or 0.0 for data in (right, useless)]
    assert min(of_texts) > 0.2
    mine, theirs = (answer_gains(data) for data in (right, useless))
    assert mine[0].low > 0.1 and theirs[0].value < 0 and theirs[0].high < mine[0].low  # type: ignore[operator]
    assert mine[1].low > 0 > theirs[1].high  # type: ignore[operator]
    assert [r.name for r in mine] == ["proxy_gain_answer", "target_fit_answer"] and mine[0].unit == "nats/token"


def test_the_prompts_words_are_a_law_of_their_own() -> None:
    """Of each word of an answer its share among its own prompt's words, and of others none."""
    held = [real("who built the old mill", "ada built the mill"), real("what flows past quell", "the tolmar flows")]
    data = Data.of([row("q", "a")], ["x"], target=held)
    dev = hold_out(Data.of(["x"], ["y"], target=[h["answered"] for h in held]), 10, 2)
    assert not isinstance(dev, str)
    flat = dev.vocabulary.encode(dev.texts)
    document = np.cumsum(flat == dev.vocabulary.size) // 2  # two marks before each text
    asked = Asked.by(flat, document - 1, np.zeros(len(flat), np.int64), dev.vocabulary.size)
    assert data.target is not None
    share = np.exp(prompt_words(data.target, dev, asked))
    assert share.tolist() == pytest.approx([0, 0.2, 0.2, 0.2, 0, 0, 0.25])


@pytest.mark.parametrize(
    ("rows", "held", "said"),
    [
        ([row("q", "four and three make seven apples in all")] * 3, ["q1", "q2"], "the held-out texts have no answers: give anchors, or --target"),
        ([row("q", "four and three make seven apples in all")] * 3, [real("q1", "7"), real("q2", "8")], "are bare (median 1 words, the rows' 8)"),
        ([row("q", "good")] * 3, [real("q1", "good"), real("q2", "bad")], "are labels (median 1 words), of which an n-gram model says nothing: ask a student"),
        (["plain"], [real("q1", "a b c d"), real("q2", "d c b a")], "rows have no answers"),
    ],
)  # fmt: skip
def test_where_it_says_nothing_it_says_what_to_give(rows: list[Any], held: list[Any], said: str) -> None:
    for found in answer_gains(Data.of(rows, held)):
        assert found.value is None and said in found.note


def test_answers_that_all_stand_in_the_anchors_have_no_gain_of_nought() -> None:
    """It was 0 [0, 0]: the union was the anchors again, and the reader nobody's but theirs."""
    copies = [row(p["question"], p["worked"], anchor_ids=[str(i)]) for i, p in enumerate(PROBLEMS[:60])]
    held = [real(p["question"], p["worked"]) for p in MORE]
    for data in (Data.of(copies, ANCHORS), Data.of(copies * 2, ANCHORS, target=held)):
        gain, fit = answer_gains(data)
        assert gain.value is gain.low is gain.high is None and "give --anchors" in gain.note
        assert fit.value is not None and fit.value < 0  # fewer of the same answers foretell less
        assert list(held_out_answer_gains(judged_answers(data))) == ["target_fit_answer"]
    one_more = answer_gains(Data.of([*copies, row(MORE[0]["question"], MORE[0]["worked"])], ANCHORS))[0]
    assert one_more.value is not None and one_more.value != 0


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (Data.of(["a text"], ["another"]), "text"),
        (Data.of([row("q", "a")], [real("r", "b")]), "answer"),
        (Data.of([row("q", "a")]), "answer"),
        (Data.of([row("q", "a")], ["a page"]), "text"),
        (Data.of([row("the anchor", "a", anchor_ids=["0"])], ["the anchor"]), "answer"),
        (Data.of(["a text"], [real("q", "a")]), "text"),
        (Data.of([{"text": "a headline", "asked": "a headline", "answered": "1"}], ["unlabelled"]), "text"),
        (Data.of([{"text": "a headline", "asked": "a headline", "answered": "1"}], [real("a headline too", "0")]), "answer"),
    ],
)  # fmt: skip
def test_rows_and_real_text_say_where_the_value_lies(data: Data, part: str) -> None:
    grounds = Grounds.of(data)
    assert aim_of(data, grounds).part == part and aim_of(data, grounds).why
    for given in ("text", "answer"):
        assert aim_of(data, grounds, given).part == given
    with pytest.raises(SynthgainError, match="the target is 'prompt'"):
        aim_of(data, grounds, "prompt")

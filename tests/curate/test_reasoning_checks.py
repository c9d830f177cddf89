"""Checks that recipes of reasoning bring along: caps, judges' fields, hints, damaged questions."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from synthgain.curate import load
from synthgain.curate.at_most import AtMost
from synthgain.curate.broken_question import BrokenQuestion
from synthgain.curate.hint_left import HintLeft
from synthgain.curate.true_field import TrueField
from synthgain.curate.worked import are_shots, cut
from synthgain.types import Anchor, Row, SynthgainError, assistant, user


def test_at_most_against_counting_however_the_rows_are_cut() -> None:
    rng = random.Random(0)
    asked = [[f"{rng.randrange(40):032x}"] for _ in range(600)] + [[f"{1:032x}", f"{2:032x}"]] * 5 + [[]] * 3
    counts: dict[tuple[str, ...], int] = {}
    expected = []
    for ids in asked:
        counts[tuple(ids)] = counts.get(tuple(ids), 0) + 1
        expected.append(counts[tuple(ids)] <= 3)
    judge, found = AtMost(3).begin(), []
    for start in range(0, len(asked), 17):
        found += [v.keeps for v in judge(pa.table({"anchor_ids": asked[start : start + 17]}))]
    assert found == expected
    assert judge(pa.table({"anchor_ids": pa.array([], pa.list_(pa.string()))})) == []
    with pytest.raises(SynthgainError):
        load("at-most=0")


@pytest.mark.parametrize(("fields", "stays"), [({}, False), ({"verified": True}, True), ({"verified": False}, False), ({"verified": None}, False), ({"verified": "yes"}, False)])  # fmt: skip
def test_true_field(fields: dict[str, object], stays: bool) -> None:
    verdict = TrueField()(Row(text="a", fields=fields), ())
    assert verdict.keeps is stays and bool(verdict.reason) is not stays
    assert load("true-field=right")(Row(text="a", fields={"right": True}), ()).keeps  # type: ignore[operator,call-arg]


@pytest.mark.parametrize(
    ("said", "stays"),
    [
        ("By the hint, it is 7.\nAnswer: 7", False),
        ("We are told the answer is 7, so 3 + 4 = 7.\nAnswer: 7", False),
        ("This matches the given answer.\nAnswer: 7", False),
        ("3 + 4 = 7\nAnswer: 7", True),
        ("The answer is 7.", True),
        ("We are told that Ann has 3.\nAnswer: 7", True),
        ("so that's the answer " * 50_000, True),
    ],
)
def test_hint_left(said: str, stays: bool) -> None:
    row = Row(messages=(user("How many?"), assistant(said)))
    assert HintLeft()(row, (Anchor("How many?"),)).keeps is stays
    assert HintLeft()(row, (Anchor("The hint says more. How many? Use the given answer."),)).keeps


@pytest.mark.parametrize(
    ("said", "stays"),
    [("10.", False), ("Answer: 10", False), ("The final answer is \\boxed{10}.", False), ("5 * 2 = 10\nAnswer: 10", True), ("12 * 50 / 60 = 10", True)],
)  # fmt: skip
def test_a_hint_that_is_only_repeated(said: str, stays: bool) -> None:
    hinted = Row(messages=(user("How many?"), assistant(said)), fields={"rationalised": True})
    assert HintLeft()(hinted, ()).keeps is stays
    assert HintLeft()(Row(messages=hinted.messages, fields={"rationalised": False}), ()).keeps


@pytest.mark.parametrize(
    ("question", "source", "why"),
    [
        ("What is 3 + 4?", "", ""),
        ("[asy] draw(A); [/asy] Find AB.", "olympiads", "a drawing in code"),
        ("[asy] draw(A); [/asy] Find AB.", "AIME", ""),
        ("See ![Image](u). Find x.", "", "a picture that is not there"),
        ("p3. Find all n.", "", "the number of another problem"),
        ("Take step3. Find all n.", "", ""),
        ("**12.** Find all n.", "", "a bold number"),
        ("**Note** that n is even.", "", ""),
    ],
)
def test_broken_question(question: str, source: str, why: str) -> None:
    anchor = Anchor(question, "", {"source": source})
    assert BrokenQuestion().why(anchor) == why
    assert BrokenQuestion()(Row(text="a"), (anchor,)).keeps is (why == "")


def test_shots_and_cut() -> None:
    assert are_shots((("a", "b"),)) and are_shots(())
    assert not are_shots(("ab",)) and not are_shots((("a", 1),)) and not are_shots([["a", "b"]])
    assert cut("3 + 4 = 7\n#### 7\nmore") == "3 + 4 = 7\n#### 7"

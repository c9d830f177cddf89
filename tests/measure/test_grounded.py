"""Names and numbers of rows against their sources: known answers, and what the figure refuses to say."""

from __future__ import annotations

import random

import pytest

from synthgain.facts import Source, facts
from synthgain.intervals import wilson
from synthgain.measure import Data, meter
from synthgain.measure.grounded import Grounds

TOWN = "The town of Orrin was founded in 1847 by Mayor Brell. Its three mills grind 1,200 sacks of rye a year."


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It has 1,200.50 litres, or 007 drops.", {"1200.5", "7"}),
        ("Es sind 1.234.567 und 12,5 und 0.001.", {"1234567", "12.5", "0.001"}),
        ("في المدينة ٣٤ قاربا", {"34"}),
        ("1. Paris\n2) Rome\n- Milan", set()),  # a list's own marks, and what begins its lines
        ('He said: "Please stay." Then Anna left.', {"Anna"}),
        ("# The Mills Of Orrin\nThe mills stand.", set()),  # a heading
        ("A trip to New York with Mayor Brell's son.", {"New", "York", "Mayor", "Brell"}),
        ("Question: Who is it?\nAnswer: It is I.", set()),
        ("Wir fuhren nach Zürich, im Jahr 1990.", {"Zürich", "Jahr", "1990"}),
        ("", set()),
    ],
)
def test_names_and_numbers_of_a_text(text: str, found: set[str]) -> None:
    assert set(facts(text)) == found


@pytest.mark.parametrize(
    ("fact", "there"),
    [
        ("1847", True),
        ("3", True),  # "three"
        ("1200", True),
        ("1848", False),
        ("Orrin", True),
        ("Orrins", True),
        ("orrin", True),
        ("Mill", True),
        ("Orr", False),  # too little of the word is left
        ("Quell", False),
        ("Brell-Orrin", True),
    ],
)
def test_what_a_source_has(fact: str, there: bool) -> None:
    assert Source.of(TOWN).has(fact) is there


def test_the_share_and_its_interval_by_prompt() -> None:
    """Of ten prompts with one row of four facts each: 30 of 40 stand there; one row a prompt, so prompts are the units."""
    anchors = [f"In the year {1000 + i} the ship Alba{i} met the boat Corvo{i}." for i in range(10)]
    rows = [
        {"text": f"Later, in {1000 + i}, came Alba{i} and met Corvo{i} at Nowhere{'x' * i}.", "anchor_ids": [str(i)]}
        for i in range(10)
    ]
    found = Grounds.of(Data.of(rows, anchors)).reading()
    assert found.value == pytest.approx(0.75) and found.n == 10 and found.kind == "proxy" and found.unit == "prob"
    assert found.low is not None and found.high is not None and found.low < 0.75 < found.high
    assert "numbers: 10 of 10" in found.note and "names: 20 of 30" in found.note
    all_there = [{"text": f"Later came Alba{i}.", "anchor_ids": [str(i)]} for i in range(10)]
    whole = Grounds.of(Data.of(all_there, anchors)).reading()
    assert (whole.low, whole.high) == pytest.approx(wilson(10, 10))


def test_gibberish_that_gains_is_told_from_faithful_rows() -> None:
    """The case that `proxy_gain` alone gets wrong: rows with invented names, and rows that keep theirs."""
    draw = random.Random(0)
    anchors = [f"In {1800 + i} the town of Vael{i} sold {10 + i} boats to Brun{i}." for i in range(40)]
    faithful = [
        {"text": f"It was Vael{i} that sold {10 + i} boats in {1800 + i}.", "anchor_ids": [str(i)]} for i in range(40)
    ]
    odd = [
        {"text": f"It was Zork{draw.randrange(99)} that ate {draw.randrange(999)} of Flim in {draw.randrange(999)}.", "anchor_ids": [str(i)]}
        for i in range(40)
    ]  # fmt: skip
    good, bad = (Grounds.of(Data.of(rows, anchors)) for rows in (faithful, odd))
    assert good.reading().value == 1.0 and (bad.reading().high or 1.0) < 0.2
    assert not good.doubts() and len(bad.doubts()) == 8
    assert "are not in its source: " in bad.doubts()[0].why


def test_the_most_doubtful_rows_come_first_with_what_is_strange() -> None:
    rows = [
        {"id": "fine", "text": "Then Brell came to Orrin.", "anchor_ids": ["0"]},
        {"id": "odd", "text": "Then Quell left Marth in 1905.", "anchor_ids": ["0"]},
        {"id": "half", "text": "Then Brell left Marth.", "anchor_ids": ["0"]},
        {"id": "lost", "text": "Then Zork came.", "anchor_ids": ["elsewhere"]},
    ]
    grounds = Grounds.of(Data.of(rows, [TOWN]))
    assert [d.row for d in grounds.doubts()] == ["odd", "half"]
    assert grounds.doubts()[0].why == "3 of its 3 names and numbers are not in its source: 1905, Marth, Quell"
    assert "1 rows whose anchors are not here are left out" in grounds.reading().note


def test_a_row_of_several_anchors_may_take_from_each() -> None:
    rows = [{"text": "So Brell of Orrin met Quell.", "anchor_ids": ["0", "1"]}] * 2
    assert Grounds.of(Data.of(rows, [TOWN, "The port of Quell lies east."])).reading().value == 1.0


def test_rows_that_answer_their_anchors_are_not_judged_by_it() -> None:
    """A sum's result is not in the question, and must not be."""
    asked = [f"Ilse has {i} pears and finds {i}. How many has she?" for i in range(20)]
    rows = [{"text": f"{q}\n\nShe has {2 * i}.", "answer": f"She has {2 * i}.", "prompt": f"Q: {q}", "anchor_ids": [str(i)]} for i, q in enumerate(asked)]  # fmt: skip
    grounds = Grounds.of(Data.of(rows, asked))
    assert grounds.answers and grounds.reading().value is None and "answer their anchors" in grounds.reading().note


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (Data.of([]), "no rows"),
        (Data.of(["Then Brell came."], [TOWN]), "do not name what they were made from"),
        (Data.of([{"text": "Then Brell came.", "anchor_ids": ["9"]}], [TOWN]), "anchors are here"),
        (Data.of([{"text": "nothing to see", "anchor_ids": ["0"]}], [TOWN]), "no row has a name or a number"),
    ],
)
def test_what_cannot_be_said_has_its_reason(data: Data, why: str) -> None:
    found = {r.name: r for r in meter(data)}["grounded"]
    assert found.value is None and why in found.note

"""Regular expressions on answers: from the setting and from the anchor, and within their time."""

from __future__ import annotations

import time

import pytest

from synthgain.curate import load
from synthgain.curate.pattern import Pattern
from synthgain.types import Anchor, Row, SynthgainError, assistant, user


def why(check: Pattern, answer: str, **fields: object) -> str:
    return check(Row(messages=(user("?"), assistant(answer))), [Anchor("?", fields=fields)]).reason


def test_somewhere_from_end_to_end_and_nowhere() -> None:
    assert why(Pattern("^Answer: [0-9]+$"), "Answer: 7") == ""
    assert why(Pattern(r"\d{4}-\d\d-\d\d"), "On 1611-03-09 it rained.") == ""
    assert why(Pattern(r"\d{4}-\d\d-\d\d", whole=True), "On 1611-03-09 it rained.") == "does not match"
    assert why(Pattern(r"\d{4}-\d\d-\d\d", whole=True), " 1611-03-09\n") == ""
    assert why(Pattern("(?i)sorry", refuse=True), "Sorry, no.") == "matches"
    assert why(Pattern(r"\p{Han}"), "磨坊") == "" and why(Pattern(r"\p{Han}"), "mill") == "does not match"


def test_thinking_is_not_matched_and_no_answer_falls_for_that() -> None:
    assert why(Pattern("7", refuse=True), "<think>7</think>8") == ""
    assert why(Pattern("7"), "<think>7") == "thinking never ended" and why(Pattern("7"), "") == "no answer"


def test_the_anchor_s_own_pattern() -> None:
    assert (
        why(Pattern(), "a7", pattern="[a-z][0-9]") == ""
        and why(Pattern(field="form"), "a", form="b") == "does not match"
    )
    assert why(Pattern(), "a7") == "no pattern to match"
    assert why(Pattern(), "a7", pattern="(") == "its pattern is no regular expression"


def test_a_pattern_that_takes_for_ever_is_cut_off() -> None:
    began = time.perf_counter()
    assert why(Pattern("(a|a)*$", whole=True, seconds=0.2), "a" * 40 + "!") == "matching takes too long"
    assert time.perf_counter() - began < 10


def test_settings() -> None:
    assert load("pattern=^A:field=x") == Pattern("^A", field="x")
    for settings in ({"pattern": "("}, {"seconds": 0.0}):
        with pytest.raises(SynthgainError):
            Pattern(**settings)  # type: ignore[arg-type]

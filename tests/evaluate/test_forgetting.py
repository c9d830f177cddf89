from collections.abc import Sequence

import pytest

from synthgain.evaluate import forgetting
from synthgain.intervals import mean_t
from synthgain.types import Message, SynthgainError


class Words:
    """One token a word (or a letter), each with the same log-probability for its first letter."""

    def __init__(self, costs: dict[str, float], letters: bool = False) -> None:
        self.costs, self.letters = costs, letters
        self.longest = 0

    @property
    def identity(self) -> str:
        return "words"

    def logprobs(self, pairs: Sequence[tuple[str | Sequence[Message], str]]) -> list[list[float]]:
        self.longest = max(self.longest, *(len(text) for _, text in pairs))
        return [
            [-self.costs[unit[0]] for unit in (text.replace(" ", "") if self.letters else text.split())]
            for _, text in pairs
        ]


BEFORE = {"a": 1.0, "b": 2.0}
AFTER = {"a": 1.5, "b": 2.0}


def test_the_difference_is_paired_over_texts() -> None:
    texts = ["a a", "a b", "b b b b", "a a a b"]
    found = forgetting(Words(BEFORE), Words(AFTER), texts)
    gaps = [0.5, 0.25, 0.0, 0.375]
    mean, low, high = mean_t(gaps)
    assert found.value == pytest.approx(mean) and (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.n == 4 and found.unit == "nats/token"


def test_long_texts_are_scored_whole_in_windows() -> None:
    long = "a " * 30 + "b " * 30
    before = Words(BEFORE)
    found = forgetting(before, Words(AFTER), [long, "b"], window=16)
    assert found.value == pytest.approx(
        0.125
    )  # half of the long text's tokens lost half a nat each, the short one lost none
    assert before.longest <= 16 and found.note.startswith("1 texts")
    unbroken = forgetting(Words(BEFORE), Words(AFTER), ["a" * 40, "b"], window=16)
    assert unbroken.value == pytest.approx(0.25)


def test_no_figure_where_none_can_be_given() -> None:
    with pytest.raises(SynthgainError):
        forgetting(Words(BEFORE), Words(AFTER), [" "])
    other = forgetting(Words(BEFORE), Words(AFTER, letters=True), ["aa bb"])
    assert other.value is None and other.note
    single = forgetting(Words(BEFORE), Words(AFTER), ["a"])
    assert single.value == 0.5 and single.low is None and single.note

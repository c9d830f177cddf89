"""Students of one arm as one: worked by hand."""

from __future__ import annotations

import pytest

from synthgain.evaluate import Question, Solved, averaged, differences
from synthgain.intervals import clustered
from synthgain.types import SynthgainError

ASKED = [Question(str(i), "?", options=("a", "b"), gold=0, document=f"d{i % 2}", facts=1 + i // 2) for i in range(4)]


def solved(right: str, *margins: float) -> Solved:
    """Right or wrong (1 or 0) and the margin of each question."""
    return Solved(
        (),
        {q.id: [mark == "1"] for q, mark in zip(ASKED, right)},
        {q.id: ["a"] for q in ASKED},
        {q.id: margin for q, margin in zip(ASKED, margins)},
        {},
    )


def test_questions_are_averaged_over_students_and_stay_the_unit() -> None:
    one, two = solved("1100", 1.0, 2.0, -1.0, 0.0), solved("1000", 3.0, 0.0, -3.0, 0.0)
    mean = averaged([one, two], ASKED, "learning rates")
    accuracy = mean.reading("accuracy")
    assert (accuracy.value, accuracy.low, accuracy.high) == pytest.approx(clustered([1.0, 0.5, 0.0, 0.0], 2))
    assert accuracy.n == 4 and "mean over 2 learning rates" in accuracy.note and "chance is 0.5" in accuracy.note
    assert mean.margins == {"0": 2.0, "1": 1.0, "2": -2.0, "3": 0.0}
    assert mean.reading("answer_margin").value == pytest.approx(0.25)
    assert mean.reading("accuracy/facts=1").value == 0.75 and mean.reading("answer_margin/facts=2").value == -1.0
    right, nats = differences(mean, averaged([two], ASKED))
    assert right.value == pytest.approx(0.125) and nats.value == pytest.approx(0.25)


def test_no_students_are_no_mean() -> None:
    with pytest.raises(SynthgainError):
        averaged([], ASKED)

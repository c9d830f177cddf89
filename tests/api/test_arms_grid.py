"""The split of questions, and the learning rate that is chosen on it."""

from __future__ import annotations

import pytest

from synthgain.api.arms_grid import Done, best_rate, split
from synthgain.evaluate import Question, Solved
from synthgain.loop import Arm, Part, Result
from synthgain.types import SynthgainError

ASKED = [
    Question(f"{d}-{i}", f"{i}?", options=(f"{d} {i // 2} a", f"{d} {i // 2} b"), gold=i % 2, document=d)
    for d in ("mill", "bell", "fair")
    for i in range(16)
]


def test_questions_with_the_same_options_stay_together_and_documents_stand_on_both_sides() -> None:
    dev, test = split(ASKED, 0.25, 0)
    assert {q.id for q in dev} | {q.id for q in test} == {q.id for q in ASKED} and len(dev) + len(test) == len(ASKED)
    assert len(dev) == 12 and {q.document for q in dev} == {q.document for q in test} == {"mill", "bell", "fair"}
    assert not {q.options for q in dev} & {q.options for q in test}
    again, _ = split(ASKED[::-1], 0.25, 0)
    assert {q.id for q in again} == {q.id for q in dev}
    assert {q.id for q in split(ASKED, 0.25, 1)[0]} != {q.id for q in dev}


@pytest.mark.parametrize("share", [0.1, 0.95])
def test_a_split_with_an_empty_side_is_refused(share: float) -> None:
    with pytest.raises(SynthgainError, match="each needs 8"):
        split(ASKED[:20], share, 0)


def test_the_rate_is_the_best_of_all_arms_together_and_of_equal_ones_the_smaller() -> None:
    def made(name: str, right: str, margin: float) -> Result[Solved]:
        marks = {str(i): [mark == "1"] for i, mark in enumerate(right)}
        return Result(Arm(name, (Part("x"),)), Solved((), marks, {}, {q: margin for q in marks}))

    done = Done(
        trained={
            "a": {1e-3: made("a", "1110", 0.0), 1e-4: made("a", "1100", 0.5)},
            "b": {1e-3: made("b", "0000", 0.0), 1e-4: made("b", "1000", 0.1)},
        }
    )
    assert best_rate(done, "accuracy") == (1e-4, pytest.approx({1e-3: 0.375, 1e-4: 0.375}))
    assert best_rate(done, "answer_margin") == (1e-4, pytest.approx({1e-3: 0.0, 1e-4: 0.3}))

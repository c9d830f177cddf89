"""Several students' answers to the same questions as one examination."""

import pytest

from synthgain.evaluate import Solved, difference
from synthgain.types import Reading


def solved(*right: bool, parsable: float = 1.0, value: float | None = None) -> Solved:
    told = Reading("accuracy", sum(right) / len(right) if value is None else value, 0.0, 1.0, n=len(right))
    of_form = Reading("parsable", parsable, parsable - 0.1, parsable, n=len(right))
    return Solved((told, of_form), {str(i): [r] for i, r in enumerate(right)}, {"0": ["seven"]})


def test_the_mean_is_over_students_and_the_interval_over_questions() -> None:
    alike = solved(True, False, True, False).pooled([solved(True, False, True, False)])
    apart = solved(True, False, True, False).pooled([solved(False, True, False, True)])
    first, second = alike.reading("accuracy"), apart.reading("accuracy")
    assert first.value == second.value == 0.5 and first.n == second.n == 4
    assert alike.right == {"0": [True, True], "1": [False, False], "2": [True, True], "3": [False, False]}
    # two students who say the same are no more questions than one; two who complement each other are
    assert first.low is not None and second.low is not None and first.low < second.low
    assert "2 students" in first.note and alike.said["0"] == ["seven", "seven"]


def test_other_readings_are_means_and_what_is_missing_stays_missing() -> None:
    told = solved(True, parsable=0.5).pooled([solved(False, parsable=0.9), solved(False, parsable=1.0)])
    assert told.reading("parsable").value == pytest.approx(0.8)
    unknown = Solved((Reading("cut_off", None, note="nobody asked"),), {"0": [True]})
    assert unknown.pooled([unknown]).reading("cut_off").value is None


def test_a_question_that_one_student_never_answered_is_left_out() -> None:
    less = Solved(solved(True, True).readings, {"0": [True]})
    assert set(solved(True, False).pooled([less]).right) == {"0"}


def test_differences_pair_the_means_by_question() -> None:
    better = solved(True, True, True, False).pooled([solved(True, True, False, False)])
    worse = solved(True, False, False, False).pooled([solved(False, False, False, False)])
    gap = difference(better, worse)
    assert gap.value == pytest.approx((0.5 + 1.0 + 0.5 + 0.0) / 4) and gap.n == 4

"""Arms of several students: documents and students are both the unit."""

from __future__ import annotations

import pytest

from synthgain.evaluate import Question, Solved, averaged_values, crossed, crossed_difference, units_of, values_of
from synthgain.intervals import mean_of_clusters, mean_two_way, wilson

ASKED = [Question(str(i), "?", options=("a", "b"), gold=0, document=f"d{i % 3}") for i in range(6)]


def student(right: str, shift: float = 0.0) -> Solved:
    return Solved(
        (), {q.id: [mark == "1"] for q, mark in zip(ASKED, right)}, {}, {q.id: int(q.id) + shift for q in ASKED}
    )


A = [student("111100", 1.0), student("110110", 2.0)]
B = [student("100000"), student("010100")]


def test_a_difference_is_paired_by_question_and_by_seed() -> None:
    units = units_of(ASKED)
    found = crossed_difference("accuracy", values_of(A, "accuracy"), values_of(B, "accuracy"), units)
    gaps = [[0, 1], [1, 0], [1, 0], [1, 0], [0, 1], [0, 0]]
    mean, low, high = mean_two_way(gaps, [q.document for q in ASKED])
    assert (found.value, found.low, found.high) == pytest.approx((mean, max(-1, low or 0), min(1, high or 0)))
    assert found.name == "accuracy difference" and found.n == 6 and "3 documents and 2 students" in found.note
    nats = crossed_difference("answer_margin", values_of(A, "answer_margin"), values_of(B, "answer_margin"), units)
    assert nats.value == 1.5 and nats.unit == "nats"


def test_an_arm_of_one_student_stands_against_each() -> None:
    found = crossed_difference("accuracy", values_of(A, "accuracy"), values_of(B[:1], "accuracy"), units_of(ASKED))
    assert found.value == pytest.approx((3 + 3) / 12)
    one = crossed("accuracy", values_of(A[:1], "accuracy"), units_of(ASKED))
    expected = mean_of_clusters([1, 1, 1, 1, 0, 0], [q.document for q in ASKED])
    assert (one.value, one.low) == pytest.approx((expected[0], max(0.0, expected[1] or 0.0)))
    assert "other trainings are not in it" in one.note
    with pytest.raises(ValueError):
        crossed_difference("accuracy", values_of(A, "accuracy"), {"0": [1.0] * 3}, units_of(ASKED))


def test_rates_are_averaged_within_question_and_student() -> None:
    both = averaged_values([values_of(A, "accuracy"), values_of(B, "accuracy")])
    assert both["1"] == [0.5, 1.0] and both["3"] == [0.5, 1.0]


def test_questions_are_the_unit_where_they_name_no_two_documents() -> None:
    assert set(units_of([Question("1", "?"), Question("2", "?", document="one")]).values()) == {
        "question 1",
        "question 2",
    }


def test_all_alike_has_a_wilson_bound_and_nothing_shared_has_no_figure() -> None:
    same = crossed_difference("accuracy", values_of(A, "accuracy"), values_of(A, "accuracy"), units_of(ASKED))
    assert (same.value, same.high) == (0.0, pytest.approx(wilson(0, 3)[1])) and "Wilson" in same.note
    assert crossed_difference("accuracy", {"0": [1.0]}, {"1": [1.0]}, units_of(ASKED)).value is None

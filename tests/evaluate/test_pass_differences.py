"""The paired difference of pass@k, against a slow reference, planted chances, and what pairing is for."""

from __future__ import annotations

import math
import random
import statistics
from itertools import combinations

import pytest

from synthgain.evaluate import Solved, differences, pass_differences, passed
from synthgain.intervals import t_quantile


def slow(draws: list[bool], k: int) -> float:
    """The share of all choices of k draws that hold a right one."""
    chosen = list(combinations(draws, k))
    return sum(map(any, chosen)) / len(chosen)


def test_it_is_the_mean_of_the_questions_differences_with_students_interval() -> None:
    dice = random.Random(3)
    a, b = ({str(i): [dice.random() < p for _ in range(6)] for i in range(30)} for p in (0.5, 0.3))
    found = {r.name: r for r in pass_differences(Solved((), a), Solved((), b))}
    assert list(found) == [f"pass_at_{k} difference" for k in (2, 4, 6)]
    for k in (2, 4, 6):
        gaps = [slow(a[q], k) - slow(b[q], k) for q in a]
        mean, error = statistics.mean(gaps), statistics.stdev(gaps) / math.sqrt(30)
        half = t_quantile(0.95, 29) * error
        r = found[f"pass_at_{k} difference"]
        assert (r.value, r.low, r.high) == pytest.approx((mean, max(-1, mean - half), min(1, mean + half)))
        assert r.n == 30


def test_it_holds_the_difference_of_planted_chances_as_often_as_it_says() -> None:
    """200 pairs of students whose chances are known: the interval holds the truth of questions like these in about 95 %."""
    dice, held, k = random.Random(11), 0, 4
    for _ in range(200):
        chances = [dice.betavariate(0.6, 1.2) for _ in range(60)]
        a = {str(i): [dice.random() < min(1.0, p + 0.1) for _ in range(8)] for i, p in enumerate(chances)}
        b = {str(i): [dice.random() < p for _ in range(8)] for i, p in enumerate(chances)}
        truth = math.fsum((1 - p) ** k - (1 - min(1.0, p + 0.1)) ** k for p in chances) / 60
        r = next(r for r in pass_differences(Solved((), a), Solved((), b)) if r.name == "pass_at_4 difference")
        assert r.low is not None and r.high is not None
        held += r.low <= truth <= r.high
    assert 182 <= held <= 200  # three standard errors below 190


def test_pairing_sees_what_two_intervals_do_not() -> None:
    right = {str(i): [i % 2 == 0] * 4 for i in range(40)}
    more = right | {str(i): [False, True, False, False] for i in (1, 3, 5, 7, 9, 11)}
    apart = [passed(one, 4) for one in (more, right)]
    assert apart[0].low is not None and apart[1].high is not None and apart[0].low < apart[1].high
    gain = next(r for r in pass_differences(Solved((), more), Solved((), right)) if r.name == "pass_at_4 difference")
    assert gain.value == pytest.approx(6 / 40) and gain.low is not None and gain.low > 0


def test_a_sharpened_student_gains_accuracy_and_no_pass_at_k() -> None:
    base = {str(i): [True, False, False, False] if i < 20 else [False] * 4 for i in range(40)}
    sharp = {q: [any(draws)] * 4 for q, draws in base.items()}
    found = {r.name: r for r in differences(Solved((), sharp), Solved((), base))}
    assert list(found) == ["accuracy difference", "pass_at_2 difference", "pass_at_4 difference"]
    assert found["accuracy difference"].low is not None and found["accuracy difference"].low > 0
    end = found["pass_at_4 difference"]
    assert end.value == 0 and end.low is not None and end.high is not None and end.low < 0 < end.high


def test_of_several_students_it_is_the_difference_of_their_means_and_not_of_their_draws_together() -> None:
    one = Solved((), {"a": [True, False], "b": [False, False]})
    other = Solved((), {"a": [False, False], "b": [True, False]})
    none = Solved((), {"a": [False, False], "b": [False, False]})
    both = one.together([other])
    (found,) = pass_differences(both, none)
    assert (
        found.value == 0.5 and found.n == 2
    )  # together each question has one right of four draws, any two hold it in half
    (again,) = pass_differences(both.together([none]), none)
    assert again.value == pytest.approx(1 / 3)


def test_of_one_draw_and_of_different_draws() -> None:
    single = Solved((), {"a": [True], "b": [False]})
    four = Solved((), {"a": [True, False, False, False], "b": [False] * 4, "c": [True] * 4})
    two = Solved((), {"a": [False, True], "b": [False, False]})
    assert pass_differences(single, four) == ()
    (found,) = pass_differences(four, two)
    assert (found.name, found.n) == ("pass_at_2 difference", 2) and "2 of 3 and 2 questions are shared" in found.note
    assert found.value == pytest.approx((0.5 - 1.0) / 2)

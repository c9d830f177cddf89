"""pass@k against every choice of k draws, and against the share that was planted."""

import math
import random
from itertools import combinations

import pytest

from synthgain.evaluate import Solved, ks_of, passed
from synthgain.intervals import wilson
from synthgain.types import Reading


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_it_is_the_mean_over_all_choices_of_k(k: int) -> None:
    draws = [True, False, False, True, False]
    slow = sum(any(c) for c in combinations(draws, k)) / math.comb(5, k)
    assert passed({"q": draws}, k).value == pytest.approx(slow)


def test_it_is_unbiased_where_the_chance_of_each_question_is_known() -> None:
    dice = random.Random(7)
    chances = [dice.betavariate(0.4, 1.2) for _ in range(4_000)]
    right = {str(i): [dice.random() < p for _ in range(8)] for i, p in enumerate(chances)}
    for k in (1, 4, 8):
        found = passed(right, k)
        assert found.low is not None and found.high is not None
        assert found.low < math.fsum(1 - (1 - p) ** k for p in chances) / len(chances) < found.high


def test_the_questions_are_the_unit_of_the_interval() -> None:
    right = {str(i): [i % 4 == 0] * 8 for i in range(40)}  # eight draws that are all alike say no more than one
    for k in (1, 8):
        found = passed(right, k)
        low, high = wilson(10, 40)
        assert found.n == 40 and found.value == 0.25 and found.low is not None and found.high is not None
        assert found.low <= low + 0.01 and found.high >= high - 0.01


def test_a_question_with_too_few_answers_is_left_out_and_said() -> None:
    found = passed({"a": [True, True], "b": [False]}, 2)
    assert (found.value, found.n) == (1.0, 1) and "1 questions have fewer than 2 answers" in found.note
    assert passed({"b": [False]}, 2).value is None


def test_the_k_that_draws_allow() -> None:
    assert [ks_of(n) for n in (1, 2, 4, 6, 8)] == [(), (1, 2), (1, 2, 4), (1, 2, 4, 6), (1, 2, 4, 8)]


def test_of_several_students_it_is_the_mean_and_not_that_of_their_draws_together() -> None:
    def of(right: dict[str, list[bool]]) -> Solved:
        return Solved((Reading("accuracy", 0.5, n=2), passed(right, 2)), right)

    one, other = of({"a": [True, False], "b": [False, False]}), of({"a": [False, False], "b": [True, False]})
    found = one.pooled([other]).reading("pass_at_2")
    assert found.value == 0.5 and found.n == 2 and "mean of 2 students" in found.note

"""The margin of the right option over the wrong ones: values worked by hand, and intervals against an independent way."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence

import pytest

from synthgain.evaluate import Question, Solved, choose, difference, differences, margin_difference
from synthgain.intervals import mean_of_clusters, mean_t
from synthgain.types import Message


class Costs:
    """A scorer with one token a word, which costs what the table says."""

    identity = "costs"

    def __init__(self, **costs: float) -> None:
        self.costs = costs

    def logprobs(self, pairs: Sequence[tuple[str | Sequence[Message], str]]) -> list[list[float]]:
        return [[-self.costs.get(word, 3.0) for word in text.split()] for _, text in pairs]


ASKED = [
    Question("1", "Which river?", options=("Tol", "broad Tolmarrish", "Vonn"), gold=1, document="town", facts=1),
    Question("2", "Who?", options=("Ann", "Bob"), gold=0, document="town", facts=2),
    Question("3", "When?", options=("1417", "1562"), gold=1, document="mill", facts=1),
]


def test_the_margin_is_summed_over_the_option_and_set_against_the_mean_of_the_others() -> None:
    """1: −(1 + 2) + (3 + 3)/2 = 0; 2: −1 + 3 = 2; 3: −5 + 3 = −2."""
    solved = choose(Costs(broad=1.0, Tolmarrish=2.0, Ann=1.0, **{"1562": 5.0}), ASKED)
    assert solved.margins == pytest.approx({"1": 0.0, "2": 2.0, "3": -2.0})
    mean = solved.reading("answer_margin")
    assert (mean.value, mean.unit, mean.n) == (pytest.approx(0.0), "nats", 3)
    # two documents: sums of deviations 2 and −2, so SE² = 2/1 · 8/9, t(1) = 12.706
    assert mean.high == pytest.approx(12.7062 * math.sqrt(16) / 3, rel=1e-5)
    assert solved.reading("answer_margin/facts=1").value == pytest.approx(-1.0)
    assert solved.reading("answer_margin/facts=2").low is None  # one document


def test_two_students_are_compared_question_by_question() -> None:
    """What every option costs whoever reads it falls out, and with it the spread between questions."""
    plain, wiser = Costs(Tolmarrish=9.0), Costs(Tolmarrish=8.0, Ann=2.0, **{"1562": 2.0})
    a, b = choose(wiser, ASKED), choose(plain, ASKED)
    gap = margin_difference(a, b)
    assert (gap.value, gap.low, gap.high) == (pytest.approx(1.0), pytest.approx(1.0), pytest.approx(1.0))
    back = margin_difference(b, a)
    assert back.value == pytest.approx(-1.0)
    assert [r.name for r in differences(a, b)] == ["accuracy difference", "answer_margin difference"]
    answered = Solved((), {"1": [True]})
    assert differences(answered, answered) == (difference(answered, answered),)
    assert margin_difference(a, answered).value is None


def test_what_training_makes_of_an_option_falls_out_where_questions_share_their_options() -> None:
    """Four questions with the same four options: a student that comes to like one of them gains and loses as much, for certain."""
    four = ("Ann", "Bob", "Cid", "Dee")
    asked = [Question(str(i), "Who?", options=four, gold=i, document=f"d{i}") for i in range(4)]
    asked += [Question(str(4 + i), "What?", options=("tin", "bronze"), gold=i, document=f"d{i}") for i in range(2)]
    plain, fond = choose(Costs(), asked), choose(Costs(Bob=1.0, tin=2.0), asked)
    gap = margin_difference(fond, plain)
    assert (gap.value, gap.low, gap.high) == pytest.approx((0.0, 0.0, 0.0))
    assert "2 sets of options" in gap.estimator and gap.note.startswith("over 4 documents")


def test_without_clusters_the_interval_is_student_s() -> None:
    dice = random.Random(3)
    values = [dice.gauss(1, 2) for _ in range(9)]
    assert mean_of_clusters(values, [str(i) for i in range(9)]) == pytest.approx(mean_t(values))
    assert mean_of_clusters(values, ["one"] * 9) == (pytest.approx(statistics.fmean(values)), None, None)


def test_intervals_over_documents_hold_what_they_promise() -> None:
    """Questions of a document that share luck: over clusters the interval covers 0 at its level, over questions it does not."""
    dice = random.Random(11)
    held = naive = 0
    for _ in range(400):
        values, clusters = [], []
        for document in "abcdefgh":
            luck = dice.gauss(0, 1)
            values += [luck + dice.gauss(0, 1) for _ in range(16)]
            clusters += [document] * 16
        _, low, high = mean_of_clusters(values, clusters)
        _, least, most = mean_t(values)
        held += low is not None and high is not None and low <= 0 <= high
        naive += least is not None and most is not None and least <= 0 <= most
    assert 0.92 <= held / 400 <= 0.98 and naive / 400 < 0.6

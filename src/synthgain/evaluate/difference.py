"""A beats B by x: the paired difference of two evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from synthgain.evaluate.margin import margin_difference
from synthgain.evaluate.pass_at_k import chances, ks_of
from synthgain.evaluate.questions import Solved
from synthgain.intervals import mean_t, wilson
from synthgain.types import Reading

ALIKE = "all questions are alike: a Wilson bound stands for the t interval"


def differences(a: Solved, b: Solved) -> tuple[Reading, ...]:
    """Everything in which `a` and `b` are compared question by question: what is right, pass@k, and the margins of multiple choice."""
    margins = (margin_difference(a, b),) if a.margins and b.margins else ()
    return (difference(a, b), *pass_differences(a, b), *margins)


def difference(a: Solved, b: Solved, *, level: float = 0.95, name: str = "accuracy difference") -> Reading:
    """How much more `a` has right than `b`, paired over the questions that both answered.

    Student's t on the questions' differences, cut to [−1, 1]. Where all differences are equal t has nothing to
    say: then the interval reaches as far as questions not seen could differ, with the upper Wilson bound on
    their share.
    """
    return _paired(name, _shares(a), _shares(b), level)


def pass_differences(a: Solved, b: Solved, *, level: float = 0.95) -> tuple[Reading, ...]:
    """`pass_at_k difference` for each k above 1 that both have draws for: how much likelier one of k answers of `a` is right than one of k of `b`.

    Paired as accuracy is: a question's value is the unbiased chance of `pass_at_k`, so the questions that neither or both solve whatever is
    drawn add nothing to the interval. Of several students it is the mean over them. (k = 1 is accuracy.)
    """
    draws = min(max(map(len, right.values()), default=0) for one in (a, b) for right in one.students)
    return tuple(
        _paired(f"pass_at_{k} difference", chances(a.students, k), chances(b.students, k), level)
        for k in ks_of(draws)
        if k > 1
    )


def bounded_mean(values: Sequence[float], least: float, most: float, level: float = 0.95) -> tuple[float, float, float]:
    """(mean, low, high) of values that lie between `least` and `most`: Student's t, cut to that range.

    Where all values are equal t has nothing to say (`ALIKE`): then the interval reaches as far as values not seen could lie, with the upper Wilson
    bound on their share.
    """
    mean, low, high = mean_t(values, level)
    if low is None or high is None or max(values) == min(values):
        unseen = wilson(0, len(values), level)[1]
        low, high = mean - (mean - least) * unseen, mean + (most - mean) * unseen
    return mean, max(least, low), min(most, high)


def _paired(name: str, a: Mapping[str, float], b: Mapping[str, float], level: float) -> Reading:
    """The mean of a - b over the questions of both; values lie in 0 to 1."""
    shared = [q for q in a if q in b]
    estimator = "mean of paired differences, t interval over questions"
    if not shared:
        return Reading(name, None, level=level, estimator=estimator, note="no question was answered by both")
    gaps = [a[q] - b[q] for q in shared]
    note = f"{len(shared)} of {len(a)} and {len(b)} questions are shared" if len(shared) != max(len(a), len(b)) else ""
    mean, low, high = bounded_mean(gaps, -1.0, 1.0, level)
    note = "; ".join(filter(None, (note, ALIKE if max(gaps) == min(gaps) else "")))
    return Reading(name, mean, low, high, level, "", len(shared), estimator, "estimate", note)


def _shares(one: Solved) -> dict[str, float]:
    """By question: the share of its draws that are right."""
    return {q: sum(right) / len(right) for q, right in one.right.items()}

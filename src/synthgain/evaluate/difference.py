"""A beats B by x: the paired difference of two evaluations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from synthgain.evaluate.margin import margin_difference
from synthgain.evaluate.questions import Solved
from synthgain.intervals import mean_t, wilson
from synthgain.types import Reading


def differences(a: Solved, b: Solved) -> tuple[Reading, ...]:
    """Everything in which `a` and `b` are compared question by question: what is right, and the margins of multiple choice."""
    return (difference(a, b), margin_difference(a, b)) if a.margins and b.margins else (difference(a, b),)


def difference(a: Solved, b: Solved, *, level: float = 0.95, name: str = "accuracy difference") -> Reading:
    """How much more `a` has right than `b`, paired over the questions that both answered.

    Student's t on the questions' differences, cut to [−1, 1]. Where all differences are equal t has nothing to
    say: then the interval reaches as far as questions not seen could differ, with the upper Wilson bound on
    their share.
    """
    shared = [q for q in a.right if q in b.right]
    estimator = "mean of paired differences, t interval over questions"
    if not shared:
        return Reading(name, None, level=level, estimator=estimator, note="no question was answered by both")
    gaps = [_share(a.right[q]) - _share(b.right[q]) for q in shared]
    note = (
        f"{len(shared)} of {len(a.right)} and {len(b.right)} questions are shared"
        if len(shared) != max(len(a.right), len(b.right))
        else ""
    )
    mean, low, high = mean_t(gaps, level)
    if max(gaps) == min(gaps):
        unseen = wilson(0, len(gaps), level)[1]
        low, high = mean - (1 + mean) * unseen, mean + (1 - mean) * unseen
        note = "; ".join(
            part for part in (note, "all questions differ alike: a Wilson bound stands for the t interval") if part
        )
    cut: Callable[[float], float] = lambda x: max(-1.0, min(1.0, x))  # noqa: E731
    return Reading(name, mean, cut(low or 0.0), cut(high or 0.0), level, "", len(shared), estimator, "estimate", note)


def _share(right: Sequence[bool]) -> float:
    return sum(right) / len(right)

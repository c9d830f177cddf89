"""Answers of several draws of one question, put together: which one most of them give, and by how much."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from synthgain.curate.answers import same_answer

KINDS = 100  # different answers that another is compared with


@dataclass(frozen=True)
class Vote:
    """What a vote came to: `of` says which answer each draw gave (its number, None where it gave none), numbers in order of appearance.

    `winner` is the number of the answer with the most weight, None where nobody answered; `tied`: another has as much. `share` is the
    winner's part of all weight, `margin` that part less the runner-up's. Draws without an answer count in the whole.
    """

    of: tuple[int | None, ...]
    winner: int | None
    share: float
    margin: float
    tied: bool


def vote(
    answers: Sequence[str | None],
    weights: Sequence[float] | None = None,
    alike: Callable[[str, str], bool] = same_answer,
) -> Vote:
    """The vote of `answers` (None: no answer), each with its weight (1 where none are given).

    Two answers are one where they are the same text, or `alike(answer, first of its kind)` says so, tried against the first 100 kinds in order of
    appearance. Of tied answers the
    winner is the one that came first. ValueError: a weight below 0, or not as many weights as answers.
    """
    weights = [1.0] * len(answers) if weights is None else list(weights)
    if len(weights) != len(answers) or any(weight < 0 for weight in weights):
        raise ValueError("a vote needs one weight of 0 or more for each answer")
    kinds: list[str] = []
    of: list[int | None] = []
    known: dict[str, int] = {}
    for answer in answers:
        if answer is None:
            of.append(None)
            continue
        if answer not in known:
            place = next((place for place, first in enumerate(kinds[:KINDS]) if alike(answer, first)), len(kinds))
            kinds += [answer] if place == len(kinds) else []
            known[answer] = place
        of.append(known[answer])
    held = [0.0] * len(kinds)
    for kind, weight in zip(of, weights):
        if kind is not None:
            held[kind] += weight
    total = sum(weights)
    if not kinds or not total:
        return Vote(tuple(of), None, 0.0, 0.0, False)
    ranked = sorted(range(len(kinds)), key=lambda kind: -held[kind])
    second = held[ranked[1]] if len(ranked) > 1 else 0.0
    first = held[ranked[0]]
    tied = len(ranked) > 1 and first - second <= 1e-9 * total
    return Vote(tuple(of), ranked[0], first / total, (first - second) / total, tied)

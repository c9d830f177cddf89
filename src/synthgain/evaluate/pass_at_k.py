"""pass@k: is one of k sampled answers right? From n ≥ k draws of each question, without drawing k anew.

1 − C(n − c, k)/C(n, k) for n draws with c right is the mean over all choices of k of them, and unbiased (Chen et al., arXiv 2107.03374,
eq. 1). pass@1 is the accuracy. A student whose pass@1 rises while its pass@k stays has been sharpened: it gives oftener what its base
could already give.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from synthgain.intervals import clustered
from synthgain.types import Reading

Right = Mapping[str, Sequence[bool]]  # question → which of its draws were right


def ks_of(draws: int) -> tuple[int, ...]:
    """The k that so many draws are read at: 1, 2, 4, … and all of them; of one draw none, for accuracy is all there is."""
    if draws < 2:
        return ()
    return (*(2**power for power in range(draws.bit_length()) if 2**power < draws), draws)


def passed(right: Right, k: int, note: str = "") -> Reading:
    """`pass_at_k`, the mean over questions that have k draws or more; questions are the unit of its interval."""
    return passed_by_all((right,), k, note)


def passed_by_all(students: Sequence[Right], k: int, note: str = "") -> Reading:
    """`pass_at_k` as the mean over students who were asked the same questions, each with its own draws; an interval over questions."""
    found = chances(students, k)
    shared = sum(all(q in one for one in students) for q in students[0])
    if len(found) < shared:
        few = f"{shared - len(found)} questions have fewer than {k} answers"
        note = "; ".join(part for part in (note, few) if part)
    draws = max((sum(len(one[q]) // k for one in students) for q in found), default=1)
    return share(f"pass_at_{k}", list(found.values()), draws, note)


def chances(students: Sequence[Right], k: int) -> dict[str, float]:
    """By question that each student gave `k` answers to or more: the chance that one of k is right, as the mean over students."""
    enough = [q for q in students[0] if all(len(one.get(q, ())) >= k for one in students)]
    return {q: math.fsum(_any_of(one[q], k) for one in students) / len(students) for q in enough}


def _any_of(draws: Sequence[bool], k: int) -> float:
    """The share of all choices of k draws that hold a right one."""
    n, c = len(draws), sum(draws)
    return 1 - math.comb(n - c, k) / math.comb(n, k)


def share(name: str, shares: Sequence[float], draws: int, note: str) -> Reading:
    """The mean of shares, one a question, each of so many yes-or-no draws."""
    estimator = "mean over questions, Wilson interval" + (
        " at the effective size of clustered draws" if draws > 1 else ""
    )
    if not shares:
        return Reading(name, None, estimator=estimator, note=note or "no question was answered")
    mean, low, high = clustered(shares, draws)
    return Reading(name, mean, low, high, n=len(shares), estimator=estimator, note=note)

"""Intervals for ratios Σ numerator / Σ denominator over independent units (documents, prompts).

`ratio_interval` is the bias-corrected and accelerated bootstrap (Efron, J. Am. Stat. Assoc. 82, 1987): units are resampled, so what
is paired inside a unit stays paired. `share_interval` is the score interval at the effective size that clusters leave.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthgain.intervals import share_of_clusters, t_quantile
from synthgain.types import Reading, ReadingClass

Floats = NDArray[np.float64]
RESAMPLES = 2_000
MOST_UNITS = 4_096  # resampled one by one; more are first summed in as many groups drawn at random
HELD = 1 << 21  # draws held at once
_NORMAL = NormalDist()


class Ratio(NamedTuple):
    """A ratio with its interval (None where fewer than two units say anything) and how the interval was made."""

    value: float
    low: float | None
    high: float | None
    method: str


def ratio_interval(
    numerator: ArrayLike, denominator: ArrayLike, *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Ratio:
    """Σ numerator / Σ denominator, one entry a unit. Units whose denominator is 0 say nothing and are left out.

    BCa, with the acceleration of the jackknife; percentiles where BCa is not defined (every resample on one side of the
    estimate, or no spread). More than `MOST_UNITS` units are summed in groups: groups of independent units are independent
    units of the same ratio, so the interval stays right and memory and time stay flat.
    """
    top, below = np.asarray(numerator, float), np.asarray(denominator, float)
    top, below = top[below > 0], below[below > 0]
    if not len(below):
        raise ValueError("no unit has a denominator above 0")
    value = float(top.sum() / below.sum())
    if len(below) < 2:
        return Ratio(value, None, None, "no interval from one unit")
    rng = np.random.default_rng(seed)
    if len(below) > MOST_UNITS:
        group = rng.permutation(len(below)) % MOST_UNITS
        top, below = (np.asarray(np.bincount(group, weights=v), float) for v in (top, below))
    drawn = np.sort(_resampled(top, below, resamples, rng))
    edges = _bca_levels(value, drawn, top, below, level)
    if edges is None:
        low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
        return Ratio(value, float(low), float(high), f"percentile bootstrap, {resamples:,} resamples")
    low, high = np.quantile(drawn, edges)
    return Ratio(value, float(low), float(high), f"BCa bootstrap, {resamples:,} resamples")


def _resampled(top: Floats, below: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """The ratio of each resample."""
    n, found = len(top), []
    step = max(1, HELD // n)
    for start in range(0, resamples, step):
        picks = rng.integers(0, n, (min(step, resamples - start), n))
        found.append(top[picks].sum(axis=1) / below[picks].sum(axis=1))
    return np.concatenate(found)


def _bca_levels(value: float, drawn: Floats, top: Floats, below: Floats, level: float) -> tuple[float, float] | None:
    """The quantile levels of the BCa interval, None where it is not defined."""
    less = float((drawn < value).mean() + (drawn == value).mean() / 2)
    if drawn[0] == drawn[-1] or not 0 < less < 1:
        return None
    left_out = (top.sum() - top) / (below.sum() - below)
    pull = left_out.mean() - left_out
    spread = float((pull**2).sum())
    if spread <= 0:
        return None
    acceleration = float((pull**3).sum()) / (6 * spread**1.5)
    bias = _NORMAL.inv_cdf(less)
    edges = []
    for z in (_NORMAL.inv_cdf((1 - level) / 2), _NORMAL.inv_cdf((1 + level) / 2)):
        stretch = 1 - acceleration * (bias + z)
        if stretch <= 0:
            return None
        edges.append(_NORMAL.cdf(bias + (bias + z) / stretch))
    return edges[0], edges[1]


def share_interval(part: ArrayLike, whole: ArrayLike, *, level: float = 0.95) -> Ratio:
    """Σ part / Σ whole as a share, one entry a unit, 0 ≤ part ≤ whole: the score interval at the effective size.

    The effective size is p(1 − p) over the variance of the ratio between units (Korn and Graubard, Survey Methodology 24, 1998), never
    more than Σ whole; where the share is 0 or 1 it is the number of units.
    """
    k, n = np.asarray(part, float), np.asarray(whole, float)
    k, n = k[n > 0], n[n > 0]
    units = len(n)
    if not units:
        raise ValueError("no unit has a whole above 0")
    p, low, high = share_of_clusters(k.tolist(), n.tolist(), level)
    if units < 2:
        return Ratio(p, None, None, "no interval from one unit")
    method = "Wilson over units" if p in (0.0, 1.0) else "Wilson at the effective size of units"
    return Ratio(p, low, high, method)


def share_reading(
    name: str, part: ArrayLike, whole: ArrayLike, *, estimator: str, note: str, kind: ReadingClass = "estimate"
) -> Reading:
    """`share_interval` as a reading (a probability); `n` are the units that count. What the interval is stands behind the `estimator`."""
    ratio = share_interval(part, whole)
    n = int((np.asarray(whole) > 0).sum())
    told = f"{estimator}; {ratio.method}"
    return Reading(name, ratio.value, ratio.low, ratio.high, unit="prob", n=n, kind=kind, estimator=told, note=note)


def summed(units: NDArray[np.int64], *values: ArrayLike) -> list[Floats]:
    """Sums of each list of values inside each unit."""
    _, place = np.unique(units, return_inverse=True)
    return [np.asarray(np.bincount(place, weights=np.asarray(v, float)), float) for v in values]


def mean_of_blocks(values: ArrayLike, *, level: float = 0.95) -> Ratio:
    """The mean of a figure over independent blocks, with Student's interval."""
    found = np.asarray(values, float)
    mean = float(found.mean())
    if len(found) < 2:
        return Ratio(mean, None, None, "no interval from one block")
    half = t_quantile(level, len(found) - 1) * float(found.std(ddof=1)) / math.sqrt(len(found))
    return Ratio(mean, mean - half, mean + half, f"t interval over {len(found)} disjoint blocks of units")

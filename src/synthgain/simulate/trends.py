"""From worlds to statements: medians with intervals, and whether a trend goes the way that was claimed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthgain.simulate.mixtures import Array, Rng


@dataclass(frozen=True)
class Middle:
    """A median with a distribution-free interval; the limits are None where there are too few worlds for one."""

    median: float
    low: float | None
    high: float | None


def middle(values: Array, level: float = 0.95) -> Middle:
    """The sample median between two order statistics that hold the true one with at least `level` (binomial, exact)."""
    ordered = np.sort(values)
    n = len(ordered)
    # P(fewer than j of n fall below the median) under Binomial(n, 1/2), from the middle outwards
    logs = np.cumsum(np.concatenate([[0.0], np.log(np.arange(n, 0, -1)) - np.log(np.arange(1, n + 1))]))
    tail = np.cumsum(np.exp(logs - n * np.log(2.0)))
    cut = int(np.searchsorted(tail, (1 - level) / 2, side="right"))  # the largest j with P(B < j) ≤ (1 − level)/2
    median = float(np.median(ordered))
    return Middle(median, float(ordered[cut - 1]), float(ordered[n - cut])) if cut else Middle(median, None, None)


@dataclass(frozen=True)
class Trend:
    """Spearman's rank correlation of a figure with what was varied, over all worlds, with a bootstrap interval."""

    slope: float | None
    low: float | None
    high: float | None

    def holds(self, claimed: str) -> bool | None:
        """True where the whole interval lies on the claimed side ("up", "down") of 0, False where on the other."""
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return None
        return (self.low > 0) == (claimed == "up")


def trend(groups: list[tuple[float, Array]], rng: Rng, level: float = 0.95, resamples: int = 500) -> Trend:
    """The trend over (x, values of its worlds); the bootstrap redraws worlds within each x."""
    if len(groups) < 2 or min(len(values) for _, values in groups) < 2:
        return Trend(None, None, None)
    x = np.concatenate([np.full(len(values), at, dtype=np.float64) for at, values in groups])
    y = np.concatenate([values for _, values in groups])
    order = np.argsort(y, kind="stable")
    sizes = [len(values) for _, values in groups]
    counts = np.concatenate([rng.multinomial(n, np.full(n, 1 / n), size=resamples) for n in sizes], axis=1)
    copies = np.concatenate([np.ones((1, len(y))), counts])[:, order]
    slopes = weighted_ranks(mid_ranks(x)[order], copies)
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(slopes[1:], [tail, 100 - tail])
    return Trend(float(slopes[0]), float(low), float(high))


def mid_ranks(values: Array) -> Array:
    """Ranks, ties sharing their mean."""
    _, back, count = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(count) - (count - 1) / 2.0)[back])


def weighted_ranks(across: Array, copies: Array) -> Array:
    """Spearman's rho, one a row of `copies`, of points already in order of y; copies of a point tie in y.

    Every row has the same number of copies, and the same number at each x, so the ranks of x do not change.
    """
    total = float(copies[0].sum())
    up = np.cumsum(copies, axis=1) - copies / 2.0  # mid-ranks of y, but for a constant
    weighted = copies * up
    x = across - copies[0] @ across / total
    xx = float(copies[0] @ (x * x))
    yy = np.einsum("bi,bi->b", weighted, up) - total**3 / 4
    return np.asarray((weighted @ x) / np.sqrt(np.maximum(xx * yy, 1e-300)))

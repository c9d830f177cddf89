"""Intervals for shares and means, with the question or the document as the unit.

Sources: the score interval of Wilson (JASA 22, 1927); for several draws a question, the same interval at
the effective sample size that clustering leaves (Korn and Graubard, Survey Methodology 24, 1998); Student's
t for means and paired differences, whose distribution function has a finite closed form for whole degrees
of freedom (Abramowitz and Stegun, 26.7.3 and 26.7.4).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

Interval = tuple[float, float]


def z_quantile(level: float) -> float:
    """The two-sided normal quantile of a level such as 0.95."""
    return NormalDist().inv_cdf(0.5 + level / 2)


def t_quantile(level: float, df: int) -> float:
    """The two-sided quantile of Student's t: P(|T| < it) = level. `df` is a whole number, at least 1."""
    if df < 1:
        raise ValueError(f"{df} degrees of freedom")
    if df > 400:  # the first two terms of Fisher's expansion in 1/df, right to 1e-7 here
        z = z_quantile(level)
        return z + (z**3 + z) / (4 * df) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * df**2)
    low, high = 0.0, 1.0
    while _within(high, df) < level:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, df) < level else (low, middle)
    return (low + high) / 2


def _within(t: float, df: int) -> float:
    """P(|T| < t): a finite series in the cosine of atan(t/√df)."""
    angle = math.atan(t / math.sqrt(df))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = df % 2
    term = total = (cosine if df > 1 else 0.0) if odd else 1.0
    for k in range(3 if odd else 2, df - 1, 2):
        term *= cosine**2 * (k - 1) / k
        total += term
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


def wilson(right: float, n: float, level: float = 0.95, *, quantile: float | None = None) -> Interval:
    """The score interval of a share `right / n`; `n` may be an effective size, `quantile` may replace the normal one."""
    if n <= 0:
        return 0.0, 1.0
    z = z_quantile(level) if quantile is None else quantile
    p = right / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(max(p * (1 - p) / n + z * z / (4 * n * n), 0.0))
    return (0.0 if right <= 0 else max(0.0, centre - half)), (1.0 if right >= n else min(1.0, centre + half))


def clustered(shares: Sequence[float], draws: int = 1, level: float = 0.95) -> tuple[float, float, float]:
    """(mean, low, high) of shares in [0, 1], one a question, each the mean of `draws` yes-or-no draws.

    The Wilson interval at the effective size (`effective_size`), with Student's quantile on questions − 1; for one draw a question it is
    the plain Wilson interval. Where every share is 0, or every one is 1, the questions are the size: their draws may have been alike.
    """
    n = len(shares)
    if n == 0:
        raise ValueError("no shares")
    return share_of_clusters([x * draws for x in shares], [draws] * n, level)


def share_of_clusters(part: Sequence[float], whole: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """(share, low, high) of Σ part / Σ whole, one entry a cluster, 0 ≤ part ≤ whole: the one score interval of clustered draws.

    Clusters without draws are not counted. Of one cluster it is the interval of one draw, which says next to nothing.
    """
    share = math.fsum(part) / math.fsum(whole)
    return share, *of_clusters(share, effective_size(part, whole), sum(n > 0 for n in whole), level)


def effective_size(part: Sequence[float], whole: Sequence[float]) -> float:
    """How many independent yes-or-no draws say as much about the share Σ part / Σ whole as these clusters, of unequal sizes, do.

    p(1 − p) over the variance of the ratio between clusters (Cochran, Sampling Techniques, 1977, eq. 6.9; Korn and Graubard 1998), and no
    more than Σ whole. The number of clusters where it is the number of draws, where there is one, and where the share is 0 or 1.
    Clusters without draws are not counted.
    """
    total, clusters = math.fsum(whole), sum(n > 0 for n in whole)
    if not clusters:
        raise ValueError("no draws")
    p = math.fsum(part) / total
    if clusters in (1, total) or p in (0.0, 1.0):
        return clusters
    variance = math.fsum((k - p * n) ** 2 for k, n in zip(part, whole)) / total**2 * clusters / (clusters - 1)
    return min(total, p * (1 - p) / variance) if variance else total


def of_clusters(share: float, size: float, clusters: int, level: float = 0.95) -> Interval:
    """The score interval of a share at its effective size, with Student's quantile on clusters − 1 where clusters and size differ."""
    student = None if clusters == size or clusters < 2 else t_quantile(level, clusters - 1)
    return wilson(share * size, size, level, quantile=student)


def mean_t(values: Sequence[float], level: float = 0.95) -> tuple[float, float | None, float | None]:
    """(mean, low, high) by Student's t; no interval from fewer than two values."""
    n = len(values)
    mean = math.fsum(values) / n
    if n < 2:
        return mean, None, None
    error = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1) / n)
    half = t_quantile(level, n - 1) * error
    return mean, mean - half, mean + half


def mean_of_clusters(
    values: Sequence[float], clusters: Sequence[str], level: float = 0.95
) -> tuple[float, float | None, float | None]:
    """(mean, low, high) of values that go together within a cluster: `mean_t`, where each is a cluster of its own.

    The mean is over values. Its variance is that of the clusters' sums of deviations, G/(G − 1) · Σ_g (Σ_i v − v̄)² / n² (Liang and
    Zeger, Biometrika 73, 1986, for a mean), with Student's t on G − 1; no interval from one cluster.
    """
    n = len(values)
    mean = math.fsum(values) / n
    sums: dict[str, list[float]] = {}
    for value, cluster in zip(values, clusters, strict=True):
        sums.setdefault(cluster, []).append(value - mean)
    g = len(sums)
    if g < 2:
        return mean, None, None
    error = math.sqrt(g / (g - 1) * math.fsum(math.fsum(one) ** 2 for one in sums.values())) / n
    half = t_quantile(level, g - 1) * error
    return mean, mean - half, mean + half


def mean_two_way(
    values: Sequence[Sequence[float]], clusters: Sequence[str], level: float = 0.95
) -> tuple[float, float | None, float | None]:
    """(mean, low, high) of values[i][s], of question i by student s, where both questions' clusters and students are a sample of more.

    The variance of the mean is that between clusters plus that between students less what both share: V_c + V_s − V_cs, each from the sums of
    its own deviations with its factor G/(G − 1) (Cameron, Gelbach and Miller, J. Bus. Econ. Stat. 29, 2011; with one value in each cell it is
    the two-way random-effects analysis of variance), and no less than V_c and V_s. Student's t with Satterthwaite's degrees of freedom, rounded
    down. Of one student (or one cluster) the interval is over the other alone; None where there is one of each.
    """
    n, students = len(values), len(values[0])
    if any(len(one) != students for one in values):
        raise ValueError("every question needs a value of every student")
    rows = [math.fsum(one) / students for one in values]
    mean = math.fsum(rows) / n
    columns = [math.fsum(one[s] for one in values) / n for s in range(students)]
    place = {cluster: at for at, cluster in enumerate(dict.fromkeys(clusters))}
    own, shared = [0.0] * len(place), [[0.0] * students for _ in place]
    for one, row, cluster in zip(values, rows, clusters, strict=True):
        own[place[cluster]] += row - mean
        for s, value in enumerate(one):
            shared[place[cluster]][s] += value - row - columns[s] + mean
    g, k = len(place), students
    of_clusters = _variance([x / n for x in own])
    of_students = _variance([(c - mean) / k for c in columns])
    both = 0.0
    if g > 1 and k > 1:
        both = g / (g - 1) * k / (k - 1) * math.fsum((x / (n * k)) ** 2 for one in shared for x in one)
    if g < 2 and k < 2:
        return mean, None, None
    variance = max(of_clusters + of_students - both, of_clusters, of_students)
    if not variance:
        return mean, mean, mean
    spread = (of_clusters**2 / (g - 1) if g > 1 else 0.0) + (of_students**2 / (k - 1) if k > 1 else 0.0)
    spread += both**2 / ((g - 1) * (k - 1)) if both else 0.0
    half = t_quantile(level, max(1, int(variance**2 / spread))) * math.sqrt(variance)
    return mean, mean - half, mean + half


def _variance(deviations: Sequence[float]) -> float:
    """Of a sum of independent deviations: G/(G − 1) times the sum of their squares; 0 of one."""
    g = len(deviations)
    return g / (g - 1) * math.fsum(d * d for d in deviations) if g > 1 else 0.0

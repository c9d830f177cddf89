"""How well a verdict agrees with labels: a confusion table of a check, Cohen's kappa of two judges, and what a judge gives to a place.

Items that go together (answers to one question) are clusters: intervals are of clusters, never of items.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from synthgain.intervals import mean_of_clusters, mean_t
from synthgain.measure.resample import Ratio, share_interval, summed
from synthgain.types import Reading

ALONE = "Each item is a unit of its own."


@dataclass(frozen=True)
class Confusion:
    """Verdicts of a check beside labels: of the right items some were kept, of the wrong ones some dropped."""

    kept: Sequence[bool]
    right: Sequence[bool]
    clusters: Sequence[str] | None = None

    def __post_init__(self) -> None:
        sizes = {len(self.kept), len(self.right), len(self.kept if self.clusters is None else self.clusters)}
        if len(sizes) != 1 or not self.kept:
            raise ValueError("a confusion table needs as many labels (and clusters) as verdicts, and one at least")

    @property
    def table(self) -> dict[str, int]:
        """Counts of right_kept, right_dropped, wrong_kept, wrong_dropped."""
        found = Counter(zip(self.right, self.kept))
        return {
            f"{'right' if right else 'wrong'}_{'kept' if kept else 'dropped'}": found[right, kept]
            for right in (True, False)
            for kept in (True, False)
        }

    def readings(self) -> list[Reading]:
        """precision (of what is kept, the right part), recall (of what is right, the kept part), specificity (of what is wrong, the dropped part),
        balanced_accuracy (the mean of the last two) and label_accuracy. A figure without items has value None and says so."""
        kept, right = np.asarray(self.kept, bool), np.asarray(self.right, bool)
        parts = {
            "precision": (kept & right, kept, "nothing was kept"),
            "recall": (kept & right, right, "nothing is right"),
            "specificity": (~kept & ~right, ~right, "nothing is wrong"),
            "label_accuracy": (kept == right, np.ones(len(kept), bool), ""),
        }
        found = {name: self._share(name, part, whole, empty) for name, (part, whole, empty) in parts.items()}
        balanced = _half(found["recall"], found["specificity"])
        return [*(found[name] for name in ("precision", "recall", "specificity")), balanced, found["label_accuracy"]]

    def _share(self, name: str, part: np.ndarray, whole: np.ndarray, empty: str) -> Reading:
        if not whole.any():
            return Reading(name, None, unit="prob", note=empty)
        units = np.arange(len(whole)) if self.clusters is None else np.unique(self.clusters, return_inverse=True)[1]
        ratio: Ratio = share_interval(*summed(units.astype(np.int64), part, whole))
        count = len(set(units[whole].tolist()))
        return Reading(name, ratio.value, ratio.low, ratio.high, unit="prob", n=count, estimator=ratio.method)


def _half(one: Reading, other: Reading) -> Reading:
    """The mean of two shares of different items; its interval puts the two together (MOVER: Zou and Donner, Stat. Med. 27, 2008)."""
    name = "balanced_accuracy"
    if one.value is None or other.value is None:
        return Reading(name, None, unit="prob", note=one.note or other.note)
    value = (one.value + other.value) / 2
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return Reading(name, value, unit="prob", n=one.n + other.n, note="no interval from one unit")
    low = value - math.hypot(one.value - one.low, other.value - other.low) / 2
    high = value + math.hypot(one.high - one.value, other.high - other.value) / 2
    how = "mean of recall and specificity; MOVER of their score intervals"
    return Reading(name, value, max(0.0, low), min(1.0, high), unit="prob", n=one.n + other.n, estimator=how)


def cohen_kappa(
    one: Sequence[Hashable], other: Sequence[Hashable], clusters: Sequence[str] | None = None, level: float = 0.95
) -> Reading:
    """Cohen's kappa: agreement beyond what two judges who name kinds as often as these do would reach by chance (Educ. Psychol. Meas. 20, 1960).

    The interval is of the delta method (for items alone the variance of Fleiss, Cohen and Everitt, Psychol. Bull. 72, 1969), with Student's
    quantile on clusters − 1. Value None where both name one kind only: then chance agrees, too.
    """
    n = len(one)
    if n != len(other) or not n:
        raise ValueError("kappa needs two lists of judgements of the same length")
    left, right = Counter(one), Counter(other)
    seen = sum(a == b for a, b in zip(one, other)) / n
    chance = sum(left[kind] * right[kind] for kind in left) / n**2
    told = "Cohen's kappa, delta method over clusters" if clusters else "Cohen's kappa, delta method"
    count = len(set(clusters)) if clusters else n
    if chance == 1:
        return Reading("kappa", None, unit="", n=count, estimator=told, note="both judges named one kind only")
    kappa = (seen - chance) / (1 - chance)
    pulls = [  # of each item on kappa
        ((a == b) - seen) / (1 - chance) - (1 - seen) / (1 - chance) ** 2 * ((right[a] + left[b]) / n - 2 * chance)
        for a, b in zip(one, other)
    ]
    _, low, high = mean_of_clusters(pulls, clusters or [str(i) for i in range(n)], level)
    if low is not None and high is not None:
        low, high = max(-1.0, kappa + low), min(1.0, kappa + high)
    return Reading("kappa", kappa, low, high, level, n=count, estimator=told)


def place_readings(one: Sequence[str], other: Sequence[str], level: float = 0.95) -> list[Reading]:
    """What a judge of pairs gives to a place: `one` are its verdicts on (a, b), `other` those on (b, a), each "first", "second" or "tie".

    place_consistency   share of the pairs where both orders name the same answer, or both say tie
    place_bias          share of the pairs where it named the first place both times, less that where it named the second both times: 0 for a judge
                        who looks at answers alone, 1 for one who always names the first
    """
    if len(one) != len(other) or not one:
        raise ValueError("verdicts in both orders are two lists of the same length")
    if wrong := {*one, *other} - {"first", "second", "tie"}:
        raise ValueError(f"a verdict is first, second or tie, not {min(wrong)!r}")
    turned = {"first": "second", "second": "first", "tie": "tie"}
    same = [a == turned[b] for a, b in zip(one, other)]
    leaning = [float(a == b == "first") - float(a == b == "second") for a, b in zip(one, other)]
    share = share_interval(np.asarray(same, float), np.ones(len(same)), level=level)
    mean, low, high = mean_t(leaning, level)
    return [
        Reading("place_consistency", share.value, share.low, share.high, level, "prob", len(same), share.method),
        Reading("place_bias", mean, low, high, level, "prob", len(same), "mean over pairs, Student's t"),
    ]

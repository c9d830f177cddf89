"""Memorisation: how much a student's losses tell of which rows it learnt.

Of a pair of exchangeable rows a coin U makes one the member; Δ is the difference of their losses after
training, calibrated by the same difference before it. I(Δ;U), at most ln 2, bounds the generalisation gap
(conditional mutual information: Steinke and Zakynthinou 2020; Wang and Mao, arXiv 2302.02432). It is the
usable form of the paper's I(S;W), from one training run. `memo` is Fano's lower bound by the sign of Δ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from synthgain.intervals import wilson
from synthgain.measure.data import nothing
from synthgain.types import Reading

UNIT = "nats/example"
RESAMPLES = 2_000
BIN = 10  # pairs a bin, at least
BINS = 10  # at most
AT_ONCE = 2_000_000  # pairs resampled at once, so that memory stays flat


def fano(accuracy: float) -> float:
    """ln 2 − h(accuracy), nats; 0 up to ½, so that it never falls: guessing worse than chance is chance."""
    if accuracy <= 0.5:
        return 0.0
    return math.log(2) + sum(p * math.log(p) for p in (accuracy, 1 - accuracy) if p > 0)


def memo(members: Sequence[float], siblings: Sequence[float], *, level: float = 0.95, name: str = "memo") -> Reading:
    """Reading `memo`: Fano's lower bound on what the losses tell of membership, nats an example.

    `members` and `siblings` are calibrated losses ℓ_W − ℓ_0, pair by pair; the one that fell more is taken for the
    member, a tie is half right. The interval is Wilson's, carried over. The value is biased up near 0, where a
    share above ½ by chance counts and one below does not.
    """
    gaps, why = _gaps(members, siblings)
    if why:
        return nothing(name, why, unit=UNIT, kind="lower bound")
    right = float((gaps > 0).sum() + (gaps == 0).sum() / 2)
    low, high = wilson(right, len(gaps), level)
    share = right / len(gaps)
    note = f"the sign rule is right for {share:.3f} of {len(gaps)} pairs"
    if share < 0.5:
        note += "; less than chance, which is read as chance"
    return Reading(
        name,
        fano(share),
        fano(low),
        fano(high),
        level,
        UNIT,
        len(gaps),
        "ln 2 − h(accuracy of the sign rule), Wilson",
        "lower bound",
        note,
    )


def memo_binned(members: Sequence[float], siblings: Sequence[float], *, level: float = 0.95, seed: int = 0) -> Reading:
    """Reading `memo_binned`: I(Δ;U) with |Δ| in bins of equally many pairs, Miller–Madow corrected; it can fall below 0.

    The coin is fair, so |Δ| says nothing of it and I(Δ;U) = I(sign Δ;U | |Δ|): the mean over bins of ln 2 − h(share
    of positive signs).
    """
    gaps, why = _gaps(members, siblings)
    if not why and len(gaps) < 2 * BIN:
        why = f"{len(gaps)} pairs; two bins need {2 * BIN}"
    if why:
        return nothing("memo_binned", why, unit=UNIT)
    bins = min(BINS, len(gaps) // BIN)
    value, slack = binned(gaps[None], bins)
    random = np.random.default_rng(seed)
    lines = max(1, min(RESAMPLES, AT_ONCE // len(gaps)))
    parts = [
        binned(gaps[random.integers(0, len(gaps), (min(lines, RESAMPLES - done), len(gaps)))], bins)[0]
        for done in range(0, RESAMPLES, lines)
    ]
    ends = np.quantile(
        np.concatenate(parts) - slack[0], [(1 - level) / 2, (1 + level) / 2]
    )  # a resample carries the bias once more
    low, high = (float(np.clip(end, 0.0, math.log(2))) for end in ends)
    estimator = f"plug-in over {bins} bins, Miller–Madow; bootstrap over pairs"
    return Reading("memo_binned", float(value[0]), low, high, level, UNIT, len(gaps), estimator, "estimate", "")


def binned(gaps: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """(I(Δ;U) corrected, the correction) of each line of `gaps` (lines, pairs): siblings' calibrated losses less members'."""
    order = np.argsort(np.abs(gaps), axis=1, kind="stable")
    signs = (np.sign(np.take_along_axis(gaps, order, axis=1)) + 1) / 2  # a tie is half of each sign
    edges = np.linspace(0, gaps.shape[1], bins + 1).round().astype(int)
    sizes = np.diff(edges)
    shares = np.add.reduceat(signs, edges[:-1], axis=1) / sizes
    inside = (shares > 0) & (shares < 1)
    p = np.where(inside, shares, 0.5)
    known = np.where(inside, math.log(2) + p * np.log(p) + (1 - p) * np.log1p(-p), math.log(2))
    total = gaps.shape[1]
    untied = (
        np.add.reduceat((signs != 0.5).astype(float), edges[:-1], axis=1) / sizes
    )  # a tie has no sign to be wrong of
    slack = (inside * untied).sum(1) / (2 * total)  # Σ over bins of their weight times (signs seen − 1) / (2 pairs)
    return (known * sizes).sum(1) / total - slack, slack


def ggmi(
    anchor_run: Reading, synthetic_run: Reading, losses: tuple[Reading, Reading], *, level: float = 0.95
) -> Reading:
    """Reading `ggmi`: memo of the students of anchors alone − memo of those with synthetic rows, nats an example.

    A proxy of the paper's GGMI (Definition 4.9), per example. `losses` are the held-out losses of the two, without which
    it says nothing (a student that learns nothing has the best of all): null where one is missing. The interval is
    Newcombe's (Stat. Med. 17, 1998) from both intervals.
    """
    for name, reading in zip(("anchors alone", "synthetic rows"), (anchor_run, synthetic_run)):
        if reading.value is None:
            return nothing("ggmi", f"no memo of the students of {name}: {reading.note}", unit=UNIT, kind="proxy")
    if any(loss.value is None for loss in losses):
        why = next(loss.note for loss in losses if loss.value is None)
        return nothing("ggmi", f"not given without both held-out losses: {why}", unit=UNIT, kind="proxy")
    ends = [(r.value or 0.0, r.low or 0.0, r.high or 0.0) for r in (anchor_run, synthetic_run)]
    (a, a_low, a_high), (s, s_low, s_high) = ends
    value = a - s
    low, high = value - math.hypot(a - a_low, s_high - s), value + math.hypot(a_high - a, s - s_low)
    note = f"read it beside the held-out losses: {losses[0].value:.4g} (anchors only), {losses[1].value:.4g} (with synthetic rows) nats/token"
    return Reading(
        "ggmi",
        value,
        low,
        high,
        level,
        UNIT,
        min(anchor_run.n, synthetic_run.n),
        "difference of memo, Newcombe",
        "proxy",
        note,
    )


def _gaps(members: Sequence[float], siblings: Sequence[float]) -> tuple[np.ndarray, str]:
    """(siblings − members, why there is nothing)."""
    if len(members) != len(siblings):
        return np.empty(0), f"{len(members)} members and {len(siblings)} siblings are no pairs"
    gaps = np.asarray(siblings, float) - np.asarray(members, float) if len(members) else np.empty(0)
    if not len(gaps):
        return gaps, "there are no pairs of a learnt and a held-out row"
    if not np.isfinite(gaps).all():
        return gaps, f"{int((~np.isfinite(gaps)).sum())} of {len(gaps)} pairs have losses that are not numbers"
    return gaps, ""

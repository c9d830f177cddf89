"""How far the rows are from real text, from below: a classifier on held-out data.

For any classifier, D_TV(D, D_gen) ≥ TPR + TNR - 1 on data it has not seen (ESTIMATORS I6; Lopez-Paz and Oquab 2017).
Each rate has a one-sided 97.5 % limit of its own (Bonferroni), so their sum holds at 95 %. There is no upper bound.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthgain.intervals import t_quantile, wilson
from synthgain.measure.data import Data, even_sample, fold_of, nothing, units
from synthgain.measure.dependence import numbered
from synthgain.measure.logistic import Features, Places, Sparse, fit
from synthgain.models.embedders import CHARS, Embedder
from synthgain.types import Reading
from synthgain.words import words as compared

MOST, LEAST = 2_000, 20  # rows of a side; independent units of a side
FOLDS = 5
PENALTY = 1.0


# ---------------------------------------------------------------------------------------------- words


def hashed_words(texts: Sequence[str]) -> Sparse:
    """Counts of words and pairs of neighbouring words of the first characters of each text, a column for each hash."""
    known: dict[str, int] = {}
    keys: list[NDArray[np.int64]] = []
    for text in texts:
        found = compared(text[:CHARS])
        for word in found:
            if word not in known:
                known[word] = zlib.crc32(word.encode())
        single = np.fromiter((known[word] for word in found), np.int64, len(found))
        pairs = (
            single[:-1] * 0x1F0A2BE71D163FA5 + single[1:] * 0x27D4EB2F165667C5
        )  # wraps: 64 bits, so hardly two share one
        keys.append(np.concatenate([single, pairs]))
    row = np.repeat(np.arange(len(texts)), [len(mine) for mine in keys])
    columns, column = np.unique(np.concatenate([np.empty(0, np.int64), *keys]), return_inverse=True)
    width = max(1, len(columns))
    entries, counts = np.unique(row * width + column, return_counts=True)
    return Sparse(entries // width, entries % width, counts.astype(np.float64), (len(texts), width))


def tf_idf(counts: Sparse, seen: Places) -> Sparse:
    """(1 + ln count) · idf, rows at length one; the columns that two rows of `seen` have, rarity counted in `seen` only."""
    held = np.zeros(counts.shape[0], bool)
    held[seen] = True
    frequency = np.bincount(counts.column[held[counts.row]], minlength=counts.shape[1])
    columns = np.flatnonzero(frequency >= 2)
    place = np.full(counts.shape[1], -1)
    place[columns] = np.arange(len(columns))
    entry = place[counts.column] >= 0
    row, column = counts.row[entry], place[counts.column[entry]]
    rarity = np.log((1 + len(seen)) / (1 + frequency[columns])) + 1
    value = (1 + np.log(counts.value[entry])) * rarity[column]
    norms = np.sqrt(np.bincount(row, weights=value**2, minlength=counts.shape[0]))
    return Sparse(row, column, value / norms[row], (counts.shape[0], len(columns)))


# ---------------------------------------------------------------------------------------------- the classifier


@dataclass(frozen=True)
class Gap:
    """TPR + TNR - 1 of held-out rows, and its lower limit at 95 %; neither is below 0."""

    value: float
    low: float
    tpr: float
    tnr: float


def held_out(
    dense: NDArray[Any],
    synthetic: NDArray[np.bool_],
    fold: Places,
    *,
    words: Sparse | None = None,
    penalty: float = PENALTY,
) -> NDArray[np.bool_] | None:
    """Which rows a classifier got right that had not seen their fold; None where a fold leaves one side unseen."""
    right = np.zeros(len(synthetic), bool)
    for held in np.unique(fold):
        seen, unseen = np.flatnonzero(fold != held), np.flatnonzero(fold == held)
        side = synthetic[seen]
        if not 0 < side.sum() < len(side):
            return None
        features = Features(dense, tf_idf(words, seen) if words else None)
        weight = np.where(side, 0.5 / side.mean(), 0.5 / (1 - side.mean()))  # both sides weigh the same
        w, b = fit(features.rows(seen), side, weight, penalty=penalty)
        right[unseen] = (features.rows(unseen).times(w) + b > 0) == synthetic[unseen]
    return right


def gap(right: NDArray[np.bool_], synthetic: NDArray[np.bool_], unit: Places) -> Gap:
    """The lower bound from which held-out rows were told right; rows of one unit stand and fall together."""
    tpr, tpr_low = share(right[synthetic], unit[synthetic])
    tnr, tnr_low = share(right[~synthetic], unit[~synthetic])
    return Gap(max(0.0, tpr + tnr - 1), max(0.0, tpr_low + tnr_low - 1), tpr, tnr)


def share(right: NDArray[np.bool_], unit: Places) -> tuple[float, float]:
    """(share, its one-sided 97.5 % limit): Wilson at the effective size that clusters leave (Korn and Graubard 1998)."""
    n, p = len(right), float(np.mean(right))
    _, unit = np.unique(unit, return_inverse=True)
    m = int(unit.max()) + 1
    if m == n:
        return p, wilson(p * n, n)[0]
    if m == 1 or p in (0.0, 1.0):
        return p, wilson(p * m, m)[0]
    apart = np.bincount(unit, weights=right - p)
    variance = m / (m - 1) * float(apart @ apart) / n**2
    size = n if variance == 0 else min(float(n), p * (1 - p) / variance)
    return p, wilson(p * size, size, quantile=t_quantile(0.95, m - 1))[0]


# ---------------------------------------------------------------------------------------------- the reading


def tv_lower(data: Data, *, embedder: Embedder) -> Reading:
    """`tv_lower`: how far the rows' texts are at least from held-out real text (the target, else the anchors)."""

    def none(why: str, n: int = 0) -> Reading:
        return nothing("tv_lower", why, unit="prob", kind="lower bound", n=n)

    source, total, whose = (
        (data.anchors, data.n_anchors, "anchors")
        if data.target is None
        else (data.target, data.n_target, "target texts")
    )
    made = even_sample(data.rows, ["text", "anchor_ids", "prompt"], data.n_rows, MOST, data.seed)
    real = even_sample(source, ["id", "text"], total, MOST, data.seed)
    if not len(made) or not len(real):
        return none(f"there are no {'rows' if not len(made) else whose}")
    texts = [*made.column("text").to_pylist(), *real.column("text").to_pylist()]
    prints = [hashlib.sha256(text.encode()).hexdigest()[:24] for text in texts]
    synthetic = np.arange(len(texts)) < len(made)
    if set(prints[: len(made)]) <= set(prints[len(made) :]):
        return none(f"every row is one of the {whose}, word for word: there is nothing to tell apart")
    unit_names, fold_names = _clusters(data, made, real.column("id").to_pylist(), prints)
    unit = numbered(unit_names)[0]
    sizes = [len(np.unique(unit[side])) for side in (synthetic, ~synthetic)]
    if min(sizes) < LEAST:
        return none(f"{sizes[0]:,} prompts and {sizes[1]:,} {whose}: at least {LEAST} of each are needed", sum(sizes))
    fold = np.array([fold_of(name, FOLDS, data.seed) for name in fold_names])
    dense = embedder(texts).astype(np.float64)
    right = held_out(dense, synthetic, fold, words=hashed_words(texts))
    if right is None:
        return none("too few independent texts to hold any out", sum(sizes))
    found = gap(right, synthetic, unit)
    note = (
        f"{len(made):,} of {data.n_rows:,} rows against {len(real):,} of {total:,} {whose}; held out by prompt and document; TPR {found.tpr:.3f}, TNR {found.tnr:.3f}; "
        f"whatever tells the two apart counts, length and layout too; vectors: {embedder.uri}"
    )
    if min(sizes) < 200:
        note += f"; from fewer than 200 a side ({min(sizes)}) the bound is weak"
    return Reading(
        "tv_lower",
        found.value,
        found.low,
        None,
        unit="prob",
        n=sum(sizes),
        kind="lower bound",
        note=note,
        estimator=f"TPR + TNR - 1 of a logistic regression on hashed words and vectors, {FOLDS} folds; one-sided 97.5 % Wilson limit for each rate",
    )


def _clusters(data: Data, made: Any, ids: list[str], prints: list[str]) -> tuple[list[str], list[str]]:
    """(the independent unit, what decides the fold) of each text: rows, then real texts.

    Equal texts of which no more is known are one unit. A row goes to the fold of its first anchor, where that is the
    real side: an anchor and what was made from it are never on both sides of the line.
    """
    anchors, prompts = made.column("anchor_ids").to_pylist(), made.column("prompt").to_pylist()
    known = units(made)
    told = [bool(mine) or bool(prompt) for mine, prompt in zip(anchors, prompts)]
    rows = [unit if is_told else mark for unit, is_told, mark in zip(known, told, prints)]
    linked = data.linked and data.target is None
    folds = [mine[0] if linked and mine else unit for mine, unit in zip(anchors, rows)]
    documents = prints[len(rows) :]
    return [*(f"row {name}" for name in rows), *documents], [*folds, *(ids if linked else documents)]

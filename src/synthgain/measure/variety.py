"""Variety of the rows beside that of the anchors: distinct bigrams and near-duplicates, at sizes that are fixed and said.

Both figures move with the size of what is measured, so a comparison is at equal size only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthgain.measure.copying import unit_numbers
from synthgain.measure.data import Data, even_sample, nothing
from synthgain.measure.resample import mean_of_blocks, share_reading, summed
from synthgain.measure.words import Ints, Mask, blocks, content, distinct
from synthgain.types import Reading
from synthgain.words import HASHES, NAME, SHINGLE, runs, signatures

ROWS = 10_000
BUDGETS = (20_000, 10_000, 5_000, 2_000, 1_000, 500, 200, 100, 50)  # bigrams of a block
BLOCKS = 5
CHARACTERS = 20_000  # of a text that are read
NEAR = 0.7  # Jaccard index of the sets of runs of words, as the check near-duplicate has it
BATCH = 1_024  # texts whose signatures are made at once
BAND = 4  # numbers in a band: at an index of 0.7 a pair shares one of the 32 bands with probability 0.9998


@dataclass(frozen=True)
class _Side:
    """Sampled texts of the rows or of the anchors, with their units."""

    whose: str
    suffix: str
    texts: list[str]
    units: Ints
    total: int

    @property
    def sampled(self) -> str:
        few = len(self.texts) < self.total
        return (
            f"on {len(self.texts):,} of {self.total:,} {self.whose}" if few else f"on all {self.total:,} {self.whose}"
        )


def _rows(data: Data, column: str, most: int) -> _Side:
    table = even_sample(data.rows, (column, "prompt", "anchor_ids"), data.n_rows, most, data.seed)
    return _Side("rows", "", _cut(table, column), unit_numbers(table), data.n_rows)


def _anchors(data: Data, most: int) -> _Side:
    table = even_sample(data.anchors, ("id", "text"), data.n_anchors, most, data.seed)
    return _Side("anchors", "_anchors", _cut(table, "text"), np.arange(len(table)), data.n_anchors)


def _cut(table: pa.Table, column: str) -> list[str]:
    return [(text or "")[:CHARACTERS] for text in table.column(column).to_pylist()]


# ---------------------------------------------------------------------------------------------- distinct_2


def distinct_2(data: Data, *, rows: int = ROWS, budget: int | None = None) -> list[Reading]:
    """`distinct_2` of what the model wrote and `distinct_2_anchors`, at the same number of bigrams.

    Units are dealt into `BLOCKS` groups at random; a block is so many bigrams of a group's texts in random order. The figure is the
    mean over blocks, which are independent. Without `budget` it is the largest of `BUDGETS` that every block can fill.
    """
    sides = [_rows(data, "answer", rows), _anchors(data, rows)]
    found = [_shuffled_bigrams(side, data.seed) for side in sides]
    full = [min((len(block) for block in blocks_), default=0) for blocks_ in found]
    room = full[0] if not full[1] else min(full)
    sizes = (budget,) if budget else BUDGETS
    size = next((b for b in sizes if b <= room), 0)
    readings = []
    for side, blocks_, mine in zip(sides, found, full):
        name = "distinct_2" + side.suffix
        if not side.texts:
            readings.append(nothing(name, f"there are no {side.whose}", unit="prob"))
            continue
        if not size or mine < size:
            why = f"too few {side.whose}: {BLOCKS} groups of units with {sizes[-1]:,} bigrams each are needed"
            readings.append(
                nothing(
                    name, why if mine < sizes[-1] else "too little text on the other side to compare with", unit="prob"
                )
            )
            continue
        ratio = mean_of_blocks([len(distinct(block[:size])) / size for block in blocks_])
        low, high = (None if edge is None else min(max(edge, 0.0), 1.0) for edge in (ratio.low, ratio.high))
        readings.append(
            Reading(
                name,
                ratio.value,
                low,
                high,
                unit="prob",
                n=len(np.unique(side.units)),
                estimator=f"distinct among {size:,} word bigrams ({NAME}); {ratio.method}",
                note=f"{side.sampled}; compare at equal size only",
            )
        )
    return readings


def _shuffled_bigrams(side: _Side, seed: int) -> list[NDArray[np.uint64]]:
    """Hashes of the bigrams of each group's texts, the texts in random order, as many as the largest budget asks for."""
    names, unit = np.unique(side.units, return_inverse=True)
    if len(names) < BLOCKS:
        return []
    rng = np.random.default_rng(seed)
    group = (rng.permutation(len(names)) % BLOCKS)[unit]
    order = rng.permutation(len(side.texts))
    return [_bigrams([side.texts[i] for i in order[group[order] == g]], BUDGETS[0]) for g in range(BLOCKS)]


def _bigrams(texts: Sequence[str], most: int) -> NDArray[np.uint64]:
    found, held = [np.zeros(0, np.uint64)], 0
    for _, pieces in blocks(texts):
        found.append(runs(pieces, 2)[0])
        held += len(found[-1])
        if held >= most:
            break
    return np.concatenate(found)


# ---------------------------------------------------------------------------------------------- duplicates


def dup_rate(data: Data, *, rows: int = ROWS, threshold: float = NEAR) -> list[Reading]:
    """`dup_rate` of the rows (share with an earlier near-duplicate), and `dup_rate_anchors` on at most as many anchors (where there are two rows).

    Where there are fewer anchors than rows, the note of the anchors' figure gives the rows' at the anchors' size.
    """
    sides = [_rows(data, "text", rows)]
    beside = len(sides[0].texts)
    sides.append(_anchors(data, beside if beside > 1 else rows))
    readings, first_of_rows = [], np.zeros(0, np.int64)
    for side in sides:
        name = "dup_rate" + side.suffix
        if len(side.texts) < 2:
            count = (
                f"there are no {side.whose}"
                if not side.texts
                else f"only one of the {side.whose}: nothing to compare it with"
            )
            readings.append(nothing(name, count, unit="prob"))
            continue
        first, said = near_duplicates(side.texts, threshold)
        if said.sum() < 2:
            readings.append(nothing(name, f"fewer than 2 {side.whose} have words", unit="prob"))
            continue
        again = (first != np.arange(len(first))) & said
        note = f"{side.sampled}; grows with their number"
        if side.suffix and len(first_of_rows) > said.sum():
            note += f"; the rows at this size ({said.sum():,}): {rarefied(first_of_rows, int(said.sum())):.4f}"
        if not side.suffix:
            first_of_rows = first[said]
        readings.append(
            share_reading(
                name,
                *summed(side.units, again, said),
                estimator=f"MinHash ({HASHES}), Jaccard index of runs of {SHINGLE} words ({NAME}) ≥ {threshold}",
                note=note,
            )
        )
    return readings


def near_duplicates(texts: Sequence[str], threshold: float = NEAR) -> tuple[Ints, Mask]:
    """(for each text the first text that it nearly repeats, itself where there is none; which texts have words).

    Signatures are those of the check near-duplicate; pairs that share a band are judged by all `HASHES` numbers. A text is compared with
    earlier texts that repeat nothing themselves.
    """
    made = [signatures(texts[start : start + BATCH]) for start in range(0, len(texts), BATCH)]
    numbers, said = (np.concatenate(part) for part in zip(*made))
    first = np.arange(len(texts))
    suspects, bands = _buckets(numbers, said)
    kept: dict[int, list[int]] = defaultdict(list)
    for i in suspects.tolist():
        mine = [bucket for bucket in bands[i].tolist() if bucket >= 0]
        others = sorted({j for bucket in mine for j in kept[bucket]})
        if others:
            equal = (numbers[others] == numbers[i]).mean(axis=1)
            best = int(equal.argmax())
            if equal[best] >= threshold:
                first[i] = others[best]
                continue
        for bucket in mine:
            kept[bucket].append(i)
    return first, said


def _buckets(signatures: NDArray[np.uint32], said: Mask) -> tuple[Ints, Ints]:
    """Texts that share a band with another, and every text's buckets (texts × bands, -1 where nobody shares it)."""
    n, bands = len(signatures), HASHES // BAND
    buckets, used = np.full((n, bands), -1), 0
    rows = np.flatnonzero(said)
    for band in range(bands):
        part = np.ascontiguousarray(signatures[rows, band * BAND : (band + 1) * BAND])
        keys = part.view(np.dtype((np.void, part.dtype.itemsize * BAND))).ravel()
        _, which, counts = np.unique(keys, return_inverse=True, return_counts=True)
        buckets[rows, band] = np.where(counts[which] > 1, which + used, -1)
        used += len(counts)
    return np.flatnonzero((buckets >= 0).any(axis=1)), buckets


def rarefied(first: Ints, size: int) -> float:
    """The share of repetitions to be expected among `size` texts drawn without replacement, from who repeats whom.

    1 − Σ_c (1 − C(N − s_c, m) / C(N, m)) / m over the groups c of s_c texts (Hurlbert, Ecology 52, 1971).
    """
    from math import lgamma

    n = len(first)
    sizes = np.unique(first, return_counts=True)[1]
    missed = [
        0.0
        if n - s < size
        else np.exp(lgamma(n - s + 1) - lgamma(n - s - size + 1) - lgamma(n + 1) + lgamma(n - size + 1))
        for s in sizes.tolist()
    ]
    return max(0.0, 1.0 - float((1.0 - np.asarray(missed)).sum()) / size)


def dup_rate_exact(data: Data) -> Reading:
    """Share of all rows whose text says, but for case and spacing, what an earlier row says. Every row is counted: no interval."""
    if data.n_rows < 2:
        why = "there are no rows" if not data.n_rows else "only one row: nothing to compare it with"
        return nothing("dup_rate_exact", why, unit="prob", kind="exact")
    found = np.zeros(data.n_rows, np.int64)
    start = 0
    for table in data.rows(("text",)):
        found[start : start + len(table)] = [content(text or "") for text in table.column("text").to_pylist()]
        start += len(table)
    return Reading(
        "dup_rate_exact",
        1 - len(np.unique(found)) / data.n_rows,
        unit="prob",
        n=data.n_rows,
        kind="exact",
        estimator="equal texts but for case and spacing",
        note="all rows counted; grows with their number",
    )

"""Rows that say almost what an earlier row says (set check): MinHash with locality-sensitive hashing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from synthgain.curate.exact_duplicate import BATCH, texts
from synthgain.curate.words import ngrams, words
from synthgain.types import SynthgainError, Verdict, drop, keep

if TYPE_CHECKING:
    import pyarrow as pa

HASHES = 128  # numbers in a signature: the Jaccard index is estimated within about 0.04 (one standard error)
SEED = 42
RECALL = 0.95  # of pairs exactly at the threshold that must become candidates
Signatures = NDArray[np.uint32]


@dataclass(frozen=True)
class NearDuplicate:
    """Keeps the first of rows whose sets of word `n`-grams overlap by `threshold` or more (Jaccard index).

    Every row is compared with the earlier rows that stay, so a chain of small changes can go on: that is
    what keeps the result independent of anything but the order. Signatures come from rensa (R-MinHash), candidates
    from banding, and each candidate is decided by the estimate over all 128 numbers, which is the score.
    Texts without words are never near-duplicates. Holds about 0.9 KB a row (measured at 200,000 rows of 60 words).
    """

    threshold: float = 0.7
    n: int = 3
    column: str = "text"

    def __post_init__(self) -> None:
        if not 0.0 < self.threshold <= 1.0:
            raise SynthgainError(f"threshold lies between 0 and 1, not {self.threshold}", where="near-duplicate")
        if self.n < 1:
            raise SynthgainError(f"n is 1 or more, not {self.n}", where="near-duplicate")

    @property
    def name(self) -> str:
        return "near-duplicate"

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def __call__(self, table: pa.Table) -> Sequence[Verdict]:
        signatures, said = _signatures(table, self.column, self.n)
        scores = nearest_earlier(signatures, said, self.threshold)
        return [keep() if score is None else drop("close to an earlier row", round(score, 4)) for score in scores]


def _signatures(table: pa.Table, column: str, n: int) -> tuple[Signatures, NDArray[np.bool_]]:
    """One signature a row (rows × 128), and which rows have any words."""
    from rensa import RMinHash

    signatures = np.zeros((table.num_rows, HASHES), np.uint32)
    said = np.zeros(table.num_rows, np.bool_)
    stream = texts(table, column)
    start = 0
    while batch := list(islice(stream, BATCH // 4)):
        grams = [ngrams(words(text), n) for text in batch]
        matrix = RMinHash.digest_matrix_from_token_sets(grams, HASHES, SEED)
        signatures[start : start + len(batch)] = np.array(matrix.to_rows(), np.uint32)
        said[start : start + len(batch)] = [bool(g) for g in grams]
        start += len(batch)
    return signatures, said


def nearest_earlier(signatures: Signatures, said: NDArray[np.bool_], threshold: float) -> list[float | None]:
    """For each row the estimated Jaccard index with the closest earlier row that stays, None where it stays itself."""
    scores: list[float | None] = [None] * len(signatures)
    suspects, buckets_of = _shared_bands(signatures, said, _rows_in_band(threshold))
    kept: dict[int, list[int]] = defaultdict(list)  # bucket → rows that stay
    for row in suspects.tolist():
        buckets = [bucket for bucket in buckets_of[row].tolist() if bucket >= 0]
        candidates = list({other for bucket in buckets for other in kept[bucket]})
        if candidates:
            equal = (signatures[candidates] == signatures[row]).mean(axis=1)
            best = float(equal.max())
            if best >= threshold:
                scores[row] = best
                continue
        for bucket in buckets:
            kept[bucket].append(row)
    return scores


def _rows_in_band(threshold: float) -> int:
    """The widest band with which a pair at the threshold becomes a candidate with probability RECALL or more."""
    for rows in range(HASHES, 1, -1):
        bands = HASHES // rows
        if 1 - (1 - threshold**rows) ** bands >= RECALL:
            return rows
    return 1


def _shared_bands(
    signatures: Signatures, said: NDArray[np.bool_], rows: int
) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
    """The rows that share a band with another row, and every row's buckets (rows × bands; -1: nobody shares that band)."""
    n, bands = len(signatures), HASHES // rows
    buckets = np.full((n, bands), -1, np.int32)
    odd = np.random.default_rng(SEED).integers(1, 2**63, size=rows, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    first = 0
    for band in range(bands):
        keys = np.zeros(n, np.uint64)
        for i in range(rows):
            keys = (keys ^ (signatures[:, band * rows + i].astype(np.uint64) + np.uint64(band))) * odd[i]
            keys ^= keys >> np.uint64(29)
        keys[~said] = np.arange(n, dtype=np.uint64)[~said]
        _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
        numbered = np.cumsum(counts > 1) - 1 + first
        alone = (counts[inverse] < 2) | ~said
        buckets[:, band] = np.where(alone, -1, numbered[inverse])
        first += int((counts > 1).sum())
    return np.flatnonzero((buckets >= 0).any(axis=1)), buckets


CHECK = NearDuplicate

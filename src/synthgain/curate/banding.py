"""The memory of near-duplicate: signatures of the rows that stay, found again by their bands.

A signature's numbers are cut into bands; rows that agree in a whole band are candidates. For each band of a row there is a key of 32
bits; a hash table leads from a key to the last row that has it, and from each row one goes on to the one before. Two
bands that share a key by chance only give a candidate more. The result depends on the rows' order alone, not on how they are cut
into batches.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from synthgain.curate.hashed import HashTable
from synthgain.types import SynthgainError
from synthgain.words import HASHES, Signatures

RECALL = 0.95  # of pairs exactly at the threshold that must become candidates
MATES = 32  # rows with a key that are compared, the last ones: so a template's rows cost no more than others
PAIRS = 8_192  # signatures that are compared at once
WIDER = 1.25  # by which the arrays of kept rows grow
SPREAD = np.random.default_rng(42).integers(1, 2**63, size=HASHES + 1, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
Places = NDArray[np.int64]


class _Candidates(NamedTuple):
    """Pairs of a new row and a kept one, in the order of the new rows."""

    row: Places
    other: Places
    band: Places
    step: Places  # how many kept rows of the same key came after it
    overlap: NDArray[np.float64]  # share of the numbers that agree: the estimate of the Jaccard index


class Kept:
    """The rows that stay, and the estimate of the closest one for each new row. 0.6 to 0.9 KB a kept row."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self._width = rows_in_band(threshold)
        self._bands = HASHES // self._width
        self._last = HashTable(1, np.uint32, np.uint32)  # key → the last node that has it, a node being a row's band
        self._numbers = _Growing(HASHES, np.uint16)  # half of each number says as much
        self._before = _Growing(self._bands, np.uint32)  # node → the node before with the same key; they count from 1

    def take(self, signatures: Signatures, said: NDArray[np.bool_]) -> list[float | None]:
        """For each row the estimated Jaccard index with the closest earlier row that stays, None where it stays itself.

        Rows for which `said` is False stay and are forgotten.
        """
        keys, numbers = self._keys(signatures), signatures.astype(np.uint16)
        last = self._last.get(keys.reshape(-1, 1)).reshape(keys.shape)
        last[~said] = 0
        found = self._candidates(last, numbers)
        best = np.zeros(len(keys))
        np.maximum.at(best, found.row, found.overlap)
        self._among_themselves(keys, numbers, said, found, best)
        stays = said & (best < self.threshold)
        self._remember(keys[stays], numbers[stays], last[stays])
        return [float(score) if score >= self.threshold else None for score in best]

    def hold(self, signatures: Signatures, said: NDArray[np.bool_]) -> None:
        """Take all rows for which `said` is True, however near to each other; they are numbered in this order."""
        keys = self._keys(signatures[said])
        last = self._last.get(keys.reshape(-1, 1)).reshape(keys.shape)
        self._remember(keys, signatures[said].astype(np.uint16), last)

    def closest(self, signatures: Signatures, said: NDArray[np.bool_]) -> tuple[NDArray[np.float64], Places]:
        """For each row the largest estimated Jaccard index with a row that is held, and that row's number; (0, 0) where none is near."""
        keys = self._keys(signatures)
        last = self._last.get(keys.reshape(-1, 1)).reshape(keys.shape)
        last[~said] = 0
        found = self._candidates(last, signatures.astype(np.uint16))
        best, which = np.zeros(len(keys)), np.zeros(len(keys), np.int64)
        order = np.lexsort((-found.other, found.overlap))  # the largest last, of equal ones the first that was held
        best[found.row[order]], which[found.row[order]] = found.overlap[order], found.other[order]
        return best, which

    def _keys(self, signatures: Signatures) -> NDArray[np.uint32]:
        """A number for each band of each row (rows × bands)."""
        cut = signatures[:, : self._bands * self._width].reshape(-1, self._bands, self._width).astype(np.uint64)
        keys = np.arange(self._bands, dtype=np.uint64) * SPREAD[HASHES] + np.zeros((len(cut), 1), np.uint64)
        for i in range(self._width):
            keys = (keys ^ cut[:, :, i]) * SPREAD[i]
            keys ^= keys >> np.uint64(29)
        short: NDArray[np.uint32] = (keys * SPREAD[HASHES] >> np.uint64(32)).astype(np.uint32)
        return short

    def _candidates(self, last: NDArray[np.uint32], numbers: NDArray[np.uint16]) -> _Candidates:
        """The last MATES kept rows of each key of each row."""
        at = np.flatnonzero(last)
        node = last.ravel()[at].astype(np.int64)
        parts = []
        for step in range(MATES):
            if not len(at):
                break
            parts.append((at, node, np.full(len(at), step)))
            node = self._before.array.ravel()[node - 1].astype(np.int64)
            at, node = at[node > 0], node[node > 0]
        if not parts:
            none = np.zeros(0, np.int64)
            return _Candidates(none, none, none, none, np.zeros(0))
        at, node, steps = (np.concatenate(part) for part in zip(*parts))
        order = np.argsort(at, kind="stable")
        row, band = np.divmod(at[order], self._bands)
        other = (node[order] - 1) // self._bands
        return _Candidates(row, other, band, steps[order], self._overlap(numbers, row, other))

    def _overlap(self, numbers: NDArray[np.uint16], row: Places, other: Places) -> NDArray[np.float64]:
        """The share of equal numbers of each pair; each different pair is looked at once."""
        pairs, which = np.unique(row * (len(self._numbers) + 1) + other, return_inverse=True)
        rows, others = np.divmod(pairs, len(self._numbers) + 1)
        shares = np.empty(len(pairs))
        for start in range(0, len(pairs), PAIRS):
            part = slice(start, start + PAIRS)
            shares[part] = (numbers[rows[part]] == self._numbers.array[others[part]]).mean(axis=1)
        return shares[which]

    def _among_themselves(
        self,
        keys: NDArray[np.uint32],
        numbers: NDArray[np.uint16],
        said: NDArray[np.bool_],
        found: _Candidates,
        best: NDArray[np.float64],
    ) -> None:
        """Enter in `best` what the rows that share a key with each other say, in their order."""
        known, counts = np.unique(keys[said], return_counts=True)
        shared = np.isin(keys, known[counts > 1]) & said[:, None]
        mates: dict[int, list[int]] = defaultdict(list)  # key → rows of this batch that stay
        for row in np.flatnonzero(shared.any(axis=1)).tolist():
            mine = keys[row, shared[row]].tolist()
            others = list({other for key in mine for other in mates[key][-MATES:]})
            if others:
                newer = np.zeros(self._bands, np.int64)
                newer[shared[row]] = [len(mates[key]) for key in mine]
                start, end = np.searchsorted(found.row, (row, row + 1))
                near = found.step[start:end] + newer[found.band[start:end]] < MATES
                best[row] = found.overlap[start:end][near].max(initial=0.0)
                best[row] = max(best[row], (numbers[others] == numbers[row]).mean(axis=1).max())
            if best[row] < self.threshold:
                for key in mine:
                    mates[key].append(row)

    def _remember(self, keys: NDArray[np.uint32], numbers: NDArray[np.uint16], last: NDArray[np.uint32]) -> None:
        first = len(self._numbers) * self._bands + 1
        if first + keys.size >= 1 << 32:
            raise SynthgainError(
                f"near-duplicate holds {(1 << 32) // self._bands:,} rows at most",
                where="near-duplicate",
                next="leave it out with --without near-duplicate, or make several runs",
            )
        nodes = np.arange(first, first + keys.size, dtype=np.int64).astype(np.uint32)
        order = np.argsort(keys.ravel(), kind="stable")  # equal keys side by side, in the rows' order
        ordered = keys.ravel()[order]
        begins = np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]
        before = np.where(begins, last.ravel()[order], np.roll(nodes[order], 1))
        by_node = np.empty_like(nodes)
        by_node[order] = before
        self._numbers.add(numbers)
        self._before.add(by_node.reshape(keys.shape))
        ends = np.append(begins[1:], True)[: len(ordered)]
        self._last.put(ordered[ends].reshape(-1, 1), nodes[order][ends])


def rows_in_band(threshold: float) -> int:
    """The widest band with which a pair at the threshold becomes a candidate with probability RECALL or more."""
    for rows in range(HASHES, 1, -1):
        bands = HASHES // rows
        if 1 - (1 - threshold**rows) ** bands >= RECALL:
            return rows
    return 1


class _Growing:
    """Rows of numbers, one after another in one array."""

    def __init__(self, width: int, kind: DTypeLike) -> None:
        self.array: NDArray[Any] = np.zeros((1_024, width), kind)
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def add(self, rows: NDArray[Any]) -> None:
        end = self._n + len(rows)
        if end > len(self.array):  # in place, so that old and new are not held together
            self.array.resize((max(end, int(len(self.array) * WIDER)), self.array.shape[1]), refcheck=False)
        self.array[self._n : end] = rows
        self._n = end

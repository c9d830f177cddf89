"""Which items of other sets stand in rows: runs of 13 words that both have.

The run of 13 words is GPT-3's measure of contamination (Brown et al., arXiv 2005.14165, appendix C), without its thresholds: each item that
shares one is named. A run that stands in more than `COMMON` items is a phrase of that set's template and no evidence. Items of fewer than
13 words have no run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from synthgain.words import scrambled, words

SPAN = 13  # words
COMMON = 3  # items
BATCH = 1_024  # texts at once
MOST = 1 << 26  # runs that are held: 1 GB

Hashes = NDArray[np.uint64]
Ints = NDArray[np.int64]


class Leaks:
    """The runs of many items, which texts are looked up in. 16 bytes a run."""

    def __init__(self, texts: Iterable[str]) -> None:
        source, start = iter(texts), 0
        found: list[tuple[Hashes, Ints]] = []
        self.runs = 0  # held or not
        self.read = 0  # items whose runs are held: all, unless there are too many
        while some := list(islice(source, BATCH)):
            hashes, owners = runs(some)
            self.runs += len(hashes)
            if self.runs <= MOST:
                found.append((hashes, owners + start))
                self.read = start + len(some)
            start += len(some)
        self.items = start
        hashes = np.concatenate([h for h, _ in found]) if found else np.zeros(0, np.uint64)
        owners = np.concatenate([o for _, o in found]) if found else np.zeros(0, np.int64)
        self.has_runs = np.zeros(start, np.bool_)
        self.has_runs[owners] = True
        order = np.lexsort((owners, hashes))
        hashes, owners = hashes[order], owners[order]
        once = np.ones(len(hashes), np.bool_)
        once[1:] = (hashes[1:] != hashes[:-1]) | (owners[1:] != owners[:-1])
        hashes, owners = hashes[once], owners[once]
        _, _begins, counts = np.unique(hashes, return_index=True, return_counts=True)
        rare = np.repeat(counts <= COMMON, counts)
        self.common = int((counts > COMMON).sum())  # runs that are no evidence
        self._hashes, self._owners = hashes[rare], owners[rare]

    def find(self, texts: Sequence[str]) -> list[dict[int, int]]:
        """For each text the items that share a run with it, and how many runs each shares."""
        hashes, whose = runs(texts)
        low = np.searchsorted(self._hashes, hashes, "left")
        high = np.searchsorted(self._hashes, hashes, "right")
        pairs: list[tuple[int, int]] = []
        for step in range(COMMON):
            some = np.flatnonzero(low + step < high)
            pairs += zip(whose[some].tolist(), self._owners[low[some] + step].tolist())
        shared: list[dict[int, int]] = [{} for _ in texts]
        for text, item in pairs:
            shared[text][item] = shared[text].get(item, 0) + 1
        return shared


def runs(texts: Sequence[str], n: int = SPAN) -> tuple[Hashes, Ints]:
    """A 64-bit hash of every run of `n` words of the texts (good within this process only), and the place of its text."""
    said = [words(text) for text in texts]
    sizes = np.fromiter(map(len, said), np.int64, len(said))
    total = int(sizes.sum())
    if total < n:
        return np.zeros(0, np.uint64), np.zeros(0, np.int64)
    key = np.fromiter(map(hash, chain.from_iterable(said)), np.int64, total).view(np.uint64)
    whose = np.repeat(np.arange(len(said)), sizes)
    mixed = np.zeros(total - n + 1, np.uint64)
    for i in range(n):
        mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + scrambled(key[i : i + len(mixed)])
    whole = whose[: len(mixed)] == whose[n - 1 :]
    return scrambled(mixed[whole]), whose[: len(mixed)][whole]

"""Which items of other sets stand in rows: runs of words that both have.

The run of 13 words is GPT-3's measure of contamination (Brown et al., arXiv 2005.14165, appendix C). One alone says little: of code, where
operators are words, it is a line or two, and "is it a prime" is written alike by everybody. So the share of an item's runs that stand in a
text is told. An item of 8 to 12 words is looked for by its runs of 8; a shorter one is not. A run that stands in more than `COMMON`
items is a phrase of a set's template and no evidence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from synthgain.words import scrambled, words

SPAN, SHORT = 13, 8  # words
ENOUGH, ENOUGH_OF_FEW = (
    0.25,
    0.5,
)  # share of an item's runs from which it is in a text; of a short item, which has five at most
COMMON = 3  # items
BATCH = 1_024  # texts at once
MOST = 1 << 26  # runs that are held: 1 GB

Hashes = NDArray[np.uint64]
Ints = NDArray[np.int64]


class Leaks:
    """The runs of many items, which texts are looked up in. 16 bytes a run."""

    def __init__(self, texts: Iterable[str]) -> None:
        long, short = _Building(SPAN), _Building(SHORT)
        source, items = iter(texts), 0
        while some := [words(text) for text in islice(source, BATCH)]:
            long.add(some, items)
            short.add([said if len(said) < SPAN else [] for said in some], items)
            items += len(some)
        self._known = [building.done(items) for building in (long, short)]
        self.has_runs = (self._known[0].sizes + self._known[1].sizes) > 0
        self.enough = np.where(
            self._known[0].sizes > 0, ENOUGH, ENOUGH_OF_FEW
        )  # of each item: the share from which it is in a text
        self.common = sum(known.common for known in self._known)  # runs that are no evidence

    def find(self, texts: Sequence[str]) -> list[dict[int, float]]:
        """For each text the items that share a run with it, and the share of each one's runs that stand in the text."""
        said = [words(text) for text in texts]
        shared: list[dict[int, float]] = [{} for _ in texts]
        for known in self._known:
            for (text, item), n in Counter(known.pairs(said)).items():
                shared[text][item] = n / int(known.sizes[item])
        return shared


class _Building:
    """Runs of `n` words as they are read."""

    def __init__(self, n: int) -> None:
        self.n, self.held = n, 0
        self.parts: list[tuple[Hashes, Ints]] = []

    def add(self, said: Sequence[Sequence[str]], start: int) -> None:
        hashes, owners = runs(said, self.n)
        self.held += len(hashes)
        if self.held <= MOST:
            self.parts.append((hashes, owners + start))

    def done(self, items: int) -> _Known:
        hashes = np.concatenate([h for h, _ in self.parts] or [np.zeros(0, np.uint64)])
        owners = np.concatenate([o for _, o in self.parts] or [np.zeros(0, np.int64)])
        return _Known(hashes, owners, items, self.n)


class _Known:
    """Runs of `n` words by their hash, with the items that they are of: sorted, each pair once."""

    def __init__(self, hashes: Hashes, owners: Ints, items: int, n: int) -> None:
        order = np.lexsort((owners, hashes))
        hashes, owners = hashes[order], owners[order]
        once = np.ones(len(hashes), np.bool_)
        once[1:] = (hashes[1:] != hashes[:-1]) | (owners[1:] != owners[:-1])
        hashes, owners = hashes[once], owners[once]
        counts = np.unique(hashes, return_counts=True)[1]
        rare = np.repeat(counts <= COMMON, counts)
        self.n, self.common = n, int((counts > COMMON).sum())
        self.hashes, self.owners = hashes[rare], owners[rare]
        self.sizes = np.bincount(self.owners, minlength=items)  # of each item the runs that are evidence

    def pairs(self, said: Sequence[Sequence[str]]) -> list[tuple[int, int]]:
        """(text, item) for each different run that both have."""
        hashes, whose = runs(said, self.n)
        low, high = (np.searchsorted(self.hashes, hashes, side) for side in ("left", "right"))
        found = []
        for step in range(COMMON):
            some = np.flatnonzero(low + step < high)
            found.append(np.column_stack([whose[some], low[some] + step]))
        once = np.unique(np.concatenate(found), axis=0)  # a run that stands twice in a text is one
        return [(text, int(self.owners[place])) for text, place in once.tolist()]


def runs(said: Sequence[Sequence[str]], n: int) -> tuple[Hashes, Ints]:
    """A 64-bit hash of every run of `n` words of the texts (good within this process only), and the place of its text."""
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

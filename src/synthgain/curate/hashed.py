"""What a fold remembers of rows gone by: digests, in hash tables that are numpy arrays.

A Python set of a million digests holds 130 bytes for each; these hold 23 to 34, and look up a shard at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

FULL = 0.75  # share of the places that may be taken
WIDER = 1.5  # by which a full table grows
MOVED = 1 << 16  # entries that are moved at a time when a table grows
Keys = NDArray[Any]  # keys × words, unsigned integers
Flags = NDArray[np.bool_]


class HashTable:
    """Keys to numbers above 0, many at a time (open addressing, linear probing). 0 says that a key is not there.

    A key is `words` unsigned integers, and the first of them must be spread evenly over all it can be, as digests are.
    """

    def __init__(self, words: int, key: DTypeLike, value: DTypeLike) -> None:
        self._keys = [np.zeros(1_024, key) for _ in range(words)]
        self._values = np.zeros(1_024, value)
        self._taken = 0

    def get(self, keys: Keys) -> NDArray[Any]:
        """The number of each key."""
        return self._values[self._places(keys)]

    def put(self, keys: Keys, values: NDArray[Any]) -> None:
        """Set the numbers of keys that all differ."""
        if self._taken + len(keys) > FULL * len(self._values):
            self._grow(self._taken + len(keys))
        places = self._places(keys)
        self._taken += int((self._values[places] == 0).sum())
        left = np.arange(len(keys))
        while len(left):
            at = places[left]
            free = self._values[at] == 0
            for word, column in enumerate(self._keys):  # of new keys that want one place the last gets it
                column[at[free]] = keys[left[free], word]
            self._values[at[free]] = values[left[free]]
            mine = ~self._others(at, keys[left])
            self._values[at[mine]] = values[left[mine]]
            left = left[~mine]
            places[left] = self._places(keys[left])

    def _places(self, keys: Keys) -> NDArray[np.int64]:
        """Where each key stands, or the free place where it would."""
        size = len(self._values)
        high = keys[:, 0].astype(np.uint64)
        if keys.dtype.itemsize == 8:
            high >>= np.uint64(32)
        places = (high * np.uint64(size) >> np.uint64(32)).astype(np.int64)
        left = np.arange(len(keys))
        while len(left):
            at = places[left]
            left = left[(self._values[at] != 0) & self._others(at, keys[left])]
            places[left] += 1
            places[left[places[left] == size]] = 0
        return places

    def _others(self, places: NDArray[np.int64], keys: Keys) -> Flags:
        """Whether another key than this stands in each place."""
        other: Flags = self._keys[0][places] != keys[:, 0]
        for word, column in enumerate(self._keys[1:], 1):
            other |= column[places] != keys[:, word]
        return other

    def _grow(self, wanted: int) -> None:
        size = len(self._values)
        while wanted > FULL * size:
            size = int(size * WIDER)
        keys, values = self._keys, self._values
        self._keys, self._values = [np.zeros(size, column.dtype) for column in keys], np.zeros(size, values.dtype)
        self._taken = 0
        for start in range(0, len(values), MOVED):
            there = np.flatnonzero(values[start : start + MOVED]) + start
            self.put(np.column_stack([column[there] for column in keys]), values[there])


class Seen:
    """Which 16-byte digests came before."""

    def __init__(self) -> None:
        self._table = HashTable(2, np.uint64, np.uint8)

    def first(self, digests: Sequence[bytes]) -> Flags:
        """Whether each comes for the first time; from then on all of them have come."""
        keys = np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)
        new: Flags = self._table.get(keys) == 0
        order = np.lexsort((keys[:, 1], keys[:, 0]))  # equal ones side by side, in their order
        new[order[1:]] &= (keys[order[1:]] != keys[order[:-1]]).any(axis=1)
        self._table.put(keys[new], np.ones(int(new.sum()), np.uint8))
        return new

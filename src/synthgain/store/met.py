"""Which ids came before: 8 bytes each, in sorted arrays that are merged as they grow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class Met:
    """Remembers ids (hexadecimal digests) by their first 64 bits: two of a million different ones are alike once in 10⁷ runs."""

    def __init__(self) -> None:
        self._runs: list[NDArray[np.uint64]] = []

    def new(self, ids: Sequence[str]) -> list[bool]:
        """For each id whether it is met for the first time, in their order."""
        keys = np.array([int(id[:16], 16) for id in ids], np.uint64)
        first = np.zeros(len(keys), np.bool_)
        first[np.unique(keys, return_index=True)[1]] = True
        for run in self._runs:
            at = np.minimum(np.searchsorted(run, keys), len(run) - 1)
            first &= run[at] != keys
        if first.any():
            self._add(np.sort(keys[first]))
        found: list[bool] = first.tolist()
        return found

    def _add(self, run: NDArray[np.uint64]) -> None:
        while self._runs and len(self._runs[-1]) <= 2 * len(run):
            run = np.sort(np.concatenate([self._runs.pop(), run]))
        self._runs.append(run)

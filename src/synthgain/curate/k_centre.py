"""Rows far apart from each other (a selection): the greedy k-centre."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from synthgain.curate.chosen import Floats, Keys, Vectors, check_size, flags, keyed, size, vector_parts, verdicts
from synthgain.types import Verdict

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class KCentre:
    """Keeps `n` rows (or the `share`) that cover the set: each next one is the row whose nearest chosen row is farthest (by cosine).

    The greedy of Gonzalez (Theoretical Computer Science 38, 1985), within twice the best covering radius; as core-set selection of Sener and
    Savarese (arXiv 1708.00489). The first row is drawn by content and `seed`. It likes what is odd: outliers and damaged rows come first, so put
    checks before it. Vectors are the run's embedder's, memory-mapped. Cost: n products of all rows' vectors with one (100,000 rows of 256
    dimensions, n = 1,000: 26 billion multiplications).
    """

    n: int = 1_000
    share: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_size(self.n, self.share, self.name)

    @property
    def name(self) -> str:
        return "k-centre"

    @property
    def columns(self) -> tuple[str, ...]:
        return ("id", "vector")

    @property
    def selects(self) -> Literal[True]:
        return True

    def __call__(self, table: pa.Table) -> Sequence[Verdict]:
        if not len(table):
            return []
        stays, nearest = centres(table, size(len(table), self.n, self.share), keyed(table, f"k-centre {self.seed}"))
        return verdicts(flags(len(table), stays), "near a row that is kept", nearest)


def centres(table: pa.Table, n: int, ties: Keys) -> tuple[list[int], Floats]:
    """The places of `n` centres in the order in which they are chosen, and each row's cosine to the nearest of them."""
    parts, vectors = vector_parts(table), Vectors(table)
    nearest = np.full(len(table), -np.inf, np.float32)
    found = [int(np.argmin(ties))]
    while True:
        centre, start = vectors[np.array(found[-1:], np.int64)][0], 0
        for part in parts:
            here = nearest[start : start + len(part)]
            np.maximum(here, part @ centre, out=here)
            start += len(part)
        nearest[found[-1]] = np.inf  # chosen: never the farthest again
        if len(found) == n:
            break
        far = np.flatnonzero(nearest == nearest.min())
        found.append(int(far[np.argmin(ties[far])]))
    return found, nearest.astype(np.float64)


CHECK = KCentre

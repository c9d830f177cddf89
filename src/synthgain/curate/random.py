"""A random part of the set (a selection): the arm that every other selection has to beat at equal size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from synthgain.curate.chosen import check_size, flags, keyed, size, verdicts
from synthgain.types import Verdict

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Random:
    """Keeps `n` rows drawn without replacement, or where `share` is above 0 that share of them.

    The draw is keyed by a row's content and `seed`: rows that are there in two sets are drawn alike in both, whatever their order. Cost: one
    hash a row and a sort.
    """

    n: int = 1_000
    share: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_size(self.n, self.share, self.name)

    @property
    def name(self) -> str:
        return "random"

    @property
    def columns(self) -> tuple[str, ...]:
        return ("id",)

    @property
    def selects(self) -> Literal[True]:
        return True

    def __call__(self, table: pa.Table) -> Sequence[Verdict]:
        drawn = np.argsort(keyed(table, f"random {self.seed}"), kind="stable")
        return verdicts(flags(len(table), drawn[: size(len(table), self.n, self.share)]), "not drawn")


CHECK = Random

"""Rows whose learning curve follows that of the whole set (a selection): LIMR's learning impact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from synthgain.curate.chosen import Floats, best, check_size, flags, keyed, number, of_fields, size, verdicts
from synthgain.curate.lacking import of_row
from synthgain.types import Anchor, Row, Verdict, drop

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class LIMR:
    """Keeps rows whose learning impact is `least` or more; of these the highest, up to the `share` of all rows (or with share 0 up to `n`).

    Li et al. (GAIR, 2025), LIMR; code GAIR-NLP/LIMR (`lim/lim_selection.py`). A row's field `rewards` holds its reward at each epoch of a training run
    (in the code the share of its samples that were right); `synthgain score DATA -o OUT --log LOG` puts it there. With the mean curve over all
    rows, the impact is 1 − Σ(reward − mean)² / Σ(1 − mean)²: 1 for a row that follows the mean, and below 0 for one far from it. 0.6 is the paper's limit and
    the shell script's (the code's own default is 0.2); the code keeps what is equal to it.

    As in the code, an epoch at which a row was not seen takes the value of the epoch after it; a row that then still has a gap falls and is counted (the
    paper scored 7,935 of 8,523). The score costs the training run that it is read from. Cost here: linear in rows × epochs, and a sort.
    """

    least: float = 0.6
    share: float = 1.0
    n: int = 1_000
    rewards: str = "rewards"

    def __post_init__(self) -> None:
        check_size(self.n, self.share, self.name)

    @property
    def name(self) -> str:
        return "limr"

    @property
    def columns(self) -> tuple[str, ...]:
        return ("id", "fields")

    @property
    def selects(self) -> Literal[True]:
        return True

    def __call__(self, table: pa.Table) -> Sequence[Verdict]:
        curves = _curves([fields.get(self.rewards) for fields in of_fields(table)])
        scores = learning_impact(curves)
        follows = np.where(scores >= self.least, scores, np.nan)
        stays = best(follows, keyed(table, self.name), size(len(table), self.n, self.share))
        found = verdicts(flags(len(table), stays), "lower than others", scores, "no rewards of every epoch")
        for place in np.flatnonzero(scores < self.least).tolist():
            found[place] = drop("does not follow the mean learning curve", round(float(scores[place]), 6))
        return found

    def lacks(self, row: Row | None, anchors: Sequence[Anchor]) -> str | None:
        """The field that it reads, where the row has none."""
        return of_row(row, self.rewards)


def _curves(rewards: Sequence[object]) -> Floats:
    """Rewards as rows × epochs, NaN where one is missing; as many epochs as the longest list has."""
    lists = [one if isinstance(one, list) else [] for one in rewards]
    found = np.full((len(lists), max(map(len, lists), default=0)), np.nan)
    for row, one in enumerate(lists):
        found[row, : len(one)] = [number(reward) for reward in one]
    return found


def learning_impact(curves: Floats) -> Floats:
    """The impact of each row (rows × epochs, NaN: not seen); NaN for a row with a gap that the epoch after it cannot fill.

    Where every row is right at every epoch nothing can be learnt: 1 for the rows that are always right, and NaN for the others.
    """
    if not curves.size:
        return np.full(len(curves), np.nan)
    filled = _filled(curves)
    whole = ~np.isnan(filled).any(axis=1)
    if not whole.any():
        return np.full(len(curves), np.nan)
    mean = filled[whole].mean(axis=0)
    apart = ((filled - mean) ** 2).sum(axis=1)
    room = float(((1 - mean) ** 2).sum())
    if room == 0:
        return np.where(whole & (apart == 0), 1.0, np.nan)
    return np.where(whole, 1 - apart / room, np.nan)


def _filled(curves: Floats) -> Floats:
    """A gap takes the value of the epoch after it, where that was seen."""
    after = np.concatenate([curves[:, 1:], np.full((len(curves), 1), np.nan)], axis=1)
    return np.where(np.isnan(curves), after, curves)


CHECK = LIMR

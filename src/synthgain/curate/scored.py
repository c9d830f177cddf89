"""Rows to which a judge gave too low a score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from synthgain.types import Anchor, Row, Verdict, drop, keep


@dataclass(frozen=True)
class Scored:
    """Drops a row whose field `field` is below `least`, or holds no number: a judge's score that a draft bought.

    Rows that a person wrote (field `human`) stay. The number is the score of the verdict.
    """

    least: float = 4.0
    field: str = "score"

    @property
    def name(self) -> str:
        return "scored"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        if row.fields.get("human"):
            return keep()
        score = row.fields.get(self.field)
        if isinstance(score, bool) or not isinstance(score, int | float):
            return drop("has no score")
        return keep(score) if score >= self.least else drop("scored too low", score)


CHECK = Scored

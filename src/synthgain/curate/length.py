"""Rows that are too short or too long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from synthgain.types import Anchor, Row, Verdict, drop, keep


@dataclass(frozen=True)
class Length:
    """Drops an answer of fewer than `least` or more than `most` words (runs between spaces)."""

    least: int = 5
    most: int | None = None

    @property
    def name(self) -> str:
        return "length"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        n = len(row.answer.split())
        if n < self.least:
            return drop("too short", n)
        if self.most is not None and n > self.most:
            return drop("too long", n)
        return keep()


CHECK = Length

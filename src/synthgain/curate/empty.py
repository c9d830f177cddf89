"""Rows without text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from synthgain.types import Anchor, Row, Verdict, drop, keep


@dataclass(frozen=True)
class NotEmpty:
    """Drops a row whose answer holds no letter or digit."""

    @property
    def name(self) -> str:
        return "empty"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        return keep() if any(c.isalnum() for c in row.answer) else drop("no text")


CHECK = NotEmpty

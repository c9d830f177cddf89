"""Rows of which a field says that they are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from synthgain.types import Anchor, Row, Verdict, drop, keep


@dataclass(frozen=True)
class TrueField:
    """Drops a row whose field `field` is there and not true: what a judge said, bought in the draft.

    A row without the field stays (nobody was asked); one whose field is null falls, because the judge's answer could not be read.
    """

    field: str = "verified"

    @property
    def name(self) -> str:
        return "true-field"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        if self.field not in row.fields:
            return keep()
        value = row.fields[self.field]
        if value is None:
            return drop(f"the field {self.field} is empty")
        return keep() if value is True else drop(f"the field {self.field} is not true")


CHECK = TrueField

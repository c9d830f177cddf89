"""Rows of which a field says that they are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from synthgain.curate.lacking import of_row
from synthgain.types import Anchor, Row, Verdict, drop, keep


@dataclass(frozen=True)
class TrueField:
    """Drops a row whose field `field` is not true: what a judge said, bought in the draft. The text "true" counts (a CSV has nothing else).

    A row falls too where the field is missing (nobody was asked) or null (the judge's answer could not be read): nobody vouches for it. One that a person wrote (field `human`) stays.
    """

    field: str = "verified"

    @property
    def name(self) -> str:
        return "true-field"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        if row.fields.get("human"):
            return keep()
        value = row.fields.get(self.field)
        if value is None:
            return drop(f"the field {self.field} is empty")
        return (
            keep()
            if value is True or str(value).strip().lower() == "true"
            else drop(f"the field {self.field} is not true")
        )

    def lacks(self, row: Row | None, anchors: Sequence[Anchor]) -> str | None:
        """The field that it reads, where the row has none."""
        return of_row(row, self.field)

    def unread(self, row: Row) -> str | None:
        """What was judged, where it is null."""
        if self.field not in row.fields:
            return None
        return f"true or false in the field {self.field!r}" if row.fields[self.field] is None else ""


CHECK = TrueField

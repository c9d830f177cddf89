"""What a check judges by and does not find, as its method `lacks` says it: see docs/write-a-check.md."""

from __future__ import annotations

from collections.abc import Iterable

from synthgain.turns import is_blank
from synthgain.types import Anchor, Row


def of_row(row: Row | None, *names: str) -> str | None:
    """The first of these fields that a row has not, in words; "" where it has all, None where there is no row yet. A field that is null is there."""
    return None if row is None else _first(names, row.fields)


def of_anchors(anchors: Iterable[Anchor], *names: str) -> str:
    """The first of these fields in which nothing stands in any of the anchors, in words; "" where they have all."""
    return _first(names, {name for anchor in anchors for name, value in anchor.fields.items() if not is_blank(value)})


def _first(names: Iterable[str], held: Iterable[str]) -> str:
    return next((f"the field {name!r}" for name in names if name not in held), "")

"""Rows whose field is almost what another row's is (a fold): near-duplicates of what rows were made from, such as personas."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from synthgain.curate.banding import Kept
from synthgain.curate.lacking import of_row
from synthgain.types import Anchor, Judge, Row, SynthgainError, Verdict, drop, keep
from synthgain.words import signatures

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class NearField:
    """Keeps the rows of the first of those texts in the field `field` whose sets of word `n`-grams overlap by `threshold` or more.

    Rows that follow one another with the same text and anchors were made from one thing and stay or fall together. Rows without the field stay. The
    defaults are Persona Hub's for people: single words, 128 numbers, 0.9.
    """

    field: str = "persona"
    threshold: float = 0.9
    n: int = 1

    def __post_init__(self) -> None:
        if not 0.0 < self.threshold <= 1.0:
            raise SynthgainError(f"threshold lies between 0 and 1, not {self.threshold}", where="near-field")
        if self.n < 1:
            raise SynthgainError(f"n is 1 or more, not {self.n}", where="near-field")

    @property
    def name(self) -> str:
        return "near-field"

    @property
    def columns(self) -> tuple[str, ...]:
        return ("fields", "anchor_ids")

    def begin(self) -> Judge:
        """A judge that remembers the signatures of the texts that it kept."""
        kept = Kept(self.threshold)
        last: tuple[object, Verdict] = (None, keep())

        def judge(table: pa.Table) -> Sequence[Verdict]:
            nonlocal last
            verdicts: list[Verdict] = []
            for key, rows in groupby(self._keys(table)):
                if key != last[0]:
                    near = kept.take(*signatures([key[0]], self.n))[0] if key[0] else None
                    why = f"its {self.field} is close to an earlier one"
                    last = key, keep() if near is None else drop(why, round(near, 4))
                verdicts += [last[1] for _ in rows]
            return verdicts

        return judge

    def lacks(self, row: Row | None, anchors: Sequence[Anchor]) -> str | None:
        """The field that it reads, where the row has none."""
        return of_row(row, self.field)

    def _keys(self, table: pa.Table) -> list[tuple[str, tuple[str, ...]]]:
        """Of each row the field, "" where it has none, and its anchors."""
        fields, ids = (table.column(name).to_pylist() for name in self.columns)
        held = [json.loads(text).get(self.field) if text else None for text in fields]
        return [(value if isinstance(value, str) else "", tuple(of or ())) for value, of in zip(held, ids)]


CHECK = NearField

"""As many tokens of each kind of row (a selection)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from synthgain.curate.lacking import of_row
from synthgain.passages import tokens
from synthgain.types import Anchor, Row, SynthgainError, Verdict, digest, drop, keep

if TYPE_CHECKING:
    import pyarrow as pa

NINTHS = 9  # of a token: 4/3 of a word and 1/4.5 of a byte are whole numbers of them
KEY = "43"  # SPA's code draws the samples of a prompt with this seed


@dataclass(frozen=True)
class Balanced:
    """Keeps of each kind of row as many tokens as the kind with the fewest has, and up to `over` of that more.

    The kind is the field `field`; rows without it are a kind of their own. Tokens are estimated (`passages`). Which rows of a kind stay is
    drawn by a key of their content, so it does not depend on their order; a kind's last row may go over the limit.
    """

    field: str = "prompt"
    over: float = 0.0

    def __post_init__(self) -> None:
        if self.over < 0:
            raise SynthgainError(f"over is 0 or more, not {self.over}", where="balanced")

    @property
    def name(self) -> str:
        return "balanced"

    @property
    def columns(self) -> tuple[str, ...]:
        return ("id", "text", "fields")

    @property
    def selects(self) -> Literal[True]:
        return True

    def __call__(self, table: pa.Table) -> Sequence[Verdict]:
        kinds = [json.loads(fields or "{}").get(self.field) for fields in table.column("fields").to_pylist()]
        texts = (text or "" for batch in table.column("text").chunks for text in batch.to_pylist())
        sizes = [
            round(NINTHS * tokens(text)) for text in texts
        ]  # whole numbers, so that sums do not depend on the order
        keys = [digest(KEY, id) for id in table.column("id").to_pylist()]
        rows: dict[str, list[int]] = {}
        for row, kind in enumerate(kinds):
            rows.setdefault(json.dumps(kind), []).append(row)
        share = min((sum(sizes[row] for row in of) for of in rows.values()), default=0) * (1 + self.over)
        verdicts: list[Verdict] = [keep()] * len(kinds)
        for of in rows.values():
            held = 0
            for row in sorted(of, key=keys.__getitem__):
                if held >= share:
                    verdicts[row] = drop("more tokens than the other kinds have")
                else:
                    held += sizes[row]
        return verdicts

    def lacks(self, row: Row | None, anchors: Sequence[Anchor]) -> str | None:
        """The field that it reads, where the row has none."""
        return of_row(row, self.field)


CHECK = Balanced

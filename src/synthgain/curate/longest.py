"""The rows with the longest answers (a selection)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from synthgain.curate.chosen import best, check_size, flags, keyed, number, of_fields, size, verdicts
from synthgain.curate.lacking import of_row
from synthgain.types import Anchor, Row, SynthgainError, Verdict

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("answer", "prompt", "text")


@dataclass(frozen=True)
class Longest:
    """Keeps the `n` rows (or the `share`) that are longest in `by`: answer, prompt or text, in characters; or a field with a number.

    `longest:by=trace_tokens` is s1's longest-only arm (arXiv 2501.19393). A plain baseline, and a strong one: judges of answers like long ones,
    and many rows of equal number are then many more tokens; compare it with `random` at equal tokens too. Cost: linear, and a sort.
    """

    n: int = 1_000
    share: float = 0.0
    by: str = "answer"

    def __post_init__(self) -> None:
        check_size(self.n, self.share, self.name)
        if not self.by:
            raise SynthgainError("by names what is measured: answer, prompt, text or a field", where=self.name)

    @property
    def name(self) -> str:
        return "longest"

    @property
    def columns(self) -> tuple[str, ...]:
        return ("id", self.by if self.by in COLUMNS else "fields")

    @property
    def selects(self) -> Literal[True]:
        return True

    def lacks(self, row: Row | None, anchors: Sequence[Anchor]) -> str | None:
        """The field that it reads, where it reads one and the row has none."""
        return "" if self.by in COLUMNS else of_row(row, self.by)

    def __call__(self, table: pa.Table) -> Sequence[Verdict]:
        if self.by in COLUMNS:
            import pyarrow.compute as pc

            lengths = pc.fill_null(pc.utf8_length(table.column(self.by)), 0).to_numpy().astype(np.float64)
        else:
            lengths = np.array([number(fields.get(self.by)) for fields in of_fields(table)], np.float64)
        stays = best(lengths, keyed(table, self.name), size(len(table), self.n, self.share))
        return verdicts(flags(len(table), stays), "shorter than others", lengths, f"no number in the field {self.by}")


CHECK = Longest

"""Rows that a judge gave too low a score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from synthgain.types import Anchor, Row, Verdict, drop, keep


@dataclass(frozen=True)
class Judged:
    """Drops a row whose score in the field `field` is below `least`, or could not be read. Of a list of scores the lowest counts.

    The score is bought in the recipe's draft, so another limit costs nothing. Rows without the field were not judged, and stay. The default is
    MGA's: of a fidelity from 1 to 5 it keeps 3 and above, not only the best.
    """

    least: float = 3
    field: str = "fidelity"

    @property
    def name(self) -> str:
        return "judged"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        if self.field not in row.fields:
            return keep()
        said = row.fields[self.field]
        scores = said if isinstance(said, list | tuple) else [said]
        if not scores or any(isinstance(one, bool) or not isinstance(one, int | float) for one in scores):
            return drop("the judge gave no score")
        lowest = min(scores)
        return (
            drop(f"the judge's {self.field} is below {self.least:g}", lowest) if lowest < self.least else keep(lowest)
        )


CHECK = Judged

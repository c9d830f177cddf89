"""Whether a score that a recipe has bought, a judge's or a reward model's, is high enough."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from synthgain.curate.chosen import number
from synthgain.curate.lacking import of_row
from synthgain.types import Anchor, Row, Verdict, drop, keep


@dataclass(frozen=True)
class JudgeScore:
    """Drops a row whose score in the field `field` is below `least`. Of a list of scores (one for each passage) the lowest counts.

    The score may be a judge's on any scale, or a reward model's, and a text that is a number (a CSV has nothing else). The recipe's draft buys it and puts it into the row (`judges.py` has the prompts, and what
    reads their answers), so another `least` costs nothing. A row without a score falls, whether the field is missing or holds no number: nobody vouches for
    it. A row that a person wrote (field `human`) stays. The number is the score of the verdict.
    """

    least: float = 7.0
    field: str = "judge_score"

    @property
    def name(self) -> str:
        return "judge-score"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        if row.fields.get("human"):
            return keep()
        numbers = self._numbers(row)
        if not numbers or any(map(math.isnan, numbers)):
            return drop("has no score")
        lowest = min(numbers)
        return keep(lowest) if lowest >= self.least else drop("its score is too low", lowest)

    def lacks(self, row: Row | None, anchors: Sequence[Anchor]) -> str | None:
        """The field of the score, where the row has none."""
        return of_row(row, self.field)

    def unread(self, row: Row) -> str | None:
        """The score, where what is in its place is no number."""
        numbers = self._numbers(row) if self.field in row.fields else []
        if not numbers:
            return None
        return f"a number in the field {self.field!r}" if all(map(math.isnan, numbers)) else ""

    def _numbers(self, row: Row) -> list[float]:
        held = row.fields.get(self.field)
        return [number(score) for score in (held if isinstance(held, list | tuple) else [held])]


CHECK = JudgeScore

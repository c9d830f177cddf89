"""Whether a judge's score, which a recipe has bought, is high enough."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from synthgain.types import Anchor, Row, Verdict, drop, keep


@dataclass(frozen=True)
class JudgeScore:
    """Drops a row whose field `field` holds a score below `least`; the score may be a judge's (1 to 10) or a reward model's (any number).

    The recipe's draft buys the score and puts it into the row (`judges.py` has the prompts, and what reads their answers), so `least` can be
    changed by `curate` at no cost. A row without a score falls: the judge said none that can be read.
    """

    least: float = 7.0
    field: str = "judge_score"

    @property
    def name(self) -> str:
        return "judge-score"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        score = row.fields.get(self.field)
        if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
            return drop("no score of a judge")
        return keep(float(score)) if score >= self.least else drop("the judge's score is too low", float(score))


CHECK = JudgeScore

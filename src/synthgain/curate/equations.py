"""Whether the calculations in a solution are right."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from synthgain.curate.arithmetic import holds, plain
from synthgain.settings import at_least
from synthgain.types import Anchor, Row, Verdict, drop, keep

_ANNOTATION = re.compile(r"<<([^<>]{0,400})>>")


@dataclass(frozen=True)
class Equations:
    """Drops a solution in which a written calculation is wrong.

    As in RFT's code every annotated calculation `<<lhs=rhs>>` must be computable and hold within
    `tolerance`. Of our own: so must plain ones ("3 + 4 = 7"), where they can be read; "10 / 3 = 3.33" is off
    by more than the default tolerance and falls. A solution without calculations stays.
    """

    tolerance: float = 1e-3

    def __post_init__(self) -> None:
        at_least(self, "equations", tolerance=0)

    @property
    def name(self) -> str:
        return "equations"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        text = row.answer
        for annotated in _ANNOTATION.findall(text):
            if not holds(annotated, self.tolerance):
                return drop("an annotated calculation is wrong")
        for left, right in plain(text):
            if not holds(f"{left}={right}", self.tolerance):
                return drop("a calculation is wrong")
        return keep()


CHECK = Equations

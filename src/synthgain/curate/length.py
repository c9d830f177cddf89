"""Rows that are too short or too long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from synthgain.settings import at_least
from synthgain.types import Anchor, Row, SynthgainError, Verdict, drop, keep
from synthgain.words import count


@dataclass(frozen=True)
class Length:
    """Drops an answer of fewer than `least` or more than `most` words.

    Words are runs between spaces; of scripts without spaces, a character of Han or Kana counts as 2/3 of one, a letter of Thai as 1/2.
    """

    least: int = 5
    most: int | None = None

    def __post_init__(self) -> None:
        at_least(self, "length", least=0)
        if self.most is not None and self.most < self.least:
            raise SynthgainError(f"most ({self.most}) is below least ({self.least}): no row could stay", where="length")

    @property
    def name(self) -> str:
        return "length"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        n = count(row.answer)
        if n < self.least:
            return drop("too short", n)
        if self.most is not None and n > self.most:
            return drop("too long", n)
        return keep()


CHECK = Length

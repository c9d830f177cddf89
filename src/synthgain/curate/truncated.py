"""Rows that were cut off."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from synthgain.types import Anchor, Row, Verdict, drop, keep

_END = re.compile(r"""[.!?…。！？:;)\]}>|*`"'”’»」』]\s*$""")


@dataclass(frozen=True)
class Truncated:
    """Drops a row whose last answer ended because its tokens were used up.

    With `sentence` also a text that ends in the middle of a sentence (no closing mark at its end),
    which lists and headings can do rightly.
    """

    sentence: bool = False

    @property
    def name(self) -> str:
        return "truncated"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        if row.calls and row.calls[-1].finish == "length":
            return drop("cut off at the token limit")
        if self.sentence and row.answer.strip() and not _END.search(row.answer[-40:]):
            return drop("ends in the middle of a sentence")
        return keep()


CHECK = Truncated

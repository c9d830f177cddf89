"""Rows that point at a text which their reader does not have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from synthgain.types import Anchor, Row, Verdict, drop, keep

_TEXT = r"(?:text|passage|document|article|excerpt|paragraph)"
_POINTS = re.compile(
    rf"(?i)\b(?:according\s+to|as\s+(?:stated|described|mentioned)\s+in|in|from|does|do|is|of)\s+(?:the|this)\s+(?:above\s+|given\s+|provided\s+)?{_TEXT}\b"
    rf"|\bthe\s+{_TEXT}\s+(?:above|below|says?|states?|mentions?|describes?|does|is\s+about|gives?|provides?)\b"
    rf"|\b(?:mentioned|described|stated|given|provided|listed)\s+(?:above|below|here)\b"
)


@dataclass(frozen=True)
class StandsAlone:
    """Drops a row that speaks of "the passage" or "the text above" as of something before the reader.

    A question of that kind cannot be answered, nor learnt, without the document. English only. It is for sets that are read
    without their sources; a conversation about a text that it quotes is no such set.
    """

    @property
    def name(self) -> str:
        return "stands-alone"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        found = _POINTS.search(row.answer)
        return drop(f'points at its source: "{found.group()}"') if found else keep()


CHECK = StandsAlone

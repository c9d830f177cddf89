"""Rows that were cut off."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from synthgain.types import Anchor, Row, Verdict, drop, keep

_END = re.compile(r"""[.!?…。！？:;)\]}>|*`"'”’»」』]\s*$""")
_LEADS_ON = re.compile(  # words after which another must come
    r"(?:an?|the|of|and|or|but|nor|is|are|was|were|be|been|that|which|who|whose|these|their|its|his|our|your|my|if|when|because|than|into"
    r"|between|would|should|could|might|must|has|have)"
)
_CODE = re.compile(r"[{}=<>;|\\`_\[\]]")
_FEW = 8  # words: an answer of fewer is a phrase, and may end anyhow


@dataclass(frozen=True)
class Truncated:
    """Drops a row whose last answer ended because its tokens were used up.

    With `sentence` also a text that ends in the middle of a sentence (no closing mark at its end),
    which lists and headings can do rightly. With `dangling` also a text of eight words or more that ends in a comma or in a word after
    which another must come ("of the"): English, seldom wrong, and it sees about a third of the answers that were cut at any word.
    """

    sentence: bool = False
    dangling: bool = False

    @property
    def name(self) -> str:
        return "truncated"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        if row.calls and row.calls[-1].finish == "length":
            return drop("cut off at the token limit")
        if self.sentence and row.answer.strip() and not _END.search(row.answer[-40:]):
            return drop("ends in the middle of a sentence")
        if self.dangling and breaks_off(row.answer):
            return drop("breaks off")
        return keep()


def breaks_off(text: str) -> bool:
    """Whether the text ends in a comma or in a word that leads on to another. Lines of code are not judged."""
    text = text.rstrip()
    line = text[text.rfind("\n") + 1 :]
    words = line.split()
    if len(words) < 4 or len(text.split()) < _FEW or _CODE.search(line):
        return False
    return text.endswith(",") or _LEADS_ON.fullmatch(words[-1].strip("\"'“”‘’(*").lower()) is not None


CHECK = Truncated

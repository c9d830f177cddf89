"""Rows whose answer speaks as one person among others: in the first person, or of what others wrote."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from synthgain.types import Anchor, Row, Verdict, drop, keep
from synthgain.words import words

FIRST = frozenset(words("i i'm i've i'd i'll me my mine myself"))
_REFERS = re.compile(
    r"(?i)\bas\s+(?:mentioned|stated|noted|pointed\s+out|others?\s+(?:said|mentioned|noted))\b"
    r"|\b(?:the\s+)?(?:other|previous|above|accepted|earlier)\s+(?:answers?|posts?|comments?|repl(?:y|ies))\b"
    r"|\b[A-Z]\w+'s\s+(?:answer|comment)\b|(?<!\w)@\w+\b|\b(?:EDIT|UPDATE)\s*\d*\s*:"
)


@dataclass(frozen=True)
class Impersonal:
    """Drops an answer of which more than `most` of the words are of the first person singular, or that refers to other answers (LIMA). English.

    LIMA takes no answer in the first person at all; `most=0` does that, and so drops letters and stories that were asked for.
    """

    most: float = 0.02

    @property
    def name(self) -> str:
        return "impersonal"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        if _REFERS.search(row.answer):
            return drop("refers to other answers")
        said = words(row.answer)
        share = sum(word in FIRST for word in said) / len(said) if said else 0.0
        return drop("in the first person", round(share, 4)) if share > self.most else keep()


CHECK = Impersonal

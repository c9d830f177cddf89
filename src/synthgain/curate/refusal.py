"""Rows in which the model refuses, or speaks of itself, instead of answering."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from synthgain.types import Anchor, Row, Verdict, drop, keep

BEGINNING = 300  # characters in which a refusal shows
_SELF = r"(?:\bI\b|\bI['’]m|\bwe\b)"
_REFUSES = re.compile(
    rf"""(?ix)
      \bas\s+an?\s+(?:ai|artificial\ intelligence|(?:large\ )?language\ model|virtual\ assistant)\b
    | {_SELF}\s+(?:am\s+)?(?:really\s+|very\s+|truly\s+)?(?:sorry|afraid)\b[^.!?\n]{{0,40}}?\b(?:can(?:['’]t|not|\ not)|unable|won['’]t)
    | ^\W*(?:sorry|apologies|my\ apologies|i\ apologi[sz]e)\b[^\n]{{0,60}}?\b(?:can(?:['’]t|not|\ not)|unable|won['’]t|do\ not|don['’]t)
    | {_SELF}\s+(?:can(?:['’]t|not|\ not)|won['’]t|will\ not|am\ (?:not\ able|unable)\ to|(?:['’]m|\ )\s*unable\ to)\s+
      (?:help|assist|provide|comply|fulfil|fulfill|answer|generate|create|write|engage|discuss|support|do\ that)\b
    | \bi\s+do\s+not\s+have\s+(?:access\ to|the\ ability|enough\ (?:information|context))
    | \bi\s+don['’]t\s+have\s+(?:access\ to|the\ ability|enough\ (?:information|context))
    """
)


@dataclass(frozen=True)
class Refusal:
    """Drops an answer that begins with a refusal or with the model speaking of itself (English phrases).

    Only the first 300 characters are looked at, so that a document in which a person refuses stays. A
    story that opens with such words falls; refusals in other languages are not seen.
    """

    @property
    def name(self) -> str:
        return "refusal"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        return drop("refusal") if _REFUSES.search(row.answer[:BEGINNING]) else keep()


CHECK = Refusal

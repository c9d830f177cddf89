"""A judge's number where it stands in an answer: after its reasons, behind a word, out of so many points."""

from __future__ import annotations

import re

_NUMBER = r"(\d{1,3}(?:\.\d{1,2})?)"
_NAMED = re.compile(
    rf"(?i)\b(?:score|rating|points?|grade)\b[\s*_:=`\"'\[(]*(?:(?:is|of|would be)\s+)?[\s*_`\"'\[(]*{_NUMBER}(?![\d.]*\d)"
)
_OUT_OF = re.compile(rf"(?<![\d.]){_NUMBER}\s*(?:/|out of)\s*\d+\b")
_ALONE = re.compile(rf"\A[\s*_`\"'\[(]*{_NUMBER}[\s*_`\"'\])./]*(?:/\s*\d+|points?|stars?)?[\s.]*\Z", re.I)


def score_in(text: str, least: float, most: float) -> float | None:
    """The last number that is named a score ("Score: 4", "4/5"), or an answer that is a number alone; None where there is none from least to most."""
    found = [m for pattern in (_NAMED, _OUT_OF) for m in pattern.finditer(text)]
    last = max(found, key=lambda m: m.start(1), default=None) or _ALONE.match(text)
    score = None if last is None else float(last[1])
    return score if score is not None and least <= score <= most else None

"""The score that a judge gave, where it stands in its answer. The only reader of scores: rubrics and recipes use it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from synthgain.curate.found_json import objects_in
from synthgain.thinking import parted

_GAP = r"(?:[^\w-]|-\s){0,6}"
_NUMBER = r"(-?\d{1,4}(?:\.\d{1,3})?)"
_SCALE = r"(?:\s?[(\[]\s?\d{1,4}\s?(?:-|–|to)\s?\d{1,4}\s?[)\]])?"  # "(1-5)" behind the word is no score
_SAID = re.compile(
    rf"(?i)\b(?:score|rating)\b{_SCALE}{_GAP}(?:is{_GAP})?{_NUMBER}(?![\d.]*\d)"
    rf"|\bgrade\b{_SCALE}[*\s]{{0,3}}(?:[:=]|is\b){_GAP}{_NUMBER}(?![\d.]*\d)"
    rf"|\[\[\s?{_NUMBER}\s?\]\]"
)
_BRACKETED = re.compile(rf"\[\s?{_NUMBER}\s?\]")
_ALONE = re.compile(rf"\W{{0,4}}{_NUMBER}(?:\s?/\s?\d{{1,4}})?\W{{0,4}}")


def score_in(text: str, lowest: float, highest: float) -> float | None:
    """The last score in an answer, its thinking apart: of a JSON object's "score"; else a number alone ("7", "7/10"); else after the word (score, rating,
    grade) or in double brackets; else in brackets, which may be a reference where a score is named. None where there is none, or where it lies off the scale."""
    said = parted(text).content.strip()
    alone = _ALONE.fullmatch(said)
    found: list[float | str] = [*_of_objects(said)] or ([alone[1]] if alone else [])
    found = found or [next(filter(None, one)) for one in _SAID.findall(said)] or _BRACKETED.findall(said)
    try:
        score = float(found[-1]) if found else math.nan
    except (ValueError, OverflowError):
        return None
    return score if lowest <= score <= highest else None  # NaN lies on no scale


def _of_objects(text: str) -> Iterator[float | str]:
    """What the JSON objects of an answer hold as "score"; NaN for what is no number."""
    for answer in objects_in(text):
        if "score" in answer:
            said = answer["score"]
            yield math.nan if isinstance(said, bool) or not isinstance(said, int | float | str) else said

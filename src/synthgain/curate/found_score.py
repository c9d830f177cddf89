"""The score that a judge gave, where it stands in its answer."""

from __future__ import annotations

import re

from synthgain.curate.found_json import objects_in

_SAID = re.compile(r"(?i)\bscore\b[\"'*_\s]*(?:[:=]|is)?[\"'*_\s]*(-?\d+(?:\.\d+)?)")
_ALONE = re.compile(r"\s*[*_\"']*(\d+(?:\.\d+)?)\s*(?:/\s*\d+)?[*_\"'.]*\s*")


def score_in(text: str, least: int, most: int) -> int | None:
    """The last score in an answer: of a JSON object's "score", else after the word, else a number alone. None where it is no whole number of
    that range."""
    said = [answer["score"] for answer in objects_in(text) if "score" in answer]
    if not said:
        said = _SAID.findall(text) or ([alone[1]] if (alone := _ALONE.fullmatch(text[:200])) else [])
    value = said[-1] if said else None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        score = float(value)
    except ValueError:
        return None
    return int(score) if score.is_integer() and least <= score <= most else None

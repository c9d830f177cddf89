"""JSON where it stands in an answer: after thinking, in a fence, with a remark behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

MOST = 200  # places that are tried and hold no object


def objects_in(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects that stand in a text, outermost ones only, in their order."""
    decoder, at, tried = json.JSONDecoder(), text.find("{"), 0
    while at >= 0 and tried < MOST:
        try:
            found, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            tried += 1
            end = at + 1
        else:
            yield found
        at = text.find("{", end)


def names_in(listed: object) -> list[str]:
    """The names of a list of names, or of objects that have one (`name`, else the first text in them)."""
    if not isinstance(listed, list):
        return []
    return [name for name in map(_name, listed) if name]


def _name(entry: object) -> str:
    if isinstance(entry, dict):
        texts = [value for value in entry.values() if isinstance(value, str)]
        entry = entry["name"] if isinstance(entry.get("name"), str) else texts[0] if texts else ""
    return entry if isinstance(entry, str) else ""

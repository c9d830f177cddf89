"""What is said of a recording of calls: a few texts and counts by known names, whoever wrote them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TEXTS = ("file", "sha256", "command", "made", "machine", "synthgain")
COUNTS = ("calls", "left_out")
OF_A_MODEL = ("uri", "identity", "sha256", "licence")
SHORT, LONG = 2_000, 100_000  # characters: a longer text is cut, and a longer identity is none


def about(held: Mapping[str, Any]) -> dict[str, Any]:
    """What is known to mean something, each of its kind and fit to be shown; `from` are the recordings that its calls were first in.

    TypeError, LookupError, ValueError, AttributeError, RecursionError: this says nothing of a recording.
    """
    told: dict[str, Any] = {name: _shown(_text(held[name])) for name in TEXTS if name in held}
    for name in COUNTS:
        if name in held:
            if type(held[name]) is not int or not 0 <= held[name] < 2**63:
                raise ValueError(f"{name} is {held[name]!r:.60}")
            told[name] = held[name]
    told["models"] = [_model(model) for model in held["models"]]
    return told | ({"from": [about({**one, "from": []}) for one in held["from"]]} if held.get("from") else {})


def _model(held: Mapping[str, Any]) -> dict[str, str]:
    told = {name: _text(held[name]) for name in OF_A_MODEL if name in held}
    if not {"uri", "identity"} <= told.keys() or max(map(len, told.values())) > LONG:
        raise ValueError("a model has no uri, or no identity")
    if not all(text.isprintable() for text in told.values()):
        raise ValueError("a model is named with characters that cannot be shown")
    return told


def _shown(text: str) -> str:
    """A text that does nothing to a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:SHORT])


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.60} is no text")
    return value

"""Students on text: what they forgot of general text, and how well they predict held-out text. Scored once, then remembered."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from synthgain.evaluate import forgetting, perplexity
from synthgain.models import open_scorer
from synthgain.store import atomic_write
from synthgain.types import Reading, Scorer, digest


def text_readings(
    base: str,
    students: Mapping[str, Path],
    general: Sequence[str] | None,
    held_out: Sequence[str] | None,
    memory: Path,
) -> dict[str, list[Reading]]:
    """Readings by arm; the base's stand under ""."""
    found: dict[str, list[Reading]] = {}
    if general is None and held_out is None:
        return found
    before = open_scorer(base)
    for name, after in {"": before, **{name: open_scorer(where) for name, where in students.items()}}.items():
        readings = []
        if general is not None and name:
            key = digest("forgetting", before.identity, after.identity, *general)
            readings += _remembered(memory, key, _forgetting(before, after, general))
        if held_out is not None:
            key = digest("perplexity", after.identity, *held_out)
            readings += _remembered(memory, key, _perplexity(after, held_out))
        found[name] = readings
    return found


def _forgetting(before: Scorer, after: Scorer, texts: Sequence[str]) -> Callable[[], list[Reading]]:
    return lambda: [forgetting(before, after, texts)]


def _perplexity(scorer: Scorer, texts: Sequence[str]) -> Callable[[], list[Reading]]:
    return lambda: perplexity(scorer, texts)


def _remembered(memory: Path, key: str, compute: Callable[[], list[Reading]]) -> list[Reading]:
    file = memory / f"texts-{key[:24]}.json"
    with suppress(OSError, ValueError, TypeError, KeyError):
        return [Reading.read(one) for one in json.loads(file.read_text("utf-8"))]
    readings = compute()
    file.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(file, json.dumps([r.json() for r in readings]))
    return readings

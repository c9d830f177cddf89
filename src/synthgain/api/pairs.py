"""What a row, or a piece of real text, asks and how that is answered: the columns `asked` and `answered` of `measure.Data`.

Both are null where a row is plain text. A chat gives all before its last answer, and that answer; a question gives its worked solution where
there is one, else its answer; a text with a `label` gives the label. So an answer is whole wherever a whole one is known.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import pyarrow as pa

from synthgain.measure.data import Batches
from synthgain.turns import ANSWERED, content_of, readable
from synthgain.types import SynthgainError

PAIR = ("asked", "answered")
WHOLE = ("worked", *ANSWERED)  # the fullest first
LABEL = "label"
Pair = tuple[str | None, str | None]
NONE: Pair = (None, None)


def pair_of(text: str, fields: Mapping[str, Any]) -> Pair:
    """The pair of a text with its other columns."""
    if fields.get("messages"):
        with suppress(SynthgainError):
            content = content_of({"messages": fields["messages"]})
            if content is not None and content.answer:
                return readable(content.prompt), content.answer
        return NONE
    for name in (*WHOLE, LABEL):
        value = fields.get(name)
        said = str(value) if isinstance(value, str | int | float) else ""
        if said.strip():
            more = fields.get("input")
            return (f"{text}\n\n{more}" if isinstance(more, str) and more.strip() else text), said
    return NONE


def of_row(text: str, prompt: str, answer: str, fields: Mapping[str, Any]) -> Pair:
    """The pair of a row whose prompt and answer are known ("": no prompt)."""
    if prompt and answer:
        return prompt, answer
    label = fields.get(LABEL)
    known = isinstance(label, str | int | float) and str(label).strip()
    return (text, str(label)) if known else NONE


def with_pairs(read: Batches, needs: Sequence[str], make: Any) -> Batches:
    """Batches that also give `asked` and `answered`, made row by row of the columns `needs`, the last of which is JSON (`fields`)."""

    def batches(names: Sequence[str]) -> Iterator[pa.Table]:
        if not set(PAIR) & set(names):
            yield from read(names)
            return
        plain = [name for name in names if name not in PAIR]
        for table in read(list(dict.fromkeys([*plain, *needs]))):
            *columns, fields = (table.column(name).to_pylist() for name in needs)
            told = [make(*(value or "" for value in values), _object(held)) for *values, held in zip(*columns, fields)]
            both = {name: pa.array([pair[i] for pair in told], pa.string()) for i, name in enumerate(PAIR)}
            yield pa.table({name: both[name] if name in both else table.column(name) for name in names})

    return batches


def _object(held: str | None) -> Mapping[str, Any]:
    try:
        found = json.loads(held) if held else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}

"""Whether an answer is JSON that follows a schema."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthgain.curate.empty import no_answer
from synthgain.curate.found_json import objects_in
from synthgain.curate.lacking import of_anchors
from synthgain.curate.schemas import NoSchema, broken, well_formed
from synthgain.thinking import parted
from synthgain.types import Anchor, Row, SynthgainError, Verdict, drop, in_order, keep

_FENCED = re.compile(r"```[a-zA-Z]*\s*\n(.*?)\n?\s*```", re.DOTALL)


@dataclass(frozen=True)
class JsonSchema:
    """Drops an answer that is no JSON, or does not follow its schema (JSON Schema, draft 2020-12; the keywords that `schemas.py` lists).

    The schema is `schema` (JSON text, or the path of a .json file, whose content is recorded), else the one that the row's last call was asked with,
    else the anchor's field `field`. The reason names the keyword that is broken. The answer is JSON alone or in one code fence; with `inside` the first
    object in a text counts, too. A row without a schema falls, and so does one whose own schema cannot be read.

    A server that was asked for a schema and a checked answer are two things: servers read schemas in part, and an answer can be cut off.
    """

    schema: str = ""
    inside: bool = False
    field: str = "schema"

    def __post_init__(self) -> None:
        if not self.schema:
            return
        if not self.schema.lstrip().startswith(("{", "true", "false")):
            object.__setattr__(self, "schema", _content(self.schema))
        try:
            well_formed(json.loads(self.schema))
        except (ValueError, RecursionError) as error:
            raise SynthgainError(
                f"this is no schema that can be read: {error}", where=self.name, next="mend the schema"
            ) from error

    @property
    def name(self) -> str:
        return "json-schema"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        try:
            schema = self._schema(row, anchors)
            if schema is None:
                return drop("no schema to follow")
            if why := no_answer(row):
                return drop(why)
            found = _json_in(parted(row.answer).content, self.inside)
            if found is _NONE:
                return drop("not JSON")
            keyword = broken(schema, found)
        except NoSchema:
            return drop("its schema cannot be read")
        except (RecursionError, TimeoutError):
            return drop("judging takes too long")
        return drop(f"breaks the schema: {keyword}") if keyword else keep()

    def lacks(self, row: Row | None, anchors: Sequence[Anchor]) -> str | None:
        """The schema, where none is set, none was asked for in the row's call, and no anchor has one."""
        if self.schema or (row is not None and row.calls and row.calls[-1].prompt.schema is not None):
            return ""
        said = of_anchors(anchors, self.field)
        return None if said and (row is None or not (row.calls or row.answer)) else said

    def _schema(self, row: Row, anchors: Sequence[Anchor]) -> Any:
        if self.schema:
            return json.loads(self.schema)
        if row.calls and row.calls[-1].prompt.schema is not None:
            return json.loads(in_order(row.calls[-1].prompt.schema))
        given = next(
            (anchor.fields[self.field] for anchor in anchors if anchor.fields.get(self.field) is not None), None
        )
        if not isinstance(given, str):
            return json.loads(in_order(given)) if isinstance(given, Mapping) else given
        try:
            return json.loads(given)
        except ValueError as error:
            raise NoSchema("no JSON") from error


_NONE = object()


def _json_in(text: str, inside: bool) -> Any:
    """The JSON value that a text is, `_NONE` where it is none. NaN and Infinity are no JSON."""
    text = text.strip()
    fenced = _FENCED.fullmatch(text)
    try:
        return json.loads(fenced[1] if fenced else text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return next(objects_in(text), _NONE) if inside else _NONE


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _content(path: str) -> str:
    try:
        return Path(path).expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SynthgainError(
            "the schema is neither JSON nor a file that can be read", where=path, next="give the path of a .json file"
        ) from error


CHECK = JsonSchema

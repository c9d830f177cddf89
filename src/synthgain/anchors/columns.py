"""From a row to an anchor's text and fields. What the row of a conversation means is told in `synthgain/turns.py`."""

from __future__ import annotations

import datetime
import decimal
import difflib
import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from synthgain.turns import CHATS, COLUMNS, content_of, is_blank, known_keys, readable, shape_of
from synthgain.types import SynthgainError

TEXT_FIELDS = ("text", "content", "question", "instruction", "prompt", "document", "article", "problem")
MARKS = frozenset({*CHATS, "chosen", "completion", "instruction"})  # no conversation is without one of these columns
SHOWN_COLUMNS = 20


class BadRow(Exception):
    """This row cannot become an anchor; the message says why, and `next`, where it is not "", what to do."""

    def __init__(self, what: str, next: str = "") -> None:
        super().__init__(what)
        self.next = next


class _NotPlain(Exception):
    """A value that has no JSON form; says what it holds."""


class DamagedText(BadRow):
    """The row's text is not UTF-8: the whole file is refused, as text files are."""


@dataclass(frozen=True)
class Unread:
    """Stands for a value that was not read; `what` says what it holds. `damaged`: text whose bytes are not UTF-8."""

    what: str
    damaged: bool = False


@dataclass(frozen=True)
class Columns:
    """Which column is the text and which the id; chosen once a file, from the first row that has one.

    `chat`: the row is a conversation. Its text is all before the last answer; its turns stand in the field `messages`, in one form.
    """

    text: str
    id: str | None = None
    chat: bool = False

    def __call__(self, row: Mapping[str, Any], warn: Callable[[str], None], json: bool) -> tuple[str, dict[str, Any]]:
        """Text and fields (the other columns). BadRow where there is no text.

        `json`: the values came from JSON, so they are plain already.
        """
        if self.chat:
            text, fields = _conversation(row, warn)
        else:
            text, fields = _string(held(row, self.text), self.text), dict(row)
            fields.pop(self.text, None)
        if not text.strip():
            raise BadRow(
                "nothing stands before the answer" if self.chat else f"the text (column {self.text!r}) is empty"
            )
        if not json:
            fields = plain_fields(fields, warn)
        if self.id is not None:
            fields = _with_id(fields, self.id, row, warn)
        return text, fields


def held(row: Mapping[str, Any], name: str) -> Any:
    """The value of a column, or of a member of it that is named "column.member"."""
    if name in row:
        return row[name]
    outer, dot, inner = name.partition(".")
    value = row.get(outer)
    if not dot or not isinstance(value, Mapping):
        raise BadRow(f"no column {name!r}; it has {_listed(list(row))}")
    return held(value, inner)


def _has(row: Mapping[str, Any], name: str) -> bool:
    try:
        held(row, name)
    except BadRow:
        return False
    return True


def chosen(row: Mapping[str, Any], text_field: str | None, id_field: str | None, where: str) -> Columns:
    """The columns of a file in which this row stands. SynthgainError lists the columns and says what to type."""
    names = list(row)
    if id_field is not None and not _has(row, id_field):
        raise _missing(id_field, "--id-field", names, where)
    if text_field is not None:
        if not _has(row, text_field):
            raise _missing(text_field, "--text-field", names, where)
        return Columns(text_field, id_field)
    shape = shape_of({name: value for name, value in row.items() if not isinstance(value, Unread) or value.damaged})
    if shape not in (None, "text"):
        return Columns(str(shape), id_field, chat=True)
    for known in TEXT_FIELDS:
        if known in row:
            return Columns(known, id_field)
    for known in TEXT_FIELDS:
        alike = [name for name in names if name.strip().casefold() == known]
        if len(alike) == 1:
            return Columns(alike[0], id_field)
        if alike:
            raise SynthgainError(
                f"which column is the text? {_listed(alike)}", where=where, next=f"say it: --text-field {alike[0]!r}"
            )
    raise SynthgainError(
        f"no column is named {', '.join(TEXT_FIELDS)} or {CHATS[0]}; the columns are {_listed(names)}{_separator(names)}",
        where=where,
        next=f"name the column that holds the text: --text-field {_likely(row)!r}",
    )


def is_chat(row: Mapping[str, Any]) -> bool:
    """Whether a row is a conversation, whatever the first of its file was."""
    return not MARKS.isdisjoint(row) and shape_of(row) not in (None, "text")


def _missing(name: str, option: str, names: Sequence[str], where: str) -> SynthgainError:
    near = difflib.get_close_matches(name, names, 1, 0.5)
    guess = near[0] if near else names[0] if names else "NAME"
    return SynthgainError(
        f"there is no column {name!r}; the columns are {_listed(names)}{_separator(names)}",
        where=where,
        next=f"name one of them: {option} {guess!r}",
    )


def _separator(names: Sequence[str]) -> str:
    if len(names) == 1:
        for mark, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
            if mark in names[0]:
                return f" (is this file separated by {word}? .csv means commas, .tsv tabs)"
    return ""


def _likely(row: Mapping[str, Any]) -> str:
    """The column with the longest string."""
    strings = {name: len(value) for name, value in row.items() if isinstance(value, str)}
    return max(strings, key=lambda name: strings[name]) if strings else "NAME"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(_short(name) for name in names[:SHOWN_COLUMNS])
    return (shown or "none") + (f" and {len(names) - SHOWN_COLUMNS} more" if len(names) > SHOWN_COLUMNS else "")


def _short(name: str) -> str:
    return repr(name if len(name) <= 60 else name[:57] + "…")


def _string(value: object, name: str) -> str:
    if isinstance(value, str):
        return _transcript(value) if name in CHATS else value
    if isinstance(value, Unread):
        raise (DamagedText if value.damaged else BadRow)(f"the text (column {name!r}) holds {value.what}")
    if value is None:
        raise BadRow(f"the text (column {name!r}) is null")
    if name in CHATS or _is_turns(value):
        return _transcript(value)
    kind = "a list" if isinstance(value, list | tuple) else "an object" if isinstance(value, Mapping) else None
    kind = kind or (
        "true or false" if isinstance(value, bool) else "a number" if isinstance(value, int | float) else None
    )
    raise BadRow(f"the text (column {name!r}) is {kind or type(value).__name__}, not a string")


# ---------------------------------------------------------------------------------------------- conversations


def _conversation(row: Mapping[str, Any], warn: Callable[[str], None]) -> tuple[str, dict[str, Any]]:
    """All before the last answer, and the row's fields with the turns in one form. Columns that held turns are not repeated."""
    said: Mapping[str, Any] = {name: row[name] for name in COLUMNS if name in row}
    for name, value in said.items():
        if isinstance(value, Unread):
            raise (DamagedText if value.damaged else BadRow)(f"column {name!r} holds {value.what}")
    said, beside = known_keys(said)
    if beside:
        warn(f"keys of turns that are not read: {_listed(beside)}")
    try:
        content = content_of(said)
    except SynthgainError as error:
        raise BadRow(error.what, error.next) from None
    if content is None or content.messages is None:
        raise BadRow("there is no turn in the conversation" if content is None else "this row is no conversation")
    fields = {name: value for name, value in row.items() if name not in CHATS and name != "history"}
    fields["messages"] = [dict(turn) for turn in content.messages]
    if content.tools:
        fields["tools"] = [dict(tool) for tool in content.tools]
    if content.rejected:
        fields["rejected"] = [dict(turn) for turn in content.rejected]
    return readable(content.prompt), fields


def _transcript(turns: object) -> str:
    """All turns of a conversation, the last answer too."""
    try:
        content = content_of({CHATS[0]: turns})
    except SynthgainError as error:
        raise BadRow(error.what, error.next) from None
    return readable(content.messages or ()) if content else ""


def _is_turns(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, Mapping) and "role" in v for v in value)


# ---------------------------------------------------------------------------------------------- fields


def needed(fields: Mapping[str, Any], needs: Sequence[str]) -> None:
    """BadRow where a field is not there that the recipe needs: missing, null, or text that is empty or white space."""
    for name in needs:
        value = fields.get(name)
        if not name.endswith("?") and is_blank(value):
            how = "it is not there" if name not in fields else "it is null" if value is None else "it is empty"
            raise BadRow(
                f"the recipe needs a field {name!r}, and {how}",
                f"add it, or rename one of the fields here: {_listed(list(fields))}",
            )


def _with_id(fields: dict[str, Any], name: str, row: Mapping[str, Any], warn: Callable[[str], None]) -> dict[str, Any]:
    value = held(row, name) if _has(row, name) else None
    if value is None or value == "" or isinstance(value, Unread):
        raise BadRow(f"the id (column {name!r}) is empty")
    if name != "id" and "id" in fields:
        warn(f"the column 'id' is replaced by {name!r}, as --id-field asks")
    return fields | {"id": plain(value)}


def plain_fields(fields: Mapping[str, Any], warn: Callable[[str], None]) -> dict[str, Any]:
    """Values that JSON can hold. Columns of bytes, and what was not read, are left out, and said."""
    out = {}
    for name, value in fields.items():
        try:
            out[str(name)] = plain(value)
        except _NotPlain as what:
            warn(f"column {name!r} holds {what} and is left out of the fields")
        except TypeError as error:
            raise BadRow(f"column {name!r} holds {error}, which has no JSON form") from None
    return out


def plain(value: Any) -> Any:
    """The JSON form: dates and decimals as text, NaN and infinities as null."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal | uuid.UUID | datetime.timedelta):
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        raise _NotPlain("bytes")
    if isinstance(value, Unread):
        raise _NotPlain("text that is not UTF-8" if value.damaged else value.what)
    if hasattr(value, "tolist"):  # numpy
        return plain(value.tolist())
    raise TypeError(f"a {type(value).__name__}")

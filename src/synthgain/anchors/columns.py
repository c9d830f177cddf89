"""From a row to an anchor's text and fields."""

from __future__ import annotations

import datetime
import decimal
import difflib
import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from synthgain.types import SynthgainError

TEXT_FIELDS = ("text", "content", "question", "instruction", "prompt", "document", "article", "problem")
MESSAGES = "messages"
CHATS = (MESSAGES, "conversations")  # {role, content}; {from, value} as ShareGPT has it
SPEAKERS = {"human": "user", "gpt": "assistant"}
SHOWN_COLUMNS = 20


class BadRow(Exception):
    """This row cannot become an anchor; the message says why, and `next`, where it is not "", what to do."""

    def __init__(self, what: str, next: str = "") -> None:
        super().__init__(what)
        self.next = next


class _Bytes(Exception):
    """A value that holds bytes."""


@dataclass(frozen=True)
class Columns:
    """Which column is the text and which the id; chosen once a file, from its first row.

    `last_turn`: the text is the last user turn of `messages`, which stay in the fields.
    """

    text: str
    id: str | None = None
    last_turn: bool = False

    def __call__(self, row: Mapping[str, Any], warn: Callable[[str], None], json: bool) -> tuple[str, dict[str, Any]]:
        """Text and fields (the other columns). BadRow where there is no text.

        `json`: the values came from JSON, so they are plain already.
        """
        if self.text not in row:
            raise BadRow(f"no column {self.text!r}; it has {_listed(list(row))}")
        value = row[self.text]
        fields = dict(row)
        if self.last_turn:
            text = last_user_turn(value)
        else:
            del fields[self.text]
            text = conversation(value) if self.text in CHATS else _string(value, self.text)
        if not text.strip():
            raise BadRow(f"the text (column {self.text!r}) is empty")
        if not json:
            fields = plain_fields(fields, warn)
        if self.id is not None:
            fields = _with_id(fields, self.id, row, warn)
        return text, fields


def chosen(row: Mapping[str, Any], text_field: str | None, id_field: str | None, where: str) -> Columns:
    """The columns of a file whose first row this is. SynthgainError lists the columns and says what to type."""
    names = list(row)
    if id_field is not None and id_field not in row:
        raise _missing(id_field, "--id-field", names, where)
    if text_field is not None:
        if text_field not in row:
            raise _missing(text_field, "--text-field", names, where)
        return Columns(text_field, id_field)
    for known in TEXT_FIELDS:
        if known in row:
            return Columns(known, id_field)
    for known in CHATS:
        if known in row:
            return Columns(known, id_field, last_turn=True)
    for known in TEXT_FIELDS:
        alike = [name for name in names if name.strip().casefold() == known]
        if len(alike) == 1:
            return Columns(alike[0], id_field)
        if alike:
            raise SynthgainError(
                f"which column is the text? {_listed(alike)}", where=where, next=f"say it: --text-field {alike[0]!r}"
            )
    raise SynthgainError(
        f"no column is named {', '.join(TEXT_FIELDS)} or {MESSAGES}; the columns are {_listed(names)}{_separator(names)}",
        where=where,
        next=f"name the column that holds the text: --text-field {_likely(row)!r}",
    )


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
        return value
    if value is None:
        raise BadRow(f"the text (column {name!r}) is null")
    kind = "a list" if isinstance(value, list | tuple) else "an object" if isinstance(value, Mapping) else None
    kind = kind or (
        "true or false" if isinstance(value, bool) else "a number" if isinstance(value, int | float) else None
    )
    raise BadRow(f"the text (column {name!r}) is {kind or type(value).__name__}, not a string")


# ---------------------------------------------------------------------------------------------- chats


def last_user_turn(messages: object) -> str:
    """What the user said last."""
    said = [text for role, text in turns_of(messages) if role == "user"]
    if not said:
        raise BadRow(f"{MESSAGES!r} has no user turn")
    return said[-1]


def conversation(messages: object) -> str:
    """All turns, each as "role: content", a blank line between them."""
    return "\n\n".join(f"{role}: {text}" for role, text in turns_of(messages))


def turns_of(messages: object) -> list[tuple[str, str]]:
    """(role, content) of each turn, in either way of writing them. BadRow where it is no conversation."""
    if not isinstance(messages, list | tuple) or not messages:
        raise BadRow(f"{MESSAGES!r} is no list of turns")
    turns = []
    for turn in messages:
        role = turn.get("role", turn.get("from")) if isinstance(turn, Mapping) else None
        if not isinstance(role, str):
            raise BadRow(f"a turn of {MESSAGES!r} is not {{role, content}}")
        content = turn.get("content", turn.get("value"))
        if isinstance(content, list | tuple):  # OpenAI's parts; what is no text (pictures) stays in the fields
            content = "".join(str(p.get("text") or "") for p in content if isinstance(p, Mapping))
        if content is not None and not isinstance(content, str):
            raise BadRow(f"the content of a turn of {MESSAGES!r} is not a string")
        turns.append((SPEAKERS.get(role, role), content or ""))
    return turns


# ---------------------------------------------------------------------------------------------- fields


def needed(fields: Mapping[str, Any], needs: Sequence[str]) -> None:
    """BadRow where a field is not there that the recipe needs: missing, null, or text that is empty or white space."""
    for name in needs:
        value = fields.get(name)
        if not name.endswith("?") and (value is None or (isinstance(value, str) and not value.strip())):
            how = "it is not there" if name not in fields else "it is null" if value is None else "it is empty"
            raise BadRow(
                f"the recipe needs a field {name!r}, and {how}",
                f"add it, or rename one of the fields here: {_listed(list(fields))}",
            )


def _with_id(fields: dict[str, Any], name: str, row: Mapping[str, Any], warn: Callable[[str], None]) -> dict[str, Any]:
    value = row.get(name)
    if value is None or value == "":
        raise BadRow(f"the id (column {name!r}) is empty")
    if name != "id" and "id" in fields:
        warn(f"the column 'id' is replaced by {name!r}, as --id-field asks")
    return fields | {"id": plain(value)}


def plain_fields(fields: Mapping[str, Any], warn: Callable[[str], None]) -> dict[str, Any]:
    """Values that JSON can hold. Columns of bytes are left out, and said."""
    out = {}
    for name, value in fields.items():
        try:
            out[str(name)] = plain(value)
        except _Bytes:
            warn(f"column {name!r} holds bytes and is left out of the fields")
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
        raise _Bytes
    if hasattr(value, "tolist"):  # numpy
        return plain(value.tolist())
    raise TypeError(f"a {type(value).__name__}")

"""Rows out of files, one reader a format. Each yields (row from 1, place for messages, columns by name).

A bad row is noted and reading goes on; a file that cannot be read on raises SynthgainError.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from synthgain.anchors.decode import PACKING, lines, nothing, whole
from synthgain.anchors.documents import ENDINGS
from synthgain.anchors.notes import Notes
from synthgain.anchors.tables import Rows, arrow, parquet
from synthgain.types import SynthgainError

FIELD_LIMIT = 2**31 - 1  # characters in one CSV field
KINDS = {
    ".txt": "text",
    ".md": "text",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    **dict.fromkeys(ENDINGS, "document"),
}
PACKED = ("text", "jsonl", "json", "csv", "tsv")  # kinds that may be packed
READABLE = f".txt .md .jsonl .ndjson .json .csv .tsv (each also as .gz or .zst) .parquet .arrow {' '.join(ENDINGS)}"


def kind_of(path: Path) -> str | None:
    """The format by the name's ending; None where it is not read."""
    suffixes = [s.lower() for s in path.suffixes]
    if suffixes and suffixes[-1] in PACKING:
        kind = KINDS.get(suffixes[-2]) if len(suffixes) > 1 else None
        return kind if kind in PACKED else None
    return KINDS.get(suffixes[-1]) if suffixes else None


# ---------------------------------------------------------------------------------------------- JSON


def _decoder(notes: Notes, where: Callable[[], str]) -> json.JSONDecoder:
    def constant(name: str) -> None:
        notes.warn("NaN or Infinity, which JSON does not have, was read as null", where())

    return json.JSONDecoder(parse_constant=constant)


def jsonl(path: Path, where: str, notes: Notes) -> Rows:
    """One object a line. Blank lines are passed over."""
    number = 0
    decoder = _decoder(notes, lambda: f"{where}:{number}")
    empty = True
    for number, text, ended in lines(path, where):
        if text.isspace() or not text:
            continue
        empty = False
        place = f"{where}:{number}"
        try:
            row = decoder.decode(text)
        except (ValueError, RecursionError) as error:
            notes.problem(_bad_json(error, text, place, number, ended))
            continue
        if isinstance(row, dict):
            yield number, place, row
        else:
            notes.problem(_no_object(row, place))
    if empty:
        raise nothing(where)


def _bad_json(error: Exception, text: str, place: str, number: int, ended: bool) -> SynthgainError:
    said = f"{error.msg}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
    if text.strip() in ("[", "{", "[{") and number == 1:
        return SynthgainError(
            "this looks like one JSON document over many lines, not JSON Lines",
            where=place,
            next="rename it to .json, or write one object a line: jq -c '.[]' FILE.json > FILE.jsonl",
        )
    if not ended and isinstance(error, json.JSONDecodeError) and _at_end(error, text):
        return SynthgainError(
            f"the last line is cut off in the middle ({said})",
            where=place,
            next="get the whole file again, or remove the last line",
        )
    return SynthgainError(f"not valid JSON: {said}", where=place, next="mend or remove the line")


def _no_object(row: object, place: str) -> SynthgainError:
    kinds = {list: "a list", str: "a string", int: "a number", float: "a number", bool: "true or false"}
    return SynthgainError(
        f"the row is {kinds.get(type(row), 'null')}, not an object",
        where=place,
        next='write each row as an object, such as {"text": "…"}',
    )


_SPACE = re.compile(r"[ \t\r\n]*")


def document(path: Path, where: str, notes: Notes) -> Rows:
    """A .json file: a list of objects; an object with one list of objects in it (as {"data": […]}); one object,
    which is one row; or, as often seen, JSON Lines under this name.

    A list is read element by element, so that besides its text only one row is in memory.
    """
    text = whole(path, where)
    at = _SPACE.match(text).end()  # type: ignore[union-attr]
    if at == len(text):
        raise nothing(where)
    if text[at] == "[":
        yield from _elements(text, at, where, notes)
        return
    decoder = _decoder(notes, lambda: where)
    try:
        top, end = decoder.raw_decode(text, at)
    except (ValueError, RecursionError) as error:
        raise _cut(text, error, where) from None
    if _SPACE.match(text, end).end() < len(text):  # type: ignore[union-attr]
        if not isinstance(top, dict):
            raise _cut(text, json.JSONDecodeError("more data after the end", text, end), where)
        del text
        notes.warn("more than one JSON value: read as JSON Lines", where)
        yield from jsonl(path, where, notes)
        return
    yield from _inside(top, where, notes)


def _elements(text: str, at: int, where: str, notes: Notes) -> Rows:
    row, line, counted = 0, 1, 0
    decoder = _decoder(notes, lambda: f"{where}:{line}")
    at = _SPACE.match(text, at + 1).end()  # type: ignore[union-attr]
    if text[at : at + 1] == "]":
        raise SynthgainError("the list is empty", where=where, next="fill it or remove the file")
    while True:
        line, counted = line + text.count("\n", counted, at), at
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise _cut(text, error, where) from None
        row += 1
        if isinstance(value, dict):
            yield row, f"{where}:{line}", value
        else:
            notes.problem(_no_object(value, f"{where}:{line}"))
        at = _SPACE.match(text, at).end()  # type: ignore[union-attr]
        mark = text[at : at + 1]
        at = _SPACE.match(text, at + 1).end()  # type: ignore[union-attr]
        if mark == "]":
            break
        if mark != ",":
            raise _cut(text, json.JSONDecodeError("',' or ']' expected", text, at - 1 if mark else len(text)), where)
    if at < len(text):
        raise _cut(text, json.JSONDecodeError("more data after the end", text, at), where)


def _inside(top: object, where: str, notes: Notes) -> Rows:
    """Rows of a document whose top is an object."""
    if not isinstance(top, dict):
        raise _no_object(top, where)
    lists = [n for n, v in top.items() if isinstance(v, list) and v and all(isinstance(r, dict) for r in v)]
    if len(lists) != 1 or any(name in top for name in ("text", "messages")):
        if len(lists) > 1 and "text" not in top:
            raise SynthgainError(
                f"several lists of rows in one file: {', '.join(map(repr, lists))}",
                where=where,
                next=f"take one out: jq -c '.[\"{lists[0]}\"][]' FILE.json > {lists[0]}.jsonl",
            )
        yield 1, where, top
        return
    others = [name for name in top if name != lists[0]]
    if others:
        notes.warn(f"rows were read from {lists[0]!r}; beside it and not read: {', '.join(others[:10])}", where)
    for n, row in enumerate(top[lists[0]], 1):
        yield n, f"{where} ({lists[0]}, row {n})", row


def _at_end(error: json.JSONDecodeError, text: str) -> bool:
    return error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")


def _cut(text: str, error: Exception, where: str) -> SynthgainError:
    if not isinstance(error, json.JSONDecodeError):
        return SynthgainError(f"not valid JSON: {error}", where=where, next="mend the file")
    place = f"{where}:{error.lineno}"
    if _at_end(error, text):
        return SynthgainError(
            f"the file is cut off in the middle ({error.msg}, column {error.colno})",
            where=place,
            next="get the whole file again",
        )
    return SynthgainError(f"not valid JSON: {error.msg}, column {error.colno}", where=place, next="mend the file there")


# ---------------------------------------------------------------------------------------------- CSV


@contextmanager
def _long_fields() -> Iterator[None]:
    before = csv.field_size_limit(FIELD_LIMIT)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def table(path: Path, where: str, notes: Notes, comma: str = ",") -> Rows:
    """Comma-separated values (or tabs) with a header line. All values are strings. Blank lines are passed over.

    Rows are numbered by the line that they begin on.
    """
    reader = csv.reader((text for _, text, _ in lines(path, where)), delimiter=comma, strict=True)
    header: list[str] | None = None
    start = rows = 0
    while True:
        start = reader.line_num + 1
        place = f"{where}:{start}"
        try:
            with _long_fields():
                row = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            raise _bad_csv(error, place) from None
        if not row:
            continue
        if header is None:
            header = _header(row, place, notes)
            continue
        rows += 1
        if len(row) != len(header):
            notes.problem(
                SynthgainError(
                    f"{len(row)} values where the header has {len(header)} columns",
                    where=place,
                    next='mend the line; a value with a comma or a line break in it stands in "double quotes"',
                )
            )
            continue
        yield start, place, dict(zip(header, row))
    if header is None:
        raise nothing(where)
    if not rows:
        raise SynthgainError(
            "there is a header line and no rows", where=where, next="the first line must name the columns"
        )


def _header(row: list[str], place: str, notes: Notes) -> list[str]:
    names = []
    for n, name in enumerate(row, 1):
        if not name.strip():
            notes.warn(f"column {n} has no name in the header and is called 'column_{n}'", place)
        names.append(name if name.strip() else f"column_{n}")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SynthgainError(
            f"the header names {', '.join(map(repr, twice))} more than once",
            where=place,
            next="give each column a name of its own",
        )
    return names


def _bad_csv(error: csv.Error, place: str) -> SynthgainError:
    said = str(error)
    if "unexpected end of data" in said:
        said, after = (
            "a quote is opened here and never closed",
            'close it; a quote inside a value is written twice ("")',
        )
    elif "new-line character seen" in said:
        said, after = "lines end in carriage returns only (old Macintosh)", "tr '\\r' '\\n' < FILE > FILE.new"
    else:
        after = 'mend the line; a quote inside a value is written twice ("")'
    return SynthgainError(f"not valid CSV: {said}", where=place, next=after)


READERS: Mapping[str, Callable[[Path, str, Notes], Rows]] = {
    "jsonl": jsonl,
    "json": document,
    "csv": table,
    "tsv": lambda path, where, notes: table(path, where, notes, "\t"),
    "parquet": parquet,
    "arrow": arrow,
}

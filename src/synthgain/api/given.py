"""Rows that somebody else made, read from files, folders, data sets on disk and hf://, in our own form."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synthgain.anchors.columns import BadRow, held, plain_fields
from synthgain.anchors.decode import whole
from synthgain.anchors.documents import Documents
from synthgain.anchors.find import Found, files
from synthgain.anchors.formats import READERS
from synthgain.anchors.hub import SCHEME, hub_rows
from synthgain.anchors.notes import Notes
from synthgain.anchors.tables import Rows
from synthgain.turns import ANSWERED, answer_column, content_of, known_keys, mostly_bad, shape_of
from synthgain.types import Message, Row, SynthgainError, assistant, user

MADE_OF: Mapping[str, frozenset[str]] = {
    "messages": frozenset({"messages", "rejected", "tools"}),
    "conversations": frozenset({"conversations", "system", "tools"}),
    "conversation": frozenset({"conversation", "system", "tools"}),
    "prompt": frozenset({"prompt", "chosen", "rejected", "completion", "tools"}),
    "chosen": frozenset({"chosen", "rejected", "tools"}),
    "instruction": frozenset({"instruction", "input", "context", "output", "response", "history", "system", "tools"}),
    "text": frozenset({"text"}),
}  # by a row's shape (`turns.Content.shape`) the columns that its turns were made of; the others are fields
ASKED = (
    "question",
    "problem",
    "query",
    "instruction",
    "prompt",
    "task",
)  # of rows without a shape: what is asked, what is answered
ANSWERS = (*ANSWERED, "reference", "target")
NAMED = 5  # places that are named of each reason to skip a row


@dataclass(frozen=True)
class GivenRow:
    """A row, where it stands for people ("file:line"), and its place among all that were read (from 1)."""

    row: Row
    where: str
    place: int


@dataclass
class Given:
    """The rows of a data set, in their order. Iterate once; then the rest is known: files read, rows skipped and why.

    A row that cannot be used is skipped and counted (`skipped`: reason → count, `skipped_at`: its first places); with `strict` it is an
    error, before anything is made of the others. Columns that a row was not made of are its fields; `source_row` says where it was.
    """

    source: str
    text_field: str | None = None
    strict: bool = False
    files: list[dict[str, Any]] = field(default_factory=list)
    rows: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    skipped_at: dict[str, list[str]] = field(default_factory=dict)
    notes: Notes = field(default_factory=Notes)
    documents: Documents = field(default_factory=Documents)

    def __iter__(self) -> Iterator[GivenRow]:
        if self.source.startswith(SCHEME):
            yield from self._rows(hub_rows(self.source, self.notes), "", {"name": self.source, "rows": 0})
        else:
            for found in files(Path(self.source).expanduser(), self.notes):
                yield from self._file(found)
        self._problems()
        bad = self.skipped.total()
        if not self.rows or mostly_bad(bad, self.rows):
            why = "; ".join(
                f"{reason} ({n:,}, first {self.skipped_at[reason][0]})" if reason in self.skipped_at else reason
                for reason, n in self.skipped.most_common(3)
            )
            what = f"{bad:,} of {bad + self.rows:,} rows cannot be used" if self.rows else "there are no rows"
            raise SynthgainError(
                f"{what}{f': {why}' if why else ''}",
                where=self.source,
                next="rows are chats (messages, conversations), pairs (instruction and output, prompt and completion, question and "
                "answer, chosen and rejected) or `text`; --text-field names another column",
            )

    def json(self) -> dict[str, Any]:
        """What was read, for the record."""
        told: dict[str, Any] = {"source": self.source, "rows": self.rows, "files": self.files[:1000]}
        if self.text_field is not None:
            told["text_field"] = self.text_field
        shas = [str(file.get("sha256") or "") for file in self.files]
        if all(shas):  # of one file its own, of several that of their digests in hexadecimal, one after another
            told["sha256"] = shas[0] if len(shas) == 1 else hashlib.sha256("".join(shas).encode()).hexdigest()
        told["skipped"] = dict(self.skipped.most_common())
        told["skipped_at"] = self.skipped_at
        told["files_left_out"] = [
            {"path": path, "why": s.why} for s in self.notes.skipped if s.kind == "file" for path in s.first
        ]
        told["files_left_out_total"] = self.notes.skipped_files
        told["warnings"] = list(self.notes.warnings)
        return told

    def _file(self, found: Found) -> Iterator[GivenRow]:
        told = {"name": found.source, "bytes": found.path.stat().st_size, "sha256": sha256_of(found.path), "rows": 0}
        try:
            rows: Rows
            if found.kind in ("text", "document"):
                text = (self.documents if found.kind == "document" else whole)(found.path, found.where)
                rows = iter([(0, found.where, {self.text_field or "text": text})])
            else:
                rows = READERS[found.kind](found.path, found.where, self.notes)
            yield from self._rows(rows, found.source, told)
        except SynthgainError as error:
            if self.strict:
                raise
            self._skip(error.what, error.where or found.where)

    def _rows(self, rows: Rows, source: str, told: dict[str, Any]) -> Iterator[GivenRow]:
        self.files.append(told)
        for n, where, record in rows:
            try:
                row = row_of(record, f"{source}#{n}" if source and n else source or where, self.text_field, self.notes)
            except SynthgainError as error:
                if self.strict:
                    raise SynthgainError(error.what, where=where, next=error.next or "mend or remove the row") from None
                self._skip(error.what, where)
                continue
            self.rows += 1
            told["rows"] += 1
            yield GivenRow(row, where, self.rows)

    def _skip(self, why: str, where: str) -> None:
        why = why if len(why) <= 200 else f"{why[:199]}…"
        self.skipped[why] += 1
        places = self.skipped_at.setdefault(why, [])
        if len(places) < NAMED:
            places.append(where)

    def _problems(self) -> None:
        """Rows that their file's reader could not read."""
        if self.strict:
            self.notes.raise_problems(self.source)
        for problem in self.notes.problems:
            self._skip(problem.what, problem.where)
        if (more := self.notes.bad - len(self.notes.problems)) > 0:
            self.skipped["cannot be read (not named one by one)"] += more


def row_of(record: Mapping[str, Any], source: str, text_field: str | None, notes: Notes) -> Row:
    """The row of one record. SynthgainError: there is nothing in it, or it has no shape that is known."""
    if text_field is not None:
        try:
            text = held(record, text_field)
        except BadRow as error:
            raise SynthgainError(str(error)) from error
        if not isinstance(text, str) or not text.strip():
            raise SynthgainError(f"the column {text_field!r} holds no text")
        return Row(text=text, fields=_fields(record, frozenset({text_field}), source, notes))
    pair = _question(record) if shape_of(record) is None else None
    if pair is not None:
        return Row(messages=pair[0], fields=_fields(record, pair[1], source, notes))
    record, beside = known_keys(record)
    if beside:
        notes.warn(f"keys of turns that are not read: {', '.join(beside)}", source)
    content = content_of(record)
    if content is None:
        raise SynthgainError("there is nothing in the row")
    ids = record.get("anchor_ids")
    anchors = tuple(ids) if isinstance(ids, list | tuple) and all(isinstance(id, str) for id in ids) else ()
    return Row(
        messages=content.messages,
        text=content.text,
        tools=content.tools,
        rejected=content.rejected,
        anchors=anchors,
        fields=_fields(record, MADE_OF[content.shape] | {"anchor_ids"}, source, notes),
    )


def _question(record: Mapping[str, Any]) -> tuple[tuple[Message, ...], frozenset[str]] | None:
    """A question, with its answer where one is given as text, and the columns of both; None where there is no column of questions. SynthgainError: its solution
    is null or empty."""
    asked = next((name for name in ASKED if isinstance(record.get(name), str) and record[name].strip()), None)
    if asked is None:
        return None
    texts = {name: value for name, value in record.items() if value is None or isinstance(value, str)}
    answered = answer_column(texts, ANSWERS)
    answered = None if answered is None or record[answered] is None else answered
    turns = (user(record[asked]), *(() if answered is None else (assistant(record[answered]),)))
    return turns, frozenset(filter(None, (asked, answered)))


def _fields(record: Mapping[str, Any], used: frozenset[str], source: str, notes: Notes) -> dict[str, Any]:
    rest = {name: value for name, value in record.items() if name not in used and value is not None}
    try:
        return plain_fields(rest, notes.warn) | {"source_row": source}
    except BadRow as bad:
        raise SynthgainError(str(bad)) from None


def sha256_of(file: str | Path) -> str:
    """Of the file's content, which is never in memory as a whole."""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

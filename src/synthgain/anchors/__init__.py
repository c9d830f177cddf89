"""S_anchor: files, folders, data sets, runs and Python sequences to anchors; bad input stops before a token is bought.

What becomes an anchor
- `.txt`, `.md`: the whole file, however long; `.pdf .epub .html .docx .pptx .xlsx .odt` too, with the extra `documents`. `.jsonl`,
  `.ndjson`, `.json`, `.csv`, `.tsv`, `.parquet`, `.arrow`: each row. Text formats may be packed (`.jsonl.gz`, `.jsonl.zst`). A `.json`
  file is a list of objects, an object with one list of objects in it, or one object. A folder is read with all below it, sorted by
  name; hidden files, unknown endings and what stands beside data (card, licence) are passed over and said. A folder that `datasets`
  saved is its rows; a run is its kept rows; `hf://owner/name[/config][:split]` is streamed.
- A row that is a conversation (see `synthgain/turns.py`: messages, ShareGPT, Alpaca, pairs) gives all before its last answer: a user's
  only turn as it is, several turns with their roles. Its turns stand in fields["messages"] in one form, the last answer too. With
  `text_field="messages"` the whole conversation is the text. Of other rows the text is the column `text_field` ("outer.inner" reaches
  into an object), else the first there is of text, content, question, instruction, prompt, document, article, problem.
- Every other column is a field. `id_field` names one that is repeated as fields["id"]. JSON holds what it holds: times
  and decimals become text, NaN becomes null, columns of bytes and what has no plain form are left out and said.
- Text is kept as it is: line ends, spaces and control characters too. Only a byte order mark goes, and half a
  surrogate pair, which no UTF-8 can hold, becomes U+FFFD (and is said).
- A row whose text is empty, white space, null, or no string (numbers too: a number is seldom meant) is skipped, counted and said,
  and in a folder so is a file that cannot be read; `strict` refuses both. More rows that cannot be used than rows that can are
  refused always, and so is a file that was asked for by name and is damaged or not UTF-8.
- A field that `needs` names must be there in every row, and be no null and no empty text; with a "?" behind its name it is used where
  it is there. Anchors with the same identity (text and those fields) are one: the first stays, the rest are counted, and it is said
  where they differ in other fields. Two rows that differ in a needed field are two anchors.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from synthgain.anchors.columns import BadRow, Columns, DamagedText, chosen, is_chat, needed, plain_fields
from synthgain.anchors.decode import whole
from synthgain.anchors.documents import Documents
from synthgain.anchors.find import Found, files
from synthgain.anchors.formats import READERS
from synthgain.anchors.hub import SCHEME, hub_rows
from synthgain.anchors.notes import Notes, Skipped, Summary
from synthgain.anchors.spool import Anchors, Spool
from synthgain.anchors.tables import Rows
from synthgain.characters import encodable
from synthgain.store.corpus import Corpus
from synthgain.turns import mostly_bad
from synthgain.types import Anchor, SynthgainError

TRIED = 100  # rows of a file among which one must have a column that is known

__all__ = ["Anchors", "Skipped", "Summary", "load"]

Source = str | Path | Iterable[str | Mapping[str, Any] | Anchor]


def load(
    source: Source,
    *,
    text_field: str | None = None,
    id_field: str | None = None,
    needs: Sequence[str] = (),
    limit: int | None = None,
    into: Path | None = None,
    repeats: bool = False,
    strict: bool = False,
    tell: Callable[[str], None] | None = None,
) -> Anchors:
    """Read and check every anchor of a path, a `hf://` address, or a Python sequence of texts, dicts or Anchors.

    `needs` are the fields that a recipe needs (see `types.Recipe.needs`). `repeats` keeps texts that came before (to measure a data set,
    not to write from it). `limit` stops after so many anchors; what lies behind is not looked at. `strict` refuses rows and files that are
    skipped otherwise. `tell` gets a line for each thing that a person should know of what was read (`Summary.remarks`).
    The anchors are written as they are read, into the folder `into`, which must be empty or not there and is put in place whole; without
    it into a temporary folder that goes with the object. Memory stays flat: a `.json` file is held as text while it is read; one row
    is held at a time of the other row formats.

    SynthgainError (code 2) names file and line of what is wrong: the first five places and how many there are;
    code 3: the disk is full; code 4: the hub cannot be reached. `into` is then gone.
    """
    if limit is not None and limit < 1:
        raise SynthgainError(f"limit is {limit}", next="give at least 1, or leave it out")
    if isinstance(needs, str):
        raise SynthgainError(f"needs is the string {needs!r}", next=f"give a tuple of names: ({needs!r},)")
    notes = Notes()
    label = str(source) if isinstance(source, str | Path) else "sequence"
    if not isinstance(source, str | Path) and not needs:
        source, needs = _own_needs(source)
    taker = _Taker(notes, Spool(tuple(needs), limit, into, repeats), text_field, id_field, strict)
    try:
        taker.take(source)
        if strict or taker.spool.empty or mostly_bad(notes.bad_rows, taker.taken):
            notes.raise_problems(label)
        if taker.spool.empty:
            raise SynthgainError("there are no anchors", where=label, next="give at least one text")
        taker.spool.finish()
        summary = taker.summary(label)
        if tell is not None:
            for line in summary.remarks:
                tell(line)
        return taker.spool.anchors(summary)
    except BaseException:
        taker.spool.close()
        raise


def _own_needs(source: Iterable[Any]) -> tuple[Iterable[Any], tuple[str, ...]]:
    """The fields that Anchors in a sequence already say they are read by."""
    if isinstance(source, Corpus):
        return source, source.needs
    if not isinstance(source, Sequence):
        return source, ()
    own = {item.needs for item in source if isinstance(item, Anchor)}
    if len(own) > 1:
        raise SynthgainError(
            "these Anchors differ in the fields they need", where="sequence", next="say which: needs=(…)"
        )
    return source, own.pop() if own else ()


class _Taker:
    """Takes what readers give, row by row, into the spool."""

    def __init__(self, notes: Notes, spool: Spool, text_field: str | None, id_field: str | None, strict: bool) -> None:
        self.notes, self.spool, self.text_field, self.id_field = notes, spool, text_field, id_field
        self.strict, self.taken = strict, 0
        self.documents = Documents()

    def take(self, source: Source) -> None:
        if isinstance(source, str | Path):
            self._path(str(source))
        elif isinstance(source, Mapping | bytes | bytearray) or not isinstance(source, Iterable):
            raise SynthgainError(
                f"anchors cannot be a {type(source).__name__}", next="give a path, or a list of texts, dicts or Anchors"
            )
        else:
            for n, item in enumerate(source, 1):
                self._item(item, f"sequence#{n}")
                if self.spool.full:
                    break

    def summary(self, label: str) -> Summary:
        n, s = self.notes, self.spool
        return Summary(
            label,
            n.files,
            s.rows,
            n.bytes,
            s.duplicates,
            s.differing,
            tuple(s.differing_in()),
            tuple(s.repeats()),
            dict(n.text_fields),
            n.chats,
            n.skipped,
            n.bad_rows,
            n.skipped_files,
            n.warnings,
        )

    # -------------------------------------------------------------------------------------- paths

    def _path(self, named: str) -> None:
        if not named.strip():
            raise SynthgainError("the path is empty", next="give the path of a file or folder")
        if named.startswith(SCHEME):
            self._rows(hub_rows(named, self.notes), "", named, json=False)
            return
        kinds: dict[str, str] = {}
        root = Path(named).expanduser()
        for found in files(root, self.notes):
            kinds.setdefault("text" if found.kind in ("text", "document") else "rows", found.where)
            self._tried(found, alone=found.whole or found.path == root)
            if self.spool.full:
                return
        if len(kinds) == 2:
            self.notes.warn(
                f"whole files (such as {kinds['text']}) and rows (such as those of {kinds['rows']}) were read side by side"
            )
        if kinds and "rows" not in kinds and (self.text_field or self.id_field):
            self.notes.warn("text_field and id_field say nothing of whole files, which have no columns")

    def _tried(self, found: Found, alone: bool) -> None:
        """A file of a folder that cannot be read is left out, and counted with the reason; one that was asked for by name is refused."""
        try:
            self._file(found)
        except SynthgainError as error:
            if error.code != 2 or (alone and not self.notes.bad):
                raise
            self.notes.problem(error, whole_file=True)
            if alone:
                self.notes.raise_problems(found.where)
        except OSError as error:
            self.notes.problem(_unreadable(error, found), whole_file=True)

    def _file(self, found: Found) -> None:
        if found.kind in ("text", "document"):
            text = (self.documents if found.kind == "document" else whole)(found.path, found.where)
            if not text or text.isspace():
                raise SynthgainError(
                    "the file is empty" if not text else "the file is white space only",
                    where=found.where,
                    next="fill it or remove it",
                )
            try:
                self._add(text, found.source, {}, found.where)
            except BadRow as bad:
                after = "a text file has no fields: give rows that have it, such as lines of a .jsonl file"
                raise SynthgainError(str(bad), where=found.where, next=after) from None
        else:
            rows = READERS[found.kind](found.path, found.where, self.notes)
            self._rows(rows, found.source, found.where, json=found.kind in ("jsonl", "json", "csv", "tsv"))
        self.notes.files += 1
        self.notes.bytes += found.path.stat().st_size

    def _rows(self, rows: Rows, source: str, where: str, json: bool) -> None:
        columns: Columns | None = None
        odd: list[SynthgainError] = []
        for n, place, row in rows:
            if columns is None:
                try:
                    columns = chosen(row, self.text_field, self.id_field, place)
                except SynthgainError as error:  # this row may be the odd one
                    odd.append(error)
                    if len(odd) == TRIED:
                        raise odd[0] from None
                    continue
                name = f"{columns.text} (all before the last answer)" if columns.chat else columns.text
                self.notes.text_fields[name] = self.notes.text_fields.get(name, 0) + 1
                for wrong in odd:
                    self.notes.problem(wrong)
            self._row(row, columns, f"{source}#{n}" if source else place, place, json)
            if self.spool.full:
                return
        if columns is None and odd:
            raise odd[0]

    def _row(self, row: Mapping[str, Any], columns: Columns, source: str, place: str, json: bool) -> None:
        try:
            columns = self._columns(row, columns, place)
            text, fields = columns(row, lambda what: self.notes.warn(what, place), json)
            self._add(text, source, fields, place)
        except DamagedText as bad:
            raise SynthgainError(
                str(bad), where=place, next="write its text as UTF-8 again, or leave the row out"
            ) from None
        except BadRow as bad:
            after = bad.next or "mend or remove these rows, or name another column with --text-field"
            self.notes.problem(SynthgainError(str(bad), where=place, next=after))
        else:
            self.notes.chats += columns.chat

    def _columns(self, row: Mapping[str, Any], columns: Columns, place: str) -> Columns:
        """Those of the file; a row of another shape that is known is read by its own."""
        if self.text_field is not None or (row.get(columns.text) is not None and (columns.chat or not is_chat(row))):
            return columns
        try:
            return replace(chosen(row, None, None, place), id=columns.id)
        except SynthgainError:
            return columns

    # -------------------------------------------------------------------------------------- sequences

    def _item(self, item: Any, place: str) -> None:
        if isinstance(item, Mapping):
            try:
                columns = chosen(item, self.text_field, self.id_field, place)
            except SynthgainError as error:
                self.notes.problem(error)
            else:
                self._row(item, columns, place, place, json=False)
            return
        if isinstance(item, Anchor):
            text, source, fields = item.text, item.source or place, dict(item.fields)
        elif isinstance(item, str):
            text, source, fields = item, place, {}
            if len(text) < 1000 and "\n" not in text and os.sep in text and os.path.exists(text):
                self.notes.warn(
                    "a text in the sequence is also the path of a file; to read files give one path, not a list", place
                )
        else:
            self.notes.problem(
                SynthgainError(
                    f"a {type(item).__name__} is no anchor", where=place, next="give texts, dicts or Anchors"
                )
            )
            return
        try:
            if not text.strip():
                raise BadRow("the text is empty")
            self._add(text, source, plain_fields(fields, lambda what: self.notes.warn(what, place)), place)
        except BadRow as bad:
            self.notes.problem(SynthgainError(str(bad), where=place, next=bad.next or "mend or remove it"))

    # -------------------------------------------------------------------------------------- both

    def _add(self, text: str, source: str, fields: dict[str, Any], place: str) -> None:
        """BadRow where a field that is needed is not there."""
        needed(fields, self.spool.needs)
        self.taken += 1
        if not (self.strict and self.notes.bad):  # what will be refused is only checked from then on
            clean, fields = encodable(text), {name: _clean(value) for name, value in fields.items()}
            if clean is not text:
                self.notes.warn("half a surrogate pair, which is no character, became U+FFFD", place)
            self.spool.add(clean, source, fields)


def _unreadable(error: OSError, found: Found) -> SynthgainError:
    if isinstance(error, PermissionError):
        return SynthgainError("permission denied", where=found.where, next=f"chmod u+r {found.where}")
    return SynthgainError(f"cannot be read ({error.strerror or error})", where=found.where, next="copy the file again")


def _clean(value: Any) -> Any:
    """A JSON value whose strings UTF-8 can hold."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, list):
        return [_clean(v) for v in value]
    if isinstance(value, dict):
        return {encodable(k): _clean(v) for k, v in value.items()}
    return value

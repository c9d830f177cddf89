"""Rows as a trainer reads them: token ids, and which of them carry loss.

Supervised fine-tuning has its loss on assistant answers only. A chat is cut into segments (what the
model is given, what it must say, what it is given next, …) and each segment is turned into tokens by
itself, so that the ids before an answer are exactly the ids that the model will see when it answers.
The end-of-turn token belongs to the answer; what a template writes after it does not.

Continued pretraining has its loss on every token: documents are joined with the end-of-sequence
token and cut into blocks (EntiGraph, arXiv 2409.07431, `data/cptdata.py`; there is no document mask).
"""

from __future__ import annotations

import gzip
import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthgain.types import Message, SynthgainError, canonical, digest

IGNORED = -100  # the label of a token without loss, as torch and TRL have it
SUFFIXES = (".parquet", ".jsonl", ".jsonl.gz", ".json", ".txt", ".md")
ROLES = ("system", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True)
class Source:
    """One row to learn from: a chat or a text, never both. `where` is "file:line" or "file#row".

    `anchors` are the ids of the anchors it was made from (column `anchor_ids`), empty where not known.
    """

    where: str
    messages: tuple[Message, ...] | None = None
    text: str | None = None
    anchors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """Token ids and labels of the same length; a label is the id itself, or `IGNORED`."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]

    @property
    def learns(self) -> bool:
        """Whether any token carries loss: the first one never does, nothing stands before it."""
        return self.learnt > 0

    @property
    def learnt(self) -> int:
        """Tokens that carry loss."""
        return sum(label != IGNORED for label in self.labels[1:])


@dataclass(frozen=True)
class Examples:
    """What rows became. `truncated` were cut to the length; `left_out` had no answer left after the cut.

    `rows_of` gives for each example the places of the rows that it holds (some, or a part of one).
    """

    examples: tuple[Example, ...]
    rows: int
    truncated: int = 0
    left_out: int = 0
    rows_of: tuple[tuple[int, ...], ...] = ()

    @property
    def tokens(self) -> int:
        """Tokens that are read in one pass, those without loss too; no padding."""
        return sum(len(e.ids) for e in self.examples)


# ---------------------------------------------------------------------------------------------- reading


def read_rows(path: Path) -> list[Source]:
    """Rows of a file, of a folder of files, or of a run (its `data`). SynthgainError: nothing there, or not readable."""
    if not path.exists():
        raise SynthgainError(
            "there is no such file or folder", where=str(path), next="give a run, a .parquet or a .jsonl file"
        )
    rows = [row for file in _files(path) for row in _read(file)]
    if not rows:
        raise SynthgainError(
            "there are no rows to train on",
            where=str(path),
            next="look at `synthgain report RUN`: did the checks drop every row?",
        )
    return rows


def data_digest(rows: Iterable[Source]) -> str:
    """SHA-256 of what is read, in its order: file names and shards change nothing."""
    return digest(*(canonical([r.text, None if r.messages is None else list(r.messages)]) for r in rows))


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    folder = path / "data" if (path / "run.json").is_file() and (path / "data").is_dir() else path
    files = sorted(f for f in folder.iterdir() if f.is_file() and f.name.endswith(SUFFIXES) and f.name != "README.md")
    columns = [f for f in files if f.suffix == ".parquet"]
    if columns or files:
        return columns or files
    raise SynthgainError("no file here holds rows", where=str(folder), next=f"rows are read from {', '.join(SUFFIXES)}")


def _read(file: Path) -> Iterator[Source]:
    if file.suffix == ".parquet":
        return _parquet(file)
    if file.name.endswith((".jsonl", ".jsonl.gz")):
        return _lines(file)
    if file.suffix == ".json":
        return _list(file)
    if file.suffix in (".txt", ".md"):
        return _plain(file)
    raise SynthgainError(
        "rows cannot be read from this kind of file", where=str(file), next=f"give one of {', '.join(SUFFIXES)}"
    )


def _parquet(file: Path) -> Iterator[Source]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        parquet = pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        raise SynthgainError(f"this is no readable Parquet file ({error})", where=str(file)) from error
    with parquet:
        if parquet.metadata.num_rows == 0:
            return
        named = parquet.schema_arrow.names
        columns = [name for name in ("messages", "text", "anchor_ids") if name in named]
        if "messages" not in named and "text" not in named:
            raise SynthgainError(
                "there is neither a column `messages` nor `text`",
                where=str(file),
                next="rename the column that holds them",
            )
        n = 0
        for batch in parquet.iter_batches(columns=columns):
            for record in batch.to_pylist():
                yield _source(record, f"{file}#{n}")
                n += 1


def _lines(file: Path) -> Iterator[Source]:
    try:
        with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as stream:
            for n, line in enumerate(stream, 1):
                if line.strip():
                    yield _source(_json(line.removeprefix(b"\xef\xbb\xbf"), f"{file}:{n}"), f"{file}:{n}")
    except (OSError, EOFError) as error:
        raise SynthgainError(f"this file cannot be read ({error})", where=str(file)) from error


def _list(file: Path) -> Iterator[Source]:
    held = _json(file.read_bytes().removeprefix(b"\xef\xbb\xbf"), str(file))
    for n, record in enumerate(held if isinstance(held, list) else [held]):
        yield _source(record, f"{file}#{n}")


def _plain(file: Path) -> Iterator[Source]:
    try:
        text = file.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SynthgainError(
            f"this is not UTF-8 text ({error})", where=str(file), next="convert it to UTF-8"
        ) from error
    if text.strip():
        yield Source(str(file), text=text)


def _json(raw: bytes, where: str) -> Any:
    try:
        return json.loads(raw.decode("utf-8"))
    except ValueError as error:
        raise SynthgainError(f"this is not JSON in UTF-8 ({error})", where=where, next="mend or remove it") from error


def _source(record: Any, where: str) -> Source:
    held = record if isinstance(record, dict) else {}
    messages, text, ids = held.get("messages"), held.get("text"), held.get("anchor_ids")
    anchors = tuple(ids) if isinstance(ids, list) and all(isinstance(i, str) for i in ids) else ()
    if messages is not None:
        well = isinstance(messages, list) and messages and all(
            isinstance(m, dict) and m.get("role") in ROLES and isinstance(m.get("content"), str) for m in messages
        )  # fmt: skip
        if not well:
            raise SynthgainError(
                "`messages` is no list of {role, content}", where=where, next=f"roles are {', '.join(ROLES)}"
            )
        chat = tuple(Message(role=m["role"], content=m["content"]) for m in messages)
        return Source(where, messages=chat, anchors=anchors)
    if isinstance(text, str) and text.strip():
        return Source(where, text=text, anchors=anchors)
    raise SynthgainError(
        "the row has neither `messages` nor a `text` with something in it", where=where, next="mend or remove it"
    )


# ---------------------------------------------------------------------------------------------- supervised


def chats(rows: Sequence[Source], tokenizer: Any, length: int) -> Examples:
    """Examples with loss on assistant answers only, by the base model's own chat template."""
    if not getattr(tokenizer, "chat_template", None):
        raise SynthgainError(
            "the base model has no chat template, so it cannot be tuned on chats",
            where=str(tokenizer.name_or_path), next='train with method="cpt", or take an instruct model as base',
        )  # fmt: skip
    examples: list[Example] = []
    rows_of: list[tuple[int, ...]] = []
    truncated = left_out = 0
    for n, row in enumerate(rows):
        for whole in _chat(row, tokenizer):
            cut = Example(whole.ids[:length], whole.labels[:length])
            truncated += len(whole.ids) > length
            left_out += not cut.learns
            if cut.learns:
                examples.append(cut)
                rows_of.append((n,))
    return Examples(tuple(examples), len(rows), truncated, left_out, tuple(rows_of))


def _chat(row: Source, tokenizer: Any) -> list[Example]:
    """One example; one for each answer where the template writes earlier turns anew, as some reasoning templates do."""
    if row.messages is None:
        raise SynthgainError(
            "supervised fine-tuning needs chats, and this row is a plain text",
            where=row.where, next='train with method="cpt" (--method cpt), which learns plain text',
        )  # fmt: skip
    answers = answers_of(row)
    pieces: list[tuple[str, str]] = []  # (given, said)
    before = ""
    for i in answers:
        given, after = _render(tokenizer, row.messages[:i], True), _render(tokenizer, row.messages[: i + 1], False)
        if not after.startswith(given):
            raise SynthgainError(
                "the chat template does not write a question before its answer as it writes it alone",
                where=row.where, next='train with method="cpt", or take another base',
            )  # fmt: skip
        if not given.startswith(before):
            return [_spell(tokenizer, [answer_of(tokenizer, row.messages, j)]) for j in answers]
        said = _trimmed(after[len(given) :], tokenizer.eos_token)
        pieces.append((given[len(before) :], said))
        before = given + said
    return [_spell(tokenizer, pieces)]


def answers_of(row: Source) -> list[int]:
    """The places of a chat's answers: assistant turns that something stands before. SynthgainError where there are none."""
    answers = [i for i, m in enumerate(row.messages or ()) if m["role"] == "assistant" and i > 0]
    if not answers:
        raise SynthgainError(
            "no assistant turn follows a turn of somebody else: nothing to learn",
            where=row.where,
            next="remove the row",
        )
    return answers


def answer_of(tokenizer: Any, messages: tuple[Message, ...], i: int) -> tuple[str, str]:
    """(what is given, what is said) of the answer at place `i`, as strings; the end-of-turn token belongs to what is said."""
    given, after = _render(tokenizer, messages[:i], True), _render(tokenizer, messages[: i + 1], False)
    return given, _trimmed(after[len(given) :], tokenizer.eos_token)


def _spell(tokenizer: Any, pieces: Sequence[tuple[str, str]]) -> Example:
    ids: list[int] = []
    labels: list[int] = []
    for given, said in pieces:
        asked = tokenizer(given, add_special_tokens=False)["input_ids"]
        answer = tokenizer(said, add_special_tokens=False)["input_ids"]
        ids += asked + answer
        labels += [IGNORED] * len(asked) + answer
    return Example(tuple(ids), tuple(labels))


def _render(tokenizer: Any, messages: Sequence[Message], ask: bool) -> str:
    try:
        return str(tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=ask))
    except Exception as error:  # templates raise their own kinds for orders of roles that they do not know
        raise SynthgainError(
            f"the chat template refuses this chat ({error})", where=str(tokenizer.name_or_path)
        ) from error


def _trimmed(said: str, end: str | None) -> str:
    """The answer up to its end-of-turn token; the line break that a template puts after it is never generated."""
    bare = said.rstrip()
    return bare if end and bare.endswith(end) else said


# ---------------------------------------------------------------------------------------------- continued pretraining


def blocks(rows: Sequence[Source], tokenizer: Any, length: int) -> Examples:
    """Blocks of `length` tokens of the rows joined with the end-of-sequence token; the last block may be shorter."""
    end = tokenizer.eos_token_id
    if end is None:
        raise SynthgainError(
            "the base model's tokenizer has no end-of-sequence token",
            where=str(tokenizer.name_or_path),
            next="take another base",
        )
    stream: list[int] = []
    ends: list[int] = []  # where each row ends in the stream
    for row in rows:
        ids = _text_ids(row, tokenizer)
        stream += ids if ids and ids[-1] == end else [*ids, end]
        ends.append(len(stream))
    cut = {start: tuple(stream[start : start + length]) for start in range(0, len(stream), length)}
    kept = {start: ids for start, ids in cut.items() if len(ids) > 1}
    rows_of = (tuple(range(bisect_right(ends, i), bisect_right(ends, i + len(ids) - 1) + 1)) for i, ids in kept.items())
    return Examples(tuple(Example(ids, ids) for ids in kept.values()), len(rows), rows_of=tuple(rows_of))


def texts(rows: Sequence[Source], tokenizer: Any, length: int) -> Examples:
    """Each row by itself, ended with the end-of-sequence token and cut to `length`, with loss on every token."""
    end = tokenizer.eos_token_id
    whole = [_text_ids(row, tokenizer) for row in rows]
    ended = [ids if ids and ids[-1] == end else [*ids, end] for ids in whole]
    cut = [tuple(ids[:length]) for ids in ended]
    left = tuple(Example(ids, ids) for ids in cut if len(ids) > 1)
    return Examples(left, len(rows), sum(len(ids) > length for ids in ended), len(cut) - len(left))


def text_of(row: Source, tokenizer: Any) -> str:
    """A row as one text whose every token carries loss: a chat as the template writes it, or its turns in their order."""
    if row.messages is None:
        return row.text or ""
    if not getattr(tokenizer, "chat_template", None):
        return "\n\n".join(m["content"] for m in row.messages)
    return _trimmed(_render(tokenizer, row.messages, False), tokenizer.eos_token)


def _text_ids(row: Source, tokenizer: Any) -> list[int]:
    templated = row.messages is not None and bool(getattr(tokenizer, "chat_template", None))
    return list(tokenizer(text_of(row, tokenizer), add_special_tokens=not templated)["input_ids"])

"""Training rows out of files: the only reader of them, for students, arms and siblings.

It reads a run, RUN/data, a folder or a file: Parquet, JSON Lines (also gzipped or zstandard), JSON, and plain texts. What one
record of these means is in `synthgain/turns.py`. One row is in memory at a time; of each row three numbers are kept.

A record that cannot be read is left out and counted, with its reason and place; where more are such than are not, or with
`strict` any, it is an error.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from synthgain.train.shapes import TrainingRow, row_of
from synthgain.turns import COLUMNS, mostly_bad, without_nulls
from synthgain.types import Message, Method, SynthgainError, canonical, digest

LINES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
TEXTS = (".txt", ".md")
SUFFIXES = (".parquet", *LINES, ".json", *TEXTS)
CARDS = frozenset({"readme.md", "readme.txt", "license.md", "license.txt", "notice.txt", "notice.md"})
ABOUT = frozenset({"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"})  # of HF data sets
LOOKED_AT = 100  # records, to tell whether a file holds rows at all

Keys = NDArray[np.uint64]


@dataclass(frozen=True)
class Skipped:
    """Records that were left out for one reason: how many, and where the first stands."""

    reason: str
    n: int
    first: str

    def json(self) -> dict[str, Any]:
        return {"reason": self.reason, "n": self.n, "first": self.first}


@dataclass(frozen=True)
class TrainingRows:
    """Rows on disk: going through them reads the files anew. What was counted when they were first gone through stands beside.

    `prompts` and `keys` are numbers of each row's prompt (`prompt_of`) and of the row itself, made from SHA-256. `pairs` are chats with rejected turns.
    """

    files: tuple[Path, ...]
    files_left_out: tuple[str, ...] = ()
    chats: int = 0
    texts: int = 0
    pairs: int = 0
    with_tools: int = 0
    with_reasoning: int = 0
    empty: int = 0
    skipped: tuple[Skipped, ...] = ()
    digest: str = ""
    prompts: Keys = field(default_factory=lambda: np.zeros(0, np.uint64), repr=False, compare=False)
    keys: Keys = field(default_factory=lambda: np.zeros(0, np.uint64), repr=False, compare=False)

    def __len__(self) -> int:
        return self.chats + self.texts

    def __iter__(self) -> Iterator[TrainingRow]:
        return (row for found in _records(self.files) if isinstance(row := _row(found), TrainingRow))

    @property
    def method(self) -> Method:
        """How such rows are learnt: "dpo" where all of them are preference pairs, "cpt" where all are texts, else "sft"."""
        if self.pairs == len(self):
            return "dpo"
        return "sft" if self.chats else "cpt"

    def json(self) -> dict[str, Any]:
        """The counts, for student.json."""
        return {
            "files": len(self.files),
            "files_left_out": list(self.files_left_out),
            "rows": len(self),
            "empty": self.empty,
            "skipped": [one.json() for one in self.skipped],
            "chats": self.chats,
            "texts": self.texts,
            "with_tools": self.with_tools,
            "with_rejected": self.pairs,
            "with_reasoning": self.with_reasoning,
        }


def read_rows(path: Path, *, strict: bool = False) -> TrainingRows:
    """The rows of a file, of a folder of files, or of a run (its `data`), in order, counted.

    SynthgainError: nothing there, or not readable (file:line).
    """
    files, others = _files(path)
    count = {"chats": 0, "texts": 0, "pairs": 0, "with_tools": 0, "with_reasoning": 0, "empty": 0}
    prompts, keys = array("Q"), array("Q")
    bad = Bad()
    whole = hashlib.sha256()
    for found in _records(files):
        row = _row(found)
        if isinstance(row, SynthgainError):
            bad.add(row, strict)
        elif row is None:
            count["empty"] += 1
        else:
            count["chats" if row.messages is not None else "texts"] += 1
            count["pairs"] += row.messages is not None and row.rejected is not None
            count["with_tools"] += bool(row.tools)
            count["with_reasoning"] += any(turn.get("reasoning") for turn in row.messages or ())
            said = row_digest(row)
            whole.update(said.encode())
            keys.append(_number(said))
            prompts.append(_number(prompt_of(row)))
    bad.check(len(keys) + count["empty"])
    if not keys:
        raise _nothing(path)
    numbers = [np.frombuffer(held, np.uint64) for held in (prompts, keys)]
    return TrainingRows(
        tuple(files), others, **count, skipped=bad.found, digest=whole.hexdigest(), prompts=numbers[0], keys=numbers[1]
    )


class Bad:
    """Rows that cannot be read or learnt: counted by reason, and an error where they are too many."""

    def __init__(self) -> None:
        self._first: SynthgainError | None = None
        self._by: dict[str, Skipped] = {}

    def add(self, error: SynthgainError, strict: bool = False) -> None:
        """SynthgainError at once where it is `strict`."""
        if strict:
            raise error
        self._first = self._first or error
        before = self._by.get(error.what)
        if before is not None or len(self._by) < 20:  # a reason may hold the record's own words
            self._by[error.what] = Skipped(
                error.what, (before.n if before else 0) + 1, before.first if before else error.where
            )
        else:
            rest = self._by.get("other reasons")
            self._by["other reasons"] = Skipped(
                "other reasons", (rest.n if rest else 0) + 1, rest.first if rest else error.where
            )

    def check(self, others: int) -> None:
        """SynthgainError, the first, where more are bad than are not."""
        if self._first is not None and mostly_bad(len(self), others):
            raise self._first

    def __len__(self) -> int:
        return sum(one.n for one in self._by.values())

    @property
    def found(self) -> tuple[Skipped, ...]:
        return tuple(sorted(self._by.values(), key=lambda one: -one.n))


def first_row(path: Path) -> TrainingRow:
    """The first row, looked for among the first records. SynthgainError where none of them is one."""
    files, _ = _files(path)
    wrong: SynthgainError | None = None
    for found in islice(_records(files), LOOKED_AT):
        row = _row(found)
        if isinstance(row, TrainingRow):
            return row
        wrong = wrong or row
    raise wrong or _nothing(path)


def reads(path: Path) -> bool:
    """Whether `read_rows` knows this kind of file or folder. Looks at names only."""
    try:
        files, _ = _files(path)
    except SynthgainError:
        return False
    return all(file.name.endswith(SUFFIXES) for file in files)


def no_chat(where: str, what: str = "this row is a plain text") -> SynthgainError:
    """The error of plain texts under supervised fine-tuning."""
    return SynthgainError(
        f"supervised fine-tuning needs chats, and {what}",
        where=where,
        next='leave the method out, or take method="cpt" (--method cpt), which learns plain text',
    )


def row_digest(row: TrainingRow) -> str:
    """SHA-256 of what is read of a row; where it stands is no part of it."""
    return digest(canonical([row.text, row.messages, row.tools, row.rejected]))


def data_digest(rows: Iterable[TrainingRow]) -> str:
    """SHA-256 of what is read, in its order: file names and shards change nothing."""
    sha = hashlib.sha256()
    for row in rows:
        sha.update(row_digest(row).encode())
    return sha.hexdigest()


def prompt_of(row: TrainingRow) -> str:
    """The independent unit of a row: what stands before its last answer; of a text its anchors, else the text itself.

    Which of the turns before are learnt makes no other prompt.
    """
    if row.messages is not None:
        last = last_answer(row.messages)
        before = [{k: v for k, v in turn.items() if k != "learn"} for turn in row.messages[:last]]
        return digest("messages", canonical(before), *([canonical(row.tools)] if row.tools else ()))
    if row.anchors:
        return digest("anchors", *sorted(set(row.anchors)))
    return digest("text", row.text or "")


def last_answer(messages: tuple[Message, ...]) -> int:
    """The place of the last answer; behind the end where there is none."""
    return max((i for i, turn in enumerate(messages) if turn["role"] == "assistant"), default=len(messages))


def _number(hexadecimal: str) -> int:
    return int(hexadecimal[:16], 16)


def _nothing(path: Path) -> SynthgainError:
    return SynthgainError(
        "there are no rows to train on",
        where=str(path),
        next="look at `synthgain report RUN`: did the checks drop every row?",
    )


# ---------------------------------------------------------------------------------------------- files


def _files(path: Path) -> tuple[list[Path], tuple[str, ...]]:
    """The files to read, and the names of those that are not: they hold no rows, hold them a second time, or are of another kind.

    Parquet goes before all else. A data set's card or licence is no row where it stands beside data; in a folder of
    texts it is a text like the others.
    """
    if not path.exists():
        raise SynthgainError(
            "there is no such file or folder", where=str(path), next="give a run, a .parquet or a .jsonl file"
        )
    if path.is_file():
        return [path], ()
    folder = path / "data" if (path / "run.json").is_file() else path
    run = next(folder.glob("*/run.json"), None)
    if run is not None:
        raise SynthgainError(
            "this folder holds runs", where=str(folder), next=f"give one of them, such as {run.parent}"
        )
    there = sorted(f for f in folder.rglob("*") if f.is_file() and _seen(f, folder))
    every = [f for f in there if f.name.endswith(SUFFIXES)]
    columns = [f for f in every if f.suffix == ".parquet"]
    rows = [f for f in every if f.name not in ABOUT]
    if any(f.suffix not in TEXTS for f in rows):
        rows = [f for f in rows if f.name.lower() not in CARDS]
    chosen = columns or rows
    if not chosen:
        raise SynthgainError(
            "no file here holds rows", where=str(folder), next=f"rows are read from {', '.join(SUFFIXES)}"
        )
    taken = set(chosen)
    return chosen, tuple(str(f.relative_to(folder)) for f in there if f not in taken)


def _seen(file: Path, folder: Path) -> bool:
    return not any(part.startswith(".") for part in file.relative_to(folder).parts)


Found = tuple[str, Any]  # where, and the record; or the SynthgainError that says why there is none


def _row(found: Found) -> TrainingRow | SynthgainError | None:
    where, record = found
    if isinstance(record, SynthgainError):
        return record
    try:
        return row_of(record, where)
    except SynthgainError as error:
        return error


def _records(files: Iterable[Path]) -> Iterator[Found]:
    """The records of all files in order; SynthgainError where a file cannot be read at all."""
    for file in files:
        yield from _records_of(file)


def _records_of(file: Path) -> Iterator[Found]:
    if file.suffix == ".parquet":
        return _parquet(file)
    if file.name.endswith(LINES):
        return _lines(file)
    if file.suffix == ".json":
        return _list(file)
    if file.suffix in TEXTS:
        return _plain(file)
    raise SynthgainError(
        "rows cannot be read from this kind of file", where=str(file), next=f"give one of {', '.join(SUFFIXES)}"
    )


def _parquet(file: Path) -> Iterator[Found]:
    """Only columns that a row can be made of are read; what another column holds does not matter."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    n = 0
    try:
        with pq.ParquetFile(file) as parquet:
            named = parquet.schema_arrow.names
            if not parquet.metadata.num_rows:
                return
            columns = [name for name in COLUMNS if name in named]
            if not columns:
                row_of(dict.fromkeys(named, ""), str(file))  # says which columns there are
            for batch in parquet.iter_batches(columns=columns):
                for record in batch.to_pylist():
                    yield f"{file}#{n}", without_nulls(record) | _null(record)
                    n += 1
    except (pa.ArrowException, OSError) as error:
        raise SynthgainError(
            f"this is no readable Parquet file ({error})", where=str(file), next="write it anew, or leave it out"
        ) from error
    except UnicodeDecodeError as error:
        raise SynthgainError(
            f"a text is not UTF-8 ({error})", where=f"{file}, row {n} or after it", next="convert it to UTF-8"
        ) from error


def _null(record: dict[str, Any]) -> dict[str, None]:
    return {name: None for name, held in record.items() if held is None}


def _lines(file: Path) -> Iterator[Found]:
    try:
        with _opened(file) as stream:
            for n, line in enumerate(stream, 1):
                where = f"{file}:{n}"
                if line.strip():
                    yield where, _json(line.removeprefix(b"\xef\xbb\xbf"), where)
    except (OSError, EOFError) as error:
        raise SynthgainError(
            f"this file cannot be read ({error})", where=str(file), next="mend it, or leave it out"
        ) from error


def _opened(file: Path) -> BinaryIO:
    if file.suffix == ".gz":
        return cast(BinaryIO, gzip.open(file, "rb"))
    if file.suffix == ".zst":
        import io

        import pyarrow as pa

        return io.BufferedReader(pa.CompressedInputStream(pa.OSFile(str(file)), "zstd"), 1 << 20)
    return file.open("rb")


def _list(file: Path) -> Iterator[Found]:
    held = _json(file.read_bytes().removeprefix(b"\xef\xbb\xbf"), str(file))
    for n, record in enumerate(held if isinstance(held, list) else [held]):
        yield f"{file}#{n}", record


def _plain(file: Path) -> Iterator[Found]:
    try:
        text = file.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SynthgainError(
            f"this is not UTF-8 text ({error})", where=str(file), next="convert it to UTF-8"
        ) from error
    yield str(file), {"text": text}


def _json(raw: bytes, where: str) -> Any:
    """What JSON says, or the SynthgainError that it is none."""
    try:
        held = json.loads(raw.decode("utf-8"))
        if b"\\ud" in raw.lower():  # half of a character outside the basic plane, which no tokenizer takes
            canonical(held).encode("utf-8")
    except (ValueError, RecursionError) as error:
        return SynthgainError(f"this is not JSON in UTF-8 ({_short(error)})", where=where, next="mend or remove it")
    return held


def _short(error: Exception) -> str:
    """A JSON error without its place in the line: so that lines with one fault are counted together."""
    return str(getattr(error, "msg", error))

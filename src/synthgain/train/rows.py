"""Training rows out of files: the only reader of them, for students, arms and siblings.

It reads a run, RUN/data, a folder or a file: Parquet, JSON Lines (also gzipped), JSON, and plain texts. What one
record of these means is in `synthgain/turns.py`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthgain.train.shapes import TrainingRow, row_of
from synthgain.turns import COLUMNS
from synthgain.types import Method, SynthgainError, canonical, digest

LINES = (".jsonl", ".jsonl.gz")
TEXTS = (".txt", ".md")
SUFFIXES = (".parquet", *LINES, ".json", *TEXTS)
CARDS = frozenset({"readme.md", "readme.txt", "license.md", "license.txt", "notice.txt", "notice.md"})
ABOUT = frozenset({"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"})  # of HF data sets


@dataclass(frozen=True)
class TrainingRows:
    """What was read: the rows, how many records had nothing in them, and the files, read and left out."""

    rows: tuple[TrainingRow, ...]
    empty: int = 0
    files: int = 1
    files_left_out: tuple[str, ...] = ()

    def json(self) -> dict[str, Any]:
        """The counts, for student.json."""
        chats = [row for row in self.rows if row.messages is not None]
        return {
            "files": self.files,
            "files_left_out": list(self.files_left_out),
            "rows": len(self.rows),
            "empty": self.empty,
            "chats": len(chats),
            "texts": len(self.rows) - len(chats),
            "with_tools": sum(bool(row.tools) for row in chats),
            "with_rejected": sum(row.rejected is not None for row in chats),
        }


def read_rows(path: Path) -> TrainingRows:
    """All rows of a file, of a folder of files, or of a run (its `data`), in order.

    Records with nothing in them are left out and counted. SynthgainError: nothing there, or not readable (file:line).
    """
    files, others = _files(path)
    found = [row for file in files for row in _rows_of_file(file)]
    rows = tuple(row for row in found if row is not None)
    if not rows:
        raise _nothing(path)
    return TrainingRows(rows, len(found) - len(rows), len(files), others)


def reads(path: Path) -> bool:
    """Whether `read_rows` knows this kind of file or folder. Looks at names only."""
    try:
        files, _ = _files(path)
    except SynthgainError:
        return False
    return all(file.name.endswith(SUFFIXES) for file in files)


def method_of(path: Path) -> Method:
    """How such rows are learnt: chats by "sft", plain texts by "cpt". Reads no further than the first row.

    A set that has both is told as such in student.json, and "sft" refuses it.
    """
    files, _ = _files(path)
    first = next((row for file in files for row in _rows_of_file(file) if row is not None), None)
    if first is None:
        raise _nothing(path)
    return "cpt" if first.messages is None else "sft"


def no_chat(where: str, what: str = "this row is a plain text") -> SynthgainError:
    """The error of plain texts under supervised fine-tuning."""
    return SynthgainError(
        f"supervised fine-tuning needs chats, and {what}",
        where=where,
        next='leave the method out, or take method="cpt" (--method cpt), which learns plain text',
    )


def data_digest(rows: Iterable[TrainingRow]) -> str:
    """SHA-256 of what is read, in its order: file names and shards change nothing."""
    return digest(*(canonical([row.text, row.messages, row.tools, row.rejected]) for row in rows))


def _nothing(path: Path) -> SynthgainError:
    return SynthgainError(
        "there are no rows to train on",
        where=str(path),
        next="look at `synthgain report RUN`: did the checks drop every row?",
    )


# ---------------------------------------------------------------------------------------------- files


def _files(path: Path) -> tuple[list[Path], tuple[str, ...]]:
    """The files to read, and the names of those that hold no rows or hold them a second time.

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
    every = sorted(f for f in folder.rglob("*") if f.name.endswith(SUFFIXES) and f.is_file() and _seen(f, folder))
    columns = [f for f in every if f.suffix == ".parquet"]
    rows = [f for f in every if f.name not in ABOUT]
    if any(f.suffix not in TEXTS for f in rows):
        rows = [f for f in rows if f.name.lower() not in CARDS]
    chosen = columns or rows
    if not chosen:
        raise SynthgainError(
            "no file here holds rows", where=str(folder), next=f"rows are read from {', '.join(SUFFIXES)}"
        )
    return chosen, tuple(str(f.relative_to(folder)) for f in every if f not in set(chosen))


def _seen(file: Path, folder: Path) -> bool:
    return not any(part.startswith(".") for part in file.relative_to(folder).parts)


def _rows_of_file(file: Path) -> Iterator[TrainingRow | None]:
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


def _parquet(file: Path) -> Iterator[TrainingRow | None]:
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
                    yield row_of(_without_nulls(record) | _null(record), f"{file}#{n}")
                    n += 1
    except (pa.ArrowException, OSError) as error:
        raise SynthgainError(f"this is no readable Parquet file ({error})", where=str(file)) from error
    except UnicodeDecodeError as error:
        raise SynthgainError(
            f"a text is not UTF-8 ({error})", where=f"{file}, row {n} or after it", next="convert it to UTF-8"
        ) from error


def _without_nulls(value: Any) -> Any:
    """A struct has every member that any row has: those that are null are not there."""
    if isinstance(value, dict):
        return {name: _without_nulls(held) for name, held in value.items() if held is not None}
    return [_without_nulls(held) for held in value] if isinstance(value, list) else value


def _null(record: dict[str, Any]) -> dict[str, None]:
    return {name: None for name, held in record.items() if held is None}


def _lines(file: Path) -> Iterator[TrainingRow | None]:
    try:
        with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as stream:
            for n, line in enumerate(stream, 1):
                where = f"{file}:{n}"
                if line.strip():
                    yield row_of(_json(line.removeprefix(b"\xef\xbb\xbf"), where), where)
    except (OSError, EOFError) as error:
        raise SynthgainError(f"this file cannot be read ({error})", where=str(file)) from error


def _list(file: Path) -> Iterator[TrainingRow | None]:
    held = _json(file.read_bytes().removeprefix(b"\xef\xbb\xbf"), str(file))
    for n, record in enumerate(held if isinstance(held, list) else [held]):
        yield row_of(record, f"{file}#{n}")


def _plain(file: Path) -> Iterator[TrainingRow | None]:
    try:
        text = file.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SynthgainError(
            f"this is not UTF-8 text ({error})", where=str(file), next="convert it to UTF-8"
        ) from error
    yield row_of({"text": text}, str(file))


def _json(raw: bytes, where: str) -> Any:
    try:
        held = json.loads(raw.decode("utf-8"))
        if b"\\ud" in raw.lower():  # half of a character outside the basic plane, which no tokenizer takes
            canonical(held).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise SynthgainError(f"this is not JSON in UTF-8 ({error})", where=where, next="mend or remove it") from error
    return held

"""Recorded calls: what a run takes over from a file of calls that another run was made with, or from that run (`recording` writes such a file).

    FILE.jsonl.gz   line 1, what it is: {"format", "version", "calls": how many, "models": [{"uri", "identity", …}], "command", "made", …};
                    then the long texts of prompts, sorted: {"same": how many characters it begins with as the one before, "text": the rest};
                    and the calls: {"id", "model": which of the first line's, "prompt": its content without its long texts,
                    "long": where which of these go, …}

Calls are sorted by their texts and ids, however they were bought: equal calls make equal bytes. A file from a
stranger is data: it is read a bounded line at a time into a segment of its own, and a call whose id is not the hash of what it
claims to be is left out.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import sqlite3
import time
import zlib
from calendar import timegm
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthgain.store.about import about as told_about
from synthgain.store.call_columns import row_of, whole
from synthgain.store.calls import INSERT, MODEL, NEW_MODEL, CallMemory
from synthgain.store.segment import RECORDED, Segment, explained, opened_to_write
from synthgain.types import Call, CallFailed, Prompt, SynthgainError, digest, message

FORMAT, VERSION = "synthgain recorded calls", 1
SAID = ("made", "machine", "synthgain", "command")  # in the first line of a file: by whom its calls were made
LONGEST = 1 << 24  # bytes of a line
TOGETHER = 1000  # calls of one commit
STAMP = "%Y-%m-%dT%H:%M:%SZ"
UNREADABLE = (AttributeError, LookupError, OverflowError, RecursionError, TypeError, ValueError, SynthgainError, CallFailed)  # fmt: skip


@dataclass(frozen=True)
class Recording:
    """Recorded calls at hand: a file that `write` made, or the calls of a run. `about` is what is said of them, as JSON."""

    path: Path
    sha256: str
    about: Mapping[str, Any]

    @staticmethod
    def at(path: str | Path) -> Recording:
        """SynthgainError where none is there, or it cannot be read by its first line."""
        file = Path(path).expanduser()
        if file.is_dir():
            return _of_a_run(file)
        if not file.is_file():
            raise SynthgainError("there are no recorded calls here", where=str(path), next=GIVE)
        with _lines_of(file) as lines:
            held = next(lines, (1, {}))[1]
        if held.get("format") != FORMAT:
            raise _damaged(file, 1, "it does not say that it holds recorded calls")
        if held.get("version") != VERSION:
            raise SynthgainError(
                f"these calls were recorded in version {held.get('version')!r} of the format, and this synthgain reads version {VERSION}",
                where=f"{file}:1",
                next="use the version of synthgain that wrote it, or a newer one",
            )
        try:
            about = told_about({"calls": None, **held})
        except UNREADABLE as error:
            raise _damaged(file, 1, f"{error}") from error
        with open(file, "rb") as opened:
            return Recording(file, hashlib.file_digest(opened, "sha256").hexdigest(), about)

    @staticmethod
    def taken_over(path: str | Path, sha256: str, run: Path) -> Recording | None:
        """A recording whose file is gone, by what a run folder took over of it; None where it has not."""
        kept = _kept(run, sha256)
        return Recording(Path(path), sha256, _said_in(kept)) if kept.is_file() else None

    @property
    def models(self) -> list[tuple[str, str]]:
        """URI and identity of each model that answered."""
        return [(model["uri"], model["identity"]) for model in self.about["models"]]

    def take_over(self, run: Path) -> Mapping[str, Any]:
        """Copy its calls into the calls of a run folder, where they serve as recorded ones; what is known of them then, how many were `left_out`
        too. Where that was done before nothing is.

        SynthgainError names the line that cannot be read, and then nothing is taken over; code 3 where the disk is full.
        """
        kept = _kept(run, self.sha256)
        if not kept.is_file():
            part = run / ".recorded.part"
            run.mkdir(parents=True, exist_ok=True)
            _remove(part)
            try:
                self._copy_into(part)
                kept.parent.mkdir(exist_ok=True)
                part.replace(kept)
            except sqlite3.Error as error:
                raise explained(part, error) from error
            finally:
                _remove(part)
        return _said_in(kept)

    def _copy_into(self, part: Path) -> None:
        with closing(opened_to_write(part)) as db:
            db.execute("PRAGMA synchronous=OFF")  # it counts only when it is whole, and is flushed then
            copy = _Copy(db, _moment(self.about.get("made", "")))
            if self.path.is_dir():
                copy.run(_folder_of(self.path))
            else:
                copy.file(self.path, self.models, self.about["calls"])
            copy.end()
            known = {
                **self.about,
                "file": self.path.name,
                "sha256": self.sha256,
                "calls": copy.n,
                "left_out": copy.left_out,
            }
            db.execute("CREATE TABLE recording (about TEXT NOT NULL)")
            db.execute("INSERT INTO recording VALUES (?)", (json.dumps(known, ensure_ascii=False),))
        with open(part, "rb+") as whole_file:
            os.fsync(whole_file.fileno())


GIVE = "give a file that `synthgain export RUN --to calls` wrote, or the folder of a run"


def _kept(run: Path, sha256: str) -> Path:
    """Where a run has the calls of a recording."""
    return run / "calls" / f"{RECORDED}{sha256[:16]}.sqlite"


def _said_in(kept: Path) -> dict[str, Any]:
    with closing(Segment(kept, readonly=True)) as segment:
        return segment.recording()


class _Copy:
    """Calls on their way into a new segment, each held against its id."""

    def __init__(self, db: sqlite3.Connection, made: float) -> None:
        self.db, self.made = db, made
        self.n = self.left_out = 0
        self.models: dict[tuple[str, str], int] = {}
        self.texts, self.before = 0, ""
        db.execute("CREATE TEMP TABLE numbered (n INTEGER PRIMARY KEY, key BLOB NOT NULL)")
        db.execute("BEGIN")

    def end(self) -> None:
        """Everything is in the segment."""
        self.db.execute("COMMIT")

    def file(self, path: Path, models: list[tuple[str, str]], calls: int) -> None:
        """Everything of a file but its first line."""
        number = 1
        with _lines_of(path) as lines:
            for number, held in lines:
                if number == 1:
                    continue
                try:
                    self._call_of(held, models) if "id" in held else self._numbered(held.get("same", 0), held["text"])
                except UNREADABLE as error:
                    raise _damaged(path, number, f"{type(error).__name__}: {error}") from error
        if self.n + self.left_out != calls:
            raise _damaged(path, number, f"its first line says {calls:,} calls, and it has {self.n + self.left_out:,}")

    def run(self, folder: Path) -> None:
        """Every call of a folder of calls."""
        with closing(CallMemory(folder, readonly=True)) as memory:
            for segment, (identity, at, *row) in memory.rows():
                self._put(segment.call(tuple(row)), identity, at)

    def _numbered(self, same: int, rest: str) -> None:
        """The next of a file's texts."""
        self.before = self.before[:same] + rest
        if len(self.before) > LONGEST:
            raise ValueError(f"this text is longer than {LONGEST:,} characters")
        self.db.execute("INSERT INTO numbered VALUES (?, ?)", (self.texts, self._text(self.before)))
        self.texts += 1

    def _text(self, text: str) -> bytes:
        """Keep a text; its key."""
        key = bytes.fromhex(digest(text)[:32])
        self.db.execute("INSERT INTO texts VALUES (?, ?) ON CONFLICT (key) DO NOTHING", (key, text))
        return key

    def _call_of(self, held: Mapping[str, Any], models: list[tuple[str, str]]) -> None:
        uri, identity = models[held["model"]]
        prompt = whole(Prompt.read(json.dumps(held["prompt"])), held.get("long", ()), self._body)
        answer = message({"role": "assistant", "content": held["text"], **held.get("rest", {})})
        came, went, cached = held["tokens"]
        figures = [held[name] for name in ("logprob", "law", "cost", "seconds")]
        call = Call(held["id"], prompt, answer, uri, held["finish"], came, went, cached, *figures)
        self._put(call, identity, self.made)

    def _body(self, number: int) -> str:
        (text,) = self.db.execute("SELECT body FROM texts NATURAL JOIN numbered WHERE n = ?", (number,)).fetchone()
        return str(text)

    def _put(self, call: Call, identity: str, at: float) -> None:
        if call.prompt.id(identity) != call.id:
            self.left_out += 1
            return
        long, model, row = row_of(call, identity)
        if model not in self.models:
            self.db.execute(f"{NEW_MODEL} VALUES (?, ?)", model)
            self.models[model] = int(self.db.execute(MODEL, model).fetchone()[0])
        for _, text in long:
            self._text(text)
        self.db.execute(INSERT[1], (*row, self.models[model], at))
        self.n += 1
        if self.n % TOGETHER == 0:
            self.db.execute("COMMIT")
            self.db.execute("BEGIN")


def _of_a_run(path: Path) -> Recording:
    """The calls of a run folder, or of its calls/, as a recording."""
    folder = _folder_of(path)
    total, last, here = 0, 0.0, False
    with closing(CallMemory(folder, readonly=True)) as memory:
        for segment, (_, at, key, _, _, _, _, text, rest, *_) in memory.rows():
            each = hashlib.blake2b(f"{key.hex()} {text} {rest}".encode(), digest_size=32)
            total, last, here = (
                total + int.from_bytes(each.digest(), "big"),
                max(last, at),
                here or not segment.recorded,
            )
        models = [{"uri": uri, "identity": identity} for uri, identity in memory.models()]
        before = [*memory.recordings().values()]
    record: dict[str, Any] = {}
    with suppress(OSError, ValueError, RecursionError):
        record = json.loads((folder.parent / "run.json").read_text("utf-8"))
    told = before[0] if len(before) == 1 and not here else {**record, "made": stamp(last), "from": before}
    said = {name: told[name] for name in SAID if isinstance(told.get(name), str)}
    try:
        about = told_about({**said, "from": told.get("from"), "models": models})
    except UNREADABLE as error:
        raise _damaged(folder, 0, f"{error}") from error
    return Recording(path, f"{total % 2**256:064x}", about)


def _folder_of(path: Path) -> Path:
    folder = path / "calls" if (path / "calls").is_dir() else path
    if not any(folder.glob("*.sqlite")):
        raise SynthgainError("there are no recorded calls in this folder", where=str(path), next=GIVE)
    return folder


# ---------------------------------------------------------------------------------------------- lines


@contextmanager
def _lines_of(path: Path) -> Iterator[Iterator[tuple[int, dict[str, Any]]]]:
    """The lines of a file with their numbers, each a JSON object; none is longer than LONGEST bytes."""
    with gzip.open(path, "rb") as file:
        yield _numbered(path, file)


def _numbered(path: Path, file: gzip.GzipFile) -> Iterator[tuple[int, dict[str, Any]]]:
    number = 1
    try:
        while line := file.readline(LONGEST + 1):
            if len(line) > LONGEST:
                raise ValueError(f"the line is longer than {LONGEST:,} bytes")
            if not isinstance(held := json.loads(line), dict):
                raise ValueError("the line is no JSON object")
            yield number, held
            number += 1
    except (EOFError, OSError, RecursionError, ValueError, zlib.error) as error:
        raise _damaged(path, number, f"{error}") from error


def _damaged(file: Path, line: int, why: str) -> SynthgainError:
    return SynthgainError(
        f"this is no file of recorded calls, or it is damaged ({why:.300})",
        where=f"{file}:{line}" if line else str(file),
        next=f"{GIVE}; or copy it again",
    )


def stamp(moment: float) -> str:
    """A time as a first line has it."""
    return time.strftime(STAMP, time.gmtime(moment))


def _moment(made: str) -> float:
    try:
        return float(timegm(time.strptime(made, STAMP)))
    except ValueError:
        return 0.0


def _remove(part: Path) -> None:
    for end in ("", "-wal", "-shm"):
        part.with_name(part.name + end).unlink(missing_ok=True)

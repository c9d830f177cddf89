"""Recorded calls: those of a run as one file that can be shipped, and what another run takes over from such a file.

    FILE.jsonl.gz   line 1, what it is: {"format", "version", "calls": how many, "models": [{"uri", "identity", …}], "command", "made", …};
                    then {"text"}: a long text, before the first prompt that has it, which names it by 16 bytes of its SHA-256;
                    and {"id", "model": which of the first line's, "prompt": its content without its long texts, "long": where these go, …}

Calls are sorted by their texts and ids, and nothing in the file says when it was written, so equal calls make equal bytes. A file from a
stranger is data: it is read a bounded line at a time into a segment of its own, and a call whose id is not the hash of what it
claims to be is left out.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import sqlite3
import time
import zlib
from calendar import timegm
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from synthgain.store.about import about as told_about
from synthgain.store.calls import INSERT, MODEL, NEW_MODEL, CallMemory
from synthgain.store.segment import RECORDED, Segment, explained, opened_to_write, row_of, whole
from synthgain.types import Call, CallFailed, Prompt, SynthgainError, digest, message

FORMAT, VERSION = "synthgain recorded calls", 1
LONGEST = 1 << 24  # bytes of a line
TOGETHER = 1000  # calls of one commit
STAMP = "%Y-%m-%dT%H:%M:%SZ"
UNREADABLE = (AttributeError, LookupError, OverflowError, RecursionError, TypeError, ValueError, SynthgainError, CallFailed)  # fmt: skip


# ---------------------------------------------------------------------------------------------- written


@dataclass(frozen=True)
class Written:
    """How many calls a file has, how many of the run's are not in it, and its size."""

    calls: int
    left_out: int
    bytes: int


def write(
    calls: Path,
    out: Path,
    about: Mapping[str, str],
    licences: Mapping[str, str | None],
    wanted: Callable[[str], bool] = lambda id: True,
) -> Written:
    """The calls of a folder whose ids are `wanted`, as one file. `about` says how they were made, `licences` those of the models by URI.

    SynthgainError where no call is wanted, or one is too long.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    new, body = (out.with_name(f".{out.name}.{os.getpid()}{end}") for end in ("", ".body"))
    try:
        with closing(CallMemory(calls, readonly=True)) as memory:
            with open(body, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
                lines = _Lines(file, wanted)
                for segment, row in memory.in_order():
                    lines.add(segment, row)
            head = _head(lines, memory.recordings(), about, licences)
        if not lines.n:
            raise SynthgainError(
                "there is no call to write", where=str(calls), next="make the run first, or write all that it ever bought: --all"
            )
        with open(new, "wb") as whole_file:
            with gzip.GzipFile("", "wb", 9, whole_file, mtime=0) as file:
                file.write(_line(head))
            with open(body, "rb") as rest:
                shutil.copyfileobj(rest, whole_file)
        new.replace(out)
    finally:
        for left in (new, body):
            left.unlink(missing_ok=True)
    return Written(lines.n, lines.left_out, out.stat().st_size)


class _Lines:
    """The lines of a file after the first, and what has to be said of them in the first."""

    def __init__(self, file: IO[bytes], wanted: Callable[[str], bool]) -> None:
        self.file, self.wanted = file, wanted
        self.n = self.left_out = 0
        self.models: dict[tuple[str, str], int] = {}
        self.texts: set[str] = set()
        self.last = 0.0  # when the last of them was bought
        self.sources: set[str] = set()  # files that hold them

    def add(self, segment: Segment, row: tuple[Any, ...]) -> None:
        """A call as it lies in a file of calls, after the long texts that no call before it had."""
        identity, at, key, tail, prompt, places, uri, text, rest, finish, *counts, logprob, law, cost, seconds = row
        id = (key + tail).hex()
        if not self.wanted(id):
            self.left_out += 1
            return
        held: dict[str, Any] = {"id": id, "model": self.models.setdefault((uri, identity), len(self.models))}
        held["prompt"] = json.loads(prompt)
        if places is not None:
            held["long"] = json.loads(places)
            for _, name in held["long"]:
                if name not in self.texts:
                    self._put({"text": segment.text(name)}, id)
                    self.texts.add(name)
        held |= {"text": text} | ({} if rest is None else {"rest": json.loads(rest)}) | {"finish": finish}
        held |= {"tokens": counts, "logprob": logprob, "law": law, "cost": cost, "seconds": round(seconds, 3)}
        self._put(held, id)
        self.n, self.last = self.n + 1, max(self.last, at)
        self.sources.add(segment.file.stem if segment.recorded and segment.file else "")

    def _put(self, held: Mapping[str, Any], id: str) -> None:
        line = _line(held)
        if len(line) > LONGEST:
            raise SynthgainError(f"this call is longer than {LONGEST:,} bytes, which no recording holds", where=f"call {id}")
        self.file.write(line)


def _head(
    lines: _Lines,
    recordings: Mapping[str, Mapping[str, Any]],
    about: Mapping[str, str],
    licences: Mapping[str, str | None],
) -> dict[str, Any]:
    """The first line. Where all calls come from one recording it is that one again; other recordings are named."""
    before = [recordings[name] for name in sorted(lines.sources - {""})]
    copied = before[0] if len(before) == 1 and "" not in lines.sources else None
    told = {"made": time.strftime(STAMP, time.gmtime(lines.last))} | dict(about)
    if copied is not None:
        told = {name: copied[name] for name in (*about, "made") if name in copied}
        before = copied.get("from", [])
    models = []
    for uri, identity in lines.models:
        weights = re.match(r"[0-9a-f]{64}(?![0-9a-f])", identity)
        licence = next((m.get("licence") for r in recordings.values() for m in r["models"] if m["identity"] == identity), None)
        models.append(
            {"uri": uri, "identity": identity}
            | ({"sha256": weights[0]} if weights else {})
            | ({"licence": said} if (said := licences.get(uri) or licence) else {})
        )
    held = {"format": FORMAT, "version": VERSION, "calls": lines.n, "models": models, **told}
    return held | ({"from": before} if before else {})


def _line(held: Mapping[str, Any]) -> bytes:
    return (json.dumps(held, ensure_ascii=False, separators=(",", ":")) + "\n").encode()


# ---------------------------------------------------------------------------------------------- taken over


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

    @property
    def models(self) -> list[tuple[str, str]]:
        """URI and identity of each model that answered."""
        return [(model["uri"], model["identity"]) for model in self.about["models"]]

    def take_over(self, run: Path) -> Mapping[str, Any]:
        """Copy its calls into the calls of a run folder, where they serve as recorded ones; what is known of them then, how many were `left_out`
        too. Where that was done before nothing is.

        SynthgainError names the line that cannot be read, and then nothing is taken over; code 3 where the disk is full.
        """
        kept = run / "calls" / f"{RECORDED}{self.sha256[:16]}.sqlite"
        if not kept.is_file():
            part = run / ".recorded.part"
            _remove(part)
            try:
                self._copy_into(part)
                kept.parent.mkdir(exist_ok=True)
                part.replace(kept)
            except sqlite3.Error as error:
                raise explained(part, error) from error
            finally:
                _remove(part)
        segment = Segment(kept, readonly=True)
        try:
            return segment.recording()
        finally:
            segment.close()

    def _copy_into(self, part: Path) -> None:
        with closing(opened_to_write(part)) as db:
            db.execute("PRAGMA synchronous=OFF")  # it counts only when it is whole, and is flushed then
            copy = _Copy(db, _moment(self.about.get("made", "")))
            if self.path.is_dir():
                copy.run(_folder_of(self.path))
            else:
                copy.file(self.path, self.models, self.about["calls"])
            copy.end()
            known = {**self.about, "file": self.path.name, "sha256": self.sha256, "calls": copy.n, "left_out": copy.left_out}
            db.execute("CREATE TABLE recording (about TEXT NOT NULL)")
            db.execute("INSERT INTO recording VALUES (?)", (json.dumps(known, ensure_ascii=False),))
        with open(part, "rb+") as whole_file:
            os.fsync(whole_file.fileno())


GIVE = "give a file that `synthgain export RUN --to calls` wrote, or the folder of a run"


class _Copy:
    """Calls on their way into a new segment, each held against its id."""

    def __init__(self, db: sqlite3.Connection, made: float) -> None:
        self.db, self.made = db, made
        self.n = self.left_out = 0
        self.models: dict[tuple[str, str], int] = {}
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
                    self._text(held["text"]) if held.keys() == {"text"} else self._call_of(held, models)
                except UNREADABLE as error:
                    raise _damaged(path, number, f"{type(error).__name__}: {error}") from error
        if self.n + self.left_out != calls:
            raise _damaged(path, number, f"its first line says {calls:,} calls, and it has {self.n + self.left_out:,}")

    def run(self, folder: Path) -> None:
        """Every call of a folder of calls."""
        with closing(CallMemory(folder, readonly=True)) as memory:
            for segment, (identity, at, *row) in memory.in_order():
                self._put(segment.call(tuple(row)), identity, at)

    def _text(self, text: str) -> None:
        key = bytes.fromhex(digest(text)[:32])
        self.db.execute("INSERT INTO texts VALUES (?, ?) ON CONFLICT (key) DO NOTHING", (key, text))

    def _call_of(self, held: Mapping[str, Any], models: list[tuple[str, str]]) -> None:
        uri, identity = models[held["model"]]
        prompt = whole(Prompt.read(json.dumps(held["prompt"])), held.get("long", ()), self._body)
        answer = message({"role": "assistant", "content": held["text"], **held.get("rest", {})})
        figures = [held[name] for name in ("logprob", "law", "cost", "seconds")]
        self._put(Call(held["id"], prompt, answer, uri, held["finish"], *held["tokens"], *figures), identity, self.made)

    def _body(self, key: str) -> str:
        found = self.db.execute("SELECT body FROM texts WHERE key = ?", (bytes.fromhex(key),)).fetchone()
        return str(found[0]) if found else ""

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
    total = 0
    with closing(CallMemory(folder, readonly=True)) as memory:
        for segment, row in memory.in_order():
            total += int.from_bytes(hashlib.blake2b(f"{row[2].hex()} {row[7]} {row[8]}".encode(), digest_size=32).digest(), "big")
        models = [{"uri": uri, "identity": identity} for uri, identity in memory.models()]
    record: dict[str, Any] = {}
    with suppress(OSError, ValueError):
        record = json.loads((folder.parent / "run.json").read_text("utf-8"))
    said = {name: record[name] for name in ("command", "machine", "synthgain") if isinstance(record.get(name), str)}
    made = {"made": record["finished"]} if isinstance(record.get("finished"), str) else {}
    return Recording(path, f"{total % 2**256:064x}", {"models": models, "calls": 0, **said, **made})


def _folder_of(path: Path) -> Path:
    folder = path / "calls" if (path / "calls").is_dir() else path
    if not any(folder.glob("*.sqlite")):
        raise SynthgainError("there are no recorded calls in this folder", where=str(path), next=GIVE)
    return folder


# ---------------------------------------------------------------------------------------------- lines


class _lines_of:
    """The lines of a file with their numbers, each a JSON object; none is longer than LONGEST bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = gzip.open(path, "rb")

    def __enter__(self) -> Iterator[tuple[int, dict[str, Any]]]:
        return self._read()

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def _read(self) -> Iterator[tuple[int, dict[str, Any]]]:
        number = 1
        try:
            while line := self.file.readline(LONGEST + 1):
                if len(line) > LONGEST:
                    raise ValueError(f"the line is longer than {LONGEST:,} bytes")
                if not isinstance(held := json.loads(line), dict):
                    raise ValueError("the line is no JSON object")
                yield number, held
                number += 1
        except (EOFError, OSError, RecursionError, ValueError, zlib.error) as error:
            raise _damaged(self.path, number, f"{error}") from error


def _damaged(file: Path, line: int, why: str) -> SynthgainError:
    return SynthgainError(
        f"this is no file of recorded calls, or it is damaged ({why:.300})", where=f"{file}:{line}", next=f"{GIVE}; or copy it again"
    )


def _moment(made: str) -> float:
    try:
        return float(timegm(time.strptime(made, STAMP)))
    except ValueError:
        return 0.0


def _remove(part: Path) -> None:
    for end in ("", "-wal", "-shm"):
        part.with_name(part.name + end).unlink(missing_ok=True)

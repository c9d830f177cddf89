"""The memory of calls: log, cache and proof at once.

A folder of SQLite files in WAL mode, each with one writer (see `segment`). A call is on disk (fsync) before its answer is
used; answers that arrive within a few milliseconds of each other share one commit. Keys are the first 16 bytes of a call's identity.
"""

from __future__ import annotations

import asyncio
import copy
import heapq
import re
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from synthgain.store.call_columns import key_of, row_of
from synthgain.store.segment import (
    COLUMNS,
    READ,
    RECORDED,
    WITH_IDENTITY,
    Segment,
    explained,
    opened_to_write,
)
from synthgain.types import Call, CallFailed, Prompt, SynthgainError

PAUSE = 0.002  # seconds the writer gathers answers for one commit
TOGETHER = (60, 8, 1)  # rows of one INSERT: SQLite then works for longer without the interpreter's lock
INSERT = {
    n: f"INSERT OR IGNORE INTO calls VALUES {','.join(['(' + ','.join('?' * COLUMNS) + ')'] * n)}" for n in TOGETHER
}
READONLY = SynthgainError("this memory of calls was opened to be read, not to be written")
NEW_MODEL = "INSERT INTO models (uri, identity)"
SET_ASIDE = "UPDATE calls SET key = ? WHERE key = ?"
MODEL = "SELECT n FROM models WHERE uri = ? AND identity = ?"

Waiting = tuple[list[tuple[bytes, str]], tuple[str, str], tuple[Any, ...]]  # long texts, model, columns


class _Known:
    """A Bloom filter of keys: says "surely new" without a look at the disk (1 false alarm in 1,000; 2 bytes a key)."""

    def __init__(self, keys: int) -> None:
        self.room = max(1 << 18, 2 * keys)
        self.mask = (1 << (self.room * 16 - 1).bit_length()) - 1
        self.bits = bytearray((self.mask + 1) // 8)
        self.n = 0

    def add(self, key: bytes) -> None:
        self.n += 1
        for i in (0, 4, 8, 12):
            bit = int.from_bytes(key[i : i + 4], "big") * 2654435761 & self.mask
            self.bits[bit >> 3] |= 1 << (bit & 7)

    def add_many(self, keys: Sequence[bytes]) -> None:
        """The same for many keys at once."""
        self.n += len(keys)
        parts = np.frombuffer(b"".join(keys), ">u4").astype(np.uint64)
        places = parts * np.uint64(2654435761) & np.uint64(self.mask)
        bits = np.frombuffer(self.bits, np.uint8)
        np.bitwise_or.at(bits, places >> np.uint64(3), np.left_shift(1, places & np.uint64(7)).astype(np.uint8))

    def __contains__(self, key: bytes) -> bool:
        bits, mask = self.bits, self.mask
        for i in (0, 4, 8, 12):
            bit = int.from_bytes(key[i : i + 4], "big") * 2654435761 & mask
            if not bits[bit >> 3] & 1 << (bit & 7):
                return False
        return True


class CallMemory:
    """Every paid call of a run, found by content.

    It reads every segment (`*.sqlite`) that the folder has when it is opened, and writes one: `segment`, which no other process
    may write. What others commit to theirs later is joined at the next opening; a read-only one sees it at once. Open it inside the
    event loop that awaits `put`. `folder=None` keeps it in memory (previews).
    SynthgainError: code 3 where the disk is full; a file that is damaged or of another version; a disk without file locks.
    """

    def __init__(self, folder: Path | None, segment: str = "local", *, readonly: bool = False) -> None:
        if not re.fullmatch(r"[\w-]+", segment):
            raise ValueError(f"a segment's name is letters, digits, - and _, not {segment!r}")
        self.folder, self._file = folder, None if folder is None else folder / f"{segment}.sqlite"
        if folder is not None and not readonly:
            folder.mkdir(parents=True, exist_ok=True)
        self._segments: list[Segment] = []
        try:
            self._open(folder, readonly)
            self._known = [] if readonly else [self._keys()]
        except BaseException:
            self._close_files()
            raise
        self._readonly = readonly
        self._takes_over = any(segment.recorded for segment in self._segments)
        self._seen_texts: set[bytes] = set()
        self._again: set[bytes] = set()  # keys whose next call takes the place of another
        self._models: dict[tuple[str, str], int] = {}
        self._waiting: list[Waiting] = []
        self._batch: asyncio.Future[None] | None = None
        self._wake = threading.Event()
        self._closing = False
        self._ended = READONLY if readonly else None  # why nothing can be written (any more)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def _open(self, folder: Path | None, readonly: bool) -> None:
        """Open every segment, the one that is written first."""
        files = [] if folder is None else sorted(folder.glob("*.sqlite"), key=_bought_first)
        if readonly and not files:
            raise SynthgainError(
                "there is no memory of calls (no .sqlite file)",
                where=str(folder),
                next="give the folder of a run, with its calls/",
            )
        if not readonly:
            self._segments.append(Segment(self._file, readonly=False))
        for file in files:
            if readonly or file != self._file:
                segment = Segment(file, readonly=True)
                if segment.empty:  # its writer is just making it
                    segment.close()
                else:
                    self._segments.append(segment)

    # ------------------------------------------------------------------------------------------ look-up

    def find(self, id: str, prompt: Prompt) -> Call | None:
        """The call that this prompt bought before, if it did."""
        if not self._readonly:
            key = key_of(id)
            if not any(key in known for known in self._known):
                if self._segments[0].stale():
                    self._let_go()
                return None
        for afresh in (False, True):
            for segment in self._segments:
                if found := segment.find(id, prompt, afresh=afresh):
                    return found
        return None

    def _let_go(self) -> None:
        for segment in self._segments:
            segment.let_go()

    def _keys(self) -> _Known:
        """A filter of the keys on disk, with room for as many again."""
        known = _Known(sum(segment.count() for segment in self._segments))
        for segment in self._segments:
            for keys in segment.key_lists():
                known.add_many(keys)
        return known

    def get_many(self, ids: Iterable[str]) -> dict[str, Call]:
        """The calls with these ids; unknown ids are left out."""
        found: dict[str, Call] = {}
        for id in ids:
            for segment in self._segments:
                if row := next(segment.rows(f"{READ} WHERE key = ?", (key_of(id),)), None):
                    found[id] = segment.call(row)
                    break
        return found

    def knows(self, identity: str) -> bool:
        """Whether it holds a call of the model with this identity that was bought here, not recorded elsewhere."""
        asked = "SELECT 1 FROM models WHERE identity = ? LIMIT 1"
        here = (segment for segment in self._segments if not segment.recorded)
        return any(next(segment.rows(asked, (identity,)), None) is not None for segment in here)

    def models(self) -> list[tuple[str, str]]:
        """URI and identity of each model that it holds calls of."""
        return sorted({model for segment in self._segments for model in segment.models()})

    def recordings(self) -> dict[str, dict[str, Any]]:
        """What is known of the recordings that calls were taken over from, by name."""
        return {
            segment.file.stem: segment.recording() for segment in self._segments if segment.recorded and segment.file
        }

    def texts(self) -> Iterator[tuple[bytes, str]]:
        """The long texts of prompts by their keys, sorted."""
        asked = "SELECT key, body FROM texts ORDER BY body"
        yield from heapq.merge(*(segment.rows(asked) for segment in self._segments), key=lambda row: row[1].encode())

    def recording(self, id: str) -> str:
        """The name of the recording that a remembered call comes from; "" of one that was bought here."""
        if not self._takes_over:
            return ""
        key = key_of(id)
        first = next((segment for segment in self._segments if segment.sees(key)), None)
        return first.file.stem if first is not None and first.recorded and first.file else ""

    def __iter__(self) -> Iterator[Call]:
        for segment, (_, _, *row) in self.rows():
            yield segment.call(tuple(row))

    def rows(self, sql: str = WITH_IDENTITY, key: int = 2) -> Iterator[tuple[Segment, tuple[Any, ...]]]:
        """What a query gives of every file, each `key` (the number of that column) once, with the file that it lies in."""
        for n, segment in enumerate(self._segments):
            for row in segment.rows(sql):
                if not any(before.holds(row[key]) for before in self._segments[:n]):
                    yield segment, row

    def __len__(self) -> int:
        if len(self._segments) < 2:
            return sum(segment.count() for segment in self._segments)
        keys = b"".join(key for segment in self._segments for some in segment.key_lists() for key in some)
        return len(np.unique(np.frombuffer(keys, "S16")))

    # ------------------------------------------------------------------------------------------ durability

    def put(self, call: Call, identity: str, *, again: bool = False) -> asyncio.Future[None]:
        """Write a call down. The future is done when it is safe on disk; the answers of one commit share it.

        It fails with CallFailed where this answer has no form on disk, and with SynthgainError where nothing can be written any more.
        Whoever may be cancelled awaits it through `asyncio.shield`. `again`: it takes the place of the one with this id, which was paid for
        too and stays in the file, under a key that nobody looks up.
        """
        loop = asyncio.get_running_loop()
        try:
            waiting = row_of(call, identity)
            if self._thread is None:
                self._start()
            with self._lock:
                if self._ended is not None:
                    raise copy.copy(self._ended)
                self._waiting.append(waiting)
                if again:
                    self._again.add(waiting[2][0])
                if self._batch is None:
                    self._batch = loop.create_future()
                    self._wake.set()
                batch = self._batch
        except (CallFailed, SynthgainError) as error:
            failed: asyncio.Future[None] = loop.create_future()
            failed.set_exception(error)
            return failed
        if self._known[-1].n >= self._known[-1].room:
            self._known.append(_Known(2 * self._known[-1].room))
        self._known[-1].add(waiting[2][0])
        return batch

    def _start(self) -> None:
        if self._ended is not None:
            return
        thread = threading.Thread(target=self._write_batches, name="synthgain-calls", daemon=True)
        try:
            thread.start()
            self._thread = thread
        except RuntimeError as error:  # no more threads
            self._end(error, None)

    def _write_batches(self) -> None:
        """The writer's thread. Whatever ends it is told to all who wait and to all who come later."""
        batch: asyncio.Future[None] | None = None
        db: sqlite3.Connection | None = None
        try:
            db = self._segments[0].db if self._file is None else opened_to_write(self._file)
            last = False
            while not last:
                self._wake.wait()
                if not self._closing:
                    time.sleep(PAUSE)
                with self._lock:
                    waiting, self._waiting = self._waiting, []
                    batch, self._batch = self._batch, None
                    self._wake.clear()
                    last = self._closing
                if batch is not None:
                    self._write(db, waiting)
                    _settle(batch, None)
        except BaseException as error:
            self._end(error, batch)
        finally:
            if db is not None and self._file is not None:
                db.close()

    def _end(self, error: BaseException, batch: asyncio.Future[None] | None) -> None:
        reason = SynthgainError(
            f"no answer can be written down any more ({type(error).__name__}: {error})",
            where=str(self._file),
            next="run the same command again: every answer written so far is kept",
        )
        if isinstance(error, SynthgainError):
            reason = error
        elif isinstance(error, sqlite3.Error):
            with suppress(Exception):  # explaining looks at the disk, and nobody may wait for ever for that
                reason = explained(self._file, error)
        reason.__cause__ = error if error is not reason else None
        with self._lock:
            self._ended = reason
            self._waiting = []
            later, self._batch = self._batch, None
        for waiting in (batch, later):
            if waiting is not None:
                _settle(waiting, reason)

    def _write(self, db: sqlite3.Connection, waiting: list[Waiting]) -> None:
        now = time.time()
        db.execute("BEGIN IMMEDIATE")
        try:
            rows = []
            for long, model, row in waiting:
                for text in long:
                    self._write_text(db, *text)
                if row[0] in self._again:
                    db.execute(SET_ASIDE, (secrets.token_bytes(16), row[0]))
                    self._again.discard(row[0])
                rows.append((*row, self._models.get(model) or self._model(db, *model), now))
            at = 0
            for n in TOGETHER:
                while len(rows) - at >= n:
                    db.execute(INSERT[n], [value for row in rows[at : at + n] for value in row])
                    at += n
            db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            raise

    def _write_text(self, db: sqlite3.Connection, key: bytes, body: str) -> None:
        if key in self._seen_texts:
            return
        db.execute("INSERT INTO texts VALUES (?, ?) ON CONFLICT (key) DO NOTHING", (key, body))
        if len(self._seen_texts) > 100_000:
            self._seen_texts.clear()
        self._seen_texts.add(key)

    def _model(self, db: sqlite3.Connection, uri: str, identity: str) -> int:
        db.execute(f"{NEW_MODEL} VALUES (?, ?) ON CONFLICT (uri, identity) DO NOTHING", (uri, identity))
        n = self._models[uri, identity] = int(db.execute(MODEL, (uri, identity)).fetchone()[0])
        return n

    def close(self) -> None:
        """Wait until everything handed over is on disk or its failure is told, then let go."""
        with self._lock:
            self._closing = True
            if self._ended is None:
                self._ended = SynthgainError("the memory of calls is closed", where=str(self._file))
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._close_files()

    def _close_files(self) -> None:
        for segment in self._segments:
            segment.close()


def _bought_first(file: Path) -> tuple[bool, str]:
    return file.name.startswith(RECORDED), file.name


def _settle(batch: asyncio.Future[None], error: SynthgainError | None) -> None:
    """Tell who waits, in their own thread."""

    def tell() -> None:
        if batch.done():
            return
        if error is None:
            batch.set_result(None)
        else:
            batch.set_exception(error)

    with suppress(RuntimeError):  # the loop is gone (interrupted twice), and who waited with it
        batch.get_loop().call_soon_threadsafe(tell)

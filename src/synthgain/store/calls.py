"""The memory of calls: log, cache and proof at once.

One SQLite file in WAL mode. A call is on disk (fsync) before its answer is used; answers that arrive
within a few milliseconds of each other share one commit. Keys are the first 16 bytes of a call's
identity. Contents longer than LONG characters are stored once, however many prompts repeat them.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from synthgain.types import Call, Prompt, SynthgainError, digest

LONG = 512  # characters; a longer message content is stored once in `texts`
PAUSE = 0.002  # seconds the writer gathers answers for one commit

SCHEMA = """
CREATE TABLE IF NOT EXISTS models (n INTEGER PRIMARY KEY, uri TEXT NOT NULL, identity TEXT NOT NULL, UNIQUE (uri, identity));
CREATE TABLE IF NOT EXISTS texts (key BLOB PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS calls (
  key BLOB PRIMARY KEY, model INTEGER NOT NULL, prompt TEXT NOT NULL, text TEXT NOT NULL, finish TEXT NOT NULL,
  tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL, tokens_cached INTEGER NOT NULL,
  logprob REAL, law TEXT NOT NULL, cost REAL, seconds REAL NOT NULL, at REAL NOT NULL
);
"""
TOGETHER = (64, 8, 1)  # rows of one INSERT: SQLite then works for longer without the interpreter's lock
INSERT = {n: f"INSERT OR IGNORE INTO calls VALUES {','.join(['(?,?,?,?,?,?,?,?,?,?,?,?,?)'] * n)}" for n in TOGETHER}
ANSWER = "text, finish, tokens_in, tokens_out, tokens_cached, logprob, law, cost, seconds"
FIND = f"SELECT uri, {ANSWER} FROM calls JOIN models ON model = n WHERE key = ?"
READ = f"SELECT uri, identity, prompt, {ANSWER} FROM calls JOIN models ON model = n"


def _key(id: str) -> bytes:
    return bytes.fromhex(id[:32])


def _unsurrogate(text: str) -> str:
    """SQLite stores UTF-8: a lone surrogate (broken text from a server) becomes U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


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

    Open it inside the event loop that awaits `put`. `folder=None` keeps it in memory (previews).
    SynthgainError with code 3 where the disk is full.
    """

    def __init__(self, folder: Path | None, *, readonly: bool = False) -> None:
        self.file = None if folder is None else folder / "calls.sqlite"
        self.readonly = readonly
        if folder is not None and not readonly:
            folder.mkdir(parents=True, exist_ok=True)
        self._reader = self._connect()
        self._seen_texts: set[bytes] = set()
        self._models: dict[tuple[str, str], int] = {}
        self._waiting: list[tuple[Call, str]] = []
        self._batch: asyncio.Future[None] | None = None
        self._wake = threading.Event()
        self._closing = False
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._known = [self._keys()]
        self._snapshot = 0.0  # when the reader's view of the file was taken; 0: none is held

    def _connect(self) -> sqlite3.Connection:
        try:
            if self.file is None:
                db = sqlite3.connect(
                    "file:synthgain?mode=memory", uri=True, check_same_thread=False, isolation_level=None
                )
                db.executescript(SCHEMA)
                return db
            if self.file.is_file() and self.file.stat().st_size > 0 and not self._is_sqlite():
                raise sqlite3.DatabaseError("file is not a database")
            if self.readonly:
                return sqlite3.connect(f"{self.file.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)
            db = sqlite3.connect(self.file, check_same_thread=False, isolation_level=None)
            db.execute("PRAGMA page_size=16384")
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            db.executescript(SCHEMA)
            return db
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def _is_sqlite(self) -> bool:
        with open(self.file or "", "rb") as file:
            return file.read(16) == b"SQLite format 3\0"

    def _explained(self, error: sqlite3.Error) -> SynthgainError:
        where = str(self.file)
        if "full" in str(error) or "disk I/O" in str(error):
            return SynthgainError(
                f"no room to write an answer down ({error})", where=where, code=3,
                next="free disk space and run the same command again: every answer written so far is kept",
            )  # fmt: skip
        return SynthgainError(
            f"the memory of calls cannot be read or written ({error})", where=where,
            next="check that the file is a synthgain run's and that you may write there; restore it from a copy if it is damaged",
        )  # fmt: skip

    # ------------------------------------------------------------------------------------------ look-up

    def find(self, id: str, prompt: Prompt) -> Call | None:
        """The call that this prompt bought before, if it did."""
        key = _key(id)
        if not any(key in known for known in self._known):
            return None
        try:
            found = self._look(key) or self._look(key, afresh=True)
        except sqlite3.Error as error:
            raise self._explained(error) from error
        return None if found is None else _call(id, prompt, found[0], found[1:])

    def _look(self, key: bytes, afresh: bool = False) -> Any:
        """One row, from a view of the file that is held up to a second (taking one costs more than reading)."""
        if self.file is not None:
            now = time.monotonic()
            if afresh or now - self._snapshot > 1.0:
                self._let_go()
                self._reader.execute("BEGIN")
                self._snapshot = now
        return self._reader.execute(FIND, (key,)).fetchone()

    def _let_go(self) -> None:
        if self._reader.in_transaction and self.file is not None:
            self._reader.execute("COMMIT")

    def _keys(self) -> _Known:
        """A filter of the keys on disk, with room for as many again."""
        if self.readonly:
            return _Known(0)
        known = _Known(len(self))
        keys = self._reader.execute("SELECT key FROM calls")
        while some := keys.fetchmany(100_000):
            known.add_many([key for (key,) in some])
        return known

    def get_many(self, ids: Iterable[str]) -> dict[str, Call]:
        """The calls with these ids; unknown ids are left out."""
        found: dict[str, Call] = {}
        for id in ids:
            for row in self._reader.execute(f"{READ} WHERE key = ?", (_key(id),)):
                found[id] = replace(self._full(row), id=id)
        return found

    def __iter__(self) -> Iterator[Call]:
        for row in self._reader.execute(READ):
            yield self._full(row)

    def __len__(self) -> int:
        return int(self._reader.execute("SELECT count(*) FROM calls").fetchone()[0])

    def _full(self, row: tuple) -> Call:  # type: ignore[type-arg]
        uri, identity, content, *answer = row
        prompt = Prompt.read(self._whole(content))
        return _call(prompt.id(identity), prompt, uri, tuple(answer))

    def _whole(self, content: str) -> str:
        """A stored prompt with its long contents put back."""
        said, *rest = json.loads(content)
        if all(len(turn) == 2 for turn in said):
            return content
        for turn in said:
            if len(turn) == 3:
                turn[1:] = self._reader.execute(
                    "SELECT body FROM texts WHERE key = ?", (bytes.fromhex(turn[2]),)
                ).fetchone()
        return json.dumps([said, *rest], ensure_ascii=False, separators=(",", ":"))

    # ------------------------------------------------------------------------------------------ durability

    def put(self, call: Call, identity: str) -> asyncio.Future[None]:
        """Write a call down. The future is done when it is safe on disk."""
        if self._known[-1].n >= self._known[-1].room:
            self._known.append(_Known(2 * self._known[-1].room))
        self._known[-1].add(_key(call.id))
        with self._lock:
            self._waiting.append((call, identity))
            if self._batch is None:
                self._batch = asyncio.get_running_loop().create_future()
                self._wake.set()
            batch = self._batch
        if self._thread is None:
            self._thread = threading.Thread(target=self._write_batches, name="synthgain-calls", daemon=True)
            self._thread.start()
        return batch

    def _write_batches(self) -> None:
        db = self._reader if self.file is None else self._connect()
        while True:
            self._wake.wait()
            if not self._closing:
                time.sleep(PAUSE)
            with self._lock:
                waiting, self._waiting = self._waiting, []
                batch, self._batch = self._batch, None
                self._wake.clear()
                last = self._closing
            if waiting and batch is not None:
                error = self._write(db, waiting)
                try:
                    batch.get_loop().call_soon_threadsafe(_settle, batch, error)
                except RuntimeError:  # the loop is gone (interrupted twice); what could be written is written
                    last = True
            if last:
                break
        if self.file is not None:
            db.close()

    def _write(self, db: sqlite3.Connection, waiting: list[tuple[Call, str]]) -> SynthgainError | None:
        now = time.time()
        try:
            db.execute("BEGIN IMMEDIATE")
            try:
                rows = [self._row(db, call, identity, now) for call, identity in waiting]
                at = 0
                for n in TOGETHER:
                    while len(rows) - at >= n:
                        db.execute(INSERT[n], [value for row in rows[at : at + n] for value in row])
                        at += n
                db.execute("COMMIT")
            except sqlite3.Error:
                self._models.clear()
                self._seen_texts.clear()
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            return self._explained(error)
        return None

    def _row(self, db: sqlite3.Connection, call: Call, identity: str, now: float) -> tuple:  # type: ignore[type-arg]
        model = self._models.get((call.model, identity))
        if model is None:
            db.execute("INSERT OR IGNORE INTO models (uri, identity) VALUES (?, ?)", (call.model, identity))
            model = db.execute(
                "SELECT n FROM models WHERE uri = ? AND identity = ?", (call.model, identity)
            ).fetchone()[0]
            self._models[call.model, identity] = model
        return (
            _key(call.id), model, self._shortened(db, call.prompt), _unsurrogate(call.text), call.finish, call.tokens_in,
            call.tokens_out, call.tokens_cached, call.logprob, call.law, call.cost, call.seconds, now,
        )  # fmt: skip

    def _shortened(self, db: sqlite3.Connection, prompt: Prompt) -> str:
        """The prompt's content with long messages referred to by key."""
        if all(len(m["content"]) <= LONG for m in prompt.messages):
            return _unsurrogate(prompt.content)
        said, *rest = json.loads(prompt.content)
        for turn in said:
            if len(turn[1]) > LONG:
                hexed = digest(turn[1])[:32]
                key = bytes.fromhex(hexed)
                if key not in self._seen_texts:
                    db.execute("INSERT OR IGNORE INTO texts VALUES (?, ?)", (key, _unsurrogate(turn[1])))
                    if len(self._seen_texts) > 100_000:
                        self._seen_texts.clear()
                    self._seen_texts.add(key)
                turn[1:] = [None, hexed]
        return _unsurrogate(json.dumps([said, *rest], ensure_ascii=False, separators=(",", ":")))

    def close(self) -> None:
        """Wait until everything handed over is on disk, then let go."""
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._let_go()
        self._reader.close()


def _call(id: str, prompt: Prompt, uri: str, answer: tuple) -> Call:  # type: ignore[type-arg]
    text, finish, tokens_in, tokens_out, cached, logprob, law, cost, seconds = answer
    return Call(id, prompt, text, uri, finish, tokens_in, tokens_out, cached, logprob, law, cost, seconds)


def _settle(batch: asyncio.Future[None], error: SynthgainError | None) -> None:
    if batch.done():
        return
    if error is None:
        batch.set_result(None)
    else:
        batch.set_exception(error)

"""One SQLite file of calls: its tables, how it is opened or refused, and what a call looks like in it.

models   URI and identity, once
texts    what is longer than `call_columns.LONG` characters and repeats (contents of messages, tools, schemas), once, under 16 bytes of its SHA-256
calls    one row a call. `key` and `tail` are the two halves of its id. `prompt` is `Prompt.content` without its long parts; `long` says
         where they go: [[place, key], …] with the message's number, "schema" or "tools" as the place. `text` is the answer's content
         as it came, thinking included; `rest` are the other keys of its message (canonical JSON; null where it has a content and the
         assistant's role only)
recording  only in a file of calls that were recorded elsewhere (see `recorded`): what is known of the recording, as JSON
"""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from synthgain.store.about import about
from synthgain.store.call_columns import call_of, key_of, whole
from synthgain.types import Call, Prompt, SynthgainError

FORMAT = 1  # PRAGMA user_version; files of before the first have 0

SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS models (n INTEGER PRIMARY KEY, uri TEXT NOT NULL, identity TEXT NOT NULL, UNIQUE (uri, identity));
CREATE TABLE IF NOT EXISTS texts (key BLOB PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS calls (
  key BLOB PRIMARY KEY, tail BLOB NOT NULL, prompt TEXT NOT NULL, long TEXT, text TEXT NOT NULL, rest TEXT, finish TEXT NOT NULL,
  tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL, tokens_cached INTEGER NOT NULL, logprob REAL, law TEXT NOT NULL, cost REAL,
  seconds REAL NOT NULL, model INTEGER NOT NULL, at REAL NOT NULL
);
PRAGMA user_version={FORMAT};
COMMIT;
"""
COLUMNS = 16
ANSWER = "uri, text, rest, finish, tokens_in, tokens_out, tokens_cached, logprob, law, cost, seconds"
FIND = f"SELECT {ANSWER} FROM calls JOIN models ON model = n WHERE key = ?"
READ = f"SELECT key, tail, prompt, long, {ANSWER} FROM calls JOIN models ON model = n"
WITH_IDENTITY = READ.replace("SELECT ", "SELECT identity, at, ", 1)
RECORDED = "recorded-"  # the beginning of a file's name that holds calls recorded elsewhere

FULL = ("SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC", "SQLITE_IOERR_DIR_FSYNC", "SQLITE_IOERR_SHMSIZE")
LOCKS = ("SQLITE_PROTOCOL", "SQLITE_IOERR_LOCK", "SQLITE_IOERR_RDLOCK", "SQLITE_IOERR_SHMLOCK", "SQLITE_IOERR_CHECKRES")
NO_DATABASE = "file is not a database"
DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")


class Segment:
    """One file of calls, open for reading. `file` None: in memory. SynthgainError says what is wrong with the file."""

    def __init__(self, file: Path | None, *, readonly: bool) -> None:
        self.file = file
        self._since = 0.0  # when the view of the file that `find` holds was taken
        try:
            if file is not None and file.is_file() and file.stat().st_size > 0 and not _is_sqlite(file):
                raise sqlite3.DatabaseError(NO_DATABASE)
            self.db, self.empty = _opened_to_read(file) if readonly and file else (opened_to_write(file), False)
        except (sqlite3.Error, OSError) as error:
            raise explained(file, error) from error

    def rows(self, sql: str, values: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        """What a query gives, as the file stands now."""
        try:
            self.let_go()
            yield from self.db.execute(sql, values)
        except sqlite3.Error as error:
            raise explained(self.file, error) from error

    def find(self, id: str, prompt: Prompt, *, afresh: bool) -> Call | None:
        """A call, from a view of the file that is held up to a second (taking one costs more than reading)."""
        try:
            if self.file is not None and (afresh or not self.db.in_transaction or self.stale()):
                self.let_go()
                self.db.execute("BEGIN")
                self._since = time.monotonic()
            row = self.db.execute(FIND, (key_of(id),)).fetchone()
            return None if row is None else call_of(id, prompt, *row)
        except (sqlite3.Error, ValueError, TypeError, RecursionError) as error:
            raise explained(self.file, error) from error

    def stale(self) -> bool:
        """Whether a view is a second old. A view that is held keeps SQLite's log from being folded in."""
        return time.monotonic() - self._since > 1.0

    def let_go(self) -> None:
        if self.file is not None and self.db.in_transaction:
            self.db.execute("COMMIT")

    def count(self) -> int:
        return int(next(self.rows("SELECT count(*) FROM calls"))[0])

    def key_lists(self) -> Iterator[list[bytes]]:
        """The keys of all calls, 16 bytes each, some at a time."""
        keys = self.rows("SELECT key FROM calls")
        while some := [key for (key,) in islice(keys, 100_000)]:
            if any(type(key) is not bytes for key in some) or sum(map(len, some)) != 16 * len(some):
                raise explained(self.file, ValueError("a key has not 16 bytes"))
            yield some

    def holds(self, key: bytes) -> bool:
        return next(self.rows("SELECT 1 FROM calls WHERE key = ?", (key,)), None) is not None

    def sees(self, key: bytes) -> bool:
        """Whether the view that `find` holds has the call."""
        try:
            return self.db.execute("SELECT 1 FROM calls WHERE key = ?", (key,)).fetchone() is not None
        except sqlite3.Error as error:
            raise explained(self.file, error) from error

    @property
    def recorded(self) -> bool:
        """Whether its calls were recorded elsewhere."""
        return self.file is not None and self.file.name.startswith(RECORDED)

    def recording(self) -> dict[str, Any]:
        """What is known of the recording that its calls come from."""
        try:
            (said,) = next(self.rows("SELECT about FROM recording"))
            return about(json.loads(said))
        except (StopIteration, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            raise explained(self.file, ValueError(f"it does not say what it records ({error})")) from error

    def models(self) -> list[tuple[str, str]]:
        """URI and identity of each model that it has calls of."""
        return list(self.rows("SELECT DISTINCT uri, identity FROM models JOIN calls ON model = n"))

    def text(self, key: str) -> str:
        """A long text by its key; "" where it is not there."""
        (body,) = next(self.rows("SELECT body FROM texts WHERE key = ?", (bytes.fromhex(key),)), None) or ("",)
        return str(body)

    def call(self, row: tuple[Any, ...]) -> Call:
        """The whole call of a row that READ gave."""
        key, tail, content, places, *answer = row
        try:
            prompt = whole(Prompt.read(content), [] if places is None else json.loads(places), self.text)
            return call_of((key + tail).hex(), prompt, *answer)
        except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            raise explained(self.file, error) from error

    def close(self) -> None:
        self.db.close()


# ---------------------------------------------------------------------------------------------- opening


def opened_to_write(file: Path | None) -> sqlite3.Connection:
    """A connection that may write; a new file gets its tables."""
    db = sqlite3.connect(":memory:" if file is None else file, check_same_thread=False, isolation_level=None)
    try:
        db.execute("PRAGMA trusted_schema=OFF")
        new = _is_new(db, file)  # asked before anything is written
        if new:
            db.execute("PRAGMA page_size=16384")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        if new:
            db.executescript(SCHEMA)
    except BaseException:
        db.close()
        raise
    return db


def _opened_to_read(file: Path) -> tuple[sqlite3.Connection, bool]:
    """A connection that writes nothing, and whether the file is still without tables.

    It works where nothing can be written beside the file, too (a read-only disk, somebody else's folder). SQLite wants to make or lock files beside a database in WAL mode. Where it cannot, nobody on this machine writes it either,
    and it is read without locks: with what a killed writer left in its log, or as an unchanging file where there is no log.
    """
    address = file.resolve().as_uri()
    try:
        return _tried(file, f"{address}?mode=ro")
    except sqlite3.OperationalError as error:
        if not _kind(error).startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY")):
            raise
    log = file.with_name(f"{file.name}-wal")
    if log.is_file() and log.stat().st_size > 0:
        lockless = "unix-none" if os.name == "posix" else "win32-none"
        return _tried(file, f"{address}?mode=ro&vfs={lockless}", "PRAGMA locking_mode=EXCLUSIVE")  # its index in memory
    return _tried(file, f"{address}?mode=ro&immutable=1")


def _tried(file: Path, address: str, first: str = "") -> tuple[sqlite3.Connection, bool]:
    db = sqlite3.connect(address, uri=True, check_same_thread=False, isolation_level=None)
    try:
        db.execute("PRAGMA trusted_schema=OFF")
        db.execute(first)
        return db, _is_new(db, file)
    except BaseException:
        db.close()
        raise


def _is_sqlite(file: Path) -> bool:
    with open(file, "rb") as opened:
        return opened.read(16) == b"SQLite format 3\0"


def _is_new(db: sqlite3.Connection, file: Path | None) -> bool:
    """False where the file has our tables, True where it has none yet; SynthgainError where it is anything else."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    ours = {"models", "texts", "calls"} <= tables
    if ours and version == FORMAT:
        return False
    if not tables and version == 0:
        return True
    if not ours:
        raise damaged(file, "it has not the tables of one")
    when = "an earlier" if version < FORMAT else "a later"
    raise SynthgainError(
        f"this run was written by {when} version of synthgain, in a format that this one does not read",
        where=str(file),
        next="give another folder with -o, or use the version that wrote it",
    )


# ---------------------------------------------------------------------------------------------- errors


def _kind(error: Exception) -> str:
    return str(getattr(error, "sqlite_errorname", ""))


def damaged(file: Path | None, why: str) -> SynthgainError:
    return SynthgainError(
        f"the memory of calls cannot be read: this file is damaged, or none of synthgain's ({why})",
        where=str(file),
        next="restore this file from a copy; or delete it and run the same command again: what it held is bought again",
    )


def explained(file: Path | None, error: Exception) -> SynthgainError:
    """What an error of SQLite, or a row that cannot be understood, means, and what to do."""
    kind, where = _kind(error), str(file)
    if kind.startswith(FULL):
        return SynthgainError(
            f"no room to write an answer down ({error})",
            where=where,
            code=3,
            next="free disk space and run the same command again: every answer written so far is kept",
        )
    if kind.startswith(DAMAGED) or not isinstance(error, sqlite3.Error | OSError) or NO_DATABASE in str(error):
        return damaged(file, str(error))
    if kind.startswith(LOCKS) or (kind.startswith("SQLITE_BUSY") and file is not None and not _has_locks(file.parent)):
        return SynthgainError(
            f"this disk has no file locks that work ({error}), and the memory of calls needs them",
            where=where,
            next="give a folder on another disk with -o (a local one), or have the disk mounted with locks",
        )
    if kind.startswith("SQLITE_BUSY"):
        return SynthgainError(
            f"another process keeps the memory of calls locked ({error})",
            where=where,
            next="wait until it ends or stop it, and run the same command again",
        )
    return SynthgainError(
        f"the memory of calls cannot be read or written ({error})",
        where=where,
        next="check that the file is a synthgain run's and that you may read and write there",
    )


def _has_locks(folder: Path) -> bool:
    """Whether a new database, which nobody else can know of, can be locked there."""
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".locks-") as new:
            with closing(sqlite3.connect(Path(new) / "try.sqlite", timeout=0)) as db:
                db.execute("CREATE TABLE t (x)")
    except sqlite3.Error as error:
        return not _kind(error).startswith((*LOCKS, "SQLITE_BUSY"))
    except OSError:
        pass
    return True

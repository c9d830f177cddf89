"""Anchors on disk while they are in use: memory stays flat however many there are."""

from __future__ import annotations

import contextlib
import errno
import json
import tempfile
import weakref
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa

from synthgain.anchors.notes import SHOWN, Summary
from synthgain.types import Anchor, SynthgainError

SCHEMA = pa.schema([("text", pa.large_string()), ("source", pa.string()), ("fields", pa.large_string())])
ROWS, SIZE = 1024, 2**20  # a batch ends at this many anchors or characters
IN_MEMORY = 2**23  # bytes; a larger spool goes to a temporary file without a name
CACHED = 4  # batches
PACK = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


class Anchors(Sequence[Anchor]):
    """S_anchor, read and checked: sized, in order, as often as wanted; each Anchor is made when asked for.

    `summary` says what was read. The texts lie in a temporary file that goes when this object goes.
    """

    def __init__(self, file: Any, ends: Sequence[int], reads: tuple[str, ...], summary: Summary) -> None:
        self.summary = summary
        self.reads = reads
        self._ends = ends  # of each batch, as a count of anchors
        self._reader = pa.ipc.open_file(pa.PythonFile(file, "r"))
        self._cache: dict[int, list[tuple[str, str, str]]] = {}
        weakref.finalize(self, file.close)

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, at: int) -> Anchor: ...
    @overload
    def __getitem__(self, at: slice) -> list[Anchor]: ...
    def __getitem__(self, at: int | slice) -> Anchor | list[Anchor]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        n = at + len(self) if at < 0 else at
        if not 0 <= n < len(self):
            raise IndexError(f"anchor {at} of {len(self)}")
        which = bisect_right(self._ends, n)
        text, source, fields = self._batch(which)[n - (self._ends[which - 1] if which else 0)]
        return Anchor(text, source, json.loads(fields), self.reads)

    def __iter__(self) -> Iterator[Anchor]:
        for which in range(len(self._ends)):
            for text, source, fields in self._read(which):
                yield Anchor(text, source, json.loads(fields), self.reads)

    def __repr__(self) -> str:
        return f"<Anchors: {self.summary}>"

    def _batch(self, which: int) -> list[tuple[str, str, str]]:
        rows = self._cache.pop(which, None) or self._read(which)
        self._cache[which] = rows  # the newest last
        if len(self._cache) > CACHED:
            del self._cache[next(iter(self._cache))]
        return rows

    def _read(self, which: int) -> list[tuple[str, str, str]]:
        batch = self._reader.get_batch(which)
        return list(zip(*(batch.column(c).to_pylist() for c in range(3))))


class Spool:
    """Takes anchors one by one, drops those whose id it has seen (unless `repeats`), and gives them back as `Anchors`."""

    def __init__(self, reads: tuple[str, ...], limit: int | None, folder: Path | None, repeats: bool = False) -> None:
        self.reads, self.limit, self._all = reads, limit, repeats
        self.rows = self.duplicates = 0
        self._repeats: list[tuple[str, int]] = []  # a dropped one's source, and the place of what it repeats
        where = None if folder is None else str(folder)
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY, dir=where)  # noqa: SIM115 (Anchors closes it)
        self._writer = pa.ipc.new_file(pa.PythonFile(self._file, "w"), SCHEMA)
        self._ends: list[int] = []
        self._kept = self._size = 0
        self._waiting: list[tuple[str, str, str, str]] = []  # id, text, source, fields
        self._seen = Seen()

    @property
    def full(self) -> bool:
        """True where `limit` anchors are here."""
        return self.limit is not None and self._kept >= self.limit

    def add(self, text: str, source: str, fields: dict[str, Any]) -> None:
        """One more. Text and fields must be encodable as UTF-8."""
        anchor = Anchor(text, source, fields, self.reads)
        packed = PACK(fields) if fields else "{}"
        self._waiting.append((anchor.id, text, source, packed))
        self._size += len(text) + len(packed)
        most = ROWS if self.limit is None else min(ROWS, self.limit - self._kept)
        if len(self._waiting) >= most or self._size >= SIZE:
            self._flush()

    def finish(self) -> None:
        """Everything that waits is written."""
        self._flush()
        with self._disk():
            self._writer.close()

    def anchors(self, summary: Summary) -> Anchors:
        """What was taken, after `finish`."""
        return Anchors(self._file, self._ends, self.reads, summary)

    def repeats(self) -> list[tuple[str, str]]:
        """The first pairs of sources: dropped, and what it repeats."""
        reader = pa.ipc.open_file(pa.PythonFile(self._file, "r"))
        found = []
        for source, at in self._repeats:
            which = bisect_right(self._ends, at)
            batch = reader.get_batch(which)
            found.append((source, batch.column("source")[at - (self._ends[which - 1] if which else 0)].as_py()))
        return found

    def close(self) -> None:
        """Throw everything away."""
        self._file.close()  # and never the writer: it would write a footer, to a disk that may be full

    def _flush(self) -> None:
        fresh: list[tuple[str, str, str, str]] = []
        places = [] if self._all else self._seen.places([row[0] for row in self._waiting], self._kept)
        if self._all:
            self.rows += len(self._waiting)
            fresh = list(self._waiting)
        for place, row in zip(places, self._waiting):
            self.rows += 1
            if place == self._kept + len(fresh):
                fresh.append(row)
            else:
                self.duplicates += 1
                if len(self._repeats) < SHOWN:
                    self._repeats.append((row[2], place))
        self._waiting.clear()
        self._size = 0
        if fresh:
            columns = [pa.array([row[c] for row in fresh], SCHEMA.field(c - 1).type) for c in (1, 2, 3)]
            with self._disk():
                self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=SCHEMA))
            self._kept += len(fresh)
            self._ends.append(self._kept)

    @contextlib.contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            raise SynthgainError(
                "the disk is full: anchors are spooled to a temporary file while they are read",
                where=tempfile.gettempdir(), code=3, next="free disk space, or set TMPDIR to a folder on a larger disk",
            ) from error  # fmt: skip


class Seen:
    """Which ids were seen, and where first: 24 bytes each, in sorted arrays that are merged as they grow."""

    def __init__(self) -> None:
        self._runs: list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]] = []

    def places(self, ids: Sequence[str], start: int) -> list[int]:
        """For each id (32 hexadecimal digits) the place of its first; new ones are placed from `start` on."""
        keys = np.array([int(i[:16], 16) for i in ids], np.uint64)
        rest = np.array([int(i[16:], 16) for i in ids], np.uint64)
        known = np.full(len(ids), -1, np.int64)
        for run_keys, run_rest, run_places in self._runs:
            at = np.minimum(np.searchsorted(run_keys, keys), len(run_keys) - 1)
            same = (run_keys[at] == keys) & (run_rest[at] == rest)
            known[same] = run_places[at[same]]
        placed: list[int] = []
        new: dict[str, int] = {}
        first: list[int] = []
        for n, (id, place) in enumerate(zip(ids, known.tolist())):
            if place < 0 and id not in new:
                new[id] = start + len(new)
                first.append(n)
            placed.append(place if place >= 0 else new[id])
        if first:
            self._add(keys[first], rest[first], start + np.arange(len(first), dtype=np.int64))
        return placed

    def _add(self, *run: np.ndarray[Any, Any]) -> None:
        order = np.argsort(run[0], kind="stable")
        self._runs.append((run[0][order], run[1][order], run[2][order]))
        while len(self._runs) > 1 and len(self._runs[-2][0]) <= 2 * len(self._runs[-1][0]):
            last, before = self._runs.pop(), self._runs.pop()
            self._add(*(np.concatenate(pair) for pair in zip(before, last)))

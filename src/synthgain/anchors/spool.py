"""Anchors to disk as they are read: written once, where the run keeps them. Memory stays flat however many there are."""

from __future__ import annotations

import json
import shutil
import tempfile
import weakref
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from synthgain.anchors.notes import SHOWN, Summary
from synthgain.store.corpus import Corpus, CorpusWriter, Packed
from synthgain.types import Anchor, SynthgainError

ROWS, SIZE = 1024, 2**20  # so many anchors or characters are looked at together
COMPARED = 20  # pairs of equal texts whose fields are compared by name
PACK = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode
PACK_SORTED = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False, sort_keys=True).encode


class Anchors(Corpus):
    """S_anchor, read and checked: a corpus whose `summary` says what was read. A temporary one goes when this object goes."""

    def __init__(self, folder: Path, needs: tuple[str, ...], summary: Summary, temporary: bool) -> None:
        super().__init__(folder, needs)
        self.summary = summary
        if temporary:
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)

    def __repr__(self) -> str:
        return f"<Anchors: {len(self):,} from {self.summary.source}>"


class Spool:
    """Takes anchors one by one, drops those whose id it has seen (unless `repeats`), and gives them back as `Anchors`.

    They are written beside `into`, under a name that nothing reads, and put in place whole by `finish`. Without `into` they lie in a
    temporary folder.
    """

    def __init__(self, needs: tuple[str, ...], limit: int | None, into: Path | None, repeats: bool = False) -> None:
        self.needs, self.limit, self._all = needs, limit, repeats
        self.rows = self.duplicates = self.differing = 0
        self._final = _free(into)
        self._new = _new_folder(self._final)
        self._writer = CorpusWriter(self._new)
        self._kept = self._size = 0
        self._waiting: list[tuple[Packed, int]] = []
        self._seen = Seen()
        self._fields = array("q")  # of each kept anchor: a hash of its fields, whatever their order
        self._repeats: list[tuple[str, int]] = []  # a dropped one's source, and the place of what it repeats
        self._different: list[tuple[str, int]] = []  # a dropped one's fields, where they differ, and that place

    @property
    def full(self) -> bool:
        """True where `limit` anchors are here."""
        return self.limit is not None and self._kept >= self.limit

    @property
    def empty(self) -> bool:
        """True where nothing was taken."""
        return not self.rows and not self._waiting

    def add(self, text: str, source: str, fields: dict[str, Any]) -> None:
        """One more. Text and fields must be encodable as UTF-8; a source that is not (a file's name may not be) is written with escapes."""
        if not source.isascii():
            source = source.encode("utf-8", "backslashreplace").decode()
        packed = PACK(fields) if fields else "{}"
        alike = hash(PACK_SORTED(fields)) if fields and not self._all else 0
        self._waiting.append(((Anchor(text, source, fields, self.needs).id, text, source, packed), alike))
        self._size += len(text) + len(packed)
        most = ROWS if self.limit is None else min(ROWS, self.limit - self._kept)
        if len(self._waiting) >= most or self._size >= SIZE:
            self._flush()

    def finish(self) -> None:
        """Everything that waits is written, and the folder put in its place."""
        self._flush()
        self._writer.close()
        if self._final is not None:
            if self._final.is_dir():
                self._final.rmdir()  # it is empty
            self._new.rename(self._final)

    def anchors(self, summary: Summary) -> Anchors:
        """What was taken, after `finish`."""
        return Anchors(self._final or self._new, self.needs, summary, temporary=self._final is None)

    def repeats(self) -> list[tuple[str, str]]:
        """The first pairs of sources: dropped, and what it repeats. After `finish`."""
        corpus = Corpus(self._final or self._new)
        return [(source, corpus[place].source) for source, place in self._repeats]

    def differing_in(self) -> list[str]:
        """Names of fields in which the first duplicates differ from what they repeat. After `finish`."""
        corpus = Corpus(self._final or self._new)
        names: dict[str, None] = {}
        for packed, place in self._different:
            mine, first = json.loads(packed), corpus[place].fields
            names |= dict.fromkeys(n for n in (*first, *mine) if (n in mine, mine.get(n)) != (n in first, first.get(n)))
        return list(names)

    def close(self) -> None:
        """Throw everything away."""
        self._writer.abandon()
        for folder in (self._new, self._final):
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)

    def _flush(self) -> None:
        self.rows += len(self._waiting)
        places = [] if self._all else self._seen.places([row[0] for row, _ in self._waiting], self._kept)
        for n, (row, alike) in enumerate(self._waiting):
            if self._all or places[n] == self._kept:
                self._writer.add(row)
                self._kept += 1
                if not self._all:
                    self._fields.append(alike)
            else:
                self._repeated(row, alike, places[n])
        self._waiting.clear()
        self._size = 0

    def _repeated(self, row: Packed, alike: int, place: int) -> None:
        self.duplicates += 1
        if len(self._repeats) < SHOWN:
            self._repeats.append((row[2], place))
        if alike != self._fields[place]:
            self.differing += 1
            if len(self._different) < COMPARED:
                self._different.append((row[3], place))


def _free(into: Path | None) -> Path | None:
    """The folder to write. SynthgainError where something is in it."""
    if into is None:
        return None
    into = Path(into)
    if into.exists() and not (into.is_dir() and not any(into.iterdir())):
        raise SynthgainError(
            "anchors are written into a folder that is empty or not there yet",
            where=str(into),
            next="remove it, or give another folder",
        )
    return into


def _new_folder(final: Path | None) -> Path:
    if final is None:
        return Path(tempfile.mkdtemp(prefix="synthgain-anchors-"))
    new = final.with_name(f".{final.name}.new")
    shutil.rmtree(new, ignore_errors=True)  # of one that was killed
    new.mkdir(parents=True)
    return new


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

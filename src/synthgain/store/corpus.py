"""S_anchor on disk: a folder of Parquet shards, written once, read back as a sequence in flat memory.

    CORPUS/
    ├── part-00000.parquet …            anchors in order: id, text, source, fields (JSON text)
    ├── vectors-<embedder>.npy          float32 (anchors × dimensions), unit rows; made when first asked for
    └── neighbours-<embedder>-<k>.npy   int64 (anchors × k)

What stands in `id` is the truth: whoever wrote the corpus knew which fields its recipe needs, a reader need not.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property, lru_cache, partial
from pathlib import Path
from types import TracebackType
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from synthgain.store.vectors import EXACT, Vectors, blocks_of_neighbours, blocks_of_vectors, key, on_disk, remembered
from synthgain.types import Anchor, Embedder, Fields, SynthgainError

ANCHORS = pa.schema([("id", pa.string()), ("text", pa.string()), ("source", pa.string()), ("fields", pa.string())])
ROWS, SIZE = 1024, 2**20  # a row group ends at this many anchors or characters
SHARD = 64  # row groups of a shard
CACHED = 8  # row groups held for looking up
LONGEST = 2**29  # characters of one anchor's text and fields: 2 GB of UTF-8 at most, which is what Parquet holds

Packed = tuple[str, str, str, str]  # id, text, source, fields (JSON text)


# ---------------------------------------------------------------------------------------------- writing


class CorpusWriter:
    """Writes a corpus into a folder that is there; `add` takes anchors one by one, `close` ends the last shard.

    As a context it closes where all went well. SynthgainError (code 3): the disk is full.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.written = folder, 0
        self._waiting: list[Packed] = []
        self._size = self._shards = self._groups = 0
        self._file: Any = None
        self._shard: pq.ParquetWriter | None = None

    def add(self, anchor: Packed) -> None:
        """One more. Its texts must be encodable as UTF-8."""
        size = len(anchor[1]) + len(anchor[3])
        if size > LONGEST:
            raise SynthgainError(
                f"an anchor of {size:,} characters cannot be kept: {LONGEST:,} are the most",
                where=anchor[2],
                next="cut it into pieces",
            )
        self._waiting.append(anchor)
        self._size += size
        if len(self._waiting) == ROWS or self._size >= SIZE:
            self.flush()

    def flush(self) -> None:
        """End the row group: what waits is written."""
        if not self._waiting:
            return
        columns = [pa.array(values, field.type) for values, field in zip(zip(*self._waiting), ANCHORS)]
        self._write(pa.Table.from_arrays(columns, schema=ANCHORS))
        self.written += len(self._waiting)
        self._waiting.clear()
        self._size = 0

    def close(self) -> None:
        """End the last shard; a corpus without anchors is one empty shard."""
        self.flush()
        if not self._shards:
            self._write(ANCHORS.empty_table())
        self._end_shard()

    def abandon(self) -> None:
        """Let go of the open shard, writing nothing more: the disk may be full."""
        shard, self._shard = self._shard, None
        if shard is not None:
            shard.is_open = False  # else it writes a footer when it is collected
            with suppress(OSError):  # what it still holds is not wanted
                self._file.close()

    def __enter__(self) -> CorpusWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    def _write(self, table: pa.Table) -> None:
        with on_disk(self.folder, "anchors are being written"):
            if self._shard is None:
                self._file = open(self.folder / f"part-{self._shards:05d}.parquet", "xb")  # noqa: SIM115
                self._shard = pq.ParquetWriter(
                    self._file, ANCHORS, compression="zstd", use_dictionary=False, write_statistics=False
                )
                self._shards += 1
            self._shard.write_table(table)
            self._groups += 1
        if self._groups == SHARD:
            self._end_shard()

    def _end_shard(self) -> None:
        shard, self._groups = self._shard, 0
        if shard is not None:
            with on_disk(self.folder, "anchors are being written"):
                shard.close()
                self._file.close()
            self._shard = None


def write_corpus(folder: Path, anchors: Iterable[Anchor]) -> None:
    """Anchors as a new corpus; the folder is made. Fields must have a JSON form."""
    folder.mkdir(parents=True, exist_ok=True)
    with CorpusWriter(folder) as out:
        for a in anchors:
            out.add((a.id, a.text, a.source, json.dumps(dict(a.fields), ensure_ascii=False)))


# ---------------------------------------------------------------------------------------------- reading


class Corpus(Sequence[Anchor]):
    """The anchors of a folder: sized, in order, as often as wanted; each is made when asked for, with the `id` it was stored with.

    `needs` are what the anchors say they are read by; `embedder` is the one of `vectors` and `neighbours` where they are given none.
    Opening reads nothing. SynthgainError where the folder holds no anchors or a shard is damaged.
    """

    def __init__(self, folder: Path, needs: tuple[str, ...] = (), embedder: Embedder | None = None) -> None:
        self.folder, self.needs, self.embedder = Path(folder), tuple(needs), embedder
        self._group = lru_cache(CACHED)(partial(_columns, None))

    def __len__(self) -> int:
        return self._layout[1][-1]

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
        groups, ends = self._layout
        which = bisect_right(ends, n)
        columns = self._group(*groups[which])
        row = n - (ends[which - 1] if which else 0)
        id, text, source, fields = (column[row].as_py() for column in columns)
        return self._anchor(id, text, source, fields)

    def __iter__(self) -> Iterator[Anchor]:
        for group in self._layout[0]:
            for row in zip(*(column.to_pylist() for column in _columns(None, *group))):
                yield self._anchor(*row)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self):,} anchors in {self.folder}>"

    def ids(self) -> Iterator[str]:
        """The ids, in order."""
        for group in self._layout[0]:
            yield from _columns(("id",), *group)[0].to_pylist()

    def by_id(self, ids: Iterable[str]) -> dict[str, Anchor]:
        """The anchors with these ids, in the order asked; those that are not of this corpus are left out.

        One pass over the ids; of the rest only what is wanted is read.
        """
        wanted = dict.fromkeys(ids)
        found: dict[str, Anchor] = {}
        for group in self._layout[0]:
            if len(found) == len(wanted):
                break
            here = [row for row, id in enumerate(_columns(("id",), *group)[0].to_pylist()) if id in wanted]
            if here:
                columns = _columns(None, *group)
                for row in zip(*(column.take(pa.array(here)).to_pylist() for column in columns)):
                    found.setdefault(row[0], self._anchor(*row))
        return {id: found[id] for id in wanted if id in found}

    def place(self, anchor: Anchor) -> int:
        """Where an anchor stands in the corpus (its first place), -1 where it does not. The first call reads all ids: 24 bytes an anchor."""
        first, rest, places = self._index
        try:
            one, other = _halves([anchor.id])[0]
        except ValueError:
            return -1
        start, end = np.searchsorted(first, one, "left"), np.searchsorted(first, one, "right")
        same = start + np.flatnonzero(rest[start:end] == other)
        return int(places[same[0]]) if len(same) else -1

    # ------------------------------------------------------------------------------------------ vectors

    def vectors(self, embedder: Embedder | None = None) -> Vectors:
        """Unit vectors of the texts, float32 (anchors × dimensions), memory-mapped.

        Computed when first asked for, a row group at a time, and kept in the folder under the embedder's identity: what was computed
        (or bought) before a stop is not computed again. SynthgainError where there is no embedder, or it gives no vectors.
        """
        used = self._embedder(embedder)
        file = self.folder / f"vectors-{key(used)}.npy"
        return remembered(file, len(self), np.float32, lambda done: blocks_of_vectors(self._texts(done), used))

    def neighbours(self, k: int, embedder: Embedder | None = None) -> NDArray[np.int64]:
        """The places of the k other anchors nearest to each by cosine, nearest first: int64 (anchors × k), memory-mapped, remembered.

        Exact up to 50,000 anchors; above that by an index (see `store.vectors`), which holds all vectors in memory. SynthgainError
        where there are not k others.
        """
        used = self._embedder(embedder)
        if not 1 <= k < len(self):
            raise SynthgainError(
                f"{k} neighbours of each were asked for, and there are {len(self):,} anchors",
                where=str(self.folder),
                next=f"ask for 1 to {len(self) - 1:,}" if len(self) > 1 else "give more anchors",
            )
        file = self.folder / f"neighbours-{key(used)}-{k}.npy"
        return remembered(
            file, len(self), np.int64, lambda done: blocks_of_neighbours(self.vectors(used), k, done, EXACT)
        )

    def inherit(self, old: Path) -> None:
        """Take over what was computed over the same anchors in another folder, where they are the same."""
        arrays = list(old.glob("*.npy")) if any(old.glob("*.parquet")) else []
        if arrays:
            before = Corpus(old)
            with suppress(SynthgainError):  # damaged: it has nothing to give, and is about to be replaced
                if len(before) == len(self) and all(a == b for a, b in zip(before.ids(), self.ids())):
                    for array in arrays:
                        array.rename(self.folder / array.name)

    # ------------------------------------------------------------------------------------------ inside

    def _embedder(self, given: Embedder | None) -> Embedder:
        used = given or self.embedder
        if used is None:
            raise SynthgainError(
                "vectors need an embedder, and none was given",
                where=str(self.folder),
                next="give one: Corpus(folder, embedder=…), or vectors(embedder)",
            )
        return used

    def _anchor(self, id: str, text: str, source: str, fields: str) -> Anchor:
        anchor = Anchor(text, source, Fields(json.loads(fields)), self.needs)
        anchor.__dict__["id"] = id  # what is stored is the truth
        return anchor

    def _texts(self, start: int) -> Iterator[list[str]]:
        """The texts from a place on, a row group at a time."""
        groups, ends = self._layout
        for which in range(bisect_right(ends, start), len(groups)):
            before = ends[which - 1] if which else 0
            yield _columns(("text",), *groups[which])[0].to_pylist()[max(0, start - before) :]

    @cached_property
    def _layout(self) -> tuple[list[tuple[Path, int]], list[int]]:
        """(shard, row group) of each row group that holds anchors, and how many anchors there are up to its end; [0] where there are none."""
        groups: list[tuple[Path, int]] = []
        ends: list[int] = []
        shards = sorted(self.folder.glob("*.parquet"))
        if not shards:
            raise SynthgainError(
                "there are no anchors here", where=str(self.folder), next="run the command that writes them again"
            )
        for shard in shards:
            with _whole(shard):
                about = pq.read_metadata(shard)
            for group in range(about.num_row_groups):
                if rows := about.row_group(group).num_rows:
                    groups.append((shard, group))
                    ends.append((ends[-1] if ends else 0) + rows)
        return groups, ends or [0]

    @cached_property
    def _index(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int64]]:
        """Ids as two numbers, sorted, and their places: 24 bytes an anchor."""
        halves = np.empty((len(self), 2), np.uint64)
        at = 0
        for group in self._layout[0]:
            with _whole(group[0]):
                found = _halves(_columns(("id",), *group)[0].to_pylist())
            halves[at : at + len(found)] = found
            at += len(found)
        order = np.lexsort((halves[:, 1], halves[:, 0]))
        return halves[order, 0], halves[order, 1], order.astype(np.int64)


class _whole:
    """A context in which a damaged shard is told as that."""

    def __init__(self, shard: Path) -> None:
        self.shard = shard

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, pa.ArrowException | OSError | ValueError | KeyError):
            raise SynthgainError(
                f"the anchors are damaged ({' '.join(str(error).split())[:200]})",
                where=str(self.shard),
                next="run the command that writes them again",
            ) from error


def _columns(names: tuple[str, ...] | None, shard: Path, group: int) -> list[Any]:
    """Columns of one row group as Arrow arrays, read in this thread: Arrow's own threads each keep memory of theirs."""
    names = names or tuple(ANCHORS.names)
    with _whole(shard), pq.ParquetFile(shard, pre_buffer=False) as file:
        table = file.read_row_group(group, columns=list(names), use_threads=False)
        return [table.column(name).combine_chunks() for name in names]


def _halves(ids: Sequence[str]) -> NDArray[np.uint64]:
    """Ids of 32 hexadecimal digits as uint64 (ids × 2). ValueError where they are none."""
    raw = bytes.fromhex("".join(ids))
    if len(raw) != 16 * len(ids):
        raise ValueError("an id is not 32 hexadecimal digits")
    return np.frombuffer(raw, ">u8").astype(np.uint64).reshape(-1, 2)

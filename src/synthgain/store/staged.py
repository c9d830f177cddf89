"""Rows of a run under way: staged shard by shard, judged while the run draws, then put in place.

Nothing here holds more than one shard of rows in memory. Selections read columns through a memory-mapped Arrow file.
"""

from __future__ import annotations

import json
import shutil
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence, Set
from itertools import accumulate
from pathlib import Path
from typing import Any, overload

import pyarrow as pa
import pyarrow.parquet as pq

from synthgain.store.groups import GroupsWriter
from synthgain.store.rows import MESSAGE, OPTIONAL, ROWS, chat, columns_of, spoken, stored_columns, table, verdicts_json
from synthgain.types import Anchor, Embedder, Row, Verdict


class Staged:
    """What a run under way has made, in the order of its groups: rows, groups, and drafts that broke."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.groups = GroupsWriter(folder / "groups")
        self.shards: list[Path] = []
        self.kept: list[int] = []  # rows kept in each shard
        self.rows = 0
        self.kinds: dict[str, set[str]] = {}  # field → kinds of its values, for the columns of `data`
        self.used: set[str] = set()  # what else the columns of `data` are for

    def write(self, rows: Sequence[Row]) -> None:
        """One more shard of judged rows."""
        columns = table(rows)
        for row in rows:
            for name, value in row.fields.items():
                self.kinds.setdefault(name, set()).add(_kind(value))
            if row.rejected is not None:
                self.used.add("rejected")
            if row.tools:
                self.used.add("tools")
            for turn in (*(row.messages or ()), *(row.rejected or ())):
                if len(turn) > 2:
                    self.used |= turn.keys()
        shard = self.folder / f"part-{len(self.shards):05d}.parquet"
        pq.write_table(columns, shard, compression="zstd")
        self.shards.append(shard)
        self.kept.append(sum(row.fallen is None for row in rows))
        self.rows += len(rows)

    def discard(self) -> None:
        """Throw all of it away: the run stays as it was."""
        self.groups.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def broke(self, what: Mapping[str, Any]) -> None:
        """Note a draft or call that failed."""
        with open(self.folder / "broken.jsonl", "a", encoding="utf-8", errors="replace") as out:
            out.write(json.dumps(what, ensure_ascii=False, default=str) + "\n")

    def alive(
        self, names: Sequence[str], fallen: Mapping[int, Verdict], embedder: Embedder | None = None
    ) -> tuple[pa.Table, list[int]]:
        """Columns of the rows still alive (memory-mapped) and their positions among all rows."""
        file = self.folder / "columns.arrow"
        wanted = list(dict.fromkeys(["id", *names]))
        positions: list[int] = []
        writer: pa.RecordBatchFileWriter | None = None
        start = 0
        for shard in self.shards:
            read = _columns_of_file(shard, stored_columns(wanted))
            kept = read.column("kept").to_pylist()
            mine = [i for i, k in enumerate(kept) if k and start + i not in fallen]
            positions += [start + i for i in mine]
            start += len(kept)
            if mine:
                batch = columns_of(read.take(pa.array(mine)), wanted, embedder)
                writer = writer or pa.ipc.new_file(str(file), batch.schema)
                writer.write_table(batch)
        if writer is None:
            return pa.table({name: pa.array([], pa.string()) for name in wanted}), []
        writer.close()
        return pa.ipc.open_file(pa.memory_map(str(file))).read_all(), positions

    def place(self, dropped: Mapping[int, Verdict], run: Path, with_groups: bool) -> int:
        """Write rows and data, with what selections dropped, and swap all that is here for the run's old. The kept rows' number.

        Without `with_groups` the run's groups and broken drafts stay: a replay drafts the same ones.
        """
        new_rows, new_data = self.folder / "rows", self.folder / "data"
        new_rows.mkdir()
        new_data.mkdir()
        fields = self._field_types()
        at = sorted(dropped)
        start = kept = 0
        for n, shard in enumerate(self.shards):
            size = pq.read_metadata(shard).num_rows
            mine = at[bisect_left(at, start) : bisect_left(at, start + size)]
            judged = _judged(shard, {i - start: dropped[i] for i in mine}, new_rows / f"part-{n:05d}.parquet")
            start += size
            alive = judged.filter(judged.column("kept"))
            if len(alive):
                kept += len(alive)
                pq.write_table(_data(alive, fields, self.used), new_data / f"part-{n:05d}.parquet", compression="zstd")
        if not kept:
            empty = _data(ROWS.empty_table(), fields, self.used)
            pq.ParquetWriter(
                new_data / "part-00000.parquet", empty.schema
            ).close()  # a row group without rows is an error to `datasets`
        if not self.shards:
            pq.write_table(ROWS.empty_table(), new_rows / "part-00000.parquet")
        self.groups.close()
        broken = self.folder / "broken"
        broken.mkdir()
        if (self.folder / "broken.jsonl").is_file():
            (self.folder / "broken.jsonl").rename(broken / "broken.jsonl")
        for name in ("rows", "data", *(("groups", "broken") if with_groups else ())):
            _swap(self.folder / name, run / name)
        shutil.rmtree(self.folder, ignore_errors=True)
        return kept

    def _field_types(self) -> dict[str, pa.DataType | None]:
        reserved = {"id", "anchor_ids", "messages", "text", "rejected", "tools"}
        plain = {
            "str": pa.string(),
            "int": pa.int64(),
            "float": pa.float64(),
            "bool": pa.bool_(),
            "strs": pa.list_(pa.string()),
        }
        found: dict[str, pa.DataType | None] = {}
        for name, kinds in sorted(self.kinds.items()):
            kinds = kinds - {"null"}
            kind = "float" if kinds == {"int", "float"} else next(iter(kinds)) if len(kinds) == 1 else "json"
            found[f"{name}_" if name in reserved else name] = plain.get(kind)
        return found


def _columns_of_file(shard: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Columns of one file, in this thread: Arrow's own threads each keep memory of theirs."""
    with pq.ParquetFile(shard) as file:
        return file.read(None if columns is None else list(columns), use_threads=False)


def _kind(value: object) -> str:
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "long"  # no column of numbers holds it
    if isinstance(value, bool | str | int | float):
        return next(kind.__name__ for kind in (bool, str, int, float) if isinstance(value, kind))
    if value is None:
        return "null"
    return "strs" if isinstance(value, list | tuple) and all(isinstance(v, str) for v in value) else "json"


def _swap(new: Path, place: Path) -> None:
    """A folder in the place of another, which is gone afterwards."""
    old = new.with_name(f"old-{new.name}")
    if place.exists():
        place.rename(old)
    new.rename(place)
    shutil.rmtree(old, ignore_errors=True)


def _judged(staged: Path, fallen: Mapping[int, Verdict], final: Path) -> pa.Table:
    """Put a staged shard in its final place, with selections' verdicts entered; what `_data` reads of it."""
    if not fallen:
        staged.rename(final)
        return _columns_of_file(final, ["id", "kept", "anchor_ids", "messages", "text", "rejected", "tools", "fields"])
    shard = _columns_of_file(staged)
    columns = {
        name: shard.column(name).to_pylist() for name in ("kept", "outcome", "check", "reason", "score", "verdicts")
    }
    for i, v in fallen.items():
        columns["kept"][i], columns["outcome"][i] = False, "drop"
        columns["check"][i], columns["reason"][i], columns["score"][i] = v.check, v.reason, v.score
        columns["verdicts"][i] = json.dumps(
            json.loads(columns["verdicts"][i]) + json.loads(verdicts_json([v])), ensure_ascii=False
        )
    for name, values in columns.items():
        at = shard.schema.get_field_index(name)
        shard = shard.set_column(at, ROWS.field(name), pa.array(values, ROWS.field(name).type))
    pq.write_table(shard, final, compression="zstd")
    return shard


def _data(kept: pa.Table, fields: Mapping[str, pa.DataType | None], used: Set[str]) -> pa.Table:
    """The data set's columns: id, the anchors it was made from, messages or text, what of `used` there is, and the recipe's fields."""
    texts = kept.column("text").null_count < len(kept)
    chats = kept.column("messages").null_count < len(kept) or not len(kept)
    out: dict[str, Any] = {"id": kept.column("id"), "anchor_ids": kept.column("anchor_ids")}
    if chats:
        out["messages"] = _slim(kept.column("messages"), used)
    if texts:
        out["text"] = kept.column("text")
    if "rejected" in used:
        out["rejected"] = _slim(kept.column("rejected"), used)
    if "tools" in used:
        out["tools"] = kept.column("tools")
    values = [json.loads(text) for text in kept.column("fields").to_pylist()] if fields else []
    for name, kind in fields.items():
        column = [v.get(name, v.get(name.removesuffix("_"))) for v in values]
        if kind is None:
            column = [None if v is None else json.dumps(v, ensure_ascii=False) for v in column]
        out[name] = pa.array(column, kind or pa.string())
    return pa.table(out)


def _slim(chats: pa.ChunkedArray, used: Set[str]) -> pa.Array:
    """Chats whose turns have only the keys that some turn of the run uses."""
    names = ["role", "content", *(name for name in OPTIONAL if name in used)]
    kind = pa.list_(pa.struct([MESSAGE.field(MESSAGE.get_field_index(name)) for name in names]))
    whole = chats.combine_chunks() if isinstance(chats, pa.ChunkedArray) else chats
    turns = whole.flatten()
    slim = pa.StructArray.from_arrays([turns.field(name) for name in names], fields=list(kind.value_type))
    lengths = [0, *accumulate(n or 0 for n in whole.value_lengths().to_pylist())]
    return pa.ListArray.from_arrays(pa.array(lengths, pa.int32()), slim, type=kind, mask=whole.is_null())


class Accepted(Sequence[Anchor]):
    """The rows accepted so far (`types.Pool`), read from staged shards when asked for."""

    def __init__(self, staged: Staged) -> None:
        self._staged = staged
        self._shards: dict[int, list[dict[str, Any]]] = {}

    def __len__(self) -> int:
        return sum(self._staged.kept)

    @overload
    def __getitem__(self, at: int) -> Anchor: ...
    @overload
    def __getitem__(self, at: slice) -> list[Anchor]: ...
    def __getitem__(self, at: int | slice) -> Anchor | list[Anchor]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        ends = list(accumulate(self._staged.kept))
        n = at + len(self) if at < 0 else at
        if not 0 <= n < len(self):
            raise IndexError(f"row {at} of {len(self)} accepted ones")
        shard = bisect_right(ends, n)
        row = self._rows(shard)[n - (ends[shard - 1] if shard else 0)]
        said = chat(row["messages"])
        fields = json.loads(row["fields"]) | ({} if said is None else {"messages": list(said)})
        return Anchor(spoken(said, row["text"]), f"row {row['id']}", fields)

    def _rows(self, shard: int) -> list[dict[str, Any]]:
        rows = self._shards.pop(shard, None)
        if rows is None:
            stored = _columns_of_file(self._staged.shards[shard], ["id", "kept", "messages", "text", "fields"])
            rows = stored.filter(stored.column("kept")).to_pylist()
        self._shards[shard] = rows  # the newest last
        if len(self._shards) > 8:
            del self._shards[next(iter(self._shards))]
        return rows

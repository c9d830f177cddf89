"""Rows on disk: staged shard by shard while a run draws, then judged as a set and put in place.

Nothing here holds more than one shard of rows in memory. Set checks read columns through a
memory-mapped Arrow file.
"""

from __future__ import annotations

import json
import shutil
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from synthgain.types import Row, Verdict

MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
ROWS = pa.schema(
    [
        ("id", pa.string()), ("kept", pa.bool_()), ("outcome", pa.string()), ("check", pa.string()), ("reason", pa.string()),
        ("score", pa.float64()), ("recipe", pa.string()), ("round", pa.int32()), ("messages", MESSAGES), ("text", pa.string()),
        ("anchor_ids", pa.list_(pa.string())), ("call_ids", pa.list_(pa.string())), ("fields", pa.string()),
        ("verdicts", pa.string()), ("logprob", pa.float64()), ("tokens_out", pa.int32()), ("law", pa.string()),
    ]
)  # fmt: skip
ANCHORS = pa.schema([("id", pa.string()), ("text", pa.string()), ("source", pa.string()), ("fields", pa.string())])


def _clean(text: str | None) -> str | None:
    return text if text is None or text.isascii() else text.encode("utf-8", "replace").decode()


def _messages(rows: Sequence[Row]) -> pa.Array:
    """The column of chats, written flat: Arrow takes three times as long over lists of dicts."""
    turns = [m for row in rows if row.messages is not None for m in row.messages]
    ends = [0, *accumulate(len(row.messages or ()) for row in rows)]
    said = pa.StructArray.from_arrays(
        [
            pa.array([m["role"] for m in turns], pa.string()),
            pa.array([_clean(m["content"]) for m in turns], pa.string()),
        ],
        fields=list(MESSAGES.value_type),
    )
    empty = pa.array([row.messages is None for row in rows], pa.bool_())
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), said, type=MESSAGES, mask=empty)


def table(rows: Sequence[Row]) -> pa.Table:
    """Rows as the Parquet columns of CONTRACT."""
    fallen = [row.fallen if row.verdicts else None for row in rows]
    only = [row.calls[0] if len(row.calls) == 1 else None for row in rows]  # a row of several calls has no one law
    last = [row.verdicts[-1] if row.verdicts else None for row in rows]
    columns: dict[str, Any] = {
        "id": [row.id for row in rows],
        "kept": [f is None for f in fallen],
        "outcome": ["keep" if f is None else "drop" for f in fallen],
        "check": ["" if f is None else f.check for f in fallen],
        "reason": ["" if f is None else f.reason for f in fallen],
        "score": [(f or v).score if (f or v) else None for f, v in zip(fallen, last)],  # type: ignore[union-attr]
        "recipe": [row.recipe for row in rows],
        "round": [row.round for row in rows],
        "messages": _messages(rows),
        "text": [_clean(row.text) for row in rows],
        "anchor_ids": [row.anchors for row in rows],
        "call_ids": [[call.id for call in row.calls] for row in rows],
        "fields": [_clean(json.dumps(dict(row.fields), ensure_ascii=False)) if row.fields else "{}" for row in rows],
        "verdicts": [verdicts_json(row.verdicts) if row.verdicts else "[]" for row in rows],
        "logprob": [call.logprob if call else None for call in only],
        "tokens_out": [sum(call.tokens_out for call in row.calls) for row in rows],
        "law": [call.law if call else _no_law(row) for call, row in zip(only, rows)],
    }
    return pa.table(columns, schema=ROWS)


def _no_law(row: Row) -> str:
    return f"the row came from {len(row.calls)} calls" if row.calls else "no model wrote this row"


def verdicts_json(verdicts: Sequence[Verdict]) -> str:
    """Verdicts that say more than "keep", as JSON."""
    said = [v for v in verdicts if not v.keeps or v.score is not None]
    return json.dumps(
        [{"check": v.check, "outcome": v.outcome, "reason": v.reason, "score": v.score} for v in said],
        ensure_ascii=False,
    )


def spoken(messages: list[dict[str, str]] | None, text: str | None) -> str:
    """What a student would read of a row, as one text."""
    return text or "" if messages is None else "\n\n".join(m["content"] for m in messages)


def _last(messages: list[dict[str, str]] | None, role: str) -> str:
    return next((m["content"] for m in reversed(messages or []) if m["role"] == role), "")


DERIVED: dict[str, Callable[[Any, Any], str]] = {
    "text": spoken,
    "answer": lambda messages, text: text or "" if messages is None else _last(messages, "assistant"),
    "prompt": lambda messages, text: _last(messages, "user"),
}


def columns_of(shard: pa.Table, names: Sequence[str]) -> pa.Table:
    """The columns that a set check or a measure reads (see `types.SetCheck`), from stored rows."""
    out: dict[str, Any] = {}
    for name in names:
        if name in DERIVED:
            messages, text = shard.column("messages").to_pylist(), shard.column("text").to_pylist()
            out[name] = pa.array([DERIVED[name](m, t) for m, t in zip(messages, text)], pa.string())
        else:
            out[name] = shard.column(name)
    return pa.table(out)


class Staged:
    """Rows of a run that is under way, in the order of its groups."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.shards: list[Path] = []
        self.rows = 0
        self.dropped_by: Counter[str] = Counter()  # rows that row checks dropped, by check
        self.kinds: dict[str, set[str]] = {}  # field → kinds of its values, for the columns of `data`

    def write(self, rows: Sequence[Row]) -> None:
        """One more shard."""
        self.shard(rows)()

    def shard(self, rows: Sequence[Row]) -> Callable[[], None]:
        """The same in two steps: rows to columns now; the function given back writes them, and may run in a thread."""
        columns = table(rows)
        for row in rows:
            for name, value in row.fields.items():
                self.kinds.setdefault(name, set()).add(_kind(value))
        self.dropped_by.update(check for check in columns.column("check").to_pylist() if check)
        shard = self.folder / f"part-{len(self.shards):05d}.parquet"
        self.shards.append(shard)
        self.rows += len(rows)
        return lambda: pq.write_table(columns, shard, compression="zstd")

    def alive(self, names: Sequence[str], fallen: Mapping[int, Verdict]) -> tuple[pa.Table, list[int]]:
        """Columns of the rows still alive (memory-mapped) and their positions among all rows."""
        file = self.folder / "columns.arrow"
        wanted = list(dict.fromkeys(["id", *names]))
        positions: list[int] = []
        writer: pa.RecordBatchFileWriter | None = None
        start = 0
        for shard in self.shards:
            read = _read(shard, _needed(wanted))
            kept = read.column("kept").to_pylist()
            mine = [i for i, k in enumerate(kept) if k and start + i not in fallen]
            positions += [start + i for i in mine]
            start += len(kept)
            if mine:
                batch = columns_of(read.take(pa.array(mine)), wanted)
                writer = writer or pa.ipc.new_file(str(file), batch.schema)
                writer.write_table(batch)
        if writer is None:
            return pa.table({name: pa.array([], pa.string()) for name in wanted}), []
        writer.close()
        return pa.ipc.open_file(pa.memory_map(str(file))).read_all(), positions

    def place(self, fallen: Mapping[int, Verdict], rows: Path, data: Path) -> int:
        """Write the final `rows` and `data` folders beside the old ones, then swap. The kept rows' number."""
        new_rows, new_data = _fresh(rows), _fresh(data)
        fields = self._field_types()
        fallen_at = sorted(fallen)
        start = kept = 0
        for n, shard in enumerate(self.shards):
            size = pq.read_metadata(shard).num_rows
            mine = fallen_at[bisect_left(fallen_at, start) : bisect_left(fallen_at, start + size)]
            judged = _judged(shard, {at - start: fallen[at] for at in mine}, new_rows / f"part-{n:05d}.parquet")
            start += size
            alive = judged.filter(judged.column("kept"))
            if len(alive):
                kept += len(alive)
                pq.write_table(_data(alive, fields), new_data / f"part-{n:05d}.parquet", compression="zstd")
        if not kept:
            pq.write_table(_data(ROWS.empty_table(), fields), new_data / "part-00000.parquet")
        if not self.shards:
            pq.write_table(ROWS.empty_table(), new_rows / "part-00000.parquet")
        for new, old in ((new_rows, rows), (new_data, data)):
            shutil.rmtree(old, ignore_errors=True)
            new.rename(old)
        shutil.rmtree(self.folder, ignore_errors=True)
        return kept

    def _field_types(self) -> dict[str, pa.DataType | None]:
        reserved = {"id", "anchor_ids", "messages", "text"}
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


def _read(shard: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Columns of one file, in this thread: Arrow's own threads each keep memory of theirs."""
    with pq.ParquetFile(shard) as file:
        return file.read(None if columns is None else list(columns), use_threads=False)


def _kind(value: object) -> str:
    if isinstance(value, bool | str | int | float):
        return type(value).__name__
    if value is None:
        return "null"
    return "strs" if isinstance(value, list | tuple) and all(isinstance(v, str) for v in value) else "json"


def _needed(wanted: Sequence[str]) -> list[str]:
    stored = {"kept", *(name for name in wanted if name not in DERIVED)}
    if any(name in DERIVED for name in wanted):
        stored |= {"messages", "text"}
    return [name for name in ROWS.names if name in stored]


def _fresh(folder: Path) -> Path:
    new = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    return new


def _judged(staged: Path, fallen: Mapping[int, Verdict], final: Path) -> pa.Table:
    """Put a staged shard in its final place, with set checks' verdicts entered; what `_data` reads of it."""
    if not fallen:
        staged.rename(final)
        return _read(final, ["id", "kept", "anchor_ids", "messages", "text", "fields"])
    shard = _read(staged)
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


def _data(kept: pa.Table, fields: Mapping[str, pa.DataType | None]) -> pa.Table:
    """The data set's columns: id, the anchors it was made from, messages or text, and the recipe's fields."""
    texts = kept.column("text").null_count < len(kept)
    chats = kept.column("messages").null_count < len(kept) or not len(kept)
    out: dict[str, Any] = {"id": kept.column("id"), "anchor_ids": kept.column("anchor_ids")}
    if chats:
        out["messages"] = kept.column("messages")
    if texts:
        out["text"] = kept.column("text")
    values = [json.loads(text) for text in kept.column("fields").to_pylist()] if fields else []
    for name, kind in fields.items():
        column = [v.get(name, v.get(name.removesuffix("_"))) for v in values]
        if kind is None:
            column = [None if v is None else json.dumps(v, ensure_ascii=False) for v in column]
        out[name] = pa.array(column, kind or pa.string())
    return pa.table(out)

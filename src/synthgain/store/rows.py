"""Rows on disk: staged shard by shard, judged, while a run draws, then put in place.

Nothing here holds more than one shard of rows in memory. Selections read columns through a
memory-mapped Arrow file.
"""

from __future__ import annotations

import json
import shutil
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence, Set
from itertools import accumulate
from pathlib import Path
from typing import Any, overload

import pyarrow as pa
import pyarrow.parquet as pq

from synthgain.store.groups import GroupsWriter
from synthgain.store.vectors import blocks_of_vectors
from synthgain.turns import before_answer, readable, turn_text
from synthgain.types import Anchor, Embedder, Message, Row, SynthgainError, Verdict

CALLED = pa.struct([("name", pa.string()), ("arguments", pa.string())])
TOOL_CALLS = pa.list_(pa.struct([("id", pa.string()), ("type", pa.string()), ("function", CALLED)]))
OPTIONAL = {
    "tool_calls": TOOL_CALLS,
    "tool_call_id": pa.string(),
    "name": pa.string(),
    "reasoning": pa.string(),
    "learn": pa.bool_(),
}
MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string()), *OPTIONAL.items()])
MESSAGES = pa.list_(MESSAGE)
ROWS = pa.schema(
    [
        ("id", pa.string()),
        ("kept", pa.bool_()),
        ("outcome", pa.string()),
        ("check", pa.string()),
        ("reason", pa.string()),
        ("score", pa.float64()),
        ("recipe", pa.string()),
        ("round", pa.int32()),
        ("messages", MESSAGES),
        ("text", pa.string()),
        ("rejected", MESSAGES),
        ("tools", pa.string()),
        ("anchor_ids", pa.list_(pa.string())),
        ("call_ids", pa.list_(pa.string())),
        ("fields", pa.string()),
        ("verdicts", pa.string()),
        ("logprob", pa.float64()),
        ("tokens_out", pa.int32()),
        ("law", pa.string()),
    ]
)


def _clean(text: str | None) -> str | None:
    return text if text is None or text.isascii() else text.encode("utf-8", "replace").decode()


def _messages(chats: Sequence[Sequence[Message] | None]) -> pa.Array:
    """A column of chats, written flat: Arrow takes three times as long over lists of dicts."""
    if not any(chats):
        return pa.nulls(len(chats), MESSAGES) if None in chats else pa.array([[]] * len(chats), MESSAGES)
    turns = [m for chat in chats for m in chat or ()]
    ends = [0, *accumulate(len(chat or ()) for chat in chats)]
    plain = all(len(m) == 2 for m in turns)
    columns = [
        pa.array([m["role"] for m in turns], pa.string()),
        pa.array([_clean(m["content"]) for m in turns], pa.string()),
        *(
            pa.nulls(len(turns), kind) if plain else pa.array([_optional(m, name) for m in turns], kind)
            for name, kind in OPTIONAL.items()
        ),
    ]
    said = pa.StructArray.from_arrays(columns, fields=list(MESSAGE))
    empty = pa.array([chat is None for chat in chats], pa.bool_())
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), said, type=MESSAGES, mask=empty)


def _optional(turn: Message, name: str) -> Any:
    value = turn.get(name)
    if name == "tool_calls" and value is not None:
        return [_tool_call(call) for call in value]  # type: ignore[attr-defined]
    return _clean(value) if isinstance(value, str) else value


def _tool_call(call: Mapping[str, Any]) -> dict[str, Any]:
    """A call as columns hold it: its arguments are JSON text."""
    function = call["function"]
    arguments = function.get("arguments")
    arguments = arguments if arguments is None or isinstance(arguments, str) else _spelt(arguments)
    said = {"name": _clean(function["name"]), "arguments": _clean(arguments)}
    return {"id": _clean(call.get("id")), "type": _clean(call.get("type")), "function": said}


def _spelt(value: Any) -> str:
    """JSON in the order of its keys, as chat templates will write it."""
    return json.dumps(value, ensure_ascii=False)


def chat(stored: Sequence[Mapping[str, Any]] | None) -> tuple[Message, ...] | None:
    """A chat as columns hold it, as messages: what is null is not there."""
    if stored is None:
        return None
    turns = []
    for turn in stored:
        held = {name: value for name, value in turn.items() if value is not None}
        if "tool_calls" in held:
            held["tool_calls"] = [_without_nulls(call) for call in held["tool_calls"]]
        turns.append(held)
    return tuple(turns)  # type: ignore[arg-type]


def _without_nulls(value: Mapping[str, Any]) -> dict[str, Any]:
    return {k: _without_nulls(v) if isinstance(v, Mapping) else v for k, v in value.items() if v is not None}


def table(rows: Sequence[Row]) -> pa.Table:
    """Rows as the Parquet columns of RUN/rows."""
    fallen = [row.fallen if row.verdicts else None for row in rows]
    only = [row.calls[0] if len(row.calls) == 1 else None for row in rows]  # a row of several calls has no one law
    last = [row.verdicts[-1] if row.verdicts else None for row in rows]
    columns: dict[str, Any] = {
        "id": [row.id for row in rows],
        "kept": [f is None for f in fallen],
        "outcome": ["keep" if f is None else "drop" for f in fallen],
        "check": ["" if f is None else f.check for f in fallen],
        "reason": ["" if f is None else _clean(f.reason) for f in fallen],
        "score": [(f or v).score if (f or v) else None for f, v in zip(fallen, last)],  # type: ignore[union-attr]
        "recipe": [row.recipe for row in rows],
        "round": [row.round for row in rows],
        "messages": _messages([row.messages for row in rows]),
        "text": [_clean(row.text) for row in rows],
        "rejected": _messages([row.rejected for row in rows]),
        "tools": [_clean(_spelt(row.tools)) if row.tools else None for row in rows],
        "anchor_ids": [row.anchors for row in rows],
        "call_ids": [[call.id for call in row.calls] for row in rows],
        "fields": [_clean(json.dumps(dict(row.fields), ensure_ascii=False)) if row.fields else "{}" for row in rows],
        "verdicts": [_clean(verdicts_json(row.verdicts)) if row.verdicts else "[]" for row in rows],
        "logprob": [call.logprob if call else None for call in only],
        "tokens_out": [sum(call.tokens_out for call in row.calls) for row in rows],
        "law": [call.law if call else _no_law(row) for call, row in zip(only, rows)],
    }
    return pa.table(columns, schema=ROWS)


def _no_law(row: Row) -> str:
    if row.recipe == "given":
        return "which model wrote this row is not known: it was given"
    return f"the row came from {len(row.calls)} calls" if row.calls else "no model wrote this row"


def verdicts_json(verdicts: Sequence[Verdict]) -> str:
    """Verdicts that say more than "keep", as JSON."""
    said = [v for v in verdicts if not v.keeps or v.score is not None]
    return json.dumps(
        [{"check": v.check, "outcome": v.outcome, "reason": v.reason, "score": v.score} for v in said],
        ensure_ascii=False,
    )


def spoken(messages: Sequence[Mapping[str, Any]] | None, text: str | None) -> str:
    """What a student would read of a row, as one text; a tool call as its name and arguments."""
    return text or "" if messages is None else "\n\n".join(map(turn_text, messages))


def _last(messages: Sequence[Mapping[str, Any]] | None, role: str) -> str:
    return next((turn_text(m) for m in reversed(messages or ()) if m["role"] == role), "")


VECTOR = "vector"  # made of the text by an embedder
DERIVED: dict[str, Callable[[Any, Any], str]] = {
    "text": spoken,
    "answer": lambda messages, text: text or "" if messages is None else _last(messages, "assistant"),
    "prompt": lambda messages, text: readable(before_answer(messages or ())),
}


def columns_of(shard: pa.Table, names: Sequence[str], embedder: Embedder | None = None) -> pa.Table:
    """The columns that a check or a measure reads (see `types.Fold`), from stored rows; `vector` needs an embedder."""
    out: dict[str, Any] = {}
    for name in names:
        if name in DERIVED:
            out[name] = pa.array(_derived(shard, name), pa.string())
        elif name == VECTOR:
            out[name] = _vectors(_derived(shard, "text"), embedder)
        else:
            out[name] = shard.column(name)
    return pa.table(out)


def _derived(shard: pa.Table, name: str) -> list[str]:
    messages, text = shard.column("messages").to_pylist(), shard.column("text").to_pylist()
    return [DERIVED[name](m, t) for m, t in zip(messages, text)]


def _vectors(texts: list[str], embedder: Embedder | None) -> pa.Array:
    """One unit vector a text."""
    if embedder is None:
        raise SynthgainError("a check wants vectors, and no embedder was named", next="give the run an embedder")
    if not texts:
        return pa.array([], pa.list_(pa.float32()))
    vectors = next(blocks_of_vectors([texts], embedder))
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])


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
            read = _columns_of_file(shard, _needed(wanted))
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


def _needed(wanted: Sequence[str]) -> list[str]:
    stored = {"kept", *(name for name in wanted if name not in DERIVED and name != VECTOR)}
    if any(name in DERIVED or name == VECTOR for name in wanted):
        stored |= {"messages", "text"}
    return [name for name in ROWS.names if name in stored]


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

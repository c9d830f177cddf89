"""A row as the columns of Parquet and Arrow, and what is derived of it for whoever reads columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any

import pyarrow as pa

from synthgain.store.vectors import blocks_of_vectors
from synthgain.turns import before_answer, readable, turn_text
from synthgain.types import Embedder, Message, Row, SynthgainError, Verdict

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


def stored_columns(wanted: Sequence[str]) -> list[str]:
    stored = {"kept", *(name for name in wanted if name not in DERIVED and name != VECTOR)}
    if any(name in DERIVED or name == VECTOR for name in wanted):
        stored |= {"messages", "text"}
    return [name for name in ROWS.names if name in stored]

"""Kept rows in the formats that trainers read: JSONL or Parquet."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from synthgain.store.run import Run
from synthgain.types import SynthgainError

Stored = dict[str, Any]
SHARE = {"system": "system", "user": "human", "assistant": "gpt"}


def _chat(row: Stored) -> Stored:
    return {"id": row["id"], "messages": row["messages"]}


def _openai(row: Stored) -> Stored:
    return {"messages": row["messages"]}


def _alpaca(row: Stored) -> Stored:
    turns = {m["role"]: m["content"] for m in row["messages"]}
    if [m["role"] for m in row["messages"] if m["role"] != "system"] != ["user", "assistant"]:
        raise SynthgainError(
            "alpaca holds one question and one answer; this row has more turns",
            where=f"row {row['id']}",
            next="use --to sharegpt or --to chat",
        )
    system = {"system": turns["system"]} if "system" in turns else {}
    return {"instruction": turns["user"], "input": "", "output": turns["assistant"], **system}


def _sharegpt(row: Stored) -> Stored:
    return {
        "id": row["id"],
        "conversations": [{"from": SHARE.get(m["role"], m["role"]), "value": m["content"]} for m in row["messages"]],
    }


def _prompt_completion(row: Stored) -> Stored:
    return {"prompt": row["messages"][:-1], "completion": row["messages"][-1:]}


def _text(row: Stored) -> Stored:
    return {"id": row["id"], "text": row["text"]}


FORMATS: dict[str, tuple[Callable[[Stored], Stored], str]] = {
    "chat": (_chat, "messages"), "openai": (_openai, "messages"), "alpaca": (_alpaca, "messages"), "sharegpt": (_sharegpt, "messages"),
    "prompt-completion": (_prompt_completion, "messages"), "text": (_text, "text"),
}  # fmt: skip


def export(run: Run, form: str, out: Path) -> tuple[int, int]:
    """Write the kept rows as `form` to a .jsonl or .parquet file: how many were written, how many could not be.

    "preference" pairs a kept answer with a fallen one to the same prompt; kept rows without such a
    partner are the ones that could not be written. SynthgainError where rows and format do not fit.
    """
    if form not in (*FORMATS, "preference"):
        raise SynthgainError(
            f"there is no format {form!r}",
            next=f"choose from: {', '.join([*FORMATS, 'preference'])}, and gguf for a student",
        )
    if out.suffix not in (".jsonl", ".parquet"):
        raise SynthgainError(
            "the file must end in .jsonl or .parquet", where=str(out), next=f"-o {out.with_suffix('.jsonl')}"
        )
    left: list[int] = [0]
    rows = _pairs(run, left) if form == "preference" else _plain(run, form)
    return _write(rows, out), left[0]


def _plain(run: Run, form: str) -> Iterator[Stored]:
    shape, column = FORMATS[form]
    for shard in run.shards(["id", "kept", "messages", "text"]):
        for row in shard.to_pylist():
            if row["kept"]:
                if row[column] is None:
                    other = "text" if column == "messages" else "chat"
                    raise SynthgainError(
                        f"this row has no {column}, which {form} needs",
                        where=f"row {row['id']}",
                        next=f"use --to {other}",
                    )
                yield shape(row)


def _pairs(run: Run, left: list[int]) -> Iterator[Stored]:
    kept: dict[str, list[Any]] = defaultdict(list)
    fallen: dict[str, list[Any]] = defaultdict(list)
    for shard in run.shards(["id", "kept", "messages", "check"]):
        for row in shard.to_pylist():
            if row["messages"] is None:
                raise SynthgainError(
                    "preference pairs need chats; these rows are plain text",
                    where=f"row {row['id']}",
                    next="use --to text",
                )
            if row["check"] in ("accept", "exact-duplicate", "near-duplicate"):
                continue  # fallen for another reason than being worse
            (kept if row["kept"] else fallen)[json.dumps(row["messages"][:-1])].append(row["messages"][-1:])
    for prompt, good in kept.items():
        bad = [b for b in fallen[prompt] if b[0]["content"].strip()]
        left[0] += max(0, len(good) - len(bad))
        for chosen, rejected in zip(good, bad):
            yield {"prompt": json.loads(prompt), "chosen": chosen, "rejected": rejected}


def _write(rows: Iterator[Stored], out: Path) -> int:
    """Atomically, a thousand rows at a time."""
    out.parent.mkdir(parents=True, exist_ok=True)
    new = out.with_name(f".{out.name}.{os.getpid()}")
    n = 0
    try:
        if out.suffix == ".jsonl":
            with open(new, "w", encoding="utf-8") as file:
                for row in rows:
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")
                    n += 1
        else:
            n = _parquet(rows, new)
        new.replace(out)
    finally:
        new.unlink(missing_ok=True)
    return n


def _parquet(rows: Iterator[Stored], file: Path) -> int:
    from itertools import islice

    n = 0
    writer: pq.ParquetWriter | None = None
    while some := list(islice(rows, 1000)):
        table = pa.Table.from_pylist(some, schema=writer.schema if writer else None)
        writer = writer or pq.ParquetWriter(file, table.schema, compression="zstd")
        writer.write_table(table)
        n += len(some)
    if writer is None:
        pq.write_table(pa.table({}), file)
    else:
        writer.close()
    return n

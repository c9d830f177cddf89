"""What a page needs of a folder, read in bounded memory. A part that is missing or damaged is said to be, never invented.

Samples are those with the smallest ids: ids are digests of content, so this is a draw that stays the same.
"""

from __future__ import annotations

import heapq
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from synthgain.numbers import number
from synthgain.report.documents import Documents, documents
from synthgain.store import Run
from synthgain.store.rows import spoken
from synthgain.types import Reading, SynthgainError

MOST = 20_000  # characters of one text that are taken along
KEPT_SAMPLES, FALLEN_SAMPLES, REASONS = 8, 3, 12
KINDS = ("exact", "estimate", "lower bound", "upper bound", "proxy", "test")

Json = Mapping[str, Any]
Reason = tuple[str, str]  # check and reason; ("", "") for rows that were kept
READ_FIRST: Reason = ("", "to be read first")


@dataclass(frozen=True)
class Text:
    """A text of the data, cut at MOST characters; `length` is the whole's. `words` counts those of the whole."""

    id: str
    body: str
    length: int
    words: int
    kept: bool = True
    source: str = ""


@dataclass(frozen=True)
class RunPart:
    """A run folder, as far as a page shows it. `missing` says by name of a part why it is not there."""

    path: Path
    record: Json
    missing: Mapping[str, str]
    reasons: Mapping[Reason, int] = field(default_factory=dict)
    tokens: Mapping[bool, NDArray[np.int64]] = field(default_factory=dict)  # by kept: tokens of each row's answers
    readings: Sequence[Reading] = ()
    stale: bool = False  # whether the readings are of other rows than these
    task: str = ""  # "answers" or "restates" (`verdict.Known`)
    target: str = ""  # the held-out text that the readings are on, where one was named
    doubts: Sequence[tuple[str, str]] = ()  # rows to be read first, and why
    unwritten: int = 0  # kept rows that no call stands behind
    documents: Documents = field(default_factory=Documents)
    anchors: Sequence[Text] = ()  # a sample
    anchor_count: int = 0
    texts: Sequence[Text] = ()  # a sample of rows, as a student would read them
    samples: Mapping[Reason, Sequence[Json]] = field(default_factory=dict)  # whole rows with their columns
    parents: Mapping[str, Text] = field(default_factory=dict)  # the samples' anchors
    calls: Mapping[str, Json] = field(default_factory=dict)  # the samples' calls

    @property
    def rows(self) -> int:
        return sum(self.reasons.values())

    @property
    def kept(self) -> int:
        return self.reasons.get(("", ""), 0)


# ---------------------------------------------------------------------------------------------- JSON


def json_at(file: Path) -> tuple[dict[str, Any], str]:
    """The object in a file, and why there is none."""
    try:
        read = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}, f"there is no {file.name}"
    except (OSError, ValueError) as error:
        return {}, f"{file.name} cannot be read ({error})"
    return (read, "") if isinstance(read, dict) else ({}, f"{file.name} does not hold a JSON object")


def mapping(value: object) -> Json:
    """The value where it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def listed(value: object) -> list[Any]:
    """The value where it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def reading(data: object) -> Reading | None:
    """A reading as readings.json has it; None where it is not one."""
    given = mapping(data)
    name = given.get("name")
    if not isinstance(name, str) or not name:
        return None
    kind = given.get("class")
    return Reading(
        name=name,
        value=number(given.get("value")),
        low=number(given.get("low")),
        high=number(given.get("high")),
        level=number(given.get("level")) or 0.95,
        unit=str(given.get("unit") or ""),
        n=int(number(given.get("n")) or 0),
        estimator=str(given.get("estimator") or ""),
        kind=kind if kind in KINDS else "estimate",
        note=str(given.get("note") or ""),
    )


def readings_at(file: Path) -> tuple[list[Reading], str]:
    """The readings in a file, and why there are none."""
    record, why = json_at(file)
    found = [r for r in map(reading, listed(record.get("readings"))) if r is not None]
    return found, why or ("" if found else f"{file.name} holds no readings")


# ---------------------------------------------------------------------------------------------- a run


def run_part(path: Path, points: int = 1_500) -> RunPart:
    """A run folder with at most so many texts for its map; every part may be missing."""
    missing: dict[str, str] = {}
    run = Run(path)
    record, missing["run"] = json_at(run.run_json)
    readings, missing["readings"] = readings_at(path / "readings.json")
    beside, _ = json_at(path / "readings.json")
    doubts = [
        (str(d.get("row") or ""), str(d.get("why") or "")) for d in map(mapping, listed(beside.get("read_first")))
    ]
    anchors, anchor_count, missing["anchors"] = _anchors(run, points // 3)
    reasons, tokens, chosen, unwritten, missing["rows"] = _index(run, max(0, points - len(anchors)))
    stale = (
        bool(readings) and not missing["rows"] and isinstance(beside.get("rows"), str) and run.stamp() != beside["rows"]
    )
    if doubts and not stale:
        chosen = {READ_FIRST: [id for id, _ in doubts], **chosen}
    rows = {row["id"]: row for row in _rows(run, {id for ids in chosen.values() for id in ids})}
    samples = {
        reason: [rows[id] for id in ids if id in rows] for reason, ids in chosen.items() if reason != ("map", "")
    }
    texts = [_row_text(rows[id]) for id in chosen.get(("map", ""), ()) if id in rows]
    shown = [row for part in samples.values() for row in part]
    parents = {str(id) for row in shown for id in row["anchor_ids"]}
    found, missing["calls"] = calls_or_why(run, [str(id) for row in shown for id in row["call_ids"]])
    return RunPart(
        path,
        record,
        {name: why for name, why in missing.items() if why},
        reasons,
        tokens,
        readings,
        stale,
        str(beside.get("task") or ""),
        str(beside.get("target") or ""),
        () if stale else doubts,
        unwritten,
        documents(run, missing),
        anchors,
        anchor_count,
        texts,
        samples,
        {t.id: t for t in map(_anchor_text, run.found("anchors", parents, ANCHOR))},
        found,
    )


def calls(run: Run, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The calls of a run by id: what was asked, what was answered, what it took."""
    return {
        id: {
            "messages": [dict(m) for m in call.prompt.messages],
            "text": call.text,
            "message": dict(call.message),
            "model": call.model,
            "finish": call.finish,
            "tokens_in": call.counted[0],
            "tokens_out": call.counted[1],
            "logprob": call.logprob,
            "cost": call.cost,
            "sampling": call.prompt.sampling,
            "draw": call.prompt.draw,
        }
        for id, call in run.bought(ids).items()
    }


def calls_or_why(run: Run, ids: Sequence[str]) -> tuple[dict[str, dict[str, Any]], str]:
    """The calls, and why there are none."""
    if not run.calls.is_dir():
        return {}, "there is no memory of calls (calls/)"
    try:
        return calls(run, [id for id in ids if _is_hex(id)]), ""
    except (SynthgainError, sqlite3.Error, ValueError, TypeError) as error:
        return {}, f"the memory of calls cannot be read ({error})"


def _is_hex(id: str) -> bool:
    return len(id) >= 32 and not set(id[:32]) - set("0123456789abcdef")


def _anchors(run: Run, most: int) -> tuple[list[Text], int, str]:
    best: list[str] = []
    total = 0
    if why := run.why_not("anchors"):
        return [], 0, why
    for batch in run.batches("anchors", ["id"]):
        total += len(batch)
        best = heapq.nsmallest(most, {*best, *map(str, batch.column("id").to_pylist())})
    found = sorted(map(_anchor_text, run.found("anchors", best, ANCHOR)), key=lambda t: t.id)
    return found, total, "" if total else "anchors/ holds no anchors"


def _index(
    run: Run, most: int
) -> tuple[dict[Reason, int], dict[bool, NDArray[np.int64]], dict[Reason, list[str]], int, str]:
    """Over all rows, columns only: how many fell for what, tokens, the ids of the samples, and how many kept rows no model wrote."""
    if why := run.why_not("rows"):
        return {}, {}, {}, 0, why
    unwritten = 0
    counted: Counter[Reason] = Counter()
    tokens: dict[bool, list[Any]] = {True: [], False: []}
    best: dict[Reason, list[str]] = {}
    for shard in run.batches("rows", ["id", "kept", "check", "reason", "tokens_out", "call_ids"]):
        called = pc.list_value_length(shard.column("call_ids").cast(pa.list_(pa.string())))
        unwritten += pc.sum(pc.and_(shard.column("kept"), pc.equal(pc.fill_null(called, 0), 0))).as_py() or 0
        columns = (shard.column(name).to_pylist() for name in ("id", "kept", "check", "reason", "tokens_out"))
        ids: dict[Reason, list[str]] = {("map", ""): []}
        for id, kept, check, reason, written in zip(*columns):
            key = ("", "") if kept else (str(check or "dropped"), str(reason or ""))
            counted[key] += 1
            ids.setdefault(key, []).append(str(id))
            ids["map", ""].append(str(id))
            if written is not None:
                tokens[bool(kept)].append(written)
        for key, mine in ids.items():
            size = most if key == ("map", "") else KEPT_SAMPLES if key == ("", "") else FALLEN_SAMPLES
            best[key] = heapq.nsmallest(size, {*best.get(key, ()), *mine})
    often = [key for key, _ in counted.most_common() if key != ("", "")][:REASONS]
    chosen = {key: best[key] for key in (("", ""), *often, ("map", "")) if key in best}
    arrays = {kept: np.asarray(written, np.int64) for kept, written in tokens.items()}
    return dict(counted), arrays, chosen, unwritten, "" if counted else "rows/ holds no rows"


ANCHOR = ("id", "text", "source", "fields")
ROW = (
    "id",
    "kept",
    "check",
    "reason",
    "score",
    "round",
    "messages",
    "text",
    "anchor_ids",
    "call_ids",
    "fields",
    "verdicts",
    "logprob",
    "tokens_out",
)


def _rows(run: Run, ids: set[str]) -> Iterator[dict[str, Any]]:
    """The rows with these ids."""
    for row in run.found("rows", ids, ROW):
        row["anchor_ids"], row["call_ids"] = row["anchor_ids"] or [], row["call_ids"] or []
        row["verdicts"], row["fields"] = _parsed(row["verdicts"], []), _parsed(row["fields"], {})
        yield row


def _parsed(text: object, default: Any) -> Any:
    try:
        value = json.loads(text) if isinstance(text, str) else default
    except ValueError:
        return default
    return value if isinstance(value, type(default)) else default


def said_in(turn: object) -> str:
    """What a turn says, its tool calls too (`store.rows.spoken`), whatever the folder holds in its place."""
    held = mapping(turn)
    calls = [
        c
        for c in map(mapping, listed(held.get("tool_calls")))
        if isinstance(mapping(c.get("function")).get("name"), str)
    ]
    return spoken([{"content": str(held.get("content") or ""), "tool_calls": calls}], None)


def _row_text(row: Json) -> Text:
    messages = row["messages"]
    said = row["text"] or "" if messages is None else "\n\n".join(map(said_in, messages))
    return Text(row["id"], said[:MOST], len(said), len(said.split()), bool(row["kept"]))


def _anchor_text(row: Json) -> Text:
    text = row["text"] or ""
    return Text(row["id"], text[:MOST], len(text), len(text.split()), source=row["source"] or "")

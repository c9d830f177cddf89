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
from numpy.typing import NDArray

from synthgain.numbers import number
from synthgain.store import Run
from synthgain.store.rows import spoken
from synthgain.types import Reading, SynthgainError

MOST = 20_000  # characters of one text that are taken along
KEPT_SAMPLES, FALLEN_SAMPLES, REASONS = 8, 3, 12
KINDS = ("exact", "estimate", "lower bound", "upper bound", "proxy", "test")

Json = Mapping[str, Any]
Reason = tuple[str, str]  # check and reason; ("", "") for rows that were kept


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


@dataclass(frozen=True)
class RoundPart:
    """One round of a loop: its run, arms and students."""

    number: int
    run: RunPart | None
    arms: Sequence[Json]
    students: Mapping[str, Json]
    missing: Mapping[str, str]
    after: Mapping[str, Sequence[Reading]] = field(default_factory=dict)  # by student: what was measured after training


@dataclass(frozen=True)
class LoopPart:
    """A demo's or a loop's folder."""

    path: Path
    record: Json
    rounds: Sequence[RoundPart]
    arms: Sequence[Json]
    differences: Sequence[Json]  # paired, as arms.json has them: {"a", "b", and a reading of a - b}
    missing: Mapping[str, str]
    readings: Sequence[Reading] = ()  # the folder's own

    @property
    def last_run(self) -> Json:
        """The last round's run.json."""
        return next((r.run.record for r in reversed(self.rounds) if r.run is not None), {})


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
    """A reading as CONTRACT writes it; None where it is not one."""
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
    anchors, anchor_count, missing["anchors"] = _anchors(run, points // 3)
    reasons, tokens, chosen, missing["rows"] = _index(run, points - len(anchors))
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
            "tokens_in": call.tokens_in,
            "tokens_out": call.tokens_out,
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
) -> tuple[dict[Reason, int], dict[bool, NDArray[np.int64]], dict[Reason, list[str]], str]:
    """Over all rows, columns only: how many fell for what, tokens, and the ids of the samples."""
    if why := run.why_not("rows"):
        return {}, {}, {}, why
    counted: Counter[Reason] = Counter()
    tokens: dict[bool, list[Any]] = {True: [], False: []}
    best: dict[Reason, list[str]] = {}
    for shard in run.batches("rows", ["id", "kept", "check", "reason", "tokens_out"]):
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
    return dict(counted), arrays, chosen, "" if counted else "rows/ holds no rows"


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


# ---------------------------------------------------------------------------------------------- a loop


def loop_part(path: Path) -> LoopPart:
    """A demo's or a loop's folder; every part may be missing."""
    record, why = json_at(path / "loop.json")
    asked = [mapping(r) for r in listed(record.get("rounds"))]
    rounds = [_round(path, i, given, max(300, 1_500 // max(1, len(asked)))) for i, given in enumerate(asked)]
    arms, no_arms = arms_at(path / "arms.json")
    if not arms and rounds and rounds[-1].arms:
        arms, no_arms = list(rounds[-1].arms), ""
    differences = [mapping(d) for d in listed(json_at(path / "arms.json")[0].get("differences"))]
    missing = {"loop": why or ("" if rounds else "loop.json names no rounds"), "arms": no_arms}
    readings, _ = readings_at(path / "readings.json")
    return LoopPart(
        path, record, rounds, arms, differences, {name: why for name, why in missing.items() if why}, readings
    )


def arms_at(file: Path) -> tuple[list[Json], str]:
    """The arms in a file, and why there are none."""
    record, why = json_at(file)
    arms = [mapping(arm) for arm in listed(record.get("arms")) if mapping(arm).get("name")]
    return arms, why or ("" if arms else f"{file.name} holds no arms")


def _round(path: Path, place: int, given: Json, points: int) -> RoundPart:
    missing: dict[str, str] = {}
    run: RunPart | None = None
    where, missing["run"] = _inside(path, given.get("run"), "run")
    if where is not None:
        run = run_part(where, points)
    arms: list[Json] = []
    where, missing["arms"] = _inside(path, given.get("arms"), "arms.json")
    if where is not None:
        arms, missing["arms"] = arms_at(where)
    students: dict[str, Json] = {}
    after: dict[str, Sequence[Reading]] = {}
    for name, relative in mapping(given.get("students")).items():
        where, why = _inside(path, relative, "student")
        if where is not None:
            students[str(name)], why = json_at(where / "student.json")
            after[str(name)], _ = readings_at(where / "readings.json")
        if why:
            students.pop(str(name), None)
            missing[f"student {name}"] = why
    number_ = number(given.get("round"))
    told = {name: readings for name, readings in after.items() if readings}
    return RoundPart(
        place if number_ is None else int(number_), run, arms, students, {k: v for k, v in missing.items() if v}, told
    )


def _inside(path: Path, relative: object, what: str) -> tuple[Path | None, str]:
    """The path that loop.json names, where it lies inside the folder and is there."""
    if not isinstance(relative, str) or not relative or "\0" in relative:
        return None, f"loop.json names no {what} for this round"
    where = (path / relative).resolve()
    if not where.is_relative_to(path.resolve()):
        return None, f"loop.json points outside its folder ({relative}); it is not read"
    return (where, "") if where.exists() else (None, f"there is no {relative}")

"""Looking at what a run made: one row's life, the page."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from synthgain.api.places import on_disk
from synthgain.store import Run, kind_of
from synthgain.store.rows import spoken
from synthgain.train.student import read_student
from synthgain.types import Anchor, Call, SynthgainError


def record(folder: str | Path) -> dict[str, Any]:
    """What was asked and what came of it, as it stands: run.json of a run, student.json of a student."""
    return read_student(Path(folder)) or Run.at(folder).record


def rows(run: str | Path | Run, *, kept: bool | None = None, check: str = "") -> tuple[int, Iterator[dict[str, Any]]]:
    """How many rows a run has of those asked for, and these rows (`Run.rows`). SynthgainError where none fell by that check."""
    here = run if isinstance(run, Run) else Run.at(run)
    alive, fell = 0, Counter[str]()
    for shard in here.shards(["kept", "check"]):
        alive += pc.sum(shard.column("kept")).as_py() or 0
        fell.update(name for name in shard.column("check").to_pylist() if name)
    if check and (check not in fell or kept):
        listed = ", ".join(f"{name} ({n:,})" for name, n in fell.most_common()) or "none"
        raise SynthgainError(
            f"no row fell by {check!r}" if not kept else "a kept row fell by no check",
            where=str(here.path),
            next=f"rows fell by: {listed}",
        )
    of = fell[check] if check else alive * (kept is not False) + fell.total() * (not kept)
    return of, here.rows(kept=kept, check=check)


def trace(run: str | Path | Run, row: str) -> dict[str, Any]:
    """One row's whole life: anchors, prompts, answers, verdicts, cost."""
    here = run if isinstance(run, Run) else Run.at(run)
    found = here.row(row)
    calls = here.bought(found["call_ids"])
    parents = here.parents(found["anchor_ids"])
    anchors = [parents[id] for id in found["anchor_ids"] if id in parents]
    return life_of(found, anchors, [calls[id] for id in found["call_ids"] if id in calls])


def thought(run: str | Path | Run, row: Mapping[str, Any]) -> str:
    """What the calls of a row thought, where its text is empty; a chat's turns hold it themselves."""
    if row["messages"] is not None or (row["text"] or "").strip():
        return ""
    here = run if isinstance(run, Run) else Run.at(run)
    calls = here.bought(row["call_ids"])
    return "\n\n".join(said for id in row["call_ids"] if id in calls and (said := calls[id].message.get("reasoning")))


def life_of(row: Mapping[str, Any] | None, anchors: Sequence[Anchor], calls: Sequence[Call]) -> dict[str, Any]:
    """A row as it is stored (None: calls that gave none), with its anchors, its calls and what they cost."""
    costs = [c.cost for c in calls]
    return {
        "row": row,
        "anchors": [{"id": a.id, "source": a.source, "text": a.text, "fields": dict(a.fields)} for a in anchors],
        "calls": [_call_json(call) for call in calls],
        "cost_usd": None if None in costs else sum(c for c in costs if c is not None),
    }


def broken(folder: str | Path) -> list[tuple[str, int, list[str]]]:
    """Why drafts and calls of a run failed: each reason (as it was first worded), how often, and the anchors' sources; the most frequent first."""
    worded: dict[str, str] = {}
    sources: dict[str, list[str]] = {}
    counts: Counter[str] = Counter()
    for one in Run(Path(folder)).broken():
        kind = kind_of(one["reason"])
        counts[worded.setdefault(kind, one["reason"])] += 1
        known = sources.setdefault(worded[kind], [])
        known += [source for source in one.get("sources", ()) if source not in known]
    return [(reason, n, sources[reason]) for reason, n in counts.most_common()]


def nothing_kept(folder: str | Path) -> SynthgainError | None:
    """Why a run that went to its end kept no row; None where it kept some."""
    run = Run.at(folder)
    rows = run.record["counts"]["rows"]
    if run.record["counts"]["kept"]:
        return None
    if not rows:
        what, after = "the drafts gave no rows", "see what the recipe asks and gets: synthgain preview"
    else:
        fell = Counter(pair for shard in run.shards(["check", "reason"]) for pair in zip(*shard.to_pydict().values()))
        check, n = Counter(run.record["dropped_by"]).most_common(1)[0]
        reason, often = Counter({why: n for (by, why), n in fell.items() if by == check}).most_common(1)[0]
        why = reason if often == n else f"{often:,} of them: {reason}"
        what = f"no row was kept: {n:,} of {rows:,} fell by {check} ({why})"
        place, name = shlex.quote(str(folder)), shlex.quote(check)
        after = f"see some: synthgain show {place} --fallen --check {name}"
        if check in {one["name"] for one in run.record["recipe"]["checks"]}:
            after += (
                f"; then judge again with another setting, or go without it: synthgain curate {place} --without {name}"
            )
    return SynthgainError(what, where=str(folder), next=after, code=5)


def said_in(turn: Mapping[str, Any]) -> str:
    """What a turn says, its tool calls too."""
    return spoken([turn], None)


def _call_json(call: Call) -> dict[str, Any]:
    names = (
        "id",
        "model",
        "text",
        "message",
        "finish",
        "tokens_in",
        "tokens_out",
        "tokens_cached",
        "logprob",
        "law",
        "cost",
        "seconds",
    )
    prompt = {
        "messages": list(call.prompt.messages),
        "tools": list(call.prompt.tools),
        "sampling": str(call.prompt.sampling),
        "draw": call.prompt.draw,
        "seed": call.prompt.seed,
    }
    came_in, went_out = call.counted
    told = {name: getattr(call, name) for name in names} | {"tokens_in": came_in, "tokens_out": went_out}
    return {**told, "prompt": prompt}


def report(run: str | Path | Run, *, out: str | Path | None = None) -> Path:
    """Write the page of a run, of a folder of rounds (a demo's or a loop's), of a comparison of arms, or of a student. Its path."""
    from synthgain.report.page import write

    folder = run.path if isinstance(run, Run) else Path(run)
    if not any((folder / name).is_file() for name in ("run.json", "loop.json", "student.json", "arms.json")):
        raise SynthgainError(
            "this is neither a run, a folder of rounds, a comparison of arms nor a student",
            where=str(folder),
            next="give the folder that -o named",
        )
    with on_disk(folder if out is None else Path(out)):
        return write(folder, None if out is None else Path(out))

"""Reading what a run made: figures, one row's life, the page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from synthgain.api.making import on_disk
from synthgain.measure import first_figures
from synthgain.measure.first import Sample, sample_positions
from synthgain.store import Run
from synthgain.types import Call, Reading, SynthgainError

SAMPLE = 5_000  # kept rows, and anchors, that first figures are computed on


def measure(run: str | Path | Run, *, seed: int = 0) -> list[Reading]:
    """The first figures of a finished run, with intervals; also written to RUN/readings.json."""
    here = run if isinstance(run, Run) else Run.at(run)
    counts = here.record.get("counts")
    if counts is None:
        raise SynthgainError(
            f"this run is {here.record.get('status', 'not begun')}",
            where=str(here.path),
            next="finish it first: run its command again",
        )
    anchors = {a.id: a.text for a in here.anchors()}
    sample = _sample(here, anchors, counts["kept"])
    texts = list(anchors.values())
    some = [texts[i] for i in sample_positions(len(texts), SAMPLE)]
    readings = first_figures(sample, rows=counts["rows"], kept=counts["kept"], anchors=some, seed=seed)
    here.write_readings(readings)
    return readings


def _sample(run: Run, anchors: Mapping[str, str], kept: int) -> Sample:
    """Evenly spread kept rows, read shard by shard."""
    wanted = sample_positions(kept, SAMPLE)
    names = ("answer", "anchor_ids", "logprob", "tokens_out", "law")
    parts: list[pa.Table] = []
    start = 0
    for shard in run.kept(names):
        mine = [i for i in range(len(shard)) if start + i in wanted]
        start += len(shard)
        parts.append(shard.take(pa.array(mine, pa.int64())))
    if not parts:
        return Sample([], [], [], [], [], [])
    rows = pa.concat_tables(parts)
    ids = rows.column("anchor_ids").to_pylist()
    return Sample(
        texts=rows.column("answer").to_pylist(),
        prompts=[" ".join(i) for i in ids],
        sources=["\n".join(anchors.get(a, "") for a in i) for i in ids],
        logprobs=rows.column("logprob").to_pylist(),
        tokens=rows.column("tokens_out").to_pylist(),
        laws=rows.column("law").to_pylist(),
    )


def trace(run: str | Path | Run, row: str) -> dict[str, Any]:
    """One row's whole life: anchors, prompts, answers, verdicts, cost."""
    here = run if isinstance(run, Run) else Run.at(run)
    found = here.row(row)
    memory = here.memory(readonly=True)
    try:
        calls = memory.get_many(found["call_ids"])
    finally:
        memory.close()
    anchors = [a for a in here.anchors() if a.id in set(found["anchor_ids"])]
    costs = [c.cost for c in calls.values()]
    return {
        "row": found,
        "anchors": [{"id": a.id, "source": a.source, "text": a.text, "fields": dict(a.fields)} for a in anchors],
        "calls": [_told(calls[id]) for id in found["call_ids"] if id in calls],
        "cost_usd": None if None in costs else sum(c for c in costs if c is not None),
    }


def _told(call: Call) -> dict[str, Any]:
    names = (
        "id",
        "model",
        "text",
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
        "sampling": str(call.prompt.sampling),
        "draw": call.prompt.draw,
        "seed": call.prompt.seed,
    }
    return {**{name: getattr(call, name) for name in names}, "prompt": prompt}


def report(run: str | Path | Run, *, out: str | Path | None = None) -> Path:
    """Write the page of a run, or of a folder of rounds (a demo's or a loop's). Its path."""
    from synthgain.report.page import write

    folder = run.path if isinstance(run, Run) else Path(run)
    if not (folder / "run.json").is_file() and not (folder / "loop.json").is_file():
        raise SynthgainError(
            "this is neither a run nor a folder of rounds", where=str(folder), next="give the folder that -o named"
        )
    with on_disk(folder if out is None else Path(out)):
        return write(folder, None if out is None else Path(out))

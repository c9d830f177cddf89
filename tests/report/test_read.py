"""Reading a run for a page: all rows counted, samples drawn by content, calls looked up."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from doubles.folders import run_folder
from synthgain.report.read import FALLEN_SAMPLES, KEPT_SAMPLES, calls, run_part
from synthgain.store import Run


def test_counts_samples_and_lineage(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", anchors=50, k=6)
    rows = [row for part in sorted((folder / "rows").glob("*.parquet")) for row in pq.read_table(part).to_pylist()]
    part = run_part(folder, points=90)
    assert dict(part.reasons) == Counter((row["check"], row["reason"]) for row in rows)
    assert (part.rows, part.kept, part.anchor_count) == (300, sum(row["kept"] for row in rows), 50)
    kept = sorted(row["id"] for row in rows if row["kept"])
    assert sorted(row["id"] for row in part.samples["", ""]) == kept[:KEPT_SAMPLES]
    assert all(len(mine) <= FALLEN_SAMPLES for reason, mine in part.samples.items() if reason[0])
    assert len(part.anchors) + len(part.texts) == 90
    shown = [row for mine in part.samples.values() for row in mine]
    assert set(part.calls) == {id for row in shown for id in row["call_ids"]}
    assert set(part.parents) == {id for row in shown for id in row["anchor_ids"]}
    assert sum(len(values) for values in part.tokens.values()) == 300
    assert part.missing == {}


def test_calls_are_read_from_the_runs_memory(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", anchors=3, k=2)
    row = pq.read_table(folder / "rows" / "part-00000.parquet").to_pylist()[0]
    found = calls(Run(folder), row["call_ids"])[row["call_ids"][0]]
    assert found["text"] == row["messages"][-1]["content"]
    assert found["messages"][0]["content"].startswith("Q: ")
    assert found["logprob"] == row["logprob"] and found["tokens_out"] == row["tokens_out"]
    assert calls(Run(folder), ["0" * 64]) == {}

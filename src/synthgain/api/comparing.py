"""Several sets side by side, for users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from synthgain.api.making import on_disk
from synthgain.api.measuring import Say, data_of, instruments_for
from synthgain.api.reaching import Servers, Unpack, reaching
from synthgain.measure import Data, Side, differences, held_out_gains, judged, meter, sentences
from synthgain.models import Reach
from synthgain.store import Run
from synthgain.types import SynthgainError


@reaching
def compare(
    runs: Sequence[str | Path],
    *,
    anchors: str | Path | None = None,
    target: str | Path | None = None,
    embedder: str = "words",
    student: str = "",
    text_field: str | None = None,
    seed: int = 0,
    reach: Reach | None = None,
    say: Say | None = None,
    **servers: Unpack[Servers],
) -> dict[str, Any]:
    """Which of several sets adds more: {"runs", "differences", "sentences"}, every pair against each other.

    Sets are paired by held-out document where they were made from the same anchors, or with `target`; otherwise their gains
    are not ranked. `text_field` names the column of the texts of sets that are no runs.
    """
    if len(runs) < 2:
        raise SynthgainError(
            "there is nothing to compare with", next="give two or more runs: synthgain compare RUN RUN"
        )
    names = _names([Path(r) for r in runs])
    instruments = instruments_for(student, "", embedder, reach or Reach())
    sides: list[Side] = []
    told: list[dict[str, Any]] = []
    for name, run in zip(names, map(Path, runs)):
        if say is not None:
            say(f"measuring {name}")
        data = data_of(run, anchors=anchors, target=target, text_field=text_field, seed=seed)
        record = Run.at(run).record if Run.is_at(run) else {}
        gains = judged(data)
        readings = meter(data, instruments, gains=gains)
        side = Side(name, data.n_rows, _tokens(data), record.get("cost_usd"), readings, held_out_gains(data, gains))
        sides.append(side)
        told.append(
            {
                "name": name,
                "path": str(run),
                "recipe": (record.get("recipe") or {}).get("name"),
                "rows": side.rows,
                "tokens": side.tokens,
                "cost_usd": side.cost_usd,
                "readings": [r.json() for r in side.readings],
            }
        )
    found = [d for a, b in combinations(sides, 2) for d in differences(a, b, seed)]
    return {"runs": told, "differences": [d.json() for d in found], "sentences": sentences(sides, found)}


def _names(runs: Sequence[Path]) -> list[str]:
    """Short names that tell the sets apart: the folder's, or its whole path where two are alike."""
    short = [r.resolve().name for r in runs]
    return [name if short.count(name) == 1 else str(r) for name, r in zip(short, runs)]


def _tokens(data: Data) -> int:
    """Words that a student would read: by one tokenizer for all sets, whoever wrote them."""
    from synthgain.measure.words import WordCount

    count = WordCount()
    for table in data.rows(("text",)):
        count.add(table.column("text").to_pylist())
    return count.total


def comparison_page(result: Mapping[str, Any], out: str | Path) -> Path:
    """A self-contained page of what `compare` found."""
    from synthgain.report.comparison import write_comparison

    with on_disk(Path(out)):
        return write_comparison(result, Path(out))

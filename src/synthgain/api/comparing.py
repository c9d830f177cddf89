"""Several sets side by side, for users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthgain.api.instruments import instruments_for
from synthgain.api.measuring import data_of
from synthgain.api.places import on_disk
from synthgain.api.reaching import Servers, Unpack, reaching
from synthgain.api.sources import made_from
from synthgain.api.telling import Say
from synthgain.measure import Data, Side, differences, held_out_gains, judged, meter, sentences
from synthgain.measure.aim import aim_of
from synthgain.measure.answers import held_out_answer_gains, judged_answers
from synthgain.measure.compare import ALIKE, Difference, at_equal_size
from synthgain.measure.equal_size import DRAWS, gains_at, varied_at
from synthgain.measure.grounded import Grounds
from synthgain.measure.ranking import headline
from synthgain.measure.spread import MOST
from synthgain.models import Reach
from synthgain.store import Run
from synthgain.types import SynthgainError

if TYPE_CHECKING:
    from synthgain.models.embedders import Embedder


@reaching
def compare(
    runs: Sequence[str | Path],
    *,
    anchors: str | Path | None = None,
    target: str | Path | None = None,
    target_is: str = "",
    embedder: str = "words",
    student: str = "",
    text_field: str | None = None,
    seed: int = 0,
    reach: Reach | None = None,
    say: Say | None = None,
    **servers: Unpack[Servers],
) -> dict[str, Any]:
    """Which of several sets adds more: {"runs", "headline", "differences", "sentences"}, every pair against each other.

    They are ranked by the figure that fits the task, which `headline` names (`measure.ranking` says which and why). Sets are paired by held-out document where they were made from the same anchors, or with `target`; otherwise their gains
    are not ranked. Shares of right answers are ranked of runs that were made from the same anchors. `text_field` names the column of the texts of sets that are no runs. `target_is`: see `measure`.
    """
    if len(runs) < 2:
        raise SynthgainError(
            "there is nothing to compare with", next="give two or more runs: synthgain compare RUN RUN"
        )
    names = _names([Path(r) for r in runs])
    instruments = instruments_for(student, "", embedder, reach or Reach())
    sides: list[Side] = []
    read: dict[str, tuple[Data, bool]] = {}
    told: list[dict[str, Any]] = []
    for name, run in zip(names, map(Path, runs)):
        if say is not None:
            say(f"measuring {name}")
        data = data_of(run, anchors=anchors, target=target, text_field=text_field, seed=seed)
        record = Run.at(run).record if Run.is_at(run) else {}
        grounds = Grounds.of(data)
        aim = aim_of(data, grounds, target_is)
        gains, answers = judged(data), judged_answers(data) if aim.answers else ""
        readings = meter(data, instruments, gains=gains, answers=answers, grounds=grounds, aim=aim)
        paired = {**held_out_gains(data, gains), **held_out_answer_gains(answers)}
        side = Side(name, data.n_rows, _tokens(data), record.get("cost_usd"), readings, paired, made_from(run))
        sides.append(side)
        read[name] = data, aim.answers
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
    found = [d for a, b in combinations(sides, 2) for d in _of_pair(a, b, read, instruments.embedder, seed, say)]
    said = sentences(sides, found)
    return {
        "runs": told,
        "headline": {"name": headline(sides), "says": next(iter(said), "")},
        "differences": [d.json() for d in found],
        "sentences": said,
    }


def _of_pair(
    a: Side,
    b: Side,
    read: Mapping[str, tuple[Data, bool]],
    embedder: Embedder | None,
    seed: int,
    say: Say | None,
) -> list[Difference]:
    """The differences of two sets; where one is larger also of its gains, and of how varied it is, at the other's size."""
    found = differences(a, b, seed)
    small, large = sorted((a, b), key=lambda side: side.rows)
    if not small.rows or large.rows - small.rows <= ALIKE * large.rows:
        return found
    data, answers = read[large.name]
    paired = any(d.paired for d in found)
    spread = small.rows < MOST and embedder is not None
    if say is not None and (paired or spread):
        say(f"measuring {large.name} at the size of {small.name} ({small.rows:,} rows), {DRAWS} draws")
    gains = gains_at(data, small.rows, answers) if paired else {}
    varied = varied_at(data, small.rows, embedder) if spread and embedder is not None else None
    equal = at_equal_size(a, b, gains, seed, DRAWS, varied)
    return found + (equal if paired else [d for d in equal if d.name == "mdm"])


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

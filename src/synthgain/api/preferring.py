"""Preference pairs of a file or a run, put to a model whose weights are here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from synthgain.api.making import Watch
from synthgain.api.telling import remark
from synthgain.chain import Tally
from synthgain.evaluate import Preference, Solved, prefer, preference_differences
from synthgain.models import open_scorer
from synthgain.train.rows import first_row, last_answer, read_rows
from synthgain.train.shapes import TrainingRow
from synthgain.types import Reading, SynthgainError


def pairs_at(path: Path) -> list[Preference]:
    """The preference pairs that stand there; none where the first row is no pair. Pairs whose answers are no single texts are left out, and said."""
    try:
        if not first_row(path).rejected:
            return []
    except SynthgainError:  # questions, or nothing that can be read: whoever reads questions says what is wrong
        return []
    rows = read_rows(path)
    pairs = list(_pairs(rows))
    if left := len(rows) - len(pairs):
        remark(f"{left:,} of {len(rows):,} rows are no pairs of two single answers, and are left out")
    if not pairs:
        raise SynthgainError(
            "no row is a pair of two single answers", where=str(path), next='write {"prompt", "chosen", "rejected"}'
        )
    return pairs


def _pairs(rows: Iterable[TrainingRow]) -> Iterator[Preference]:
    for row in rows:
        if row.messages is None or not row.rejected or row.tools:
            continue
        last = last_answer(row.messages)
        chosen, rejected = row.messages[last:], row.rejected
        if len(chosen) == len(rejected) == 1 and not any("tool_calls" in turn for turn in (*chosen, *rejected)):
            yield Preference(row.messages[:last], chosen[0]["content"], rejected[0]["content"])


def preferred(weights: str | Path, pairs: list[Preference], against: str | None, watch: Watch) -> list[Reading]:
    """The readings of a model on pairs; with `against` also the differences to that model."""
    mine = _of(weights, pairs, watch)
    return [*mine.readings, *(preference_differences(mine, _of(against, pairs, watch)) if against else ())]


def _of(weights: str | Path, pairs: list[Preference], watch: Watch) -> Solved:
    tally = Tally(label=f"pairs of {str(weights).rpartition('/')[2]}", groups_total=len(pairs))

    def done(n: int, _: int) -> None:
        tally.groups_done = n
        watch(tally)

    return prefer(open_scorer(weights, ends=True), pairs, watch=done)

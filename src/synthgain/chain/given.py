"""ε over rows that are there already, whoever made them: no draft, no call, no anchor. The rest is as in a round."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice

from synthgain.chain.judging import AGAIN, Judging, each_judged, row_checks, selected, verdicts_of
from synthgain.chain.lacking import Lacking
from synthgain.chain.tally import Tally
from synthgain.store import Met, Run
from synthgain.types import Anchor, AnyCheck, Check, Embedder, Models, Recipe, Row, SynthgainError

SHARD = 1024  # rows that are judged and written at once


async def _no_draft(models: Models, *anchors: Anchor) -> AsyncIterator[Row]:
    """Nothing: these rows were given."""
    for row in tuple[Row, ...]():
        yield row


GIVEN = Recipe("given", "1", _no_draft, roles=(), anchors="none", calls="none")  # stands where a run has its recipe


def judge_given(
    rows: Iterable[Row],
    checks: Sequence[AnyCheck],
    run: Run,
    tally: Tally,
    *,
    accept: int | None = None,
    embedder: Embedder | None = None,
    watch: Callable[[Tally], None] = lambda _: None,
) -> Tally:
    """Judge the rows in their order and put them in the run's place, kept and fallen; `tally` counts them.

    A row check is handed what was asked and the row's own fields as its one anchor, so that a column of gold answers can be compared with.
    Where it fails nothing of the run has changed.
    """
    staged = run.stage()
    judging, lacking = Judging(checks, accept, embedder), Lacking(checks)
    by_row = row_checks(checks)
    try:
        for shard in _shards(numbered(rows)):
            by_rows = each_judged(shard, partial(_judged, checks=by_row), by_row)
            for row in by_rows:
                lacking.look(row, (_as_anchor(row),))
            judged = judging.shard(by_rows)
            for row in judged:
                fallen = row.fallen
                tally.rows += 1
                tally.kept += fallen is None
                if fallen is not None:
                    tally.dropped_by[fallen.check] += 1
            staged.write(judged)
            watch(tally)
        if (blind := lacking.refusal(at_the_end=True)) is not None:
            raise blind
        dropped = selected(checks, partial(staged.alive, embedder=embedder))
    except BaseException:
        staged.discard()
        raise
    for verdict in dropped.values():
        tally.dropped_by[verdict.check] += 1
    tally.kept = staged.place(dropped, run.path, with_groups=True)
    watch(tally)
    return tally


def numbered(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows, each that was there before with its number among those alike, so that ids stay unique. 8 bytes a row and some for each repeat."""
    met, again = Met(), Counter[str]()
    for shard in _shards(rows):
        for row, new in zip(shard, met.new([row.id for row in shard])):
            if new:
                yield row
            else:
                again[row.id] += 1
                yield replace(row, repeat=again[row.id])


def asked_of(row: Row) -> str:
    """What was asked: the turns before the last answer, one user's turn as its text alone."""
    turns = list(row.messages or ())
    last = max((i for i, turn in enumerate(turns) if turn["role"] == "assistant"), default=len(turns))
    before = turns[:last]
    if len(before) == 1:
        return before[0]["content"]
    return "\n\n".join(f"{turn['role']}: {turn['content']}" for turn in before)


def _judged(row: Row, checks: Sequence[Check]) -> Row:
    """The row with its verdicts; SynthgainError where a check fails, with the row's place."""
    anchor = _as_anchor(row)
    try:
        verdicts = verdicts_of(row, (anchor,), checks)
    except ValueError as error:
        raise SynthgainError(str(error), where=f"row {anchor.source or row.id}", next=AGAIN) from error
    return replace(row, recipe=GIVEN.name, verdicts=verdicts)


def _as_anchor(row: Row) -> Anchor:
    """What was asked and the row's own fields, as row checks are handed them."""
    return Anchor(asked_of(row), str(row.fields.get("source_row") or ""), row.fields)


def _shards(rows: Iterable[Row]) -> Iterator[list[Row]]:
    source = iter(rows)
    while shard := list(islice(source, SHARD)):
        yield shard

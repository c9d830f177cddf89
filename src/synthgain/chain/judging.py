"""ε in its order: row checks as rows come, folds shard by shard, selections once at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pyarrow as pa

from synthgain.store import Met
from synthgain.store.rows import DERIVED, ROWS, VECTOR, columns_of, table
from synthgain.types import (
    Anchor,
    AnchoredFold,
    AnyCheck,
    Check,
    Embedder,
    Fold,
    Interrupted,
    Judge,
    Row,
    Selection,
    SynthgainError,
    Verdict,
    drop,
)

COLUMNS = tuple(dict.fromkeys((*ROWS.names, *DERIVED, VECTOR)))  # what a fold or a selection may read
SIDE_BY_SIDE = 16  # rows judged at once by checks that wait for another process
AGAIN = "mend the check, or leave it out with --without; `synthgain curate` judges again and buys nothing"


def judging_order(checks: Sequence[AnyCheck]) -> tuple[AnyCheck, ...]:
    """The checks in the order in which they judge: row checks, folds, selections."""
    return (*row_checks(checks), *(c for c in checks if isinstance(c, Fold)), *selections(checks))


def row_checks(checks: Sequence[AnyCheck]) -> tuple[Check, ...]:
    return tuple(c for c in checks if not isinstance(c, Fold | Selection))


def selections(checks: Sequence[AnyCheck]) -> tuple[Selection, ...]:
    return tuple(c for c in checks if isinstance(c, Selection))


def ready(checks: Sequence[AnyCheck]) -> None:
    """Let each check see whether it can judge here: what it raises is raised before anything is bought. See docs/write-a-check.md."""
    for check in checks:
        if hasattr(check, "ready"):
            check.ready()


@contextmanager
def closing(checks: Sequence[AnyCheck]) -> Iterator[None]:
    """At its end the checks let go what they hold (processes)."""
    try:
        yield
    finally:
        for check in checks:
            if hasattr(check, "close"):
                check.close()


def _waits(checks: Sequence[AnyCheck]) -> bool:
    return any(getattr(check, "waits", False) for check in checks)


async def verdicts_beside(row: Row, anchors: Sequence[Anchor], checks: Sequence[Check]) -> tuple[Verdict, ...]:
    """`verdicts_of`, and in a thread where a check waits for another process: calls under way go on."""
    if _waits(checks):
        return await asyncio.to_thread(verdicts_of, row, anchors, checks)
    return verdicts_of(row, anchors, checks)


def saw(order: Sequence[str], row: Row) -> Sequence[str]:
    """Of the names of checks, in their order, those that came to judge a row: up to the one that dropped it, none where the draft itself did."""
    fallen = row.fallen
    if fallen is None:
        return order
    return order[: order.index(fallen.check) + 1] if fallen.check in order else ()


def each_judged(rows: Sequence[Row], judge: Callable[[Row], Row], checks: Sequence[Check]) -> list[Row]:
    """What `judge` makes of each row, in their order; several at once where a check waits for another process."""
    if not _waits(checks):
        return [judge(row) for row in rows]
    with ThreadPoolExecutor(SIDE_BY_SIDE) as threads:
        try:
            return list(threads.map(judge, rows))
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            for check in checks:
                if hasattr(check, "stop"):
                    check.stop()  # or else it would be waited for
            raise


def verdicts_of(row: Row, anchors: Sequence[Anchor], checks: Sequence[Check]) -> tuple[Verdict, ...]:
    """The row checks' verdicts, up to the first that drops it."""
    verdicts = list(row.verdicts)
    if row.fallen is None:
        for check in checks:
            try:
                verdict = plain_verdict(check(row, anchors))
            except Interrupted:
                raise
            except Exception as error:
                raise ValueError(f"the check {check.name} failed: {type(error).__name__}: {error}") from error
            if not verdict.keeps or verdict.score is not None:
                verdicts.append(replace(verdict, check=check.name))
                if not verdict.keeps:
                    break
    return tuple(verdicts)


def plain_verdict(verdict: Verdict) -> Verdict:
    """The verdict with its score as a float of Python. TypeError where it is none, or its reason is no text."""
    if not isinstance(verdict, Verdict) or not isinstance(verdict.reason, str):
        raise TypeError(f"it gave {verdict!r:.80}, which is no verdict")
    return (
        verdict
        if verdict.score is None or type(verdict.score) is float
        else replace(verdict, score=float(verdict.score))
    )


class Judging:
    """Judges rows in their order, a shard at a time. `accepted` counts those that every row check and fold let through.

    `anchors` are the run's, for folds that know them; None: there are none.
    """

    def __init__(
        self,
        checks: Sequence[AnyCheck],
        accept: int | None,
        embedder: Embedder | None,
        anchors: Iterable[Anchor] | None = None,
    ) -> None:
        _known_columns(checks)
        self.folds: list[tuple[Fold, Judge]] = [(c, _begun(c, anchors)) for c in checks if isinstance(c, Fold)]
        self.columns = list(dict.fromkeys(["id", *(name for fold, _ in self.folds for name in fold.columns)]))
        self.accept, self.embedder = accept, embedder
        self.accepted = self.repeated = 0
        self._met = Met()

    def shard(self, rows: Sequence[Row]) -> list[Row]:
        """The rows with the folds' verdicts, and `accept`'s on those beyond the number asked for; a row that came before is left out."""
        fresh = self._fresh(rows)
        alive = [i for i, row in enumerate(fresh) if row.fallen is None]
        columns = columns_of(table([fresh[i] for i in alive]), self.columns, self.embedder) if self.folds else None
        for fold, judge in self.folds:
            assert columns is not None
            if not alive:
                break
            verdicts = _judged(fold.name, judge, columns)
            for i, verdict in zip(alive, verdicts):
                if not verdict.keeps or verdict.score is not None:
                    fresh[i] = _with(fresh[i], replace(verdict, check=fold.name))
            stay = [n for n, verdict in enumerate(verdicts) if verdict.keeps]
            if len(stay) < len(alive):
                alive = [alive[n] for n in stay]
                columns = columns.take(pa.array(stay, pa.int64()))
        for i in alive:
            if self.accept is not None and self.accepted >= self.accept:
                fresh[i] = _with(fresh[i], drop("enough rows were accepted", check="accept"))
            else:
                self.accepted += 1
        return fresh

    def _fresh(self, rows: Sequence[Row]) -> list[Row]:
        """The rows whose ids did not come before."""
        new = self._met.new([row.id for row in rows])
        self.repeated += len(rows) - sum(new)
        return [row for row, first in zip(rows, new) if first]


def _known_columns(checks: Sequence[AnyCheck]) -> None:
    """SynthgainError where a check reads a column that rows do not have: said before a row is bought."""
    for check in checks:
        if not isinstance(check, Fold | Selection):
            continue
        if strange := [name for name in check.columns if name not in COLUMNS]:
            raise SynthgainError(
                f"rows have no column {strange[0]!r}", where=check.name, next=f"the columns are: {', '.join(COLUMNS)}"
            )


def _begun(fold: Fold, anchors: Iterable[Anchor] | None) -> Judge:
    return fold.begin_beside(anchors) if anchors is not None and isinstance(fold, AnchoredFold) else fold.begin()


def selected(checks: Sequence[AnyCheck], alive: Any) -> dict[int, Verdict]:
    """What the selections drop, by position among all rows. `alive(columns, dropped)` gives columns and positions (`Staged.alive`)."""
    dropped: dict[int, Verdict] = {}
    for check in selections(checks):
        columns, positions = alive(check.columns, dropped)
        if positions:
            for position, verdict in zip(positions, _judged(check.name, check, columns), strict=True):
                if not verdict.keeps:
                    dropped[position] = replace(verdict, check=check.name)
    return dropped


def _judged(name: str, judge: Judge, columns: pa.Table) -> Sequence[Verdict]:
    """The verdicts; SynthgainError in the check's name where it fails. The rows' calls are kept."""
    try:
        verdicts = [plain_verdict(verdict) for verdict in judge(columns)]
    except Exception as error:
        raise SynthgainError(f"the check failed: {type(error).__name__}: {error}", where=name, next=AGAIN) from error
    if len(verdicts) != len(columns):
        raise SynthgainError(f"the check gave {len(verdicts)} verdicts for {len(columns)} rows", where=name, next=AGAIN)
    return verdicts


def _with(row: Row, verdict: Verdict) -> Row:
    return replace(row, verdicts=(*row.verdicts, verdict))

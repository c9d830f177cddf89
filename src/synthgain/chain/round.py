"""One round: pick → draft → curate. The only file that knows the order.

Groups are drafted by workers, side by side, in a fixed order that does not depend on timing; each
shard of rows is written and let go. Only calls are remembered: to resume is to run again.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Protocol

from synthgain.chain.buying import Buyer, Desk, Stopped, Tally
from synthgain.store import CallMemory, Run, Staged
from synthgain.types import (
    Anchor,
    AnyCheck,
    CallFailed,
    Check,
    Group,
    Model,
    Recipe,
    Row,
    SetCheck,
    SynthgainError,
    Verdict,
    drop,
    singly,
)

PASS = 1_000_000  # draw indices of one pass over the groups; the next pass begins PASS higher
SHARD = 1024  # rows written at once
AHEAD = 4 * SHARD  # groups drafted beyond the first that is not done
LOOK = 32  # rows between two looks at the running estimates
SOME, TOO_MANY = 20, 0.2  # drafts broken: more than this share of at least this many ends the run


class Pulse(Protocol):
    """Running estimates of the rows as they come, in the order they come."""

    def add(self, row: Row) -> None: ...
    @property
    def figures(self) -> Mapping[str, float]: ...
    @property
    def collapse(self) -> str:
        """In words, which threshold is crossed; "" while none is."""
        ...


@dataclass(frozen=True)
class Request:
    """What is asked for: everything that decides which calls are bought and which rows are kept."""

    recipe: Recipe
    anchors: Sequence[Anchor]
    models: Mapping[str, Model]  # by role
    checks: tuple[AnyCheck, ...] = ()
    seed: int = 0
    accept: int | None = None
    max_candidates: int | None = None
    limit: int | None = None  # groups
    max_cost: float | None = None  # USD, over all calls that this data set uses
    max_tokens: int | None = None  # tokens in and out, likewise
    round: int = 0
    buy: bool = True  # False: only calls that are remembered (curate)
    pulse: Pulse | None = None  # running estimates
    stop_on_collapse: bool = False


@dataclass(frozen=True)
class Outcome:
    """How a round ended. `why` is empty where it is complete; `code` is the exit code."""

    tally: Tally
    why: str = ""
    code: int = 0


class _Singly(Sequence[Group]):
    """Groups of one anchor each, made when asked for: a long list of anchors costs no memory here."""

    def __init__(self, anchors: Sequence[Anchor], limit: int | None) -> None:
        self.anchors, self.n = anchors, len(anchors) if limit is None else min(limit, len(anchors))

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: Any) -> Any:
        if not 0 <= i < self.n:
            raise IndexError(i)
        return (self.anchors[i],)


def _groups(request: Request) -> Sequence[Group]:
    if request.recipe.pick is singly:
        return _Singly(request.anchors, request.limit)
    return list(islice(request.recipe.pick(request.anchors), request.limit))


@dataclass(frozen=True)
class _Drafted:
    rows: list[Row]
    whole: bool  # False: the run stopped before the draft ended


class _Line:
    """Groups in their order: handed out to workers, taken back as drafts, never further ahead than a shard."""

    def __init__(self, begin: int, end: int) -> None:
        self.upcoming = self.consumed = begin
        self.end, self.done = end, dict[int, _Drafted]()
        self.news, self.room = asyncio.Event(), asyncio.Event()

    @property
    def head(self) -> bool:
        """The next draft in order is here."""
        return self.consumed in self.done

    async def next(self) -> int | None:
        while self.upcoming < self.end and self.upcoming - self.consumed >= AHEAD:
            self.room.clear()
            await self.room.wait()
        if self.upcoming >= self.end:
            return None
        self.upcoming += 1
        return self.upcoming - 1

    def put(self, index: int, drafted: _Drafted) -> None:
        self.done[index] = drafted
        if index == self.consumed:
            self.news.set()

    def ready(self) -> Iterator[_Drafted]:
        while self.head:
            self.consumed += 1
            self.room.set()
            yield self.done.pop(self.consumed - 1)

    def rest(self) -> Iterator[_Drafted]:
        return (self.done[index] for index in sorted(self.done))


class Round:
    """Drives one request into a run folder."""

    def __init__(self, request: Request, run: Run, memory: CallMemory, watch: Callable[[Tally], None]) -> None:
        self.request, self.run, self.watch = request, run, watch
        self.groups: Sequence[Group] = _groups(request)
        self.tally = Tally(label=request.recipe.name, groups_total=len(self.groups), target=request.accept)
        self.buyer = Buyer(
            request.models, memory, self.tally, watch,
            seed=request.seed, max_cost=request.max_cost, max_tokens=request.max_tokens, buy=request.buy,
        )  # fmt: skip
        self.row_checks: list[Check] = [c for c in request.checks if not isinstance(c, SetCheck)]
        self.set_checks: list[SetCheck] = [c for c in request.checks if isinstance(c, SetCheck)]
        self.staged: Staged = run.stage()

    async def __call__(self) -> Outcome:
        try:
            fallen = await (self._all() if self.request.accept is None else self._until_accepted(self.request.accept))
        except SynthgainError as error:
            self.buyer.fail(error)
            fallen = self._judge()
        self._count(fallen)
        if self.request.pulse is not None:
            self.tally.figures = self.request.pulse.figures
        self.tally.kept = self.staged.place(fallen, self.run.rows, self.run.data)
        self.run.write_broken(self.buyer.broken)
        if self.buyer.fatal is not None and self.buyer.fatal.code == 2:
            raise self.buyer.fatal
        why, code = self.buyer.stopped or self._too_many_broken(least=1) or ("", 0)
        return Outcome(self.tally, why, code)

    # ------------------------------------------------------------------------------------------ in which order

    async def _all(self) -> Mapping[int, Verdict]:
        await self._wave(0, len(self.groups), 0)
        return self._judge()

    async def _until_accepted(self, wanted: int) -> Mapping[int, Verdict]:
        """Wave after wave until `wanted` rows are accepted; the first of them are kept."""
        most = self.request.max_candidates or 4 * wanted
        size = min(1024, max(8, wanted // 4))
        fallen: Mapping[int, Verdict] = {}
        turn = begin = at_turn = 0
        while self.groups and self.buyer.stopped is None:
            await self._wave(begin, min(begin + size, len(self.groups)), turn * PASS, most)
            fallen = self._judge()
            alive = self._alive(fallen)
            if len(alive) >= wanted:
                surplus = {i: drop("enough rows were accepted", check="accept") for i in alive[wanted:]}
                return {**fallen, **surplus}
            if self.staged.rows >= most:
                self.buyer.stop(f"{most} candidates gave {len(alive)} of the {wanted} accepted rows asked for", 3)
            begin += size
            if begin >= len(self.groups):  # the groups are used up: the next draw index begins
                if self.staged.rows == at_turn:
                    self.buyer.stop(f"the drafts give no more candidates; {len(alive)} of {wanted} were accepted", 3)
                turn, begin, at_turn = turn + 1, 0, self.staged.rows
        return fallen

    async def _wave(self, begin: int, end: int, base: int, most: int | None = None) -> None:
        """Draft the groups [begin, end) and stage their rows in order."""
        line = _Line(begin, end)
        workers: set[asyncio.Task[None]] = set()

        def ended(worker: asyncio.Task[None]) -> None:
            workers.discard(worker)
            line.news.set()

        def crew() -> None:
            """As many workers as are of use now: a model may grow wider while it answers."""
            for _ in range(min(2 * self.buyer.width, end - begin) - len(workers)):
                if line.upcoming >= end:
                    return
                worker = asyncio.create_task(self._work(line, base, crew))
                workers.add(worker)
                worker.add_done_callback(ended)

        crew()
        shard: list[Row] = []
        try:
            while True:
                for drafted in line.ready():
                    shard += drafted.rows
                    self.tally.groups_done += drafted.whole
                    if len(shard) >= SHARD:
                        self._check_broken()
                        shard = await self._write(shard, most)
                if not workers and not line.head:
                    break
                line.news.clear()
                if workers and not line.head:
                    await line.news.wait()
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            for drafted in line.rest():  # what stopped drafts gave after a gap is kept too
                shard += drafted.rows
            await self._write(shard, most)

    async def _work(self, line: _Line, base: int, crew: Callable[[], None]) -> None:
        while self.buyer.stopped is None and (index := await line.next()) is not None:
            line.put(index, await self._draft(index, self.groups[index], base))
            crew()

    async def _write(self, shard: list[Row], most: int | None) -> list[Row]:
        if most is not None:
            shard = shard[: max(0, most - self.staged.rows)]
        if shard:
            await asyncio.to_thread(self.staged.shard(shard))
        return []

    # ------------------------------------------------------------------------------------------ one draft

    async def _draft(self, index: int, group: Group, base: int) -> _Drafted:
        rows: list[Row] = []
        ids = tuple(a.id for a in group)
        desk = Desk(self.buyer, group, base + index, base)
        name, round = self.request.recipe.name, self.request.round
        try:
            async for row in self.request.recipe.draft(desk, *group):
                verdicts = self._verdicts(row, group) if self.row_checks else row.verdicts
                row = Row(row.messages, row.text, row.calls, row.fields, verdicts, ids, name, round)
                rows.append(row)
                self._tick(row)
        except Stopped:
            return _Drafted(rows, whole=False)
        except CallFailed as error:
            self.buyer.lost(group, str(error))
        except SynthgainError as error:
            self.buyer.fail(error)
            return _Drafted(rows, whole=False)
        except Exception as error:  # a draft's own fault is data: it says where, and the others go on
            frame = traceback.extract_tb(error.__traceback__)[-1]
            self.buyer.lost(group, f"{type(error).__name__}: {error} ({frame.filename}:{frame.lineno})")
        return _Drafted(rows, whole=True)

    def _verdicts(self, row: Row, group: Group) -> tuple[Verdict, ...]:
        """The row checks' verdicts, up to the first that drops it."""
        verdicts = list(row.verdicts)
        if row.fallen is None:
            for check in self.row_checks:
                try:
                    verdict = check(row, group)
                except Exception as error:
                    raise ValueError(f"the check {check.name} failed: {type(error).__name__}: {error}") from error
                if not verdict.keeps or verdict.score is not None:
                    verdicts.append(replace(verdict, check=check.name))
                    if not verdict.keeps:
                        break
        return tuple(verdicts)

    def _tick(self, row: Row) -> None:
        self.tally.rows += 1
        fallen = row.fallen
        if fallen is None:
            self.tally.kept += 1
        else:
            self.tally.dropped_by[fallen.check] = self.tally.dropped_by.get(fallen.check, 0) + 1
        if self.request.pulse is not None:
            self._feel(row, self.request.pulse)
        self.watch(self.tally)

    def _feel(self, row: Row, pulse: Pulse) -> None:
        """Running estimates; where diversity has collapsed, a warning, or the end of the run."""
        pulse.add(row)
        if self.tally.rows % LOOK == 0:
            self.tally.figures, why = pulse.figures, pulse.collapse
            self.tally.note = why
            if why and self.request.stop_on_collapse:
                self.buyer.stop(why, 3)

    # ------------------------------------------------------------------------------------------ curation of the set

    def _judge(self) -> dict[int, Verdict]:
        """The set checks' verdicts, by position among all rows. Each check sees the rows still alive."""
        fallen: dict[int, Verdict] = {}
        for check in self.set_checks:
            columns, positions = self.staged.alive(check.columns, fallen)
            if positions:
                for position, verdict in zip(positions, self._verdicts_of(check, columns), strict=True):
                    if not verdict.keeps:
                        fallen[position] = replace(verdict, check=check.name)
        return fallen

    def _verdicts_of(self, check: SetCheck, columns: Any) -> Sequence[Verdict]:
        """A set check's verdicts; SynthgainError in its name where it fails. The rows' calls are kept."""
        again = "mend the check, or leave it out with --without; `synthgain curate` judges again and buys nothing"
        try:
            verdicts = list(check(columns))
        except Exception as error:
            raise SynthgainError(
                f"the check failed: {type(error).__name__}: {error}", where=check.name, next=again
            ) from error
        if len(verdicts) != len(columns):
            raise SynthgainError(
                f"the check gave {len(verdicts)} verdicts for {len(columns)} rows", where=check.name, next=again
            )
        return verdicts

    def _alive(self, fallen: Mapping[int, Verdict]) -> list[int]:
        """Positions of the rows that no check dropped."""
        return self.staged.alive((), fallen)[1]

    def _count(self, fallen: Mapping[int, Verdict]) -> None:
        """Make the tally say what stands in the staged rows (a wave may have drawn more than was let in)."""
        self.tally.rows, self.tally.dropped_by = self.staged.rows, dict(self.staged.dropped_by)
        for verdict in fallen.values():
            self.tally.dropped_by[verdict.check] = self.tally.dropped_by.get(verdict.check, 0) + 1

    # ------------------------------------------------------------------------------------------ broken drafts

    def _too_many_broken(self, least: int) -> tuple[str, int] | None:
        broken = self.tally.broken
        drawn = (
            self.tally.groups_done if not self.staged.rows else max(self.tally.groups_done, self.staged.rows + broken)
        )
        if drawn >= least and broken and (broken >= drawn or (drawn >= SOME and broken > TOO_MANY * drawn)):
            reason = self.buyer.broken[-1]["reason"]
            return f"{broken} of {max(drawn, broken)} drafts or calls broke; the last said: {reason}", 5
        return None

    def _check_broken(self) -> None:
        why = self._too_many_broken(least=200)
        if why is not None:
            self.buyer.stop(*why)


async def run_round(
    request: Request,
    run: Run,
    memory: CallMemory,
    watch: Callable[[Tally], None],
    on_buyer: Callable[[Buyer], None] | None = None,
) -> Outcome:
    """One round into the run folder. `on_buyer` receives the buyer, whose `stop` ends the run cleanly."""
    round = Round(request, run, memory, watch)
    if on_buyer is not None:
        on_buyer(round.buyer)
    return await round()

"""One round: pick → draft → curate. The only file that knows the order.

Groups are drafted by workers, side by side, in a fixed order that does not depend on timing; each
shard of rows is written and let go. Only calls are remembered: to resume is to run again.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from synthgain.store import CallMemory, Run, Staged
from synthgain.types import (
    Anchor,
    AnyCheck,
    Call,
    CallFailed,
    Check,
    Group,
    Model,
    Prompt,
    Recipe,
    Row,
    SetCheck,
    SynthgainError,
    Verdict,
    drop,
    singly,
)

PASS = 1_000_000  # draw indices of one pass over the groups; the next pass begins PASS higher
SHARD = 4096  # rows written at once
SOME, TOO_MANY = 20, 0.2  # drafts broken: more than this share of at least this many ends the run


@dataclass
class Tally:
    """What a run has done so far: read by progress panels, budgets and run.json."""

    label: str = ""
    groups_total: int | None = None
    groups_done: int = 0
    rows: int = 0
    kept: int = 0
    dropped_by: dict[str, int] = field(default_factory=dict)
    broken: int = 0
    calls_bought: int = 0
    calls_reused: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    cost: float | None = 0.0
    in_flight: int = 0
    width: int = 0
    target: int | None = None
    started: float = field(default_factory=time.monotonic)
    note: str = ""

    def count(self, call: Call, *, bought: bool) -> None:
        if bought:
            self.calls_bought += 1
        else:
            self.calls_reused += 1
        self.tokens_in += call.tokens_in
        self.tokens_out += call.tokens_out
        self.tokens_cached += call.tokens_cached
        if call.cost is None:
            self.cost = None
        elif self.cost is not None:
            self.cost += call.cost


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


@dataclass(frozen=True)
class Outcome:
    """How a round ended. `why` is empty where it is complete; `code` is the exit code."""

    tally: Tally
    why: str = ""
    code: int = 0


class _Stopped(Exception):
    """No more calls are bought; what is here is kept."""


class _Gate:
    """At most `open` calls at once; among those waiting, the earliest group goes first."""

    def __init__(self, open: int) -> None:
        self.free = open
        self.waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self.n = 0

    async def enter(self, rank: int) -> None:
        if self.free > 0 and not self.waiting:
            self.free -= 1
            return
        self.n += 1
        turn = asyncio.get_running_loop().create_future()
        heapq.heappush(self.waiting, (rank, self.n, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            raise

    def leave(self) -> None:
        self.free += 1
        while self.waiting and self.free > 0:
            turn = heapq.heappop(self.waiting)[2]
            if not turn.done():
                self.free -= 1
                turn.set_result(None)


class Buyer:
    """Buys calls: by role, once each, within the budget, through the memory."""

    def __init__(
        self, models: Mapping[str, Model], memory: CallMemory, tally: Tally, watch: Callable[[Tally], None], *,
        seed: int = 0, max_cost: float | None = None, max_tokens: int | None = None, buy: bool = True,
    ) -> None:  # fmt: skip
        self.models, self.memory, self.tally, self.watch = models, memory, tally, watch
        self.seed, self.max_cost, self.max_tokens, self.may_buy = seed, max_cost, max_tokens, buy
        self.identities = {role: model.identity for role, model in self.models.items()}
        self.width = max((model.width for model in self.models.values()), default=1)
        self.gate = _Gate(2 * self.width)
        self.flying: dict[str, asyncio.Future[Call]] = {}
        self.stopped: tuple[str, int] | None = None
        self.paying: set[object] = set()
        self.fatal: SynthgainError | None = None
        self.broken: list[dict[str, Any]] = []
        self.limited = max_cost is not None or max_tokens is not None

    def stop(self, why: str, code: int) -> None:
        """Buy no more. Calls in flight are awaited and kept."""
        if self.stopped is None:
            self.stopped = (why, code)

    def fail(self, error: SynthgainError) -> None:
        """End the run with this error; the first one counts."""
        self.fatal = self.fatal or error
        self.stop(str(error), error.code)

    async def buy(self, prompt: Prompt, rank: int, base: int) -> Call:
        if base or self.seed:
            prompt = replace(prompt, seed=self.seed, draw=base + prompt.draw)
        model = self.models.get(prompt.to)
        if model is None:
            raise SynthgainError(
                f"the recipe asks for a model in the role {prompt.to!r}", next=f"give one: -m {prompt.to}=URI"
            )
        id = prompt.id(self.identities[prompt.to])
        call = self.memory.find(id, prompt)
        if call is not None:
            self.tally.count(call, bought=False)
            self.watch(self.tally)
            return call
        flying = self.flying.get(id)
        if flying is not None:
            return await asyncio.shield(flying)
        if not self.may_buy:
            raise CallFailed("this call was never bought; `synthgain generate` buys it")
        return await self._pay(model, prompt, id, rank, self.identities[prompt.to])

    async def _pay(self, model: Model, prompt: Prompt, id: str, rank: int, identity: str) -> Call:
        done: asyncio.Future[Call] = asyncio.get_running_loop().create_future()
        self.flying[id] = done
        tally = self.tally
        try:
            await self.gate.enter(rank)
            try:
                if self.limited:
                    self._within_budget()
                if self.stopped is not None:
                    raise _Stopped
                task = asyncio.current_task()
                self.paying.add(task)
                tally.in_flight += 1
                try:
                    call = await model(prompt)
                finally:
                    tally.in_flight -= 1
            finally:
                self.gate.leave()
            await self.memory.put(call, identity)
            self.paying.discard(task)
        except BaseException as error:
            self.paying.discard(asyncio.current_task())
            if isinstance(error, SynthgainError):
                self.fail(error)
            done.set_exception(error if not isinstance(error, asyncio.CancelledError) else _Stopped())
            done.exception()  # those who share the call were told; it may be nobody
            raise
        finally:
            del self.flying[id]
        done.set_result(call)
        tally.count(call, bought=True)
        tally.width = model.width
        self.watch(tally)
        return call

    def _within_budget(self) -> None:
        """Stop before the calls in flight (at the mean price so far) would pass the cap."""
        tally = self.tally
        calls = tally.calls_bought + tally.calls_reused
        ahead = (tally.in_flight + 1) / calls if calls else 0.0
        spent = tally.tokens_in + tally.tokens_out
        if self.max_tokens is not None and spent * (1 + ahead) > self.max_tokens:
            self.stop(f"the token budget of {self.max_tokens:,} is used up ({spent:,} tokens)", 3)
        if self.max_cost is not None and tally.cost is not None and tally.cost * (1 + ahead) > self.max_cost:
            self.stop(f"the budget of ${self.max_cost:g} is used up (${tally.cost:.4f})", 3)
        if self.max_cost is not None and tally.cost is None:
            raise SynthgainError(
                "--max-cost needs a price, and none is known for this model", next="give --price IN,OUT (USD per million tokens)"
            )

    def lost(self, group: Group, reason: str, prompt: Prompt | None = None) -> None:
        """Note a failed draft or call."""
        self.tally.broken += 1
        draw = {} if prompt is None else {"draw": prompt.draw, "prompt": list(prompt.messages[-1:])}
        self.broken.append({"anchor_ids": [a.id for a in group], "reason": reason, **draw})


class Desk:
    """What one draft, or an evaluation, is handed (`types.Models`): the models behind memory and budget."""

    def __init__(self, buyer: Buyer, group: Group = (), rank: int = 0, base: int = 0) -> None:
        self.buyer, self.group, self.rank, self.base = buyer, group, rank, base

    async def __call__(self, prompt: Prompt) -> Call:
        return await self.buyer.buy(prompt, self.rank, self.base)

    async def each(self, prompts: Iterable[Prompt]) -> AsyncIterator[Call]:
        """Answers in order, bought side by side, looking ahead no further than is of use."""
        ahead: deque[tuple[Prompt, asyncio.Task[Call]]] = deque()
        source = iter(prompts)
        look = 2 * self.buyer.width
        try:
            while True:
                while len(ahead) < look and (prompt := next(source, None)) is not None:
                    ahead.append((prompt, asyncio.create_task(self(prompt))))
                if not ahead:
                    return
                prompt, task = ahead.popleft()
                try:
                    call = await task
                except CallFailed as error:
                    self.buyer.lost(self.group, str(error), prompt)
                    continue
                yield call
        finally:  # what is being paid for is awaited and kept; what is not yet bought is left
            for _, task in ahead:
                if task not in self.buyer.paying:
                    task.cancel()
            await asyncio.gather(*(task for _, task in ahead), return_exceptions=True)


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
        open_groups = max(1, min(2 * self.buyer.width, end - begin))
        ahead = open_groups + SHARD
        done: dict[int, _Drafted] = {}
        news = asyncio.Event()
        room = asyncio.Event()
        upcoming = begin
        consumed = begin

        async def work() -> None:
            nonlocal upcoming
            while upcoming < end and self.buyer.stopped is None:
                if upcoming - consumed >= ahead:
                    room.clear()
                    await room.wait()
                    continue
                index, upcoming = upcoming, upcoming + 1
                done[index] = await self._draft(index, self.groups[index], base)
                if index == consumed:
                    news.set()

        workers = [asyncio.create_task(work()) for _ in range(open_groups)]
        finished = asyncio.gather(*workers, return_exceptions=True)
        finished.add_done_callback(lambda _: news.set())
        shard: list[Row] = []
        try:
            while True:
                while consumed in done:
                    drafted = done.pop(consumed)
                    consumed += 1
                    shard += drafted.rows
                    self.tally.groups_done += drafted.whole
                    if len(shard) >= SHARD:
                        self._check_broken()
                        shard = await self._write(shard, most)
                room.set()
                if finished.done() and consumed not in done:
                    break
                news.clear()
                if consumed not in done:
                    await news.wait()
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            for index in sorted(done):  # what stopped drafts gave after a gap is kept too
                shard += done[index].rows
            await self._write(shard, most)

    async def _write(self, shard: list[Row], most: int | None) -> list[Row]:
        if most is not None:
            shard = shard[: max(0, most - self.staged.rows)]
        await asyncio.to_thread(self.staged.write, shard)
        return []

    # ------------------------------------------------------------------------------------------ one draft

    async def _draft(self, index: int, group: Group, base: int) -> _Drafted:
        rows: list[Row] = []
        ids = tuple(a.id for a in group)
        desk = Desk(self.buyer, group, base + index, base)
        name, round = self.request.recipe.name, self.request.round
        try:
            async for row in self.request.recipe.draft(desk, *group):
                row = replace(row, anchors=ids, recipe=name, round=round, verdicts=self._verdicts(row, group))
                rows.append(row)
                self._tick(row)
        except _Stopped:
            return _Drafted(rows, whole=False)
        except CallFailed as error:
            self.buyer.lost(group, str(error))
        except SynthgainError as error:
            self.buyer.fail(error)
            return _Drafted(rows, whole=False)
        except Exception as error:  # a draft's own fault is data: it says where, and the others go on
            self.buyer.lost(group, f"{type(error).__name__}: {error}")
        return _Drafted(rows, whole=True)

    def _verdicts(self, row: Row, group: Group) -> tuple[Verdict, ...]:
        """The row checks' verdicts, up to the first that drops it."""
        verdicts = list(row.verdicts)
        if row.fallen is None:
            for check in self.row_checks:
                verdict = check(row, group)
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
        self.watch(self.tally)

    # ------------------------------------------------------------------------------------------ curation of the set

    def _judge(self) -> dict[int, Verdict]:
        """The set checks' verdicts, by position among all rows. Each check sees the rows still alive."""
        fallen: dict[int, Verdict] = {}
        for check in self.set_checks:
            columns, positions = self.staged.alive(check.columns, fallen)
            if positions:
                for position, verdict in zip(positions, check(columns), strict=True):
                    if not verdict.keeps:
                        fallen[position] = replace(verdict, check=check.name)
        return fallen

    def _alive(self, fallen: Mapping[int, Verdict]) -> list[int]:
        """Positions of the rows that no check dropped."""
        return self.staged.alive((), fallen)[1]

    def _count(self, fallen: Mapping[int, Verdict]) -> None:
        """Make the tally say what stands in the staged rows (a wave may have drawn more than was let in)."""
        self.tally.rows, self.tally.dropped_by = self.staged.rows, {}
        for shard in self.staged:
            for check in shard.column("check").to_pylist():
                if check:
                    self.tally.dropped_by[check] = self.tally.dropped_by.get(check, 0) + 1
        for verdict in fallen.values():
            self.tally.dropped_by[verdict.check] = self.tally.dropped_by.get(verdict.check, 0) + 1

    # ------------------------------------------------------------------------------------------ broken drafts

    def _too_many_broken(self, least: int) -> tuple[str, int] | None:
        broken = self.tally.broken
        drawn = self.tally.groups_done if not self.staged.rows else max(self.tally.groups_done, self.staged.rows + broken)
        if drawn >= least and broken and (broken >= drawn or (drawn >= SOME and broken > TOO_MANY * drawn)):
            reason = self.buyer.broken[-1]["reason"]
            return f"{broken} of {drawn} drafts broke; the last said: {reason}", 5
        return None

    def _check_broken(self) -> None:
        why = self._too_many_broken(least=200)
        if why is not None:
            self.buyer.stop(*why)


async def run_round(
    request: Request, run: Run, memory: CallMemory, watch: Callable[[Tally], None], on_buyer: Callable[[Buyer], None] | None = None
) -> Outcome:
    """One round into the run folder. `on_buyer` receives the buyer, whose `stop` ends the run cleanly."""
    round = Round(request, run, memory, watch)
    if on_buyer is not None:
        on_buyer(round.buyer)
    return await round()

"""Buying answers: by role, once each, within the budget, through the memory of calls."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from synthgain.store import CallMemory
from synthgain.types import KEEPER, Call, CallFailed, Group, Model, Prompt, SynthgainError


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
    figures: Mapping[str, float] = field(default_factory=dict)  # running estimates

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


class Stopped(Exception):
    """No more calls are bought; what is here is kept."""


class _Gate:
    """At most `open` calls at once; among those waiting, the earliest group goes first."""

    def __init__(self, open: int) -> None:
        self.free = open
        self.waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self.n = 0

    async def enter(self, rank: int) -> None:
        """Wait for a place. On the hot path do it by hand: `if gate.free > 0 and not gate.waiting: gate.free -= 1`."""
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
        self.widen(1)

    def widen(self, more: int) -> None:
        self.free += more
        while self.waiting and self.free > 0:
            turn = heapq.heappop(self.waiting)[2]
            if not turn.done():
                self.free -= 1
                turn.set_result(None)


class _Keeper:
    """Writes one answer down; a model may ask for it before it frees the answer's place."""

    __slots__ = ("identity", "kept", "memory")

    def __init__(self, memory: CallMemory, identity: str) -> None:
        self.memory, self.identity, self.kept = memory, identity, False

    async def __call__(self, call: Call) -> None:
        await self.memory.put(call, self.identity)
        self.kept = True


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
        self.limited = max_cost is not None or max_tokens is not None
        self.narrow = self.limited
        self.gate = _Gate(1 if self.limited else 2 * self.width)  # under a budget, the first answer tells the price
        self.flying: dict[str, asyncio.Future[Call] | None] = {}  # by id; a future where somebody shares the call
        self.stopped: tuple[str, int] | None = None
        self.paying: set[object] = set()
        self.fatal: SynthgainError | None = None
        self.broken: list[dict[str, Any]] = []

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
            prompt = Prompt(
                prompt.messages, prompt.to, prompt.sampling, prompt.schema, self.seed, base + prompt.draw
            )  # fmt: skip
        model = self.models.get(prompt.to)
        if model is None:
            raise SynthgainError(
                f"the recipe asks for a model in the role {prompt.to!r}", next=f"give one: -m {prompt.to}=URI"
            )
        identity = self.identities[prompt.to]
        id = prompt.id(identity)
        call = self.memory.find(id, prompt)
        if call is not None:
            self.tally.count(call, bought=False)
            self.watch(self.tally)
            return call
        if id in self.flying:
            shared = self.flying[id]
            if shared is None:
                shared = self.flying[id] = asyncio.get_running_loop().create_future()
            return await asyncio.shield(shared)
        if not self.may_buy:
            raise CallFailed("this call was never bought; `synthgain generate` buys it")
        self.flying[id] = None
        try:
            call = await self._pay(model, prompt, rank, identity)
        except BaseException as error:
            if isinstance(error, SynthgainError):
                self.fail(error)
            shared = self.flying.pop(id)
            if shared is not None:
                shared.set_exception(error if not isinstance(error, asyncio.CancelledError) else Stopped())
                shared.exception()  # those who share the call were told; it may be nobody by now
            raise
        shared = self.flying.pop(id)
        if shared is not None:
            shared.set_result(call)
        self.watch(self.tally)
        return call

    async def _pay(self, model: Model, prompt: Prompt, rank: int, identity: str) -> Call:
        """One answer, on disk. The place is free again when the answer is here; under a budget, when it is counted."""
        tally, gate, task = self.tally, self.gate, asyncio.current_task()
        if gate.free > 0 and not gate.waiting:
            gate.free -= 1
        else:
            await gate.enter(rank)
        inside = True
        try:
            if self.limited:
                self._within_budget()
            if self.stopped is not None:
                raise Stopped
            self.paying.add(task)
            tally.in_flight += 1
            keeper = _Keeper(self.memory, identity)
            token = KEEPER.set(keeper)
            try:
                call = await model(prompt)
            finally:
                KEEPER.reset(token)
            if not self.limited:
                inside = False
                gate.widen(1)
            if not keeper.kept:
                await keeper(call)
            tally.count(call, bought=True)
            width = model.width
            if width > self.width or self.narrow or width != tally.width:
                self._widen(width)
            return call
        finally:
            if task in self.paying:
                self.paying.discard(task)
                tally.in_flight -= 1
            if inside:
                gate.leave()

    def _widen(self, width: int) -> None:
        """Let more calls in: after the first under a budget, and when an adaptive model has found room."""
        self.tally.width = width
        more = 2 * self.width - 1 if self.narrow else 0
        self.narrow = False
        if width > self.width:
            more += 2 * (width - self.width)
            self.width = width
        if more:
            self.gate.widen(more)

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
                "--max-cost needs a price, and none is known for this model",
                next="give --price IN,OUT (USD per million tokens)",
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

"""Buying answers: by role, once each, within the budget, through the memory of calls.

The buyer owns purchases. Each is a task; a draft only waits for it, through a shield, and may leave. What is being paid
for is awaited, written down and served to whoever else waits; what nobody waits for and nobody pays yet is cancelled.
"""

from __future__ import annotations

import asyncio
import heapq
from array import array
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import replace
from typing import Any

from synthgain.chain.budget import Budget
from synthgain.chain.tally import Tally
from synthgain.characters import whole_call
from synthgain.store import CallMemory, kind_of
from synthgain.thinking import apart, of_the_server
from synthgain.types import Call, CallFailed, Gate, Group, Model, NoField, Prompt, SynthgainError

SOME, TOO_MANY = 20, 0.2  # of drafts or calls: more than this share of at least this many broken ends the run
REASONS = 50  # different reasons that are counted each by itself


class Stopped(BaseException):
    """No more calls are bought; what is here is kept. A draft that goes on after any `Exception` ends by this one too."""


class NotBought(CallFailed):
    """A replay asked for a call that was never bought."""

    def __init__(self) -> None:
        super().__init__("this call was never bought; `synthgain generate` buys it")


BUY_THEM = "leave --calls-only out to buy them, or give a recording that has them (--calls FILE)"
NOT_RECORDED = "this call is not among the recorded ones, and nothing is bought (--calls-only)"


class Places:
    """The gate of a model that does not pace itself: as many calls as its `width`, the earliest group first."""

    def __init__(self, model: Model) -> None:
        self.model, self.inside, self.n = model, 0, 0
        self.waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    async def enter(self, rank: int) -> None:
        if self.inside < self.model.width and not self.waiting:
            self.inside += 1
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
        self.inside -= 1
        while self.waiting and self.inside < self.model.width:
            turn = heapq.heappop(self.waiting)[2]
            if not turn.done():
                self.inside += 1
                turn.set_result(None)


class Once:
    """Which calls were counted, by 8 bytes of their ids (24 MB for a million, of which two are taken for one in 1 of 10⁷ runs)."""

    def __init__(self) -> None:
        # by the first two bytes, so that each is short enough to be looked through
        self.parts: dict[int, array[int]] = {}

    def first(self, id: str) -> bool:
        """Whether this id was not seen before; now it is."""
        n = int(id[:16], 16)
        part = self.parts.setdefault(n >> 48, array("Q"))
        if n in part:
            return False
        part.append(n)
        return True

    def __len__(self) -> int:
        return sum(map(len, self.parts.values()))

    def __iter__(self) -> Iterator[int]:
        """The beginnings of the ids, in order."""
        for beginning in sorted(self.parts):
            yield from sorted(self.parts[beginning])


class Purchase:
    """One call being bought. `waiting` counts who wants it; `paying` is true from being sent until it is on disk."""

    __slots__ = ("paying", "rank", "task", "waiting")

    def __init__(self, rank: int, work: Callable[[Purchase], Coroutine[Any, Any, Call]]) -> None:
        self.rank, self.waiting, self.paying = rank, 0, False
        self.task = asyncio.create_task(work(self))

    def leave(self) -> None:
        """One less who wants it."""
        self.waiting -= 1
        if not self.waiting and not self.paying and not self.task.done():
            self.task.cancel()


class Buyer:
    """Buys calls: by role, once each, within the budget, through the memory."""

    def __init__(
        self,
        models: Mapping[str, Model],
        memory: CallMemory,
        tally: Tally,
        watch: Callable[[Tally], None],
        *,
        seed: int = 0,
        max_cost: float | None = None,
        max_tokens: int | None = None,
        buy: bool = True,
        recorded_only: bool = False,
    ) -> None:
        self.models, self.memory, self.tally, self.watch = models, memory, tally, watch
        self.seed, self.may_buy, self.recorded_only = seed, buy, recorded_only
        self.missing = Once()  # calls that nobody recorded, where nothing is bought
        self.identities = {role: model.identity for role, model in models.items()}
        gates: dict[int, Gate] = {}
        self.gates: dict[str, Gate] = {
            role: gates.setdefault(id(model), getattr(model, "gate", None) or Places(model))
            for role, model in models.items()
        }
        self.each_gate, self.each_model = list(gates.values()), list({id(m): m for m in models.values()}.values())
        limited = buy and not (max_cost is None and max_tokens is None)
        self.budget = Budget(max_cost, max_tokens, models, tally) if limited else None
        self.flying: dict[str, Purchase] = {}  # by id
        self.paying: set[Purchase] = set()
        self.stopped: tuple[str, int] | None = None
        self.fatal: SynthgainError | None = None
        self.known_broken: Mapping[
            str, str
        ] = {}  # calls that failed before and are not asked for again, with the reason
        self.drafts_ended = self.drafts_broken = self.calls_broken = self.answers = 0
        self.counted = Once()
        self.on_broken: Callable[[dict[str, Any]], None] = lambda what: None
        self.on_no_field: Callable[[NoField, str], None] = lambda error, said: None
        self.heard: Callable[[Call, bool], None] = lambda call, bought: None  # each answer, bought now or remembered
        self.ask_again = False  # also what is remembered, and is no answer for a fault of the server
        self.afresh: dict[str, Call] = {}  # by id: of these the answer that counts now
        self.kinds: dict[str, str] = {}  # of reasons: how the first one of a kind was worded
        self.paced: list[Any] = [
            gate for gate in self.each_gate if hasattr(gate, "told")
        ]  # of models that pace themselves
        for gate in self.paced:
            gate.told, gate.over = self._in_trouble, False
        for role, model in models.items():
            if hasattr(model, "served_before") and memory.knows(self.identities[role]):
                model.served_before()

    def _in_trouble(self, said: str) -> None:
        self.tally.trouble = said
        self.watch(self.tally)

    @property
    def width(self) -> int:
        """How many calls in flight are of use now, over all models."""
        return max((model.width for model in self.models.values()), default=1)

    # ------------------------------------------------------------------------------------------ ends

    def stop(self, why: str, code: int) -> None:
        """Buy no more. Calls in flight are awaited and kept; what waits to be sent, or to be sent again, is given up."""
        if self.stopped is None:
            self.stopped = (why, code)
            between = set[Any]()
            for gate in self.paced:
                gate.over = True
                between |= gate.between
            for purchase in list(self.flying.values()):
                if (not purchase.paying or purchase.task in between) and not _is_running(purchase.task):
                    purchase.task.cancel()

    def ended(self) -> tuple[str, int] | None:
        """Why no more is bought, with what was spent in the end; None where nothing stopped it."""
        if (budget := self._empty()) is not None and self.stopped is not None:
            return budget.said(), self.stopped[1]
        return self.stopped

    def larger(self) -> Mapping[str, float]:
        """The limit with which the run may go on, where it was the budget that stopped it."""
        return {} if (budget := self._empty()) is None else budget.larger()

    def _empty(self) -> Budget | None:
        """The budget, where it stopped the run."""
        by_budget = self.budget is not None and self.stopped is not None and self.stopped[0] == self.budget.why
        return self.budget if by_budget else None

    def fail(self, error: SynthgainError) -> None:
        """End the run with this error; the first one counts."""
        self.fatal = self.fatal or error
        self.stop(f"{error.where}: {error.what}" if error.where else error.what, error.code)

    def cancel(self) -> None:
        """Wait for nothing: what is in flight is lost to us, and may have been charged for."""
        self.stop("interrupted", 130)
        for purchase in self.flying.values():
            purchase.task.cancel()

    async def settled(self, before: int | None = None) -> None:
        """Wait for what is being paid for by the groups with a rank below `before`; None: by all."""
        while under_way := [p.task for p in self.paying if before is None or p.rank < before]:
            await asyncio.wait(under_way)

    # ------------------------------------------------------------------------------------------ buying

    def order(self, prompt: Prompt, rank: int, base: int) -> Call | Purchase:
        """The call where it is remembered, else the purchase under way or a new one. SynthgainError: there is no such role."""
        if base or self.seed:
            prompt = Prompt(
                prompt.messages, prompt.to, prompt.sampling, prompt.schema, prompt.tools, self.seed, base + prompt.draw
            )
        model = self.models.get(prompt.to)
        if model is None:
            raise SynthgainError(
                f"the recipe asks for a model in the role {prompt.to!r}", next=f"give one: -m {prompt.to}=URI"
            )
        identity = self.identities[prompt.to]
        id = prompt.id(identity)
        call = self._remembered(id, prompt)
        if call is not None:
            self.heard(call, False)
            self._count(id, call, bought=False)
            self.watch(self.tally)
            return call
        under_way = self.flying.get(id)
        if under_way is not None and not under_way.task.cancelling():
            return under_way
        if id in self.known_broken:
            raise CallFailed(self.known_broken[id], call=id, final=True)
        if not self.may_buy:
            self.tally.not_bought += 1
            raise NotBought
        if self.stopped is not None:
            raise Stopped
        if self.recorded_only:
            self.missing.first(id)
            raise CallFailed(NOT_RECORDED, call=id)
        purchase = self.flying[id] = Purchase(rank, lambda purchase: self._pay(purchase, model, prompt, id))
        purchase.task.add_done_callback(lambda task: self._ended(id, task))
        return purchase

    def _remembered(self, id: str, prompt: Prompt) -> Call | None:
        """The answer of before; None where there is none, or where it is bought once more."""
        call = self.memory.find(id, prompt)
        if call is None or not self.ask_again or self.stopped is not None:
            return call
        if id not in self.afresh and of_the_server(call):
            self.afresh[id] = call
            return None
        return None if id in self.flying else self.afresh.get(id, call)

    def _count(self, id: str, call: Call, *, bought: bool) -> None:
        """Count an answer; its tokens and cost the first time that this run has it, however often and whenever it is asked for."""
        self.answers += 1
        if self.counted.first(id):
            recording = "" if bought else self.memory.recording(id)
            price = None if recording else getattr(self.models.get(call.prompt.to), "price", None)
            if not bought and call.cost is None and price is not None and None not in call.counted:
                call = replace(call, cost=float(price.cost(call.tokens_in, call.tokens_out, call.tokens_cached)))
                self.tally.priced_later(call)
            self.tally.count(call, bought=bought, recording=recording)

    def _ended(self, id: str, task: asyncio.Task[Call]) -> None:
        """It flies no more. Those who waited are told of a failure; it may be nobody by now."""
        if (purchase := self.flying.get(id)) is not None and purchase.task is task:
            del self.flying[id]
        if not task.cancelled():
            task.exception()

    async def receive(self, purchase: Purchase) -> Call:
        """Wait for a purchase; who waits may be cancelled, the purchase goes on for the others."""
        if purchase.task.done() and not purchase.task.cancelled():
            return purchase.task.result()
        try:
            return await asyncio.shield(purchase.task)
        except asyncio.CancelledError:
            me = asyncio.current_task()
            if purchase.task.cancelled() and not (me is not None and me.cancelling()):
                raise Stopped from None
            raise

    async def _pay(self, purchase: Purchase, model: Model, prompt: Prompt, id: str) -> Call:
        """One answer, on disk. Its place at the model is free again when it is."""
        gate = self.gates[prompt.to]
        try:
            await gate.enter(purchase.rank)
            try:
                return await self._sent(purchase, model, prompt, id)
            finally:
                gate.leave()
        except CallFailed as error:
            error.call = id
            raise
        except SynthgainError as error:
            self.fail(error)
            raise

    async def _sent(self, purchase: Purchase, model: Model, prompt: Prompt, id: str) -> Call:
        tally, budget, call = self.tally, self.budget, None
        if budget is not None and self.stopped is None:
            why = await budget.set_apart(id, prompt)
            if why:
                self.stop(why, 3)
        try:
            if self.stopped is not None:
                raise Stopped
            purchase.paying = True
            self.paying.add(purchase)
            self._seen()
            try:
                # anybody's model may give half a character, and its thinking inline
                call = apart(whole_call(await model(prompt)))
                await self.memory.put(call, self.identities[prompt.to], again=id in self.afresh)
                if id in self.afresh:
                    self.afresh[id] = call
                self._count(id, call, bought=True)
                self.heard(call, True)
            finally:
                self.paying.discard(purchase)
                purchase.paying = False
                for n, learnt in enumerate(getattr(model, "learnt", ())):
                    tally.warn(f"{model.uri} {n}", f"{model.uri}: {learnt}")
                self._seen()
                self.watch(tally)
            return call
        finally:
            if budget is not None:
                budget.settle(id, prompt, call)

    def _seen(self) -> None:
        """How many calls are in flight, of how many that may be; one that rests between two tries is not."""
        resting = sum(getattr(gate, "aside", 0) for gate in self.each_gate)
        self.tally.in_flight = max(0, len(self.paying) - resting)
        self.tally.width = sum(model.width for model in self.each_model)

    # ------------------------------------------------------------------------------------------ what broke

    def lost(
        self,
        group: Group,
        reason: str,
        prompt: Prompt | None = None,
        *,
        call: str = "",
        draft: bool = False,
        final: bool = False,
    ) -> None:
        """Note a failed call, or a failed draft."""
        asked = {} if prompt is None else {"draw": prompt.draw, "prompt": list(prompt.messages[-1:])}
        sources = [a.source for a in group if a.source]
        named: dict[str, Any] = ({"call": call} if call else {}) | ({"final": True} if final else {})
        self.noted({"anchor_ids": [a.id for a in group], "sources": sources, "reason": reason, **named, **asked})
        if draft:
            self.draft_ended(broken=True)
        else:
            self.calls_broken += 1
            self._look_at_broken()

    def noted(self, what: dict[str, Any]) -> None:
        """Count what broke, and have it written down."""
        tally, reason = self.tally, what["reason"]
        tally.broken += 1
        kind = self.kinds.setdefault(
            kind_of(reason), reason
        )  # the same but for numbers and names: one reason to count by
        tally.broken_by[kind if kind in tally.broken_by or len(tally.broken_by) < REASONS else "other reasons"] += 1
        self.on_broken(what)

    def draft_ended(self, *, broken: bool) -> None:
        """Count a draft that came to its end."""
        self.drafts_ended += 1
        self.drafts_broken += broken
        self._look_at_broken()

    def _look_at_broken(self) -> None:
        if self.may_buy and not self.recorded_only and self.stopped is None and (why := self.too_many_broken()):
            self.stop(why, 5)

    def too_many_broken(self, *, at_the_end: bool = False) -> str:
        """In words, where more than TOO_MANY of at least SOME drafts or calls came to nothing (at the end: also where all did)."""
        tally = self.tally
        if missing := len(self.missing):
            calls_are = f"{missing:,} call{'s are' if missing > 1 else ' is'}"
            return f"{calls_are} not among the recorded ones, and nothing is bought (--calls-only)"
        calls = self.answers + self.calls_broken
        for broken, all, what in (
            (self.drafts_broken, self.drafts_ended, "drafts"),
            (self.calls_broken, calls, "calls"),
        ):
            if broken and ((all >= SOME and broken > TOO_MANY * all) or (at_the_end and broken == all)):
                often, n = tally.broken_by.most_common(1)[0]
                return f"{broken:,} of {all:,} {what} broke; {n:,} of them: {often}"
        return ""


def _is_running(task: asyncio.Task[Any]) -> bool:
    """Whether this very task is what runs now."""
    try:
        return asyncio.current_task() is task
    except RuntimeError:  # no loop runs here
        return False

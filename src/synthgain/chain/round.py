"""One round: pick → draft → curate. The only file that knows the order, and it knows nothing else.

Only calls are remembered: to resume is to run again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from synthgain.chain.barren import Barren, Hearing
from synthgain.chain.buying import BUY_THEM, Buyer
from synthgain.chain.groups import Picked, Recorded, Waves
from synthgain.chain.judging import Judging, selected
from synthgain.chain.lacking import Lacking, no_anchor_has
from synthgain.chain.request import Request
from synthgain.chain.tally import Tally
from synthgain.chain.unread import Unread
from synthgain.chain.wave import Opened, Wave
from synthgain.store import Accepted, CallMemory, Corpus, Run
from synthgain.types import Group, NoField, Row, SynthgainError, Verdict

WAVE = 1024  # groups
SHARD = 1024  # rows written at once, at least (a shard ends where a draft ends)
SOON, SECONDS = 64, 0.5  # rows judged at once, at least, or those of so many seconds


class Pulse(Protocol):
    """Running estimates of the rows, in their order."""

    def add(self, row: Row) -> None: ...
    @property
    def figures(self) -> Mapping[str, float]: ...
    @property
    def collapse(self) -> str:
        """In words, which threshold is crossed; "" while none is."""
        ...


@dataclass(frozen=True)
class Outcome:
    """How a round ended. `why` is empty where it is complete; `code` is the exit code."""

    tally: Tally
    why: str = ""
    code: int = 0
    after: str = ""  # what to do about it
    larger: Mapping[str, float] = field(
        default_factory=dict
    )  # the limit that stopped it, by its name, large enough to go on
    ask_again: bool = False  # whether going on means asking for answers again that hold nothing


class Round:
    """Drives one request into a run folder. `most` is the limit of candidates. `buyer.stop` ends it cleanly.

    `replay` buys nothing and drafts the groups of the run as they were picked; with `whole` every call that it asks for must have been
    bought. What a model refused for good before, or answered with nothing, is not asked for again, unless `ask_again`.
    """

    def __init__(
        self,
        request: Request,
        parts: Opened,
        corpus: Corpus,
        run: Run,
        memory: CallMemory,
        watch: Callable[[Tally], None],
        *,
        most: int | None = None,
        pulse: Pulse | None = None,
        replay: bool = False,
        whole: bool = False,
        ask_again: bool = False,
    ) -> None:
        self.request, self.parts, self.run, self.corpus = request, parts, run, corpus
        self.watch, self.pulse, self.replay = watch, pulse, replay
        self.tally = Tally(label=request.recipe.name, target=request.accept)
        self.buyer = Buyer(
            parts.models,
            memory,
            self.tally,
            watch,
            seed=request.seed,
            max_cost=request.max_cost,
            max_tokens=request.max_tokens,
            buy=not replay,
            recorded_only=request.calls_only and not replay,
        )
        self.staged = run.stage()
        self.buyer.on_broken = self._broke
        self.buyer.on_no_field = self._no_field
        self.buyer.ask_again, self.buyer.heard = ask_again, Hearing(self.buyer)
        self.lacking, self.unread = Lacking(parts.checks), Unread(parts.recipe, parts.checks)
        self.judging = Judging(parts.checks, request.accept, parts.embedder, corpus)
        self.pooled = bool(getattr(parts.recipe.pick, "pooled", False))
        self.wave = int(getattr(parts.recipe.pick, "wave", WAVE)) if self.pooled else WAVE
        self.pool = Accepted(self.staged)
        recorded = replay and bool(run.files("groups"))
        self.waves: Waves = (
            Recorded(corpus, run.files("groups"))
            if recorded
            else Picked(corpus, self.pool, parts.recipe.pick, request.seed, request.limit, self.staged.groups)
        )
        self.tally.groups_total = self.waves.total
        self.most, self.whole = most, whole
        self.larger: Mapping[str, float] = {}
        self.judged: list[Row] = []
        self.had: set[str] = set()  # fields that some anchors have, and others have not
        failed = [b for b in run.broken() if "call" in b and (replay or b.get("final"))]
        self.before = {_named(b): b for b in run.broken() if "call" in b}  # what broke before and was not looked at yet
        if not ask_again:
            self.buyer.known_broken = {b["call"]: b["reason"] for b in failed}

    async def __call__(self) -> Outcome:
        try:
            await self._waves()
        except SynthgainError as error:
            self.buyer.fail(error)
        except asyncio.CancelledError:
            self.buyer.cancel()
            raise
        await self.buyer.settled()
        if self.whole and self.tally.not_bought:
            self.staged.discard()
            raise SynthgainError(
                f"{self.tally.not_bought:,} calls that this asks for were never bought; nothing was changed",
                where=str(self.run.path),
                code=5,
                next="`synthgain generate` with the same settings buys them",
            )
        if (blind := self.lacking.refusal(at_the_end=True)) is not None and (self.replay or self.buyer.stopped is None):
            self.buyer.fail(blind)
        if self.buyer.stopped is not None and not self.replay:
            self._keep_broken()
        dropped: Mapping[int, Verdict] = {}
        try:
            dropped = selected(self.parts.checks, partial(self.staged.alive, embedder=self.parts.embedder))
        except SynthgainError as error:
            self.buyer.fail(error)
        if self.replay and self.buyer.fatal is not None and self.buyer.fatal.code == 2:
            self.staged.discard()  # nothing of the run has changed
            raise self.buyer.fatal
        for verdict in dropped.values():
            self.tally.dropped_by[verdict.check] += 1
        if self.pulse is not None:
            self._feel(self.pulse)
        self.tally.kept = await asyncio.to_thread(
            self.staged.place, dropped, self.run.path, not isinstance(self.waves, Recorded)
        )
        self.watch(self.tally)
        broken = "" if self.replay else self.buyer.too_many_broken(at_the_end=True)
        why, code = self.buyer.ended() or ((broken, 5) if broken else ("", 0))
        after = self.buyer.fatal.next if self.buyer.fatal is not None else BUY_THEM if len(self.buyer.missing) else ""
        again = isinstance(self.buyer.fatal, Barren)
        return Outcome(self.tally, why, code, after, self.larger or self.buyer.larger(), again)

    # ------------------------------------------------------------------------------------------ wave after wave

    async def _waves(self) -> None:
        """Draft, judge, write; the next wave begins while this one drains, unless it has to look at what this one gave."""
        waits = self.pooled or self.request.accept is not None
        size = WAVE if self.request.accept is None else min(WAVE, max(8, self.request.accept // 4))
        size = min(size, self.wave)
        at_turn = self.staged.rows
        ahead: list[Wave] = []

        def begin() -> None:
            groups = self.waves.next(size) if self.buyer.stopped is None else []
            if groups:
                spent = (lambda: None) if waits else begin
                ahead.append(Wave(self.parts, groups, self.buyer, self.request.round, spent, self._seen))

        begin()
        try:
            while ahead or self._again(at_turn):
                if not ahead:
                    at_turn = self.staged.rows
                    begin()
                    if not ahead:
                        return
                await self._drain(ahead[0])
                self.waves.drafted(ahead.pop(0).begun)
                if self._enough():
                    return
                if not ahead and waits:
                    begin()
        finally:
            for wave in ahead:
                await wave.close()

    async def _drain(self, wave: Wave) -> None:
        """Judge a wave's rows soon after they come, in their order, and write them in shards."""
        rows: list[Row] = []
        looked = time.monotonic()
        try:
            async for draft in wave:
                rows += draft.rows
                self.tally.groups_done += draft.whole
                if len(rows) >= SOON or time.monotonic() - looked > SECONDS:
                    await self._judge(rows)
                    rows, looked = [], time.monotonic()
                    if len(self.judged) >= SHARD:
                        await self._write()
        finally:
            await self._judge(rows)
            await self._write()

    async def _judge(self, rows: list[Row]) -> None:
        if self.most is not None:
            room = max(0, self.most - self.staged.rows - len(self.judged))
            self.tally.beyond += len(rows[room:])
            rows = rows[:room]
        if rows:
            judged = (
                await asyncio.to_thread(self.judging.shard, rows) if self.judging.folds else self.judging.shard(rows)
            )
            self.tally.repeated = self.judging.repeated
            for row in judged:
                self._count(row)
            self.judged += judged
            self.watch(self.tally)

    async def _write(self) -> None:
        rows, self.judged = self.judged, []
        if rows:
            await asyncio.to_thread(self.staged.write, rows)

    def _count(self, row: Row) -> None:
        self.tally.rows += 1
        if (fallen := row.fallen) is None:
            self.tally.kept += 1
        else:
            self.tally.dropped_by[fallen.check] += 1
        if self.pulse is not None:
            self.pulse.add(row)
            if self.tally.rows % 32 == 0:
                self._feel(self.pulse)
                if self.pulse.collapse and self.request.stop_on_collapse:
                    self.buyer.stop(self.pulse.collapse, 3)

    def _feel(self, pulse: Pulse) -> None:
        self.tally.figures = pulse.figures
        self.tally.warn("collapse", pulse.collapse)

    def _seen(self, group: Group, row: Row) -> None:
        """End a run of which a check finds in none of the first rows what it judges by, or can read no answer of its judge."""
        self.lacking.look(row, group)
        if self.replay or self.buyer.stopped is not None:
            return
        self.unread.look(row)
        if (why := self.lacking.refusal(at_the_end=False) or self.unread.refusal()) is not None:
            self.buyer.fail(why)

    # ------------------------------------------------------------------------------------------ what broke

    def _broke(self, what: Mapping[str, Any]) -> None:
        """Write down what broke. What was refused for good before and is refused in the same words is refused for good."""
        old = self.before.pop(_named(what), None) if "call" in what else None
        final = old is not None and old.get("final") and old["reason"] == what["reason"]
        self.staged.broke({**what, "final": True} if final else what)

    def _no_field(self, error: NoField, said: str) -> None:
        """End a run whose draft reads a field that no anchor has: each draft would break."""
        if error.name in self.had:
            return
        if (missing := no_anchor_has(error.name, self.corpus, said)) is not None:
            self.buyer.fail(missing)
        else:
            self.had.add(error.name)

    def _keep_broken(self) -> None:
        """A run that stops forgets nothing: calls that broke before, and that it did not come to buy, stay in the record."""
        for old in list(self.before.values()):
            if not self.buyer.memory.get_many((old["call"],)):
                self.buyer.noted(old)

    # ------------------------------------------------------------------------------------------ enough?

    def _enough(self) -> bool:
        """After a wave: whether to draft no more."""
        if self.replay:
            return False
        wanted, got = self.request.accept, self.judging.accepted
        if wanted is None:
            return False  # after a stop too: waves under way end at once, and what they gave is kept
        if got >= wanted:
            return True
        if self.most is not None and self.staged.rows >= self.most:
            self.buyer.stop(f"{self.most:,} candidates gave {got:,} of the {wanted:,} accepted rows asked for", 3)
            self.larger = {"max_candidates": 2 * self.most}
        return self.buyer.stopped is not None

    def _again(self, at_turn: int) -> bool:
        """Whether another pass over the groups, with fresh draw indices, may give what is missing."""
        if self.request.accept is None or self.replay or self.buyer.stopped is not None or not self.waves.given:
            return False
        if self.staged.rows == at_turn:
            got, wanted = self.judging.accepted, self.request.accept
            self.buyer.stop(f"the drafts give no more candidates; {got:,} of {wanted:,} were accepted", 3)
            return False
        self.waves.again()
        return True


def _named(broken: Mapping[str, Any]) -> tuple[str, ...]:
    """The call that broke, for which anchors."""
    return broken["call"], *broken["anchor_ids"]

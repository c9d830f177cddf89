"""How many calls may be in flight at one server, and when: AIMD, a gate by rank, a circuit breaker.

`Window` is arithmetic only: how many. `Gate` is asyncio: who goes now, who waits, and when waiting is
hopeless. Additive increase, multiplicative decrease: Chiu and Jain (1989). The rule for latency is
Little's law: calls in flight N = rate × latency, so where latency grows as fast as N the rate stands still.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import random
from collections.abc import Callable
from time import monotonic
from typing import Any

from synthgain.types import SynthgainError

START, MOST = 8, 1024  # an adaptive window begins and ends here
BACK, STEPS = 0.5, 20  # a cut halves the window; one step back up is a twentieth of where it fell from
GROWN, KNEE, SURGE = 1.25, 0.8, 2.0  # compare latency after growth by GROWN; KNEE: ln latency / ln N; SURGE at equal N
USUAL = 30.0  # seconds without any connection, after which a server counts as away
LEAST = 8  # answers that a latency is averaged over, at least
ROW = 10  # failures in a row that trip the breaker
ALL = 24  # failures, and never an answer: there will be none
PROBE = 5.0  # seconds between two probes, at most
AGAIN = -1  # the rank of a call that is tried again: before all new ones, whose ranks are 0 or more


class Window:
    """The number of calls in flight that is of use: `size`.

    Adaptive (`concurrency` None): doubles each round (`size` answers to calls begun under it) until the
    first sign of trouble, then grows by steps. Cut to half on 429 and 5xx (once for all calls begun before the
    cut), and back to the last size that paid where latency rises in proportion to the calls in flight.
    Fixed: starts at N, is cut on 429, 5xx and refused connections only, climbs back to N by steps.
    """

    def __init__(self, concurrency: int | None = None) -> None:
        if concurrency is not None and concurrency < 1:
            raise SynthgainError(
                f"a concurrency of {concurrency} lets no call through", next="give --concurrency 1 or more"
            )
        self.adaptive = concurrency is None
        self.most = concurrency or MOST
        self.size = min(concurrency or START, self.most)
        self.doubling = self.adaptive
        self.step = 1
        self.cut = -math.inf  # calls begun earlier cannot cut again
        self._known: tuple[int, float] | None = None  # a size and the latency per unit of work under it
        self._clear(-math.inf)

    def _clear(self, now: float) -> None:
        self.since = now  # calls begun earlier were sent under another size
        self._answers, self._seconds, self._work, self._full = 0, 0.0, 0, False

    def answered(self, began: float, now: float, work: int, full: bool) -> None:
        """An answer came. `work`: tokens written (or 1); `full`: calls are waiting for the window to open."""
        if began < self.since:
            return
        self._answers += 1
        self._seconds += now - began
        self._work += work
        self._full |= full
        if self._answers >= self.size and (self._answers >= LEAST or not self.adaptive):
            self._round(now)

    def pushed_back(self, began: float, now: float) -> None:
        """The server said 429 or 5xx, or (fixed) refused the connection, to a call begun then."""
        if began >= self.cut:
            self.cut = now
            self.doubling = False
            self._known = None
            self.step = max(1, self.size // STEPS)
            self.size = max(1, int(self.size * BACK))
            self._clear(now)

    def _round(self, now: float) -> None:
        size, latency, full = self.size, self._seconds / max(1, self._work), self._full
        if self.adaptive and self._rising(size, latency):
            assert self._known is not None
            self.doubling = False
            self.step = max(1, size // STEPS)
            self.size = max(1, min(self._known[0], int(size * 0.75)))
            self._known = None
        elif full and size < self.most:
            self.size = min(self.most, 2 * size if self.doubling else size + self.step)
        self._clear(now + self._seconds / self._answers)  # calls begun while the new size fills up see a shorter queue

    def _rising(self, size: int, latency: float) -> bool:
        """Whether more calls in flight have brought latency instead of rate."""
        if self._known is None:
            if self.since > -math.inf:  # the very first calls met an empty server
                self._known = (size, latency)
            return False
        least, before = self._known
        grown = size / least
        if before <= 0 or latency <= 0:
            return False
        if grown >= GROWN:
            if math.log(latency / before) > KNEE * math.log(grown):
                return True
            if grown >= 2.0:  # not sooner: small rises, each within the noise, add up
                self._known = (size, latency)
        elif grown >= 1 and latency > SURGE * before:
            return True
        return False


class Gate:
    """The one gate in front of a server's calls (`types.Gate`): at most `window.size` places, the lowest rank first.

    Whoever calls the model holds a place from before the call until its answer is on disk. Between two tries the model
    gives the place back for a while (`step_aside`).

    Closed for everybody while the server asked to wait (`hold`). Tripped after ten failures in a row:
    then one call at a time probes, the pause between probes doubling, until one is answered.

    Waiting ends with SynthgainError for everybody: code 4 after `unreachable_after` seconds without any answer at all, or
    twenty times that (of the usual 30 s, at most) without a single success; code 5 where the first ALL tries have all failed.
    Afterwards the gate is as new. `told` hears what is wrong while it is (and "" when it is over).

    `spacing` is in seconds: no two requests are sent closer to each other.
    """

    def __init__(
        self,
        window: Window,
        where: str,
        *,
        unreachable_after: float = 30.0,
        spacing: float = 0.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.window, self.where, self.unreachable_after, self.clock = window, where, unreachable_after, clock
        self.patience = max(20 * min(unreachable_after, USUAL), unreachable_after)
        self.spacing, self._next = spacing, -math.inf
        self.told: Callable[[str], None] = lambda trouble: None
        self._troubled = False
        self._ever = False  # has a call ever succeeded?
        self._vain = 0  # failures while none has
        self.held = 0  # places
        self.over = False  # nothing is tried again any more: who would is cancelled
        self.between: set[asyncio.Task[Any] | None] = set()  # who gave a place back between two tries, and comes back
        self.generation = 0  # of callers; raised when all who wait now are told to give up
        self.verdict: SynthgainError | None = None
        self._clear = True  # no hold, no breaker, nobody waiting: who comes now is let in
        self._waiting: list[tuple[int, int, asyncio.Future[bool]]] = []  # a heap: rank, order of arrival
        self._arrivals = 0
        self._resting: set[asyncio.Future[bool]] = set()
        self._failures = self._probes = 0
        self._tripped = self._probing = False
        self._tripped_at = -math.inf
        self._until = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self._silent: float | None = None  # since when nothing has answered
        self._barren: float | None = None  # since when nothing has succeeded
        self._last = -math.inf  # when the last failure was: these clocks run only while somebody tries

    # ------------------------------------------------------------------------------------------ in and out

    async def enter(self, rank: int) -> None:
        """Wait for a place. SynthgainError: waiting is hopeless."""
        if self._clear and self.held < self.window.size:
            self.held += 1
            return
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._arrivals += 1
        heapq.heappush(self._waiting, (rank, self._arrivals, turn))
        self._admit()
        try:
            given = await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.result():
                self.leave()  # the place had been given already
            else:
                self._admit()
            raise
        if not given:
            raise self.doom()

    def leave(self) -> None:
        """Give the place back."""
        self.held -= 1
        if not self._clear:
            self._probing = False
            self._admit()

    @property
    def aside(self) -> int:
        """How many places were given back between two tries."""
        return len(self.between)

    async def step_aside(self, seconds: float) -> None:
        """Between two tries: give the place back, rest, take one again before all new calls. Held at the end whatever happens."""
        if self.over:
            raise asyncio.CancelledError
        me = asyncio.current_task()
        self.between.add(me)
        self.leave()
        try:
            await self._rest(seconds)
            await self.enter(AGAIN)
        except BaseException:
            self.held += 1  # one too many for a moment: the holder gives it back now
            raise
        finally:
            self.between.discard(me)

    def _admit(self) -> None:
        """Let in whoever may go now, and see to it that somebody looks again when the hold ends."""
        now, waiting = self.clock(), self._waiting
        while waiting:
            turn = waiting[0][2]
            if turn.done():  # cancelled
                heapq.heappop(waiting)
                continue
            if now < self._until:
                self._wake_at(self._until - now)
                break
            if self._probing if self._tripped else self.held >= self.window.size:
                break
            heapq.heappop(waiting)
            self.held += 1
            self._probing = self._tripped
            turn.set_result(True)
        self._clear = not waiting and not self._tripped and now >= self._until

    def _wake_at(self, seconds: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().call_later(seconds, self._admit)

    async def _rest(self, seconds: float) -> None:
        """Sleep; SynthgainError where waiting becomes hopeless meanwhile."""
        loop = asyncio.get_running_loop()
        over: asyncio.Future[bool] = loop.create_future()
        alarm = loop.call_later(seconds, _finish, over)
        self._resting.add(over)
        try:
            if not await over:
                raise self.doom()
        finally:
            alarm.cancel()
            self._resting.discard(over)

    async def turn(self) -> None:
        """Wait until the next request may be sent. Whoever waits holds a place."""
        if self.spacing:
            now = self.clock()
            self._next = max(now, self._next + self.spacing)
            if self._next > now:
                await asyncio.sleep(self._next - now)

    # ------------------------------------------------------------------------------------------ what came back

    def in_trouble(self, reason: str, pause: float) -> None:
        """A call will be tried again after a pause: whoever watches is told why, and when."""
        self._troubled = True
        pause = max(pause, self._until - self.clock())
        self.told(f"{reason}; next try in {pause:.1f} s" if pause < 10 else f"{reason}; next try in {pause:.0f} s")

    def answered(self, began: float, now: float, work: int) -> None:
        """A call succeeded."""
        self.window.answered(began, now, work or 1, not self._clear)
        self._ever = True
        if self._troubled:
            self._troubled = False
            self.told("")
        if self._barren is not None or self._silent is not None or self._failures:
            self._silent = self._barren = None
            self._failures = self._probes = 0
            if self._tripped:
                self._tripped = self._probing = False
                self._until = 0.0
                self._admit()

    def declined(self) -> None:
        """The server answered, and the fault is the call's own (4xx)."""
        self._silent = None
        self._failures = 0
        if self._tripped:
            self._tripped = self._probing = False
            self._admit()

    def busy(self, began: float, retry_after: float | None, reason: str) -> None:
        """429 or 503: too many. The others are let through at half the rate, and nobody before `retry_after` seconds."""
        self._silent = None
        self._failures = 0
        if retry_after:
            self.hold(retry_after)
        self.pushed_back(began, reason)

    def pushed_back(self, began: float, reason: str) -> None:
        """429, 5xx, or a refused connection: the window is cut (probes cut nothing)."""
        now = self.clock()
        if not self._tripped:
            self.window.pushed_back(began, now)
        self._run_clocks(began, now)
        if self._barren is not None and now - self._barren > self.patience:
            self.give_up(f"no call has succeeded for {now - self._barren:.0f} s; the server last said: {reason}")

    def failed(self, began: float, reason: str, *, reached: bool, away: bool = False) -> None:
        """A failure for the breaker: 5xx (`reached`; `away`: a gateway whose server is not there), a dropped or refused connection."""
        now = self.clock()
        self._run_clocks(began, now)
        self._failures += 1
        if reached:
            self._silent = None
            self._vain += not self._ever
            waited = not away or (self._barren is not None and now - self._barren >= self.unreachable_after)
            if self._vain >= ALL and waited:
                self.give_up(f"all of the first {self._vain} tries failed; the server last said: {reason}", code=5)
                return
        else:
            self._silent = now if self._silent is None else self._silent
            if now - self._silent >= self.unreachable_after:
                self.give_up(f"no connection for {now - self._silent:.0f} s: {reason}")
                return
        if self._failures >= ROW and began >= self._tripped_at:  # calls begun before it tripped say nothing new
            self._tripped, self._probing, self._tripped_at = True, False, now
            self.hold(min(0.25 * 2**self._probes, self.unreachable_after / 6, PROBE if self._ever else PROBE / 3))
            self._probes = min(self._probes + 1, 16)

    def _run_clocks(self, began: float, now: float) -> None:
        if began - self._last > self.unreachable_after:
            self._silent = None
        if self._barren is None or began - self._last > self.patience:
            self._barren = now
        self._last = now

    def hold(self, seconds: float) -> None:
        """Let nobody through for so long."""
        self._until = max(self._until, self.clock() + seconds)
        self._clear = False
        self._admit()

    # ------------------------------------------------------------------------------------------ hopeless

    def give_up(self, what: str, code: int = 4) -> None:
        """All who wait now get SynthgainError; who comes later begins anew."""
        cure = "start the server or check --base-url / OPENAI_BASE_URL (--wait MINUTES: how long it may be away)"
        if code == 5:
            cure = f"see the server's log, and `synthgain check {self.where.replace(' at ', '@')}`"
        self.verdict = SynthgainError(what, where=self.where, code=code, next=cure)
        self.generation += 1
        self._failures = self._probes = self._vain = 0
        self._tripped = self._probing = False
        self._silent = self._barren = None
        self._until = 0.0
        waiting, self._waiting = self._waiting, []
        for turn in (*(turn for _, _, turn in waiting), *self._resting):
            if not turn.done():
                turn.set_result(False)
        self._clear = True

    def doom(self) -> SynthgainError:
        """The error of the last `give_up`, fresh for one more caller."""
        assert self.verdict is not None
        return SynthgainError(
            self.verdict.what, where=self.verdict.where, next=self.verdict.next, code=self.verdict.code
        )


def _finish(future: asyncio.Future[bool]) -> None:
    if not future.done():
        future.set_result(True)


def backoff(key: str, tries: int, *, first: float = 0.5, most: float = 30.0) -> float:
    """Seconds before the next try: doubling, with a jitter in [½, 1) that the key decides."""
    return min(most, first * 2.0 ** min(tries - 1, 16)) * random.Random(f"{key}:{tries}").uniform(0.5, 1.0)

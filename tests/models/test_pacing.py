"""The window against servers whose best width is known in closed form; the gate and the breaker in real time."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from itertools import pairwise

import pytest

from synthgain.models.pacing import MOST, Gate, Window, backoff
from synthgain.types import SynthgainError


def play(
    window: Window, latency: Callable[[int], float], answers: int, limit: int = 10**9, start: float = 0.0
) -> list[int]:
    """Sizes after each answer, with a queue that is never empty. More than `limit` in flight: 429 at once."""
    now, serial = start, 0
    flying: list[tuple[float, int, float, bool]] = []
    sizes: list[int] = []
    while len(sizes) < answers:
        while len(flying) < window.size:
            serial += 1
            busy = len(flying) >= limit
            heapq.heappush(flying, (now + (0.001 if busy else latency(len(flying) + 1)), serial, now, busy))
        now, _, began, busy = heapq.heappop(flying)
        if busy:
            window.pushed_back(began, now)
        else:
            window.answered(began, now, 1, True)
            sizes.append(window.size)
    return sizes


def test_adaptive_grows_to_the_ceiling_where_latency_does_not_rise() -> None:
    assert play(Window(), lambda n: 1.0, 20_000)[-1] == MOST


def test_adaptive_stops_near_the_knee_where_more_calls_bring_only_latency() -> None:
    for knee in (16, 64, 200):
        sizes = play(Window(), lambda n, k=knee: max(1.0, n / k), 60_000)
        settled = sizes[len(sizes) // 2 :]
        assert knee * 0.5 <= min(settled) and max(settled) <= knee * 2.2, (knee, min(settled), max(settled))


def test_adaptive_goes_on_where_rate_still_grows_as_it_does_under_continuous_batching() -> None:
    assert play(Window(), lambda n: (1 + n) ** 0.5, 30_000)[-1] == MOST


def test_adaptive_lives_under_a_rate_limit() -> None:
    sizes = play(Window(), lambda n: 1.0, 20_000, limit=50)
    settled = sizes[len(sizes) // 2 :]
    assert max(settled) <= 60
    assert sum(settled) / len(settled) > 25


def test_a_surge_of_latency_at_equal_width_cuts_the_window() -> None:
    window = Window()
    play(window, lambda n: max(1.0, n / 64), 20_000)
    before = window.size
    sizes = play(window, lambda n: 5.0 * max(1.0, n / 64), 4 * before, start=1e6)
    assert min(sizes) <= 0.76 * before


def test_fixed_starts_at_n_and_latency_does_not_move_it() -> None:
    window = Window(37)
    assert window.size == 37
    assert set(play(window, lambda n: n**2.0, 5_000)) == {37}


def test_fixed_is_cut_once_by_one_burst_and_climbs_back_to_n() -> None:
    window = Window(64)
    for _ in range(64):
        window.pushed_back(0.0, 1.0)  # all were begun before the cut
    assert window.size == 32
    window.pushed_back(2.0, 3.0)
    assert window.size == 16
    sizes = play(window, lambda n: 1.0, 5_000)
    assert sizes[-1] == 64 and sizes == sorted(sizes)
    assert max(b - a for a, b in pairwise(sizes)) <= 3  # by steps


def test_the_window_never_closes() -> None:
    window = Window(4)
    for i in range(20):
        window.pushed_back(float(i), i + 0.5)
    assert window.size == 1


def test_a_window_of_nothing_is_refused() -> None:
    with pytest.raises(SynthgainError):
        Window(0)


async def test_the_lowest_rank_goes_first_then_the_order_of_arrival_and_never_over_its_size() -> None:
    gate, order, most = Gate(Window(3), "here"), list[tuple[int, int]](), 0

    async def one(i: int) -> None:
        nonlocal most
        await gate.enter(i % 5)
        order.append((i % 5, i))
        most = max(most, gate.held)
        await asyncio.sleep(0.001)
        gate.leave()

    await asyncio.gather(*[one(i) for i in range(50)])
    assert order[:3] == [(0, 0), (1, 1), (2, 2)]  # the gate was open
    assert order[3:] == sorted(order[3:])
    assert (most, gate.held) == (3, 0)


async def test_a_call_between_two_tries_lets_another_in_and_comes_back_before_new_ones() -> None:
    gate, order = Gate(Window(1), "here"), list[str]()

    async def new(name: str) -> None:
        await gate.enter(0)
        order.append(name)
        await asyncio.sleep(0.05)
        gate.leave()

    await gate.enter(0)
    others = [asyncio.create_task(new(f"new {i}")) for i in range(3)]
    await asyncio.sleep(0)
    await gate.step_aside(0.01)
    order.append("again")
    assert gate.held == 1
    gate.leave()
    await asyncio.gather(*others)
    assert order == ["new 0", "again", "new 1", "new 2"] and gate.held == 0


@pytest.mark.parametrize("when", ["while it rests", "while it waits", "when it has come back"])
async def test_a_call_that_is_cancelled_between_two_tries_holds_a_place_for_its_caller_to_give_back(when: str) -> None:
    gate = Gate(Window(1), "here")
    await gate.enter(0)
    seen = list[int]()

    async def call() -> None:
        try:
            await gate.step_aside(60.0 if when == "while it rests" else 0.0)
        finally:
            seen.append(gate.held)
            gate.leave()

    task = asyncio.create_task(call())
    await asyncio.sleep(0)
    if when != "while it rests":
        await gate.enter(0)  # another has the place
        await asyncio.sleep(0.02)
        if when == "when it has come back":
            gate.leave()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled() and len(seen) == 1 and gate.held == (when == "while it waits")
    if gate.held:
        gate.leave()
    await asyncio.wait_for(gate.enter(0), 1)


async def test_who_rests_when_waiting_becomes_hopeless_is_told_at_once() -> None:
    gate = Gate(Window(1), "here")
    await gate.enter(0)
    task = asyncio.create_task(gate.step_aside(60.0))
    await asyncio.sleep(0.01)
    gate.give_up("no server")
    with pytest.raises(SynthgainError, match="no server"):
        await asyncio.wait_for(task, 1)
    gate.leave()
    assert gate.held == 0


async def test_cancelled_callers_leave_no_slot_behind() -> None:
    gate = Gate(Window(2), "here")
    await gate.enter(0)
    await gate.enter(0)
    waiting = [asyncio.create_task(gate.enter(0)) for _ in range(6)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # while it waits
    gate.leave()  # the next one's turn is set …
    waiting[1].cancel()  # … and it is cancelled before it could take it
    await asyncio.sleep(0.01)
    assert waiting[2].done() and not waiting[2].cancelled()
    for _ in range(5):
        gate.leave()
        await asyncio.sleep(0)
    assert gate.held == 0
    await asyncio.wait_for(gate.enter(0), 1)


async def test_a_hold_keeps_everybody_out_for_its_time() -> None:
    gate, loop = Gate(Window(4), "here"), asyncio.get_running_loop()
    gate.busy(gate.clock(), 0.2, "429")
    began = loop.time()
    await asyncio.gather(*[gate.enter(0) for _ in range(2)])
    assert 0.19 <= loop.time() - began < 1.0


async def test_the_breaker_lets_one_probe_through_and_opens_on_success() -> None:
    gate = Gate(Window(50), "here", unreachable_after=6.0)
    began = gate.clock()
    for _ in range(20):
        gate.failed(began, "500", reached=True)
    waiting = [asyncio.create_task(gate.enter(0)) for _ in range(10)]
    await asyncio.sleep(0.05)
    assert sum(t.done() for t in waiting) == 0
    await asyncio.sleep(0.5)
    assert sum(t.done() for t in waiting) == 1  # the probe
    gate.leave()
    gate.answered(gate.clock(), gate.clock() + 0.1, 1)
    await asyncio.wait_for(asyncio.gather(*waiting), 1)


async def test_silence_ends_with_code_4_for_all_who_wait_and_later_callers_begin_anew() -> None:
    gate = Gate(Window(50), "openai/x at http://h", unreachable_after=0.3)
    doomed = []

    async def caller() -> None:
        generation = gate.generation
        while True:
            await gate.enter(0)
            gate.failed(gate.clock(), "connection refused", reached=False)
            gate.leave()
            if gate.generation != generation:
                raise gate.doom()

    for task in [asyncio.create_task(caller()) for _ in range(30)]:
        with pytest.raises(SynthgainError) as error:
            await asyncio.wait_for(task, 5)
        doomed.append(error.value)
    assert {e.code for e in doomed} == {4}
    assert "refused" in str(doomed[0]) and "http://h" in str(doomed[0])
    assert gate.held == 0
    await asyncio.sleep(0.5)
    gate.failed(gate.clock(), "refused", reached=False)  # long after: the clock begins anew
    await asyncio.wait_for(gate.enter(0), 1)


async def test_a_server_that_answers_with_faults_is_not_silent() -> None:
    gate = Gate(Window(4), "here", unreachable_after=0.05)
    for _ in range(5):
        gate.failed(gate.clock(), "500", reached=True)
        await asyncio.sleep(0.03)
    await asyncio.wait_for(gate.enter(0), 1)
    assert gate.held == 1


def test_backoff_doubles_within_its_jitter_and_is_keyed() -> None:
    for tries in range(1, 12):
        whole = min(30.0, 0.5 * 2 ** (tries - 1))
        waits = {backoff(f"call {i}", tries) for i in range(50)}
        assert len(waits) == 50
        assert all(whole / 2 <= w <= whole for w in waits)
    assert backoff("a", 3) == backoff("a", 3)

"""Slots read a shared beginning once."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from synthgain.models.slots import STEP, Slots, shared


def test_shared_is_the_length_of_the_common_beginning() -> None:
    dice = random.Random(0)
    for _ in range(300):
        one, other = ("".join(dice.choices("ab", k=dice.randrange(12))) for _ in range(2))
        slow = next((i for i, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))
        assert shared(one, other) == slow


class Runtime:
    """Counts the characters that slots would have to read; a slot keeps its last prompt."""

    def __init__(self, count: int, room: int = 1 << 30) -> None:
        self.held = [""] * count
        self.files: dict[str, str] = {}
        self.read = 0
        self.busy: set[int] = set()
        self.lock = threading.Lock()
        self.slots = Slots(count, self.save, self.restore, self.files.pop, room)

    def save(self, slot: int, name: str) -> int:
        self.files[name] = self.held[slot]
        return len(self.held[slot])

    def restore(self, slot: int, name: str) -> bool:
        self.held[slot] = self.files.get(name, "")
        return name in self.files

    def answer(self, slot: int, said: str, seconds: float) -> int:
        with self.lock:
            assert slot not in self.busy, "two calls in one slot"
            self.busy.add(slot)
        known = shared(self.held[slot], said)
        time.sleep(seconds)
        with self.lock:
            self.read += len(said) - known
            self.held[slot] = said
            self.busy.remove(slot)
        return known

    def call(self, said: str) -> int | None:
        with self.slots.lease(said, lambda slot: self.answer(slot, said, 0.02)) as lease:
            self.answer(lease.slot, said, 0.002)
            return lease.cached


def test_many_calls_on_one_document_read_it_once() -> None:
    runtime, document = Runtime(8), "d" * 4000
    with ThreadPoolExecutor(8) as calls:
        list(calls.map(runtime.call, [f"{document} {i:03d}" for i in range(64)]))
    assert runtime.read <= 4000 + 64 * 4


def test_documents_side_by_side_are_each_read_once() -> None:
    runtime = Runtime(8)
    prompts = [f"{d}" * 3000 + f" {i:03d}" for d in "abcd" for i in range(12)]
    with ThreadPoolExecutor(8) as calls:
        list(calls.map(runtime.call, prompts))
    assert runtime.read <= 4 * 3000 + len(prompts) * 4


def test_short_prompts_are_left_to_the_runtime() -> None:
    runtime = Runtime(4)
    with ThreadPoolExecutor(4) as calls:
        assert set(calls.map(runtime.call, ["x" * (STEP - 1)] * 12)) == {None}
    assert not runtime.files


def test_saved_states_stay_within_their_room() -> None:
    runtime = Runtime(2, room=7000)
    for d in "abcdefgh":
        runtime.call(d * 3000)
    assert sum(map(len, runtime.files.values())) <= 7000 and runtime.files


def test_a_call_that_fails_frees_its_slot_and_those_who_wait() -> None:
    runtime = Runtime(1)

    def refuse(slot: int) -> int:
        raise ValueError("too long")

    with pytest.raises(ValueError, match="too long"), runtime.slots.lease("z" * 3000, refuse):
        pass
    runtime.call("z" * 3000)
    assert runtime.read == 3000


def test_a_state_that_is_gone_costs_a_read_not_an_error() -> None:
    runtime = Runtime(2)
    runtime.call("q" * 3000)
    runtime.files.clear()
    runtime.held[1] = "other"
    with runtime.slots.lease("q" * 3000, lambda slot: 0) as first:
        with runtime.slots.lease("q" * 3000, lambda slot: runtime.answer(slot, "q" * 3000, 0)) as second:
            assert {first.slot, second.slot} == {0, 1}

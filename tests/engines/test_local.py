"""What a run does to the interpreter that it runs in: nothing that stays."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from synthgain.engines.local import run


class Knot:
    """An object that refers to itself."""

    def __init__(self) -> None:
        self.self = self


async def seldom() -> int:
    return gc.get_threshold()[0]


async def fails() -> None:
    raise ValueError("as it should")


async def beside_another() -> int:
    return run(seldom())


def test_cycles_are_looked_for_seldom_and_as_before_afterwards() -> None:
    before = gc.get_threshold(), gc.get_freeze_count()
    assert run(seldom()) > before[0][0]
    assert (gc.get_threshold(), gc.get_freeze_count()) == before
    with pytest.raises(ValueError, match="as it should"):
        run(fails())
    assert (gc.get_threshold(), gc.get_freeze_count()) == before
    assert run(beside_another()) > before[0][0]  # one loop inside the other: the outer run's end puts things back
    assert (gc.get_threshold(), gc.get_freeze_count()) == before


def test_cycles_made_in_a_run_are_let_go() -> None:
    async def ties() -> list[weakref.ref[Knot]]:
        seen = []
        for n in range(200_000):
            knot = Knot()
            if n % 50_000 == 0:
                seen.append(weakref.ref(knot))
            if n % 10_000 == 0:
                await asyncio.sleep(0)
        return seen

    assert [ref() for ref in run(ties())[:3]] == [None] * 3

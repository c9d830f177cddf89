"""One model asked many things outside of a run: its answers are remembered, so that what was killed goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from synthgain.api.making import Watch
from synthgain.chain import Buyer, Desk, Tally
from synthgain.engines import local
from synthgain.models import Reach, open_model
from synthgain.store import CallMemory

T = TypeVar("T")


def unwatched(tally: Tally) -> None:
    """Nothing is shown."""


def at_desk(
    uri: str,
    work: Callable[[Desk], Awaitable[T]],
    *,
    memory: Path,
    tally: Tally,
    reach: Reach | None = None,
    watch: Watch = unwatched,
) -> T:
    """What `work` makes of a model's answers: whatever its prompts are for, this model answers. Calls are kept in `memory`."""

    async def working() -> T:
        model = open_model(uri, replace(reach or Reach(), logprobs=False))
        calls = CallMemory(memory)
        try:
            return await work(Desk(Buyer({"writer": model, "student": model}, calls, tally, watch)))
        finally:
            calls.close()
            await model.aclose()

    return local.run(working())

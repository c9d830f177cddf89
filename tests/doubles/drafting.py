"""A draft without a chain: `Desk` answers a recipe's prompts by a script, remembers them, and can lose some."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any

from synthgain.types import Anchor, Call, CallFailed, Prompt, Recipe, Row, assistant


class Desk:
    """`types.Models` over `reply(prompt)`, a text or an exception; `ahead` prompts are asked before the first answer is given."""

    def __init__(self, reply: Callable[[Prompt], str | Exception], finish: str = "stop", ahead: int = 4) -> None:
        self.reply, self.finish, self.ahead = reply, finish, ahead
        self.asked: list[Prompt] = []

    async def __call__(self, prompt: Prompt) -> Call:
        self.asked.append(prompt)
        answer = self.reply(prompt)
        if isinstance(answer, Exception):
            raise answer
        return Call(id=prompt.id("desk"), prompt=prompt, message=assistant(answer), model="desk", finish=self.finish)

    async def each(self, prompts: Iterable[Any]) -> AsyncIterator[Any]:
        source, waiting = iter(prompts), list[Any]()
        while True:
            while len(waiting) < self.ahead and (asked := next(source, None)) is not None:
                waiting.append(asked)
            if not waiting:
                return
            asked = waiting.pop(0)
            try:
                call = await self(asked if isinstance(asked, Prompt) else asked[1])
            except CallFailed:
                continue
            yield call if isinstance(asked, Prompt) else (asked[0], call)

    async def side_by_side(self, conversations: Iterable[Awaitable[Any]]) -> AsyncIterator[Any]:
        for conversation in conversations:
            with suppress(CallFailed):
                yield await conversation


async def drafted(recipe: Recipe, anchor: Anchor, desk: Desk) -> list[Row]:
    """All rows of one anchor's draft."""
    return [row async for row in recipe.draft(desk, anchor)]

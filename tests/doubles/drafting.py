"""A draft without a chain: `Desk` answers a recipe's prompts by a script, remembers them, and can lose some."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable

from synthgain.types import Anchor, Call, CallFailed, Prompt, Recipe, Row


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
        return Call(id=prompt.id("desk"), prompt=prompt, text=answer, model="desk", finish=self.finish)

    async def each(self, prompts: Iterable[Prompt]) -> AsyncIterator[Call]:
        source, waiting = iter(prompts), []
        while True:
            while len(waiting) < self.ahead and (prompt := next(source, None)) is not None:
                waiting.append(prompt)
            if not waiting:
                return
            try:
                yield await self(waiting.pop(0))
            except CallFailed:
                continue


async def drafted(recipe: Recipe, anchor: Anchor, desk: Desk) -> list[Row]:
    """All rows of one anchor's draft."""
    return [row async for row in recipe.draft(desk, anchor)]

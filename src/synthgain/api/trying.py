"""Before a run: is the model there, what would be asked?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from synthgain.anchors import load as load_anchors
from synthgain.api.asking import Asked, asked
from synthgain.chain import Buyer, Desk, Tally
from synthgain.engines import local
from synthgain.models import Reach, Scripted, open_model
from synthgain.store import CallMemory
from synthgain.types import Anchor, Call, CallFailed, ModelInfo, Prompt, Recipe, Sampling, SynthgainError, user


def check(uri: str, reach: Reach | None = None) -> tuple[ModelInfo, Call]:
    """Ask a model one small thing: what it is and what it gives. SynthgainError (code 4) where it cannot be reached."""

    async def work() -> tuple[ModelInfo, Call]:
        model = open_model(uri, reach)
        desk = Desk(Buyer({"writer": model}, CallMemory(None), Tally(), lambda _: None))
        try:
            call = await desk(Prompt((user("Say hello."),), sampling=Sampling(max_tokens=8)))
            return await model.info(), call
        except CallFailed as error:
            raise SynthgainError(
                str(error), where=uri, code=4, next="check the model's name and the server's log"
            ) from error
        finally:
            await model.aclose()

    return local.run(work())


def first_prompts(
    recipe: str | Path | Recipe,
    anchors: str | Path | Sequence[Any],
    *,
    limit: int = 3,
    text_field: str | None = None,
    id_field: str | None = None,
    **options: Any,
) -> tuple[Asked, int, list[tuple[Anchor, Prompt]]]:
    """What is asked, how many anchors there are, and the first prompt of the first groups, buying nothing (`--dry-run`)."""
    ask = asked(recipe, **options)
    corpus = load_anchors(anchors, text_field=text_field, id_field=id_field, needs=ask.recipe.needs)

    async def work() -> list[tuple[Anchor, Prompt]]:
        found = []
        for group in islice(ask.recipe.pick(corpus, (), ask.request.seed), limit):
            prompt = await _first(ask.recipe, group)
            if prompt is not None:
                found.append((group[0], prompt))
        return found

    return ask, len(corpus), local.run(work())


async def _first(recipe: Recipe, group: tuple[Anchor, ...]) -> Prompt | None:
    """The first prompt of a draft: every call fails, so it goes no further."""
    seen: list[Prompt] = []

    def refuse(prompt: Prompt) -> str:
        seen.append(prompt)
        raise CallFailed("dry run")

    roles = {role: Scripted(refuse, width=1) for role in recipe.roles}
    desk = Desk(Buyer(roles, CallMemory(None), Tally(), lambda _: None), group)
    try:
        async for _ in recipe.draft(desk, *group):
            break
    except CallFailed:
        pass
    finally:
        await desk.close()
    return seen[0] if seen else None

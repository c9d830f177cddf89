"""Before a run: is the model there, what would be asked, what would it all take?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from synthgain.anchors import load as load_anchors
from synthgain.api.making import Plan, generate, reach_from_environment
from synthgain.engines import local
from synthgain.models import Reach, open_model
from synthgain.recipes import load as load_recipe
from synthgain.store import Run
from synthgain.types import Anchor, Call, CallFailed, ModelInfo, Prompt, Recipe, SynthgainError, user


def check(uri: str, reach: Reach | None = None) -> tuple[ModelInfo, Call]:
    """Ask a model one small thing: what it is and what it gives. SynthgainError (code 4) where it cannot be reached."""
    model = open_model(uri, reach_from_environment(reach))

    async def work() -> tuple[ModelInfo, Call]:
        try:
            call = await model(Prompt((user("Say hello."),), sampling=replace(Prompt(()).sampling, max_tokens=8)))
            return await model.info(), call
        except CallFailed as error:
            raise SynthgainError(
                str(error), where=uri, code=4, next="check the model's name and the server's log"
            ) from error
        finally:
            await model.aclose()

    return local.run(work())


@dataclass(frozen=True)
class Preview:
    """A few groups for real, and what all of them would take. `estimate` has calls, tokens_in, tokens_out, cost_usd, seconds."""

    run: Run
    groups: int
    groups_total: int
    estimate: Mapping[str, float | None]


def preview(
    recipe: str | Path | Recipe, anchors: str | Path | Sequence[Any], *, out: str | Path, limit: int = 3, **options: Any
) -> Preview:
    """Real prompts, answers and verdicts for the first groups, and an estimate for all.

    The calls are kept in `out`: previewing again buys nothing, and `generate` into the same folder uses them.
    """
    run = generate(recipe, anchors, out=out, limit=limit, **options)
    counts, tokens = run.record["counts"], run.record["tokens"]
    chosen = recipe if isinstance(recipe, Recipe) else load_recipe(str(recipe))
    found = load_anchors(
        anchors, reads=chosen.reads, text_field=options.get("text_field"), id_field=options.get("id_field")
    )
    total = sum(1 for _ in chosen.pick(found))
    share = total / counts["groups"] if counts["groups"] else 0.0
    calls = counts["calls_bought"] + counts["calls_reused"]
    cost, seconds = run.record["cost_usd"], run.record["seconds"]
    fresh = counts["calls_reused"] == 0
    estimate = {
        "calls": calls * share, "tokens_in": tokens["in"] * share, "tokens_out": tokens["out"] * share,
        "cost_usd": None if cost is None else cost * share, "seconds": seconds * share if fresh else None,
    }  # fmt: skip
    return Preview(run, counts["groups"], total, estimate)


def first_prompts(plan: Plan, limit: int = 3) -> list[tuple[Anchor, Prompt]]:
    """The first prompt of the first groups, buying nothing (`--dry-run`)."""
    from itertools import islice

    async def first(group: tuple[Anchor, ...]) -> Prompt | None:
        seen: list[Prompt] = []

        class Reader:
            async def __call__(self, prompt: Prompt) -> Call:
                seen.append(prompt)
                raise CallFailed("dry run")

            async def each(self, prompts: Any) -> Any:
                for prompt in prompts:
                    yield await self(prompt)

        try:
            async for _ in plan.recipe.draft(Reader(), *group):
                pass
        except CallFailed:
            pass
        return seen[0] if seen else None

    async def work() -> list[tuple[Anchor, Prompt]]:
        found = []
        for group in islice(plan.recipe.pick(plan.anchors), limit):
            prompt = await first(group)
            if prompt is not None:
                found.append((group[0], prompt))
        return found

    return local.run(work())

"""What can be known of a draft before anything is bought: that it can give nothing, or what a row of it looks like."""

from __future__ import annotations

import inspect
from typing import Any

from synthgain.api.unsaid import made_up
from synthgain.chain import Buyer, Numbered, Opened, Tally
from synthgain.chain.desk import defined_at
from synthgain.chain.wave import drafted
from synthgain.engines import local
from synthgain.models import Scripted
from synthgain.store import CallMemory
from synthgain.types import Group, Prompt, Recipe, Row, SynthgainError, singly

CALLS = 256  # that are made up for one row, at most
GROUP = 64  # anchors: of groups by a recipe's own pick, a draft takes at most this many or any number


def gives_rows(recipe: Recipe) -> None:
    """SynthgainError where a draft is a function that returns, does not wait, or cannot be called."""
    draft: Any = recipe.draft
    code = draft if inspect.isroutine(draft) else type(draft).__call__
    wrong = "returns its rows" if inspect.iscoroutinefunction(code) else "is no `async def`"
    if inspect.iscoroutinefunction(code) or inspect.isgeneratorfunction(code):
        raise SynthgainError(
            f"the draft of {recipe.name} {wrong}; a draft gives rows one after the other",
            where=defined_at(draft),
            next="write it as `async def draft(models, anchor): … yield Row(…)` (docs/write-a-recipe.md)",
        )
    _takes_a_group(recipe)


def _takes_a_group(recipe: Recipe) -> None:
    """SynthgainError where the draft cannot be called with the models and the anchors of a group (one each, unless its pick says else)."""
    try:
        takes = inspect.signature(recipe.draft)
    except (TypeError, ValueError):  # what is not written in Python says nothing of itself
        return
    wrong = ""
    for anchors in (1,) if recipe.pick is singly else range(GROUP + 1):
        try:
            takes.bind("models", *["anchor"] * anchors)
            return
        except TypeError as error:
            wrong = wrong or str(error)
    many = ", anchor" if recipe.pick is singly else ", *anchors"
    raise SynthgainError(
        f"the draft of {recipe.name} cannot be called with (models{many}): {wrong}; it takes {takes}",
        where=defined_at(recipe.draft),
        next=f"write it as `async def draft(models{many}): … yield Row(…)`, with `self` first in a dataclass (docs/write-a-recipe.md)",
    )


def row_of_nothing(recipe: Recipe, group: Group) -> Row | None:
    """The first row of a draft over answers that nobody gave; None where it gives none that it does not drop itself. Nothing is bought."""
    return local.run(_row_of_nothing(recipe, group))


async def _row_of_nothing(recipe: Recipe, group: Group) -> Row | None:
    rows = list[Row]()

    def answer(prompt: Prompt) -> str:
        if buyer.answers >= CALLS:
            buyer.stop("enough", 3)
        return made_up(prompt)

    def told(row: Row) -> None:
        if row.fallen is None:
            rows.append(row)
            buyer.stop("enough", 3)

    roles = {role: Scripted(answer, width=1) for role in recipe.all_roles}
    buyer = Buyer(roles, CallMemory(None), Tally(), lambda _: None)
    await drafted(Opened(recipe, (), roles), Numbered(0, 0, group), buyer, 0, (), told)
    return rows[0] if rows else None

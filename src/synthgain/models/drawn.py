"""Whether a model draws its answers, and whether it obeys a seed: three small calls at temperature 1, side by side as a run asks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from synthgain.types import CallFailed, Message, Model, Prompt, Sampling, user

ENOUGH = 16  # tokens: of ten random words two draws are hardly ever the same
GREEDY = "three draws at temperature 1 gave one answer: it seems to answer greedily, whatever it is asked for"


@dataclass(frozen=True)
class Drawn:
    """None: not known. `note` says in words what a person must know."""

    draws: bool | None = None
    seeds: bool | None = None
    note: str = ""


async def drawn(model: Model, max_tokens: int = ENOUGH, *, text: bool = False) -> Drawn:
    """The same prompt twice with one seed and once with another, at least `ENOUGH` tokens each. `text`: it takes no chats."""
    ask = Message(role="raw", content="Ten random words:") if text else user("Write ten random words.")
    prompt = Prompt((ask,), sampling=Sampling(max_tokens=max(max_tokens, ENOUGH)))
    try:
        calls = await asyncio.gather(*(model(asked) for asked in (prompt, prompt, replace(prompt, draw=1))))
    except CallFailed as error:
        return Drawn(note=f"whether it draws is not known: {error}")
    one, same, other = (call.message.get("reasoning", "") + call.text for call in calls)
    if not one.strip():
        return Drawn(note="whether it draws is not known: the answer was empty")
    if one == same == other:
        return Drawn(draws=False, note=GREEDY)
    return Drawn(draws=True, seeds=one == same)

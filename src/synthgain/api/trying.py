"""Before a run: is the model there, what would be asked?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from synthgain.anchors import load as load_anchors
from synthgain.api.asking import Asked, asked
from synthgain.api.licensing import licence_of, terms_by_uri
from synthgain.api.reaching import Servers, Unpack, reaching
from synthgain.api.replaying import Calls, as_asked, recordings_at
from synthgain.api.telling import remark
from synthgain.api.timing import calls_tools, speeds
from synthgain.chain import Buyer, Desk, Tally
from synthgain.curate.judges import reward_prompt
from synthgain.engines import local
from synthgain.models import Reach, Scripted, key_for, open_model
from synthgain.models.drawn import drawn
from synthgain.models.memory import peak_memory
from synthgain.store import CallMemory
from synthgain.thinking import hollow
from synthgain.types import (
    Anchor,
    Call,
    CallFailed,
    Message,
    Model,
    ModelInfo,
    Prompt,
    Recipe,
    Sampling,
    SynthgainError,
    user,
)

QUICK = Reach(wait=0.1, tries=3)  # whoever checks a model waits for the answer
ENOUGH = (8, 256, 2048)  # tokens, one after the other, where a model that thinks needs more


@reaching
def check(
    uri: str,
    reach: Reach | None = None,
    *,
    say: Callable[[str], None] = lambda trouble: None,
    **servers: Unpack[Servers],
) -> tuple[ModelInfo, Call]:
    """Ask a model a few small things: what it is and what it gives. SynthgainError (code 4) where it cannot be reached,
    (code 5) where it answers with nothing.

    `say` hears what is wrong while it is tried again, and what takes its time. A model that thinks is asked again with more tokens, and the note says so.
    """

    async def work() -> tuple[ModelInfo, Call]:
        reached = reach or Reach()
        model = open_model(
            uri,
            replace(
                reached,
                tries=QUICK.tries,
                wait=QUICK.wait if reached.wait is None else reached.wait,
                runtime="llama" if reached.runtime == "auto" else reached.runtime,  # one is looked at, not two compared
            ),
        )
        desk = Desk(Buyer({"writer": model}, CallMemory(None), Tally(), lambda tally: say(tally.trouble)))
        try:
            worth = reward_prompt("Say hello.", "Hello.", "writer")
            call = await (desk(worth) if uri.startswith("reward/") else _small(desk))
            if why := hollow(call):
                most = call.prompt.sampling.max_tokens
                what = f"it answers, and with up to {most:,} tokens the answer holds nothing: {why}"
                raise SynthgainError(what, where=uri, code=5, next=_cure(call))
            return await _embedded(await _found(model, call), model, say), call
        except CallFailed as error:
            key = f", and {_key()}" if uri.startswith("openai/") else ""
            raise SynthgainError(
                str(error), where=uri, code=4, next=f"check the model's name and the server's log{key}"
            ) from error
        finally:
            await model.aclose()

    return local.run(work())


def _key() -> str:
    """What to do about the key: some gateways tell of a missing or wrong one with 400 or 500 and without the word."""
    return "that OPENAI_API_KEY is its key" if key_for("writer") else "set OPENAI_API_KEY, where it wants a key"


def _cure(call: Call) -> str:
    """What to change at a model that answers with nothing."""
    if call.finish == "length" or "reasoning" in call.message:
        return (
            "let it think less (--extra reasoning_effort=low), or look at its chat template: its thinking may never end"
        )
    return "look at the server's log, and at the model's chat template"


async def _found(model: Model, call: Call) -> ModelInfo:
    """What the model is and gives. `call`: a small answer of it."""
    info, most = await model.info(), call.prompt.sampling.max_tokens
    if info.reasoning is False and "reasoning" in call.message:
        info = replace(info, reasoning=True)
    notes = [f"needs more than {ENOUGH[0]} tokens to answer (asked again with {most})"] * (most > ENOUGH[0])
    if info.seeds is not True and most < ENOUGH[-1]:
        found = await drawn(model, most, text=call.prompt.messages[0]["role"] == "raw")
        info = replace(info, draws=found.draws, seeds=found.seeds if info.seeds is None else info.seeds)
        notes.append(found.note)
    return replace(info, note="; ".join(filter(None, (*notes, info.note))))


async def _embedded(info: ModelInfo, model: Model, say: Callable[[str], None]) -> ModelInfo:
    """With what can be found out of a model in this process: speeds, tools, memory, the terms of its licence."""
    if not model.uri.startswith(("local/", "hf/", "hf://")):
        return info
    say("measuring how fast it reads and writes here, and whether it calls tools ...")
    tools, note = await calls_tools(model)
    return replace(
        info,
        licence=info.licence or licence_of(model.uri),
        terms=terms_by_uri([model.uri]).get(model.uri, ""),
        tools=tools,
        speeds=await speeds(model),
        memory=peak_memory(),
        note="; ".join(filter(None, (info.note, note))),
    )


async def _small(desk: Desk) -> Call:
    """One small answer, with as many tokens as it takes."""
    for most in ENOUGH:
        last = most == ENOUGH[-1]
        try:
            call = await desk(Prompt((user("Say hello."),), sampling=Sampling(max_tokens=most)))
        except CallFailed as error:
            if last or "token" not in str(error):
                return await _of_text(desk, error)
            continue
        if last or not hollow(call):
            break
    return call


async def _of_text(desk: Desk, refused: CallFailed) -> Call:
    """A small answer to text, of a server that answers no chat (a base model's, without a template); else why it does not."""
    try:
        return await desk(Prompt((Message(role="raw", content="Hello, my name is"),), sampling=Sampling(max_tokens=8)))
    except (CallFailed, SynthgainError) as error:
        raise refused from error


def first_prompts(
    recipe: str | Path | Recipe,
    anchors: str | Path | Sequence[Any],
    *,
    limit: int = 3,
    text_field: str | None = None,
    id_field: str | None = None,
    strict: bool = False,
    calls: Calls = (),
    **options: Any,
) -> tuple[Asked, int, list[tuple[Anchor, Prompt]]]:
    """What is asked, how many anchors there are, and the first prompt of the first groups, buying nothing (`--dry-run`)."""
    ask = asked(recipe, calls=as_asked(recordings_at(calls)), **options)
    corpus = load_anchors(
        anchors, text_field=text_field, id_field=id_field, needs=ask.recipe.needs, strict=strict, tell=remark
    )

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

    roles = {role: Scripted(refuse, width=1) for role in recipe.all_roles}
    desk = Desk(Buyer(roles, CallMemory(None), Tally(), lambda _: None), group)
    try:
        async for _ in recipe.draft(desk, *group):
            break
    except CallFailed:
        pass
    finally:
        await desk.close()
    return seen[0] if seen else None

"""How fast an embedded model reads and writes here, alone and with as many answers side by side as it takes."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import replace

from synthgain.types import Call, CallFailed, Model, Prompt, Sampling, Speed, user

WORDS = [
    "river",
    "stone",
    "market",
    "winter",
    "letter",
    "candle",
    "bridge",
    "garden",
    "silver",
    "window",
    "harbour",
    "copper",
    "meadow",
    "engine",
    "basket",
]
SECONDS = 3.0  # that one measurement is meant to take
LONGEST = 20.0  # seconds after which none is begun any more
FIRST = 24  # tokens read, and half of them written, before anything is known
LEAST = 8  # tokens of one prompt or answer, however slow it is
MOST = 256  # tokens of one prompt or answer
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city now.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "description": "The city's name."}},
            "required": ["city"],
        },
    },
}


async def speeds(model: Model, seconds: float = SECONDS) -> tuple[Speed, ...]:
    """At width 1 and at the model's own: real calls of a length that takes about `seconds` each, after short ones that say which that is.

    Where the machine is so busy, or the model so slow, that the short ones take long, they are all there is.
    """
    began = time.perf_counter()
    first = await _at(model, 1, FIRST, FIRST // 2, 0)
    found: list[Speed] = []
    for width in dict.fromkeys((1, model.width)):
        if time.perf_counter() - began > LONGEST:
            break
        last = found[-1] if found else first
        read = _tokens(last.reading, seconds, width)
        written = _tokens(last.writing, seconds, width)
        found.append(await _at(model, width, read, written, len(found) + 1))
    return tuple(found) or (first,)


def _tokens(rate: float | None, seconds: float, width: int) -> int:
    return max(LEAST, min(MOST, int((rate or 0.0) * seconds / width)))


async def _at(model: Model, width: int, read: int, written: int, draw: int) -> Speed:
    """Reading with answers of one token; writing with short prompts, less what reading these takes."""
    calls, took = await _batch(model, [_long(read, draw, n) for n in range(width)])
    seen = sum(call.tokens_in - call.tokens_cached for call in calls)
    reading = seen / took if took > 0 and seen else None
    calls, took = await _batch(model, [_short(written, draw, n) for n in range(width)])
    short = sum(call.tokens_in - call.tokens_cached for call in calls)
    out = sum(call.tokens_out for call in calls)
    took -= short / reading if reading else 0.0
    return Speed(width, reading, seen, out / took if took > 0 and out else None, out)


async def _batch(model: Model, prompts: list[Prompt]) -> tuple[list[Call], float]:
    began = time.perf_counter()
    calls = await asyncio.gather(*(model(prompt) for prompt in prompts))
    return list(calls), time.perf_counter() - began


def _long(tokens: int, draw: int, n: int) -> Prompt:
    words = " ".join(random.Random(f"{draw} {n}").choices(WORDS, k=tokens))
    return Prompt((user(words),), sampling=Sampling(max_tokens=1))


def _short(tokens: int, draw: int, n: int) -> Prompt:
    word = random.Random(f"{n} {draw}").choice(WORDS)
    asked = Prompt((user(f"{word}: write a long story about it."),), sampling=Sampling(max_tokens=tokens))
    return replace(asked, draw=draw * 1000 + n)


async def calls_tools(model: Model) -> tuple[bool | None, str]:
    """Whether the model calls a tool that it was offered (None: not known), and a remark; one real call."""
    asked = Prompt(
        (user("What is the weather in Bonn now? Call the function weather."),),
        tools=(WEATHER,),
        sampling=Sampling(temperature=0.0, max_tokens=96),
    )
    try:
        call = await model(asked)
    except CallFailed as error:
        return (False, "") if "tools" in str(error) else (None, f"whether it calls tools is not known: {error}")
    called = [one["function"]["name"] for one in call.message.get("tool_calls", ())]
    return bool(called), "" if called else "it was offered a tool and answered with text"

"""A call as the columns of `segment.py`, and back: long texts apart, counts clamped, everything as UTF-8 can hold it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from synthgain.thinking import apart
from synthgain.types import Call, CallFailed, Message, Prompt, canonical, digest, in_order

LONG = 512  # characters; what is longer and repeats is stored once in `texts`
LARGEST = 200_000_000  # characters of one answer or prompt (SQLite holds a billion bytes)
TOO_LONG = f"it is longer than {LARGEST:,} characters"
MOST = (1 << 63) - 1  # the largest count that a column holds
BROKEN = re.compile("[\ud800-\udfff]")  # half of a character: UTF-8 has no form for it

# ---------------------------------------------------------------------------------------------- what is written


def key_of(id: str) -> bytes:
    """The 16 bytes that a call is looked up by; empty where this is no id of a call."""
    try:
        return bytes.fromhex(id[:32])
    except ValueError:
        return b""


def storable(text: str) -> str:
    """The text as UTF-8 can hold it: half a character (broken text from a server) becomes U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return BROKEN.sub("\ufffd", text)
    return text


def row_of(call: Call, identity: str) -> tuple[list[tuple[bytes, str]], tuple[str, str], tuple[Any, ...]]:
    """The long texts of a call by key, its model's URI and identity, and the columns from `key` to `seconds`, all of them storable.

    Counts are clamped to 0 … 2**63 - 1 and numbers that are not finite become null (the law then says so). CallFailed: the
    answer has no such form (a count that is no number, a content that is no text, tool calls that are no JSON).
    """
    try:
        id = bytes.fromhex(call.id)
        if len(id) != 32:
            raise ValueError(f"its id is {call.id!r:.100}")
        long, content, places = _split(call.prompt)
        text, rest = _answer(call.message if call.raw is None else call.raw)
        if len(text) + len(content) + len(rest or "") > LARGEST:
            raise ValueError(TOO_LONG)
        logprob = _finite(call.logprob)
        law = call.law if logprob is not None or call.logprob is None else "the log-probability was not finite"
        return (
            long,
            (_label(call.model), storable(identity)),
            (
                id[:16],
                id[16:],
                content,
                places,
                text,
                rest,
                _label(call.finish),
                *_counts(call),
                logprob,
                _label(law),
                _finite(call.cost),
                _finite(call.seconds) or 0.0,
            ),
        )
    except (AttributeError, LookupError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise CallFailed(f"this answer cannot be written down: {error}") from error


def _split(prompt: Prompt) -> tuple[list[tuple[bytes, str]], str, str | None]:
    """Long texts by key, the content without them, and where they go."""
    if len(prompt.content) <= LONG:
        return [], storable(prompt.content), None
    long: list[tuple[bytes, str]] = []
    places: list[tuple[int | str, str]] = []

    def short(place: int | str, text: str) -> bool:
        if len(text) <= LONG:
            return True
        if len(text) > LARGEST:
            raise ValueError(TOO_LONG)
        hexed = digest(text)[:32]
        long.append((bytes.fromhex(hexed), storable(text)))
        places.append((place, hexed))
        return False

    messages = [turn if short(n, turn["content"]) else turn | {"content": ""} for n, turn in enumerate(prompt.messages)]
    schema = prompt.schema if prompt.schema is None or short("schema", in_order(prompt.schema)) else None
    tools = prompt.tools if not prompt.tools or short("tools", in_order(prompt.tools)) else ()
    if not places:
        return [], storable(prompt.content), None
    rest = replace(prompt, messages=tuple(messages), schema=schema, tools=tools)
    return long, storable(rest.content), canonical(places)


def _answer(message: Message) -> tuple[str, str | None]:
    text = message["content"]
    if not isinstance(text, str):
        raise TypeError(f"its content is {text!r:.100}")
    if len(message) == 2 and message["role"] == "assistant":
        return storable(text), None
    rest = {name: value for name, value in message.items() if name != "content"}
    if message["role"] == "assistant":
        del rest["role"]
    return storable(text), storable(canonical(rest))


def _counts(call: Call) -> tuple[int, int, int]:
    """The three counts of tokens, clamped to what a column holds."""
    came, went, cached = call.tokens_in, call.tokens_out, call.tokens_cached
    if (
        type(came) is type(went) is type(cached) is int
        and 0 <= came <= MOST
        and 0 <= went <= MOST
        and 0 <= cached <= MOST
    ):
        return came, went, cached
    try:
        came, went, cached = (min(max(int(value), 0), MOST) for value in (came, went, cached))
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"its counts of tokens are {(came, went, cached)!r:.100}") from None
    return came, went, cached


def _finite(value: float | None) -> float | None:
    """The number; None where it is none or not finite."""
    if value is None:
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _label(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    return text if text.isascii() else storable(text)


# ---------------------------------------------------------------------------------------------- what is read


def call_of(id: str, prompt: Prompt, uri: str, text: str, rest: str | None, *answer: Any) -> Call:
    """The call that a row holds, thinking set apart."""
    message: Message = {"role": "assistant", "content": text}
    if rest is not None:
        message |= json.loads(rest)
    return apart(Call(id, prompt, message, uri, *answer))


def whole(prompt: Prompt, places: Sequence[tuple[int | str, Any]], text: Callable[[Any], str]) -> Prompt:
    """A prompt with its long parts put back; `text` finds one by what `places` has of it."""
    if not places:
        return prompt
    messages, parts = list(prompt.messages), {}
    for place, key in places:
        if isinstance(place, int):
            messages[place] = messages[place] | {"content": text(key)}
        else:
            parts[place] = json.loads(text(key))
    return replace(
        prompt,
        messages=tuple(messages),
        schema=parts.get("schema", prompt.schema),
        tools=tuple(parts.get("tools", prompt.tools)),
    )

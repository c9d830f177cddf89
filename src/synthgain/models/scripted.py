"""The double: a model that answers by a script. Deterministic, free, part of the product.

    scripted/echo            answers with the last user turn
    scripted/words?n=40      answers with 40 words drawn by the call's identity (uniform over 64 words)
    scripted/PATH.jsonl      lines {"match": "text in the prompt", "answer": …}; the first that matches
                             wins, {"answer": …} matches always; an answer is a text, or a message with
                             content, tool_calls, reasoning

`latency=SECONDS` may be added to each. In Python: `Scripted(reply)` with any function of a prompt.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import math
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from synthgain.thinking import apart
from synthgain.types import Call, CallFailed, Message, ModelInfo, Prompt, SynthgainError, assistant, digest, message

Answer = str | Mapping[str, Any] | Call
Reply = Callable[[Prompt], Answer | Awaitable[Answer]]

VOCABULARY = tuple(
    a + b
    for a in ("ka", "lo", "mi", "nu", "pe", "ro", "sa", "te")
    for b in ("ben", "dor", "fin", "gal", "hem", "jin", "kor", "lun")
)


class Scripted:
    """Answers with `reply(prompt)`: a text, a message (an assistant's turn as a mapping), a whole call, or an awaitable of one."""

    def __init__(
        self, reply: Reply, *, name: str = "python", width: int = 64, latency: float = 0.0, identity: str = ""
    ) -> None:
        self.reply, self.latency = reply, latency
        self._name, self._width = name, width
        self._identity = identity or f"scripted/{name}"
        self.asked = 0

    @property
    def uri(self) -> str:
        return f"scripted/{self._name}"

    @property
    def identity(self) -> str:
        return self._identity

    @property
    def width(self) -> int:
        return self._width

    async def __call__(self, prompt: Prompt) -> Call:
        self.asked += 1
        began = time.perf_counter()
        if self.latency:
            await asyncio.sleep(self.latency)
        answer = self.reply(prompt)
        if inspect.isawaitable(answer):
            answer = await answer
        if isinstance(answer, Call):
            return apart(answer)
        turn = _turn(answer)
        written = max(1, len(turn["content"].split()))
        certain = -written * math.log(len(VOCABULARY)) if self._name.startswith("words") else None
        call = Call(
            id=prompt.id(self.identity),
            prompt=prompt,
            message=turn,
            model=self.uri,
            finish="tool_calls" if "tool_calls" in turn else "stop",
            tokens_in=sum(_counted(m["content"]) for m in prompt.messages),
            tokens_out=written,
            logprob=certain,
            law="uniform over 64 words" if certain is not None else "a script has no law",
            cost=0.0,
            seconds=time.perf_counter() - began,
        )
        return apart(call)

    async def info(self) -> ModelInfo:
        return ModelInfo(
            self.uri, licence="Apache-2.0", logprobs=self._name.startswith("words"), seeds=True, schema=False
        )

    async def aclose(self) -> None:
        return None


def _counted(text: str) -> int:
    """Tokens of a text: its words, and where they are very long (scripts without spaces) one for sixteen bytes."""
    return max(len(text.split()), len(text.encode("utf-8", "replace")) // 16)


def _turn(answer: str | Mapping[str, Any]) -> Message:
    return assistant(answer) if isinstance(answer, str) else message({"role": "assistant", **answer})


def echo(prompt: Prompt) -> str:
    """The last user turn."""
    return next((m["content"] for m in reversed(prompt.messages) if m["role"] == "user"), "")


def words(n: int) -> Reply:
    """`n` words drawn by the prompt's content, seed and draw."""

    def reply(prompt: Prompt) -> str:
        return " ".join(random.Random(prompt.content).choices(VOCABULARY, k=n))

    return reply


def lines(path: Path) -> Reply:
    """Answers from a JSONL script. SynthgainError names the line that is none."""
    try:
        script = [_line(json.loads(line), f"{path}:{n}") for n, line in _numbered(path)]
    except (OSError, ValueError) as error:
        raise SynthgainError(f"the script cannot be read ({error})", where=str(path), next=_LINES) from error

    def reply(prompt: Prompt) -> Message:
        whole = "\n".join(m["content"] for m in prompt.messages)
        for match, turn in script:
            if match in whole:
                return turn
        raise CallFailed("no line of the script matches this prompt")

    return reply


_LINES = (
    'write lines like {"match": "…", "answer": "…"}; an answer may be a message: {"content": "", "tool_calls": […]}'
)


def _numbered(path: Path) -> list[tuple[int, str]]:
    return [(n, line) for n, line in enumerate(path.read_text("utf-8").split("\n"), 1) if line.strip()]


def _line(said: object, where: str) -> tuple[str, Message]:
    """What a line of a script matches, and what it answers."""
    match = said.get("match", "") if isinstance(said, dict) else None
    answer = said.get("answer") if isinstance(said, dict) else None
    if not isinstance(match, str) or not isinstance(answer, str | int | float | dict):
        raise SynthgainError("this line has no match and answer", where=where, next=_LINES)
    try:
        return match, _turn(answer if isinstance(answer, dict) else str(answer))
    except SynthgainError as error:
        raise SynthgainError(error.what, where=where, next=error.next) from error


def open_scripted(name: str, concurrency: int | None = None) -> Scripted:
    """The double that a URI names (without "scripted/"), with so many calls in flight where the URI does not say it."""
    what, _, query = name.partition("?")
    options = dict(parse_qsl(query))
    try:
        latency, width, n = (
            float(options.pop("latency", 0)),
            int(options.pop("width", concurrency or 64)),
            int(options.pop("n", 40)),
        )
    except ValueError as error:
        raise SynthgainError(
            str(error), where=f"scripted/{name}", next="latency is in seconds; n and width are whole numbers"
        ) from None
    if options or width < 1:
        raise SynthgainError(
            f"a script has no setting {next(iter(options))!r}"
            if options
            else f"a width of {width} lets no call through",
            where=f"scripted/{name}",
            next="the settings are n (of words), latency (seconds) and width (calls in flight)",
        )
    if what == "echo":
        return Scripted(echo, name=name, latency=latency, width=width, identity="scripted/echo")
    if what == "words":
        return Scripted(words(n), name=name, latency=latency, width=width, identity=f"scripted/words?n={n}")
    path = Path(what)
    if path.suffix == ".jsonl":
        reply = lines(path)
        return Scripted(
            reply, name=name, latency=latency, width=width, identity=f"scripted/{digest(path.read_text('utf-8'))}"
        )
    raise SynthgainError(
        f"there is no script {what!r}",
        where=f"scripted/{name}",
        next="use scripted/echo, scripted/words?n=40 or scripted/PATH.jsonl",
    )

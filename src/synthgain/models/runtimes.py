"""Which runtime writes with the weights of local/…: llama.cpp's, or transformers on a folder made from them.

Neither is faster everywhere. llama.cpp reads four-bit weights as they are, so few rows at a time come fastest from it; torch
multiplies many rows at once, in bfloat16 where the processor or a GPU has it. With "auto" a run begins with llama.cpp; once it
has asked for more than a handful of calls, both write the same few answers at the width that each would use, and the faster goes on. What
was found is remembered for these weights, this machine and these versions. The runtime is part of no identity: a call is
that of the weights.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from synthgain.machine import processor
from synthgain.models import memory
from synthgain.models.fetching import replacing
from synthgain.models.local import Local
from synthgain.models.weights import LARGE, cache_folder, content_hash
from synthgain.types import Call, Model, ModelInfo, Prompt, Sampling, SynthgainError, digest, user

RUNTIMES = ("auto", "llama", "torch")
HANDFUL = 16  # calls that never make a measurement
GAIN = 1.1  # another runtime must be so much faster
TRIED = Prompt((user("Tell a long story of a river and the people who live beside it."),), sampling=Sampling())


@dataclass(frozen=True)
class Speeds:
    """New tokens a second of both runtimes, each at its own width, and when that was measured."""

    llama: float
    llama_width: int
    torch: float
    torch_width: int
    day: str

    @property
    def picked(self) -> str:
        return "torch" if self.torch > GAIN * self.llama else "llama"

    def __str__(self) -> str:
        return (
            f"writing with {self.picked}: {self.llama:.1f} new tokens/s from llama.cpp at {self.llama_width} slots, "
            f"{self.torch:.1f} from transformers at {self.torch_width} rows, measured on this machine on {self.day} (--runtime llama or torch chooses)"
        )


class Embedded:
    """local/NAME written by either runtime: a `Model` whose identity is that of the weights.

    `torch` makes the transformers model when it is first needed.
    """

    def __init__(self, local: Local, torch: Callable[[], Model], runtime: str = "auto") -> None:
        self.local, self._make, self.runtime = local, torch, runtime
        self._chosen: Model | None = None
        if runtime == "torch":
            self._chosen = torch()
            memory.let_go(local)  # it is never loaded
        self._settled = runtime != "auto"
        self._calls = 0
        self._flying: set[asyncio.Future[Call]] = set()
        self._choosing = asyncio.Lock()

    @property
    def uri(self) -> str:
        return self.local.uri

    @property
    def identity(self) -> str:
        return self.local.identity

    @property
    def width(self) -> int:
        return (self._chosen or self.local).width

    async def __call__(self, prompt: Prompt) -> Call:
        self._calls += 1
        if not self._settled and self._calls > HANDFUL:
            async with self._choosing:
                if not self._settled:
                    await self._choose()
                    self._settled = True
        if self._chosen is not None:
            return await self._chosen(prompt)
        call = asyncio.ensure_future(self.local(prompt))
        self._flying.add(call)
        call.add_done_callback(self._flying.discard)
        return await call

    async def info(self) -> ModelInfo:
        told = await (self._chosen or self.local).info()
        if self._chosen is None:
            return told
        return replace(told, licence=(await self.local.info()).licence)

    async def aclose(self) -> None:
        await self.local.aclose()
        if self._chosen is not None:
            await self._chosen.aclose()

    async def _choose(self) -> None:
        """Measures where that may pay and is not known yet; then one runtime is closed."""
        why = await asyncio.to_thread(_why_not, self.local.path)
        if why is not None:
            if why:
                _say(f"writing with llama.cpp: {why}")
            return
        note = cache_folder() / "runtimes" / f"{_key(self.local)}.json"
        speeds, other = _remembered(note), self._make()
        if speeds is None:
            _say("measuring which runtime writes faster with these weights on this machine, once ...")
            if self._flying:
                await asyncio.wait(set(self._flying))
            try:
                speeds = await measured(self.local, other)
            except SynthgainError as error:
                _say(f"writing with llama.cpp: transformers cannot write with these weights ({error.what})")
                await other.aclose()
                return
            _remember(note, speeds)
        _say(str(speeds))
        if speeds.picked == "torch":
            self._chosen = other
            if self._flying:
                await asyncio.wait(set(self._flying))
            await self.local.aclose()
        else:
            await other.aclose()


async def measured(llama: Model, torch: Model) -> Speeds:
    """The same prompt drawn as often as each is wide, after it was read once."""
    figures = [await _speed(model) for model in (llama, torch)]
    return Speeds(figures[0], llama.width, figures[1], torch.width, time.strftime("%Y-%m-%d"))


async def _speed(model: Model, tokens: int = 12) -> float:
    await model(replace(TRIED, sampling=Sampling(max_tokens=1)))
    asked = [replace(TRIED, sampling=Sampling(max_tokens=tokens), draw=draw + 1) for draw in range(model.width)]
    began = time.perf_counter()
    calls = await asyncio.gather(*(model(prompt) for prompt in asked))
    return sum(call.tokens_out for call in calls) / (time.perf_counter() - began)


def _why_not(weights: Path) -> str | None:
    """Why nothing is measured: "" where nobody needs to hear it; None where it may pay."""
    size = weights.stat().st_size
    if size < LARGE or any(importlib.util.find_spec(name) is None for name in ("torch", "transformers")):
        return ""
    from synthgain.models.folders import arithmetic, device_here, free_bytes, sizes
    from synthgain.models.gguf import numbers

    device = device_here()
    needed = numbers(weights) * sizes(arithmetic(device, light=True))[0]
    free = free_bytes(device)
    if needed * 1.2 > free:
        return f"transformers would need {needed / 1e9:.1f} GB for the weights, and {free / 1e9:.1f} GB are free"
    return None


def _key(local: Local) -> str:
    """What a measurement holds for."""
    versions = [importlib.metadata.version(name) for name in ("torch", "transformers", "xllamacpp")]
    return digest(content_hash(local.path), _processor(), str(os.cpu_count()), str(local.width), *versions)[:32]


def _processor() -> str:
    """The processor's name."""
    told = [said for field in ("model name", "flags") if (said := processor(field))]
    return " ".join([platform.machine(), platform.processor(), *told])


def _remembered(note: Path) -> Speeds | None:
    try:
        held: Any = json.loads(note.read_text("utf-8"))
        return Speeds(**held)
    except (OSError, ValueError, TypeError):
        return None


def _remember(note: Path, speeds: Speeds) -> None:
    note.parent.mkdir(exist_ok=True)
    with replacing(note) as half:
        half.write_text(json.dumps(vars(speeds)), "utf-8")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)

"""hf/PATH: students and any other transformers folder, as a model.

What is promised about seeds: each call draws with a generator of its own, seeded from the call's identity. Calls that are
written side by side are computed together (see `batching`); what stands beside a call changes floating-point sums in the last
digits, so the same call answers the same unless a draw falls within that rounding.
"""

from __future__ import annotations

import asyncio
import json
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthgain.models import memory
from synthgain.models.batching import Batch, Row
from synthgain.models.folders import Loaded, arithmetic, device_here, folder_identity, free_bytes, load, sizes
from synthgain.models.lending import Shared
from synthgain.models.local import law_of
from synthgain.models.promised import settle
from synthgain.models.reading import OneByOne, reader
from synthgain.models.schemas import UNDER, Schemas
from synthgain.models.tool_calls import read_calls
from synthgain.thinking import apart
from synthgain.types import Call, CallFailed, ModelInfo, Prompt, SynthgainError, assistant

WIDEST = 32  # rows; more bring little on two cores (benchmarks/runtimes.py)
USUAL = 1024  # tokens of a row, by which the width is chosen
PART = 0.6  # of the memory that is free beside the weights: for what rows have read
RUNNING: Shared[tuple[str, str, int, str], _Engine] = Shared()


class HF:
    """A transformers folder as a model: `batch` calls are written side by side, as many as memory allows where it is not said.

    `path` may be a function that finds the folder when it is first needed; `uri` and `identity` are then those of what it is
    made from. Models of the same folder share the weights in memory. `light`: the weights were quantised before, and may be
    computed with in eight bits where that is faster (see `eight_bits`).
    """

    def __init__(
        self,
        path: str | Path | Callable[[], Path],
        *,
        device: str | None = None,
        batch: int | None = None,
        uri: str = "",
        identity: Callable[[], str] | None = None,
        light: bool = False,
    ) -> None:
        self._find = path if callable(path) else lambda: Path(path).expanduser()
        self._uri = uri or f"hf/{path}"
        self._given, self._identity = identity, ""
        self._device, self._batch, self._light = device, batch, light
        self._width = batch or 0
        self._engine: _Engine | None = None
        self._folder: Path | None = None if callable(path) else self._find()
        self._lock = threading.Lock()
        self._closed = False
        memory.plan(self)

    @property
    def uri(self) -> str:
        return self._uri

    @property
    def folder(self) -> Path:
        """Found (and made, where it must be) when first asked for."""
        if self._folder is None:
            self._folder = self._find()
        return self._folder

    @property
    def identity(self) -> str:
        if not self._identity:
            self._identity = self._given() if self._given else folder_identity(self.folder)
        return self._identity

    @property
    def width(self) -> int:
        """Until the folder is found, the most that it can be."""
        if not self._width and self._folder is not None:
            self._width = fitting(self._folder, self._device or device_here(), self._light)
        return self._width or WIDEST

    async def __call__(self, prompt: Prompt) -> Call:
        if self._closed:
            raise SynthgainError("the model was closed", where=self.uri)
        call_id = prompt.id(self.identity)
        answer: asyncio.Future[Call] = asyncio.get_running_loop().create_future()
        engine = self._engine
        if engine is None:
            engine = await asyncio.to_thread(self._started)
        engine.ask(_Asked(prompt, call_id, self.uri, answer))
        return await answer

    async def info(self) -> ModelInfo:
        loaded, how = await asyncio.to_thread(lambda: self._started().opened())
        context = getattr(loaded.model.config, "max_position_embeddings", None)
        return ModelInfo(
            self.uri,
            context=context,
            logprobs=True,
            seeds=True,
            schema=True,
            completes=True,
            note=f"transformers, {loaded.arithmetic} on {loaded.device}, {how}",
        )

    async def aclose(self) -> None:
        """Lets answers that are being written end, then frees the weights."""
        self._closed = True
        memory.let_go(self)
        engine, self._engine = self._engine, None
        if engine is not None:
            await asyncio.to_thread(engine.release)

    def _started(self) -> _Engine:
        with self._lock:
            if self._engine is None:
                folder = self.folder
                device = self._device or device_here()
                self._engine = _Engine.shared(folder, device, self.width, arithmetic(device, self._light))
            return self._engine

    def need(self) -> memory.Need | None:
        """What loading this model will take; None where it is loaded, closed, lies on a GPU, or is not here to be looked at."""
        device = self._device or device_here() if self._folder else ""
        if self._closed or device != "cpu" or (self._engine is not None and self._engine.loaded is not None):
            return None
        weight, number = sizes(arithmetic(device, self._light))
        return memory.Need(
            self.uri,
            weights_bytes(self.folder, weight),
            _per_token(self.folder, number) or 0,
            self.width,
            USUAL // 4,  # places have room for what was read, not for all that could be
        )


@dataclass(frozen=True)
class _Asked:
    """A call on its way into the batch."""

    prompt: Prompt
    call_id: str
    uri: str
    answer: asyncio.Future[Call]

    def give(self, what: Call | Exception) -> None:
        """From the engine's thread."""
        settle(self.answer, what)


class _Engine:
    """One folder's weights in memory and the thread that writes with them."""

    @classmethod
    def shared(cls, folder: Path, device: str, places: int, arithmetic: str) -> _Engine:
        key = (folder_identity(folder), device, places, arithmetic)
        return RUNNING.take(key, lambda: cls(key, folder))

    def __init__(self, key: tuple[str, str, int, str], folder: Path) -> None:
        self.key, self.folder = key, folder
        _, self.device, self.places, self.arithmetic = key
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="synthgain-hf")
        self.asked: list[_Asked] = []
        self.lock, self.opening = threading.Lock(), threading.Lock()
        self.busy = False
        self.loaded: Loaded | None = None
        self.batch: Batch | None = None
        self.how = ""

    def release(self) -> None:
        if not RUNNING.give_back(self.key):
            return
        self.thread.shutdown(wait=True)
        self.loaded = self.batch = None

    def opened(self) -> tuple[Loaded, str]:
        """The weights in memory, and how rows are read."""
        with self.opening:
            if self.loaded is None:
                memory.make_sure()
                loaded = load(self.folder, self.device, self.arithmetic)
                reads = reader(loaded, self.places)
                self.how = (
                    "row after row (its attention is its own)"
                    if isinstance(reads, OneByOne)
                    else f"{self.places} rows side by side"
                )
                size = _per_token(self.folder, sizes(self.arithmetic)[1]) or 1
                room = int(PART * free_bytes(self.device))
                self.batch = Batch(loaded, reads, self.places, room, size, self._arrived)
                self.schemas = Schemas(loaded)
                self.loaded = loaded
            return self.loaded, self.how

    def ask(self, asked: _Asked) -> None:
        with self.lock:
            self.asked.append(asked)
            if self.busy:
                return
            self.busy = True
        self.thread.submit(self._work)

    def _work(self) -> None:
        """Writes until nobody asks. What opening the folder raises reaches all who wait."""
        while True:
            try:
                self.opened()
                assert self.batch is not None
                self.batch.run()
            except Exception as error:
                with self.lock:
                    failed, self.asked = self.asked, []
                for asked in failed:
                    asked.give(error)
            with self.lock:
                if not self.asked:
                    self.busy = False
                    return

    def _arrived(self) -> list[Row]:
        with self.lock:
            asked, self.asked = self.asked, []
        rows = []
        for one in asked:
            try:
                rows.append(self._row(one))
            except Exception as error:
                one.give(error)
        return rows

    def _row(self, asked: _Asked) -> Row:
        loaded, prompt = self.loaded, asked.prompt
        assert loaded is not None
        tokens = loaded.tokens(prompt.messages, prompt.tools)
        room = getattr(loaded.model.config, "max_position_embeddings", None)
        if room is not None and len(tokens) >= room:
            raise CallFailed(f"the prompt has {len(tokens)} tokens, the context {room}")
        most = prompt.sampling.max_tokens if room is None else min(prompt.sampling.max_tokens, room - len(tokens))
        return Row(
            prompt,
            tokens,
            most,
            seed=int(asked.call_id[:8], 16) & 0x7FFFFFFF,
            give=lambda what: asked.give(what if isinstance(what, Exception) else _call(loaded, asked, what)),
            wanted=lambda: not asked.answer.cancelled(),
            steer=None if prompt.schema is None else self.schemas(prompt.schema),
        )


def _call(loaded: Loaded, asked: _Asked, row: Row) -> Call:
    law = law_of(row.prompt.sampling)
    turn = read_calls(assistant(loaded.opening(row.tokens) + row.text), row.prompt.tools, asked.call_id)
    call = Call(
        id=asked.call_id,
        prompt=row.prompt,
        message=turn,
        model=asked.uri,
        finish="tool_calls" if row.finish == "stop" and "tool_calls" in turn else row.finish,
        tokens_in=len(row.tokens),
        tokens_out=len(row.written),
        tokens_cached=row.cached,
        logprob=math.fsum(row.logprobs),
        law=law if row.steer is None else law + UNDER,
        cost=0.0,
        seconds=time.perf_counter() - row.began,
    )
    return apart(call)


# ---------------------------------------------------------------------------------------------- memory


def fitting(folder: Path, device: str, light: bool = False) -> int:
    """How many rows are written side by side: as many as memory has room for beside the weights, at most `WIDEST`."""
    weight, number = sizes(arithmetic(device, light))
    per_token = _per_token(folder, number)
    if per_token is None:
        return WIDEST
    left = PART * (free_bytes(device) - weights_bytes(folder, weight))
    return max(1, min(WIDEST, int(left // (per_token * USUAL))))


def weights_bytes(folder: Path, size: float) -> int:
    """What the weights of a folder take in memory, in numbers of `size` bytes."""
    held = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    config = _config(folder)
    stored = {"bfloat16": 2, "float16": 2}.get(str(config.get("dtype") or config.get("torch_dtype")), 4)
    return int(held * size / stored)


def _per_token(folder: Path, size: int) -> int | None:
    """Bytes of keys and values of one token; None where the configuration does not say."""
    config = _config(folder)
    layers, heads = config.get("num_hidden_layers"), config.get("num_attention_heads")
    if not layers or not heads:
        return None
    width = config.get("head_dim") or config.get("hidden_size", 0) // heads
    return int(2 * layers * (config.get("num_key_value_heads") or heads) * width * size)


def _config(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}

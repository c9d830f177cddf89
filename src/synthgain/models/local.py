"""The embedded model: llama.cpp's server inside this process, on any GGUF file.

    local/smollm2-135m          SmolLM2-135M-Instruct, found by `weights.find`, run as Q8_0
    local/qwen2.5-coder-1.5b    Qwen2.5-Coder-1.5B-Instruct, a stronger writer, run as it is (Q4_K_M)
    local/PATH.gguf             a file of your own
    hf://REPO/FILE.gguf         a file of a hub

What is promised about seeds: each call's seed is derived from its identity, so the same call is asked the
same way every time. On one kind of processor and one version of the runtime the same call gives
the same text and the same log-probability to the last bit, alone or beside others, with or without a prefix
that another call has read: always with `threads=1`, and with more threads up to 512 tokens of prompt
and answer. Beyond those, the runtime splits sums over threads by what else is in the batch, so that
the last digits, and now and then a token, depend on the company. So they do from the first token on with weights of over 500 MB, which are
read 512 tokens at a time: that is faster by a third (decisions/2026-11-28-embedded-weights.md). A call that is remembered is never asked again.

A prompt whose one message has the role "raw" is completed without a chat template; an empty one
begins with nothing but the token that begins a text. Where it stands behind a chat the template writes what is before it (`begun.py`). Penalties count the prompt's tokens too.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from synthgain.models import memory, protocol
from synthgain.models.begun import NO_TOOLS, before, is_text, text_of
from synthgain.models.grammars import passed_over
from synthgain.models.known import KNOWN
from synthgain.models.llamacpp import MOST, Runtime
from synthgain.models.memory import Need
from synthgain.models.tool_calls import numbered, read_calls
from synthgain.models.weights import HUB, bytes_a_token, content_hash, eight_bit, find, metadata, runnable
from synthgain.thinking import apart
from synthgain.types import (
    Call,
    CallFailed,
    Message,
    ModelInfo,
    Prompt,
    Sampling,
    SynthgainError,
    assistant,
    digest,
    in_order,
    offered,
)

CONTEXT = 4096  # tokens of prompt and answer together, where the weights allow it
SLOTS = 8  # more bring little on two cores (benchmarks/embedded.py) and each costs memory for its context
NOT_ASKED = "log-probabilities were not asked for"
ORDER = ["penalties", "temperature", "top_k", "top_p", "min_p"]  # the order that transformers has


class Local:
    """A GGUF model inside this process; it starts with the first call.

    `slots` calls run side by side (continuous batching), `context` tokens each, on `threads` threads.
    Without `logprobs` answers come a quarter faster (at T = 1 there is no difference).
    Models of the same weights and settings share one runtime.
    """

    def __init__(
        self,
        name_or_path: str | Path,
        *,
        slots: int | None = None,
        threads: int | None = None,
        context: int | None = None,
        name: str = "",
        logprobs: bool = True,
    ) -> None:
        self._asked, self._name = str(name_or_path), name or str(name_or_path)
        self._known = KNOWN.get(self._asked)
        self._logprobs = logprobs
        self._slots = min(slots or SLOTS, MOST)
        self._threads = threads or memory.processors()
        self._context = context
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(self._slots, thread_name_prefix="synthgain-local")
        self._path: Path | None = None
        self._identity = ""
        self._runtime: Runtime | None = None
        self._closed = False
        self._failed: SynthgainError | None = None
        self._schemas: set[str] = set()
        memory.plan(self)

    @property
    def uri(self) -> str:
        return self._name if self._name.startswith(HUB) else f"local/{self._name}"

    @property
    def path(self) -> Path:
        """The weights in use; found (and fetched, where they must be) when first asked for."""
        if self._path is None:
            found = find(self._asked)
            runnable(found)
            self._path = eight_bit(found) if self._known is not None and self._known.eight_bit else found
        return self._path

    @property
    def identity(self) -> str:
        """Content hash of the weights' file, and of the chat template with its default system message; of known weights without the file."""
        if self._known is not None:
            return self._known.identity
        if not self._identity:
            template = metadata(self.path).get("tokenizer.chat_template", "")
            self._identity = f"{content_hash(self.path)}/template-{digest(template)[:16]}"
        return self._identity

    @property
    def width(self) -> int:
        return self._slots

    async def __call__(self, prompt: Prompt) -> Call:
        if self._closed:
            raise SynthgainError("the model was closed", where=self.uri)
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._ask, prompt)

    async def info(self) -> ModelInfo:
        fields = await asyncio.to_thread(lambda: metadata(self.path))
        licence = fields.get("general.license") if self._known is None else self._known.licence
        return ModelInfo(
            self.uri,
            licence=licence,
            context=_context(fields, self._context),
            logprobs=True,
            seeds=True,
            schema=True,
            completes=True,
            note=f"{fields.get('general.name', self.path.name)}, {self._slots} slots in this process",
        )

    async def aclose(self) -> None:
        """Lets answers that are being written end, then frees the runtime."""
        self._closed = True
        await asyncio.to_thread(self._close)

    def need(self) -> Need | None:
        """What loading this model will take; None where it is loaded, closed, or not here to be looked at."""
        if self._runtime is not None or self._closed:
            return None
        if self._known is not None:
            size, token = self._known.size, self._known.cache
            context = min(self._context or CONTEXT, self._known.context)
        elif self._path is not None:
            fields = metadata(self._path)
            size, token, context = self._path.stat().st_size, bytes_a_token(fields), _context(fields, self._context)
        else:
            return None
        return Need(self.uri, size, token, self._slots, context)

    def _close(self) -> None:
        memory.let_go(self)
        self._pool.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            runtime, self._runtime = self._runtime, None
        if runtime is not None:
            runtime.release()

    def _started(self) -> Runtime:
        with self._lock:
            if (
                self._failed is not None
            ):  # calls that waited beside the one that failed: nothing is tried again for each
                raise CallFailed(self._failed.what) if self._failed.code == 130 else self._failed
            if self._runtime is None:
                try:
                    self._runtime = self._start()
                except SynthgainError as error:
                    self._failed = error
                    if error.code == 130:  # the run knows that it was interrupted, and ends in its own way
                        raise CallFailed(error.what) from error
                    raise
            return self._runtime

    def _start(self) -> Runtime:
        if self._known is None:
            _ = self.path  # it has to be here to be looked at
        memory.make_sure()
        context = _context(metadata(self.path), self._context)
        return Runtime.shared(self.path, self._slots, self._threads, context)

    def _ask(self, prompt: Prompt) -> Call:
        if prompt.tools and "tools" not in metadata(self.path).get("tokenizer.chat_template", ""):
            raise CallFailed("the model's chat template has no place for tools")
        if prompt.schema is not None:
            self._say_what_is_passed_over(prompt.schema)
        runtime, began = self._started(), time.perf_counter()
        call_id = prompt.id(self.identity)
        chat = before(prompt.messages) if is_text(prompt.messages) else ()
        written = runtime.written(chat) if chat else ""
        asked = request(prompt, int(call_id[:8], 16) & 0x7FFFFFFF, self._logprobs, written)
        answer, cached = runtime.ask(prompt, asked)
        choice, usage = answer["choices"][0], answer["usage"]
        turn = read_calls(_message(choice, call_id), prompt.tools, call_id)
        ended = choice["finish_reason"] or "stop"
        logprob, law = _logprob(prompt, choice) if self._logprobs else (None, NOT_ASKED)
        call = Call(
            id=call_id,
            prompt=prompt,
            message=turn,
            model=self.uri,
            finish="tool_calls" if ended == "stop" and "tool_calls" in turn else ended,
            tokens_in=usage["prompt_tokens"],
            tokens_out=usage["completion_tokens"],
            tokens_cached=cached,
            logprob=logprob,
            law=law,
            cost=0.0,
            seconds=time.perf_counter() - began,
        )
        return apart(call)

    def _say_what_is_passed_over(self, schema: Mapping[str, Any]) -> None:
        """Once for each schema."""
        key = digest(in_order(schema))
        with self._lock:
            known = key in self._schemas
            self._schemas.add(key)
        if not known and (unsaid := passed_over(schema)):
            what = f"{self.uri}: the embedded runtime does not follow {', '.join(unsaid)} of this schema: answers may break it"
            print(f"synthgain: {what}", file=sys.stderr, flush=True)


def _message(choice: dict[str, Any], call_id: str) -> Message:
    """The answer of a chat, or of a text that was continued. Ids of tool calls follow from the call's (the runtime draws them by chance)."""
    if "message" not in choice:
        return assistant(choice["text"])
    try:
        turn = protocol.answered(choice["message"])
    except ValueError as error:
        raise CallFailed(f"the embedded runtime gave no answer: {error}") from error
    if "tool_calls" in turn:
        turn["tool_calls"] = numbered(turn["tool_calls"], call_id)
    return turn


def _context(fields: dict[str, Any], asked: int | None) -> int:
    trained = int(fields.get(f"{fields.get('general.architecture')}.context_length", CONTEXT))
    return min(asked or CONTEXT, trained)


# ---------------------------------------------------------------------------------------------- the request


def request(prompt: Prompt, seed: int, logprobs: bool = True, written: str = "") -> dict[str, Any]:
    """The request's body, every setting of the law written out (the server's own defaults truncate).

    `written` is what the template made of the chat before a text that begins a turn."""
    s = prompt.sampling
    body: dict[str, Any] = {
        "max_tokens": s.max_tokens,
        "seed": seed,
        "temperature": s.temperature,
        "top_k": s.top_k,
        "top_p": s.top_p,
        "min_p": s.min_p,
        "presence_penalty": s.presence_penalty,
        "frequency_penalty": s.frequency_penalty,
        "repeat_penalty": 1.0,
        "repeat_last_n": 1 << 20,
        "dry_multiplier": 0.0,
        "typical_p": 1.0,
        "xtc_probability": 0.0,
        "samplers": ORDER,
        "cache_prompt": True,
        "stop": list(s.stop),
    }
    raw = is_text(prompt.messages)
    if raw:
        if prompt.tools:
            raise CallFailed(NO_TOOLS)
        body["prompt"] = text_of(prompt.messages, written)
    else:
        body["messages"] = [dict(message) for message in protocol.sent(prompt.messages)]
    if prompt.tools:
        body["tools"] = offered(prompt.tools)
    if prompt.schema is not None:
        schema = json.loads(in_order(prompt.schema))
        body |= (
            {"json_schema": schema}
            if raw
            else {"response_format": {"type": "json_schema", "json_schema": {"schema": schema}}}
        )
    elif s.temperature > 0 and logprobs and not prompt.tools:
        body |= {"n_probs": 1, "logprobs": 1} if raw else {"logprobs": True, "top_logprobs": 1}
        if not s.plain:
            body["post_sampling_probs"] = True
    return body


def law_of(s: Sampling) -> str:
    """The law's name, as `Call.law` has it."""
    if s.temperature <= 0:
        return "greedy"
    if s.plain:
        return "softmax at T=1"
    said = [f"softmax at T={s.temperature:g}"]
    said += (
        [f"top-k {s.top_k}"] * bool(s.top_k)
        + [f"top-p {s.top_p:g}"] * (s.top_p < 1)
        + [f"min-p {s.min_p:g}"] * (s.min_p > 0)
    )
    said += [f"presence penalty {s.presence_penalty:g}"] * bool(s.presence_penalty)
    said += [f"frequency penalty {s.frequency_penalty:g}"] * bool(s.frequency_penalty)
    return ", ".join(said)


def _logprob(prompt: Prompt, choice: dict[str, Any]) -> tuple[float | None, str]:
    """The sum over the answer's tokens, and the law; None with the reason where the runtime gives another law's."""
    if prompt.schema is not None:
        return None, "the runtime does not give probabilities under the schema"
    if prompt.tools:
        return None, "the runtime does not give probabilities where tools are offered"
    law = law_of(prompt.sampling)
    if law == "greedy":
        return 0.0, law
    tokens = (choice.get("logprobs") or {}).get("content")
    if tokens is None:
        return (0.0, law) if prompt.sampling.max_tokens == 0 else (None, "the runtime gave no log-probabilities")
    if prompt.sampling.plain:
        return math.fsum(token["logprob"] for token in tokens), law
    return math.fsum(math.log(token["prob"]) if token["prob"] > 0 else -math.inf for token in tokens), law

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
the last digits, and now and then a token, depend on the company. A call that is remembered is never asked again.

A prompt whose one message has the role "raw" is completed without a chat template; an empty one
begins with nothing but the token that begins a text. Penalties count the prompt's tokens too.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import http.client
import json
import math
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from synthgain.models import memory, protocol
from synthgain.models.grammars import passed_over
from synthgain.models.known import KNOWN
from synthgain.models.memory import Need
from synthgain.models.slots import Slots
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
    canonical,
    digest,
    in_order,
    offered,
)

CONTEXT = 4096  # tokens of prompt and answer together, where the weights allow it
SLOTS = 8  # more bring little on two cores (benchmarks/embedded.py) and each costs memory for its context
MOST = 63  # slots at most: tokens in a batch must stay under the 64 of the other attention kernel
SPINS = "1000"  # rounds that a thread of the runtime waits awake before it sleeps
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
        self._runtime: _Runtime | None = None
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

    def _started(self) -> _Runtime:
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

    def _start(self) -> _Runtime:
        if self._known is None:
            _ = self.path  # it has to be here to be looked at
        memory.make_sure()
        context = _context(metadata(self.path), self._context)
        return _Runtime.shared(self.path, self._slots, self._threads, context)

    def _ask(self, prompt: Prompt) -> Call:
        if prompt.tools and "tools" not in metadata(self.path).get("tokenizer.chat_template", ""):
            raise CallFailed("the model's chat template has no place for tools")
        if prompt.schema is not None:
            self._say_what_is_passed_over(prompt.schema)
        runtime, began = self._started(), time.perf_counter()
        call_id = prompt.id(self.identity)
        asked = request(prompt, int(call_id[:8], 16) & 0x7FFFFFFF, self._logprobs)
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


def request(prompt: Prompt, seed: int, logprobs: bool = True) -> dict[str, Any]:
    """The request's body, every setting of the law written out (the server's own defaults truncate)."""
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
    raw = is_raw(prompt)
    if raw:
        body["prompt"] = prompt.messages[0]["content"]
    else:
        body["messages"] = [dict(message) for message in protocol.sent(prompt.messages)]
    if prompt.tools and raw:
        raise CallFailed("text without a chat template offers no tools")
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


def is_raw(prompt: Prompt) -> bool:
    """Whether the prompt is text to be continued. CallFailed where "raw" stands among other messages."""
    raw = any(message["role"] == "raw" for message in prompt.messages)
    if raw and len(prompt.messages) > 1:
        raise CallFailed('a message of the role "raw" must be the only one')
    return raw


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


# ---------------------------------------------------------------------------------------------- the runtime


class _Runtime:
    """One server in this process, shared by the models that want the same."""

    _running: dict[tuple[str, int, int, int], _Runtime] = {}  # noqa: RUF012
    _guard = threading.Lock()

    @classmethod
    def shared(cls, path: Path, slots: int, threads: int, context: int) -> _Runtime:
        key = (content_hash(path), slots, threads, context)
        with cls._guard:
            runtime = cls._running.get(key)
            if runtime is None:
                runtime = cls._running[key] = cls(key, path)
            runtime.users += 1
            return runtime

    def __init__(self, key: tuple[str, int, int, int], path: Path) -> None:
        self.key, self.users, self.path = key, 0, path
        _, slots, threads, self.context = key
        self.folder = _private_folder()
        self.secret = secrets.token_urlsafe(24)
        try:
            self.server = _start(path, slots, threads, self.context, self.folder, self.secret)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        self.slots = Slots(slots, self._save, self._restore, lambda name: (self.folder / name).unlink(missing_ok=True))
        self.bos = self._first_token()

    def release(self) -> None:
        with self._guard:
            self.users -= 1
            if self.users:
                return
            del self._running[self.key]
        self.server = None  # the runtime ends with its last reference
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, prompt: Prompt, body: dict[str, Any]) -> tuple[dict[str, Any], int]:
        """The runtime's answer, and how many tokens of the prompt it did not have to read."""
        if body.get("prompt") == "":
            body["prompt"] = self.bos
        said = _read_as(prompt)

        def read(slot: int) -> int:
            unsampled = {
                name: value for name, value in body.items() if name not in ("logprobs", "top_logprobs", "n_probs")
            }
            return int(self._post(unsampled | {"max_tokens": 0, "id_slot": slot})["timings"]["cache_n"])

        with self.slots.lease(said, read) as lease:
            answer = self._post(body | {"id_slot": lease.slot})
            return answer, int(answer["timings"]["cache_n"]) if lease.cached is None else lease.cached

    def _post(self, body: dict[str, Any]) -> dict[str, Any]:
        """Blocks without the interpreter's lock. CallFailed where the runtime refuses."""
        server = self.server
        try:
            answer = server.handle_completions(body) if "prompt" in body else server.handle_chat_completions(body)
        except ValueError as error:  # a request that it cannot even read: a schema, in all that was seen
            said = " ".join(str(error).split()).rpartition("JSON schema error at ")[2]
            raise CallFailed(f"the embedded runtime cannot follow this: {said[:300]}") from error
        if "error" not in answer:
            return dict(answer)
        error = answer["error"]
        if error.get("type") == "exceed_context_size_error":
            raise CallFailed(f"the prompt has {error['n_prompt_tokens']} tokens, the context {error['n_ctx']}")
        raise CallFailed(f"the embedded runtime refused: {error.get('message', error)}")

    def _http(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """What the runtime offers over its private socket only."""
        connection = _Socket(self.folder / SOCKET)
        with contextlib.closing(connection):
            connection.request(
                "POST",
                path,
                json.dumps(body),
                {"Authorization": f"Bearer {self.secret}", "Content-Type": "application/json"},
            )
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def _save(self, slot: int, name: str) -> int:
        status, answer = self._http(f"/slots/{slot}?action=save", {"filename": name})
        return int(answer["n_written"]) if status == 200 else 0

    def _restore(self, slot: int, name: str) -> bool:
        return self._http(f"/slots/{slot}?action=restore", {"filename": name})[0] == 200

    def _first_token(self) -> list[int]:
        """The token that begins a text."""
        return [int(metadata(self.path).get("tokenizer.ggml.bos_token_id", 1))]


def _read_as(prompt: Prompt) -> str:
    """A text whose common beginnings are about those of the prompts that the runtime reads."""
    tools = in_order(prompt.tools) if prompt.tools else ""
    turns = (
        f"{m['role']}\x1f{m['content']}" if len(m) == 2 else canonical({k: v for k, v in m.items() if k != "learn"})
        for m in prompt.messages
    )
    return tools + "\x1e".join(turns)


SOCKET = "llama.sock"  # the runtime takes a name that ends so for a Unix socket


class _Socket(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self.path))


def _start(path: Path, slots: int, threads: int, context: int, folder: Path, secret: str) -> Any:
    try:
        with _patient_threads():
            import xllamacpp
    except ImportError as error:
        raise SynthgainError(
            "the embedded model needs xllamacpp", next='pip install "synthgain[local]"', code=4
        ) from error
    p = xllamacpp.CommonParams()
    p.model.path = str(path)
    p.n_parallel, p.n_ctx = slots, slots * context
    p.cpuparams.n_threads = p.cpuparams_batch.n_threads = threads
    p.verbosity = -1
    p.kv_unified = False  # a slot's numbers must not depend on what stands in the others
    # flash attention token for token: its kernel for 64 tokens and more sums in another order, so that how much of
    # a prompt was read before would change answers; without it, what else is in the batch does
    p.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED
    p.n_batch = p.n_ubatch = MOST
    p.cache_ram_mib, p.cache_idle_slots = 0, False  # we share prefixes ourselves, through `slot_save_path`
    p.slot_save_path = str(folder) + os.sep
    p.slot_prompt_similarity = 0.0  # we choose the slot
    p.hostnames = [str(folder / SOCKET)]  # a Unix socket in a folder that is ours alone: no port at all
    p.api_keys = [secret]
    p.endpoint_props = p.ui = False
    with _signals_kept():
        try:
            return xllamacpp.Server(p)
        except RuntimeError as error:
            raise SynthgainError(
                f"the embedded runtime cannot load the weights, whose architecture is {metadata(path).get('general.architecture')!r} ({error})",
                where=str(path),
                code=4,
                next="check that the file is whole, that memory suffices, and that llama.cpp knows this kind of model (a newer one may: "
                'pip install -U "synthgain[local]")',
            ) from error


@contextlib.contextmanager
def _patient_threads() -> Iterator[None]:
    """Lets the runtime's threads sleep while they wait for each other; OpenMP reads this once, as it is loaded.

    By default they spin, and on a machine that others use too one thread that is not running stops all of
    them: two busy neighbours on two cores made generation a hundred times slower (decisions/, embedded runtime).
    """
    mine = "GOMP_SPINCOUNT" not in os.environ and "OMP_WAIT_POLICY" not in os.environ
    if mine:
        os.environ["GOMP_SPINCOUNT"] = SPINS
    try:
        yield
    finally:
        if mine:
            del os.environ["GOMP_SPINCOUNT"]


def _private_folder() -> Path:
    """A new folder that only this user can enter; those of processes that are gone are removed."""
    parent = Path(tempfile.gettempdir())
    for old in parent.glob("synthgain-[0-9]*-*"):
        with contextlib.suppress(OSError, ValueError):
            pid = int(old.name.split("-")[1])
            if old.stat().st_uid == os.getuid() and not _alive(pid):
                shutil.rmtree(old, ignore_errors=True)
    folder = tempfile.mkdtemp(prefix=f"synthgain-{os.getpid()}-", dir=parent)
    return Path(folder)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Puts back what the process does at Ctrl-C and SIGTERM: the runtime takes both for itself when it starts."""
    libc = ctypes.CDLL(None)
    before = {number: ctypes.create_string_buffer(512) for number in (signal.SIGINT, signal.SIGTERM)}
    for number, action in before.items():
        libc.sigaction(int(number), None, action)
    try:
        yield
    finally:
        for number, action in before.items():
            libc.sigaction(int(number), action, None)

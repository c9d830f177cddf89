"""llama.cpp's server inside this process: one for each file and setting, with slots of its own, and no port."""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from synthgain.machine import patient_threads
from synthgain.models import protocol
from synthgain.models.lending import Shared
from synthgain.models.slots import Slots
from synthgain.models.weights import LARGE, content_hash, metadata
from synthgain.types import CallFailed, Message, Prompt, SynthgainError, canonical, in_order

MOST = 63  # slots at most: tokens in a batch must stay under the 64 of the other attention kernel
READ_AT_ONCE = 512  # tokens of a step with large weights, where speed counts for more than equal answers in any company
RUNNING: Shared[tuple[str, int, int, int], Runtime] = Shared()


class Runtime:
    """One server in this process, shared by the models that want the same."""

    @classmethod
    def shared(cls, path: Path, slots: int, threads: int, context: int) -> Runtime:
        key = (content_hash(path), slots, threads, context)
        return RUNNING.take(key, lambda: cls(key, path))

    def __init__(self, key: tuple[str, int, int, int], path: Path) -> None:
        self.key, self.path = key, path
        _, slots, threads, self.context = key
        self.folder = _private_folder()
        self.secret = secrets.token_urlsafe(24)
        try:
            self.server = start(path, slots, threads, self.context, self.folder, self.secret)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        self.slots = Slots(slots, self._save, self._restore, lambda name: (self.folder / name).unlink(missing_ok=True))
        self.bos = self._first_token()

    def release(self) -> None:
        if not RUNNING.give_back(self.key):
            return
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
            return int(self.post(unsampled | {"max_tokens": 0, "id_slot": slot})["timings"]["cache_n"])

        with self.slots.lease(said, read) as lease:
            answer = self.post(body | {"id_slot": lease.slot})
            return answer, int(answer["timings"]["cache_n"]) if lease.cached is None else lease.cached

    def post(self, body: dict[str, Any]) -> dict[str, Any]:
        """Blocks without the interpreter's lock. CallFailed where the runtime refuses."""
        server = self.server
        try:
            answer = server.handle_completions(body) if "prompt" in body else server.handle_chat_completions(body)
        except ValueError as unread:  # a request that it cannot even read: for its schema, in all that was seen
            said = " ".join(str(unread).split()).rpartition("JSON schema error at ")[2]
            raise CallFailed(f"the embedded runtime cannot follow this: {said[:300]}") from unread
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

    def written(self, chat: Sequence[Message]) -> str:
        """The chat as the model's template writes it, with the opening of an answer. CallFailed where the template refuses it."""
        status, answer = self._http("/apply-template", {"messages": [dict(turn) for turn in protocol.sent(chat)]})
        if status != 200:
            said = answer.get("error", answer)
            raise CallFailed(f"the model's chat template refuses this chat: {said!s:.300}")
        return str(answer["prompt"])

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


def start(path: Path, slots: int, threads: int, context: int, folder: Path, secret: str) -> Any:
    try:
        with patient_threads():
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
    p.n_batch = p.n_ubatch = MOST if path.stat().st_size < LARGE else READ_AT_ONCE
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

"""A transformers folder: known by its content, opened in memory, its chat template filled in."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthgain.machine import multiplies_bfloat16, multiplies_bytes, patient_threads
from synthgain.models import protocol
from synthgain.models.begun import NO_TOOLS, before, is_text, text_of
from synthgain.models.eight_bits import BYTES, turned
from synthgain.models.memory import free_memory
from synthgain.models.weights import content_hash
from synthgain.thinking import opening_of
from synthgain.types import CallFailed, Message, SynthgainError, digest, offered

UNKNOWN = 8 << 30  # bytes of memory that are taken to be free where the system does not say
_TEXTS = ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json")


def folder_identity(folder: Path) -> str:
    """Content hash of a transformers folder: weights, configuration, tokenizer, chat template."""
    weights = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
    if not (folder / "config.json").is_file() or not weights:
        raise SynthgainError(
            "this is no transformers folder (config.json and model.safetensors)",
            where=str(folder),
            next="give a folder that `synthgain train` or `save_pretrained` wrote; a GGUF file is local/PATH.gguf",
        )
    files = [*weights, *(folder / name for name in _TEXTS if (folder / name).is_file())]
    return digest(*(part for file in files for part in (file.name, content_hash(file))))


@dataclass
class Loaded:
    """A folder in memory."""

    model: Any
    tokenizer: Any
    torch: Any
    device: str
    arithmetic: str = "float32"

    def tokens(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> list[int]:
        """A prompt's tokens: the chat template (which gets the tools) with the opening of an answer, or text to go on with (`begun.py`)."""
        if is_text(messages):
            if tools:
                raise CallFailed(NO_TOOLS)
            chat = before(messages)
            return self.text(text_of(messages, self._written(chat, ()) if chat else "")) or [self.first()]
        written = self._written(messages, tools)
        if tools and written == self._written(messages, ()):
            raise CallFailed("the folder's chat template has no place for tools")
        return self.text(written)

    def _written(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> str:
        if not self.tokenizer.chat_template:
            raise CallFailed('the folder has no chat template: send text as one message of the role "raw"')
        try:
            written: str = self.tokenizer.apply_chat_template(
                templated(messages), tools=offered(tools) or None, add_generation_prompt=True, tokenize=False
            )
        except Exception as error:  # a template raises what its author chose, for chats that it does not know
            raise CallFailed(f"the folder's chat template refuses this chat: {error}") from error
        return written

    def opening(self, tokens: Sequence[int]) -> str:
        """The mark with which the chat template opened the thinking itself, at the end of a prompt; "" where it did not."""
        return opening_of(self.tokenizer.decode(list(tokens[-16:])))

    def text(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def first(self) -> int:
        """The token that begins a text."""
        for token in (self.tokenizer.bos_token_id, self.model.config.bos_token_id, self.tokenizer.eos_token_id):
            if token is not None:
                return int(token)
        raise CallFailed("the folder names no token that begins a text")

    def ends(self) -> set[int]:
        """The tokens that end an answer."""
        named = self.model.generation_config.eos_token_id
        found = {named} if isinstance(named, int) else set(named or ())
        return found | ({self.tokenizer.eos_token_id} - {None})


def templated(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Messages as the chat templates of transformers read them: arguments of tool calls as objects, reasoning as `reasoning_content`."""
    turns = []
    for message in protocol.sent(messages):
        turn = dict(message)
        if "tool_calls" in turn:
            turn["tool_calls"] = [_with_object(call) for call in turn["tool_calls"]]
        turns.append(turn)
    return turns


def _with_object(call: Mapping[str, Any]) -> Mapping[str, Any]:
    """A tool call whose arguments are an object where their text is one."""
    function = call.get("function")
    said = function.get("arguments") if isinstance(function, Mapping) else None
    try:
        found = json.loads(said) if isinstance(said, str) else None
    except (ValueError, RecursionError):
        return call
    return {**call, "function": {**function, "arguments": found}} if function and isinstance(found, dict) else call


def load(folder: Path, device: str, arithmetic: str = "float32") -> Loaded:
    """`arithmetic` is a dtype of torch, or "int8" (see `eight_bits`)."""
    torch, transformers = torch_and_transformers()
    light = arithmetic == "int8"
    try:
        with quiet(transformers):
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
            model = transformers.AutoModelForCausalLM.from_pretrained(
                folder, dtype=torch.bfloat16 if light else getattr(torch, arithmetic)
            )
    except Exception as error:  # damaged weights raise each library's own kind
        raise SynthgainError(
            f"transformers cannot read the folder ({str(error).splitlines()[0]})", where=str(folder)
        ) from error
    model = turned(model) if light else model.to(device)
    return Loaded(model.eval(), tokenizer, torch, device, arithmetic)


def device_here() -> str:
    """Where a model that writes is best put: the GPU where there is one."""
    torch, _ = torch_and_transformers()
    return "cuda" if torch.cuda.is_available() else "cpu"


def arithmetic(device: str, light: bool = False) -> str:
    """The numbers that a model writes with: bfloat16 where the device computes in it, else float32; with `light`, before float32, int8
    where the processor multiplies bytes fast."""
    torch, _ = torch_and_transformers()
    if device.startswith("cuda"):
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    if multiplies_bfloat16() and torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return "bfloat16"
    bytes_fast = multiplies_bytes() and hasattr(torch.ops.onednn, "qlinear_pointwise")
    return "int8" if light and bytes_fast else "float32"


def sizes(arithmetic: str) -> tuple[float, int]:
    """Bytes that a weight and a number that was read take."""
    return {"bfloat16": (2.0, 2), "int8": (BYTES, 4)}.get(arithmetic, (4.0, 4))


def free_bytes(device: str) -> int:
    """Memory that is free where a model would lie."""
    torch, _ = torch_and_transformers()
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[0])
    free = free_memory()
    return UNKNOWN if free is None else free


class quiet:
    """No progress bars and advice from transformers while it reads."""

    def __init__(self, transformers: Any) -> None:
        self.logging = transformers.utils.logging

    def __enter__(self) -> None:
        self.level, self.bars = self.logging.get_verbosity(), self.logging.is_progress_bar_enabled()
        self.logging.set_verbosity_error()
        self.logging.disable_progress_bar()
        self.caught = warnings.catch_warnings()
        self.caught.__enter__()
        # the reader maps the file read-only and torch warns that it must not be written; it is only read
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable", category=UserWarning)

    def __exit__(self, *_: object) -> None:
        self.caught.__exit__(None, None, None)
        self.logging.set_verbosity(self.level)
        if self.bars:
            self.logging.enable_progress_bar()


def torch_and_transformers() -> tuple[Any, Any]:
    """The two libraries, or how to install them."""
    try:
        with patient_threads():
            import torch
        import transformers
    except ImportError as error:
        raise SynthgainError(
            "a transformers model needs torch and transformers", next='pip install "synthgain[train]"'
        ) from error
    return torch, transformers

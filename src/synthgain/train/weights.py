"""What a student starts from, weights or nothing but a configuration, and how its own weights come to disk."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthgain.train.student import SAYS, check_model, weights_digest
from synthgain.types import SynthgainError, digest


@dataclass(frozen=True)
class Scratch:
    """A student that starts from random weights: a transformers configuration (a JSON file with `model_type`) and a tokenizer's folder.

    Without `vocab_size` the configuration gets the tokenizer's. The seed of the training draws the weights.
    """

    config: Path
    tokenizer: Path

    def settings(self) -> dict[str, Any]:
        """What the file says. SynthgainError where it is no configuration."""
        try:
            held = json.loads(self.config.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise SynthgainError(
                f"the configuration cannot be read ({error})", where=str(self.config), next="give a model's config.json"
            ) from error
        if not isinstance(held, dict) or not isinstance(held.get("model_type"), str):
            raise SynthgainError(
                "this is no model's configuration: it has no `model_type`",
                where=str(self.config),
                next="give a model's config.json, such as one that `save_pretrained` wrote",
            )
        return held


Start = Path | Scratch  # a folder with weights, or none


def check_start(start: Start) -> None:
    """SynthgainError where nothing can be started from."""
    if isinstance(start, Path):
        check_model(start)
        return
    start.settings()
    if not any(
        (start.tokenizer / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "tokenizer_config.json")
    ):
        raise SynthgainError(
            "there is no tokenizer here",
            where=str(start.tokenizer),
            next="give --tokenizer local/smollm2-135m, hf/PATH or a folder",
        )


def start_digest(start: Start) -> str:
    """The identity of what is started from, by content."""
    if isinstance(start, Path):
        return weights_digest(start)
    files = [start.config, *(start.tokenizer / name for name in SAYS if name.startswith(("tokenizer", "chat")))]
    return digest(*(hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.is_file()))


def load_tokenizer(start: Start) -> Any:
    """The tokenizer, from its folder and never from a hub."""
    from transformers import AutoTokenizer

    folder = start if isinstance(start, Path) else start.tokenizer
    try:
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError) as error:
        raise SynthgainError(
            f"the base model's tokenizer cannot be opened ({error})",
            where=str(folder),
            next="give a transformers folder with its tokenizer's files",
        ) from error


def load_model(start: Start, tokenizer: Any, seed: int = 0) -> Any:
    """The model in float32: small steps are lost in half precision. What it is saved in stands in `config.dtype`."""
    import torch
    from transformers import AutoModelForCausalLM

    if isinstance(start, Scratch):
        return _from_nothing(start, tokenizer, seed)
    try:
        return AutoModelForCausalLM.from_pretrained(str(start), dtype=torch.float32, local_files_only=True)
    except (OSError, ValueError) as error:
        raise SynthgainError(
            f"the base model cannot be opened ({error})",
            where=str(start),
            next="give a transformers folder of a causal language model, whole",
        ) from error


def saved_dtype(start: Start) -> Any:
    """The precision that a student is written in: its base's own."""
    import torch
    from transformers import AutoConfig

    if isinstance(start, Scratch):
        named = str(start.settings().get("dtype") or start.settings().get("torch_dtype") or "float32")
        return getattr(torch, named, torch.float32)
    return AutoConfig.from_pretrained(str(start), local_files_only=True).dtype or torch.float32


def _from_nothing(start: Scratch, tokenizer: Any, seed: int) -> Any:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    held = {"vocab_size": len(tokenizer)} | start.settings()
    if held["vocab_size"] < len(tokenizer):
        raise SynthgainError(
            f"the configuration has a vocabulary of {held['vocab_size']}, the tokenizer {len(tokenizer)} tokens",
            where=str(start.config),
            next="leave `vocab_size` out of it, or give another --tokenizer",
        )
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        held[name] = getattr(tokenizer, name)
    for name in ("dtype", "torch_dtype", "architectures", "transformers_version"):
        held.pop(name, None)
    torch.manual_seed(seed)
    try:
        return AutoModelForCausalLM.from_config(AutoConfig.for_model(**held), dtype=torch.float32)
    except (ValueError, TypeError, KeyError) as error:
        raise SynthgainError(
            f"no model can be made of this configuration ({error})",
            where=str(start.config),
            next="correct the file: it is a transformers configuration with its `model_type`",
        ) from error


# ---------------------------------------------------------------------------------------------- the end


def settle_generation(model: Any, tokenizer: Any, end: str) -> list[str]:
    """Generation settings that stop at the end of a turn and that can be saved; what was changed, in words."""
    if not model.can_generate():
        return []
    from transformers import GenerationConfig

    told = []
    given = model.generation_config
    before = given.eos_token_id if isinstance(given.eos_token_id, list) else [given.eos_token_id]
    stop = tokenizer.convert_tokens_to_ids(end) if end else tokenizer.eos_token_id
    ends = [int(i) for i in dict.fromkeys([stop, *before, tokenizer.eos_token_id]) if i is not None]
    try:
        given.validate(strict=True)
    except ValueError as error:
        told.append(f"the base's generation settings do not validate and were left out ({_first_line(error)})")
        kept = ("bos_token_id", "pad_token_id", "decoder_start_token_id")
        given = model.generation_config = GenerationConfig(**{name: getattr(given, name, None) for name in kept})
    given.eos_token_id = ends[0] if len(ends) == 1 else ends
    if stop is not None and stop not in before:
        told.append(f"the student stops at {end or tokenizer.eos_token}, with which the chat template ends a turn")
    return told


def save(model: Any, tokenizer: Any, base: Path, into: Path) -> list[str]:
    """The student's weights, configuration and tokenizer; what had to be saved in another way, in words.

    Weights are there even where the libraries' own last step fails: then they and the configuration are written alone.
    """
    told = []
    try:
        model.save_pretrained(str(into))
    except Exception as error:  # of any library: weights that were paid for are not lost to a file beside them
        told.append(f"the model was saved without what could not be ({type(error).__name__}: {_first_line(error)})")
        _weights_alone(model, into)
    try:
        tokenizer.save_pretrained(str(into))
    except Exception as error:  # as above; the base's own files say the same
        told.append(f"the tokenizer's files are the base's ({type(error).__name__}: {_first_line(error)})")
        for name in (*SAYS, "special_tokens_map.json", "vocab.json", "merges.txt", "added_tokens.json"):
            if (base / name).is_file() and name not in ("config.json", "generation_config.json"):
                shutil.copy(base / name, into / name)
    return told


def _weights_alone(model: Any, into: Path) -> None:
    """Weights and configuration: the library's way without generation settings, else by safetensors alone."""
    from safetensors.torch import save_model

    try:
        model.can_generate = lambda: False
        model.save_pretrained(str(into))
    except Exception:
        for file in into.glob("*.safetensors*"):
            file.unlink()
        save_model(model, str(into / "model.safetensors"), metadata={"format": "pt"})
        model.config.to_json_file(str(into / "config.json"))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:200]


def tokenizer_folder(start: Start) -> Path:
    return start if isinstance(start, Path) else start.tokenizer

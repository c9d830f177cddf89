"""Lengths in tokens: a tokenizer on this disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from synthgain.types import SynthgainError


def open_tokenizer(given: str) -> Callable[[Sequence[str]], list[int]] | None:
    """How many tokens each text has, by a tokenizer.json or the folder that holds one; None where none was named."""
    if not given:
        return None
    file = Path(given).expanduser()
    file = file / "tokenizer.json" if file.is_dir() else file
    if not file.is_file():
        raise SynthgainError(
            "there is no tokenizer.json", where=given, next="give the folder of a model, or its tokenizer.json"
        )
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise SynthgainError(
            "counting tokens needs a library", where=f"--tokenizer {given}", next="pip install 'synthgain[train]'"
        ) from error
    try:
        held = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises plain exceptions of its own
        raise SynthgainError(
            f"this is no tokenizer ({error})", where=str(file), next="give a tokenizer.json, or a folder that has one"
        ) from error

    def count(texts: Sequence[str]) -> list[int]:
        return [len(found.ids) for found in held.encode_batch(list(texts), add_special_tokens=False)]

    return count

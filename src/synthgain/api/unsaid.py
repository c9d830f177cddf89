"""Answers that nobody gave, made up to see what a draft would ask for; and how large a prompt is."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from synthgain.types import Prompt

UNSAID = "Nobody gave this answer."
SOME = 5  # members of a list that nobody gave
RUN = 3  # words


def made_up(prompt: Prompt) -> str:
    """An answer that nobody gave: what the schema asks for, where there is one, in words that stand in the prompt."""
    if prompt.schema is None:
        return UNSAID
    text = prompt.messages[-1]["content"]
    words = dict.fromkeys(re.findall(r"\w{4,}", text[len(text) // 3 :]))
    return json.dumps(_instance(prompt.schema, list(words)[:SOME] or [UNSAID]))


def _instance(schema: Mapping[str, Any], words: Sequence[str]) -> Any:
    """Something that follows a schema, as far as its types say."""
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            return {name: _instance(part, words) for name, part in schema.get("properties", {}).items()}
        case "array":
            return [_instance(schema.get("items", {}), [word]) for word in words]
        case "integer" | "number":
            return 1
        case "boolean":
            return True
    return words[0]


def size_of(prompt: Prompt) -> int:
    return max(1, sum(map(bytes_of, (m["content"] for m in prompt.messages))))


def bytes_of(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def taken_over(said: Sequence[str], words: set[str]) -> int:
    """Bytes of what stands in another text too: runs of its words (one or two in a row stand in any)."""
    runs = (list(run) for inside, run in groupby(said, words.__contains__) if inside)
    return sum(bytes_of(word) + 1 for run in runs if len(run) >= RUN for word in run)

"""Tool calls that a model wrote as text: read as calls where the whole answer is one, and left as text where it is not.

Small models that were offered tools call the right one and write the call in a form of their own:

    ```json                                  {"name": "weather", "arguments": {"city": "Bonn"}}
    {"name": "weather", "arguments": {…}}
    ```                                      <tool_call>{"name": "weather", "arguments": {…}}</tool_call>

and arrays and sequences of these. An answer that says anything besides, or names a tool that was not offered, is an answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from synthgain.types import Message, assistant, in_order

_BLOCK = re.compile(
    r"\s*(?:```(?:json|tool_call|tool_code)?\s*(?P<fenced>[\[{].*?)\s*```|<tool_call>\s*(?P<tagged>.*?)\s*(?:</tool_call>|\Z))\s*",
    re.DOTALL,
)
_READER = json.JSONDecoder()


def read_calls(turn: Message, tools: Sequence[Mapping[str, Any]], call_id: str) -> Message:
    """The turn with its content read as calls of the tools that were offered; itself where it is an answer, or has calls already.

    Ids follow from `call_id`, the identity of the model's call, so that the same answer always reads the same.
    """
    if not tools or "tool_calls" in turn:
        return turn
    names = {str(_function(tool).get("name")) for tool in tools}
    found = [_call(item) for item in _items(turn["content"])]
    if not found or not all(call is not None and call[0] in names for call in found):
        return turn
    read = assistant("", turn.get("reasoning", ""))
    read["tool_calls"] = numbered(
        [{"type": "function", "function": {"name": c[0], "arguments": c[1]}} for c in found if c], call_id
    )
    return read


def numbered(calls: Sequence[Mapping[str, Any]], call_id: str) -> list[dict[str, Any]]:
    """Tool calls with ids that follow from the model's call: runtimes draw them by chance."""
    return [{"id": f"call_{call_id[:12]}_{n}"} | {k: v for k, v in c.items() if k != "id"} for n, c in enumerate(calls)]


def _items(text: str) -> list[Any]:
    """The JSON values that a text is, one after the other; none where anything else stands in it."""
    text, pieces = text.strip(), list[str]()
    if text[:1] in "[{":
        pieces = [text] if text else []
    else:
        at = 0
        while at < len(text):
            block = _BLOCK.match(text, at)
            if block is None or block.end() == at:
                return []
            pieces.append(block["fenced"] or block["tagged"] or "")
            at = block.end()
    found: list[Any] = []
    for piece in pieces:
        values = _values(piece)
        if values is None:
            return []
        found += values
    return found


def _values(text: str) -> list[Any] | None:
    """The JSON values of a text, which stand side by side or in an array; None where it is something else."""
    found: list[Any] = []
    at = 0
    while at < len(text):
        try:
            value, at = _READER.raw_decode(text, at)
        except (ValueError, RecursionError):
            return None
        found += value if isinstance(value, list) else [value]
        while at < len(text) and text[at] in " \t\r\n,;":
            at += 1
    return found


def _call(item: Any) -> tuple[str, str] | None:
    """Name and arguments (JSON text) of a call; None where it is none."""
    if not isinstance(item, dict):
        return None
    said = _function(item)
    name, given = said.get("name"), said.get("arguments", said.get("parameters", {}))
    if set(said) - {"name", "arguments", "parameters", "type", "id"} or not isinstance(name, str):
        return None
    if isinstance(given, str):
        try:
            given = json.loads(given or "{}")
        except (ValueError, RecursionError):
            return None
    return (name, in_order(given)) if isinstance(given, dict) else None


def _function(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """What OpenAI's form holds under "function", or the same without it."""
    held = tool.get("function")
    return held if isinstance(held, Mapping) else tool

"""Messages as OpenAI's chat protocol has them, to a server and back. What comes back is untrusted: it is made plain or refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from synthgain.types import Message, canonical

MOST = 2**53  # tokens; a larger count is no count


def sent(messages: Iterable[Message]) -> list[Mapping[str, Any]]:
    """The messages as a server takes them: reasoning as `reasoning_content`, arguments of tool calls as JSON text, no `learn`."""
    return [message if len(message) == 2 else _sent(message) for message in messages]


def _sent(message: Message) -> dict[str, Any]:
    turn: dict[str, Any] = {name: value for name, value in message.items() if name not in ("learn", "reasoning")}
    if "tool_calls" in message:
        turn["tool_calls"] = [_with_text(call) for call in message["tool_calls"]]
    if "reasoning" in message:
        turn["reasoning_content"] = message["reasoning"]
    return turn


def _with_text(call: Mapping[str, Any]) -> Mapping[str, Any]:
    """A tool call whose arguments are JSON text."""
    function = call.get("function")
    if not isinstance(function, Mapping) or isinstance(function.get("arguments", ""), str):
        return call
    return {**call, "function": {**function, "arguments": canonical(function["arguments"])}}


def answered(given: Mapping[str, Any]) -> Message:
    """The assistant's turn that a server's `message` is. ValueError says why it is none."""
    content = given.get("content")
    if content is not None and not isinstance(content, str):
        raise ValueError(f"its content is no text but {type(content).__name__}")
    turn = Message(role="assistant", content=whole(content or ""))
    if given.get("tool_calls"):
        turn["tool_calls"] = _tool_calls(given["tool_calls"])
    reasoning = given.get("reasoning_content") or given.get("reasoning")
    if reasoning and isinstance(reasoning, str):
        turn["reasoning"] = whole(reasoning)
    return turn


def _tool_calls(given: object) -> list[dict[str, Any]]:
    """Tool calls with id, type, name and arguments (a text); one without an id is numbered."""
    found: list[dict[str, Any]] = []
    for call in given if isinstance(given, list) else [given]:
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(call, dict) or not isinstance(function, dict):
            raise ValueError("its tool calls are not of OpenAI's form")
        id, name, arguments = call.get("id"), function.get("name"), function.get("arguments") or "{}"
        if not isinstance(name, str) or not isinstance(arguments, str | dict):
            raise ValueError("its tool calls are not of OpenAI's form")
        said = arguments if isinstance(arguments, str) else canonical(arguments)
        found.append(
            {
                "id": whole(id) if isinstance(id, str) and id else f"call_{len(found)}",
                "type": "function",
                "function": {"name": whole(name), "arguments": whole(said)},
            }
        )
    return found


def count(given: object) -> int | None:
    """A number of tokens; None where it is none (no integer, below 0, absurd)."""
    if isinstance(given, float) and given.is_integer():
        given = int(given)
    return given if isinstance(given, int) and not isinstance(given, bool) and 0 <= given < MOST else None


def whole(text: str) -> str:
    """The text with lone surrogates, which no file can hold, replaced by U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text

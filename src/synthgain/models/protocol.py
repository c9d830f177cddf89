"""Messages as OpenAI's chat protocol has them, to a server and back. What comes back is untrusted: it is made plain or refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from synthgain.characters import whole
from synthgain.types import Message, canonical, in_order

MOST = 2**53  # tokens; a larger count is no count
THOUGHT = frozenset({"thinking", "reasoning", "reasoning_text", "summary_text"})  # kinds of parts that are no answer

# How an answer ended, in our words (`Call.finish`) and in those of servers. What is not here stays as the server said it.
FINISHES = {
    "stop": ("stop", "eos", "eos_token", "end_turn", "stop_sequence", "end_of_turn", "complete", "completed", "done"),
    "length": (
        *("length", "max_tokens", "max_output_tokens", "model_length", "token_limit", "max_length", "incomplete"),
        *(
            "model_context_window_exceeded",
            "context_length_exceeded",
            "",
            "null",
            "none",
        ),  # not said: not known to be whole
    ),
    "tool_calls": ("tool_calls", "tool_use", "function_call"),
    "content_filter": (
        *("content_filter", "safety", "blocklist", "prohibited_content", "recitation", "spii", "refusal", "sensitive"),
        *("content_filtered", "guardrail_intervened"),
    ),
    "error": (
        *("error", "abort", "aborted", "cancelled", "engine_error", "network_error", "timeout"),
        *("insufficient_system_resource", "other_error"),
    ),
}
OUR_WORD = {theirs: ours for ours, words in FINISHES.items() for theirs in words}


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


def folded(messages: Sequence[Message]) -> list[Message]:
    """The messages for a template that knows no system role and wants user and assistant in turns.

    System turns go to the head of the user turn that follows; neighbours of one role become one turn.
    """
    turns: list[Message] = []
    for message in messages:
        plain = Message(role="user", content=message["content"]) if message["role"] == "system" else message
        if turns and set(turns[-1]) == set(plain) == {"role", "content"} and turns[-1]["role"] == plain["role"]:
            turns[-1] = Message(role=plain["role"], content=f"{turns[-1]['content']}\n\n{plain['content']}")
        else:
            turns.append(plain)
    return turns


def answered(given: Mapping[str, Any]) -> Message:
    """The assistant's turn that a server's `message` is. ValueError says why it is none."""
    content, thought = _parts(given.get("content") or given.get("refusal"))
    turn = Message(role="assistant", content=whole(content))
    if given.get("tool_calls"):
        turn["tool_calls"] = _tool_calls(given["tool_calls"])
    reasoning = given.get("reasoning_content") or given.get("reasoning") or thought
    if reasoning and isinstance(reasoning, str):
        turn["reasoning"] = whole(reasoning)
    return turn


def _parts(content: object) -> tuple[str, str]:
    """Text and thinking of a content: a text, parts of it, or JSON that a server has parsed already."""
    if content is None or isinstance(content, str):
        return content or "", ""
    if isinstance(content, dict):
        return in_order(content), ""
    if not isinstance(content, list):
        raise ValueError(f"its content is no text but {type(content).__name__}")
    said, thought = "", ""
    for part in content:
        kind = str(part.get("type", "text")) if isinstance(part, dict) else "text"
        text = part if isinstance(part, str) else _text_of(part)
        if text is None:
            raise ValueError(f"its content has a part that is no text ({kind[:40]})")
        said, thought = (said, thought + text) if kind in THOUGHT else (said + text, thought)
    return said, thought


def _text_of(part: object) -> str | None:
    """The text of one part, which may hold parts again; None where it has none."""
    if not isinstance(part, dict):
        return None
    for name in ("text", "content", "thinking", "reasoning", "summary", "refusal"):
        held = part.get(name)
        if isinstance(held, str):
            return held
        if isinstance(held, list) and all(isinstance(p, dict) and isinstance(p.get("text"), str) for p in held):
            return "".join(p["text"] for p in held)
    return None


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


def finish(said: object) -> str:
    """How an answer ended, in our words. What was not said counts as cut off: nobody knows it to be whole."""
    if said is None:
        return "length"
    if not isinstance(said, str):
        return "unknown"
    return OUR_WORD.get(said.strip().lower(), whole(said))


def count(given: object) -> int | None:
    """A number of tokens, also as text; None where it is none (no integer, below 0, absurd)."""
    if isinstance(given, str) and given.isascii() and given.strip().isdecimal() and len(given) < 20:
        given = int(given)
    if isinstance(given, float) and given.is_integer():
        given = int(given)
    return given if isinstance(given, int) and not isinstance(given, bool) and 0 <= given < MOST else None

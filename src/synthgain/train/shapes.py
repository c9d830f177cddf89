"""What one record means: a chat, a preference pair or a text, in the shapes that trainers exchange.

    messages                      our own rows, OpenAI's fine-tuning files, TRL; with `tools`, `rejected`
    conversations                 ShareGPT as LLaMA-Factory reads it (`data/README.md` there): from, value
    prompt, chosen, rejected      TRL's preference pairs
    prompt, completion            TRL's prompt-completion: only the completion is learnt
    instruction, input, output    Alpaca, with `system` and LLaMA-Factory's `history`
    text                          a plain text

The first that a record has is what it is. Null is absent.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from synthgain.types import Message, SynthgainError, message

ROLES = ("system", "user", "assistant", "tool")
SPEAKERS = {
    "human": "user",
    "gpt": "assistant",
    "model": "assistant",
    "chatgpt": "assistant",
    "function_call": "assistant",
    "observation": "tool",
    "function_response": "tool",
}
COLUMNS = (
    "messages",
    "conversations",
    "prompt",
    "chosen",
    "completion",
    "instruction",
    "input",
    "output",
    "history",
    "system",
    "tools",
    "rejected",
    "text",
    "anchor_ids",
)

Turns = tuple[Message, ...]
Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One row to learn from: a chat or a text, never both. `where` is "file:line" or "file#row".

    Tool calls have OpenAI's shape, their `arguments` as JSON text. `rejected` are the turns that could stand in place of the
    last answer and are worse. `anchors` are the ids of the anchors it was made from, empty where not known.
    """

    where: str
    messages: Turns | None = None
    text: str | None = None
    tools: tuple[Mapping[str, Any], ...] = ()
    rejected: Turns | None = None
    anchors: tuple[str, ...] = ()


def row_of(record: Any, where: str) -> TrainingRow | None:
    """The row of one record; None where there is nothing in it. SynthgainError: it has no shape that is known, or a faulty one."""
    try:
        return _row(record, where)
    except SynthgainError as error:
        raise SynthgainError(error.what, where=where, next=error.next or "mend or remove the row") from None


def _row(record: Any, where: str) -> TrainingRow | None:
    if not isinstance(record, dict):
        raise SynthgainError("the row is no object", next='write each row as an object, such as {"text": "…"}')
    held = {name: value for name, value in record.items() if value is not None}
    ids = held.get("anchor_ids")
    anchors = tuple(ids) if isinstance(ids, list) and all(isinstance(i, str) for i in ids) else ()
    for keys, read in SHAPES:
        if all(key in held for key in keys):
            messages, rejected = read(held)
            tools = _tools(held.get("tools"))
            return TrainingRow(where, messages, None, tools, rejected or None, anchors) if messages else None
    text = held.get("text")
    if text is None and not any(name in record for name in ("messages", "conversations", "text")):
        raise SynthgainError(
            f"the row has none of the keys that make one ({', '.join(map(str, record)) or 'it is empty'})",
            next="give it `messages`, or `text`: rename the column that holds them",
        )
    if text is not None and not isinstance(text, str):
        raise SynthgainError("`text` is no text")
    return TrainingRow(where, text=text, anchors=anchors) if text and text.strip() else None


# ---------------------------------------------------------------------------------------------- shapes


def _messages(held: Record) -> tuple[Turns, Turns]:
    if isinstance(held["messages"], str) and _written(held["messages"]) is None:
        raise SynthgainError("`messages` is a text, no list of {role, content}")
    messages = _turns(held["messages"], "user")
    last = max((i for i, turn in enumerate(messages) if turn["role"] == "assistant"), default=len(messages))
    return messages, _after(messages[:last], _turns(held.get("rejected", []), "assistant"))


def _conversations(held: Record) -> tuple[Turns, Turns]:
    turns = held["conversations"]
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise SynthgainError("`conversations` is no list of {from, value}")
    said = _turns([_spoken(turn) if "from" in turn else turn for turn in turns], "user")
    system = held.get("system")
    if isinstance(system, str) and system and said and said[0]["role"] != "system":
        said = ({"role": "system", "content": system}, *said)
    return said, ()


def _spoken(turn: Record) -> dict[str, Any]:
    """A turn of ShareGPT; the value of a function_call is {"name", "arguments"} as JSON text, or a list of them."""
    rest = {name: value for name, value in turn.items() if name not in ("from", "value")}
    role = SPEAKERS.get(str(turn["from"]), turn["from"])
    if turn["from"] != "function_call":
        return {"role": role, "content": turn.get("value"), **rest}
    calls = _parsed(turn.get("value"), "the value of a function_call")
    return {"role": role, "tool_calls": calls if isinstance(calls, list) else [calls], **rest}


def _preference(held: Record) -> tuple[Turns, Turns]:
    prompt = _turns(held["prompt"], "user")
    chosen, rejected = (_after(prompt, _turns(held.get(name, []), "assistant")) for name in ("chosen", "rejected"))
    return (*_given(prompt), *chosen), rejected


def _completion(held: Record) -> tuple[Turns, Turns]:
    prompt = _turns(held["prompt"], "user")
    return (*_given(prompt), *_turns(held["completion"], "assistant")), ()


def _alpaca(held: Record) -> tuple[Turns, Turns]:
    turns: list[Any] = [{"role": "system", "content": held["system"]}] if held.get("system") else []
    for pair in held.get("history", ()):
        if not isinstance(pair, list) or len(pair) != 2:
            raise SynthgainError("`history` is no list of [question, answer]")
        turns += [{"role": "user", "content": pair[0]}, {"role": "assistant", "content": pair[1]}]
    ask = held["instruction"], held.get("input", "")
    if not all(isinstance(part, str) for part in ask):
        raise SynthgainError("`instruction` and `input` must be texts")
    turns.append({"role": "user", "content": "\n".join(part for part in ask if part)})
    return _turns([*turns, {"role": "assistant", "content": held["output"]}], "user"), ()


SHAPES: tuple[tuple[tuple[str, ...], Callable[[Record], tuple[Turns, Turns]]], ...] = (
    (("messages",), _messages),
    (("conversations",), _conversations),
    (("prompt", "chosen"), _preference),
    (("prompt", "completion"), _completion),
    (("instruction", "output"), _alpaca),
)


# ---------------------------------------------------------------------------------------------- turns


def _turns(value: Any, role: str) -> Turns:
    """A chat as a list of turns, as one turn, as JSON text of either, or as a plain text said by `role`."""
    if isinstance(value, str):
        value = _written(value) or {"role": role, "content": value}
    turns = [value] if isinstance(value, dict) else value
    if not isinstance(turns, list):
        raise SynthgainError("`messages` is no list of {role, content}")
    return tuple(map(_turn, turns))


def _written(text: str) -> list[Any] | None:
    """The turns that a text holds as JSON; None where it is a text of its own."""
    if not text.lstrip().startswith("[{"):
        return None
    try:
        held = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return held if all(isinstance(turn, dict) and "role" in turn for turn in held) else None


def _turn(given: Any) -> Message:
    if not isinstance(given, dict):
        raise SynthgainError("`messages` is no list of {role, content}")
    if len(given) == 2 and given.get("role") in ROLES and isinstance(given.get("content"), str):
        return message(given)
    turn = dict(given)
    if turn.get("role") not in ROLES:
        raise SynthgainError(f"a message's role is {turn.get('role')!r}", next=f"roles are {', '.join(ROLES)}")
    if turn.get("content") is None and not turn.get("tool_calls"):
        raise SynthgainError("a message has no content", next="give it a text")
    if (weight := turn.pop("weight", None)) is not None and not weight:  # OpenAI's word for it: 0 is not learnt
        turn["learn"] = False
    calls = turn.pop("tool_calls", None)
    if isinstance(calls, str) and calls.strip():
        calls = _parsed(calls, "`tool_calls`")
    if calls:
        if not isinstance(calls, list):
            raise SynthgainError("`tool_calls` is no list")
        turn["tool_calls"] = [_call(call) for call in calls]
    return message(turn)


def _call(given: Any) -> dict[str, Any]:
    """A tool call in OpenAI's shape, from it or from a bare {"name", "arguments"}."""
    outer = given if isinstance(given, dict) else {}
    function = outer.get("function", {name: outer[name] for name in ("name", "arguments") if name in outer})
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise SynthgainError("a tool call names no function", next='write {"function": {"name", "arguments"}}')
    arguments = function.get("arguments", {})
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    known = {"id": outer["id"]} if outer.get("id") is not None else {}
    rest = {name: held for name, held in outer.items() if name not in ("id", "type", "function", "name", "arguments")}
    said = {"name": function["name"], "arguments": text} | {n: v for n, v in function.items() if n != "arguments"}
    return {**known, "type": outer.get("type") or "function", "function": said, **rest}


def _tools(value: Any) -> tuple[Mapping[str, Any], ...]:
    """The functions of a chat in OpenAI's shape, from a list or its JSON text, wrapped as there or bare."""
    if isinstance(value, str):
        value = _parsed(value, "`tools`") if value.strip() else None
    if not value:
        return ()
    if not isinstance(value, list) or not all(isinstance(tool, dict) for tool in value):
        raise SynthgainError("`tools` is no list of functions")
    return tuple(map(_tool, value))


def _tool(given: dict[str, Any]) -> Mapping[str, Any]:
    """A function in OpenAI's shape, its type first: templates write tools as JSON, in the order of their keys."""
    if "function" not in given and "name" in given and "type" not in given:
        return {"type": "function", "function": given}
    return {name: given[name] for name in sorted(given, key=lambda name: ("type", "function", name).index(name))}


def _parsed(text: Any, what: str) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise SynthgainError(f"{what} is no JSON ({error})") from None


def _given(prompt: Turns) -> Turns:
    """The answers of a prompt are given, not learnt, unless they say so."""
    return tuple(
        {**turn, "learn": False} if turn["role"] == "assistant" and "learn" not in turn else turn for turn in prompt
    )


def _after(prompt: Sequence[Message], turns: Turns) -> Turns:
    """What comes after a prompt, which some data sets repeat in front of it."""
    plain = [(turn["role"], turn["content"]) for turn in turns[: len(prompt)]]
    return turns[len(prompt) :] if prompt and plain == [(t["role"], t["content"]) for t in prompt] else turns

"""What one row of anybody's data set means: a chat, a preference pair or a text, in our own form.

    messages                      our own rows, OpenAI's fine-tuning files, TRL; with `tools`, `rejected`
    conversations, conversation   ShareGPT as LLaMA-Factory reads it (`data/README.md` there): from, value; or role, content
    prompt, chosen, rejected      TRL's preference pairs; without `prompt` it is what both begin with (turns, or "Human: … Assistant: …")
    prompt, completion            TRL's prompt-completion: only the completion is learnt
    instruction, input, output    Alpaca, with `system` and LLaMA-Factory's `history`; `context` and `response` as Dolly names them;
                                  `instruction` and `input` alone are a question that waits for its answer
    text                          a plain text

The first that a row has is what it is. Null is absent. Anchors, the meter, curation and training all read other people's rows
through here, so that a conversation is one thing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from synthgain.thinking import parted
from synthgain.types import KEYS, Message, SynthgainError, canonical, message

ROLES = ("system", "user", "assistant", "tool")
SPEAKERS = {
    "human": "user",
    "gpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "chatgpt": "assistant",
    "developer": "system",
    "function_call": "assistant",
    "function": "tool",
    "observation": "tool",
    "function_response": "tool",
}
TURN_KEYS = KEYS | {"from", "value", "weight", "reasoning_content", "function_call"}
CHATS = ("messages", "conversations", "conversation")  # columns of turns
COLUMNS = (
    *CHATS,
    "prompt",
    "chosen",
    "completion",
    "instruction",
    "input",
    "context",
    "output",
    "response",
    "history",
    "system",
    "tools",
    "rejected",
    "text",
    "anchor_ids",
)  # all that a row is made of here: no other column has to be read

ANSWERED = (
    "solution",
    "output",
    "response",
    "completion",
    "canonical_solution",
    "answer",
)  # columns of an answer, the fullest first
WORKED = ("solution", "canonical_solution")  # where one of these is a column, `answer` is what its end is compared with

Turns = tuple[Message, ...]
Record = Mapping[str, Any]
Shape = tuple[
    tuple[str, ...], Callable[[Record], tuple[Turns, Turns]]
]  # the columns that make it; what its turns, and rejected ones, are


@dataclass(frozen=True, slots=True)
class Content:
    """What a row says: a chat or a text, never both.

    Tool calls have OpenAI's shape, their `arguments` as JSON text. `rejected` are the turns that could stand in place of the
    last answer and are worse. `shape` is the row of the table above that it had: its first column.
    """

    messages: Turns | None = None
    text: str | None = None
    tools: tuple[Mapping[str, Any], ...] = ()
    rejected: Turns | None = None
    shape: str = "text"

    @property
    def prompt(self) -> tuple[Record, ...]:
        """What the last answer answers: all turns before it; every turn where the chat ends with another's than the assistant's."""
        return before_answer(self.messages or ())

    @property
    def answer(self) -> str | None:
        """The last answer; a text is its own; None where a chat ends without one."""
        if self.messages is None:
            return self.text
        return turn_text(self.messages[-1]) if self.messages[-1]["role"] == "assistant" else None


def answer_column(record: Record, names: Sequence[str], where: str = "") -> str | None:
    """Of the columns of answers the first that holds something, else the first that is there; None where there is none. SynthgainError where the row has
    a worked solution's column and nothing stands in it."""
    there = [name for name in names if name in record]
    full = [name for name in there if not is_blank(record[name])]
    if there and there[0] in WORKED and there[0] not in full:
        how = "null" if record[there[0]] is None else "empty"
        raise SynthgainError(f"the solution (column {there[0]!r}) is {how}", where=where, next="mend or remove the row")
    return next(iter(full or there), None)


def is_blank(value: object) -> bool:
    """Whether nothing stands in a column: it is null, or a text without a character that can be seen."""
    return value is None or (isinstance(value, str) and not value.strip())


def before_answer(turns: Sequence[Record]) -> tuple[Record, ...]:
    """The turns before the last answer; all of them where the last turn is no answer."""
    return tuple(turns[:-1] if turns and turns[-1]["role"] == "assistant" else turns)


def readable(turns: Sequence[Record]) -> str:
    """Turns as one text: a user's only turn as it is; several as "role: content", a blank line between them."""
    if len(turns) == 1 and turns[0]["role"] == "user":
        return turn_text(turns[0])
    return "\n\n".join(f"{turn['role']}: {turn_text(turn)}" for turn in turns)


def turn_text(turn: Record) -> str:
    """What a turn says: its content, and each call of a tool as name(arguments). What was thought, in `reasoning` or inline, is no part of it."""
    told = (
        f"{f['name']}({f['arguments'] if isinstance(f.get('arguments'), str) else canonical(f.get('arguments'))})"
        for f in (call["function"] for call in turn.get("tool_calls") or ())
    )
    said = parted(turn["content"]).content if turn.get("role") == "assistant" else turn["content"]
    return "\n".join(part for part in (said, *told) if part)


def shape_of(record: Record) -> str | None:
    """The first column of the shape that a row has, None where it has none. Looks at names, and at what is null."""
    shape = _shape(record)
    return shape[0][0] if shape is not None else "text" if record.get("text") is not None else None


def _shape(record: Record) -> Shape | None:
    held = {name for name, value in record.items() if value is not None}
    for keys, read in SHAPES:
        if held.issuperset(keys) and not (keys in UNANSWERED and OF_ALPACA & record.keys()):
            return keys, read
    return None


def content_of(record: Record) -> Content | None:
    """What a row says; None where there is nothing in it. SynthgainError: it has no shape that is known, or a faulty one."""
    if not isinstance(record, Mapping):
        raise SynthgainError("the row is no object", next='write each row as an object, such as {"text": "…"}')
    held = {name: value for name, value in record.items() if value is not None}
    if (shape := _shape(record)) is not None:
        messages, rejected = shape[1](held)
        return Content(messages, None, tools_of(held), rejected or None, shape[0][0]) if messages else None
    text = held.get("text")
    if text is None and not any(name in record for name in (*CHATS, "text")):
        for keys, _ in SHAPES:
            if all(key in record for key in keys):
                null = next(key for key in keys if key not in held)
                raise SynthgainError(f"`{null}` is null", next="mend or remove the row")
        raise SynthgainError(
            f"the row has none of the keys that make one ({', '.join(map(str, record)) or 'it is empty'})",
            next="give it `messages`, or `text`: rename the column that holds them",
        )
    if text is not None and not isinstance(text, str):
        raise SynthgainError("`text` is no text")
    return Content(text=text) if text and text.strip() else None


def known_keys(record: Record) -> tuple[Record, tuple[str, ...]]:
    """The row with what no message has a place for left out of its turns (a time, a country, a model), and the names of what it was.

    `content_of` refuses such keys: `lern` for `learn` would otherwise be learnt.
    """
    found: set[str] = set()
    slim: dict[str, Any] = {}
    for name in (*CHATS, "prompt", "completion", "chosen", "rejected"):
        turns = record.get(name)
        if isinstance(turns, list) and any(isinstance(turn, dict) and not turn.keys() <= TURN_KEYS for turn in turns):
            slim[name] = [
                {key: turn[key] for key in turn if key in TURN_KEYS} if isinstance(turn, dict) else turn
                for turn in turns
            ]
            found |= {key for turn in turns if isinstance(turn, dict) for key in turn.keys() - TURN_KEYS if turn[key]}
    return {**record, **slim} if slim else record, tuple(sorted(map(str, found)))


def without_nulls(value: Any) -> Any:
    """A value of a column of structs, where every row has each member that any row has: what is null is not there."""
    if isinstance(value, dict):
        return {name: without_nulls(held) for name, held in value.items() if held is not None}
    return [without_nulls(held) for held in value] if isinstance(value, list) else value


# ---------------------------------------------------------------------------------------------- shapes


def _messages(held: Record) -> tuple[Turns, Turns]:
    if isinstance(held["messages"], str) and _written(held["messages"]) is None:
        raise SynthgainError("`messages` is a text, no list of {role, content}")
    messages = _turns(held["messages"], "user")
    last = max((i for i, turn in enumerate(messages) if turn["role"] == "assistant"), default=len(messages))
    return messages, _after(messages[:last], _turns(held.get("rejected", []), "assistant"))


def _conversations(held: Record) -> tuple[Turns, Turns]:
    name = "conversations" if "conversations" in held else "conversation"
    turns = held[name]
    if isinstance(turns, str):
        turns = _written(turns)
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise SynthgainError(f"`{name}` is no list of {{from, value}}")
    said = _turns([_spoken(turn) if "from" in turn else turn for turn in turns], "user")
    system = held.get("system")
    if isinstance(system, str) and system and said and said[0]["role"] != "system":
        said = ({"role": "system", "content": system}, *said)
    return said, ()


def _spoken(turn: Record) -> dict[str, Any]:
    """A turn of ShareGPT; the value of a function_call is {"name", "arguments"} as JSON text, or a list of them."""
    rest = {name: value for name, value in turn.items() if name not in ("from", "value")}
    if turn["from"] != "function_call":
        return {"role": turn["from"], "content": turn.get("value"), **rest}
    calls = _parsed(turn.get("value"), "the value of a function_call")
    return {"role": "assistant", "tool_calls": calls if isinstance(calls, list) else [calls], **rest}


def _preference(held: Record) -> tuple[Turns, Turns]:
    prompt = _turns(held["prompt"], "user")
    chosen, rejected = (_after(prompt, _turns(held.get(name, []), "assistant")) for name in ("chosen", "rejected"))
    return (*_given(prompt), *chosen), rejected


def _pair(held: Record) -> tuple[Turns, Turns]:
    """A preference pair without `prompt`: what both conversations begin with."""
    chosen, rejected = (
        _transcript(held[name]) if isinstance(held[name], str) else _turns(held[name], "assistant")
        for name in ("chosen", "rejected")
    )
    same = next((i for i, (a, b) in enumerate(zip(chosen, rejected)) if a != b), min(len(chosen), len(rejected)))
    return (*_given(chosen[:same]), *chosen[same:]), rejected[same:]


def _transcript(text: str) -> Turns:
    """The turns of a text in which each begins with Human: or Assistant: after a blank line, or that holds them as JSON."""
    if (held := _written(text)) is not None:
        return _turns(held, "assistant")
    before, *parts = re.split(r"(?:^|\n\n)(Human|Assistant):", text)
    if before.strip() or not parts:
        raise SynthgainError(
            "`chosen` and `rejected` are texts, and there is no `prompt`",
            next="give the question as `prompt`, or both as lists of {role, content}",
        )
    return tuple(
        {"role": "user" if who == "Human" else "assistant", "content": said.strip()}
        for who, said in zip(parts[::2], parts[1::2])
    )


def _completion(held: Record) -> tuple[Turns, Turns]:
    prompt = _turns(held["prompt"], "user")
    return (*_given(prompt), *_turns(held["completion"], "assistant")), ()


def _alpaca(held: Record) -> tuple[Turns, Turns]:
    turns: list[Any] = [{"role": "system", "content": held["system"]}] if held.get("system") else []
    for pair in held.get("history", ()):
        if not isinstance(pair, list) or len(pair) != 2:
            raise SynthgainError("`history` is no list of [question, answer]")
        turns += [{"role": "user", "content": pair[0]}, {"role": "assistant", "content": pair[1]}]
    ask = held["instruction"], held.get("input", held.get("context", ""))
    if not all(isinstance(part, str) for part in ask):
        raise SynthgainError("`instruction` and `input` must be texts")
    turns.append({"role": "user", "content": "\n".join(part for part in ask if part)})
    if (answer := held.get("output", held.get("response"))) is not None:
        turns.append({"role": "assistant", "content": answer})
    return _turns(turns, "user"), ()


SHAPES: tuple[Shape, ...] = (
    (("messages",), _messages),
    (("conversations",), _conversations),
    (("conversation",), _conversations),
    (("prompt", "chosen"), _preference),
    (("chosen", "rejected"), _pair),
    (("prompt", "completion"), _completion),
    (("instruction", "output"), _alpaca),
    (("instruction", "response"), _alpaca),
    (("instruction", "input"), _alpaca),
    (("instruction", "context"), _alpaca),
)
UNANSWERED = (("instruction", "input"), ("instruction", "context"))
OF_ALPACA = frozenset({"output", "response"})  # columns of its answers


def mostly_bad(bad: int, good: int) -> bool:
    """Whether more rows cannot be used than can: then it is the file that is wrong, or the column, and not a row. Fewer are left out and said."""
    return bad > good


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
    if not text.lstrip().startswith("["):
        return None
    try:
        held = json.loads(text)
    except (ValueError, RecursionError):
        return None
    turns = isinstance(held, list) and bool(held)
    return (
        held if turns and all(isinstance(turn, dict) and ("role" in turn or "from" in turn) for turn in held) else None
    )


def _turn(given: Any) -> Message:
    if not isinstance(given, dict):
        raise SynthgainError("`messages` is no list of {role, content}")
    if len(given) == 2 and given.get("role") in ROLES and isinstance(given.get("content"), str):
        return message(given)
    turn = _spoken(given) if "from" in given and "role" not in given else dict(given)
    role = turn.get("role")
    turn["role"] = role = SPEAKERS.get(role.lower(), role.lower()) if isinstance(role, str) else role
    if role not in ROLES:
        raise SynthgainError(f"a message's role is {role!r}", next=f"roles are {', '.join(ROLES)}")
    if (thought := turn.pop("reasoning_content", None)) is not None:  # what some servers call it
        turn.setdefault("reasoning", thought)
    if (weight := turn.pop("weight", None)) is not None and not weight:  # OpenAI's word for it: 0 is not learnt
        turn["learn"] = False
    calls = turn.pop("tool_calls", None)
    if (older := turn.pop("function_call", None)) and not calls:  # OpenAI's first form of it
        calls = [older]
    if isinstance(calls, str) and calls.strip():
        calls = _parsed(calls, "`tool_calls`")
    if isinstance(turn.get("content"), list):
        turn["content"] = _parts(turn["content"])
    if turn.get("content") is None and not calls:
        raise SynthgainError("a message has no content", next="give it a text")
    if calls:
        if not isinstance(calls, list):
            raise SynthgainError("`tool_calls` is no list")
        turn["tool_calls"] = [_call(call) for call in calls]
    return message(turn)


def _parts(parts: list[Any]) -> str:
    """The text of OpenAI's list of parts. SynthgainError where one is no text: an answer to a picture cannot be read without it."""
    kinds = [part.get("type", "text") if isinstance(part, dict) else type(part).__name__ for part in parts]
    other = [
        kind for part, kind in zip(parts, kinds) if not (isinstance(part, dict) and isinstance(part.get("text"), str))
    ]
    if other:
        raise SynthgainError(
            f"a message holds a part of the type {other[0]!r}, which is no text", next="leave such rows out"
        )
    return "\n".join(part["text"] for part in parts)


def _call(given: Any) -> dict[str, Any]:
    """A tool call in OpenAI's shape, from it or from a bare {"name", "arguments"}."""
    outer = given if isinstance(given, dict) else {}
    function = outer.get("function", {name: outer[name] for name in ("name", "arguments") if name in outer})
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise SynthgainError("a tool call names no function", next='write {"function": {"name", "arguments"}}')
    arguments = function.get("arguments", {})
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    known = {"id": outer["id"]} if outer.get("id") is not None else {}
    rest = {name: held for name, held in outer.items() if name not in CALL_KEYS}
    said = {"name": function["name"], "arguments": text} | {n: v for n, v in function.items() if n != "arguments"}
    return {**known, "type": outer.get("type") or "function", "function": said, **rest}


CALL_KEYS = ("id", "type", "function", "name", "arguments", "index")  # the last is of a stream's, and says nothing


def tools_of(held: Record) -> tuple[Mapping[str, Any], ...]:
    """The functions of a chat in OpenAI's shape, from a list or its JSON text, wrapped as there or bare."""
    value = held.get("tools")
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

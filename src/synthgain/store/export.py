"""Kept rows in the formats that trainers read: JSONL or Parquet. `train/rows.py` reads each of them back.

    chat                our own: every key of a message, `tools`, `rejected`
    openai              OpenAI's fine-tuning files: tool calls, tools; an answer that is not learnt has weight 0
    sharegpt            as LLaMA-Factory reads it (its `data/README.md`): function_call, observation, tools as JSON text
    alpaca              one question, one answer
    prompt-completion   TRL's: the last answer is the completion; answers before it that are learnt say so (`learn`)
    preference          TRL's pairs: prompt, chosen, rejected
    text                plain texts
    questions           multiple choice as `evaluate --on` reads it, of rows that have the fields `question`, `options` and `gold`

What a turn thought (`reasoning`) stands beside its content: chat, prompt-completion and preference keep it there, openai, sharegpt and alpaca
have no place for it. What a format has no place for is counted by name, never lost without a word; what would come out wrong is refused.
"""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from synthgain.store.rows import OPTIONAL, chat
from synthgain.store.run import Run
from synthgain.types import SynthgainError, canonical, is_learnt

Stored = dict[str, Any]
SPEAKERS = {"system": "system", "user": "human", "assistant": "gpt", "tool": "observation"}
NOT_WORSE = (
    "accept",
    "exact-duplicate",
    "near-duplicate",
    "distinct-equations",
)  # fell for what others say, not for itself


@dataclass(frozen=True)
class Exported:
    """What was written. `unpaired` kept rows had nothing to stand against (preference); `lost` counts rows by what the format cannot hold, and
    `fields` by the name of a field of theirs that it has no column for.

    Of calls `left_out` counts those that the rows of now were not made with.
    """

    written: int
    unpaired: int = 0
    lost: Mapping[str, int] = field(default_factory=dict)
    left_out: int = 0
    fields: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Form:
    """A format: how a row is written, and which of what rows may have it holds."""

    shape: Callable[[Stored], Stored]
    holds: frozenset[str]
    column: str = "messages"


def export(run: Run, form: str, out: Path) -> Exported:
    """Write the kept rows as `form` to a .jsonl or .parquet file.

    "preference" writes the rows that have rejected turns; where no row has, it pairs a kept answer with a fallen one to the same
    prompt. SynthgainError where rows and format do not fit, or where there is nothing to write; then nothing is.
    """
    if form not in FORMS:
        raise SynthgainError(
            f"there is no format {form!r}",
            next=f"choose from: {', '.join(FORMS)}; calls of a run, and gguf of a student",
        )
    if out.suffix not in (".jsonl", ".parquet"):
        raise SynthgainError(
            "the file must end in .jsonl or .parquet", where=str(out), next=f"-o {out.with_suffix('.jsonl')}"
        )
    if form == "questions" and out.suffix != ".jsonl":
        raise SynthgainError("questions are JSON Lines", where=str(out), next=f"-o {out.with_suffix('.jsonl')}")
    unpaired, lost, more = Counter[str](), Counter[str](), Counter[str]()
    rows = _kept(run, FORMS[form])
    if form == "preference":
        rows = _with_rejected(rows, unpaired) if _any_rejected(run) else _paired(run, unpaired)
    written = _write((_counted(row, FORMS[form], lost, more) for row in rows), out)
    if not written:
        raise SynthgainError(
            "there is nothing to write: " + _why_nothing(form),
            where=str(run.path),
            next=f"look at the reasons: synthgain report {run.path}",
        )
    return Exported(written, unpaired["rows"], dict(sorted(lost.items())), fields=dict(sorted(more.items())))


def _why_nothing(form: str) -> str:
    if form == "preference":
        return "no kept row has rejected turns, and no fallen row answers the same prompt as a kept one"
    return "no row was kept"


# ---------------------------------------------------------------------------------------------- rows of a run


def _kept(run: Run, form: Form) -> Iterator[Stored]:
    for row in _rows(run):
        if row["kept"]:
            if row[form.column] is None:
                other = "text" if form.column == "messages" else "chat"
                raise SynthgainError(
                    f"this row has no {form.column}, which the format needs",
                    where=f"row {row['id']}",
                    next=f"use --to {other}",
                )
            yield row


def _rows(run: Run) -> Iterator[Stored]:
    for shard in run.shards(["id", "kept", "check", "messages", "text", "rejected", "tools", "fields"]):
        for row in shard.to_pylist():
            tools = json.loads(row["tools"]) if row["tools"] else []
            yield row | {"messages": _chat(row["messages"]), "rejected": _chat(row["rejected"]), "tools": tools}


def _chat(stored: Sequence[Mapping[str, Any]] | None) -> list[Stored] | None:
    """Turns as columns hold them, tool calls in OpenAI's shape (`type` and `arguments` may be missing in a row)."""
    said = chat(stored)
    return None if said is None else [_turn(dict(turn)) for turn in said]


def _turn(turn: Stored) -> Stored:
    if "tool_calls" not in turn:
        return turn
    calls = turn.pop("tool_calls")
    return turn | {"tool_calls": [_call(call) for call in calls]} if calls else turn


def _call(given: Mapping[str, Any]) -> Stored:
    known = {"id": given["id"]} if "id" in given else {}
    function = {"arguments": "{}"} | given["function"]
    return known | {
        "type": given.get("type", "function"),
        "function": {name: function[name] for name in ("name", "arguments")},
    }


def _any_rejected(run: Run) -> bool:
    shards = (shard.filter(shard.column("kept")).column("rejected") for shard in run.shards(["kept", "rejected"]))
    return any(column.null_count < len(column) for column in shards)


def _with_rejected(rows: Iterable[Stored], unpaired: Counter[str]) -> Iterator[Stored]:
    for row in rows:
        if row["rejected"]:
            yield row
        else:
            unpaired["rows"] += 1


def _paired(run: Run, unpaired: Counter[str]) -> Iterator[Stored]:
    """Kept rows, each with a fallen answer to the same prompt; an answer stands in one pair."""
    kept: dict[str, list[Stored]] = defaultdict(list)
    fallen: dict[str, list[list[Stored]]] = defaultdict(list)
    for row in _rows(run):
        if row["messages"] is None:
            raise SynthgainError(
                "preference pairs need chats; these rows are plain text", where=f"row {row['id']}", next="use --to text"
            )
        answered = any(turn["role"] == "assistant" for turn in row["messages"])
        if row["check"] in NOT_WORSE or not (row["kept"] or answered):
            continue
        before, answer = _split(row)
        key = canonical([[_without(turn, "learn") for turn in before], row["tools"]])
        if row["kept"]:
            kept[key].append(row)
        elif any(turn["content"].strip() or turn.get("tool_calls") for turn in answer):
            fallen[key].append(answer)
    for key, good in kept.items():
        said = [_split(row)[1] for row in good]
        bad = [answer for answer in fallen[key] if answer not in said]
        unpaired["rows"] += max(0, len(good) - len(bad))
        for row, rejected in zip(good, bad):
            yield row | {"rejected": rejected}


def _split(row: Stored) -> tuple[list[Stored], list[Stored]]:
    """What stands before the last answer, and it."""
    turns: list[Stored] = row["messages"]
    last = max((i for i, turn in enumerate(turns) if turn["role"] == "assistant"), default=None)
    if last is None:
        raise SynthgainError("this row has no answer", where=f"row {row['id']}", next="use --to chat")
    return turns[:last], turns[last:]


def _without(turn: Stored, *names: str) -> Stored:
    return {name: value for name, value in turn.items() if name not in names}


# ---------------------------------------------------------------------------------------------- formats


def _tools(row: Stored) -> Stored:
    return {"tools": row["tools"]} if row["tools"] else {}


def _as_chat(row: Stored) -> Stored:
    rejected = {"rejected": row["rejected"]} if row["rejected"] else {}
    return {"id": row["id"], "messages": row["messages"], **rejected, **_tools(row)}


def _openai(row: Stored) -> Stored:
    turns = []
    for turn in row["messages"]:
        masked = turn["role"] == "assistant" and turn.get("learn") is False
        turns.append(_without(turn, "learn", "reasoning") | ({"weight": 0} if masked else {}))
    return {"messages": turns, **_tools(row)}


def _alpaca(row: Stored) -> Stored:
    turns = {turn["role"]: turn["content"] for turn in row["messages"]}
    if row["tools"] or "tool" in turns or any("tool_calls" in turn for turn in row["messages"]):
        raise SynthgainError(
            "alpaca has no place for tools and their calls",
            where=f"row {row['id']}",
            next="use --to sharegpt, openai or chat",
        )
    if [turn["role"] for turn in row["messages"] if turn["role"] != "system"] != ["user", "assistant"]:
        raise SynthgainError(
            "alpaca holds one question and one answer; this row has other turns",
            where=f"row {row['id']}",
            next="use --to sharegpt or --to chat",
        )
    system = {"system": turns["system"]} if "system" in turns else {}
    return {"instruction": turns["user"], "input": "", "output": turns["assistant"], **system}


def _sharegpt(row: Stored) -> Stored:
    roles = [turn["role"] for turn in row["messages"]]
    if any(both == ("tool", "tool") for both in pairwise(roles)):
        raise SynthgainError(
            "sharegpt has one observation after a function_call, and here several tools answer",
            where=f"row {row['id']}",
            next="use --to openai or --to chat",
        )
    tools = {"tools": json.dumps([_bare(tool) for tool in row["tools"]], ensure_ascii=False)} if row["tools"] else {}
    return {"id": row["id"], "conversations": [_said(turn, row) for turn in row["messages"]], **tools}


def _said(turn: Stored, row: Stored) -> Stored:
    calls = turn.get("tool_calls")
    if not calls:
        return {"from": SPEAKERS.get(turn["role"], turn["role"]), "value": turn["content"]}
    if turn["content"].strip():
        raise SynthgainError(
            "sharegpt has no turn that both says something and calls a tool",
            where=f"row {row['id']}",
            next="use --to openai or --to chat",
        )
    said = [call["function"] | {"arguments": _object(call["function"]["arguments"])} for call in calls]
    return {"from": "function_call", "value": json.dumps(said[0] if len(said) == 1 else said, ensure_ascii=False)}


def _object(text: str) -> Any:
    """The arguments of a call as the object that their text is; the text where it is none."""
    with suppress(ValueError, RecursionError):
        if isinstance(held := json.loads(text), dict):
            return held
    return text


def _bare(tool: Stored) -> Any:
    """A tool as LLaMA-Factory's examples have it: the function alone, where there is nothing else in it."""
    plain = tool.keys() <= {"type", "function"} and tool.get("type", "function") == "function" and "function" in tool
    return tool["function"] if plain else tool


def _prompt_and_answer(row: Stored) -> tuple[list[Stored], list[Stored]]:
    """Prompt and last answer; a prompt's answers are not learnt there, so those that are say it."""
    before, answer = _split(row)
    marked = [
        _without(turn, "learn") | ({"learn": True} if is_learnt(turn, i) else {})
        if turn["role"] == "assistant"
        else turn
        for i, turn in enumerate(before)
    ]
    return marked, answer


def _prompt_completion(row: Stored) -> Stored:
    prompt, completion = _prompt_and_answer(row)
    return {"prompt": prompt, "completion": completion, **_tools(row)}


def _preference(row: Stored) -> Stored:
    prompt, chosen = _prompt_and_answer(row)
    return {"prompt": prompt, "chosen": chosen, "rejected": row["rejected"], **_tools(row)}


def _text(row: Stored) -> Stored:
    return {"id": row["id"], "text": row["text"]}


def _question(row: Stored) -> Stored:
    held = json.loads(row["fields"] or "{}")
    if not all(name in held for name in ("question", "options", "gold")):
        raise SynthgainError(
            "this row is no multiple-choice question: it has no fields question, options and gold",
            where=f"row {row['id']}",
            next="export a run of the recipe exam-questions, or use --to text",
        )
    more = {name: held[name] for name in ("document", "title") if held.get(name)}
    return {"id": row["id"], **{name: held[name] for name in ("question", "options", "gold")}, **more}


MASK = "learn (answers that are not learnt)"
MORE = "learn (other turns that are learnt)"
CALLS = frozenset({"tools", "tool_calls", "tool_call_id", "name"})
TURNS = CALLS | {"reasoning", MASK, MORE}
FORMS: dict[str, Form] = {
    "chat": Form(_as_chat, TURNS | {"rejected"}),
    "alpaca": Form(_alpaca, frozenset()),
    "sharegpt": Form(_sharegpt, frozenset({"tools", "tool_calls"})),
    "openai": Form(_openai, CALLS | {MASK}),
    "prompt-completion": Form(_prompt_completion, TURNS),
    "preference": Form(_preference, TURNS | {"rejected"}),
    "text": Form(_text, frozenset(), "text"),
    "questions": Form(_question, frozenset(), "text"),
}


def _counted(row: Stored, form: Form, lost: Counter[str], fields: Counter[str]) -> Stored:
    """The row as the format has it; what it cannot hold is counted, a row once for each, its fields by themselves."""
    has = {name for name in ("tools", "rejected") if row[name]}
    for i, turn in enumerate(row["messages"] or ()):
        has |= turn.keys() - {"role", "content", "learn"}
        usual = is_learnt(_without(turn, "learn"), i)
        if is_learnt(turn, i) != usual:
            has.add(MASK if usual else MORE)
    lost.update(has - form.holds)
    line = form.shape(row)
    fields.update(json.loads(row["fields"] or "{}").keys() - line.keys())
    return line


# ---------------------------------------------------------------------------------------------- files


def _write(rows: Iterable[Stored], out: Path) -> int:
    """Atomically; a file without rows is not written. Parquet is made from lines, when it is known which keys the rows have."""
    out.parent.mkdir(parents=True, exist_ok=True)
    new, columns = (out.with_name(f".{out.name}.{os.getpid()}{end}") for end in ("", ".columns"))
    used: dict[str, set[str]] = defaultdict(set)  # column → keys of its turns
    n = 0
    try:
        with open(new, "w", encoding="utf-8") as file:
            for row in rows:
                for name, value in row.items():
                    used[name] |= _keys(name, value)
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                n += 1
        if n and out.suffix == ".parquet":
            _parquet(new, _schema(used), columns)
            columns.replace(out)
        elif n:
            new.replace(out)
    finally:
        for left in (new, columns):
            left.unlink(missing_ok=True)
    return n


def _keys(name: str, value: Any) -> set[str]:
    """The keys of a column's turns; none of a text's."""
    if not isinstance(value, list):
        return set()
    return {"from", "value"} if name == "conversations" else {"role", "content"}.union(*value)


_KEYS = {name: pa.string() for name in ("role", "content", "from", "value")} | OPTIONAL | {"weight": pa.int64()}


def _schema(used: Mapping[str, set[str]]) -> pa.Schema:
    """Texts, and lists of turns with the keys that some row has; `tools` are JSON text, since every one has parameters of its own."""
    turns = {
        name: pa.list_(pa.struct([(key, kind) for key, kind in _KEYS.items() if key in keys]))
        for name, keys in used.items()
        if keys and name != "tools"
    }
    return pa.schema([(name, turns.get(name, pa.string())) for name in used])


def _parquet(lines: Path, schema: pa.Schema, file: Path) -> None:
    """A thousand rows at a time."""
    with open(lines, encoding="utf-8") as stream, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        while some := [json.loads(line) for line in islice(stream, 1000)]:
            for row in some:
                if isinstance(row.get("tools"), list):
                    row["tools"] = json.dumps(row["tools"], ensure_ascii=False)
            writer.write_table(pa.Table.from_pylist(some, schema=schema))

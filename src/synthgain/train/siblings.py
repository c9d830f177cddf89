"""Siblings: rows that are held out of training, by prompt, so that what a student took from the others can be told.

A student's losses on rows that it learnt (members) and on rows of the same making that it never saw
(siblings) give the memorisation index, the generalisation gap and the absorbed information
(`synthgain.measure`). That needs the two to be exchangeable, so whole prompts are held out, in the order
of a hash of prompt and seed: the order of the rows changes nothing, and arms that share prompts mostly
hold out the same ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from synthgain.train.rows import data_digest
from synthgain.train.shapes import TrainingRow
from synthgain.train.tokens import strings_of, text_of
from synthgain.types import Message, SynthgainError, canonical, digest

FILE = "siblings.parquet"
LEAST = (
    20  # different prompts: below, a tenth would be one prompt, from which nothing can be said, and its rows are missed
)
PAIRS = 200  # at most so many (member, sibling) pairs are written

_MESSAGES = pa.list_(
    pa.struct(
        [
            ("role", pa.string()),
            ("content", pa.string()),
            ("tool_calls", pa.string()),
            ("tool_call_id", pa.string()),
            ("name", pa.string()),
            ("reasoning", pa.string()),
            ("learn", pa.bool_()),
        ]
    )
)
SCHEMA = pa.schema(
    [
        ("pair", pa.int32()),
        ("member", pa.bool_()),
        ("id", pa.string()),
        ("prompt", pa.string()),
        ("given", pa.string()),
        ("said", pa.string()),
        ("messages", _MESSAGES),
        ("tools", pa.string()),
        ("text", pa.string()),
    ]
)


@dataclass(frozen=True)
class Split:
    """Which rows are learnt and which are held out, as places among all rows; `why` says why none are."""

    learnt: tuple[int, ...]
    held: tuple[int, ...]
    prompts: int = 0
    prompts_held: int = 0
    why: str = ""


@dataclass(frozen=True)
class Pairs:
    """(given, said) of members and siblings, pair by pair: the strings that training turned into tokens, each by itself.

    A scorer gets them as they are, the first as raw text ("" for continued pretraining): `said` holds the token
    that ends the answer or the text. Of a chat with several answers it is the last.
    """

    members: tuple[tuple[str, str], ...]
    siblings: tuple[tuple[str, str], ...]


def prompt_of(row: TrainingRow) -> str:
    """The independent unit of a row: what stands before its last answer; of a text its anchors, else the text itself.

    Which of the turns before are learnt makes no other prompt.
    """
    if row.messages is not None:
        before = [{k: v for k, v in turn.items() if k != "learn"} for turn in row.messages[: _last(row.messages)]]
        return digest("messages", canonical(before), *([canonical(row.tools)] if row.tools else ()))
    if row.anchors:
        return digest("anchors", *sorted(set(row.anchors)))
    return digest("text", row.text or "")


def split(rows: Sequence[TrainingRow], share: float, seed: int) -> Split:
    """`share` of the rows is held out, prompt by prompt in the order of a hash, as near to it from below as whole prompts go.

    So two sets of equally many rows are left equally many wherever prompts have few rows. At most twice `share`
    of the prompts are held out, however few rows they have. Below `LEAST` prompts nothing is.
    """
    everything = tuple(range(len(rows)))
    if share == 0:
        return Split(everything, (), why="holding out was switched off (hold_out = 0)")
    of: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        of.setdefault(prompt_of(row), []).append(place)
    if len(of) < LEAST:
        return Split(
            everything, (), len(of), why=f"the rows have {len(of)} different prompts; nothing is held out below {LEAST}"
        )
    left, most = round(share * len(rows)), max(1, round(2 * share * len(of)))
    taken: list[str] = []
    for prompt in sorted(of, key=lambda prompt: digest(f"hold out {seed}", prompt)):
        if left and len(taken) < most and len(of[prompt]) <= left:
            taken.append(prompt)
            left -= len(of[prompt])
    if not taken:
        return Split(everything, (), len(of), why=f"no prompt is small enough to be {share:.0%} of {len(rows)} rows")
    held = {place for prompt in taken for place in of[prompt]}
    return Split(tuple(p for p in everything if p not in held), tuple(sorted(held)), len(of), len(taken))


def pairs(
    members: Iterable[TrainingRow],
    siblings: Iterable[TrainingRow],
    *,
    tokenizer: Any,
    method: str,
    length: int,
    seed: int,
    reasoning: bool = False,
) -> pa.Table:
    """At most `PAIRS` (member, sibling) pairs, one row a prompt, prompts and rows chosen by hash; columns of `SCHEMA`.

    `members` are rows that were learnt whole (a row that the schedule never reached is none). Rows whose
    answer does not begin within `length` tokens are left out, as they are in training.
    """
    members = list(members)
    learnt = {data_digest([row]) for row in members}
    fresh = [
        row for row in siblings if data_digest([row]) not in learnt
    ]  # the same row, learnt under another prompt, is no sibling
    strings = partial(_strings, tokenizer=tokenizer, method=method, length=length, reasoning=reasoning)
    chosen = [_chosen(rows, strings, seed) for rows in (members, fresh)]
    n = min(map(len, chosen))
    records = []
    for pair in range(n):
        for member, found in zip((True, False), chosen):
            prompt, row, (given, said) = found[pair]
            records.append(
                {
                    "pair": pair,
                    "member": member,
                    "id": data_digest([row])[:24],
                    "prompt": prompt,
                    "given": given,
                    "said": said,
                    "messages": None if row.messages is None else [_stored(turn) for turn in row.messages],
                    "tools": json.dumps(row.tools, ensure_ascii=False) if row.tools else None,
                    "text": row.text,
                }
            )
    return pa.Table.from_pylist(records, schema=SCHEMA)


def read_pairs(student: Path) -> Pairs | None:
    """The pairs that a student's training wrote; None where nothing was held out (its student.json says why)."""
    file = student / FILE
    if not file.is_file():
        return None
    try:
        records = pq.read_table(file, columns=["pair", "member", "given", "said"]).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise SynthgainError(
            f"the student's held-out rows cannot be read ({error})", where=str(file), next="train the student again"
        ) from error
    ordered = sorted(records, key=lambda r: int(r["pair"]))
    sides = [tuple((r["given"], r["said"]) for r in ordered if r["member"] is member) for member in (True, False)]
    return Pairs(*sides)


def record_of(found: Split, rows: Sequence[TrainingRow], n_pairs: int) -> Mapping[str, Any]:
    """What student.json says under `held_out`."""
    why = found.why or ("" if n_pairs else "no pair of a learnt and a held-out row could be formed")
    return {
        "rows": len(found.held),
        "prompts": found.prompts_held,
        "of_prompts": found.prompts,
        "pairs": n_pairs,
        "file": FILE if n_pairs else None,
        "digest": data_digest(rows[i] for i in found.held) if found.held else None,
        "why": why,
    }


def _stored(turn: Message) -> dict[str, Any]:
    """A turn as a column holds it: tool calls as JSON text."""
    calls = {"tool_calls": json.dumps(turn["tool_calls"], ensure_ascii=False)} if "tool_calls" in turn else {}
    return {**turn, **calls}


def _last(messages: Sequence[Message]) -> int:
    """The place of the last answer; behind the end where there is none."""
    return max((i for i, m in enumerate(messages) if m["role"] == "assistant"), default=len(messages))


def _chosen(
    rows: Iterable[TrainingRow], strings_in: Callable[[TrainingRow], tuple[str, str] | None], seed: int
) -> list[tuple[str, TrainingRow, tuple[str, str]]]:
    """(prompt, row, its strings) of at most `PAIRS` prompts, in the order of a hash; of a prompt's rows the first that can be learnt."""
    of: dict[str, list[TrainingRow]] = {}
    for row in rows:
        of.setdefault(prompt_of(row), []).append(row)
    found: list[tuple[str, TrainingRow, tuple[str, str]]] = []
    for prompt in sorted(of, key=lambda prompt: digest(f"pairs {seed}", prompt)):
        if len(found) == PAIRS:
            break
        for row in sorted(of[prompt], key=lambda row: digest(f"pairs {seed}", data_digest([row]))):
            strings = strings_in(row)
            if strings:
                found.append((prompt, row, strings))
                break
    return found


def _strings(row: TrainingRow, tokenizer: Any, method: str, length: int, reasoning: bool) -> tuple[str, str] | None:
    """What stands before the loss and what carries it, cut to `length` tokens; None where nothing is left."""
    end = tokenizer.eos_token or ""
    if method == "sft" and row.messages is not None:
        given, said = strings_of(row, tokenizer, reasoning=reasoning)
        room = length - len(tokenizer(given, add_special_tokens=False)["input_ids"])
    else:
        given, said = "", text_of(row, tokenizer, reasoning=reasoning)
        said, room = said if said.endswith(end) else said + end, length - 1  # the token that begins a text takes one
    ids = tokenizer(said, add_special_tokens=False)["input_ids"] if room > 0 else []
    if len(ids) > room:
        said = tokenizer.decode(ids[:room]).rstrip("\ufffd")
    return (given, said) if ids and said else None

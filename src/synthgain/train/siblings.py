"""Siblings: rows that are held out of training, by prompt, so that what a student took from the others can be told.

A student's losses on rows that it learnt (members) and on rows of the same making that it never saw
(siblings) give the memorisation index, the generalisation gap and the absorbed information
(`synthgain.measure`). That needs the two to be exchangeable, so whole prompts are held out, in the order
of a hash of prompt and seed: the order of the rows changes nothing, and arms that share prompts mostly
hold out the same ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from synthgain.train.rows import Keys, TrainingRows, data_digest, prompt_of
from synthgain.train.shapes import TrainingRow
from synthgain.train.spelling import ended_text, strings_of
from synthgain.types import Message, SynthgainError, digest

FILE = "siblings.parquet"
LEAST = (
    20  # different prompts: below, a tenth would be one prompt, from which nothing can be said, and its rows are missed
)
PAIRS = 200  # at most so many (member, sibling) pairs are written
ROWS = 8  # of one prompt that are looked at for them

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


Held = NDArray[np.bool_]  # of each row whether it is held out


@dataclass(frozen=True)
class Split:
    """Which rows are held out, row by row; `why` says why none are."""

    held: Held
    prompts: int = 0
    prompts_held: int = 0
    why: str = ""

    @property
    def rows_held(self) -> int:
        return int(self.held.sum())


@dataclass(frozen=True)
class Pairs:
    """(given, said) of members and siblings, pair by pair: the strings that training turned into tokens, each by itself.

    A scorer gets them as they are, the first as raw text ("" for continued pretraining): `said` holds the token
    that ends the answer or the text. Of a chat with several answers it is the last.
    """

    members: tuple[tuple[str, str], ...]
    siblings: tuple[tuple[str, str], ...]


def split(prompts: Keys, share: float, seed: int) -> Split:
    """`share` of the rows is held out, prompt by prompt in the order of a hash, as near to it from below as whole prompts go.

    `prompts` are the rows' (`TrainingRows.prompts`). So two sets of equally many rows are left equally many wherever prompts
    have few rows. At most twice `share` of the prompts are held out, however few rows they have. Below `LEAST` prompts nothing is.
    """
    none = np.zeros(len(prompts), bool)
    if share == 0:
        return Split(none, why="holding out was switched off (hold_out = 0)")
    each, of, sizes = np.unique(prompts, return_inverse=True, return_counts=True)
    if len(each) < LEAST:
        why = f"the rows have {len(each)} different prompts; nothing is held out below {LEAST}"
        return Split(none, len(each), why=why)
    left, most = round(share * len(prompts)), max(1, round(2 * share * len(each)))
    taken = np.zeros(len(each), bool)
    for at in np.argsort(_mixed(each, f"hold out {seed}"), kind="stable"):
        if not left or most == 0:
            break
        if sizes[at] <= left:
            taken[at] = True
            left, most = left - int(sizes[at]), most - 1
    if not taken.any():
        return Split(none, len(each), why=f"no prompt is small enough to be {share:.0%} of {len(prompts)} rows")
    return Split(taken[of], len(each), int(taken.sum()))


def candidates(
    rows: TrainingRows, members: NDArray[np.bool_], held: NDArray[np.bool_], seed: int
) -> tuple[list[TrainingRow], ...]:
    """Some of the members and of the rows held out, from which `pairs` chooses: a few rows of the first prompts in the order of a hash.

    A row that was learnt under another prompt is no sibling.
    """
    fresh = held & ~np.isin(rows.keys, rows.keys[members])
    chosen = [_first_prompts(rows.prompts, side, seed) for side in (members, fresh)]
    found: tuple[list[TrainingRow], ...] = ([], [])
    if all(side.any() for side in chosen):
        for place, row in enumerate(rows):
            for side, into in zip(chosen, found):
                if side[place]:
                    into.append(row)
    return found


def _first_prompts(prompts: Keys, of: NDArray[np.bool_], seed: int) -> NDArray[np.bool_]:
    """Which rows belong to the first 2 · `PAIRS` prompts, at most `ROWS` of each."""
    places = np.flatnonzero(of)
    order = places[np.argsort(_mixed(prompts[places], f"pairs {seed}"), kind="stable")]
    sorted_prompts = prompts[order]
    starts = np.flatnonzero(np.r_[True, sorted_prompts[1:] != sorted_prompts[:-1]]) if len(order) else order
    sizes = np.diff(np.r_[starts, len(order)])
    nth = np.arange(len(order)) - np.repeat(starts, sizes)  # of its prompt
    rank = np.repeat(np.arange(len(starts)), sizes)  # of its prompt among prompts
    chosen = np.zeros(len(prompts), bool)
    chosen[order[(nth < ROWS) & (rank < 2 * PAIRS)]] = True
    return chosen


def _mixed(keys: Keys, word: str) -> Keys:
    """Other 64-bit numbers of the keys, by a word (the finaliser of SplitMix64)."""
    x = keys ^ np.uint64(int(digest(word)[:16], 16))
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


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
    strings = partial(_strings, tokenizer=tokenizer, method=method, length=length, reasoning=reasoning)
    chosen = [_chosen(rows, strings, seed) for rows in (members, siblings)]
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


def record_of(found: Split, n_pairs: int, held_digest: str) -> Mapping[str, Any]:
    """What student.json says under `held_out`."""
    why = found.why or ("" if n_pairs else "no pair of a learnt and a held-out row could be formed")
    return {
        "rows": found.rows_held,
        "prompts": found.prompts_held,
        "of_prompts": found.prompts,
        "pairs": n_pairs,
        "file": FILE if n_pairs else None,
        "digest": held_digest or None,
        "why": why,
    }


def _stored(turn: Message) -> dict[str, Any]:
    """A turn as a column holds it: tool calls as JSON text."""
    calls = {"tool_calls": json.dumps(turn["tool_calls"], ensure_ascii=False)} if "tool_calls" in turn else {}
    return {**turn, **calls}


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
    if method == "sft" and row.messages is not None:
        try:
            given, said = strings_of(row, tokenizer, reasoning=reasoning)
        except SynthgainError:  # training has counted it
            return None
        room = length - len(tokenizer(given, add_special_tokens=False)["input_ids"])
    else:
        given, said, room = (
            "",
            ended_text(row, tokenizer, reasoning=reasoning),
            length - 1,
        )  # the token that begins a text takes one
    ids = tokenizer(said, add_special_tokens=False)["input_ids"] if room > 0 else []
    if len(ids) > room:
        said = tokenizer.decode(ids[:room]).rstrip("\ufffd")
    return (given, said) if ids and said else None

"""Rows and their lives for people. Texts are anybody's: control characters are shown, never sent to the terminal, and nothing is markup."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synthgain.numbers import count
from synthgain.report.markup import visible

EMPTY = "(empty)"
MOST = 1500  # characters of one text; its middle is left out, for what varies often stands last


def shown(text: str, most: int = MOST) -> str:
    """A text as a terminal may have it, and of a long one its beginning and its end."""
    if len(text) > most:
        half = most // 2
        text = f"{text[:half]}\n[… {len(text) - 2 * half:,} of {len(text):,} characters left out …]\n{text[-half:]}"
    return visible(text)


def print_life(life: Mapping[str, Any]) -> None:
    """A row's whole life: anchors, prompts, answers, verdict."""
    from synthgain.api.looking import said_in

    row = life["row"]
    print("=" * 100)
    print("a call that no row came from" if row is None else f"row {row['id']}  {verdict(row)}")
    for anchor in life["anchors"]:
        print(f"--- anchor {shown(anchor['source'])}\n{shown(anchor['text'], 400)}")
    for call in life["calls"]:
        for message in call["prompt"]["messages"]:
            print(f"--- to {call['model']}, {message['role']}\n{shown(said_in(message))}")
        if call["message"].get("reasoning"):
            print(f"--- thinking\n{shown(call['message']['reasoning'])}")
        print(
            f"--- answer ({count(call['tokens_in'])} → {count(call['tokens_out'])} tokens, {call['finish']})\n"
            f"{shown(said_in(call['message'])) or EMPTY}"
        )
    if row is not None:
        same = bool(life["calls"]) and row["text"] == said_in(life["calls"][-1]["message"])
        print("--- row\n" + ("the answer as it is" if same and row["text"] else said(row) or EMPTY), flush=True)


def print_row(row: Mapping[str, Any], number: int, thought: str = "") -> None:
    """One row by itself; `thought` is what stands before its text and is no part of it."""
    print(f"{'=' * 100}\n{number}. row {row['id']}  {verdict(row)}")
    fields = {name: value for name, value in row["fields"].items() if value not in (None, "", [], {})}
    if fields:
        print(shown("  ".join(f"{name}={value}" for name, value in fields.items()), 300))
    if thought:
        print(f"thinking: {shown(thought)}")
    print(said(row) or EMPTY)


def verdict(row: Mapping[str, Any]) -> str:
    """What became of it."""
    return "kept" if row["kept"] else f"dropped by {shown(row['check'])}: {shown(row['reason'])}"


def said(row: Mapping[str, Any], most: int = MOST) -> str:
    """What a row holds: its text, or its turns."""
    from synthgain.api.looking import said_in

    if row["messages"] is None:
        return shown(row["text"] or "", most)
    turns = [*row["messages"], *({**m, "role": "rejected"} for m in (row["rejected"] or [])[-1:])]
    lines = []
    for turn in turns:
        if turn.get("reasoning"):
            lines.append(f"{turn['role']}, thinking: {shown(turn['reasoning'], most)}")
        lines.append(f"{turn['role']}: {shown(said_in(turn), most) or EMPTY}")
    return "\n".join(lines)

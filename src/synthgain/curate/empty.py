"""Rows without text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from synthgain.thinking import unanswered
from synthgain.types import Anchor, Row, Verdict, drop, keep


@dataclass(frozen=True)
class NotEmpty:
    """Drops a row whose answer holds no letter or digit; what was thought is no part of it."""

    @property
    def name(self) -> str:
        return "empty"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        if why := no_answer(row):
            return drop(why)
        return keep() if any(c.isalnum() for c in row.answer) else drop("no text")


def no_answer(row: Row) -> str:
    """Why a row has no answer at all ("thinking never ended", "only reasoning", "no answer", of a text "no text"); "" where it has one."""
    if not unanswered(row.answer):
        return ""
    call = row.calls[-1] if row.calls else None
    turns = [turn for turn in row.messages or () if turn["role"] == "assistant"][-1:]
    if turns and turns[0].get("tool_calls"):
        return ""
    said = [turn.get("reasoning", "") for turn in [*turns, *([call.message] if call else [])]]
    raw = call.raw["content"] if call and call.raw else None
    why = unanswered(row.answer, "".join(said), raw, call.finish if call else "stop")
    nothing = "no text" if row.messages is None else "no answer"
    return nothing if why == "nothing was answered" else why


CHECK = NotEmpty

"""Rows whose answer still holds what was thought before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from synthgain.thinking import parted
from synthgain.types import Anchor, Row, Verdict, drop, keep


@dataclass(frozen=True)
class ThinkingLeft:
    """Drops a row with thinking inside an answer, in any of the marks that `synthgain.thinking` knows; in a field of its own it is in its place.

    Of data that somebody else made: rows that are made here have it set apart already. Marks in code, or that a text talks about, stay.
    """

    @property
    def name(self) -> str:
        return "thinking-left"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        said = [row.text or ""] if row.messages is None else _answers(row)
        for text in said:
            parts = parted(text)
            if not parts.ended:
                return drop("thinking that never ends")
            if parts.reasoning:
                return drop("thinking in the answer" if parts.content.strip() else "nothing but thinking")
        return keep()


def _answers(row: Row) -> list[str]:
    return [turn["content"] for turn in row.messages or () if turn["role"] == "assistant"]


CHECK = ThinkingLeft

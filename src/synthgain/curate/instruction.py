"""Rows whose instruction a model of text cannot follow, or that is none, by rule: the filter of Self-Instruct and Alpaca."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass

from synthgain.types import Anchor, Row, Verdict, drop, keep
from synthgain.words import count

BANNED = (  # code (self-instruct, `bootstrap_instructions.py`)
    *("image", "images", "graph", "graphs", "picture", "pictures", "file", "files", "map", "maps"),
    *("draw", "plot", "go to"),
)
MEDIA = ("video", "audio", "music", "flowchart", "diagram")  # code (stanford_alpaca): besides those above


@dataclass(frozen=True)
class Instruction:
    """Drops a row whose instruction has fewer than `least` or more than `most` words, holds one of the `banned` words, or asks for a program.

    So falls one that begins with a punctuation mark or, with `ascii`, with a letter outside of ASCII: of a set in another language, set
    `ascii=no`. The instruction is the field `instruction` of a row, else its last user turn.
    """

    least: int = 4
    most: int = 150
    banned: tuple[str, ...] = BANNED
    ascii: bool = True

    @property
    def name(self) -> str:
        return "instruction"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        why = "" if row.fields.get("human") else self.unfit(asked_in(row))
        return drop(why) if why else keep()

    def unfit(self, instruction: str) -> str:
        """Why an instruction is none; "" where it is one."""
        text = instruction.strip()
        n = count(text)
        if n < self.least or n > self.most:
            return "instruction too short" if n < self.least else "instruction too long"
        if self.banned and (found := re.search(rf"\b(?:{'|'.join(map(re.escape, self.banned))})\b", text, re.I)):
            return f"instruction names {found[0].lower()!r}"
        if text.lower().startswith("write a program"):
            return "instruction asks for a program"
        if text[0] in string.punctuation:
            return "instruction begins with a punctuation mark"
        return "instruction begins outside of ASCII" if self.ascii and not text[0].isascii() else ""


def asked_in(row: Row) -> str:
    """The instruction of a row."""
    held = row.fields.get("instruction")
    if isinstance(held, str):
        return held
    return next((turn["content"] for turn in reversed(row.messages or ()) if turn["role"] == "user"), "")


CHECK = Instruction

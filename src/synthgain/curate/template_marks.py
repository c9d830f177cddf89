"""Rows in which marks of the prompt or of a chat template were left."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from synthgain.types import Anchor, Row, Verdict, drop, keep

_SPECIAL = re.compile(  # tokens with which chat templates part turns: a student's tokenizer may read them as such
    r"<\|(?:im_start|im_end|im_sep|endoftext|eot_id|eom_id|start_header_id|end_header_id|begin_of_text|end_of_text|python_tag"
    r"|system|user|assistant|observation|end|start|channel|message|return|call)\|>"
    r"|<[｜|](?:begin▁of▁sentence|end▁of▁sentence|User|Assistant)[｜|]>"
    r"|(?<!\w)\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|\A(?:(?!<s>)[\s\S])*</s>\s{0,8}\Z"
)
_LEFT = re.compile(  # of prompts: Alpaca's and Vicuna's headings, Self-Instruct's numbered fields, its word for no input
    r"(?im)^[ \t]{0,3}\#{2,4}[ \t]{0,4}(?:instruction|response|input|human|assistant|user|system)s?[ \t]{0,4}:?[ \t]{0,4}$"
    r"|^[ \t]{0,8}\d{1,3}[ \t]?\.[ \t]{0,4}(?:instruction|input|output)[ \t]?:"
    r"|\A\s{0,40}(?:\#{2,4}[ \t]{0,4})?(?:assistant|response|ai)[ \t]?:\s"
)
_NO_INPUT = re.compile(
    r"(?im)<[ \t]?no[ \t]?input[ \t]?>|^[(\[]?no[ \t_-]?input[)\]]?\.?[ \t]{0,8}$"
)  # of Self-Instruct's prompts: a field left empty


@dataclass(frozen=True)
class TemplateMarks:
    """Drops a row with special tokens of chat templates in a turn ("<|im_end|>", "[INST]") or with "<noinput>" for a field that was left empty.

    So falls an answer with headings of its prompt: "### Response:", "7. Input:" as Self-Instruct's prompts have them,
    "Assistant:" in front. A text about such marks falls too.
    """

    @property
    def name(self) -> str:
        return "template-marks"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        texts = [row.text or ""] if row.messages is None else [turn["content"] for turn in row.messages]
        marked = (_SPECIAL.search(text) for text in texts if "<" in text or "[" in text)
        empty = (_NO_INPUT.search(text) for text in texts if "nput" in text or "NPUT" in text)
        found = next(filter(None, (*marked, *empty)), None) or _LEFT.search(row.answer)
        return keep() if found is None else drop(f"holds {' '.join(found.group().split())[-40:]!r}")


CHECK = TemplateMarks

"""What models say around the text that they were asked for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from synthgain.types import Anchor, Row, Verdict, drop, keep

_OPENING = (
    r"(?:sure|certainly|of\s+course|absolutely|okay|ok|great|gladly|no\s+problem)\b[^\n]{0,120}?[!,.:]"
    r"|(?:sure|certainly|of\s+course|absolutely|okay|ok)\s*(?=\n)"
)
_THING = (
    r"(?:paraphras\w*|rephras\w*|rewrit\w*|rewrote|reword\w*|version|restat\w*|summar\w*|simplif\w*|translation|"
    r"conversation|dialogue|question-and-answer|q&a|passage|text|answer)"
)
_ANNOUNCES = (
    rf"(?:here(?:['’]s|\s+is|\s+are)|below\s+is|this\s+is|i(?:['’]ve|\s+have|\s+will|['’]ll)?\s+(?:\w+\s+)?(?:{_THING}))"
    rf"\b[^\n]{{0,160}}?:\s*(?:\n|(?=\S))"
)
_LABEL = rf"(?:\*\*|\#{{1,4}}\s*)?(?:the\s+)?(?:{_THING})(?:\s+(?:{_THING}|of\s+the\s+(?:text|passage)))?\s*(?:\*\*)?\s*:\s*(?:\*\*)?(?:\n|(?=\S))"
_FRONT = re.compile(rf"(?i)\s*(?:(?:{_OPENING})\s*|(?:{_ANNOUNCES})\s*|(?:{_LABEL})\s*)")
_ANNOUNCED_THING = re.compile(rf"(?i){_THING}")
_CLOSING = re.compile(
    r"(?is)\n\s*(?:(?:i\s+hope\s+(?:this|that)\s+helps|let\s+me\s+know\s+if|please\s+let\s+me\s+know|feel\s+free\s+to\s+ask|"
    r"would\s+you\s+like\s+me\s+to|is\s+there\s+anything\s+else)[^\n]{0,300}|note:\s*(?:this|i|the)\s+(?:is|have|rephras|paraphras|rewrit)[^\n]{0,300})\s*$"
)
_OPENS = re.compile(r"(?i)^\s*(?:sure|certainly|of\s+course|absolutely)\s*[!,.:]")
_REMAINS = re.compile(
    rf"(?i)^\s*here(?:['’]s|\s+is|\s+are)\b[^\n]{{0,80}}{_THING}"
    rf"|\bhere(?:['’]s|\s+is)\s+(?:the|a|my|your)\s+(?:\w+\s+){{0,2}}{_THING}"
    rf"|\b(?:paraphrased|rephrased|rewritten|reworded|simplified)\s+(?:version|text|passage)\b"
    rf"|\bi\s+hope\s+(?:this|that)\s+helps\b|\blet\s+me\s+know\s+if\s+you\b|\bas\s+an\s+ai\b"
)


def strip_preamble(text: str) -> str:
    """The text without what the model says before and after it ("Sure, here is the rewritten text:").

    Only whole phrases at the very beginning and end go, at most three in front; the text itself is not touched.
    """
    rest = text.strip()
    for _ in range(3):
        match = _FRONT.match(rest[:400])
        if match is None or not _is_talk(match.group()):
            break
        rest = rest[match.end() :].lstrip()
    rest = rest[: max(0, len(rest) - 400)] + _CLOSING.sub("", rest[-400:])
    rest = rest.strip()
    for mark in ('"""', "```", '"', "“"):
        closing = "”" if mark == "“" else mark
        inner = rest[len(mark) : -len(closing)]
        if (
            len(rest) > 2 * len(mark)
            and rest.startswith(mark)
            and rest.endswith(closing)
            and mark not in inner
            and closing not in inner
        ):
            rest = inner.strip()
            break
    return rest


def _is_talk(front: str) -> bool:
    """An opening word alone could begin a real sentence ("Great, the king said."): it must be talk."""
    front = front.strip().lower()
    if re.match(r"(?:sure|certainly|of\s+course|absolutely|okay|ok|gladly|no\s+problem)\b\s*(?:[!,.:]|thing|$)", front):
        return True
    return _ANNOUNCED_THING.search(front) is not None and front.endswith((":", ":**"))


@dataclass(frozen=True)
class Preamble:
    """Drops an answer in which talk about the task remains ("here is the paraphrased version"). English phrases.

    "Certainly, …" at the beginning is such talk in a text; in a chat it answers a person, and stays.

    WRAP strips the typical preambles and discards the outputs that still hold such words (fewer than 0.1 %).
    """

    @property
    def name(self) -> str:
        return "preamble"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        found = _REMAINS.search(row.answer) or (_OPENS.search(row.answer) if row.messages is None else None)
        if found is None:
            return keep()
        phrase = " ".join(found.group().lower().split())
        if any(phrase in " ".join(anchor.text.lower().split()) for anchor in anchors):
            return keep()  # the document itself says so
        return drop("talks about the task")


CHECK = Preamble

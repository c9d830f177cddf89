"""Questions that lack what they point at, or came damaged out of a file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from synthgain.types import Anchor, Row, Verdict, drop, keep

_BOLD_NUMBER = re.compile(r"\*\*(?=[^*\n]*\d)[^\s\]*]+\*\*")
_PROBLEM_NUMBER = re.compile(r"(?<![A-Za-z0-9])p\d{1,3}\.")


@dataclass(frozen=True)
class BrokenQuestion:
    """Drops a row whose question has a drawing in code ("[asy]"), a picture's place ("![Image]"), another problem's number ("p3.") or a bold number.

    The quality filter of s1 (arXiv 2501.19393; code simplescaling/s1, `data/filter.ipynb`), there with looser patterns: "p3." inside a word counted too. Questions
    whose field `source` is one of `drawn` may hold "[asy]" (AIME in the code).
    """

    drawn: tuple[str, ...] = ("aime",)

    @property
    def name(self) -> str:
        return "broken-question"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        for anchor in anchors:
            if why := self.why(anchor):
                return drop(why)
        return keep()

    def why(self, anchor: Anchor) -> str:
        """What is wrong with a question; "" where nothing is."""
        source = str(anchor.fields.get("source") or "").lower()
        if "[asy]" in anchor.text:
            return "" if source in self.drawn else "a drawing in code"
        if "![image]" in anchor.text.lower():
            return "a picture that is not there"
        if _PROBLEM_NUMBER.search(anchor.text):
            return "the number of another problem"
        return "a bold number" if _BOLD_NUMBER.search(anchor.text) else ""


CHECK = BrokenQuestion

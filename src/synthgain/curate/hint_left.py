"""Solutions that speak of a hint, which their reader does not have, or say nothing but it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from synthgain.curate.answers import found_answer
from synthgain.types import Anchor, Row, Verdict, drop, keep
from synthgain.words import words

STATED = frozenset({"the", "final", "answer", "is", "so", "therefore", "a", "boxed"})
_HINT = re.compile(
    r"(?i)\b(?:the|this|that|your|our|a|given|from|per)\s+hint\b|\bhint(?:s|ed)?\s*(?:says?|tells?|gives?|is|was|that|:)"
    r"|\b(?:the|this)\s+(?:given|provided|stated|known|expected|correct)\s+(?:final\s+)?answer\b|\banswer\s+(?:that\s+)?(?:is|was|we(?:re|['’]re)?)\s+(?:already\s+)?(?:given|provided|told)\b"
    r"|\b(?:we|i)\s+(?:are|were|was|have\s+been)\s+(?:told|given)\s+(?:that\s+)?the\s+(?:final\s+)?answer\b"
)


@dataclass(frozen=True)
class HintLeft:
    """Drops a solution that names a hint or an answer known beforehand, where the question itself does not; and one that only repeats its hint.

    STaR asks again with the answer as a hint and takes the hint out of the question; what the solution says of it would stay. A small model often
    answers with the hint alone, which is right and teaches no step: rows whose field `rationalised` is true fall where they say no more than
    their final answer. The phrases are English.
    """

    @property
    def name(self) -> str:
        return "hint-left"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        if row.fields.get("rationalised") is True and _is_answer_alone(row.answer):
            return drop("says its hint and nothing else")
        if _HINT.search(row.answer) is None or any(_HINT.search(anchor.text) for anchor in anchors):
            return keep()
        return drop("speaks of a hint")


def _is_answer_alone(text: str) -> bool:
    """Whether a text has no words and signs but those of its final answer and of how one is stated."""
    answer = found_answer(text)
    return answer is not None and "=" not in answer and set(words(text)) <= STATED | set(words(answer))


CHECK = HintLeft

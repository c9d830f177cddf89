"""Solutions that speak of a hint, which their reader does not have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from synthgain.types import Anchor, Row, Verdict, drop, keep

_HINT = re.compile(
    r"(?i)\b(?:the|this|that|your|our|a|given|from|per)\s+hint\b|\bhint(?:s|ed)?\s*(?:says?|tells?|gives?|is|was|that|:)"
    r"|\b(?:the|this)\s+(?:given|provided|stated|known|expected|correct)\s+(?:final\s+)?answer\b|\banswer\s+(?:that\s+)?(?:is|was|we(?:re|['’]re)?)\s+(?:already\s+)?(?:given|provided|told)\b"
    r"|\b(?:we|i)\s+(?:are|were|was|have\s+been)\s+(?:told|given)\s+(?:that\s+)?the\s+(?:final\s+)?answer\b"
)


@dataclass(frozen=True)
class HintLeft:
    """Drops a solution that names a hint or an answer known beforehand, where the question itself does not. English only.

    STaR asks again with the answer as a hint and takes the hint out of the question; what the solution says of it would stay.
    """

    @property
    def name(self) -> str:
        return "hint-left"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        if _HINT.search(row.answer) is None or any(_HINT.search(anchor.text) for anchor in anchors):
            return keep()
        return drop("speaks of a hint")


CHECK = HintLeft

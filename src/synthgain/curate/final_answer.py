"""Whether a solution comes to the gold answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from synthgain.curate.answers import found_answer, same_answer
from synthgain.curate.empty import no_answer
from synthgain.curate.lacking import of_anchors
from synthgain.turns import is_blank
from synthgain.types import Anchor, Row, Verdict, drop, keep


@dataclass(frozen=True)
class FinalAnswer:
    """Drops a solution whose final answer is not its question's; `gold` names the anchor's field that holds it.

    What a text states and when two answers are the same: see `answers.py`, whose `found_answer` and `gold_of` say what was compared.
    A row without any answer (thinking that never ended, thinking alone, nothing) falls for that, not as wrong. A right answer can rest on
    wrong reasoning.
    """

    gold: str = "answer"
    verifies: ClassVar[bool] = True

    @property
    def name(self) -> str:
        return "final-answer"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        golds = [anchor.fields[self.gold] for anchor in anchors if not is_blank(anchor.fields.get(self.gold))]
        if not golds:
            return drop("no gold answer to compare with")
        if why := no_answer(row):
            return drop(why)
        answer = found_answer(row.answer)
        if answer is None:
            return drop("no final answer")
        return keep() if any(same_answer(answer, gold) for gold in golds) else drop("wrong final answer")

    def lacks(self, row: Row | None, anchors: Sequence[Anchor]) -> str | None:
        """The field of gold answers, where no anchor has it."""
        return of_anchors(anchors, self.gold)


CHECK = FinalAnswer

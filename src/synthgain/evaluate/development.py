"""The questions that decide in a loop, and those that no decision sees.

A best student that was chosen on the test questions is better on them than it is. So a share of the questions (the development split) decides
when a loop stops and which student is best, and the others are only reported. Where a question goes is read from a hash of what it is about,
its document or else its own text: the split is the same in every round and run, more questions move none of the old ones, and questions on
one document are never on both sides.
"""

from __future__ import annotations

from collections.abc import Sequence

from synthgain.evaluate.difference import difference
from synthgain.evaluate.questions import Question, Solved
from synthgain.types import digest


def split(questions: Sequence[Question], share: float) -> tuple[list[Question], list[Question]]:
    """(those that decide, those that are only reported), each in its old order; about `share` of them decide."""
    deciding = {
        q.id for q in questions if int(digest("development", q.document or q.question)[:16], 16) < share * 2**64
    }
    return [q for q in questions if q.id in deciding], [q for q in questions if q.id not in deciding]


def fewest_gained(n: int) -> int | None:
    """How many of n questions must be gained, with none lost, for the lower bound of the paired gain to lie above zero.

    None: not even all n are enough. Of questions with one draw; with several, smaller gains on more questions are enough too.
    """
    nothing = Solved((), {str(i): [False] for i in range(n)})
    for m in range(1, n + 1):
        low = difference(Solved((), {str(i): [i < m] for i in range(n)}), nothing).low
        if low is not None and low > 0:
            return m
    return None

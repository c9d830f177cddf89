"""`answer_margin`: by how much a student finds the right option likelier than the wrong ones.

The log-likelihood of the right option less the mean of the others', in nats, each summed over the option's tokens after the
same question: m = ln p(right) − mean over wrong of ln p(wrong). It moves long before a right option overtakes every wrong one, so
it sees what accuracy on some dozens of questions cannot. Its level says little: a long option costs more nats than a short one whoever
reads it. What counts is the difference of two students on the same questions, where that falls out.

Where questions name documents these are the clusters of the interval: what a student learned of one document it has for all
questions on it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from synthgain.evaluate.questions import Question, Solved
from synthgain.intervals import mean_of_clusters
from synthgain.types import Reading

NAME = "answer_margin"
UNIT = "nats"


def margin(logprobs: Sequence[Sequence[float]], gold: int) -> float:
    """The margin of one question, nats; `logprobs` holds those of each option's tokens."""
    sums = [math.fsum(one) for one in logprobs]
    others = [x for i, x in enumerate(sums) if i != gold]
    return sums[gold] - math.fsum(others) / len(others)


def margin_readings(questions: Sequence[Question], margins: Mapping[str, float]) -> list[Reading]:
    """`answer_margin`, and `answer_margin/facts=1` and so on where questions say how many facts they need."""
    documents = {q.id: q.document for q in questions if q.document}
    found = [_mean(NAME, margins, documents, "right option less the mean of the others")]
    numbers = sorted({q.facts for q in questions if q.facts is not None})
    for n in numbers if len(numbers) > 1 else ():
        mine = {q.id: margins[q.id] for q in questions if q.facts == n}
        found.append(_mean(f"{NAME}/facts={n}", mine, documents, "right option less the mean of the others"))
    return found


def margin_difference(a: Solved, b: Solved, *, level: float = 0.95, name: str = f"{NAME} difference") -> Reading:
    """How much larger the margins of `a` are than those of `b`, nats, paired over the questions that both have."""
    shared = {q: a.margins[q] - b.margins[q] for q in a.margins if q in b.margins}
    return _mean(name, shared, a.documents, "mean of paired differences", level)


def _mean(
    name: str, margins: Mapping[str, float], documents: Mapping[str, str], what: str, level: float = 0.95
) -> Reading:
    if not margins:
        return Reading(
            name, None, level=level, unit=UNIT, estimator=what, note="no question has a margin on both sides"
        )
    clusters = [documents.get(q, f"question {q}") for q in margins]
    mean, low, high = mean_of_clusters(list(margins.values()), clusters, level)
    n = len(set(clusters))
    over = f"{n} documents" if documents else "questions"
    note = "" if low is not None else "one document only: no interval"
    return Reading(
        name, mean, low, high, level, UNIT, len(margins), f"{what}; t interval over {over}", "estimate", note
    )

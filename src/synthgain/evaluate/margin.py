"""`answer_margin`: by how much a student finds the right option likelier than the wrong ones.

The log-likelihood of the right option less the mean of the others', in nats, each summed over the option's tokens after the
same question: m = ln p(right) − mean over wrong of ln p(wrong). It moves long before a right option overtakes every wrong one, so
it sees what accuracy on some dozens of questions cannot. Its level says little: a long option costs more nats than a short one whoever
reads it. What counts is the difference of two students on the same questions, where that falls out.

Questions that go together are one cluster of the interval (`clusters_of`). Where several have the same options, each with another right one,
they do: what a student likes about an option without knowing, or comes to like by training, is gained by one of them and lost by the others, and falls out
of their mean. Otherwise those on one document do: what a student learned of it, it has for all of them. Where option sets are the
clusters the documents are taken as given, and the note says the interval that other documents would leave.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from synthgain.evaluate.questions import Question, Solved
from synthgain.intervals import mean_of_clusters
from synthgain.types import Reading

NAME = "answer_margin"
UNIT = "nats"
KINDS = {"options": "sets of options", "document": "documents", "question": "questions", "prompt": "prompts"}


def margin(logprobs: Sequence[Sequence[float]], gold: int) -> float:
    """The margin of one question, nats; `logprobs` holds those of each option's tokens."""
    sums = [math.fsum(one) for one in logprobs]
    others = [x for i, x in enumerate(sums) if i != gold]
    return sums[gold] - math.fsum(others) / len(others)


def clusters_of(questions: Sequence[Question]) -> dict[str, str]:
    """What each question goes together with, by id: the others with its options, else its document; a question with neither is not in it."""
    alike = Counter(frozenset(q.options) for q in questions)
    found = {}
    for q in questions:
        if alike[frozenset(q.options)] > 1:
            found[q.id] = "options " + " | ".join(sorted(q.options))
        elif q.document:
            found[q.id] = f"document {q.document}"
    return found


def margin_readings(questions: Sequence[Question], margins: Mapping[str, float]) -> list[Reading]:
    """`answer_margin`, and `answer_margin/facts=1` and so on where questions say how many facts they need."""
    clusters, documents = clusters_of(questions), {q.id: q.document for q in questions if q.document}
    what = "right option less the mean of the others"
    found = [mean_margin(NAME, margins, clusters, documents, what)]
    numbers = sorted({q.facts for q in questions if q.facts is not None})
    for n in numbers if len(numbers) > 1 else ():
        mine = {q.id: margins[q.id] for q in questions if q.facts == n}
        found.append(mean_margin(f"{NAME}/facts={n}", mine, clusters, documents, what))
    return found


def margin_difference(a: Solved, b: Solved, *, level: float = 0.95, name: str = f"{NAME} difference") -> Reading:
    """How much larger the margins of `a` are than those of `b`, nats, paired over the questions that both have."""
    shared = {q: a.margins[q] - b.margins[q] for q in a.margins if q in b.margins}
    return mean_margin(name, shared, a.clusters, a.documents, "mean of paired differences", level)


def mean_margin(
    name: str,
    margins: Mapping[str, float],
    clusters: Mapping[str, str],
    documents: Mapping[str, str],
    what: str,
    level: float = 0.95,
) -> Reading:
    """The mean of margins by id, nats, with Student's t over their clusters; `documents` are what other clusters there could be."""
    if not margins:
        return Reading(
            name, None, level=level, unit=UNIT, estimator=what, note="no question has a margin on both sides"
        )
    of = [clusters.get(q, f"question {q}") for q in margins]
    values = list(margins.values())
    mean, low, high = mean_of_clusters(values, of, level)
    kinds = Counter(one.partition(" ")[0] for one in set(of))
    over = " and ".join(f"{n} {KINDS[kind]}" for kind, n in sorted(kinds.items()))
    note = "" if low is not None else "one cluster only: no interval"
    if kinds["options"] and len(set(documents.values())) > 1:
        _, least, most = mean_of_clusters(values, [documents.get(q, q) for q in margins], level)
        if least is not None and most is not None:
            note = f"over {len({documents.get(q, q) for q in margins})} documents: {least:.2f} to {most:.2f}"
    return Reading(name, mean, low, high, level, UNIT, len(values), f"{what}; t interval over {over}", "estimate", note)

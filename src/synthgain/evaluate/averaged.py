"""Several students of one arm as one: what they have right and their margins, averaged question by question.

They differ in what should not decide a comparison (learning rate, seed), so the arm's figure is their mean, and none is chosen: a choice
among them would have to look at questions, and the best of three is better than the arm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from synthgain.evaluate.margin import clusters_of, margin_readings
from synthgain.evaluate.questions import Question, Solved
from synthgain.intervals import clustered
from synthgain.types import Reading, SynthgainError


def averaged(students: Sequence[Solved], questions: Sequence[Question], of: str = "students") -> Solved:
    """Readings `accuracy` (by facts too) and `answer_margin` of the mean over `students`; `of` says what they are.

    Questions are the unit: an interval says how other questions on the same documents might have come out, not how other students.
    """
    if not students:
        raise SynthgainError("there are no students to average")
    whole = students[0].together(students[1:])
    known = [q for q in questions if q.id in whole.right]
    note = f"mean over {len(students)} {of}" if len(students) > 1 else ""
    readings = [_accuracy("accuracy", known, whole.right, note), *_by_facts(known, whole.right, note)]
    readings += [replace(r, note=_joined(note, r.note)) for r in margin_readings(known, whole.margins)]
    documents = {q.id: q.document for q in known if q.document}
    return replace(whole, readings=tuple(readings), clusters=clusters_of(known), documents=documents)


def _by_facts(known: Sequence[Question], right: Mapping[str, list[bool]], note: str) -> list[Reading]:
    numbers = sorted({q.facts for q in known if q.facts is not None})
    return [
        _accuracy(f"accuracy/facts={n}", [q for q in known if q.facts == n], right, note)
        for n in (numbers if len(numbers) > 1 else ())
    ]


def _accuracy(name: str, known: Sequence[Question], right: Mapping[str, list[bool]], note: str) -> Reading:
    draws = max(len(right[q.id]) for q in known)
    chance = math.fsum(1 / len(q.options) for q in known) / len(known)
    mean, low, high = clustered([sum(right[q.id]) / len(right[q.id]) for q in known], draws)
    estimator = "highest log-likelihood (byte), Wilson interval" + (" at the effective size" if draws > 1 else "")
    return Reading(
        name, mean, low, high, n=len(known), estimator=estimator, note=_joined(note, f"chance is {chance:.3g}")
    )


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)

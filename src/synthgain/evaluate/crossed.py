"""Arms of several students: figures whose interval is over documents and students at once.

A question's value is a share of right draws, or a margin in nats; each student has one. Questions on one document go together where the
questions name two documents or more, else every question is a unit of its own. What the interval speaks of follows from what was
sampled: of several documents and students it is of other documents and other trainings; of one student it says nothing of other trainings.
Two arms are set against each other question by question, and student by student in the order of their seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from synthgain.evaluate.margin import UNIT
from synthgain.evaluate.questions import Question, Solved
from synthgain.intervals import mean_two_way, wilson
from synthgain.types import Reading

Values = Mapping[str, Sequence[float]]  # by question: a value of each student
ACCURACY, MARGIN = "accuracy", "answer_margin"
UNITS = {ACCURACY: "", MARGIN: UNIT}


def units_of(questions: Sequence[Question]) -> dict[str, str]:
    """What each question goes together with, by id: its document, where the questions name two or more; else itself."""
    named = {q.document for q in questions if q.document}
    return {q.id: f"document {q.document}" if q.document and len(named) > 1 else f"question {q.id}" for q in questions}


def values_of(students: Sequence[Solved], name: str) -> Values:
    """`ACCURACY` or `MARGIN` of each student, of the questions that all of them have."""
    each: list[Mapping[str, float]] = [
        one.margins if name == MARGIN else {q: sum(right) / len(right) for q, right in one.right.items()}
        for one in students
    ]
    return {q: [one[q] for one in each] for q in each[0] if all(q in one for one in each)}


def averaged_values(several: Sequence[Values]) -> Values:
    """The mean over settings (learning rates), question by question and student by student."""
    n = len(several)
    return {
        q: [math.fsum(cell) / n for cell in zip(*(one[q] for one in several), strict=True)]
        for q in several[0]
        if all(q in one for one in several)
    }


def crossed(name: str, values: Values, units: Mapping[str, str], *, level: float = 0.95) -> Reading:
    """The mean as a reading `name`: `ACCURACY` (cut to 0 … 1) or `MARGIN`."""
    return _reading(name, name, values, units, level, (0.0, 1.0))


def crossed_difference(name: str, a: Values, b: Values, units: Mapping[str, str], *, level: float = 0.95) -> Reading:
    """How much more `a` has than `b`, a reading "NAME difference". An arm of one student stands against each of the other's."""
    shared = [q for q in a if q in b]
    gaps = {q: _gaps(a[q], b[q]) for q in shared}
    return _reading(f"{name} difference", name, gaps, units, level, (-1.0, 1.0))


def _gaps(a: Sequence[float], b: Sequence[float]) -> list[float]:
    if len(a) != len(b) and 1 not in (len(a), len(b)):
        raise ValueError(f"{len(a)} students against {len(b)}")
    k = max(len(a), len(b))
    return [x - y for x, y in zip(list(a) * (k // len(a)), list(b) * (k // len(b)), strict=True)]


def _reading(
    title: str, name: str, values: Values, units: Mapping[str, str], level: float, ends: tuple[float, float]
) -> Reading:
    unit = UNITS[name]
    estimator = "mean over questions and students, t interval over both"
    if not values:
        return Reading(title, None, level=level, unit=unit, estimator=estimator, note="no question has a value in both")
    of = [units[q] for q in values]
    rows = list(values.values())
    mean, low, high = mean_two_way(rows, of, level)
    note = _speaks_of(set(of), len(rows[0]), low is not None)
    if name == ACCURACY and low is not None and low == high:
        unseen = wilson(0, len(set(of)), level)[1]
        low, high = mean - (mean - ends[0]) * unseen, mean + (ends[1] - mean) * unseen
        note += "; all alike: a Wilson bound stands for the t interval"
    elif name == ACCURACY and low is not None and high is not None:
        low, high = max(ends[0], low), min(ends[1], high)
    return Reading(title, mean, low, high, level, unit, len(rows), estimator, "estimate", note)


def _speaks_of(units: set[str], students: int, known: bool) -> str:
    documents = all(one.startswith("document ") for one in units)
    over = f"{len(units)} {'documents' if documents else 'questions'}"
    if not known:
        return f"over {over} and one student: no interval"
    if students == 1:
        return f"over {over}; one student: other trainings are not in it"
    few = ", few of either: wide" if min(students, len(units)) < 4 else ""
    if len(units) == 1:
        return f"over {students} students on one document: other documents are not in it"
    return f"over {over} and {students} students{few}"

"""Questions, and what became of them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from synthgain.evaluate.pass_at_k import passed_by_all
from synthgain.intervals import clustered
from synthgain.types import Reading, SynthgainError

FORMAT = (
    'write each line as {"id": "1", "question": "3 + 4?", "answer": "7"}, or as '
    '{"id": "1", "question": "Who built it?", "options": ["Ada", "Bo"], "gold": 0}'
)  # docs/questions.md


@dataclass(frozen=True)
class Question:
    """A verifiable question has an `answer`; a multiple-choice one has `options` and `gold`, the right one's index from 0."""

    id: str
    question: str
    answer: str | None = None
    options: tuple[str, ...] = ()
    gold: int | None = None
    document: str = ""
    title: str = ""
    facts: int | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Solved:
    """Readings, and question by question which draws were right (one entry for multiple choice), for paired comparisons.

    `said` holds the answers themselves, or the option chosen. A question that was never answered is in neither. Of multiple choice
    `margins` holds each question's margin in nats, `clusters` what it goes together with (`margin.py`), `documents` what it asks about, where it says so.
    Of several students as one, `apart` holds what each of them had right.
    """

    readings: tuple[Reading, ...]
    right: Mapping[str, list[bool]]
    said: Mapping[str, list[str]] = field(default_factory=dict)
    margins: Mapping[str, float] = field(default_factory=dict)
    clusters: Mapping[str, str] = field(default_factory=dict)
    documents: Mapping[str, str] = field(default_factory=dict)
    apart: tuple[Mapping[str, list[bool]], ...] = ()

    @property
    def students(self) -> tuple[Mapping[str, list[bool]], ...]:
        """What each student had right; one, where this is of one."""
        return self.apart or (self.right,)

    def reading(self, name: str) -> Reading:
        """The reading of that name."""
        return next(r for r in self.readings if r.name == name)

    def pooled(self, others: Sequence[Solved]) -> Solved:
        """This one and other students' answers to the same questions as one: each student's answers are further draws of a question.

        Accuracy and pass@k have the interval of clustered draws, so they speak of these students and of questions like these; a student with yet
        another seed is not in it. Of other readings value and bounds are means.
        """
        whole = self.together(others)
        several = (self, *others)
        return replace(whole, readings=tuple(_pooled(r.name, several, whole.right) for r in self.readings))

    def together(self, others: Sequence[Solved]) -> Solved:
        """What `pooled` gives, with nothing read from it: of questions that all answered the draws side by side, margins as means."""
        several = (self, *others)
        shared = [q for q in self.right if all(q in one.right for one in others)]
        margins = {
            q: math.fsum(one.margins[q] for one in several) / len(several)
            for q in self.margins
            if all(q in one.margins for one in others)
        }
        return replace(
            self,
            readings=(),
            right={q: [draw for one in several for draw in one.right[q]] for q in shared},
            said={q: [text for one in several for text in one.said.get(q, ())] for q in shared},
            margins=margins,
            apart=tuple(right for one in several for right in one.students),
        )


def _pooled(name: str, students: Sequence[Solved], right: Mapping[str, Sequence[bool]]) -> Reading:
    """The mean of one reading of several students; `right` are all their draws side by side."""
    readings = [one.reading(name) for one in students]
    first, n = readings[0], len(readings)
    note = "; ".join(dict.fromkeys([f"mean of {n} students", *(r.note for r in readings if r.note)]))
    if first.name == "accuracy" and right:
        share, least, most = clustered([sum(r) / len(r) for r in right.values()], max(map(len, right.values())))
        estimator = f"{first.estimator} at the effective size of {n} students' answers"
        return replace(first, value=share, low=least, high=most, n=len(right), estimator=estimator, note=note)

    if name.startswith("pass_at_") and right:
        return passed_by_all([right for one in students for right in one.students], int(name.rpartition("_")[2]), note)

    def mean(values: Sequence[float | None]) -> float | None:
        known = [v for v in values if v is not None]
        return math.fsum(known) / n if len(known) == n else None

    value, low, high = (mean([getattr(r, name) for r in readings]) for name in ("value", "low", "high"))
    return replace(first, value=value, low=low, high=high, note=note)


def load_questions(path: Path) -> list[Question]:
    """Questions of a JSONL file, all of one kind; without an `id` a question has its line's number.

    SynthgainError names the file and line of the first that is not well formed.
    """
    if not path.is_file():
        raise SynthgainError("there is no such file of questions", where=str(path), next=f"give a JSONL file: {FORMAT}")
    questions: list[Question] = []
    seen: dict[str, int] = {}
    for n, line in enumerate(path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not line.strip():
            continue
        question = _question(line, f"{path}:{n}")
        if question.id in seen:
            raise SynthgainError(
                f"the id {question.id!r} stands in line {seen[question.id]} too",
                where=f"{path}:{n}",
                next="give each question an id of its own",
            )
        if questions and bool(question.options) != bool(questions[0].options):
            raise SynthgainError(
                "questions with an `answer` and questions with `options` stand in one file",
                where=f"{path}:{n}",
                next="put the two kinds into two files: they are examined in different ways",
            )
        seen[question.id] = n
        questions.append(question)
    if not questions:
        raise SynthgainError(
            "there are no questions in this file",
            where=str(path),
            next=FORMAT,
        )
    return questions


def _question(line: bytes, where: str) -> Question:
    try:
        held = json.loads(line.decode("utf-8"))
    except ValueError as error:
        raise SynthgainError(
            f"this is not JSON in UTF-8 ({error})", where=where, next=f"mend or remove the line: {FORMAT}"
        ) from error
    if not isinstance(held, dict):
        raise SynthgainError("a question is a JSON object", where=where, next=FORMAT)
    known = {
        name: held.pop(name, None)
        for name in ("id", "question", "answer", "options", "gold", "document", "title", "facts")
    }
    if known["id"] is None:
        known["id"] = where.rpartition(":")[2]
    for name in ("id", "question"):
        if not isinstance(known[name], str | int) or not str(known[name]).strip():
            raise SynthgainError(f"the question has no `{name}`", where=where, next=f"add `{name}`: {FORMAT}")
    if (known["options"] is None) == (known["answer"] is None):
        raise SynthgainError("a question has either an `answer` or `options` with `gold`", where=where, next=FORMAT)
    options = _options(known["options"], known["gold"], where) if known["options"] is not None else ()
    answer = known["answer"]
    if answer is not None and (
        isinstance(answer, bool) or not isinstance(answer, str | int | float) or not str(answer).strip()
    ):
        raise SynthgainError(
            "`answer` is neither a text nor a number", where=where, next="write the right answer there"
        )
    return Question(
        id=str(known["id"]),
        question=str(known["question"]),
        answer=None if answer is None else str(answer),
        options=options,
        gold=known["gold"] if options else None,
        document=str(known["document"] or ""),
        title=str(known["title"] or ""),
        facts=known["facts"] if isinstance(known["facts"], int) else None,
        fields=held,
    )


def _options(options: Any, gold: Any, where: str) -> tuple[str, ...]:
    well = isinstance(options, list) and len(options) > 1 and all(isinstance(o, str) and o.strip() for o in options)
    if not well:
        raise SynthgainError(
            "`options` is no list of two or more texts", where=where, next='write "options": ["…", "…", "…", "…"]'
        )
    if len(set(options)) < len(options):
        raise SynthgainError("two options are the same", where=where, next="make the options differ")
    if isinstance(gold, bool) or not isinstance(gold, int) or not 0 <= gold < len(options):
        raise SynthgainError(
            f"`gold` is {gold!r}; it is the index of the right option, 0 to {len(options) - 1}",
            where=where,
            next="write the place of the right option, counted from 0",
        )
    return tuple(options)

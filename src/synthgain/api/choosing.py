"""Multiple choice put to models: closed book, or with the document before the question. What was scored is remembered."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from synthgain.api.training import Say, to_stderr
from synthgain.evaluate import Question, Solved, chosen, closed_book, scored
from synthgain.loop import Arm, Weights, line_of
from synthgain.models import open_scorer
from synthgain.store import atomic_write
from synthgain.types import SynthgainError, digest

OPEN_BOOK = "open-book"  # the exam with the document in front of its questions
ASKED_AT_ONCE = 64  # questions scored before they are written down

Context = Callable[[Question], str]


def choices(
    weights: Weights, questions: Sequence[Question], memory: Path | None = None, *, context: Context = closed_book
) -> Solved:
    """`evaluate.choose` of a model (a URI or a student's folder). Scores are kept in `memory`, by the content of weights, question and
    options, so that what was scored once is not scored again."""
    scorer = open_scorer(weights)
    file = None if memory is None else memory / f"choices-{digest(scorer.identity)[:16]}.json"
    known = _read(file)
    keys = {q.id: digest(context(q), *q.options)[:32] for q in questions}
    missing = [q for q in questions if not _fits(known.get(keys[q.id]), q)]
    for start in range(0, len(missing), ASKED_AT_ONCE):
        some = missing[start : start + ASKED_AT_ONCE]
        known |= {keys[id]: one for id, one in scored(scorer, some, context=context).items()}
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(file, json.dumps(known))
    return chosen(questions, {q.id: known[keys[q.id]] for q in questions})


def _read(file: Path | None) -> dict[str, list[list[float]]]:
    """What was scored before; a file that cannot be read is scored anew."""
    with suppress(OSError, ValueError):
        if file is not None and isinstance(held := json.loads(file.read_text("utf-8")), dict):
            return held
    return {}


def _fits(held: object, question: Question) -> bool:
    return isinstance(held, list) and len(held) == len(question.options) and all(isinstance(x, list) for x in held)


@dataclass(frozen=True)
class ChoiceExaminer:
    """Puts the same questions to every arm (`loop.Examine`); those whose exam is `OPEN_BOOK` read the document before each.

    `documents` are texts by what a question's `document` says.
    """

    questions: Sequence[Question]
    memory: Path
    documents: Mapping[str, str] = field(default_factory=dict)
    say: Say = to_stderr

    def __call__(self, arm: Arm, weights: Weights) -> Solved:
        """The arm's readings; its accuracy is said."""
        context = self.open_book if arm.exam == OPEN_BOOK else closed_book
        solved = choices(weights, self.questions, self.memory, context=context)
        self.say(line_of(arm.name, solved))
        return solved

    def open_book(self, question: Question) -> str:
        """The document, then the question as it is put without it."""
        if question.document not in self.documents:
            raise SynthgainError(f"there is no document {question.document!r} to open", where=f"question {question.id}")
        return f"{self.documents[question.document]}\n\n{closed_book(question)}"

"""Multiple choice put to models: closed book, with the document or what was found in the documents before the question, by letters, in writing.

What was scored or written is remembered.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from synthgain.api.desk import at_desk, unwatched
from synthgain.api.making import Watch
from synthgain.api.telling import Say
from synthgain.api.training import to_stderr, usable
from synthgain.chain import Desk, Tally
from synthgain.evaluate import (
    Passages,
    Question,
    Solved,
    after_letters,
    asked_for_a_letter,
    asked_raw,
    by_letter,
    chosen,
    closed_book,
    picked,
    scored,
    solve,
)
from synthgain.loop import Arm, Weights, line_of
from synthgain.models import Reach, open_scorer
from synthgain.store import atomic_write
from synthgain.types import Reading, Sampling, SynthgainError, digest

OPEN_BOOK = "open-book"  # the exam with the document in front of its questions
RETRIEVAL = "retrieval"  # the exam with passages that the question finds in all documents
FOUND = 3  # passages
LETTER, WRITTEN = "letter", "generation"  # further ways to ask, with the options in sight
SHORT = Sampling(temperature=0.0, max_tokens=24)  # of an answer that is a letter
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


def further(
    weights: Weights,
    questions: Sequence[Question],
    also: Sequence[str],
    memory: Path,
    *,
    reach: Reach | None = None,
    watch: Watch = unwatched,
) -> list[Reading]:
    """Readings `accuracy_letter` and `accuracy_generation` (with `parsable_generation`), as far as `also` asks for them."""
    unknown = next((one for one in also if one not in (LETTER, WRITTEN)), None)
    if unknown is not None:
        raise SynthgainError(f"there is no way {unknown!r} to ask", where="also", next=f"write {LETTER} or {WRITTEN}")
    readings = []
    if LETTER in also:
        accuracy = choices(weights, by_letter(questions), memory, context=after_letters).reading("accuracy")
        estimator = "likeliest letter with the options in sight, Wilson interval"
        readings.append(replace(accuracy, name="accuracy_letter", estimator=estimator))
    if WRITTEN in also:
        names = {"accuracy": "accuracy_generation", "parsable": "parsable_generation"}
        found = written(weights, questions, memory, reach=reach, watch=watch)
        readings += [replace(r, name=names[r.name]) for r in found.readings if r.name in names]
    return readings


def uri_of(weights: Weights) -> str:
    """What answers: a student's folder as the runtime that it writes in."""
    return usable(weights) if isinstance(weights, Path) else weights


def asking(weights: Weights, answers: int) -> tuple[str, Tally, Callable[[int, int], None]]:
    """The URI of what answers, the count of its answers, and who is told of each."""
    uri = uri_of(weights)
    tally = Tally(label=f"answers of {uri.rpartition('/')[2]}", groups_total=answers)

    def done(n: int, _: int) -> None:
        tally.groups_done = n

    return uri, tally, done


def written(
    weights: Weights,
    questions: Sequence[Question],
    memory: Path,
    *,
    reach: Reach | None = None,
    watch: Watch = unwatched,
) -> Solved:
    """Multiple choice by what the model writes, greedily, with the options in sight; an answer that names no option is wrong, and not parsable."""
    uri, tally, done = asking(weights, len(questions))
    known = {q.id: q for q in questions}
    asks = asked_for_a_letter if _has_template(uri) else asked_raw

    def parsed(said: str, id: str) -> int | None:
        return picked(said, known[id].options)

    async def work(desk: Desk) -> Solved:
        return await solve(
            desk,
            [replace(q, options=(), gold=None, answer=q.id) for q in questions],
            lambda said, id: parsed(said, id) == known[id].gold,
            sampling=SHORT,
            prompt=lambda q: asks(known[q.id]),
            watch=done,
        )

    solved = at_desk(uri, work, memory=memory, tally=tally, reach=reach, watch=watch)
    said = {id: texts[0] for id, texts in solved.said.items()}
    share = sum(parsed(text, id) is not None for id, text in said.items()) / len(said) if said else None
    estimator = "share of answers that name one option"
    parsable = Reading("parsable", share, n=len(said), estimator=estimator, note="" if said else "no answer")
    return replace(solved, readings=(*solved.readings, parsable))


def _has_template(uri: str) -> bool:
    """Whether a model takes chats: a folder says so itself, everything else does."""
    if not uri.startswith("hf/"):
        return True
    folder = Path(uri.removeprefix("hf/"))
    if (folder / "chat_template.jinja").is_file():
        return True
    with suppress(OSError, ValueError):
        return bool(json.loads((folder / "tokenizer_config.json").read_text("utf-8")).get("chat_template"))
    return False


@dataclass(frozen=True)
class ChoiceExaminer:
    """Puts the same questions to every arm (`loop.Examine`); those whose exam is `OPEN_BOOK` read the document before each, those whose exam is
    `RETRIEVAL` the `found` passages that the question finds.

    `documents` are texts by what a question's `document` says. `also` are further ways to ask (`further`), of arms without a book.
    """

    questions: Sequence[Question]
    memory: Path
    documents: Mapping[str, str] = field(default_factory=dict)
    say: Say = to_stderr
    passages: Passages | None = None
    found: int = FOUND
    also: Sequence[str] = ()

    def __call__(self, arm: Arm, weights: Weights) -> Solved:
        """The arm's readings; its accuracy is said."""
        solved = choices(weights, self.questions, self.memory, context=self.context(arm))
        if self.also and not arm.exam:
            more = further(weights, self.questions, self.also, self.memory)
            solved = replace(solved, readings=(*solved.readings, *more))
        self.say(line_of(arm.name, solved))
        return solved

    def context(self, arm: Arm) -> Context:
        """What stands before the options of a question. SynthgainError: an exam that cannot be held."""
        exams: Mapping[str, Context] = {"": closed_book, OPEN_BOOK: self.open_book, RETRIEVAL: self.looked_up}
        if arm.exam not in exams or (arm.exam == RETRIEVAL and self.passages is None):
            raise SynthgainError(
                f"there is no exam {arm.exam!r}" if arm.exam not in exams else "there are no documents to look into",
                where=f"arm {arm.name}",
                next=f"leave it out, or take {OPEN_BOOK} or {RETRIEVAL}, with documents",
            )
        return exams[arm.exam]

    def open_book(self, question: Question) -> str:
        """The document, then the question as it is put without it."""
        if question.document not in self.documents:
            raise SynthgainError(
                f"there is no document {question.document!r} to open",
                where=f"question {question.id}",
                next="give its document too, or leave the arm's `exam` out",
            )
        return f"{self.documents[question.document]}\n\n{closed_book(question)}"

    def looked_up(self, question: Question) -> str:
        """The passages that title and question find, the best last, then the question."""
        assert self.passages is not None  # `context` has seen to it
        there = self.passages.find(f"{question.title} {question.question}", self.found)
        return "\n\n".join([*(one.text for one in there), closed_book(question)])

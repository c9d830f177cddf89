"""Closed-book multiple choice by log-likelihood: which option does the student find most likely?

Three scores are kept of each option after the same question: the sum of its log-probabilities, that sum per
token, and per byte of UTF-8. The sum favours short options; per byte is what does not depend on how a
tokenizer cuts, so it is the default, as in common evaluation suites ("normalised accuracy").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from synthgain.evaluate.margin import clusters_of, margin, margin_readings
from synthgain.evaluate.questions import Question, Solved
from synthgain.intervals import wilson
from synthgain.types import Message, Reading, Scorer, SynthgainError

SCORES: Mapping[str, Callable[[list[float], str], float]] = {
    "byte": lambda found, option: math.fsum(found) / len(option.encode("utf-8")),
    "token": lambda found, option: math.fsum(found) / len(found),
    "sum": lambda found, option: math.fsum(found),
}
NAMES = {"byte": "accuracy_per_byte", "token": "accuracy_per_token", "sum": "accuracy_sum"}
PAIRS = 64  # pairs that a scorer is handed at once


def closed_book(question: Question) -> str:
    """The question without its document, but with the document's title where one is given (EntiGraph, section 11)."""
    about = f"About: {question.title}\n" if question.title else ""
    return f"{about}Question: {question.question}\nAnswer:"


def choose(
    scorer: Scorer,
    questions: Sequence[Question],
    *,
    context: Callable[[Question], str | Sequence[Message]] = closed_book,
    by: str = "byte",
    watch: Callable[[int, int], None] | None = None,
) -> Solved:
    """Readings `accuracy` by the score `by` ("byte", "token" or "sum"), one for each of the three, and `answer_margin`;
    `accuracy/facts=2` and so on where questions say how many facts they need.

    An option follows a text context after one space; after messages it is the assistant's turn. Intervals are
    Wilson's, with the question as the unit. `right` and `said` are those of `accuracy`.
    """
    if by not in SCORES:
        raise SynthgainError(f"there is no score {by!r}", next=f"choose one of {', '.join(SCORES)}")
    if not questions:
        raise SynthgainError("there are no questions to answer", next="give a file that holds some")
    unfit = next((q for q in questions if q.gold is None), None)
    if unfit:
        raise SynthgainError(
            f"question {unfit.id!r} has no options", next="verifiable questions are answered by sampling: use `solve`"
        )
    return chosen(questions, scored(scorer, questions, context=context, watch=watch), by)


def chosen(questions: Sequence[Question], found: Mapping[str, Sequence[list[float]]], by: str = "byte") -> Solved:
    """What `choose` makes of the token log-probabilities of each option (`scored`)."""
    picks = {kind: [_best(q, found[q.id], score) for q in questions] for kind, score in SCORES.items()}
    chance = math.fsum(1 / len(q.options) for q in questions) / len(questions)
    n = len({q.document for q in questions if q.document})
    note = f"chance is {chance:.3g}" + (f"; questions on {n} documents, taken as independent" if n else "")
    readings = [_reading("accuracy", questions, picks[by], f"highest log-likelihood ({by})", note)]
    readings += _by_facts(questions, picks[by], f"highest log-likelihood ({by})", note)
    readings += [_reading(NAMES[k], questions, picks[k], f"highest log-likelihood ({k})", note) for k in SCORES]
    margins = {q.id: margin(found[q.id], int(q.gold or 0)) for q in questions}
    readings += margin_readings(questions, margins)
    right = {q.id: [pick == q.gold] for q, pick in zip(questions, picks[by])}
    said = {q.id: [q.options[pick]] for q, pick in zip(questions, picks[by])}
    documents = {q.id: q.document for q in questions if q.document}
    return Solved(tuple(readings), right, said, margins, clusters_of(questions), documents)


def scored(
    scorer: Scorer,
    questions: Sequence[Question],
    *,
    context: Callable[[Question], str | Sequence[Message]] = closed_book,
    watch: Callable[[int, int], None] | None = None,
) -> dict[str, list[list[float]]]:
    """Token log-probabilities of each option of each question."""
    pairs: list[tuple[str | Sequence[Message], str]] = []
    for q in questions:
        before = context(q)
        pairs += [(before, f" {option}" if isinstance(before, str) else option) for option in q.options]
    found: list[list[float]] = []
    for start in range(0, len(pairs), PAIRS):
        found += scorer.logprobs(pairs[start : start + PAIRS])
        if watch:
            watch(len(found), len(pairs))
    rest = iter(found)
    return {q.id: [next(rest) for _ in q.options] for q in questions}


def _best(question: Question, found: Sequence[list[float]], score: Callable[[list[float], str], float]) -> int:
    values = []
    for option, logprobs in zip(question.options, found):
        if not logprobs or any(math.isnan(x) for x in logprobs):
            raise SynthgainError(
                f"the option {option!r} has no log-likelihood", where=f"question {question.id}", code=1
            )
        values.append(score(logprobs, option))
    return max(range(len(values)), key=lambda i: values[i])


def _by_facts(questions: Sequence[Question], picks: Sequence[int], estimator: str, note: str) -> list[Reading]:
    """One more reading for questions that need one fact, two facts, …, where questions say how many."""
    numbers = sorted({q.facts for q in questions if q.facts is not None})
    readings = []
    for n in numbers if len(numbers) > 1 else ():
        mine = [(q, pick) for q, pick in zip(questions, picks) if q.facts == n]
        readings.append(_reading(f"accuracy/facts={n}", [q for q, _ in mine], [p for _, p in mine], estimator, note))
    return readings


def _reading(name: str, questions: Sequence[Question], picks: Sequence[int], estimator: str, note: str) -> Reading:
    right = sum(pick == q.gold for q, pick in zip(questions, picks))
    low, high = wilson(right, len(questions))
    return Reading(
        name, right / len(questions), low, high, n=len(questions), estimator=f"{estimator}, Wilson interval", note=note
    )

"""Verifiable questions: the model answers, a rule decides."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Protocol, TypeVar

from synthgain.evaluate.pass_at_k import ks_of, passed, share
from synthgain.evaluate.questions import Question, Solved
from synthgain.types import Call, CallFailed, Message, Prompt, Sampling, SynthgainError, user

T = TypeVar("T")
GREEDY = Sampling(temperature=0.0, max_tokens=256)
MOST_CUT = 0.05  # of the answers: above it accuracy says more of the limit than of the model


class Answering(Protocol):
    """Anything that answers a prompt: a `types.Model`, or `types.Models`."""

    def __call__(self, prompt: Prompt) -> Awaitable[Call]: ...


def ask(question: Question) -> tuple[Message, ...]:
    """The question as it stands, as one user turn."""
    return (user(question.question),)


async def solve(
    model: Answering,
    questions: Sequence[Question],
    correct: Callable[[str, str], bool],
    *,
    draws: int = 1,
    sampling: Sampling = GREEDY,
    few_shot: tuple[Message, ...] = (),
    prompt: Callable[[Question], tuple[Message, ...]] = ask,
    parsable: Callable[[str], bool] | None = None,
    ks: Sequence[int] = (),
    seed: int = 0,
    to: str = "writer",
    width: int = 32,
    watch: Callable[[int, int], None] | None = None,
) -> Solved:
    """Readings `accuracy`, `pass_at_k` for each k (`ks_of`, where none is given), `parsable` and `cut_off`.

    Every question gets `draws` answers, in the order question by question, at most `width` under way. `few_shot` stands
    before each question; `correct(text, gold)` and `parsable(text)` decide. Accuracy is the mean over questions of the
    share right: Wilson's interval with one draw, else the one at the effective size (`intervals.clustered`). A call that
    failed is left out and counted in the note; SynthgainError where more than a fifth of them failed.
    """
    check(questions, draws, sampling, ks)
    prompts = [
        Prompt((*few_shot, *prompt(q)), to=to, sampling=sampling, seed=seed, draw=draw)
        for q in questions
        for draw in range(draws)
    ]
    answers = await answered([partial(model, prompt) for prompt in prompts], width, watch)
    return graded(questions, answers, correct, limit=sampling.max_tokens, parsable=parsable, ks=ks)


def graded(
    questions: Sequence[Question],
    answers: Sequence[Call | None],
    correct: Callable[[str, str], bool],
    *,
    limit: int,
    parsable: Callable[[str], bool] | None = None,
    ks: Sequence[int] = (),
) -> Solved:
    """What `solve` makes of answers of up to `limit` tokens, as many to each question, question by question; None where a call failed."""
    draws = len(answers) // len(questions)
    failed = list(answers).count(None)
    said: dict[str, list[str]] = {}
    cut: dict[str, list[bool]] = {}
    for n, call in enumerate(answers):
        if call is not None:
            said.setdefault(questions[n // draws].id, []).append(call.text)
            cut.setdefault(questions[n // draws].id, []).append(call.finish == "length")
    gold = {q.id: q.answer or "" for q in questions}
    right = {i: [bool(correct(text, gold[i])) for text in texts] for i, texts in said.items()}
    note = "; ".join(part for part in (_failed(failed, len(answers)), _cut(cut, limit)) if part)
    readings = [share("accuracy", [sum(r) / len(r) for r in right.values()], draws, note)]
    readings += [passed(right, k, note) for k in ks or ks_of(draws)]
    if parsable:
        readings.append(
            share("parsable", [sum(map(parsable, texts)) / len(texts) for texts in said.values()], draws, note)
        )
    readings.append(share("cut_off", [sum(c) / len(c) for c in cut.values()], draws, note))
    return Solved(tuple(readings), right, said)


def _failed(failed: int, n: int) -> str:
    return f"{failed} of {n} calls failed and are left out" if failed else ""


def _cut(cut: Mapping[str, Sequence[bool]], limit: int) -> str:
    """What is to be said where many answers ended at the limit and not at their end."""
    n, total = sum(map(sum, cut.values())), sum(map(len, cut.values()))
    return (
        f"{n} of {total} answers were cut off at {limit} tokens: give more (--max-tokens)"
        if n > MOST_CUT * total
        else ""
    )


def check(questions: Sequence[Question], draws: int, sampling: Sampling, ks: Sequence[int]) -> None:
    """SynthgainError where questions cannot be answered in writing, or draws are none."""
    if not questions:
        raise SynthgainError("there are no questions to answer", next="give a file that holds some")
    unfit = next((q for q in questions if q.answer is None), None)
    if unfit:
        raise SynthgainError(
            f"question {unfit.id!r} has no `answer`", next="multiple choice is scored by log-likelihood: use `choose`"
        )
    if draws < 1 or any(not 1 <= k <= draws for k in ks):
        raise SynthgainError(
            "draws must be at least 1, and each k between 1 and draws",
            next=f"with draws={max(1, draws)} take k from 1 to {max(1, draws)}",
        )
    if draws > 1 and sampling.temperature == 0:
        raise SynthgainError(
            "several draws of a greedy answer are one and the same", next="take draws=1, or a temperature above 0"
        )


async def answered(
    asks: Sequence[Callable[[], Awaitable[T]]], width: int, watch: Callable[[int, int], None] | None
) -> list[T | None]:
    """What each of them gives, in order, at most `width` under way; None where a call failed. SynthgainError: more than a fifth did."""
    gate = asyncio.Semaphore(width)
    done = 0

    async def one(ask: Callable[[], Awaitable[T]]) -> T | None:
        nonlocal done
        async with gate:
            try:
                found: T | None = await ask()
            except CallFailed:
                found = None
        done += 1
        if watch:
            watch(done, len(asks))
        return found

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(ask)) for ask in asks]
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from several
    answers = [task.result() for task in tasks]
    failed = answers.count(None)
    if failed > len(asks) / 5:
        raise SynthgainError(f"{failed} of {len(asks)} calls failed", next="look at the server, then run again", code=5)
    return answers

"""What the student itself makes of the rows, before the real training: a few small steps on them, or reading them first.

    probe_gain            loss on held-out real pairs, before − after a few steps on a sample of the rows at a very small learning rate
    context_gain          loss with nothing before the held-out pair − loss with some rows before it
    context_gain_anchors  the same with real anchors before it
    context_fit           loss with anchors before it − loss with rows before it

Each in nats a token of the held-out text, or of the answer given its prompt. At a very small rate short runs are reported to order pretraining mixtures as larger, tuned ones do
(arXiv 2512.24503; for one pass of pretraining: nothing is known there of fine-tuning). Several samples of rows are tried, so the interval crosses
held-out pairs with samples (`gain.two_way`; of two samples it would cover .77 where .95 is said, of four .95): it does not cover another student, another rate, or training to the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from synthgain.measure.aim import Aim
from synthgain.measure.data import Data, nothing
from synthgain.measure.gain import UNIT, two_way
from synthgain.measure.student_eye import Pair, scores
from synthgain.measure.trials import Trials, trials
from synthgain.measure.words import Ints
from synthgain.types import Message, Reading, Scorer, assistant

CONTEXT = ("context_gain", "context_gain_anchors", "context_fit")
SHOWN = 400  # characters of a row, or an anchor, that is placed in the context
Say = Callable[[str], None]


class SmallSteps(Protocol):
    """A few small steps of the student on rows; inside the context the student is changed, after it it is as before."""

    @property
    def rows(self) -> int:
        """How many rows all steps together learn."""
        ...

    @property
    def said(self) -> str:
        """The steps in words."""
        ...

    def __call__(self, rows: Sequence[Pair], seed: int) -> AbstractContextManager[object]: ...


@dataclass(frozen=True)
class Learner:
    """A student that scores given texts (without their ends), and the steps that change it."""

    scorer: Scorer
    nudge: SmallSteps


def probe_gain(
    data: Data, aim: Aim, learner: Learner, *, documents: int = 64, samples: int = 4, say: Say | None = None
) -> list[Reading]:
    """`probe_gain` of `samples` samples of the rows, on at most `documents` held-out pairs. Costs samples × folds trainings of a few steps."""
    found = trials(data, aim, documents=documents)
    if isinstance(found, str):
        return [nothing("probe_gain", found, unit=UNIT)]
    asked = _Asked(learner.scorer, found)
    began = time.monotonic()
    before = asked.losses([pair for pair in found.held_out])
    took, learnt = time.monotonic() - began, learner.nudge.rows * samples * found.folds
    _tell(say, "probe_gain", took, took * samples + 3 * took * learnt / len(found.held_out), f"{learnt:,} rows learnt")
    after = np.full((samples, len(found.held_out)), np.nan)
    for draw in range(samples):
        for fold in range(found.folds):
            at, rows = found.of_fold(fold), found.drawn("rows", fold, learner.nudge.rows, draw)
            if len(at) and rows:
                with learner.nudge(rows, found.seed + draw):
                    after[draw, at] = asked.losses([found.held_out[i] for i in at], at)
    how = f"{samples} samples of rows, {learner.nudge.said}"
    return [_reading("probe_gain", before[None], after, asked, how, found, learner, samples)]


def context_gain(
    data: Data,
    aim: Aim,
    scorer: Scorer,
    *,
    documents: int = 48,
    samples: int = 6,
    shown: int = 4,
    say: Say | None = None,
) -> list[Reading]:
    """`context_gain`, `context_gain_anchors` and `context_fit`: `samples` times `shown` rows (or anchors) before each held-out pair. Forward passes only."""
    found = trials(data, aim, documents=documents)
    if isinstance(found, str):
        return [nothing(name, found, unit=UNIT) for name in CONTEXT]
    asked = _Asked(scorer, found)
    began = time.monotonic()
    bare = asked.losses([pair for pair in found.held_out])[None]
    took = time.monotonic() - began
    _tell(say, "context_gain", took, took * samples * 2 * 1.5, f"{2 * samples} readings of the held-out texts")
    inside = {}
    for what in ("rows", "anchors"):
        inside[what] = np.full((samples, len(found.held_out)), np.nan)
        for draw in range(samples):
            for fold in range(found.folds):
                at, before = found.of_fold(fold), found.drawn(what, fold, shown, draw)
                if len(at) and before:
                    inside[what][draw, at] = asked.losses([placed(before, found.held_out[i]) for i in at], at)
    how = f"{samples} × {shown} of them placed before, {SHOWN} characters each"
    learner = Learner(scorer, _NONE)
    sides = ((bare, inside["rows"]), (bare, inside["anchors"]), (inside["anchors"], inside["rows"]))
    return [
        _reading(name, first, second, asked, how, found, learner, samples)
        for name, (first, second) in zip(CONTEXT, sides)
    ]


def placed(before: Sequence[Pair], pair: Pair) -> Pair:
    """A held-out pair with others before it: earlier texts, or earlier turns of the chat."""
    if isinstance(pair[0], str):
        return "".join(f"{text[:SHOWN]}\n\n" for _, text in before) + pair[0], pair[1]
    turns: list[Message] = []
    for asked, answered in before:
        turns += [{**t, "content": t["content"][:SHOWN]} for t in asked if not isinstance(t, str)]
        turns.append(assistant(answered[:SHOWN]))
    return [*turns, *pair[0]], pair[1]


# ---------------------------------------------------------------------------------------------- losses


class _Asked:
    """The losses of the held-out pairs, nats summed over each one's tokens, NaN where one could not be scored."""

    def __init__(self, scorer: Scorer, found: Trials) -> None:
        self.scorer = scorer
        self.tokens = np.full(len(found.held_out), np.nan)
        self.refused: dict[str, int] = {}

    def losses(self, pairs: Sequence[Pair], at: Ints | None = None) -> np.ndarray:
        scored, why = scores(self.scorer, pairs)
        for reason, n in why.items():
            self.refused[reason] = max(n, self.refused.get(reason, 0))
        places = np.arange(len(pairs)) if at is None else at
        for place, one in zip(places, scored):
            self.tokens[place] = np.nan if not one else len(one)
        return np.array([np.nan if not one else -sum(one) for one in scored])


def _reading(
    name: str,
    first: np.ndarray,
    second: np.ndarray,
    asked: _Asked,
    how: str,
    found: Trials,
    learner: Learner,
    samples: int,
) -> Reading:
    """`first` − `second` over the pairs that both could be scored on."""
    use = ~np.isnan(first).any(0) & ~np.isnan(second).any(0) & ~np.isnan(asked.tokens)
    if use.sum() < 2:
        why = next(iter(asked.refused), "there is nothing to learn from in any fold")
        return nothing(name, f"fewer than 2 held-out texts could be scored: {why}", unit=UNIT)
    value, low, high = two_way(first[:, use], second[:, use], asked.tokens[use])
    notes = [*found.notes, f"student {learner.scorer.identity[:12]}"]
    if use.sum() < len(use):
        notes.append(f"{int((~use).sum()):,} held-out texts left out ({next(iter(asked.refused), 'not scored')})")
    notes.append("the interval is over held-out texts and samples of rows, for this student")
    estimator = f"{how}; t interval over texts and {samples} samples"
    return Reading(name, value, low, high, unit=UNIT, n=int(use.sum()), estimator=estimator, note="; ".join(notes))


def _tell(say: Say | None, name: str, took: float, more: float, what: str) -> None:
    if say is not None:
        say(f"{name}: held-out texts read once in {took:.1f} s; {what}, about {more:.0f} s more")


class _Still:
    """No step at all."""

    rows, said = 0, ""

    def __call__(self, rows: Sequence[Pair], seed: int) -> AbstractContextManager[object]:
        raise ValueError("nothing is learnt here")


_NONE = _Still()

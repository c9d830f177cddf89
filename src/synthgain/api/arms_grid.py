"""Every arm at every learning rate: trained, examined, and set against each other over rates, documents and students."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import fsum
from pathlib import Path

from synthgain.evaluate import (
    Question,
    Solved,
    averaged_values,
    crossed,
    crossed_difference,
    units_of,
    values_of,
)
from synthgain.evaluate.crossed import ACCURACY, MARGIN, Values
from synthgain.loop import Arm, Examine, Result, Rows, TrainArm, compared
from synthgain.types import Reading, SynthgainError, digest

FEWEST = 8  # questions on either side of a split


@dataclass
class Done:
    """Results so far: of arms that are not trained, and of the others by learning rate."""

    untrained: dict[str, Result[Solved]] = field(default_factory=dict)
    trained: dict[str, dict[float, Result[Solved]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Grid:
    """Arms at learning rates, each trained into FOLDER/RATE/ARM. All arms at one rate come before the next rate."""

    arms: tuple[Arm, ...]
    rows: Mapping[str, Rows]
    rates: tuple[float, ...]
    folder: Path
    base: str

    def fill(
        self, done: Done, train: TrainArm, examine: Examine[Solved], say: Callable[[str], None]
    ) -> Iterator[Result[Solved]]:
        """What is made, arm by arm; `done` has it too. What it holds already is not done again."""
        for rate in self.rates:
            say(f"learning rate {rate:g}")
            arms = [self._at(arm, rate) for arm in self.arms if self._missing(arm, rate, done)]
            folder = self.folder / f"{rate:g}"
            for made in compared(arms, self.rows, train=train, examine=examine, out=folder, base=self.base):
                if made.arm.learns:
                    done.trained.setdefault(made.arm.name, {})[rate] = made
                else:
                    done.untrained[made.arm.name] = made
                yield made

    def _missing(self, arm: Arm, rate: float, done: Done) -> bool:
        return rate not in done.trained.get(arm.name, {}) if arm.learns else arm.name not in done.untrained

    def _at(self, arm: Arm, rate: float) -> Arm:
        return replace(arm, settings={**arm.settings, "learning_rate": rate}) if arm.learns else arm


# ---------------------------------------------------------------------------------------------- the learning rate


def split(questions: Sequence[Question], share: float, seed: int) -> tuple[list[Question], list[Question]]:
    """(development, test): questions by a hash, those with the same options together, each document on both sides where it can be.

    SynthgainError where either side would have fewer than `FEWEST`: then nothing could be chosen on it.
    """
    together: dict[tuple[str, str], list[Question]] = {}
    for q in questions:
        alike = "\n".join(sorted(q.options)) or q.id
        together.setdefault((q.document, alike), []).append(q)
    by_document: dict[str, list[list[Question]]] = {}
    for (document, _), some in together.items():
        by_document.setdefault(document, []).append(some)
    chosen: set[str] = set()
    wanted = 0.0
    for document in sorted(by_document, key=lambda name: digest(f"split {seed}", name)):
        groups = sorted(by_document[document], key=lambda some: digest(f"split {seed}", min(q.id for q in some)))
        wanted += share * sum(map(len, groups))
        for some in groups:
            if len(chosen) + len(some) / 2 <= wanted:
                chosen |= {q.id for q in some}
    dev = [q for q in questions if q.id in chosen]
    test = [q for q in questions if q.id not in chosen]
    if min(len(dev), len(test)) < FEWEST:
        raise SynthgainError(
            f"{len(questions)} questions leave {len(dev)} to choose the learning rate on and {len(test)} to compare arms on; "
            f"each needs {FEWEST}",
            where="questions",
            next="give more questions, or the learning rates: --rate 4e-4 --rate 1.3e-4 --rate 4e-5",
        )
    return dev, test


def best_rate(done: Done, headline: str) -> tuple[float, dict[float, float]]:
    """The rate at which the arms have most on the mean, and the mean at each; of equal ones the smaller."""
    rates = sorted({rate for by_rate in done.trained.values() for rate in by_rate})
    name = headline if headline == ACCURACY or all(_margins(done)) else ACCURACY
    means = {
        rate: fsum(_mean(values_of([by_rate[rate].scored], name)) for by_rate in done.trained.values())
        / len(done.trained)
        for rate in rates
    }
    return max(rates, key=lambda rate: (means[rate], -rate)), means


def _margins(done: Done) -> Iterator[bool]:
    return (bool(made.scored.margins) for by_rate in done.trained.values() for made in by_rate.values())


def _mean(values: Values) -> float:
    each = [x for one in values.values() for x in one]
    return fsum(each) / len(each)


# ---------------------------------------------------------------------------------------------- what comes of it


@dataclass(frozen=True)
class Table:
    """The values of every arm, by figure: question by question, student by student; of trained arms at each rate."""

    questions: Sequence[Question]
    arms: Sequence[str]
    done: Done

    @property
    def figures(self) -> list[str]:
        """`accuracy`, and `answer_margin` where all arms have margins."""
        return [ACCURACY, *([MARGIN] if all(self.values(arm, MARGIN) for arm in self.arms) else [])]

    def at(self, arm: str, figure: str, rate: float) -> Values:
        """An arm's values at a rate; of one that is not trained the same at each."""
        if arm in self.done.untrained:
            return values_of([self.done.untrained[arm].scored], figure)
        made = self.done.trained[arm][rate]
        return values_of(made.each or [made.scored], figure)

    def values(self, arm: str, figure: str) -> Values:
        """An arm's values on the mean over the rates."""
        return averaged_values([self.at(arm, figure, rate) for rate in self.rates])

    @property
    def rates(self) -> list[float]:
        """Those at which every trained arm is done, in the order of training."""
        found = list(next(iter(self.done.trained.values()), {}))
        return [rate for rate in found if all(rate in one for one in self.done.trained.values())] or [0.0]

    def reading(self, arm: str, figure: str, rate: float | None = None) -> Reading:
        values = self.values(arm, figure) if rate is None else self.at(arm, figure, rate)
        return crossed(figure, values, units_of(self.questions))

    def difference(self, a: str, b: str, figure: str, rate: float | None = None, level: float = 0.95) -> Reading:
        """How much more `a` has than `b`: on the mean over the rates, or at one."""
        mine, theirs = (self.values(arm, figure) if rate is None else self.at(arm, figure, rate) for arm in (a, b))
        return crossed_difference(figure, mine, theirs, units_of(self.questions), level=level)

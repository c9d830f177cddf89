"""When a loop ends, and which of its students is the best: decided on questions that are not reported.

A round counts as better where the lower bound of its student's paired gain over the best so far lies above zero, on the deciding questions
alone. The base is the first best. The best student writes the next round, not the last one; after `patience` rounds in a row that are not
better the loop ends (RECIPES: a model past its peak must not start a round, and most of what is lost is lost at once).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synthgain.api.telling import Say
from synthgain.evaluate import Question, Solved, difference
from synthgain.evaluate.development import fewest_gained, split
from synthgain.loop import Examine, Next, Result, Round
from synthgain.numbers import interval
from synthgain.types import Reading, SynthgainError

BY = "a hash of each question's document, or else of its text"
FEW = 0.2  # of the deciding questions: where more than this share must be gained, only a large gain is seen


@dataclass(frozen=True)
class Stopping:
    """The rule. `share` of the questions decide: with 0 nothing is decided, all rounds run and each is written by the last student.
    `patience` rounds in a row that are not better end the loop; None: all rounds run, each written by the best so far."""

    share: float = 0.3
    patience: int | None = 1

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise SynthgainError(
                f"a share lies from 0 up to 1, not {self.share}",
                where="--development",
                next="give a share like 0.3, or 0: nothing is decided",
            )
        if self.patience is not None and self.patience < 1:
            raise SynthgainError(
                f"patience must be 1 or more, not {self.patience}",
                where="--patience",
                next="leave it out: it is then 1",
            )

    def decides(self, rounds: int) -> bool:
        """Whether there is anything to decide: of one round there is not."""
        return rounds > 1 and self.share > 0

    def split(self, questions: Sequence[Question], rounds: int) -> tuple[list[Question], list[Question]]:
        """(those that decide, those that are reported). SynthgainError where they are too few to decide anything."""
        if not self.decides(rounds):
            return [], list(questions)
        deciding, rest = split(questions, self.share)
        if fewest_gained(len(deciding)) is None or not rest:
            raise SynthgainError(
                f"of {len(questions)} questions {len(deciding)} decide when the loop ends, and {len(rest)} are left to report: too few",
                where="--on",
                next="give more questions, another --development SHARE, or --development 0: all rounds run, and nothing is decided",
            )
        return deciding, rest


def said_of_split(deciding: Sequence[Question], rest: Sequence[Question]) -> str:
    """What can be decided on so many questions, in words, before anything is bought."""
    n, least = len(deciding), fewest_gained(len(deciding)) or len(deciding)
    few = " That is few: only a large gain is told from chance." if least > FEW * n else ""
    return (
        f"{n} of {n + len(rest)} questions decide when the loop ends and which student is best; the other {len(rest)} are only "
        f"reported. A round counts as better with, for instance, {least} more of the {n} right and none lost.{few}"
    )


@dataclass(frozen=True)
class Best:
    """The best student so far; without a folder it is the base. `round` is None for the base."""

    scored: Solved
    round: int | None = None
    folder: Path | None = None

    @property
    def name(self) -> str:
        return "the base" if self.round is None else f"the student of round {self.round}"


@dataclass
class Decision:
    """Which student is best, round after round (`loop.Decide`). `ask` puts the deciding questions."""

    ask: Examine[Solved]
    base: str
    arm: str
    rounds: int
    rule: Stopping
    reports: int  # questions that decide nothing
    say: Say
    best: Best | None = None
    in_vain: int = 0  # rounds in a row that were not better
    stopped: str = ""
    looks: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, made: Round[Solved]) -> Next:
        """The best student goes on, or none does."""
        result = made.result(self.arm)
        best = self.best or Best(self.ask(result.arm, self.base))
        mine = self._scored(result)
        gain = difference(mine, best.scored)
        better = gain.low is not None and gain.low > 0
        self.looks.append({"round": made.number, "less": best.name, "better": better, "gain": gain.json()})
        said = f"on the {gain.n} deciding questions the student of round {made.number} has {_signed(gain)} more right than {best.name}"
        self.say(f"  {said}: {'better' if better else 'not told from no gain'}")
        if better and result.student is not None:
            best = Best(mine, made.number, result.student.folder)
        self.best, self.in_vain = best, 0 if better else self.in_vain + 1
        patience = self.rule.patience
        stop = patience is not None and self.in_vain >= patience and made.number + 1 < self.rounds
        if stop:
            again = f", {self.in_vain} rounds in a row" if self.in_vain > 1 else ""
            self.stopped = (
                f"Stopped after round {made.number}, of rounds 0 to {self.rounds - 1}: {said}, so no gain is told from chance{again}. "
                f"The best is {best.name}."
            )
            self.say(self.stopped)
        return Next(best.folder, stop)

    def _scored(self, result: Result[Solved]) -> Solved:
        """The deciding questions as the arm's students answer them, as their mean."""
        assert result.student is not None  # `check_arms`: the writer's arm is trained
        first, *others = (self.ask(result.arm, one.folder) for one in (result.student, *result.student.others))
        return first.pooled(others) if others else first

    def reported(self, number: int) -> str:
        """What the reported figures are of, in words."""
        best = self.best.name if self.best else "the base"
        which = (
            f"the arms of round {number}"
            if best != "the base"
            else f"round {number}, the last one: no student was better than the base"
        )
        return f"Best on the deciding questions: {best}. The figures are {which}, on the {self.reports} questions that decided nothing."

    def json(self, place: Path) -> Mapping[str, Any]:
        """What loop.json says of it: `best` is the best student's folder, "" for the base."""
        best = self.best
        return {
            "best": best.folder.relative_to(place).as_posix() if best and best.folder else "",
            "best_round": best.round if best else None,
            "stopped": self.stopped,
            "decided": {
                "questions": self.looks[-1]["gain"]["n"] if self.looks else 0,
                "reported": self.reports,
                "share": self.rule.share,
                "patience": self.rule.patience,
                "by": BY,
                "looks": self.looks,
            },
        }


def chosen(rounds: Sequence[Round[Solved]], best: Best | None) -> Round[Solved]:
    """The round whose arms are reported: that of the best student; the last one, where that is the base or nothing was decided."""
    return next((one for one in rounds if best is not None and one.number == best.round), rounds[-1])


def _signed(gain: Reading) -> str:
    return interval(gain.value or 0.0, gain.low, gain.high, signed=True)

"""The equal-sample one-shot control of a loop: as many draws as all its rounds had, written at once by the first writer.

A loop is worth its rounds only where it beats this arm: the same number of samples, the same checks, the same optimiser steps as the best
student had behind it, the same questions; but nobody who was trained wrote any of it (RECIPES section 20: an equal-sample control).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Protocol

from synthgain.api.learning import write_rows
from synthgain.evaluate import Solved
from synthgain.loop import Arm, Examine, Part, Result, Round, TrainArm, compared
from synthgain.types import Method, Recipe

NAME = "one-shot"
TITLE = "One shot, with as many draws as all rounds"
DRAWS = "k"  # the knob that says how often each prompt is answered
SCALED = ("accept", "max_candidates", "max_tokens")  # limits of one round's run; the control has those of all


class Maker(Protocol):
    """Makes a run (`looping.RunMaker`); `options` are `generate`'s."""

    @property
    def options(self) -> Mapping[str, Any]: ...

    @property
    def named(self) -> Recipe: ...

    def with_options(self, title: str = "", **more: Any) -> Callable[[int, Path | None, Path], Path]: ...


@dataclass(frozen=True)
class OneShot:
    """Makes the control of the rounds that ran, into a folder of `place`. Each stage is its own resume, as in a round."""

    make: Maker
    train: TrainArm
    examine: Examine[Solved]
    place: Path
    base: str
    seed: int
    method: Method | None = None

    def __call__(self, rounds: int, first: Path, steps: int) -> tuple[Result[Solved], dict[str, Any]]:
        """The arm, and what loop.json says of it. `first` is the run of the first round, which is a part of the control."""
        here = self.place / NAME
        runs = self._runs(rounds, first, here)
        learns = tuple(Part(str(run)) for run in runs)
        arm = Arm(NAME, learns, self.method, settings={"max_steps": steps, "tokens": None})
        rows = write_rows([arm], None, here / "arms", seed=self.seed)
        students = here / "students"
        made = compared([arm], rows, train=self.train, examine=self.examine, out=students, base=self.base)
        result = next(iter(made))
        told = {
            "runs": [run.relative_to(self.place).as_posix() for run in runs],
            "student": (students / NAME).relative_to(self.place).as_posix(),
            "rounds": rounds,
            "rows": rows[NAME].n,
            "steps": steps,
        }
        return result, told

    def _runs(self, rounds: int, first: Path, here: Path) -> list[Path]:
        """One run with as many draws as all rounds, where the recipe has that knob; else the first round's and others with further seeds."""
        limits = {name: self.make.options[name] * rounds for name in SCALED if self.make.options.get(name)}
        draws = draws_of(self.make.named, self.make.options.get("knobs") or {})
        if draws is not None:
            knobs = {**(self.make.options.get("knobs") or {}), DRAWS: draws * rounds}
            make = self.make.with_options(TITLE, knobs=knobs, calls=self._calls(first), replace=True, **limits)
            return [make(0, None, here / "run")]
        others = range(1, rounds)
        seeds = [self.make.with_options(TITLE, seed=self.seed + n, replace=True) for n in others]
        return [first, *(make(0, None, here / f"run-{n}") for n, make in zip(others, seeds))]

    def _calls(self, first: Path) -> Sequence[str | Path]:
        """What the first round bought serves the control too: its draws are the first of the control's."""
        given = self.make.options.get("calls") or ()
        return [first, *([given] if isinstance(given, str | Path) else given)]


def draws_of(recipe: Recipe, knobs: Mapping[str, Any]) -> int | None:
    """How often a recipe answers each prompt: its knob, where it has one that is a whole number."""
    draft: object = recipe.draft
    if not is_dataclass(draft) or all(f.name != DRAWS for f in fields(draft)):
        return None
    value = knobs.get(DRAWS, getattr(draft, DRAWS))
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def steps_behind(rounds: Sequence[Round[Solved]], last: Round[Solved], arm: str, train_from: str) -> int:
    """Optimiser steps behind the arm's student of a round: its own, and where it started from an earlier student that one's too."""
    student = last.result(arm).student
    own = int(student.record["steps"]) if student is not None else 0
    if train_from != "previous" or last.written_by is None:
        return own
    before = next(one for one in rounds if (s := one.result(arm).student) is not None and s.folder == last.written_by)
    return own + steps_behind(rounds, before, arm, train_from)

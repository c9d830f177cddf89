"""What is compared: a plan from a Python file, or the arms that a folder of runs suggests.

A plan file defines `ARMS`, a list of `loop.Arm`s, and where it wants to `SETTINGS`: the names of `Settings` here, and besides them those of
the trainer (`train.FineTune`). Sources of its parts are looked for beside the file first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from synthgain.api.choosing import FOUND, LETTER, OPEN_BOOK, RETRIEVAL, WRITTEN
from synthgain.curate.files import variables_of
from synthgain.loop import BASE, Arm, Part, check_arms
from synthgain.store import Run
from synthgain.types import Anchor, SynthgainError, digest

REPEATED, MIXTURE, RANDOM = "repeated", "mixture", "random"
THIRDS = (1 / 3, 1 / 10)  # of the best learning rate, besides it: an order seen at one often flips (arXiv 2512.24503)


@dataclass(frozen=True)
class Settings:
    """How arms are compared.

    Parts
    - `tokens`: what each student reads; rows are repeated until then. `students`: of each arm and learning rate, with different seeds.
    - `rates`: learning rates; without them the best of `tried`, on a development split of the questions, and a third and a tenth of it.
    - `reference`: the arm that the others are set against. `dev`: share of the questions for the development split.
    - `documents`: texts that questions are on (default: the anchors of the first run); `found`: passages that retrieval shows.
    - `also`: further ways to ask multiple choice (`choosing.further`). `headline`: "accuracy" or "answer_margin".
    - `equal`: "tokens", "cost" or "both": which tables. `cost_in`: "dollars", "tokens" or "seconds"; "" decides by what is known.
    - `train_price`: what a million training tokens cost, in that unit. `trainer`: settings of the trainer.
    """

    tokens: int = 16_000
    students: int = 3
    rates: tuple[float, ...] = ()
    tried: tuple[float, ...] = (1e-3, 5e-4, 2e-4)
    reference: str = ""
    dev: float = 0.25
    documents: str = ""
    found: int = FOUND
    also: tuple[str, ...] = ()
    headline: str = "accuracy"
    equal: str = "both"
    cost_in: str = ""
    train_price: float | None = None
    trainer: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for wrong, what in (
            (self.tokens < 1, "tokens must be 1 or more"),
            (self.students < 1, "students must be 1 or more"),
            (any(not rate > 0 for rate in (*self.rates, *self.tried)), "a learning rate lies above 0"),
            (len(set(self.rates)) < len(self.rates), "a learning rate is given twice"),
            (not self.rates and not self.tried, "there is no learning rate"),
            (not 0 < self.dev < 1, "dev is a share of the questions, above 0 and below 1"),
            (any(one not in (LETTER, WRITTEN) for one in self.also), f"also is {LETTER} or {WRITTEN}"),
            (self.found < 1, "found must be 1 passage or more"),
            (self.headline not in ("accuracy", "answer_margin"), "headline is accuracy or answer_margin"),
            (self.equal not in ("tokens", "cost", "both"), "equal is tokens, cost or both"),
            (self.cost_in not in ("", "dollars", "tokens", "seconds"), "cost_in is dollars, tokens or seconds"),
            (self.train_price is not None and self.train_price < 0, "train_price is 0 or more"),
        ):
            if wrong:
                raise SynthgainError(
                    what, where="settings of the arms", next="correct it in the plan, or on the command line"
                )

    def with_(self, given: Mapping[str, Any]) -> Settings:
        """These with others in their place; names that are none of ours are the trainer's."""
        ours = {f.name for f in fields(self)} - {"trainer"}
        own = {name: _tuple(value) for name, value in given.items() if name in ours}
        theirs = {name: value for name, value in given.items() if name not in ours}
        clash = next((name for name in theirs if name in ("learning_rate", "seed", "epochs", "max_steps")), None)
        if clash is not None:
            raise SynthgainError(
                f"{clash} is not set for all arms by itself",
                where="settings of the arms",
                next="rates, students and tokens say it",
            )
        try:
            return replace(self, **own, trainer={**self.trainer, **theirs})
        except TypeError as error:
            raise SynthgainError(
                f"a setting is of the wrong kind ({error})",
                where="settings of the arms",
                next="give it a value of the kind that the plan's documentation says (docs/arms.md)",
            ) from error


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True)
class ArmsPlan:
    """The arms and how they are compared. `runs` are the runs that arms learn from, by path; `notes` what was left out of it, and why."""

    arms: tuple[Arm, ...]
    settings: Settings
    runs: Mapping[str, Run]
    notes: tuple[str, ...] = ()

    @property
    def trained(self) -> list[Arm]:
        return [arm for arm in self.arms if arm.learns]

    @property
    def reference(self) -> str:
        """The arm that the others are set against: the one that is named, else what repeats the anchors, else the first that is trained."""
        if self.settings.reference:
            return self.settings.reference
        raw = [arm for arm in self.trained if all(part.take == "anchors" for part in arm.learns)]
        return (raw or self.trained)[0].name


def read_plan(source: str | Path, settings: Settings, more: Mapping[str, Any]) -> ArmsPlan:
    """The plan of a .py file, or of a folder of runs (or of one run). `more` are settings that were typed: they go first."""
    path = Path(source)
    if path.suffix == ".py":
        held, _ = variables_of(path, "ARMS")
        own = held.get("SETTINGS", {})
        if not isinstance(own, Mapping):
            raise SynthgainError("SETTINGS is no mapping", where=str(path), next='write SETTINGS = {"tokens": 16_000}')
        return plan_of(_arms_in(held["ARMS"], path), settings.with_({**own, **more}))
    if not path.is_dir():
        raise SynthgainError(
            "there is no such plan",
            where=str(path),
            next="give a .py file with ARMS = […], or a folder that holds runs",
        )
    runs = [path] if Run.is_at(path) else sorted(one for one in path.iterdir() if one.is_dir() and Run.is_at(one))
    if not runs:
        raise SynthgainError(
            "this folder holds no runs",
            where=str(path),
            next="make some: synthgain generate RECIPE ANCHORS -o DIR/NAME",
        )
    return plan_of_runs([Run.at(one) for one in runs], settings.with_(more))


def _arms_in(given: Any, path: Path) -> list[Arm]:
    if not isinstance(given, list | tuple) or not given or not all(isinstance(arm, Arm) for arm in given):
        raise SynthgainError(
            "ARMS is no list of arms",
            where=str(path),
            next='write ARMS = [Arm("base"), Arm("notes", (Part("runs/notes"),))], from synthgain.loop',
        )
    return [replace(arm, learns=tuple(_beside(part, path.parent) for part in arm.learns)) for arm in given]


def _beside(part: Part, folder: Path) -> Part:
    near = folder / part.source
    return replace(part, source=str(near)) if part.source and near.exists() else part


def plan_of(arms: Sequence[Arm], settings: Settings, notes: Sequence[str] = ()) -> ArmsPlan:
    """The plan of these arms. SynthgainError where they cannot be compared: no arm learns, sources are missing, anchors are unlike."""
    check_arms(arms)
    trained = [arm for arm in arms if arm.learns]
    if not trained:
        raise SynthgainError("no arm learns anything", where="arms", next="give an arm parts to learn from")
    runs: dict[str, Run] = {}
    for arm in trained:
        for part in arm.learns:
            _look_for(part, arm.name, runs)
    alike(list(runs.values()))
    plan = ArmsPlan(tuple(arms), settings, runs, tuple(notes))
    if settings.reference and settings.reference not in {arm.name for arm in arms}:
        names = ", ".join(arm.name for arm in arms)
        raise SynthgainError(
            f"there is no arm {settings.reference!r}", where="reference", next=f"the arms are: {names}"
        )
    return plan


def _look_for(part: Part, arm: str, runs: dict[str, Run]) -> None:
    if not part.source:
        raise SynthgainError(
            "a part names no source, and there is no run of a round", where=f"arm {arm}", next="write Part(SOURCE)"
        )
    if Run.is_at(part.source):
        run = runs.setdefault(part.source, Run.at(part.source))
        if run.record.get("status") != "complete":
            raise SynthgainError(
                f"this run is {run.record.get('status', 'not begun')}",
                where=part.source,
                next="finish it first: run its command again",
            )
    elif "://" not in part.source and not Path(part.source).exists():
        raise SynthgainError(
            "there is no such run or file", where=f"arm {arm}: {part.source}", next="make it, or mend the path"
        )


def plan_of_runs(runs: Sequence[Run], settings: Settings) -> ArmsPlan:
    """Untrained, with the book open and with what a question finds in it; the anchors again and again; each run's rows; an equal mixture of
    them; candidates at random, whatever checks said of them, as many as the mixture (of one run: as it) has."""
    named = {run.path.name: run for run in runs}
    taken = {BASE.name, OPEN_BOOK, RETRIEVAL, REPEATED, MIXTURE, RANDOM} & named.keys()
    if taken:
        raise SynthgainError(
            f"a run is named {min(taken)!r}, as an arm of another kind is",
            where=str(named[min(taken)].path),
            next="rename its folder",
        )
    first = str(runs[0].path)
    notes = []
    arms = [BASE, Arm(OPEN_BOOK, exam=OPEN_BOOK), Arm(RETRIEVAL, exam=RETRIEVAL)]
    arms.append(Arm(REPEATED, (Part(first, take="anchors"),)))
    arms += [Arm(name, (Part(str(run.path)),)) for name, run in named.items()]
    if len(runs) > 1:
        share = 1 / len(runs)
        arms.append(Arm(MIXTURE, tuple(Part(str(run.path), share=share) for run in runs)))
    counts = [run.record.get("counts") or {} for run in runs]
    if any(one.get("rows", 0) > one.get("kept", 0) for one in counts):
        everything = tuple(Part(str(run.path), take="candidates") for run in runs)
        arms.append(Arm(RANDOM, everything, as_many_as=MIXTURE if len(runs) > 1 else next(iter(named))))
    else:
        notes.append(f"no arm {RANDOM}: the checks dropped nothing, so candidates at random are the kept rows")
    return plan_of(arms, settings, notes)


# ---------------------------------------------------------------------------------------------- anchors


def alike(runs: Sequence[Run]) -> None:
    """SynthgainError where runs are not made from the same texts: what an arm learned would be of other documents, not of another recipe."""
    texts = [[digest(anchor.text) for anchor in run.corpus()] for run in runs]
    for run, mine in zip(runs, texts):
        if set(mine) != set(texts[0]):
            shared = len(set(mine) & set(texts[0]))
            raise SynthgainError(
                f"it has {len(set(mine))} different anchors and {runs[0].path} has {len(set(texts[0]))}, of which {shared} are the same",
                where=str(run.path),
                next="make the runs from the same documents (a limit on one of them counts too)",
            )


def documents_of(anchors: Iterable[Anchor]) -> dict[str, str]:
    """Texts by every name that a question may call them: an anchor's `slug`, `id`, `document`, `article_id` and `title`, its source and its
    file's stem. A name that two texts have names neither."""
    found: dict[str, set[str]] = {}
    for anchor in anchors:
        names = [anchor.fields.get(name) for name in ("slug", "id", "document", "article_id", "title")]
        for name in (*names, anchor.source, Path(anchor.source.partition("#")[0]).stem):
            if name not in (None, ""):
                found.setdefault(str(name), set()).add(anchor.text)
    return {name: next(iter(texts)) for name, texts in found.items() if len(texts) == 1}

"""Rounds of generate, curate, train and evaluate, with the arms that say what each of them is worth."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from synthgain.api.asking import DEFAULT_MODEL, ModelChoice
from synthgain.api.examining import ArmExaminer, Examination, Panel, no_panel
from synthgain.api.learning import write_rows
from synthgain.api.looking import report
from synthgain.api.making import generate
from synthgain.api.measuring import measure
from synthgain.api.reaching import reaching
from synthgain.api.training import ArmTrainer, Say, to_stderr, usable
from synthgain.evaluate import Solved, differences, load_questions
from synthgain.loop import (
    BASE,
    FEW_SHOT,
    SHIPPED,
    Arm,
    Result,
    arms_json,
    check_arms,
    run_rounds,
    starting_from,
)
from synthgain.recipes import load as load_recipe
from synthgain.store import atomic_write, writing
from synthgain.train.rows import no_chat, read_rows
from synthgain.types import Method, Model, Recipe, SynthgainError, TooManyBroken

WRITER = "filtered"  # the arm whose student writes the next round


@reaching
def loop(
    recipe: str | Path | Recipe,
    anchors: str | Path | Sequence[Any],
    *,
    out: str | Path,
    on: str | Path,
    rounds: int = 1,
    model: ModelChoice = DEFAULT_MODEL,
    base: str | None = None,
    arms: Sequence[str | Arm] = ("unfiltered", WRITER),
    method: Method | None = None,
    train_from: str = "base",
    examination: Examination | None = None,
    settings: Mapping[str, Any] | None = None,
    students: int = 1,
    seed: int = 0,
    say: Say = to_stderr,
    panel: Panel = no_panel,
    note: str = "",
    **options: Any,
) -> dict[str, Any]:
    """Rounds of generate, curate, train and evaluate into `out`; what arms.json of the last round holds.

    `model` writes the first round: a URI, or models by role. From then on the student of the arm `filtered` is the writer; other roles
    keep their models. Students start from `base` (default: the first writer), or with `train_from` "previous" from the last student.
    `arms` are trained arms by name (filtered, unfiltered, repeated, raw) or `loop.Arm`s; `base` untrained is always one, and with
    worked examples in the `examination` `base-few-shot`. Each trained arm has `students` of different seeds and is the mean of them; the first
    of `filtered` writes the next round. `method` is "sft" or "cpt"; without it the rows decide. `settings`
    are `train.FineTune`'s and shared by all arms, `options` are `generate`'s.
    """
    place = Path(out)
    start = base or _writer(model)
    train = ArmTrainer(start, seed, settings or {}, say, students)
    examine = ArmExaminer(
        load_questions(Path(on)),
        examination or Examination(),
        place / "answers",
        place / "round-0" / "run",
        options.get("reach"),
        say,
        panel,
    )
    chosen = _arms(arms, examine.shows, train_from, method)
    check_arms(chosen, WRITER)
    if options.get("calls_only") and rounds > 1:
        raise SynthgainError(
            "from the second round on a student writes, and nobody has recorded its answers",
            where="--calls-only",
            next="leave it out, or ask for one round",
        )
    train.check(chosen)
    examine.check(chosen)
    make = RunMaker(recipe, anchors, model, {"seed": seed, **options}, say, panel)
    if any(arm.method == "sft" for arm in chosen):
        make.refuse_texts()
    told = {"recipe": make.named.name, "seed": seed, "train_from": train_from, **dict(settings or {})}
    result: dict[str, Any] = {}
    done: list[dict[str, Any]] = []
    with writing(place):
        for made in run_rounds(
            chosen,
            rounds,
            generate=make,
            write_rows=partial(write_rows, seed=seed),
            train=train,
            examine=examine,
            out=place,
            base=start,
            writer=WRITER,
        ):
            here = f"round-{made.number}"
            result = write_arms(
                [place / here, place], made.results, [(WRITER, arm.name) for arm in chosen if arm.name != WRITER]
            )
            done.append(round_json(place, made.number, made.run, f"{here}/arms.json", made.results))
            write_loop(place, done, asked=rounds, settings=told, note=note)
    report(place)
    return result


def _by_role(model: ModelChoice) -> Mapping[str, str | Model]:
    return model if isinstance(model, Mapping) else {"": model}


def _writer(model: ModelChoice) -> str:
    """The URI of the model that writes."""
    given = _by_role(model)
    found = given.get("writer", given.get("", DEFAULT_MODEL))
    return found if isinstance(found, str) else found.uri


def _arms(given: Sequence[str | Arm], shows: bool, train_from: str, method: Method | None) -> list[Arm]:
    """The untrained arms, then those that were asked for."""
    unknown = next((name for name in given if isinstance(name, str) and name not in SHIPPED), None)
    if unknown is not None:
        raise SynthgainError(f"there is no arm {unknown!r}", where="arms", next=f"the arms are: {', '.join(SHIPPED)}")
    asked = [SHIPPED[arm] if isinstance(arm, str) else arm for arm in given]
    names = {arm.name for arm in asked}
    first = [arm for arm in ((BASE, FEW_SHOT) if shows else (BASE,)) if arm.name not in names]
    return [starting_from(arm, train_from, method) for arm in (*first, *asked)]


# ---------------------------------------------------------------------------------------------- a round's run


@dataclass(frozen=True)
class RunMaker:
    """Makes the run of a round (`loop.Generate`), and measures it. `options` are `generate`'s."""

    recipe: str | Path | Recipe
    anchors: str | Path | Sequence[Any]
    model: ModelChoice
    options: Mapping[str, Any] = field(default_factory=dict)
    say: Say = to_stderr
    panel: Panel = no_panel

    @property
    def named(self) -> Recipe:
        """The recipe itself."""
        return self.recipe if isinstance(self.recipe, Recipe) else load_recipe(str(self.recipe))

    def __call__(self, number: int, student: Path | None, out: Path) -> Path:
        """The run folder. `student` writes, where there is one; every other role keeps its model."""
        model = self.model if student is None else self.written_by(usable(student))
        self.say(f"Round {number}: {self.named.name} with {_writer(model)}")
        options = {**self.options, **({"replace": True} if number else {})}  # later rounds follow from the first
        with self.panel() as watch:
            run = generate(self.recipe, self.anchors, out=out, model=model, round=number, watch=watch, **options)
        self.say(_came_of(run.record))
        measure(run)
        return out

    def written_by(self, uri: str) -> ModelChoice:
        """The models by role with this one as the writer (as the model of every role, where the recipe has no writer)."""
        return {**_by_role(self.model), "writer" if "writer" in self.named.roles else "": uri}

    def refuse_texts(self) -> None:
        """SynthgainError where the recipe's rows are texts, which "sft" cannot learn. Seen without buying anything, from the recipe's own
        examples (else the first anchors) and the scripted model; what that cannot show, the first round's rows do."""
        kept = {name: self.options[name] for name in ("knobs", "text_field") if name in self.options}
        with TemporaryDirectory() as folder:
            try:
                run = generate(
                    self.recipe,
                    self.named.examples or self.anchors,
                    out=Path(folder) / "run",
                    model="scripted/echo",
                    limit=2,
                    without=("all",),
                    **kept,
                )
            except TooManyBroken:
                return
            if not any(len(shard) for shard in run.kept(["id"])) or read_rows(run.data).chats:
                return
        raise no_chat("method", f"the rows of {self.named.name} are plain texts")


def _came_of(record: Mapping[str, Any]) -> str:
    c, fell = record["counts"], ", ".join(f"{n} {name}" for name, n in record["dropped_by"].items())
    return f"  {c['kept']} of {c['rows']} answers kept ({fell}); {record['tokens']['out']:,} tokens in {record['seconds']:.0f} s"


# ---------------------------------------------------------------------------------------------- what is written


def write_arms(
    folders: Sequence[Path], results: Sequence[Result[Solved]], pairs: Sequence[tuple[str, str]], **more: Any
) -> dict[str, Any]:
    """arms.json in each of the folders, with the differences a - b of `pairs`; what it holds."""
    told = {**arms_json(results, pairs, differences), **more}
    for folder in folders:
        atomic_write(folder / "arms.json", json.dumps(told, ensure_ascii=False, indent=2) + "\n")
    return told


def round_json(
    place: Path, number: int, run: Path, arms: str, results: Sequence[Result[Solved]], **more: Any
) -> dict[str, Any]:
    """One of loop.json's rounds: where its run, its arms and its students lie in `place`."""
    students = {r.arm.name: r.student.folder.relative_to(place).as_posix() for r in results if r.student}
    return {"round": number, "run": run.relative_to(place).as_posix(), "arms": arms, "students": students, **more}


def write_loop(place: Path, rounds: Sequence[Mapping[str, Any]], **more: Any) -> None:
    """loop.json, from which the report of a folder of rounds starts."""
    atomic_write(place / "loop.json", json.dumps({"rounds": list(rounds), **more}, ensure_ascii=False, indent=2) + "\n")

"""Rounds of generate, curate, train and evaluate, with the arms that say what each of them is worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from synthgain.api.asking import DEFAULT_MODEL, ModelChoice
from synthgain.api.examining import ArmExaminer, Examination, Panel, no_panel
from synthgain.api.learning import write_rows
from synthgain.api.looking import report
from synthgain.api.loop_record import LoopRecord
from synthgain.api.making import generate
from synthgain.api.measuring import measure
from synthgain.api.one_shot import OneShot
from synthgain.api.reaching import reaching
from synthgain.api.slices import spent
from synthgain.api.stopping import Decision, Stopping, said_of_split
from synthgain.api.telling import Say
from synthgain.api.training import ArmTrainer, to_stderr, usable
from synthgain.evaluate import load_questions
from synthgain.loop import (
    BASE,
    FEW_SHOT,
    SHIPPED,
    Arm,
    check_arms,
    run_rounds,
    starting_from,
)
from synthgain.recipes import load as load_recipe
from synthgain.store import Run, writing
from synthgain.train.rows import no_chat, read_rows
from synthgain.types import BudgetReached, Method, Model, Recipe, SynthgainError, TooManyBroken

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
    patience: int | None = 1,
    development: float = 0.3,
    control: bool = True,
    examination: Examination | None = None,
    settings: Mapping[str, Any] | None = None,
    students: int = 1,
    seed: int = 0,
    max_cost: float | None = None,
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

    With several rounds a share `development` of the questions decides and the others are reported: a round is better where the lower
    bound of its student's paired gain over the best so far lies above zero; the best student writes the next round, and after `patience`
    rounds in a row that are not better the loop ends (None: all rounds run). With `development` 0 nothing is decided and each round is
    written by the last student. `control` adds the arm `one-shot`: one student, of as many draws by the first writer as all rounds had.
    `max_cost` is what all runs together, the control's too, may cost in USD: BudgetReached there, with everything kept.
    """
    place = Path(out)
    start = base or _writer(model)
    rule = Stopping(development, patience)
    deciding, questions = rule.split(load_questions(Path(on)), rounds)
    train = ArmTrainer(start, seed, settings or {}, say, students)
    examine = ArmExaminer(
        questions,
        examination or Examination(),
        place / "answers",
        place / "round-0" / "run",
        options.get("reach"),
        say,
        panel,
    )
    chosen_arms = _arms(arms, examine.shows, train_from, method)
    check_arms(chosen_arms, WRITER)
    if options.get("calls_only") and rounds > 1:
        raise SynthgainError(
            "from the second round on a student writes, and nobody has recorded its answers",
            where="--calls-only",
            next="leave it out, or ask for one round",
        )
    train.check(chosen_arms)
    examine.check(chosen_arms)
    budget = None if max_cost is None else LoopBudget(max_cost, place)
    make = RunMaker(recipe, anchors, model, {"seed": seed, **options}, say, panel, budget=budget)
    if any(arm.method == "sft" for arm in chosen_arms):
        make.refuse_texts()
    told = {"recipe": make.named.name, "seed": seed, "train_from": train_from, **dict(settings or {})}
    decision = None
    if deciding:
        decision = Decision(
            replace(examine, questions=deciding, say=lambda _: None), start, WRITER, rounds, rule, len(questions), say
        )
        say(said_of_split(deciding, questions))
    one_shot = OneShot(make, train, examine, place, start, seed, method) if control and rounds > 1 else None
    record = LoopRecord(place, WRITER, train_from, decision, {"asked": rounds, "settings": told, "note": note})
    with writing(place):
        for one in run_rounds(
            chosen_arms,
            rounds,
            generate=Afresh(make),
            write_rows=partial(write_rows, seed=seed),
            train=train,
            examine=examine,
            out=place,
            base=start,
            writer=WRITER,
            decide=decision,
        ):
            record.add(one)
        result = record.close(one_shot)
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
class LoopBudget:
    """What all runs in a loop's folder may cost together, in USD."""

    whole: float
    place: Path

    def __post_init__(self) -> None:
        if not self.whole >= 0:
            what, next = f"a budget is 0 or more, not {self.whole:g}", "leave it out for no limit"
            raise SynthgainError(what, where="--max-cost", next=next)

    def left_for(self, out: Path) -> float:
        """What the run `out` may cost in all: what the others have left. BudgetReached: nothing, and it is not made yet."""
        others = (Run.at(run) for run in self.place.glob("*/run*") if Run.is_at(run) and run != out)
        left = self.whole - sum(spent(run)[0] or 0.0 for run in others)
        if left <= 0 and not (Run.is_at(out) and Run.at(out).record.get("status") == "complete"):
            raise self.reached()
        return max(left, 0.0)

    def reached(self) -> BudgetReached:
        return BudgetReached(
            f"the budget of ${self.whole:g} for all rounds is reached",
            where=str(self.place),
            next="everything bought is kept: the same command with a larger --max-cost goes on",
            code=3,
        )


@dataclass(frozen=True)
class RunMaker:
    """Makes the run of a round (`loop.Generate`), and measures it. `options` are `generate`'s."""

    recipe: str | Path | Recipe
    anchors: str | Path | Sequence[Any]
    model: ModelChoice
    options: Mapping[str, Any] = field(default_factory=dict)
    say: Say = to_stderr
    panel: Panel = no_panel
    title: str = ""  # what is said to be made; "": the round
    budget: LoopBudget | None = None

    def with_options(self, title: str = "", **more: Any) -> RunMaker:
        """The same with other options for `generate`."""
        return replace(self, options={**self.options, **more}, title=title)

    @property
    def named(self) -> Recipe:
        """The recipe itself."""
        return self.recipe if isinstance(self.recipe, Recipe) else load_recipe(str(self.recipe))

    def __call__(self, number: int, student: Path | None, out: Path) -> Path:
        """The run folder. `student` writes, where there is one; every other role keeps its model."""
        model = self.model if student is None else self.written_by(usable(student))
        self.say(f"{self.title or f'Round {number}'}: {self.named.name} with {_writer(model)}")
        options = {**self.options, **({"replace": True} if number else {})}  # later rounds follow from the first
        if self.budget is not None:
            options["max_cost"] = self.budget.left_for(out)
        try:
            with self.panel() as watch:
                run = generate(self.recipe, self.anchors, out=out, model=model, round=number, watch=watch, **options)
        except BudgetReached as error:
            if self.budget is None or options.get("max_tokens") is not None:
                raise  # it may be another limit, of this run alone
            raise self.budget.reached() from error
        self.say(_came_of(run.record))
        measure(run)
        return out

    def written_by(self, uri: str) -> ModelChoice:
        """The models by role with this one as the writer (as the model of every role, where the recipe has no writer)."""
        return {**_by_role(self.model), "writer" if "writer" in self.named.all_roles else "": uri}

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


@dataclass
class Afresh:
    """Makes rounds' runs, and gives a writer that wrote before another seed: the same draws again would bring nothing new."""

    make: RunMaker
    wrote: Counter[Path | None] = field(default_factory=Counter)

    def __call__(self, number: int, student: Path | None, out: Path) -> Path:
        seed = self.make.options["seed"] + self.wrote[student]
        self.wrote[student] += 1
        return self.make.with_options(seed=seed)(number, student, out)


def _came_of(record: Mapping[str, Any]) -> str:
    c, fell = record["counts"], ", ".join(f"{n} {name}" for name, n in record["dropped_by"].items())
    return f"  {c['kept']} of {c['rows']} answers kept ({fell}); {record['tokens']['out']:,} tokens in {record['seconds']:.0f} s"

"""Arms set against each other: students × learning rates, equal tokens and equal cost, one verdict.

    plan ──rows of each arm──▶ checks ──▶ (learning rate on a development split) ──▶ students × rates ──exam──▶ differences ──▶ verdict

Everything is its own resume: rows are written anew, training returns a student that stands, exams look answers up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from synthgain.anchors import load as load_anchors
from synthgain.api.arms_checks import Leaks, check_fit, exams_of, leaks
from synthgain.api.arms_costs import Costs, Equal, at_equal_cost, costs_of
from synthgain.api.arms_grid import Done, Grid, best_rate, split
from synthgain.api.arms_plan import THIRDS, ArmsPlan, Settings, documents_of, plan_of, read_plan
from synthgain.api.arms_texts import text_readings
from synthgain.api.arms_told import Told, table_json
from synthgain.api.asking import DEFAULT_MODEL
from synthgain.api.choosing import LETTER, OPEN_BOOK, RETRIEVAL, ChoiceExaminer
from synthgain.api.examining import ArmExaminer, Examination, Panel, no_panel, texts_of
from synthgain.api.learning import write_rows
from synthgain.api.looking import report
from synthgain.api.reaching import Servers, Unpack, reaching
from synthgain.api.telling import Say, remark
from synthgain.api.training import ArmTrainer, to_stderr
from synthgain.evaluate import Passages, Question, by_letter, load_questions
from synthgain.loop import Arm, Rows
from synthgain.models import Reach, folder_of
from synthgain.store import atomic_write, writing
from synthgain.types import Anchor, SynthgainError

LENGTH = 512  # of the trainer's blocks, where the settings do not say it


@reaching
def arms(
    plan: str | Path | Sequence[Arm],
    *,
    out: str | Path,
    on: str | Path,
    base: str = DEFAULT_MODEL,
    settings: Mapping[str, Any] | None = None,
    without: Sequence[str] = (),
    allow_leaks: bool = False,
    examination: Examination | None = None,
    general: str | Path | None = None,
    held_out: str | Path | None = None,
    seed: int = 0,
    reach: Reach | None = None,
    say: Say = to_stderr,
    panel: Panel = no_panel,
    **servers: Unpack[Servers],
) -> dict[str, Any]:
    """Arms trained and compared into `out`; what its arms.json holds.

    `plan` is a .py file with `ARMS` and perhaps `SETTINGS`, a folder of runs, or `loop.Arm`s; `settings` are `arms_plan.Settings`'s and the
    trainer's, and go before those of the file. `without` names arms that are left out. All arms start from `base`, read as many tokens at the
    same learning rates with the same seeds, and answer the questions of `on`; of the first table's arms a second one has the same cost
    (generation included). A question that stands in what an arm learns is refused, unless `allow_leaks`. With `general` text what each arm's first
    student forgot, with `held_out` text its perplexity.
    """
    place = Path(out)
    questions = load_questions(Path(on))
    asked = read(plan, dict(settings or {}), without)
    study = Study(asked, place, base, questions, seed, examination or Examination(), reach, say, panel)
    place.mkdir(parents=True, exist_ok=True)
    with writing(place):
        study.check(allow_leaks)
        rates, tried = study.rates()
        done = study.trained(study.plan.arms, study.rows, rates, place / "students")
        told = Told(study.plan, study.test, done, rates, study.texts(done, general, held_out))
        head = {
            "plan": study.json(str(on)),
            "reference": study.plan.reference,
            "rates_tried": tried,
            "leaks": study.leaks.json(),
        }
        result = {**table_json(told), **head, "notes": list(study.plan.notes)}
        write(place, result)
        if study.settings.equal != "tokens":
            result["equal_cost"] = study.at_equal_cost(done, rates)
            write(place, result)
    report(place)
    return result


def read(plan: str | Path | Sequence[Arm], settings: dict[str, Any], without: Sequence[str]) -> ArmsPlan:
    """The plan, without some of its arms."""
    if isinstance(plan, str | Path):
        found = read_plan(plan, Settings(), settings)
    else:
        found = plan_of(plan, Settings().with_(settings))
    unknown = set(without) - {arm.name for arm in found.arms}
    if unknown:
        names = ", ".join(arm.name for arm in found.arms)
        raise SynthgainError(f"there is no arm {min(unknown)!r}", where="--without", next=f"the arms are: {names}")
    if not without:
        return found
    return plan_of([arm for arm in found.arms if arm.name not in without], found.settings, found.notes)


def write(place: Path, result: Mapping[str, Any]) -> None:
    """arms.json."""
    atomic_write(place / "arms.json", json.dumps(result, ensure_ascii=False, indent=2) + "\n")


@dataclass(frozen=True)
class Study:
    """A plan with its questions, and where it lies."""

    asked: ArmsPlan
    place: Path
    base: str
    questions: Sequence[Question]
    seed: int
    examination: Examination
    reach: Reach | None
    say: Say
    panel: Panel

    @property
    def settings(self) -> Settings:
        return self.asked.settings

    @property
    def choices(self) -> bool:
        """Whether the questions are multiple choice."""
        return bool(self.questions[0].options)

    @cached_property
    def anchors(self) -> list[Anchor]:
        """The documents that questions are on: those that are named, else the anchors of the first run."""
        if self.settings.documents:
            return list(load_anchors(self.settings.documents, tell=remark))
        first = next(iter(self.asked.runs.values()), None)
        return [] if first is None else list(first.corpus())

    @cached_property
    def plan(self) -> ArmsPlan:
        """The plan without the books that a folder of runs suggests and nobody can open: a note says so."""
        named, notes, kept = documents_of(self.anchors), list(self.asked.notes), []
        missing = next((q for q in self.questions if q.document not in named), None)
        for arm in self.asked.arms:
            why = ""
            if arm.exam in (OPEN_BOOK, RETRIEVAL) and not self.choices:
                why = "it is held for multiple choice only"
            elif arm.exam == OPEN_BOOK and missing is not None and not self.settings.documents:
                why = f"question {missing.id!r} names no document that is there"
            if why and arm.name == arm.exam:
                notes.append(f"no arm {arm.name}: {why}")
            else:
                kept.append(arm)
        return replace(self.asked, arms=tuple(kept), notes=tuple(notes))

    @cached_property
    def rows(self) -> dict[str, Rows]:
        return write_rows(self.plan.arms, None, self.place / "arms", seed=self.seed)

    @cached_property
    def leaks(self) -> Leaks:
        return leaks(self.questions, self.rows)

    @cached_property
    def halves(self) -> tuple[Sequence[Question], Sequence[Question]]:
        """Questions to choose the learning rate on, and to compare on; with given rates all are of the second kind."""
        if self.settings.rates:
            return (), self.questions
        return split(self.questions, self.settings.dev, self.seed)

    @property
    def test(self) -> Sequence[Question]:
        return self.halves[1]

    def check(self, allow_leaks: bool) -> None:
        """Everything that can be seen before a student is trained. SynthgainError says what."""
        self.trainer().check(self.plan.arms)
        _ = self.halves
        examine = self.examiner(self.questions)
        exams = {}
        if isinstance(examine, ChoiceExaminer):
            exams = exams_of(self.plan.arms, examine.context)
            if LETTER in self.settings.also:
                by_letter(self.questions)
        else:
            examine.check(self.plan.arms)
        length = int(self.settings.trainer.get("length", LENGTH))
        check_fit(folder_of(self.base), length, self.rows, exams, self.questions)
        for note in self.plan.notes:
            self.say(note)
        for name, one in self.rows.items():
            self.say(f"{name}: {one.n:,} rows, learnt as {one.method}")
        if not allow_leaks:
            self.leaks.refuse()

    def trainer(self, students: int = 1) -> ArmTrainer:
        settings = {"hold_out": 0.0, "tokens": self.settings.tokens, **self.settings.trainer}
        return ArmTrainer(self.base, self.seed, settings, self.say, students)

    def examiner(self, questions: Sequence[Question]) -> ChoiceExaminer | ArmExaminer:
        memory = self.place / "answers"
        if not self.choices:
            return ArmExaminer(questions, self.examination, memory, None, self.reach, self.say, self.panel)
        texts = {anchor.text: None for anchor in self.anchors}
        passages = Passages({str(n): text for n, text in enumerate(texts)}) if texts else None
        named, also = documents_of(self.anchors), self.settings.also
        return ChoiceExaminer(questions, memory, named, self.say, passages, self.settings.found, also)

    def trained(
        self,
        arms: Sequence[Arm],
        rows: Mapping[str, Rows],
        rates: Sequence[float],
        folder: Path,
        done: Done | None = None,
    ) -> Done:
        """All students of these arms, examined on the test questions."""
        found = done or Done()
        grid = Grid(tuple(arms), rows, tuple(rates), folder, self.base)
        for _ in grid.fill(found, self.trainer(self.settings.students), self.examiner(self.test), self.say):
            pass
        return found

    def rates(self) -> tuple[tuple[float, ...], dict[str, float]]:
        """The learning rates: those that are given, else the best of those tried on the development split, a third and a tenth of it."""
        if self.settings.rates:
            return self.settings.rates, {}
        dev, found = self.halves[0], Done()
        self.say(f"looking for a learning rate on {len(dev)} questions")
        grid = Grid(tuple(self.plan.trained), self.rows, self.settings.tried, self.place / "students", self.base)
        for _ in grid.fill(found, self.trainer(), self.examiner(dev), self.say):
            pass
        best, means = best_rate(found, self.settings.headline)
        self.say(f"best: {best:g}")
        rates = (best, *(float(f"{best * share:.3g}") for share in THIRDS))
        return rates, {f"{rate:g}": mean for rate, mean in means.items()}

    def at_equal_cost(self, done: Done, rates: Sequence[float]) -> dict[str, Any]:
        """The second table: what arms.json says of arms that cost the same."""
        costs = costs_of(
            self.plan.trained,
            self.plan.runs,
            unit=self.settings.cost_in,
            train_price=self.settings.train_price,
            seconds_a_token=lambda: _seconds_a_token(done),
        )
        equal = at_equal_cost(self.plan.trained, self.rows, costs, self.settings.tokens)
        head = {"unit": costs.unit, "budget": equal.budget, "notes": [*costs.notes, *equal.notes]}
        if not equal.budget:
            return {**head, "arms": [], "differences": []}
        self.say(f"at equal cost: {equal.budget:,.4g} {costs.unit} for each arm")
        rows = {name: self.rows[name] for name in equal.unchanged}
        if equal.arms:
            rows |= write_rows(equal.arms, None, self.place / "arms-at-equal-cost", seed=self.seed)
        kept = Done(dict(done.untrained), {name: dict(done.trained[name]) for name in equal.unchanged})
        found = self.trained(equal.arms, rows, rates, self.place / "students-at-equal-cost", kept)
        plan = self._plan_at(equal)
        told = table_json(Told(plan, self.test, found, tuple(rates)))
        for arm in told["arms"]:
            arm["cost"] = _cost(plan, arm, rows, costs, self.settings.tokens)
        return {**head, **told}

    def _plan_at(self, equal: Equal) -> ArmsPlan:
        changed = {arm.name: arm for arm in equal.arms}
        return replace(self.plan, arms=tuple(changed.get(arm.name, arm) for arm in self.plan.arms))

    def texts(self, done: Done, general: str | Path | None, held_out: str | Path | None) -> dict[str, Any]:
        """Readings of each arm's first student on text: what it forgot, and perplexity."""
        folders = {name: next(iter(by_rate.values())).student for name, by_rate in done.trained.items()}
        students = {name: student.folder for name, student in folders.items() if student is not None}
        return text_readings(
            self.base,
            students,
            None if general is None else texts_of(general),
            None if held_out is None else texts_of(held_out),
            self.place / "answers",
        )

    def json(self, on: str) -> dict[str, Any]:
        """What was asked, for the record."""
        known = {name: value for name, value in asdict(self.settings).items() if value not in ("", (), None, {})}
        told = {name: list(value) if isinstance(value, tuple) else value for name, value in known.items()}
        head = {"synthgain": version("synthgain"), "base": self.base, "on": on, "seed": self.seed}
        return {**head, **told, "runs": list(self.plan.runs)}


def _seconds_a_token(done: Done) -> float:
    """What training took, over all students."""
    records = [
        one.record
        for by_rate in done.trained.values()
        for made in by_rate.values()
        if made.student is not None
        for one in (made.student, *made.student.others)
    ]
    return float(sum(one["seconds"] for one in records) / max(1, sum(one["tokens_seen"] for one in records)))


def _cost(plan: ArmsPlan, arm: Mapping[str, Any], rows: Mapping[str, Rows], costs: Costs, tokens: int) -> float | None:
    """What an arm of the table cost; None of one that is not trained."""
    mine = next(one for one in plan.arms if one.name == arm["name"])
    if not mine.learns:
        return None
    return costs.whole(mine, rows[mine.name].n, int(mine.settings.get("tokens", tokens)))

"""The documents' demo: what synthetic texts add to reading the same documents again.

    documents ──recipes──▶ runs ──mixed with the documents──▶ arms ──train at each rate──▶ students ──closed book──▶ differences

All arms read as many tokens at the same learning rates, in as many steps but for the short block that ends each pass (84 against 79, say).
An arm's figure is the mean over the rates, question by question.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from synthgain.api.arms_grid import Done, Grid
from synthgain.api.arms_told import last_loss
from synthgain.api.asking import DEFAULT_MODEL
from synthgain.api.choosing import OPEN_BOOK, ChoiceExaminer
from synthgain.api.examining import Panel, no_panel
from synthgain.api.foretold import Foretold, foretold_json
from synthgain.api.learning import write_rows
from synthgain.api.looking import report
from synthgain.api.loop_record import round_json, write_arms, write_loop
from synthgain.api.making import generate
from synthgain.api.measuring import measure
from synthgain.api.reaching import Servers, Unpack, reaching
from synthgain.api.telling import Say
from synthgain.api.training import ArmTrainer, to_stderr
from synthgain.evaluate import Question, Solved, averaged, differences, load_questions
from synthgain.loop import BASE, Arm, Part, Result
from synthgain.models import Reach
from synthgain.store import Run, atomic_write, writing

WRITER = "local/qwen2.5-coder-1.5b"
SHORT = ("quellmarrow", "tavrin-oskelle", "ondrake-sifter", "keylending-night")
RECIPES: Mapping[
    str, Mapping[str, Any]
] = {  # a small writer mixes names up at T=1, and leaves the last kind of question
    "document-qa": {"kinds": ("plain", "names", "things", "doings", "joined")},
    "rephrase": {"chunk": 450, "max_tokens": 450, "temperature": 0.7},
    "entigraph": {"pairs": 4, "triples": 0, "max_tokens": 320, "temperature": 0.7},
}
LEFT_OUT = {"rephrase": ("truncated",), "entigraph": ("truncated",)}  # a text that was cut off is as true up to there
RATES = (4e-4, 2e-4, 8e-4)
SETTINGS: Mapping[str, Any] = {"tokens": 56_000, "batch": 1, "length": 128, "hold_out": 0.0, "train_embeddings": False}
REPEATED = "repeated"
OPEN = Arm("open-book", exam=OPEN_BOOK)

SAID = """\
What do synthetic texts add to reading {documents} invented documents again? {writing}. SmolLM2-135M then reads {tokens:,} tokens as each arm
has them, at learning rates {rates}, and answers {questions} questions closed book, one fact and two facts apart. Everything lies in {out};
stopped or killed, the same command goes on where it was."""

NOTE = (
    "Invented documents, one small student, one writer: this shows the machinery and the size of an effect on these documents, nothing "
    "about your model or your data. Every arm's figure is the mean over the learning rates; intervals are over questions, not over documents or students."
)
SHIPPED = " The documents' texts were written before (recorded calls); `--writer local` writes them anew."


@reaching
def demo_documents(
    out: str | Path = "runs/demo-documents",
    *,
    seed: int = 0,
    writer: str = "",
    documents: Sequence[str] = SHORT,
    recipes: Mapping[str, Mapping[str, Any]] = RECIPES,
    rates: Sequence[float] = RATES,
    settings: Mapping[str, Any] | None = None,
    student: str = DEFAULT_MODEL,
    reach: Reach | None = None,
    say: Say = to_stderr,
    panel: Panel = no_panel,
    **servers: Unpack[Servers],
) -> dict[str, Any]:
    """Documents taught by what recipes make of them, against raw repetition, at equal tokens and at several learning rates.

    `recipes` are names with their knobs; each is an arm, the documents mixed in. Without a `writer` recorded calls serve that ship with the
    package, and nothing is written anew; "local" is the embedded model that wrote them, anything else a known embedded model or a URI.
    `student` is trained at each of the `rates` with `settings` (`train.FineTune`'s), and examined closed book; untrained it is also examined
    with the document before each question, the ceiling. What the meter had said of each arm's texts stands beside.
    """
    place, shared = Path(out), {**SETTINGS, **(settings or {})}
    place.mkdir(parents=True, exist_ok=True)
    with writing(place):
        taken, asked = _laid_out(place, documents)
        told = {"documents": len(taken), "questions": len(asked), "tokens": shared["tokens"], "out": place}
        say(SAID.format(**told, writing=_how(writer), rates=", ".join(f"{rate:g}" for rate in rates)))
        runs = _written(place, recipes, writer, seed, reach, say, panel)
        arms = document_arms(runs)
        rows = write_rows(arms, None, place / "arms", seed=seed)
        before = Foretold.of(runs, list(taken.values()), asked)
        for name, learnt in rows.items():
            say(before.line(name, learnt.n))
        questions = load_questions(place / "questions.jsonl")
        study = _Study(place, tuple(arms), questions, tuple(rates), runs, writer_uri(writer), before)
        grid, done = Grid(tuple(arms), rows, tuple(rates), place / "students", student), Done()
        examine = ChoiceExaminer(questions, place / "answers", taken, say)
        result: dict[str, Any] = {}
        for made in grid.fill(done, ArmTrainer(student, seed, shared, say), examine, say):
            result = study.write(done)
            for line in compared_at_last(result, made.arm.name):
                say(line)
    report(place)
    return result


def _laid_out(place: Path, documents: Sequence[str]) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """The documents (texts by name) and the questions on them, written into the folder too."""
    from synthgain import examples

    taken = [one for one in examples.documents() if one["slug"] in documents]
    asked = [one for slug in documents for one in examples.document_questions(slug)]
    for name, lines in (("documents.jsonl", taken), ("questions.jsonl", asked)):
        atomic_write(place / name, "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in lines))
    return {one["slug"]: one["text"] for one in taken}, asked


def writer_uri(writer: str) -> str:
    """The model that wrote or writes: `WRITER` for "" and "local", else the URI, or the embedded model of that name."""
    if writer in ("", "local"):
        return WRITER
    return writer if "/" in writer else f"local/{writer}"


def _how(writer: str) -> str:
    uri = writer_uri(writer)
    return f"{uri} writes about them" if writer else f"What {uri} wrote about them is replayed from recorded calls"


def _written(
    place: Path,
    recipes: Mapping[str, Mapping[str, Any]],
    writer: str,
    seed: int,
    reach: Reach | None,
    say: Say,
    panel: Panel,
) -> dict[str, Run]:
    """What each recipe makes of the documents, measured."""
    from synthgain import examples

    runs = {}
    for recipe, knobs in recipes.items():
        say(f"{recipe}: {_how(writer)}")
        with panel() as watch:
            runs[recipe] = generate(
                recipe,
                str(place / "documents.jsonl"),
                out=place / "runs" / recipe,
                model=writer_uri(writer),
                knobs=knobs,
                without=LEFT_OUT.get(recipe, ()),
                text_field="text",
                seed=seed,
                reach=reach,
                watch=watch,
                calls=() if writer else examples.recorded_calls(recipe),
                calls_only=not writer,
            )
        measure(runs[recipe])
    return runs


def document_arms(runs: Mapping[str, Run]) -> list[Arm]:
    """Untrained, closed book and open; the documents again and again; the documents with each recipe's rows."""
    documents = Part(str(next(iter(runs.values())).path), take="anchors")
    recipes = [Arm(name, (documents, Part(str(run.path)))) for name, run in runs.items()]
    return [BASE, OPEN, Arm(REPEATED, (documents,)), *recipes]


@dataclass(frozen=True)
class _Study:
    """What is written of the arms that are done."""

    place: Path
    arms: tuple[Arm, ...]
    questions: Sequence[Question]
    rates: tuple[float, ...]
    runs: Mapping[str, Run]
    model: str
    before: Foretold

    def write(self, grid: Done) -> dict[str, Any]:
        """arms.json and loop.json of what is done so far; what arms.json holds."""
        done = grid.trained
        trained = [self._mean(done[arm.name]) for arm in self.arms if arm.name in done]
        results = [*grid.untrained.values(), *trained]
        pairs = [(r.arm.name, REPEATED) for r in trained if r.arm.name != REPEATED and REPEATED in done]
        told = write_arms(
            [self.place],
            results,
            pairs,
            reference=REPEATED,
            by_rate=self._by_rate(done),
            foretold=foretold_json(self.before, {r.arm.name: r.scored for r in trained}, REPEATED),
            note=NOTE + (SHIPPED if self._recorded() else ""),
        )
        rounds = [
            round_json(self.place, i, run.path, "arms.json", list(done.get(name, {}).values())[:1], label=name)
            for i, (name, run) in enumerate(self.runs.items())
        ]
        settings = {"model": self.model, "rates": list(self.rates)}
        write_loop(self.place, rounds, recipe=", ".join(self.runs), settings=settings, note=told["note"])
        return told

    def _recorded(self) -> bool:
        return any(run.record["counts"].get("calls_recorded") for run in self.runs.values())

    def _mean(self, students: Mapping[float, Result[Solved]]) -> Result[Solved]:
        """The arm's students as one; its folder and record are those of the first rate."""
        first = next(iter(students.values()))
        scored = averaged([one.scored for one in students.values()], self.questions, "learning rates")
        coverage = self.before.read.get(first.arm.name, ())
        return replace(first, scored=replace(scored, readings=(*scored.readings, *coverage)))

    def _by_rate(self, done: Mapping[str, Mapping[float, Result[Solved]]]) -> list[dict[str, Any]]:
        """Of each learning rate every arm's accuracy and margin, and what it has more than repetition."""
        return [
            {
                "learning_rate": rate,
                "arms": [
                    _of_student(arm.name, done[arm.name][rate], done.get(REPEATED, {}).get(rate))
                    for arm in self.arms
                    if rate in done.get(arm.name, {})
                ],
            }
            for rate in self.rates
            if any(rate in students for students in done.values())
        ]


def compared_at_last(told: Mapping[str, Any], arm: str) -> list[str]:
    """What `arm` has more than repetition at the rate that was trained last; nothing where there is no such comparison yet."""
    students = told["by_rate"][-1]["arms"] if told["by_rate"] else []
    less: list[dict[str, Any]] = next((one["less_reference"] for one in students if one["name"] == arm), [])
    return [
        f"    {arm} less {REPEATED}: {d['name'].removesuffix(' difference')} {d['value']:+.2f} [{d['low']:+.2f}, {d['high']:+.2f}]"
        for d in less
        if None not in (d["value"], d["low"], d["high"])
    ]


def _of_student(name: str, made: Result[Solved], repeated: Result[Solved] | None) -> dict[str, Any]:
    told = [made.scored.reading(one).json() for one in ("accuracy", "answer_margin")]
    less = differences(made.scored, repeated.scored) if repeated is not None and name != REPEATED else ()
    return {"name": name, "readings": told, "loss": last_loss(made), "less_reference": [r.json() for r in less]}

"""The demos: the main job on what ships."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from synthgain.anchors import load as load_anchors
from synthgain.api.asking import DEFAULT_MODEL
from synthgain.api.examining import ArmExaminer, Examination, Panel, no_panel
from synthgain.api.learning import write_rows
from synthgain.api.looking import report
from synthgain.api.looping import loop, round_json, write_arms, write_loop
from synthgain.api.making import generate
from synthgain.api.measuring import measure
from synthgain.api.reaching import Servers, Unpack, reaching
from synthgain.api.training import ArmTrainer, Say, to_stderr
from synthgain.evaluate import Solved, load_questions
from synthgain.intervals import wilson
from synthgain.loop import BASE, Arm, Part, Result, compared
from synthgain.models import Reach
from synthgain.store import Run, atomic_write, writing
from synthgain.types import Reading, assistant, user

NOTE = (
    "One small model, one family of invented word problems of one step, one seed: this shows the machinery and the size of an effect "
    "on a toy, nothing about your model or your data."
)


FAMILIES = (
    "gaining",
    "giving",
    "joining",
    "comparing",
    "sharing",
    "paying",
)  # at boxes the base is right too often to learn much

DEMO = """\
The main job: SmolLM2-135M answers {problems} arithmetic word problems {draws} times each (two worked examples in the prompt). A rule keeps
the answers whose final number is right. The same model is then trained on them, without the examples, and compared on {tests} other
problems with itself untrained and with itself trained on as many answers that nobody checked. Everything lies in {out}; stopped or
killed, the same command goes on where it was."""


def demo(
    out: str | Path = "runs/demo",
    *,
    rounds: int = 1,
    seed: int = 0,
    problems: int = 120,
    tests: int = 48,
    draws: int = 3,
    steps: int = 16,
    say: Say = to_stderr,
    panel: Panel = no_panel,
) -> dict[str, Any]:
    """The main job on the embedded model and the problems we ship: a model that teaches itself.

    `problems` are answered `draws` times each; trained arms take `steps` optimiser steps of eight rows; `tests`
    other problems are answered once each by every arm.
    """
    from synthgain import examples

    place = Path(out)
    place.mkdir(parents=True, exist_ok=True)
    for name, n, split in (("problems.jsonl", problems, "train"), ("questions.jsonl", tests, "test")):
        made = examples.problems(n, level=1, seed=seed, split=split, families=FAMILIES)  # type: ignore[arg-type]
        atomic_write(place / name, "".join(json.dumps(p, ensure_ascii=False) + "\n" for p in made))
    shots = tuple((shot["question"], shot["worked"]) for shot in examples.SHOTS)
    turns = tuple(turn for question, worked in shots for turn in (user(question), assistant(worked)))
    say(DEMO.format(problems=problems, draws=draws, tests=tests, out=place))
    return loop(
        "rft",
        place / "problems.jsonl",
        out=place,
        on=place / "questions.jsonl",
        rounds=rounds,
        seed=seed,
        knobs={"k": draws, "shots": shots, "max_tokens": 48, "gold": False},
        without=("equations", "distinct-equations"),
        text_field="question",
        examination=Examination(draws=1, max_tokens=48, shots=turns),
        settings={"max_steps": steps, "adapter": "lora", "learning_rate": 2e-3, "batch": 8, "length": 160},
        say=say,
        panel=panel,
        note=NOTE,
    )


# ---------------------------------------------------------------------------------------------- documents

DOCUMENT_NOTE = (
    "The embedded writer has 135 million parameters and often leaves the document it should restate. Give a stronger one with "
    "`-m openai/NAME --base-url URL`: the same documents, questions and arms."
)


@reaching
def demo_documents(
    out: str | Path = "runs/demo-documents",
    *,
    seed: int = 0,
    model: str = DEFAULT_MODEL,
    pairs: int = 6,
    tokens: int = 18_000,
    reach: Reach | None = None,
    say: Say = to_stderr,
    panel: Panel = no_panel,
    **servers: Unpack[Servers],
) -> dict[str, Any]:
    """Eight invented documents taught by `rephrase` and `entigraph` against raw repetition, at equal tokens and steps.

    Closed-book questions with four options each. Before any training it says how many of the questions' right
    answers stand in what an arm will read (`answer_coverage`).
    """
    from synthgain import examples

    place = Path(out)
    place.mkdir(parents=True, exist_ok=True)
    with writing(place):
        examples.write_documents(place / "documents.jsonl")
        asked = examples.document_questions()
        atomic_write(place / "questions.jsonl", "".join(json.dumps(q, ensure_ascii=False) + "\n" for q in asked))
        runs = _written(place, model, pairs, seed, reach, say, panel)
        said = _coverages(place / "documents.jsonl", runs, asked)
        arms = document_arms(runs)
        rows = write_rows(arms, None, place / "arms", seed=seed)
        for name, reading in said.items():
            say(f"{name}: {rows[name].n} texts; {reading.value:.0%} of the right answers stand in them")
        settings = {"tokens": tokens, "batch": 1, "length": 256, "learning_rate": 2e-4}
        train = ArmTrainer(DEFAULT_MODEL, seed, settings, say)
        examine = ArmExaminer(
            load_questions(place / "questions.jsonl"), Examination(), place / "answers", None, reach, say, panel
        )
        results: list[Result[Solved]] = []
        for made in compared(arms, rows, train=train, examine=examine, out=place / "students", base=DEFAULT_MODEL):
            coverage = [said[made.arm.name]] if made.arm.name in said else []
            scored = replace(made.scored, readings=(*made.scored.readings, *coverage))
            results.append(replace(made, scored=scored))
            result = _write_comparison(place, results, runs, model)
    report(place)
    return result


def _written(
    place: Path, model: str, pairs: int, seed: int, reach: Reach | None, say: Say, panel: Panel
) -> dict[str, Run]:
    """What each recipe makes of the documents."""
    runs = {}
    for recipe, knobs in (("rephrase", {}), ("entigraph", {"pairs": pairs, "triples": 0})):
        say(f"{recipe} with {model}")
        with panel() as watch:
            runs[recipe] = generate(
                recipe,
                str(place / "documents.jsonl"),
                out=place / "runs" / recipe,
                model=model,
                knobs={"max_tokens": 256, **knobs},
                without=("truncated",),  # a weak writer seldom ends by itself: three of four answers would fall
                text_field="text",
                seed=seed,
                reach=reach,
                watch=watch,
            )
        measure(runs[recipe])
    return runs


def document_arms(runs: Mapping[str, Run]) -> list[Arm]:
    """Untrained; the documents again and again; the documents with each recipe's rows."""
    documents = Part(str(next(iter(runs.values())).path), take="anchors")
    recipes = [Arm(name, (documents, Part(str(run.path)))) for name, run in runs.items()]
    return [BASE, Arm("repeated", (documents,)), *recipes]


def _write_comparison(
    place: Path, results: Sequence[Result[Solved]], runs: Mapping[str, Run], model: str
) -> dict[str, Any]:
    """arms.json and loop.json of what is done so far."""
    names = [result.arm.name for result in results]
    pairs = [(name, "repeated") for name in names if name != "repeated" and "repeated" in names]
    told = write_arms([place], results, pairs, note=DOCUMENT_NOTE)
    done = [
        round_json(place, i, run.path, "arms.json", results, label=name)
        for i, (name, run) in enumerate(runs.items())
        if name in names
    ]
    write_loop(place, done, recipe=", ".join(runs), settings={"model": model}, note=DOCUMENT_NOTE)
    return told


def _coverages(documents: Path, runs: Mapping[str, Run], questions: Sequence[Mapping[str, Any]]) -> dict[str, Reading]:
    """Of each trained arm: what it reads besides the documents; of the one that repeats them, the documents."""
    texts = [a.text for a in load_anchors(str(documents), text_field="text")]
    written = {
        name: [text for shard in run.kept(["text"]) for text in shard.column("text").to_pylist()]
        for name, run in runs.items()
    }
    return {name: coverage(read, questions) for name, read in {"repeated": texts, **written}.items()}


def coverage(texts: Sequence[str], questions: Sequence[Mapping[str, Any]]) -> Reading:
    """Share of questions whose right option stands, word for word, in the texts.

    Exact, and no more than a hint: a fact may be there in other words, and the right words may stand in a wrong sentence.
    """
    whole = "\n".join(texts).lower()
    found = sum(str(q["options"][q["gold"]]).lower() in whole for q in questions)
    low, high = wilson(found, len(questions))
    return Reading(
        "answer_coverage",
        found / len(questions),
        low,
        high,
        unit="prob",
        n=len(questions),
        estimator="right option found verbatim; Wilson",
        kind="exact",
    )

"""The documents' demo: what synthetic texts add to reading eight documents again."""

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
from synthgain.api.looping import round_json, write_arms, write_loop
from synthgain.api.making import generate
from synthgain.api.measuring import measure
from synthgain.api.reaching import Servers, Unpack, reaching
from synthgain.api.training import ArmTrainer, Say, to_stderr
from synthgain.evaluate import Solved, load_questions
from synthgain.intervals import wilson
from synthgain.loop import BASE, Arm, Part, Result, compared
from synthgain.models import Reach
from synthgain.store import Run, atomic_write, writing
from synthgain.types import Reading

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

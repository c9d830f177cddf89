"""The demos: the main job on what ships."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthgain.anchors import load as load_anchors
from synthgain.api.looking import report
from synthgain.api.making import DEFAULT_MODEL, generate
from synthgain.api.measuring import measure
from synthgain.api.teaching import Examination, Panel, Say, loop, no_panel, steps_said, to_stderr, train
from synthgain.evaluate import choose, difference, load_questions
from synthgain.intervals import wilson
from synthgain.loop import line_of
from synthgain.models import Reach, open_scorer
from synthgain.store import atomic_write
from synthgain.store.run import writing
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
    out: str | Path = "runs/demo", *, rounds: int = 1, seed: int = 0, problems: int = 120, tests: int = 48, draws: int = 3, steps: int = 16,
    say: Say = to_stderr, panel: Panel = no_panel,
) -> dict[str, Any]:  # fmt: skip
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
        "rft", place / "problems.jsonl", out=place, on=place / "questions.jsonl", rounds=rounds, seed=seed,
        knobs={"k": draws, "shots": shots, "max_tokens": 48, "gold": False}, without=("equations", "distinct-equations"), text_field="question",
        examination=Examination(draws=1, shots=turns), settings={"max_steps": steps, "adapter": "lora", "learning_rate": 2e-3, "batch": 8, "length": 160},
        say=say, panel=panel, note=NOTE,
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------- documents

DOCUMENT_NOTE = (
    "The embedded writer has 135 million parameters and often leaves the document it should restate. Give a stronger one with "
    "`-m openai/NAME --base-url URL`: the same documents, questions and arms."
)


@dataclass(frozen=True)
class Lesson:
    """What one arm is trained on."""

    name: str
    texts: tuple[str, ...]
    run: Path | None = None


def demo_documents(out: str | Path = "runs/demo-documents", *, seed: int = 0, model: str = DEFAULT_MODEL, pairs: int = 6, tokens: int = 18_000,
                   reach: Reach | None = None, say: Say = to_stderr, panel: Panel = no_panel) -> dict[str, Any]:  # fmt: skip
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
        questions = load_questions(place / "questions.jsonl")
        base = choose(open_scorer(DEFAULT_MODEL), questions)
        say(line_of("base", base))
        arms: dict[str, Any] = {"base": (None, base, None)}
        for lesson in _lessons(place, model, pairs, seed, reach, say, panel):
            said = coverage(lesson, asked)
            say(f"{lesson.name}: {len(lesson.texts)} texts; {said.value:.0%} of the right answers stand in them")
            rows = place / "lessons" / f"{lesson.name}.jsonl"
            atomic_write(rows, "".join(json.dumps({"text": t}, ensure_ascii=False) + "\n" for t in lesson.texts))
            student = train(
                rows, out=place / "students" / lesson.name, method="cpt", tokens=tokens, batch=1, length=256, learning_rate=2e-4,
                seed=seed, watch=steps_said(say),
            )  # fmt: skip
            solved = choose(open_scorer(student), questions)
            say(line_of(lesson.name, solved))
            arms[lesson.name] = (student, solved, said)
            result = _written(place, arms, model)
    report(place)
    return result


def _lessons(
    place: Path, model: str, pairs: int, seed: int, reach: Reach | None, say: Say, panel: Panel
) -> Iterator[Lesson]:
    """The arms in turn: the documents again and again; the documents with each recipe's rows."""
    documents = tuple(a.text for a in load_anchors(str(place / "documents.jsonl"), text_field="text"))
    yield Lesson("repeated", documents)
    for recipe, knobs in (
        ("rephrase", {"max_tokens": 256}),
        ("entigraph", {"pairs": pairs, "triples": 0, "max_tokens": 256}),
    ):
        say(f"{recipe} with {model}")
        with panel() as watch:
            run = generate(
                recipe,
                str(place / "documents.jsonl"),
                out=place / "runs" / recipe,
                model=model,
                knobs=knobs,
                without=("truncated",),  # a weak writer seldom ends by itself: three of four answers would fall
                text_field="text",
                seed=seed,
                reach=reach,
                watch=watch,
            )
        measure(run)
        rows = [text for shard in run.kept(["text"]) for text in shard.column("text").to_pylist()]
        yield Lesson(recipe, (*documents, *rows), run.path)


def coverage(lesson: Lesson, questions: Sequence[Mapping[str, Any]]) -> Reading:
    """Share of questions whose right option stands, word for word, in what an arm reads besides the documents.

    For the arm that repeats the documents: in the documents. Exact, and no more than a hint: a fact may be
    there in other words, and the right words may stand in a wrong sentence.
    """
    raw = len({q["document"] for q in questions})
    texts = lesson.texts[raw:] or lesson.texts
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


def _written(place: Path, arms: Mapping[str, Any], model: str) -> dict[str, Any]:
    told = []
    for name, (student, solved, said) in arms.items():
        record = json.loads((student / "student.json").read_text("utf-8")) if student else {}
        readings = [*solved.readings, *([said] if said else [])]
        told.append(
            {
                "name": name, "rows": record.get("rows", 0), "tokens": record.get("tokens_seen", 0), "steps": record.get("steps", 0),
                "seeds": [record["seed"]] if record else [], "readings": [r.json() for r in readings],
            }
        )  # fmt: skip
    others = [name for name in arms if name != "repeated" and "repeated" in arms]
    differences = [
        {"a": name, "b": "repeated", **difference(arms[name][1], arms["repeated"][1]).json()} for name in others
    ]
    result = {"arms": told, "differences": differences, "note": DOCUMENT_NOTE}
    atomic_write(place / "arms.json", json.dumps(result, indent=2) + "\n")
    rounds = [
        {"round": i, "label": name, "run": f"runs/{name}", "arms": "arms.json", "students": {n: f"students/{n}" for n, (s, _, _) in arms.items() if s}}
        for i, name in enumerate(n for n in ("rephrase", "entigraph") if n in arms)
    ]  # fmt: skip
    atomic_write(
        place / "loop.json",
        json.dumps(
            {
                "recipe": "rephrase, entigraph",
                "rounds": rounds,
                "settings": {"model": model},
                "note": DOCUMENT_NOTE,
            },
            indent=2,
        )
        + "\n",
    )
    return result

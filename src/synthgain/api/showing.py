"""The first demo: a small model teaches itself, on problems that ship, and a stronger one teaches it where it is asked to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from synthgain.api.asking import DEFAULT_MODEL
from synthgain.api.examining import Examination, Panel, no_panel
from synthgain.api.looping import RunMaker, loop
from synthgain.api.making import generate
from synthgain.api.showing_documents import writer_uri
from synthgain.api.telling import Say
from synthgain.api.training import to_stderr
from synthgain.loop import Arm, Part
from synthgain.models import Reach
from synthgain.store import Run, atomic_write
from synthgain.types import SynthgainError, assistant, user

NOTE = (
    "One small model, one kind of invented word problems of one step, one seed of problems and answers: this shows the machinery and the size of an effect "
    "on a toy, nothing about your model or your data."
)

FAMILIES = (
    "gaining",
    "joining",
    "paying",
    "boxes",
)  # of the others a model of this size gets the arithmetic wrong: decisions/
WITHOUT = ("equations", "distinct-equations")
TRAINING: Mapping[str, Any] = {"max_steps": 16, "adapter": "lora", "learning_rate": 2e-3, "batch": 8, "length": 160}
WRITER_DRAWS = 2  # answers that a stronger writer gives to each problem: most are right
TRIED = 8  # problems on which its speed is measured
WIDE = 16  # of its answers under way at once

DEMO = """\
The main job: SmolLM2-135M answers {problems} arithmetic word problems {draws} times each (two worked examples in the prompt). A rule keeps
the answers whose final number is right. The same model is then trained on them, without the examples, and compared on {tests} other
problems with itself untrained and with itself trained on as many answers that nobody checked; each is the mean of {students} students.
Everything lies in {out}; stopped or killed, the same command goes on where it was."""

DISTILLED = """\
Beside it {writer} answers the same problems {draws} times each, and the same small model is trained on as many of its right answers
(the arm `distilled`): what a stronger teacher is worth, against teaching oneself."""


def demo(
    out: str | Path = "runs/demo",
    *,
    rounds: int = 1,
    seed: int = 0,
    model: str = DEFAULT_MODEL,
    base: str | None = None,
    writer: str = "",
    problems: int = 100,
    tests: int = 120,
    draws: int = 3,
    students: int = 2,
    settings: Mapping[str, Any] | None = None,
    reach: Reach | None = None,
    say: Say = to_stderr,
    panel: Panel = no_panel,
) -> dict[str, Any]:
    """The main job on the embedded model and the problems we ship: a model that teaches itself.

    `problems` are answered `draws` times each; `tests` other problems are answered once by the model itself and by each of `students`
    students of every trained arm. `settings` are `train.FineTune`'s, over the demo's own. With a `writer` (a URI, or the name of an embedded
    model) there is an arm `distilled`: as many right answers of that model to the same problems; the student stays the same.
    `model` may be another that teaches itself, `base` what its students start from where that cannot be trained itself.
    """
    if writer and rounds > 1:
        raise SynthgainError(
            "a stronger writer is compared in one round", where="--writer", next="leave --writer or --rounds out"
        )
    place = Path(out)
    place.mkdir(parents=True, exist_ok=True)
    shots = _written_problems(place, problems, tests, seed)
    exam = Examination(
        draws=1, max_tokens=48, shots=tuple(turn for q, worked in shots for turn in (user(q), assistant(worked)))
    )
    options: dict[str, Any] = {
        "knobs": {"k": draws, "shots": shots, "max_tokens": 48, "gold": False},
        "without": WITHOUT,
    }
    options |= {"text_field": "question", "seed": seed, "reach": reach}
    say(DEMO.format(problems=problems, draws=draws, tests=tests, students=students, out=place))
    own = RunMaker("rft", place / "problems.jsonl", model, options, say, panel)
    arms = _taught(place, writer, own) if writer else ["unfiltered", "filtered"]
    return loop(
        "rft",
        place / "problems.jsonl",
        out=place,
        on=place / "questions.jsonl",
        rounds=rounds,
        model=model,
        base=base,
        arms=arms,
        examination=exam,
        settings={**TRAINING, **(settings or {})},
        students=students,
        say=say,
        panel=panel,
        note=NOTE,
        **options,
    )


def _written_problems(place: Path, problems: int, tests: int, seed: int) -> tuple[tuple[str, str], ...]:
    """Problems and questions on disk; the worked examples."""
    from synthgain import examples

    for name, n, split in (("problems.jsonl", problems, "train"), ("questions.jsonl", tests, "test")):
        made = examples.problems(n, level=1, seed=seed, split=split, families=FAMILIES)  # type: ignore[arg-type]
        atomic_write(place / name, "".join(json.dumps(p, ensure_ascii=False) + "\n" for p in made))
    return tuple((shot["question"], shot["worked"]) for shot in examples.SHOTS)


# ---------------------------------------------------------------------------------------------- a stronger writer


def _taught(place: Path, writer: str, own: RunMaker) -> list[str | Arm]:
    """The arms with `distilled`, all with the same number of rows. Both runs are made here: only then is it known how many rows there are.

    `own` makes the run of the model that teaches itself; the loop finds it made.
    """
    asked = {
        **own.options,
        "knobs": {**own.options["knobs"], "k": WRITER_DRAWS},
        "reach": _as_wide(own.options["reach"]),
        "replace": True,  # the first answers are those of a smaller request
    }
    write = replace(own, model=writer_uri(writer), options=asked)
    theirs, say = place / "writer", own.say
    say(DISTILLED.format(writer=write.model, draws=WRITER_DRAWS))
    if not Run.is_at(theirs):
        say(_time_of(write, theirs))
    runs = [Run.at(write(0, None, theirs)), Run.at(own(0, None, place / "round-0" / "run"))]
    rows = min(run.record["counts"]["kept"] for run in runs)
    if not rows:
        raise SynthgainError(
            "one of the two writers has nothing right: there is nothing to compare",
            where=str(place),
            next=f"look at its answers: synthgain show {theirs}",
        )
    say(f"  {rows} rows an arm")
    return [
        Arm("unfiltered", (Part(take="candidates", rows=rows),)),
        Arm("filtered", (Part(rows=rows),)),
        Arm("distilled", (Part(str(theirs), rows=rows),)),
    ]


def _as_wide(reach: Reach | None) -> Reach:
    """A model of over a billion parameters reads its weights once for all answers under way: more at once is faster, on two cores too."""
    reach = reach or Reach()
    return reach if reach.concurrency else replace(reach, concurrency=WIDE)


def _time_of(write: RunMaker, out: Path) -> str:
    """What the writer's answers will take, by its first ones (which stay and serve)."""
    few = generate(write.recipe, write.anchors, out=out, model=write.model, limit=TRIED, **write.options).record
    counts, seconds = few["counts"], few["seconds"]
    minutes = seconds / 60 * (counts["anchors"] / max(counts["groups"], 1) - 1)
    return f"  {counts['rows']} answers took it {seconds:.0f} s: about {minutes:.0f} minutes for the others"

"""The demo: the main job on what ships."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from synthgain.api.examining import Examination, Panel, no_panel
from synthgain.api.looping import loop
from synthgain.api.training import Say, to_stderr
from synthgain.store import atomic_write
from synthgain.types import assistant, user

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

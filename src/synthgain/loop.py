"""Rounds: θ_{t+1} = Train(·, Generate(θ_t, Filter)), each against matched arms.

The loop receives its verbs; it knows their order, which arms are compared, and where a folder of
rounds keeps them. Every verb is its own resume: generating looks calls up, training returns a student
that stands, evaluating looks answers up. So a loop killed in any stage goes on by running again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from synthgain.types import Reading


class Scored(Protocol):
    """What an evaluation gives: readings, and what paired differences need."""

    @property
    def readings(self) -> Sequence[Reading]: ...


@dataclass(frozen=True)
class Rows:
    """Training rows on disk for one arm."""

    path: Path
    n: int


@dataclass(frozen=True)
class Verbs:
    """What a loop does, given by who puts the rooms together."""

    generate: Callable[[int, str, Path], Path]  # round, writer's URI, folder → run folder
    arms: Callable[[Path, Path], Mapping[str, Rows]]  # run, folder → rows of each trained arm, equally many
    train: Callable[[Rows, Path, str], Path]  # rows, folder, base's URI → student folder
    usable: Callable[[Path], str]  # student folder → URI of the model that generates with it
    evaluate: Callable[[str, bool, Path], Scored]  # URI, with the few-shot prompt?, folder of answers → readings
    difference: Callable[[Any, Any], Reading]  # a, b → a - b, paired
    say: Callable[[str], None]
    save: Callable[[Path, str], None]  # file, text: whole or not at all


@dataclass(frozen=True)
class Plan:
    """How many rounds, from which model, what is trained: the base again (as STaR and RFT), or the last student."""

    rounds: int
    model: str
    best: str = "filtered"  # the arm that writes the next round
    train_from: Literal["base", "previous"] = "base"
    settings: Mapping[str, Any] | None = None
    note: str = ""


def run_loop(plan: Plan, verbs: Verbs, out: Path) -> dict[str, Any]:
    """All rounds into `out`. Returns what `arms.json` of the last round holds."""
    untrained: dict[str, Scored] = {}
    writer = base = plan.model
    rounds: list[dict[str, Any]] = []
    last: dict[str, Any] = {}
    for number in range(plan.rounds):
        here = out / f"round-{number}"
        run = verbs.generate(number, writer, here / "run")
        rows = verbs.arms(run, here / "arms")
        if not untrained:
            untrained = {
                "base": verbs.evaluate(plan.model, False, out / "answers"),
                "base-few-shot": verbs.evaluate(plan.model, True, out / "answers"),
            }
            for arm, solved in untrained.items():
                verbs.say(line_of(arm, solved))
        students = {arm: verbs.train(rows[arm], here / "students" / arm, base) for arm in rows}
        uris = {arm: verbs.usable(student) for arm, student in students.items()}
        scored = {**untrained, **{arm: verbs.evaluate(uri, False, out / "answers") for arm, uri in uris.items()}}
        for arm in students:
            verbs.say(line_of(arm, scored[arm]))
        last = _arms(scored, rows, students, plan.best, verbs.difference)
        text = json.dumps(last, indent=2) + "\n"
        verbs.save(here / "arms.json", text)
        verbs.save(out / "arms.json", text)
        relative = {arm: str(student.relative_to(out)) for arm, student in students.items()}
        rounds.append(
            {
                "round": number,
                "run": str(run.relative_to(out)),
                "arms": f"round-{number}/arms.json",
                "students": relative,
            }
        )
        record = {"rounds": rounds, "asked": plan.rounds, "settings": dict(plan.settings or {}), "note": plan.note}
        verbs.save(out / "loop.json", json.dumps(record, indent=2) + "\n")
        writer = uris[plan.best]
        base = f"hf/{students[plan.best]}" if plan.train_from == "previous" else plan.model
    return last


def _arms(
    scored: Mapping[str, Scored],
    rows: Mapping[str, Rows],
    students: Mapping[str, Path],
    best: str,
    difference: Callable[[Any, Any], Reading],
) -> dict[str, Any]:
    arms = []
    for name, solved in scored.items():
        student = json.loads((students[name] / "student.json").read_text("utf-8")) if name in students else {}
        arms.append(
            {
                "name": name, "rows": student.get("rows", rows[name].n if name in rows else 0), "tokens": student.get("tokens_seen", 0),
                "steps": student.get("steps", 0), "seeds": [student["seed"]] if student else [],
                "readings": [*(r.json() for r in solved.readings), *_after(students.get(name))],
            }
        )  # fmt: skip
    others = [name for name in scored if name != best]
    return {
        "arms": arms,
        "differences": [{"a": best, "b": name, **difference(scored[best], scored[name]).json()} for name in others],
    }


def _after(student: Path | None) -> list[dict[str, Any]]:
    """The readings after training that lie beside a student."""
    file = None if student is None else student / "readings.json"
    found = json.loads(file.read_text("utf-8"))["readings"] if file is not None and file.is_file() else []
    return [r for r in found if r["value"] is not None]


def line_of(name: str, solved: Scored) -> str:
    """An arm's accuracy in one line."""
    accuracy = next((r for r in solved.readings if r.name == "accuracy"), None)
    if accuracy is None or accuracy.value is None:
        return f"  {name:<14} not measured"
    return f"  {name:<14} {accuracy.value:.2f} [{accuracy.low or 0:.2f}, {accuracy.high or 0:.2f}]"

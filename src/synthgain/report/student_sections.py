"""What was measured after training: for the students of a loop side by side, and for one student's folder."""

from __future__ import annotations

from pathlib import Path

from synthgain.report.groups import GROUPS
from synthgain.report.loop_sections import curves_of, readings_of, series, student_table
from synthgain.report.markup import Safe, el, join
from synthgain.report.read import Json, readings_at
from synthgain.report.read_loop import LoopPart
from synthgain.report.readings_table import diagnosis, legend, not_measured
from synthgain.report.run_sections import absent, section
from synthgain.report.side_by_side import side_by_side
from synthgain.types import Reading

AFTER = next(group.names for group in GROUPS if group.slug == "after")
ELSEWHERE = frozenset(
    {"accuracy", "answer_margin", "pass_at_k", "parsable", "cut_off", "answer_coverage"}
)  # drawn among the arms
LEAD = "Held-out loss does not see whether answers are right, and memory of rows proves no gain: read these figures beside the arms' accuracy."


def after_training(loop: LoopPart) -> tuple[str, str, Safe] | None:
    """The section of a loop, where its students' folders, its arms or its own readings.json hold such figures."""
    many = len(loop.rounds) > 1
    named: dict[str, dict[str, Reading]] = {}
    for r in loop.rounds:
        arms = {str(arm["name"]): readings_of(arm) for arm in r.arms}
        for name in series([*r.after, *arms]):
            told = {x.name: x for x in r.after.get(name, ())} | _of_training(arms.get(name, {}))
            if told:
                named[f"{name}, round {r.number}" if many else name] = told
    if own := {x.name: x for x in loop.readings}:
        named["the whole loop"] = own
    if not named:
        return None
    body = join(el("p", LEAD, class_="lede"), side_by_side(list(named.items())))
    return "after", "After", section("after", "After training", body)


def _of_training(readings: dict[str, Reading]) -> dict[str, Reading]:
    return {name: r for name, r in readings.items() if name in AFTER and name not in ELSEWHERE}


def student_sections(path: Path, record: Json) -> list[tuple[str, str, Safe]]:
    """The sections of one student's folder."""
    readings, why = readings_at(path / "readings.json")
    told = [r for r in readings if r.value is not None]
    measured = join(
        el("p", LEAD, class_="lede"),
        diagnosis(told),
        legend(told),
        not_measured([r for r in readings if r.value is None]),
    )
    after = measured if readings else absent(why, "Figures appear here when the student has been measured.")
    training = join(curves_of([("training", 0, record, 1.0)]), student_table([("this student", record)]))
    return [
        ("after", "After", section("after", "After training", after)),
        ("training", "Training", section("training", "Training", training)),
    ]

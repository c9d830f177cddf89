"""What a page needs of a folder of rounds: its runs, arms and students. A part that is missing is said to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from synthgain.numbers import number
from synthgain.report.read import Json, RunPart, json_at, listed, mapping, reading, readings_at, run_part
from synthgain.types import Reading


@dataclass(frozen=True)
class RoundPart:
    """One round of a loop: its run, arms and students."""

    number: int
    run: RunPart | None
    arms: Sequence[Json]
    students: Mapping[str, Json]
    missing: Mapping[str, str]
    after: Mapping[str, Sequence[Reading]] = field(default_factory=dict)  # by student: what was measured after training
    told: Json = field(default_factory=dict)  # what loop.json says of the round: who wrote it, its ledger
    differences: Sequence[Json] = ()  # of its arms, as `LoopPart` has them

    @property
    def ledger(self) -> Mapping[str, Reading]:
        """The ledger's readings by name; none where loop.json has no ledger."""
        found = [reading(r) for r in listed(mapping(self.told.get("ledger")).get("readings"))]
        return {r.name: r for r in found if r is not None}


@dataclass(frozen=True)
class LoopPart:
    """A demo's or a loop's folder."""

    path: Path
    record: Json
    rounds: Sequence[RoundPart]
    arms: Sequence[Json]
    differences: Sequence[Json]  # paired, as arms.json has them: {"a", "b", and a reading of a - b}
    missing: Mapping[str, str]
    readings: Sequence[Reading] = ()  # the folder's own
    by_rate: Sequence[
        Json
    ] = ()  # {"learning_rate", "arms": [{"name", "readings", "less_reference"}]}, where arms were trained at several
    reference: str = ""  # the arm that the others are set against there
    foretold: Json = field(
        default_factory=dict
    )  # {"arms": [{"name", "before", "learned"}], "said"}, where arms.json has it

    @property
    def last_run(self) -> Json:
        """The last round's run.json."""
        return next((r.run.record for r in reversed(self.rounds) if r.run is not None), {})

    @property
    def reported(self) -> RoundPart | None:
        """The round whose arms are the folder's: that of the best student where one was chosen, else the last that has a run."""
        there = [r for r in self.rounds if r.run is not None]
        best = number(self.record.get("best_round"))
        return next((r for r in there if r.number == best), there[-1] if there else None)

    @property
    def looks(self) -> Mapping[int, Json]:
        """By round: how its student compared with the best so far, where anything was decided."""
        found = [mapping(look) for look in listed(mapping(self.record.get("decided")).get("looks"))]
        return {int(n): look for look in found if (n := number(look.get("round"))) is not None}


def loop_part(path: Path) -> LoopPart:
    """A demo's or a loop's folder; every part may be missing."""
    record, why = json_at(path / "loop.json")
    asked = [mapping(r) for r in listed(record.get("rounds"))]
    rounds = [_round(path, i, given, max(300, 1_500 // max(1, len(asked)))) for i, given in enumerate(asked)]
    arms, no_arms = arms_at(path / "arms.json")
    if not arms and rounds and rounds[-1].arms:
        arms, no_arms = list(rounds[-1].arms), ""
    told, _ = json_at(path / "arms.json")
    differences = differences_in(told)
    missing = {"loop": why or ("" if rounds else "loop.json names no rounds"), "arms": no_arms}
    readings, _ = readings_at(path / "readings.json")
    return LoopPart(
        path,
        record,
        rounds,
        arms,
        differences,
        {name: why for name, why in missing.items() if why},
        readings,
        [mapping(one) for one in listed(told.get("by_rate"))],
        str(told.get("reference") or ""),
        mapping(told.get("foretold")),
    )


def arms_at(file: Path) -> tuple[list[Json], str]:
    """The arms in a file, and why there are none."""
    record, why = json_at(file)
    arms = [mapping(arm) for arm in listed(record.get("arms")) if mapping(arm).get("name")]
    return arms, why or ("" if arms else f"{file.name} holds no arms")


def differences_in(told: Json) -> list[Json]:
    """The paired differences of what an arms.json holds."""
    return [mapping(d) for d in listed(told.get("differences"))]


def _round(path: Path, place: int, given: Json, points: int) -> RoundPart:
    missing: dict[str, str] = {}
    run: RunPart | None = None
    where, missing["run"] = _inside(path, given.get("run"), "run")
    if where is not None:
        run = run_part(where, points)
    arms: list[Json] = []
    differences: list[Json] = []
    where, missing["arms"] = _inside(path, given.get("arms"), "arms.json")
    if where is not None:
        arms, missing["arms"] = arms_at(where)
        differences = differences_in(json_at(where)[0])
    students: dict[str, Json] = {}
    after: dict[str, Sequence[Reading]] = {}
    for name, relative in mapping(given.get("students")).items():
        where, why = _inside(path, relative, "student")
        if where is not None:
            students[str(name)], why = json_at(where / "student.json")
            after[str(name)], _ = readings_at(where / "readings.json")
        if why:
            students.pop(str(name), None)
            missing[f"student {name}"] = why
    number_ = number(given.get("round"))
    told = {name: readings for name, readings in after.items() if readings}
    gone = {k: v for k, v in missing.items() if v}
    return RoundPart(place if number_ is None else int(number_), run, arms, students, gone, told, given, differences)


def _inside(path: Path, relative: object, what: str) -> tuple[Path | None, str]:
    """The path that loop.json names, where it lies inside the folder and is there."""
    if not isinstance(relative, str) or not relative or "\0" in relative:
        return None, f"loop.json names no {what} for this round"
    where = (path / relative).resolve()
    if not where.is_relative_to(path.resolve()):
        return None, f"loop.json points outside its folder ({relative}); it is not read"
    return (where, "") if where.exists() else (None, f"there is no {relative}")

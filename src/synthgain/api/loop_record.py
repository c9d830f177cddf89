"""What a loop writes down: arms.json of each round and of the one that is reported, and loop.json, from which everything else starts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synthgain.api.one_shot import OneShot, steps_behind
from synthgain.api.round_ledger import ledgers
from synthgain.api.stopping import Decision, chosen
from synthgain.evaluate import Solved, differences
from synthgain.loop import Result, Round, arms_json
from synthgain.store import atomic_write


def write_arms(
    folders: Sequence[Path], results: Sequence[Result[Solved]], pairs: Sequence[tuple[str, str]], **more: Any
) -> dict[str, Any]:
    """arms.json in each of the folders, with the differences a - b of `pairs`; what it holds."""
    told = {**arms_json(results, pairs, differences), **more}
    for folder in folders:
        atomic_write(folder / "arms.json", json.dumps(told, ensure_ascii=False, indent=2) + "\n")
    return told


def round_json(
    place: Path, number: int, run: Path, arms: str, results: Sequence[Result[Solved]], **more: Any
) -> dict[str, Any]:
    """One of loop.json's rounds: where its run, its arms and its students lie in `place`."""
    students = {r.arm.name: r.student.folder.relative_to(place).as_posix() for r in results if r.student}
    return {"round": number, "run": run.relative_to(place).as_posix(), "arms": arms, "students": students, **more}


def write_loop(place: Path, rounds: Sequence[Mapping[str, Any]], **more: Any) -> None:
    """loop.json, from which the report of a folder of rounds starts."""
    atomic_write(place / "loop.json", json.dumps({"rounds": list(rounds), **more}, ensure_ascii=False, indent=2) + "\n")


# ---------------------------------------------------------------------------------------------- a loop under way


@dataclass
class LoopRecord:
    """A loop's folder as it grows. `arm` is the one whose student writes; `told` goes into loop.json as it is."""

    place: Path
    arm: str
    train_from: str
    decision: Decision | None
    told: Mapping[str, Any]
    rounds: list[Round[Solved]] = field(default_factory=list)
    control: dict[str, Any] = field(default_factory=dict)

    def add(self, made: Round[Solved]) -> None:
        """A round that ended: its arms are the folder's until another round ends."""
        self.rounds.append(made)
        self._write_arms([self.place / f"round-{made.number}", self.place], made.results)
        self._write()

    def close(self, one_shot: OneShot | None) -> dict[str, Any]:
        """The reported arms: those of the best student's round, with the control where there is one; what arms.json holds."""
        best = chosen(self.rounds, self.decision.best if self.decision else None)
        results = list(best.results)
        more: dict[str, Any] = {"note": self.decision.reported(best.number)} if self.decision else {}
        if one_shot is not None and len(self.rounds) > 1:
            steps = steps_behind(self.rounds, best, self.arm, self.train_from)
            result, self.control = one_shot(len(self.rounds), self.rounds[0].run, steps)
            results.append(result)
        elif one_shot is not None:
            self.control = {"left_out": "one round ran, which is its own control"}
        found = self._write_arms([self.place], results, **more)
        self._write()
        return found

    def _write_arms(self, folders: Sequence[Path], results: Sequence[Result[Solved]], **more: Any) -> dict[str, Any]:
        pairs = [(self.arm, one.arm.name) for one in results if one.arm.name != self.arm]
        return write_arms(folders, results, pairs, **more)

    def _write(self) -> None:
        known = ledgers([made.run for made in self.rounds])
        rounds = [
            round_json(
                self.place,
                made.number,
                made.run,
                f"round-{made.number}/arms.json",
                made.results,
                written_by=made.written_by.relative_to(self.place).as_posix() if made.written_by else "",
                ledger=ledger,
            )
            for made, ledger in zip(self.rounds, known)
        ]
        more: dict[str, Any] = dict(self.decision.json(self.place)) if self.decision else {}
        more |= {"control": self.control} if self.control else {}
        write_loop(self.place, rounds, **self.told, **more)

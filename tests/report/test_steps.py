"""The loop as a figure to step through: every round and stage is in the page, whatever is missing, and all of it escaped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from doubles.folders import dump, loop_folder
from report.pages import Document, checked
from synthgain.report.page import write
from synthgain.types import Reading

WILD = "<script>alert(1)</script>\u202e"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return loop_folder(tmp_path / "loop", rounds=2, anchors=8)


def changed(folder: Path, **more: Any) -> Document:
    """The page of the folder with more in its loop.json."""
    record = json.loads((folder / "loop.json").read_text())
    dump(folder / "loop.json", {**record, **more})
    return checked(write(folder))


def with_ledgers(folder: Path, note: str = "no log-probabilities") -> list[dict[str, Any]]:
    rounds = json.loads((folder / "loop.json").read_text())["rounds"]
    for one in rounds:
        known = [
            Reading("curation_nats", 0.41, 0.3, 0.55, unit="nats/kept sample"),
            Reading("delta_I", None, note=note),
        ]
        one["ledger"] = {"readings": [r.json() for r in known]}
        one["written_by"] = f"round-{one['round'] - 1}/students/filtered" if one["round"] else ""
    return rounds  # type: ignore[no-any-return]


def test_every_round_has_four_stages_and_one_dropped_row_for_each_check(folder: Path) -> None:
    document = changed(folder)
    turns = [a for tag, a in document.tags if tag == "article" and a.get("class") == "turn"]
    assert [a["data-turn"] for a in turns] == ["0", "1"] and not any("hidden" in a for a in turns)
    told = [a["data-stage"] for tag, a in document.tags if tag == "div" and a.get("class") == "told"]
    assert told == ["0", "1", "2", "3"] * 2
    bar = next(a for _, a in document.tags if "steps-bar" in str(a.get("class")))
    assert "hidden" in bar  # until the script shows it
    for n in (0, 1):
        record = json.loads((folder / f"round-{n}" / "run" / "run.json").read_text())
        dropped = [check for check, rows in record["dropped_by"].items() if rows]
        assert dropped and all(check in document.said for check in dropped)
    examples = [a for _, a in document.tags if a.get("class") == "example"]
    assert len(examples) >= 2 and document.said.count("loop.json has no ledger of this round") == 4


def test_each_round_sets_its_student_against_the_base_question_by_question(folder: Path) -> None:
    for n in (0, 1):
        file = folder / f"round-{n}" / "arms.json"
        told = json.loads(file.read_text())
        gain = Reading("pass_at_4 difference", -0.25 * (n + 1), -0.7, 0.2, n=100).json()
        dump(file, {**told, "differences": [*told["differences"], {"a": "filtered", "b": "base", **gain}]})
    said = changed(folder).said
    assert [w.split()[0] for w in said.split("filtered less base pass_at_4 ")[1:]] == ["−0.25", "−0.50"]
    assert "filtered less unfiltered pass_at_4" not in said


def test_the_ledger_the_decision_and_the_end_are_shown(folder: Path) -> None:
    gain = Reading("accuracy difference", 0.02, -0.1, 0.14, n=36).json()
    looks = [{"round": 1, "less": "the student of round 0", "better": False, "gain": gain}]
    decided = {"questions": 36, "reported": 84, "share": 0.3, "by": "a hash", "looks": looks}
    stopped = "Stopped after round 1, of rounds 0 to 2: no gain."
    said = changed(
        folder,
        rounds=with_ledgers(folder),
        decided=decided,
        best="round-0/students/filtered",
        stopped=stopped,
        control={"left_out": "nobody wanted it"},
    ).said
    assert "0.41 [0.30, 0.55]" in said and "Not measured: no log-probabilities" in said
    assert "36 questions decided" in said and "the other 84" in said and said.count(stopped) == 2
    assert said.count("+0.02 [−0.10, +0.14]") == 2 and "the best stays" in said  # in the figure and beside the rounds
    assert "The student round-0/students/filtered writes" in said and "nobody wanted it" in said


def test_hostile_words_stay_words(folder: Path) -> None:
    rounds = with_ledgers(folder, note=WILD)
    rounds[0]["written_by"] = WILD
    rounds[1]["ledger"]["readings"].append({"name": f"curation_nats/{WILD}", "value": 1.0, "unit": WILD})
    looks = [{"round": 0, "less": WILD, "better": True, "gain": Reading("d", 0.1, n=2).json()}, {"round": WILD}]
    decided = {"questions": WILD, "by": WILD, "looks": looks}
    document = changed(folder, rounds=rounds, decided=decided, stopped=WILD, best=WILD, control={"left_out": WILD})
    assert len(document.scripts) == 1 and "<script>alert(1)</script>" in document.said


@pytest.mark.parametrize(
    "wrong", [[], "x", {"looks": 3}, {"looks": [3, {"round": 0}]}, {"looks": [{"round": 0, "gain": 5}]}]
)
def test_a_damaged_record_leaves_the_rest(folder: Path, wrong: object) -> None:
    rounds = json.loads((folder / "loop.json").read_text())["rounds"]
    rounds[0]["ledger"] = wrong
    assert "Round 1: the run" in changed(folder, decided=wrong, control=wrong, stopped=wrong, rounds=rounds).said

"""Arms are data, rounds have an order, every stage is its own resume; with stand-ins for the costly parts."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from synthgain.loop import (
    BASE,
    FEW_SHOT,
    FILTERED,
    RAW,
    REPEATED,
    UNFILTERED,
    Arm,
    Part,
    Round,
    Rows,
    Student,
    Weights,
    arms_json,
    compared,
    run_rounds,
    starting_from,
)
from synthgain.types import Reading, SynthgainError

DEMO = [BASE, FEW_SHOT, UNFILTERED, FILTERED]


@dataclass
class Solved:
    value: float

    @property
    def readings(self) -> list[Reading]:
        return [Reading("accuracy", self.value, self.value - 0.1, self.value + 0.1, unit="prob", n=10)]


def differences(a: Solved, b: Solved) -> tuple[Reading, ...]:
    return (Reading("difference", a.value - b.value, 0.1, 0.9),)


@dataclass
class Rooms:
    """What a loop is handed, writing down what it is asked."""

    log: list[str]

    def generate(self, number: int, student: Path | None, out: Path) -> Path:
        self.log.append(f"generate {number} with {name_of(student)}")
        return out

    def write_rows(self, arms: list[Arm], run: Path, folder: Path) -> dict[str, Rows]:
        return {arm.name: Rows(folder / f"{arm.name}.parquet", 7, "sft") for arm in arms if arm.learns}

    def train(self, arm: Arm, rows: Rows, start: Weights, out: Path) -> Student:
        self.log.append(f"train {arm.name} on {rows.path.parent.parent.name} from {name_of(start)}")
        return Student(out, {"rows": rows.n, "seed": 3, "steps": 5, "tokens_seen": 50, "method": rows.method})

    def examine(self, arm: Arm, weights: Weights) -> Solved:
        self.log.append(f"examine {name_of(weights)}{f' by {arm.exam}' if arm.exam else ''}")
        return Solved(0.9 if arm.name == "filtered" else 0.2)

    def rounds(self, arms: list[Arm], n: int, out: Path) -> list[Round[Solved]]:
        made = run_rounds(
            arms,
            n,
            generate=self.generate,
            write_rows=self.write_rows,
            train=self.train,
            examine=self.examine,
            out=out,
            base="local/base",
        )
        return list(made)


def name_of(weights: Weights | None) -> str:
    return "/".join(weights.parts[-3:]) if isinstance(weights, Path) else str(weights)


def test_each_round_is_written_by_the_last_best_student_and_trained_from_the_base(tmp_path: Path) -> None:
    rooms = Rooms([])
    first, second = rooms.rounds(DEMO, 2, tmp_path)
    assert rooms.log == [
        "generate 0 with None",
        "examine local/base",
        "examine local/base by few-shot",
        "train unfiltered on round-0 from local/base",
        "examine round-0/students/unfiltered",
        "train filtered on round-0 from local/base",
        "examine round-0/students/filtered",
        "generate 1 with round-0/students/filtered",
        "train unfiltered on round-1 from local/base",
        "examine round-1/students/unfiltered",
        "train filtered on round-1 from local/base",
        "examine round-1/students/filtered",
    ]
    assert [r.arm.name for r in second.results] == ["base", "base-few-shot", "unfiltered", "filtered"]
    assert (first.run, second.number) == (tmp_path / "round-0" / "run", 1)


def test_training_from_the_previous_student(tmp_path: Path) -> None:
    rooms = Rooms([])
    rooms.rounds([starting_from(arm, "previous") for arm in DEMO], 2, tmp_path)
    assert "train filtered on round-0 from local/base" in rooms.log
    assert "train unfiltered on round-1 from round-0/students/filtered" in rooms.log


def test_an_arm_that_is_the_same_in_every_round_is_trained_once(tmp_path: Path) -> None:
    rooms = Rooms([])
    last = rooms.rounds([BASE, RAW, REPEATED, FILTERED], 3, tmp_path)[-1]
    assert [line for line in rooms.log if "train repeated" in line] == ["train repeated on round-0 from local/base"]
    kept = {r.arm.name: r.student.folder.parent.parent.name for r in last.results if r.student}
    assert kept == {"raw": "round-0", "repeated": "round-0", "filtered": "round-2"}


def test_arms_from_weights_of_their_own_are_compared_without_rounds(tmp_path: Path) -> None:
    rooms = Rooms([])
    arms = [Arm("other", weights="hf/other"), Arm("tuned", (Part("a.jsonl"), Part("run")), weights="hf/other")]
    rows = {"tuned": Rows(tmp_path / "a" / "b" / "tuned.parquet", 4, "cpt")}
    results = list(
        compared(arms, rows, train=rooms.train, examine=rooms.examine, out=tmp_path / "x", base="local/base")
    )
    assert rooms.log == ["examine hf/other", "train tuned on a from hf/other", f"examine {tmp_path.name}/x/tuned"]
    assert results[1].student == Student(tmp_path / "x" / "tuned", results[1].student.record)  # type: ignore[union-attr]


def test_arms_json_says_what_each_arm_learnt_and_the_paired_differences(tmp_path: Path) -> None:
    results = Rooms([]).rounds(DEMO, 1, tmp_path)[0].results
    lost = Reading("memo", None, note="nothing was held out")
    gained = Reading("generalisation_gap", 0.5)
    tuned = replace(results[3], student=replace(results[3].student, readings=(lost, gained)))  # type: ignore[type-var]
    told = arms_json([*results[:3], tuned], [("filtered", "base"), ("filtered", "unfiltered")], differences)
    assert json.loads(json.dumps(told)) == told
    base, *_, best = told["arms"]
    assert (base["rows"], base["tokens"], base["steps"], base["seeds"]) == (0, 0, 0, [])
    assert (best["name"], best["rows"], best["tokens"], best["steps"], best["seeds"]) == ("filtered", 7, 50, 5, [3])
    assert [r["name"] for r in best["readings"]] == ["accuracy", "generalisation_gap"]
    assert [(d["a"], d["b"], pytest.approx(d["value"])) for d in told["differences"]] == [
        ("filtered", "base", 0.7),
        ("filtered", "unfiltered", 0.7),
    ]


@pytest.mark.parametrize(
    ("arms", "said"),
    [
        ([FILTERED, FILTERED], "two arms"),
        ([BASE, UNFILTERED], "as many rows as 'filtered'"),
        (
            [FILTERED, Arm("a", (Part(),), as_many_as="b"), Arm("b", (Part(),), as_many_as="filtered")],
            "as many rows as 'b'",
        ),
        ([BASE, REPEATED], "should write the next round"),
        ([BASE, Arm("filtered")], "should write the next round"),
    ],
)
def test_arms_that_cannot_be_compared_are_refused_before_anything_is_made(
    tmp_path: Path, arms: list[Arm], said: str
) -> None:
    rooms = Rooms([])
    with pytest.raises(SynthgainError, match=said):
        rooms.rounds(arms, 1, tmp_path)
    assert rooms.log == []


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Part(take="all"),  # type: ignore[arg-type]
        lambda: Part(rows=0),
        lambda: Part(share=1.5),
        lambda: Part(share=0.5, rows=3),
        lambda: Arm("a/b"),
        lambda: Arm("..", (Part(),)),
        lambda: Arm("a", (Part(),), method="ppo"),  # type: ignore[arg-type]
        lambda: Arm("a", (Part(take="anchors"),), method="sft"),
        lambda: Arm("a", (Part("x", share=0.5), Part("y"))),
        lambda: Arm("a", (Part("x", share=0.5), Part("y", share=0.4))),
    ],
)
def test_an_arm_or_part_that_makes_no_sense_is_refused(wrong: object) -> None:
    with pytest.raises(SynthgainError):
        wrong()  # type: ignore[operator]

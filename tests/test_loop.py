"""The loop's order, its arms, and that every stage is its own resume; with stand-ins for the costly verbs."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from synthgain.api.teaching import matched
from synthgain.loop import Plan, Rows, Verbs, run_loop
from synthgain.store import Run, Staged, atomic_write
from synthgain.types import Reading, Row, SynthgainError, assistant, drop, user


@dataclass
class Solved:
    value: float

    @property
    def readings(self) -> list[Reading]:
        return [Reading("accuracy", self.value, self.value - 0.1, self.value + 0.1, unit="prob", n=10)]


def verbs(log: list[str], said: list[str]) -> Verbs:
    def generate(number: int, writer: str, folder: Path) -> Path:
        log.append(f"generate {number} with {writer}")
        return folder

    def train(rows: Rows, folder: Path, base: str) -> Path:
        log.append(f"train {folder.name} on {rows.n} from {base}")
        atomic_write(folder / "student.json", json.dumps({"seed": 3, "steps": 5, "tokens_seen": 50}))
        return folder

    def evaluate(uri: str, few: bool, folder: Path) -> Solved:
        log.append(f"evaluate {uri}{' with shots' if few else ''}")
        return Solved(0.9 if "/filtered" in uri else 0.2)

    return Verbs(
        generate=generate, arms=lambda run, folder: {"unfiltered": Rows(folder / "u", 7), "filtered": Rows(folder / "f", 7)}, train=train,
        usable=lambda student: f"local/{student.parent.parent.name}/{student.name}", evaluate=evaluate,
        difference=lambda a, b: Reading("difference", a.value - b.value, 0.1, 0.9), say=said.append, save=atomic_write,
    )  # fmt: skip


def test_each_round_is_written_by_the_last_best_student_and_trained_from_the_base(tmp_path: Path) -> None:
    log: list[str] = []
    said: list[str] = []
    result = run_loop(Plan(2, "local/base"), verbs(log, said), tmp_path)
    assert log == [
        "generate 0 with local/base", "evaluate local/base", "evaluate local/base with shots", "train unfiltered on 7 from local/base", "train filtered on 7 from local/base",
        "evaluate local/round-0/unfiltered", "evaluate local/round-0/filtered",
        "generate 1 with local/round-0/filtered", "train unfiltered on 7 from local/base", "train filtered on 7 from local/base",
        "evaluate local/round-1/unfiltered", "evaluate local/round-1/filtered",
    ]  # fmt: skip
    assert [a["name"] for a in result["arms"]] == ["base", "base-few-shot", "unfiltered", "filtered"]
    assert result["arms"][3] == {**result["arms"][3], "rows": 7, "tokens": 50, "steps": 5, "seeds": [3]}
    assert result["differences"][0]["a"] == "filtered" and result["differences"][0]["value"] == pytest.approx(0.7)
    assert json.loads((tmp_path / "arms.json").read_text()) == result
    loop = json.loads((tmp_path / "loop.json").read_text())
    assert loop["rounds"][1]["students"]["filtered"] == "round-1/students/filtered"


def test_training_from_the_previous_student(tmp_path: Path) -> None:
    log: list[str] = []
    run_loop(Plan(2, "local/base", train_from="previous"), verbs(log, []), tmp_path)
    assert f"train filtered on 7 from hf/{tmp_path}/round-0/students/filtered" in log


def run_with(folder: Path, rows: list[Row]) -> Run:
    run = Run(folder)
    staged = Staged(folder / ".staged")
    staged.write(rows)
    staged.place({}, run.rows, run.data)
    return run


def answer(text: str, *, falls: bool = False) -> Row:
    return Row(messages=(user("q"), assistant(text)), verdicts=(drop("wrong", check="final-answer"),) if falls else ())


def test_matched_arms_have_equally_many_rows_and_the_control_ignores_the_checks(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    rows = (
        [answer(f"right {i}") for i in range(20)]
        + [answer(f"wrong {i}", falls=True) for i in range(80)]
        + [answer(" ", falls=True)]
    )
    arms = matched(run_with(tmp_path / "run", rows), tmp_path / "arms", seed=1)
    assert arms["filtered"].n == arms["unfiltered"].n == 20
    drawn = [m[1]["content"] for m in pq.read_table(arms["unfiltered"].path).column("messages").to_pylist()]
    assert len(set(drawn)) == 20 and 10 <= sum(text.startswith("wrong") for text in drawn) <= 20 and " " not in drawn
    again = matched(run_with(tmp_path / "again", rows[::-1]), tmp_path / "arms2", seed=1)
    assert sorted(drawn) == sorted(
        m[1]["content"] for m in pq.read_table(again["unfiltered"].path).column("messages").to_pylist()
    )


def test_nothing_kept_is_an_error_that_says_where_to_look(tmp_path: Path) -> None:
    with pytest.raises(SynthgainError, match="nothing to train on") as error:
        matched(run_with(tmp_path / "run", [answer("x", falls=True)]), tmp_path / "arms", seed=0)
    assert "report" in error.value.next

"""A loop that decides: it stops, goes back to the best student, and sets a one-shot control beside its rounds.

Runs, rows, folders and pages are real; the writer is scripted, and a student is a folder that says how much it knows.
"""

import asyncio
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

import synthgain as sg
from synthgain.api import examining, looping
from synthgain.api.examining import Examination
from synthgain.curate.answers import same_answer
from synthgain.evaluate import Question, Solved, load_questions, solve
from synthgain.evaluate.development import fewest_gained, split
from synthgain.loop import Arm, Rows, Student, Weights
from synthgain.types import Sampling, digest

RECIPE = """
from dataclasses import dataclass
from synthgain.types import Prompt, Recipe, Row, Sampling, assistant, drop, user

@dataclass(frozen=True)
class Said:
    KNOB

    async def __call__(self, models, anchor):
        asked = (Prompt((user(anchor.text),), sampling=Sampling(temperature=0.9, max_tokens=6), draw=n) for n in range(self.k))
        async for call in models.each(asked):
            fell = (drop("odd", check="luck"),) if int(call.text.split()[-1]) % 2 else ()
            yield Row(messages=(user(anchor.text), assistant(call.text)), calls=(call,), verdicts=fell)

RECIPE = Recipe("said", "1", Said())
"""
WARM = Sampling(temperature=0.7)


class Killed(BaseException):
    """The process dies here."""


def writes(prompt: sg.Prompt) -> str:
    """A number that draw and seed decide."""
    return f"Answer: {int(digest(prompt.messages[-1]['content'], str(prompt.draw), str(prompt.seed))[:6], 16) % 6}"


@dataclass
class Doubles:
    """Fake students: `skill` says, by the name of a folder's round or of the base, which share of the questions is answered right."""

    skill: dict[str, float]
    trained: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    dies_at: int = -1  # of the stages, the one in which the process dies
    stage: int = 0

    def alive(self) -> None:
        self.stage += 1
        if self.stage == self.dies_at:
            raise Killed

    def name(self, weights: Weights) -> str:
        return weights.parent.parent.name if isinstance(weights, Path) else "base"

    def trainer(self, base: str, seed: int, settings: dict[str, Any], say: Any, students: int) -> "Trainer":
        return Trainer(self, settings)

    def answered(self, weights: Weights, questions: list[Question], how: Examination, **_: Any) -> Solved:
        self.alive()
        self.asked.append(self.name(weights))
        share, gold = self.skill[self.name(weights)], {q.question: q.answer for q in questions}

        def answers(prompt: sg.Prompt) -> str:
            asked = prompt.messages[-1]["content"]
            knows = int(digest(asked, str(prompt.draw))[:8], 16) / 2**32 < share
            return f"Answer: {gold[asked] if knows else -1}"

        return asyncio.run(solve(sg.Scripted(answers), questions, same_answer, draws=how.draws, sampling=WARM))


@dataclass
class Trainer:
    doubles: Doubles
    settings: dict[str, Any]

    def check(self, arms: list[Arm]) -> None:
        """Nothing to refuse."""

    def __call__(self, arm: Arm, rows: Rows, start: Weights, out: Path) -> Student:
        self.doubles.alive()
        out.mkdir(parents=True, exist_ok=True)
        steps = {**self.settings, **arm.settings}["max_steps"]
        record = {
            "rows": rows.n,
            "steps": steps,
            "tokens_seen": 10 * steps,
            "seed": 0,
            "method": rows.method,
            "curve": [],
        }
        (out / "student.json").write_text(json.dumps(record))
        self.doubles.trained.append(f"{self.doubles.name(out)}/{arm.name} from {self.doubles.name(start)}")
        return Student(out, record)


Loop = Callable[..., tuple[dict[str, Any], Doubles]]


@pytest.fixture
def looped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loop:
    """Runs a loop of fake students in tmp_path/loop; loop.json and what was asked for."""
    (tmp_path / "said.py").write_text(RECIPE.replace("KNOB", "k: int = 2"))
    (tmp_path / "fixed.py").write_text(RECIPE.replace("KNOB", "k = 2"))
    for name, n in (("anchors", 12), ("test", 60)):
        found = [{"text": f"{name} {i} + 1?", "question": f"{name} {i} + 1?", "answer": str(i + 1)} for i in range(n)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in found))
    writer = sg.Scripted(writes)

    def run(
        skill: dict[str, float], *, recipe: str = "said.py", dies_at: int = -1, measured: bool = False, **more: Any
    ) -> Any:
        doubles = Doubles({"one-shot": 0.5, **skill}, dies_at=dies_at)
        monkeypatch.setattr(looping, "ArmTrainer", doubles.trainer)
        monkeypatch.setattr(examining, "answered", doubles.answered)
        monkeypatch.setattr(
            looping.RunMaker, "written_by", lambda self, uri: sg.Scripted(lambda p: writes(replace(p, seed=p.seed + 9)))
        )
        monkeypatch.setattr(looping, "usable", str)
        if not measured:  # a second for each run
            monkeypatch.setattr(looping, "measure", lambda run: [])
        asked: dict[str, Any] = {"rounds": 3, "examination": Examination(draws=4), "say": lambda text: None} | more
        out = tmp_path / asked.pop("out", "loop")
        sg.loop(
            str(tmp_path / recipe),
            str(tmp_path / "anchors.jsonl"),
            out=out,
            on=tmp_path / "test.jsonl",
            model=writer,
            settings={"max_steps": 5},
            **asked,
        )
        return json.loads((out / "loop.json").read_text()), doubles

    return run


def accuracy(folder: Path, arm: str) -> dict[str, Any]:
    arms = {a["name"]: a for a in json.loads((folder / "arms.json").read_text())["arms"]}
    return {r["name"]: r for r in arms[arm]["readings"]}


RISES = {"base": 0.2, "round-0": 0.7, "round-1": 0.7, "round-2": 0.7}


def test_it_stops_where_no_gain_is_told_and_reports_the_best_students_round(looped: Loop, tmp_path: Path) -> None:
    said: list[str] = []
    told, _ = looped(RISES, say=said.append)
    assert [one["round"] for one in told["rounds"]] == [0, 1] and told["asked"] == 3
    assert told["best"] == "round-0/students/filtered" and told["best_round"] == 0
    assert told["stopped"].startswith("Stopped after round 1") and told["stopped"] in said
    assert [look["better"] for look in told["decided"]["looks"]] == [True, False]
    deciding, rest = split(load_questions(tmp_path / "test.jsonl"), 0.3)
    assert (told["decided"]["questions"], told["decided"]["reported"]) == (len(deciding), len(rest))
    assert "questions decide when the loop ends" in said[0]  # before anything is bought
    best = accuracy(tmp_path / "loop" / "round-0", "filtered")
    assert accuracy(tmp_path / "loop", "filtered") == best and best["accuracy"]["n"] == len(rest)
    assert best["pass_at_1"]["value"] == pytest.approx(best["accuracy"]["value"])
    assert best["pass_at_1"]["value"] < best["pass_at_2"]["value"] < best["pass_at_4"]["value"]
    base = accuracy(tmp_path / "loop" / "round-0", "base")
    gains = json.loads((tmp_path / "loop" / "round-0" / "arms.json").read_text())["differences"]
    less = {d["name"]: d for d in gains if (d["a"], d["b"]) == ("filtered", "base")}
    assert list(less) == ["accuracy difference", "pass_at_2 difference", "pass_at_4 difference"]
    for name in ("accuracy", "pass_at_2", "pass_at_4"):
        gain = less[f"{name} difference"]
        assert gain["value"] == pytest.approx(best[name]["value"] - base[name]["value"]) and gain["n"] == len(rest)
        assert gain["low"] < gain["value"] < gain["high"]


def test_the_best_student_writes_on_and_not_the_last(looped: Loop) -> None:
    told, doubles = looped(
        {"base": 0.2, "round-0": 0.7, "round-1": 0.3, "round-2": 0.95}, patience=2, train_from="previous"
    )
    assert [one["written_by"] for one in told["rounds"]] == ["", *["round-0/students/filtered"] * 2]
    assert "round-2/filtered from round-0" in doubles.trained
    assert told["best_round"] == 2 and told["stopped"] == ""
    assert told["control"]["steps"] == 10  # those of round 0 and of round 2: round 1 is no part of the best student
    again = [one["ledger"]["repeated"] for one in told["rounds"]]
    assert again[0] == 0 and again[2] < told["rounds"][2]["ledger"]["kept"]  # the same writer, another seed


def test_a_loop_without_any_gain_ends_with_its_base(looped: Loop, tmp_path: Path) -> None:
    told, _ = looped({"base": 0.5, "round-0": 0.5})
    assert told["best"] == "" and told["best_round"] is None and len(told["rounds"]) == 1
    assert "The best is the base" in told["stopped"] and "one round" in told["control"]["left_out"]
    assert "no student was better than the base" in json.loads((tmp_path / "loop" / "arms.json").read_text())["note"]


def test_nothing_stops_a_loop_that_shall_not(looped: Loop) -> None:
    told, _ = looped({**RISES, "round-0": 0.2, "round-1": 0.2}, patience=None, control=False)
    assert len(told["rounds"]) == 3 and told["stopped"] == "" and told["best_round"] == 2 and "control" not in told


def test_with_no_question_to_decide_each_student_writes_the_next_round(looped: Loop, tmp_path: Path) -> None:
    told, _ = looped({**RISES, "round-1": 0.1}, development=0)
    assert [one["written_by"] for one in told["rounds"]] == ["", *(f"round-{n}/students/filtered" for n in (0, 1))]
    assert not {"best", "stopped", "decided"} & told.keys()
    assert accuracy(tmp_path / "loop", "filtered")["accuracy"]["n"] == 60


def test_one_round_decides_nothing_and_asks_every_question_once(looped: Loop, tmp_path: Path) -> None:
    told, doubles = looped(RISES, rounds=1)
    assert not {"best", "stopped", "decided", "control"} & told.keys()
    assert doubles.asked == ["base", "round-0", "round-0"]
    assert accuracy(tmp_path / "loop", "base")["accuracy"]["n"] == 60


# ---------------------------------------------------------------------------------------------- the control


def test_the_one_shot_control_has_as_many_draws_and_steps_as_the_loop(looped: Loop, tmp_path: Path) -> None:
    told, doubles = looped(RISES)
    control = told["control"]
    run = sg.Run.at(tmp_path / "loop" / control["runs"][0])
    rounds = [sg.Run.at(tmp_path / "loop" / one["run"]) for one in told["rounds"]]
    assert run.record["counts"]["rows"] == sum(one.record["counts"]["rows"] for one in rounds) == 12 * 2 * 2
    assert run.record["counts"]["calls_bought"] == 24  # the first round's answers serve it too
    assert control["steps"] == 5 and doubles.trained[-1] == "one-shot/one-shot from base"
    arms = json.loads((tmp_path / "loop" / "arms.json").read_text())
    assert arms["arms"][-1]["name"] == "one-shot"
    assert ("filtered", "one-shot") in {(d["a"], d["b"]) for d in arms["differences"]}
    assert accuracy(tmp_path / "loop", "one-shot")["accuracy"]["n"] == told["decided"]["reported"]


def test_without_a_knob_for_draws_the_control_draws_with_further_seeds(looped: Loop, tmp_path: Path) -> None:
    told, _ = looped(RISES, recipe="fixed.py")
    assert told["control"]["runs"] == ["round-0/run", "one-shot/run-1"]
    first, second = (sg.Run.at(tmp_path / "loop" / run) for run in told["control"]["runs"])
    assert first.record["counts"]["rows"] == second.record["counts"]["rows"] == 24
    kept = [{row["id"] for row in run.rows(kept=True)} for run in (first, second)]
    assert told["control"]["rows"] == len(kept[0]) + len(kept[1]) and kept[0] != kept[1]


# ---------------------------------------------------------------------------------------------- killed, and too few


def test_a_loop_that_dies_in_any_kind_of_stage_ends_as_an_unhurt_one(looped: Loop, tmp_path: Path) -> None:
    few: dict[str, Any] = {"arms": ("filtered",), "rounds": 2}
    unhurt, doubles = looped(RISES, out="unhurt", **few)
    assert doubles.stage == 10
    for stage in (2, 5, 6, 9):  # training, deciding, training in round 1, training of the control
        with pytest.raises(Killed):
            looped(RISES, dies_at=stage, **few)
    hurt, _ = looped(RISES, **few)
    assert hurt == unhurt
    arms = [(tmp_path / name / "arms.json").read_text().replace("/unhurt/", "/loop/") for name in ("loop", "unhurt")]
    assert arms[0] == arms[1]
    for one in hurt["rounds"]:
        counts = sg.Run.at(tmp_path / "loop" / one["run"]).record["counts"]
        assert counts["calls_bought"] + counts["calls_reused"] == 24


def test_too_few_questions_to_decide_are_refused_before_anything_is_bought(looped: Loop, tmp_path: Path) -> None:
    few = (tmp_path / "test.jsonl").read_text().splitlines()[:6]
    (tmp_path / "test.jsonl").write_text("\n".join(few))
    with pytest.raises(sg.SynthgainError, match="too few"):
        looped(RISES)
    assert not (tmp_path / "loop").exists()
    said: list[str] = []
    (tmp_path / "test.jsonl").write_text(
        "".join(json.dumps({"question": f"{i}?", "answer": "1"}) + "\n" for i in range(40))
    )
    looped(RISES, say=said.append)
    assert "That is few" in said[0]


@pytest.mark.parametrize("wrong", [{"patience": 0}, {"development": 1.0}, {"development": -0.1}])
def test_a_rule_that_makes_no_sense_is_refused(looped: Loop, wrong: dict[str, Any]) -> None:
    with pytest.raises(sg.SynthgainError):
        looped(RISES, **wrong)


def test_the_ledger_is_the_sum_of_its_rows(looped: Loop, tmp_path: Path) -> None:
    told, _ = looped(RISES, patience=None, control=False, measured=True)
    seen: set[str] = set()
    for one in told["rounds"]:
        ledger, run = one["ledger"], sg.Run.at(tmp_path / "loop" / one["run"])
        read = {r["name"]: r for r in ledger["readings"]}
        rows = list(run.rows())
        kept = [row["messages"][0]["content"] + row["messages"][1]["content"] for row in rows if row["kept"]]
        assert (ledger["candidates"], ledger["kept"]) == (len(rows), len(kept)) and ledger["dropped_by"] == {
            "luck": len(rows) - len(kept)
        }
        nats = -math.log(len(kept) / len(rows))
        assert read["curation_nats"]["value"] == pytest.approx(nats)
        assert read["curation_nats_total"]["value"] == pytest.approx(nats * len(kept))
        again = sum(text in seen for text in kept)
        assert ledger["repeated"] == again and read["repeated"]["value"] == pytest.approx(again / len(kept))
        assert read["curation_nats_lost"]["value"] == pytest.approx(nats * again)
        assert read["cut_off"]["value"] == 0 and read["delta_I"]["value"] is None and read["delta_I"]["note"]
        assert read["distinct_2"]["value"] is not None or read["distinct_2"]["note"]
        seen |= set(kept)
    assert any(one["ledger"]["repeated"] for one in told["rounds"])  # rounds 1 and 2 have one writer and few answers


# ---------------------------------------------------------------------------------------------- the split


def test_the_split_is_by_content_and_keeps_documents_together() -> None:
    asked = [
        Question(str(n), f"What is {n}?", answer="1", document=f"d{n % 40}" if n < 200 else "") for n in range(400)
    ]
    deciding, rest = split(asked, 0.3)
    assert 60 < len(deciding) < 180 and sorted([*deciding, *rest], key=lambda q: int(q.id)) == asked
    assert not {q.document for q in deciding} & {q.document for q in rest} - {""}
    fewer = {q.id for q in split(asked[::-1][:300], 0.3)[0]}
    assert fewer == {q.id for q in deciding} & {q.id for q in asked[100:]}  # what is there moves nobody else


def test_so_many_must_be_gained() -> None:
    assert [fewest_gained(n) for n in (0, 3, 4, 5, 100)] == [None, None, 4, 4, 4]

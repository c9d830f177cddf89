"""What a trained student's loss is of: texts, or answers given their prompts."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

import synthgain as sg
from doubles.folders import student
from doubles.tiny import tiny_model
from synthgain import api
from synthgain.models.scorer import HFScorer
from synthgain.types import user

PAIRS = [(f"How many apples has she now? {i}", f"Answer: {i}") for i in range(7, 12)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("student") / "s"
    tiny_model(made)
    student(made, seed=0)
    return made


def record(folder: Path, **changes: str) -> None:
    held = json.loads((folder / "student.json").read_text())
    (folder / "student.json").write_text(json.dumps(held | {"base": "scratch", **changes}))


def test_a_student_of_answers_is_held_against_answers(folder: Path, tmp_path: Path) -> None:
    """By hand: the loss of each answer after its prompt as a user's turn, or of the whole text after nothing."""
    target = tmp_path / "held.jsonl"
    target.write_text("".join(json.dumps({"question": q, "answer": a}) + "\n" for q, a in PAIRS))
    scorer = HFScorer(folder)
    by_answer = scorer.logprobs([([user(q)], a) for q, a in PAIRS])
    by_text = scorer.logprobs([("", f"{q}\n\n{a}") for q, a in PAIRS])

    def loss(found: list[list[float]]) -> float:
        return -math.fsum(map(math.fsum, found)) / sum(map(len, found))

    def read(method: str, target_is: str = "") -> sg.Reading:
        record(folder, method=method)
        readings = api.measure_students([folder], target=target, target_is=target_is)
        return next(r for r in readings if r.name == "held_out_loss")

    of_answers = read("sft")
    assert of_answers.value == pytest.approx(loss(by_answer), abs=1e-4)
    assert "loss on the answers alone, given their prompts" in of_answers.note and of_answers.n == 5
    assert read("cpt").value == pytest.approx(loss(by_text), abs=1e-4)
    assert (
        read("sft", "text").value == pytest.approx(loss(by_text), abs=1e-4) and "answers alone" not in read("cpt").note
    )
    assert read("cpt", "answer").value == pytest.approx(loss(by_answer), abs=1e-4)


def test_where_the_held_out_texts_have_no_answers_it_says_what_to_give(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "held.txt").write_text("The river Tolmar flows past the town of Quell.")
    record(folder, method="sft")
    with pytest.raises(sg.SynthgainError, match="the held-out texts have no answers"):
        sg.measure(folder, target=tmp_path / "held.txt", target_is="answer")
    with pytest.raises(sg.SynthgainError, match="the target is 'prompt'"):
        sg.measure(folder, target=tmp_path / "held.txt", target_is="prompt")

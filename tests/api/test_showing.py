"""The first demo with stand-ins: a script that is right now and then, a script that is right always, a very small student."""

import json
from pathlib import Path
from typing import Any

import pytest

import synthgain as sg
from doubles.tiny import tiny_model
from synthgain import examples
from synthgain.api.showing import FAMILIES

PROBLEMS = 6


@pytest.fixture
def place(tmp_path: Path) -> Path:
    tiny_model(tmp_path / "tiny")
    asked = examples.problems(PROBLEMS, seed=7, families=FAMILIES)
    right = [{"match": p["question"], "answer": f"It is {p['answer']}.\nAnswer: {p['answer']}"} for p in asked]
    wrong = [{"answer": "I guess.\nAnswer: 1"}]
    for name, lines in (("now-and-then", right[::2] + wrong), ("always", right + wrong), ("never", wrong)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def shown(place: Path, **more: Any) -> tuple[dict[str, Any], list[str]]:
    said: list[str] = []
    told = sg.demo(
        place / "demo",
        seed=7,
        model=f"scripted/{place / 'now-and-then.jsonl'}",
        base=f"hf/{place / 'tiny'}",
        problems=PROBLEMS,
        tests=3,
        draws=2,
        settings={"max_steps": 1, "batch": 2},
        say=said.append,
        **more,
    )
    return told, said


def test_every_trained_arm_is_the_mean_of_two_students(place: Path) -> None:
    told, _ = shown(place)
    arms = {arm["name"]: arm for arm in told["arms"]}
    assert list(arms) == ["base", "base-few-shot", "unfiltered", "filtered"]
    assert arms["base"]["seeds"] == [] and arms["filtered"]["seeds"] == arms["unfiltered"]["seeds"] == [7, 8]
    accuracy = next(r for r in arms["filtered"]["readings"] if r["name"] == "accuracy")
    assert accuracy["n"] == 3 and "2 students" in accuracy["note"]
    again, said = shown(place)
    assert again == told and not any("step 1/" in line for line in said)  # every stage stands


def test_a_stronger_writer_teaches_the_same_student_with_as_many_rows(place: Path) -> None:
    told, said = shown(place, writer=f"scripted/{place / 'always.jsonl'}", students=1)
    arms = {arm["name"]: arm for arm in told["arms"]}
    assert len({arms[name]["rows"] for name in ("unfiltered", "filtered", "distilled")}) == 1
    assert [d["b"] for d in told["differences"]] == ["base", "base-few-shot", "unfiltered", "distilled"]
    assert any("minutes for the others" in line for line in said[:3])
    writer = sg.Run.at(place / "demo" / "writer").record
    assert writer["counts"]["groups"] == PROBLEMS and "always" in writer["models"]["writer"]


def test_a_writer_that_is_never_right_ends_before_anything_is_trained(place: Path) -> None:
    with pytest.raises(sg.SynthgainError, match="nothing right"):
        shown(place, writer=f"scripted/{place / 'never.jsonl'}")
    assert not (place / "demo" / "round-0" / "students").exists()


def test_a_stronger_writer_is_compared_in_one_round(place: Path) -> None:
    with pytest.raises(sg.SynthgainError, match="one round"):
        shown(place, writer="scripted/echo", rounds=2)
    assert not (place / "demo").exists()

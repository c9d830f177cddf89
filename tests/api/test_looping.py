"""`loop` through the public face, with a very small model: texts, roles, and what is refused before anything is bought."""

import json
from pathlib import Path
from typing import Any

import pytest

import synthgain as sg
from doubles.server import served
from doubles.tiny import tiny_model
from synthgain.api.examining import Examination
from synthgain.types import BudgetReached

TEXTS = """
from synthgain.types import Prompt, Recipe, Row, Sampling, user

async def draft(models, anchor):
    call = await models(Prompt((user(anchor.text),), sampling=Sampling(max_tokens=8)))
    yield Row(text=f"{anchor.text} {call.text}", calls=(call,))

RECIPE = Recipe("said-again", "1", draft)
"""
JUDGED = """
from synthgain.types import Prompt, Recipe, Row, Sampling, assistant, user

async def draft(models, anchor):
    call = await models(Prompt((user(anchor.text),), sampling=Sampling(max_tokens=8)))
    verdict = await models(Prompt((user(call.text or "?"),), to="judge"))
    yield Row(messages=(user(anchor.text), assistant(f"Answer: {len(call.text)}")), calls=(call, verdict))

RECIPE = Recipe("judged", "1", draft, roles=("writer", "judge"))
"""
SETTINGS: dict[str, Any] = {"max_steps": 2, "batch": 2, "length": 48}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    tiny_model(tmp_path / "tiny")
    (tmp_path / "texts.py").write_text(TEXTS)
    (tmp_path / "judged.py").write_text(JUDGED)
    documents = [{"text": f"The river Tolmar flows past {i}."} for i in range(6)]
    choices = [{"id": str(i), "question": "Which river?", "options": ["Tolmar", "Quell"], "gold": 0} for i in range(3)]
    problems = [{"id": str(i), "question": f"{i} + 1?", "answer": str(i + 1)} for i in range(3)]
    for name, records in (("documents", documents), ("choices", choices), ("problems", problems)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    return tmp_path


def looped(place: Path, recipe: str, **more: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "on": place / "choices.jsonl",
        "model": f"hf/{place / 'tiny'}",
        "settings": SETTINGS,
    } | more
    return sg.loop(
        str(place / recipe),
        str(place / "documents.jsonl"),
        out=place / "loop",
        say=lambda text: None,
        examination=Examination(draws=1, max_tokens=4),
        **asked,
    )


def test_a_recipe_of_texts_is_learnt_as_text_against_its_documents(place: Path) -> None:
    result = looped(place, "texts.py", arms=("unfiltered", "filtered", "repeated", "raw"))
    arms = {arm["name"]: arm for arm in result["arms"]}
    assert list(arms) == ["base", "unfiltered", "filtered", "repeated", "raw"]
    assert {arm["method"] for name, arm in arms.items() if name != "base"} == {"cpt"}
    assert all(any(r["name"] == "accuracy" for r in arm["readings"]) for arm in arms.values())
    assert arms["filtered"]["rows"] == arms["unfiltered"]["rows"] == 6
    assert json.loads((place / "loop" / "arms.json").read_text()) == result
    assert (place / "loop" / "report.html").is_file()


def test_the_judge_stays_when_the_writer_changes(place: Path) -> None:
    models = {"writer": f"hf/{place / 'tiny'}", "judge": "scripted/echo"}
    looped(place, "judged.py", model=models, rounds=2, development=0, control=False, on=place / "problems.jsonl")
    first, second = (sg.Run.at(place / "loop" / f"round-{n}" / "run").record["models"] for n in (0, 1))
    assert first == models
    assert second["judge"] == "scripted/echo" and "round-0/students/filtered" in second["writer"]


def test_one_model_for_all_roles_stays_the_judge(place: Path) -> None:
    looped(place, "judged.py", rounds=2, development=0, control=False, on=place / "problems.jsonl")
    second = sg.Run.at(place / "loop" / "round-1" / "run").record["models"]
    assert second["judge"] == f"hf/{place / 'tiny'}" and "round-0/students/filtered" in second["writer"]


def test_a_budget_is_of_all_rounds_together(place: Path) -> None:
    with served() as server:
        models = {"writer": f"hf/{place / 'tiny'}", "judge": "openai/double"}
        reach = sg.Reach(base_url=server.base_url, price={"judge": "1000,1000"})
        asked: dict[str, Any] = {"model": models, "reach": reach, "development": 0, "control": False}
        asked |= {"on": place / "problems.jsonl", "rounds": 2}
        looped(place, "judged.py", **{**asked, "rounds": 1})
        first = sg.Run.at(place / "loop" / "round-0" / "run").record["cost_usd"]
        assert first > 0 and server.stats()["asked"] == 6
        for budget in (first, 1.5 * first):
            with pytest.raises(BudgetReached, match="for all rounds") as stop:
                looped(place, "judged.py", **asked, max_cost=budget)
            assert stop.value.code == 3 and "--max-cost" in stop.value.next
        result = looped(place, "judged.py", **asked, max_cost=100 * first)
        assert result["arms"] and sg.Run.at(place / "loop" / "round-1" / "run").record["status"] == "complete"
        assert server.stats()["asked"] == 12  # nothing is bought twice


THINKS = """
from synthgain.types import Prompt, Recipe, Row, Sampling, assistant, user

async def draft(models, anchor):
    call = await models(Prompt((user(anchor.text),), sampling=Sampling(max_tokens=900)))
    yield Row(messages=(user(anchor.text), call.message), calls=(call,))

RECIPE = Recipe("thinks", "1", draft)
"""


def test_a_writer_that_reasons_gives_its_students_room_to_finish(place: Path) -> None:
    (place / "thinks.py").write_text(THINKS)
    long = "Hm. " * 150

    def writes(prompt: sg.Prompt) -> str:
        return f"<think>{long}</think>Answer: 4"

    (place / "one.jsonl").write_text(json.dumps({"question": "3 + 1?", "answer": "4"}))
    result = sg.loop(
        str(place / "thinks.py"),
        str(place / "documents.jsonl"),
        out=place / "loop",
        on=place / "one.jsonl",
        model=sg.Scripted(writes),
        base=f"hf/{place / 'tiny'}",
        examination=Examination(draws=1, temperature=0),
        arms=("filtered",),
        settings={"max_steps": 1, "batch": 2, "length": 400, "learn_reasoning": True},
        say=lambda text: None,
    )
    run = sg.Run.at(place / "loop" / "round-0" / "run")
    longest = max(max(shard.column("tokens_out").to_pylist()) for shard in run.shards(["tokens_out"]))
    cut = {arm["name"]: next(r for r in arm["readings"] if r["name"] == "cut_off") for arm in result["arms"]}
    assert longest > 128 and all(reading["n"] == 1 for reading in cut.values())
    for reading in cut.values():  # a tiny random model writes up to its limit: the same for every arm
        assert reading["value"] == 0 or f"cut off at {2 * longest} tokens" in reading["note"]
    assert any(reading["value"] for reading in cut.values())
    student = json.loads((place / "loop" / "round-0" / "students" / "filtered" / "student.json").read_text())
    assert student["learn_reasoning"] and student["read"]["with_reasoning"] == 6 and student["answer_tokens"] > 150


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"method": "sft"}, "needs chats"),
        ({"arms": ("filtered", "best")}, "no arm 'best'"),
        ({"arms": ("repeated",)}, "write the next round"),
        ({"settings": {"max_step": 2}}, "does not know a setting"),
        ({"train_from": "nowhere"}, "nowhere"),
        ({"model": "scripted/echo"}, "scripted/echo"),
        ({"rounds": 0}, "rounds"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_bought(
    place: Path, asked: dict[str, Any], said: str
) -> None:
    with pytest.raises(sg.SynthgainError, match=said):
        looped(place, "texts.py", **asked)
    assert not (place / "loop" / "round-0").exists()

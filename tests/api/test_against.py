"""Rows near a row of another set fall, whoever makes them; what the final-answer check dropped is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from synthgain import Run, Scripted, curate, generate
from synthgain.cli import app
from synthgain.types import SynthgainError

QUESTION = "A baker bakes 12 loaves each morning and sells 9 of them before noon; how many loaves are left at the end of the week?"
NEAR = "A baker bakes 12 loaves each morning and sells 9 of them before noon; how many loaves are left at the end of that week?"
OTHERS = [
    f"Tell me about mill number {i}, its wheels, its owner and the river {'abcdefgh'[i % 8]} that drives it."
    for i in range(6)
]

MINE = """
from synthgain.types import *

async def draft(models, anchor):
    call = await models(Prompt((user(anchor.text),)))
    yield Row(text=call.text, calls=(call,))

RECIPE = Recipe("mine", "1", draft)
"""


def lines(file: Path, rows: list[Any]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file


@pytest.fixture
def evals(tmp_path: Path) -> Path:
    return lines(
        tmp_path / "evals.jsonl", [{"question": QUESTION, "answer": "#### 21"}, {"question": "Who?", "answer": "I"}]
    )


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    rows = [
        {"prompt": q, "completion": f"Well, {i} it is, as far as anybody can say."}
        for i, q in enumerate([NEAR, *OTHERS])
    ]
    return lines(tmp_path / "theirs.jsonl", rows)


def test_a_data_set_against_an_evaluation_set(tmp_path: Path, evals: Path, theirs: Path) -> None:
    run = curate(theirs, out=tmp_path / "run", against=[evals])
    assert run.record["dropped_by"] == {"against": 1}
    fallen = [row for shard in run.shards() for row in shard.to_pylist() if not row["kept"]]
    assert f"{evals}:1" in fallen[0]["reason"] and fallen[0]["score"] >= 0.7
    assert f"--against {evals}" in run.record["command"]
    assert curate(run).record["dropped_by"] == {"against": 1}
    assert curate(run, without=["against"]).record["counts"]["dropped"] == 0


def test_a_run_against_an_evaluation_set(tmp_path: Path, evals: Path) -> None:
    texts = [NEAR, *OTHERS]
    echo = Scripted(lambda prompt: next(text for text in texts if text in prompt.messages[-1]["content"]))
    run = generate("rephrase", texts, model=echo, out=tmp_path / "run", knobs={"styles": ("easy",)}, without=["all"])
    before = run.record["counts"]["kept"]
    run = curate(run, against=[evals])
    assert run.record["dropped_by"] == {"against": 1} and run.record["counts"]["kept"] == before - 1
    assert curate(run).record["dropped_by"] == {"against": 1}
    other = generate(
        "rephrase",
        texts,
        model=echo,
        out=tmp_path / "other",
        knobs={"styles": ("easy",)},
        without=["all"],
        against=[evals],
    )
    assert other.record["dropped_by"] == {"against": 1}


def test_a_set_that_changed_is_not_taken_for_what_it_was(tmp_path: Path, evals: Path, theirs: Path) -> None:
    run = curate(theirs, out=tmp_path / "run", against=[evals])
    lines(evals, [{"question": "Which of the two kings signed the treaty of the long winter?", "answer": "x"}])
    with pytest.raises(SynthgainError, match="has changed") as error:
        curate(run)
    assert f"--against {evals}" in error.value.next and "--without against" in error.value.next
    assert curate(run, against=[evals]).record["counts"]["kept"] == len(OTHERS) + 1
    evals.unlink()
    with pytest.raises(SynthgainError, match="cannot be read"):
        curate(run)
    record = run.record
    record["request"]["checks"][0]["settings"]["sets"] = ["hf://somebody/evals"]
    run.write_record(record)
    with pytest.raises(SynthgainError, match="reaches no server"):
        curate(run)


def test_generate_and_curate_take_it_from_the_command_line(tmp_path: Path, evals: Path, theirs: Path) -> None:
    said = CliRunner().invoke(
        app, ["curate", str(theirs), "-o", str(tmp_path / "run"), "--against", str(evals), "--json"]
    )
    assert json.loads(said.stdout)["dropped_by"] == {"against": 1}
    (tmp_path / "mine.py").write_text(MINE)
    asked = [
        "generate",
        str(tmp_path / "mine.py"),
        str(theirs),
        "-o",
        str(tmp_path / "made"),
        "-m",
        "scripted/echo",
        "--against",
        str(evals),
        "--json",
    ]
    said = CliRunner().invoke(app, asked)
    record = json.loads(said.stdout)
    assert record["dropped_by"]["against"] > 0 and f"--against {evals}" in record["command"]
    assert CliRunner().invoke(app, [*asked[:-2], str(tmp_path / "none.jsonl")]).exception.code == 2  # type: ignore[union-attr]


def test_misses_show_text_found_and_gold(tmp_path: Path) -> None:
    rows = [
        {"prompt": "What is 1 and 1?", "completion": "One and one.\nAnswer: 3", "gold": "2"},
        {"prompt": "What is 2 and 2?", "completion": "It is four, I think.", "gold": "4"},
        {"prompt": "What is 3 and 3?", "completion": "Answer: 6", "gold": "6"},
    ]
    file, run = lines(tmp_path / "sums.jsonl", rows), tmp_path / "run"
    said = CliRunner().invoke(
        app, ["curate", str(file), "-o", str(run), "--with", "final-answer:gold=gold", "--show-misses", "20"]
    )
    assert "found  3" in said.stdout and "gold   2" in said.stdout and "It is four, I think." in said.stdout
    assert "found  nothing" in said.stdout and "Answer: 6" not in said.stdout
    told = json.loads(CliRunner().invoke(app, ["curate", str(run), "--show-misses", "1", "--json"]).stdout)
    assert [(m["found"], m["gold"]) for m in told["misses"]] == [("3", ["2"])]


def test_misses_of_a_run_are_compared_with_its_anchors(tmp_path: Path) -> None:
    questions = [{"text": f"What is {i} and 1?", "answer": str(i + 1)} for i in range(3)]
    run = generate(
        "rft", questions, model=Scripted(lambda p: "So it is.\nAnswer: 2"), out=tmp_path / "run", knobs={"k": 1}
    )
    from synthgain.api import misses

    found = misses(run)
    assert {(m["found"], *m["gold"]) for m in found} == {("2", "1"), ("2", "3")}
    with pytest.raises(SynthgainError, match="did not judge"):
        misses(curate(run, without=["final-answer"]))


def test_a_question_inside_a_longer_chat_falls(tmp_path: Path, evals: Path) -> None:
    long = (
        f"Please help me with my homework of this week, which I could not do. {QUESTION} Say it in one short sentence."
    )
    other = long.replace("12 loaves", "15 loaves")
    chats = [
        {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "Twenty-one are left."}]}
        for text in (long, other, long.replace(QUESTION, OTHERS[0]))
    ]
    file = lines(tmp_path / "chats.jsonl", chats)
    told = CliRunner().invoke(app, ["curate", str(file), "-o", str(tmp_path / "run"), "--against", str(evals)]).stdout
    assert "1 rows kept of 3 (dropped: 2 against)" in told
    run = Run(tmp_path / "run")
    reasons = [row["reason"] for shard in run.shards() for row in shard.to_pylist()]
    assert reasons == [f"holds {evals}:1", f"holds {evals}:1 with other numbers", ""]

"""What every recipe promises, held on its own examples with the scripted model (HOUSE.md, "One recipe, in outline").

The prompts are compared with tests/recipes/golden/NAME.json; after a change that is meant, run this file once with
UPDATE_GOLDEN=1 and read the difference.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from synthgain import Run, Scripted, SynthgainError, curate, export, generate, trace
from synthgain.recipes import load, names
from synthgain.store import chat
from synthgain.train.rows import read_rows
from synthgain.types import Call, Prompt, Recipe, assistant, digest

GOLDEN = Path(__file__).parent / "golden"


REPLIES: tuple[
    tuple[str, Callable[[int], str]], ...
] = (  # what a prompt ends with, or holds: what is said, varied by a number
    (
        "\n4.",
        lambda n: (
            f" Tell apart item {n} and thing {n + 1} of lot {n + 2}.\n5. Count {n} of kind {n + 7} in box {n + 9}."
        ),
    ),
    ("Fixed labels:", lambda n: " Yes" if n % 2 else " No"),
    ("\nLabel:", lambda n: f" red\nInput: a brick {n}\nLabel: green\nInput: a leaf {n}"),
    (
        "Do each task. Where",
        lambda n: f"Example 1\nInput: lot {n}\nOutput: box {n}\nExample 2\nInput: lot {n + 1}\nOutput: bag {n}",
    ),
    (
        "4. Instruction:",
        lambda n: (
            f" Sort {n} things by kind {n + 1}.\n4. Input:\n<noinput>\n4. Output:\nA list of {n}.\n"
            f"###\n5. Instruction: Name part {n} of wheel {n + 3}.\n5. Input:\nwheel {n}\n5. Output:\nThe hub."
        ),
    ),
    ("Equal or Different", lambda n: "Different"),
    ('line "Score: N"', lambda n: f"It is plain.\nScore: {5 if n % 3 else 4}"),
)
TABLE = "| thing | number |\n| --- | --- |\n| scoops | 130 |\n\n"
PROSE = (
    "The pump of the town was built by two brothers and has never stood still since, as the keeper of its book wrote. "
    * 4
)
MARKED = {  # what a prompt asks for → an answer that has it; the first that fits
    "Markdown table": TABLE + "Question: How many scoops?\nAnswer: 130",
    'begins with "Strategy:"': "Strategy: Draw a map of it.\nStrategy: Tell it to a child.",
    'begins with "Question:"': "Question: Who built it?\nQuestion: When was it built?",
    '"Problem:"': "Problem: Two pumps have 3 scoops each. How many are there?\nSolution: 2 * 3 = 6",
    "numbered steps": "1. Fill it.\n2. Turn it.",
    '"Reworded text:"': f"Reworded text: {PROSE}",
    '"Shortened text:"': f"Shortened text: {PROSE}",
    "begins with a hyphen": f"- {PROSE}\n- {PROSE}",
    "passages of a textbook": PROSE,
    "list of questions": "Question: Who built it?\nAnswer: Two brothers, and it stands still.",
    "up to eight questions": "\n".join(f"Question: Who built pump {n}?\nAnswer: {PROSE}" for n in range(4)),
}


def fitting(schema: Mapping[str, Any]) -> Any:
    """A value that follows a JSON Schema of the kinds that recipes use."""
    if "enum" in schema:
        return schema["enum"][-1]
    match schema["type"]:
        case "object":
            return {name: fitting(part) for name, part in schema["properties"].items()}
        case "array":
            return [fitting(schema["items"])]
        case "integer":
            return schema["maximum"]
    return "some words"


def answer(prompt: Prompt) -> str:
    """A sensible answer to any recipe's prompt: JSON where a schema is given, else what it asks for, else prose with a final answer."""
    asked = prompt.messages[-1]["content"]
    if prompt.schema is not None and "wrong" in json.dumps(prompt.schema):
        passage = asked.partition("Passage:\n\n")[2].partition("\n\n(End")[0]
        told = [sentence.strip() for sentence in passage.split(". ")]
        last = [sentence.strip(".").split()[-1] for sentence in told]
        listed = [
            {
                "sentence": one,
                "question": f"What is told of case {n} there?",
                "answer": last[n],
                "wrong": [w for w in last if w != last[n]],
            }
            for n, one in enumerate(told)
        ]
        return json.dumps({"questions": listed})
    if prompt.schema is not None and "entities" not in prompt.schema["properties"]:
        return json.dumps(fitting(prompt.schema))
    number = int(digest(prompt.content)[:6], 16)
    if 'line "Better: A"' in asked:
        a, b = (re.search(rf"Answer {name}:\n(.*?)\n\n\(End", asked, re.DOTALL) for name in "AB")
        assert a is not None and b is not None
        return f"It is shorter.\nBetter: {'A' if a[1] < b[1] else 'B'}"
    for mark, reply in REPLIES:
        if asked.endswith(mark) or (len(mark) > 8 and mark in asked):
            return reply(number)
    if prompt.schema is not None:
        capitals = re.findall(r"\b[A-Z][a-z]+ [A-Z][a-z]+\b", asked)
        return json.dumps(
            {"title": "A title", "summary": "A summary of it.", "entities": list(dict.fromkeys(capitals))[:4]}
        )
    if said := next((said for mark, said in MARKED.items() if mark in asked), ""):
        return said
    if 'Begin each question with "Question:"' in asked:
        return f"Question: What is asked in kind {asked[-20:]}?\nAnswer: a bell"
    if 'Under the line "### Thought"' in asked:
        return f"### Thought\nOf {len(asked)} letters.\n\n### Solution\n5 * 6 = 30\nAnswer: 30"
    return f"Draw {prompt.draw} of {len(asked)} letters.\n5 * 6 = 30\nAnswer: 30"


def small(name: str) -> Recipe:
    """The shipped recipe, with fewer draws where its default is many, and fewer requests."""
    recipe = load(name)
    knobs = {f.name for f in fields(recipe.draft)}  # type: ignore[arg-type]
    if hasattr(recipe.pick, "requests"):
        recipe = replace(recipe, pick=replace(recipe.pick, requests=3))  # type: ignore[type-var]
    few = {knob: n for knob, n in {"k": 4, "samples": 1}.items() if knob in knobs}
    return replace(recipe, draft=replace(recipe.draft, **few))  # type: ignore[type-var]


def made(recipe: Recipe, out: Path, reply: Callable[[Prompt], Any] = answer) -> tuple[Run, list[Prompt]]:
    asked: list[Prompt] = []

    def remembered(prompt: Prompt) -> Any:
        asked.append(prompt)
        return reply(prompt)

    return generate(recipe, recipe.examples, model=Scripted(remembered), out=out), asked


def rows(run: Run) -> list[dict[str, Any]]:
    return [row for file in run.files("rows") for row in pq.read_table(file).to_pylist()]


@pytest.mark.parametrize("name", names())
def test_it_runs_and_each_row_names_its_parents(name: str, tmp_path: Path) -> None:
    recipe = small(name)
    run, asked = made(recipe, tmp_path / "run")
    made_rows = rows(run)
    assert run.record["status"] == "complete" and run.record["counts"]["broken"] == 0
    assert bool(asked) == bool(recipe.all_roles) and made_rows and any(row["kept"] for row in made_rows)
    assert {id for row in made_rows for id in row["anchor_ids"]} == {
        replace(a, needs=recipe.needs).id for a in recipe.examples
    }
    assert all(
        row["recipe"] == name and (row["call_ids"] or json.loads(row["fields"]).get("human")) for row in made_rows
    )
    assert {field for row in made_rows for field in json.loads(row["fields"])} <= {*recipe.all_fields}
    assert all((row["messages"] is None) != (row["text"] is None) for row in made_rows)
    assert all(row["check"] and row["reason"] for row in made_rows if not row["kept"])


@pytest.mark.parametrize("name", names())
def test_a_second_run_pays_nothing_and_says_the_same(name: str, tmp_path: Path) -> None:
    run, asked = made(small(name), tmp_path / "run")
    first = rows(run)
    again, paid = made(small(name), tmp_path / "run")
    assert bool(asked) == bool(load(name).all_roles) and not paid
    assert again.record["counts"]["calls_bought"] == 0
    assert rows(again) == first
    elsewhere, _ = made(small(name), tmp_path / "other")
    assert rows(elsewhere) == first


@pytest.mark.parametrize("name", names())
def test_kept_rows_come_back_from_disk(name: str, tmp_path: Path) -> None:
    run, _ = made(small(name), tmp_path / "run")
    kept = [row for row in rows(run) if row["kept"]]
    data = [row for file in sorted(run.data.glob("*.parquet")) for row in pq.read_table(file).to_pylist()]
    assert [row["id"] for row in data] == [row["id"] for row in kept]
    said = [row["text"] or chat(row["messages"]) for row in kept]
    assert [row.get("text") or chat(row.get("messages")) for row in data] == said
    for row, stored in zip(kept, data):
        assert set(json.loads(row["fields"])) <= set(stored)


@pytest.mark.parametrize("name", names())
def test_trace_finds_each_rows_anchors_and_calls(name: str, tmp_path: Path) -> None:
    run, _ = made(small(name), tmp_path / "run")
    for row in rows(run):
        life = trace(run, row["id"])
        assert [anchor["id"] for anchor in life["anchors"]] == row["anchor_ids"]
        assert [call["id"] for call in life["calls"]] == row["call_ids"]


@pytest.mark.parametrize("name", names())
def test_curate_without_options_changes_nothing(name: str, tmp_path: Path) -> None:
    recipe = small(name)
    run, _ = made(recipe, tmp_path / "run")
    before = rows(run), run.record["dropped_by"], run.record["recipe"]
    again = curate(run)
    assert (rows(again), again.record["dropped_by"], again.record["recipe"]) == before


@pytest.mark.parametrize("name", names())
def test_kept_rows_go_through_export_into_training_rows(name: str, tmp_path: Path) -> None:
    run, _ = made(small(name), tmp_path / "run")
    kept = [row for row in rows(run) if row["kept"]]
    form = "chat" if kept[0]["messages"] is not None else "text"
    file, came = export(run, to=form, out=tmp_path / "rows.jsonl")
    read = list(read_rows(file))
    assert came.written == len(read) == len(kept)
    assert [row.text if row.messages is None else row.messages for row in read] == [
        row["text"] or chat(row["messages"]) for row in kept
    ]
    assert next(iter(read_rows(run.path))).messages == read[0].messages


@pytest.mark.parametrize("name", names())
def test_prompts_equal_the_golden_copy(name: str, tmp_path: Path) -> None:
    _, asked = made(small(name), tmp_path / "run")
    said = sorted((json.loads(prompt.content) for prompt in asked), key=lambda p: json.dumps(p, ensure_ascii=False))
    golden = GOLDEN / f"{name}.json"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(json.dumps(said, ensure_ascii=False, indent=1) + "\n", "utf-8")
    assert said == json.loads(golden.read_text("utf-8"))


MALFORMED = {
    "empty": "",
    "spaces": " \n\t ",
    "garbage": '\x00\x07 ]]} <|end|> {"',
    "lone surrogate": "\ud83d half of a sign",
    "truncated JSON": '{"title": "t", "summary": "half a sen',
    "wrong JSON": '{"entities": {"a": [1, null]}, "summary": 3}',
    "deep JSON": "[" * 50_000,
    "very long": "Answer: word = 1 + " * 10_000,
}


@pytest.mark.parametrize("said", MALFORMED.values(), ids=list(MALFORMED))
@pytest.mark.parametrize("name", names())
def test_malformed_answers_end_as_verdicts(name: str, said: str, tmp_path: Path) -> None:
    def cut_off(prompt: Prompt) -> Call:
        return Call(
            id=prompt.id("scripted/python"),
            prompt=prompt,
            message=assistant(said),
            model="scripted/python",
            finish="length",
        )

    replies = {"whole": lambda prompt: said, "cut": cut_off}
    if len(said) > 100_000:
        del replies["whole"]  # what is very long is cut off
    for folder, reply in replies.items():
        try:
            run, _ = made(small(name), tmp_path / folder, reply)
        except SynthgainError as error:
            pytest.fail(f"the run stopped: {error}")
        assert run.record["counts"]["broken"] == 0
        drawn = [row for row in rows(run) if row["call_ids"]]
        assert bool(drawn) == bool(load(name).all_roles) and all(
            row["kept"] or (row["check"] and row["reason"]) for row in drawn
        )
        if not said.strip():
            assert not any(row["kept"] for row in drawn)

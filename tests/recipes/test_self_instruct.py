"""Self-Instruct: a growing pool, labels first for classification, a cut list falls as a whole, novelty against everything kept."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from doubles.drafting import Desk
from doubles.server import served
from synthgain import Run, Scripted, generate
from synthgain.curate.tasks import Task
from synthgain.recipes.self_instruct import (
    KINDS,
    RECIPE,
    Demonstrations,
    SelfInstruct,
    asked_as,
    faults,
    items,
)
from synthgain.types import Anchor, Call, Prompt, Row, SynthgainError

SEEDS = [
    Anchor(f"Seed task about {word} things.", f"s#{word}", {"output": f"{word}!"})
    for word in ("red", "blue", "loud", "wet", "old", "thin", "warm", "odd", "new", "far")
]


def kind_of(prompt: Prompt) -> str:
    said = prompt.messages[-1]["content"]
    return "kind" if said.endswith("Fixed labels:") else "list" if re.search(r"\n\d+\.$", said) else "instances"


def script(listed: str, kind: str = "No", instances: str = "Example 1\nInput: a\nOutput: b") -> Callable[[Prompt], str]:
    answers = {"list": listed, "kind": kind, "instances": instances}
    return lambda prompt: answers[kind_of(prompt)]


async def drafted(desk: Desk, shown: Sequence[Anchor] = SEEDS[:8], **knobs: Any) -> list[Row]:
    return [row async for row in SelfInstruct(**knobs)(desk, *shown)]


async def test_a_base_model_goes_on_with_a_numbered_list() -> None:
    desk = Desk(script(" name two kinds of tree.\n10. Tell how paper is made by hand."))
    rows = await drafted(desk)
    asked = desk.asked[0]
    assert [turn["role"] for turn in asked.messages] == ["raw"] and asked.messages[0]["content"].endswith("\n9.")
    assert [f"{n}. {a.text}\n" in asked.messages[0]["content"] for n, a in enumerate(SEEDS[:8], 1)] == [True] * 8
    law = asked.sampling
    assert (law.temperature, law.top_p, law.presence_penalty, law.max_tokens, law.stop) == (
        0.7,
        0.5,
        2.0,
        1024,
        ("\n\n", "\n16"),
    )
    assert [row.fields["instruction"] for row in rows] == ["Name two kinds of tree.", "Tell how paper is made by hand."]
    assert all(len(row.calls) == 3 and row.calls[0].prompt == asked for row in rows)
    kind, worked = desk.asked[1:3]
    assert (kind.sampling.temperature, kind.sampling.max_tokens, kind.sampling.stop) == (0.0, 3, ("\n", "Task"))
    assert (worked.sampling.temperature, worked.sampling.presence_penalty, worked.sampling.max_tokens) == (
        0.0,
        1.5,
        350,
    )


async def test_a_classification_names_its_labels_first() -> None:
    desk = Desk(
        script(" Say if the fruit is ripe.", " Yes", " ripe\nInput: soft and red\nLabel: unripe\nInput: hard and green")
    )
    rows = await drafted(desk)
    asked = desk.asked[2]
    assert (
        asked.messages[0]["content"].endswith("Task: Say if the fruit is ripe.\nLabel:")
        and asked.sampling.max_tokens == 300
    )
    assert [(r.fields["input"], r.fields["output"], r.fields["classification"]) for r in rows] == [
        ("soft and red", "ripe", True),
        ("hard and green", "unripe", True),
    ]
    desk = Desk(
        script(
            " Say how a fruit ripens best.",
            " No",
            "Example 1\nOutput: In the sun.\nExample 2\nInput: plums\nOutput: On the sill.",
        )
    )
    rows = await drafted(desk)
    assert desk.asked[2].messages[0]["content"].endswith("Task: Say how a fruit ripens best.\n")
    assert [(r.fields["input"], r.answer) for r in rows] == [("", "In the sun."), ("plums", "On the sill.")]


async def test_a_list_that_was_cut_off_falls_as_a_whole() -> None:
    desk = Desk(script(" Name two kinds of tree.\n10. Tell how paper is"), finish="length")
    rows = await drafted(desk)
    assert len(desk.asked) == 1 and [row.fallen and row.fallen.reason for row in rows] == ["the list was cut off"]


async def test_an_instance_that_was_cut_off_falls_alone() -> None:
    class Cut(Desk):
        async def __call__(self, prompt: Prompt) -> Call:
            call = await super().__call__(prompt)
            return replace(call, finish="length") if kind_of(prompt) == "instances" else call

    two = "Example 1\nInput: a\nOutput: b\nExample 2\nInput: c\nOutput: half of"
    rows = await drafted(Cut(script(" Name two kinds of tree.", instances=two)))
    assert [(r.fields["input"], r.fallen) for r in rows] == [("a", None)]
    rows = await drafted(Cut(script(" Name two kinds of tree.", instances="Example 1\nInput: a\nOutput: b")))
    assert [r.fallen and r.fallen.reason for r in rows] == ["cut off in its first instance"]


async def test_unfit_instructions_cost_no_further_call() -> None:
    desk = Desk(
        script(" Draw a boat on a lake.\n10. Go.\n11. Write a program that adds.\n12. Étudie les arbres de la rue.")
    )
    rows = await drafted(desk)
    assert len(desk.asked) == 1 and len(rows) == 4
    assert all(row.fallen is not None and row.fallen.check == "instruction" for row in rows)


async def test_at_most_five_instances_and_their_rules() -> None:
    many = "\n".join(f"Example {n}\nInput: in {n}\nOutput: out {n}" for n in range(1, 9))
    assert len(await drafted(Desk(script(" Name two kinds of tree.", instances=many)))) == 5
    assert faults([("a", "b"), ("", "x"), ("", "y")]) == ["", "", ""]
    assert faults([("a", "b"), ("a", "c"), ("d", "e")]) == ["one input has several outputs"] * 3
    assert faults([("a", "a"), ("a", ""), ("q:", "b"), ("", "say:")])[0] == "the output is the input"
    assert faults([("q:", "b"), ("", "say:"), ("x", "")]) == ["ends in a colon", "ends in a colon", "no output"]


async def test_a_chat_model_is_asked_in_a_chat() -> None:
    desk = Desk(
        lambda p: (
            "9. name two kinds of tree.\n10. **Task 10:**" if len(desk.asked) == 1 else "Example 1\nOutput: Oak, elm."
        )
    )
    rows = await drafted(desk, base=False)
    assert all([turn["role"] for turn in p.messages] == ["system", "user"] for p in desk.asked)
    assert "write items 9 to 15" in desk.asked[0].messages[1]["content"] and not desk.asked[0].sampling.stop
    assert [(row.answer, row.fallen and row.fallen.reason) for row in rows] == [
        ("", "instruction too short"),
        ("Oak, elm.", None),
    ]


def test_examples_in_the_prompt_are_of_both_kinds() -> None:
    assert {yes for _, yes in KINDS} == {True, False}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("9. one task\n10. two\ntasks here", ["One task", "Two tasks here"]),
        ("9) one task\n  10: two", ["One task", "Two"]),
        ("3. too early\n9. right\n16. too late", ["Right"]),
        ("9.\n10. ", []),
        ("no number at all", []),
        ("**9.** bold NASA task", ["Bold NASA task"]),
    ],
)
def test_items(text: str, found: list[str]) -> None:
    assert items(text, 9) == found


def test_a_fields_name_goes_half_of_the_time() -> None:
    said = {asked_as(Task(f"Task {n}.", "Sentence: it rains", "x")) for n in range(60)}
    bare = sum("Sentence:" not in one for one in said)
    assert 15 < bare < 45 and all("it rains" in one for one in said)


# ---------------------------------------------------------------------------------------------- the pool


def rows_of(run: Any) -> list[dict[str, Any]]:
    return [row for file in run.files("rows") for row in pq.read_table(file).to_pylist()]


def test_machine_demonstrations_enter_the_prompts_and_trace_finds_them(tmp_path: Path) -> None:
    """No more than two of eight, none before there are any, and only what was accepted."""
    number = count()
    prompts: list[str] = []

    def reply(prompt: Prompt) -> str:
        if kind_of(prompt) == "list":
            prompts.append(prompt.messages[0]["content"])
            n = next(number)
            return f" Machine task a{n} b{n} c{n}.\n10. Draw d{n} e{n} f{n} here."
        return "No" if kind_of(prompt) == "kind" else "Example 1\nOutput: done"

    recipe = replace(RECIPE, pick=Demonstrations(requests=12, wave=3))
    run = generate(recipe, SEEDS, model=Scripted(reply, width=1), out=tmp_path / "run")
    own = [prompt.count("Machine task") for prompt in prompts]
    assert own[:3] == [0, 0, 0] and set(own[3:]) <= {1, 2} and 2 in own
    assert all(len(re.findall(r"(?m)^\d+\. \S", prompt)) == 8 and "Draw" not in prompt for prompt in prompts)
    made = [row for row in rows_of(run) if row["kept"] and not json.loads(row["fields"]).get("human")]
    seeds = {anchor.id for anchor in run.corpus()}
    assert any(set(row["anchor_ids"]) - seeds for row in made)
    again = generate(recipe, SEEDS, model=Scripted(reply), out=tmp_path / "run")
    assert again.record["counts"]["calls_bought"] == 0 and rows_of(again) == rows_of(run)


def test_novelty_is_against_every_seed_and_everything_kept_also_in_one_answer(tmp_path: Path) -> None:
    listed = (
        " Name two kinds of green tree here.\n10. Name two kinds of tall tree here.\n11. Seed task about thin things.\n"
        "12. Say why stars seem to move."
    )
    recipe = replace(RECIPE, pick=Demonstrations(requests=1))
    run = generate(recipe, SEEDS, model=Scripted(script(listed)), out=tmp_path / "run", limit=1)
    fate = {json.loads(row["fields"])["instruction"]: row["kept"] or row["check"] for row in rows_of(run)}
    assert fate == {
        "Name two kinds of green tree here.": True,
        "Name two kinds of tall tree here.": "novelty",
        "Seed task about thin things.": "novelty",
        "Say why stars seem to move.": True,
    }


def test_seeds_are_part_of_the_set_and_cost_nothing(tmp_path: Path) -> None:
    recipe = replace(RECIPE, pick=Demonstrations(requests=0))
    run = generate(recipe, SEEDS, model=Scripted(script("")), out=tmp_path / "run")
    assert run.record["counts"]["calls_bought"] == 0 and run.record["counts"]["kept"] == len(SEEDS)


def test_one_seed_is_too_few(tmp_path: Path) -> None:
    with pytest.raises(SynthgainError, match="several seed tasks"):
        generate(RECIPE, SEEDS[:1], model=Scripted(script("")), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_too_few_seeds_leave_a_run_that_is_there_as_it_was(tmp_path: Path) -> None:
    run = generate(
        replace(RECIPE, pick=Demonstrations(requests=0)), SEEDS, model=Scripted(script("")), out=tmp_path / "run"
    )
    before = [*run.rows()], run.record
    with pytest.raises(SynthgainError, match="several seed tasks"):
        generate(RECIPE, SEEDS[:1], model=Scripted(script("")), out=tmp_path / "run", replace=True)
    assert ([*run.rows()], Run.at(run.path).record) == before


def test_a_server_without_completions_says_so_before_anything_is_bought(tmp_path: Path) -> None:
    with served(no_text=404) as server, pytest.raises(SynthgainError, match="/completions") as error:
        generate(RECIPE, SEEDS, model=f"openai/some@{server.base_url}", out=tmp_path / "run")
    assert "base=false" in error.value.next


def test_a_base_models_server_grows_a_list(tmp_path: Path) -> None:
    """One that takes no chats at all."""
    recipe = replace(RECIPE, pick=Demonstrations(requests=2))
    with served(
        no_chat="no chat template", text=" Name a tree that loses its leaves.\n10. Say why some birds fly south.\n"
    ) as server:
        run = generate(recipe, SEEDS, model=f"openai/some@{server.base_url}", out=tmp_path / "run")
        assert server.stats()["statuses"].keys() == {"200"}
    assert run.record["counts"]["broken"] == 0 and run.record["counts"]["calls_bought"] > 2


@pytest.mark.parametrize("knobs", [{"requests": -1}, {"shown": 1}, {"machine": -1}, {"wave": 0}])
def test_bad_knobs(knobs: dict[str, int]) -> None:
    with pytest.raises(SynthgainError):
        Demonstrations(**knobs)
    with pytest.raises(SynthgainError):
        SelfInstruct(instances=0)

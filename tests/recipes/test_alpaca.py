"""Alpaca: many tasks in one call, demonstrations of seeds only, the last one falls where the answer was cut off."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from doubles.drafting import Desk
from synthgain import Scripted, generate
from synthgain.curate.tasks import Task
from synthgain.recipes.alpaca import NO_INPUT, RECIPE, Alpaca, SeedsOnly, tasks_in
from synthgain.types import Anchor, Prompt, Row, SynthgainError

SEEDS = [
    Anchor(f"Seed task number {n}.", f"s#{n}", {"instances": [{"input": f"in {n}", "output": f"out {n}"}]})
    for n in range(6)
]


def written(*tasks: tuple[str, str, str], first: int = 4) -> str:
    blocks = [
        f"{n}. Instruction: {i}\n{n}. Input:\n{a}\n{n}. Output:\n{o}\n" for n, (i, a, o) in enumerate(tasks, first)
    ]
    return "###\n".join(blocks).removeprefix(f"{first}. Instruction:")


async def drafted(desk: Desk, shown: Sequence[Anchor] = SEEDS[:3], **knobs: Any) -> list[Row]:
    return [row async for row in Alpaca(**knobs)(desk, *shown)]


TWO = written(("Sort these words.", "b, a", "a, b"), ("Name a river.", NO_INPUT, "The Po."))


async def test_one_call_gives_many_tasks() -> None:
    desk = Desk(lambda p: TWO)
    rows = await drafted(desk)
    assert len(desk.asked) == 1
    said, law = desk.asked[0].messages[0]["content"], desk.asked[0].sampling
    assert said.endswith("###\n4. Instruction:") and "a set of 20 different tasks" in said
    assert all(f"{n + 1}. Instruction: Seed task number {n}.\n{n + 1}. Input:\nin {n}\n" in said for n in range(3))
    assert (law.temperature, law.top_p, law.max_tokens, law.stop) == (1.0, 1.0, 3072, ("\n20", "20."))
    assert [(r.fields["instruction"], r.fields["input"], r.answer, r.fields["place"]) for r in rows] == [
        ("Sort these words.", "b, a", "a, b", 0),
        ("Name a river.", "", "The Po.", 1),
    ]
    assert [r.messages[0]["content"] for r in rows if r.messages] == ["Sort these words.\n\nb, a", "Name a river."]


async def test_the_last_task_of_a_cut_answer_falls_alone() -> None:
    rows = await drafted(Desk(lambda p: TWO, finish="length"))
    assert [row.fallen and row.fallen.reason for row in rows] == [None, "cut off at the token limit"]
    rows = await drafted(Desk(lambda p: TWO + "###\n6. Instruction: Half of", finish="length"))
    assert [row.fallen and row.fallen.reason for row in rows] == [None, None, "cut off at the token limit"]


def test_only_seeds_are_shown_whatever_was_accepted(tmp_path: Path) -> None:
    prompts: list[str] = []

    def reply(prompt: Prompt) -> str:
        prompts.append(prompt.messages[0]["content"])
        n = len(prompts)
        return written((f"Machine task {'abcdefgh'[n]} on topic {n * 7}.", NO_INPUT, f"done {n}"))

    run = generate(replace(RECIPE, pick=SeedsOnly(requests=6)), SEEDS, model=Scripted(reply), out=tmp_path / "run")
    assert run.record["counts"]["rows"] == 6 and run.record["counts"]["kept"] > 1
    shown = [re.findall(r"Instruction: (.*)", prompt) for prompt in prompts]
    assert all(len(set(one)) == 3 and all(text.startswith("Seed") for text in one) for one in shown)
    assert len({tuple(one) for one in shown}) > 1


@pytest.mark.parametrize(
    "text",
    [
        "###\n4. Instruction: Name it.\n4. Input:\n<noinput>\n4. Output:\nThe Po.",
        "### 4. Instruction: Name it.\n### Input:\nNone\n### Output:\nThe Po.\n",
        "4. **Instruction:** Name it.\n4. **Input:** <no input>\n4. **Output:** The Po.\n\n20",
        "4) Instruction: Name\n it.\nInput: n/a\nOutput: The Po.",
    ],
)
def test_forms_that_are_read(text: str) -> None:
    assert tasks_in(text) == [Task("Name it.", "", "The Po.")]


def test_blocks_that_are_none_are_kept_as_they_came() -> None:
    found = tasks_in("4. Instruction: a\n4. Output: b\n5. Instruction: c\n5. Input: d\n5. Output: e")
    assert found == ["4. Instruction: a\n4. Output: b", Task("c", "d", "e")]
    assert tasks_in("") == [] and tasks_in("### ###\n###") != [Task("")]


def test_too_few_seeds_and_bad_knobs(tmp_path: Path) -> None:
    with pytest.raises(SynthgainError, match="shows 3 seed tasks"):
        generate(RECIPE, SEEDS[:2], model=Scripted(lambda p: TWO), out=tmp_path / "run")
    with pytest.raises(SynthgainError, match="tasks is more than the 3"):
        generate("alpaca", SEEDS, model=Scripted(lambda p: TWO), out=tmp_path / "run", knobs={"tasks": 3})
    assert not (tmp_path / "run").exists()
    for knobs in ({"requests": 0}, {"shown": 0}):
        with pytest.raises(SynthgainError):
            SeedsOnly(**knobs)

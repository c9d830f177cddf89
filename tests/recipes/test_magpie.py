"""Magpie: nothing but the opening of a user's turn, the instruction then asked as a chat, tags, and a clear word where a server cannot."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from doubles.drafting import Desk, drafted
from doubles.server import served
from synthgain import Scripted, curate, generate
from synthgain.recipes.magpie import OPENINGS, RECIPE, Magpie, tags_in
from synthgain.types import Anchor, Prompt, Recipe, SynthgainError

SYSTEM = Anchor("You help people who keep bees.", "s#1")


def small(**knobs: object) -> Recipe:
    return replace(RECIPE, draft=Magpie(**{"k": 2, **knobs}))  # type: ignore[arg-type]


def replies(
    instruction: Callable[[int], str], tags: str = '{"quality": "good", "difficulty": "easy", "category": "advice"}'
) -> Callable[[Prompt], str]:
    def reply(prompt: Prompt) -> str:
        if prompt.messages[-1]["role"] == "raw":
            return instruction(prompt.draw)
        return tags if prompt.to == "judge" else "Feed them in October."

    return reply


async def test_the_opening_alone_is_sent_and_the_instruction_is_then_asked_greedily() -> None:
    desk = Desk(replies(lambda n: f"  How do I winter hive {n}?"))
    rows = await drafted(small(), SYSTEM, desk)
    raw = [p for p in desk.asked if p.messages[-1]["role"] == "raw"]
    opened = ({"role": "system", "content": SYSTEM.text}, {"role": "raw", "name": "user", "content": ""})
    assert [(p.messages, p.draw) for p in raw] == [(opened, n) for n in (0, 1)]
    assert (raw[0].sampling.temperature, raw[0].sampling.top_p, raw[0].sampling.stop) == (1.0, 1.0, ("\n",))
    assert [[turn["content"] for turn in row.messages or ()] for row in rows] == [
        [f"How do I winter hive {n}?", "Feed them in October."] for n in (0, 1)
    ]
    answers = [row.calls[-1].prompt for row in rows]
    assert all(p.sampling.temperature == 0 and [t["role"] for t in p.messages] == ["user"] for p in answers)
    assert [(r.fields["quality"], r.fields["difficulty"], r.fields["category"]) for r in rows] == [(4, 2, "advice")] * 2


async def test_other_templates() -> None:
    for name, text in OPENINGS.items():
        desk = Desk(replies(lambda n: "Hello there?"))
        await drafted(small(template=name, tags=False), SYSTEM, desk)
        said = desk.asked[0].messages[0]["content"]
        assert said == text.replace("{system}", SYSTEM.text) and "{" not in said
        assert [p.to for p in desk.asked] == ["writer"] * 4
    desk = Desk(replies(lambda n: "Hello there?"))
    await drafted(small(opening="USER:", template="nobody's"), SYSTEM, desk)
    assert desk.asked[0].messages[0]["content"] == "USER:"
    with pytest.raises(SynthgainError, match="the opening"):
        Magpie(template="nobody's")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("", "no instruction"),
        ("…", "no instruction"),
        ("Do this:", "ends in a colon"),
        ("x<|im_end|>", "marks of a template in it"),
    ],
)
async def test_what_is_no_instruction_costs_no_answer(said: str, why: str) -> None:
    desk = Desk(replies(lambda n: said))
    rows = await drafted(small(), SYSTEM, desk)
    assert len(desk.asked) == 2 and [row.fallen and row.fallen.reason for row in rows] == [why] * 2
    desk = Desk(replies(lambda n: "How do I"), finish="length")
    rows = await drafted(small(), SYSTEM, desk)
    assert [row.fallen and row.fallen.reason for row in rows] == ["the instruction was cut off"] * 2


def test_poor_and_untagged_instructions_and_near_ones_fall(tmp_path: Path) -> None:
    lines = [
        "How should a hive be moved to another field?",
        "How should a hive be moved to another field?",
        "What does bee bread taste of?",
        "Name a plant that bees avoid.",
    ]
    qualities = {lines[2]: "poor", lines[3]: "splendid"}

    def reply(prompt: Prompt) -> str:
        if prompt.messages[-1]["role"] == "raw":
            return lines[prompt.draw]
        asked = prompt.messages[0]["content"].split("Question:\n")[-1]
        return (
            json.dumps({"quality": qualities.get(asked, "Excellent")})
            if prompt.to == "judge"
            else f"Answer {len(asked)}"
        )

    run = generate(small(k=4), [SYSTEM], model=Scripted(reply), out=tmp_path / "run")
    assert run.record["counts"]["kept"] == 1 and run.record["dropped_by"] == {"judge-score": 2, "near-duplicate": 1}


@pytest.mark.parametrize("said", ["", "{", "[1]", '{"quality": 3, "difficulty": null}', '{"quality": ["good"]}'])
def test_tags_that_are_none(said: str) -> None:
    assert tags_in(said) == {"quality": None, "difficulty": None, "category": ""}


def test_a_server_without_text_or_template_says_so_before_anything_is_bought(tmp_path: Path) -> None:
    refusals = {"text": ({"no_text": 404, "template": "apply"}, "/completions"), "template": ({}, "chat template")}
    for name, (plan, said) in refusals.items():
        with served(**plan) as server, pytest.raises(SynthgainError, match=said) as error:
            generate(small(), [SYSTEM], model=f"openai/some@{server.base_url}", out=tmp_path / name)
        assert "local/" in error.value.next


def test_a_server_that_tells_its_template_is_given_the_opening(tmp_path: Path) -> None:
    with served(template="apply") as server:
        run = generate(small(tags=False), [SYSTEM], model=f"openai/some@{server.base_url}", out=tmp_path / "run")
    asked = [call.prompt for call in run.memory(readonly=True)]
    assert sum(p.messages[-1]["role"] == "raw" for p in asked) == 2 and run.record["counts"]["broken"] == 0
    assert run.record["counts"]["rows"] == 2


def test_without_tags_no_judge_is_asked_and_none_is_missed(tmp_path: Path) -> None:
    lines = ["How do bees keep warm?", "Name a plant that bees avoid."]

    def reply(prompt: Prompt) -> str:
        return lines[prompt.draw] if prompt.messages[-1]["role"] == "raw" else f"To {prompt.messages[0]['content']}"

    knobs = {"k": 2, "tags": "false"}
    run = generate("magpie", [SYSTEM], model={"writer": Scripted(reply)}, knobs=knobs, out=tmp_path / "run")
    assert run.record["counts"]["kept"] == 2 and run.record["counts"]["calls_bought"] == 4
    assert "judge-score" not in {check["name"] for check in run.record["recipe"]["checks"]}
    assert curate(run).record["counts"]["kept"] == 2


def test_the_opening_is_what_the_embedded_models_template_writes() -> None:
    """With the weights that are here; chatml is the family of the default model."""
    from synthgain.models import weights

    try:
        template = weights.metadata(weights.find("smollm2-135m")).get("tokenizer.chat_template", "")
    except SynthgainError:
        pytest.skip("the weights of local/smollm2-135m are not here")
    jinja = pytest.importorskip("jinja2")
    turns = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
    written = jinja.Environment().from_string(template).render(messages=turns, add_generation_prompt=False)
    assert written.split("U")[0] == OPENINGS["chatml"].replace("{system}", "S")

"""A tool conversation from the model's answer to a tokenized training example, and out of `export`."""

from __future__ import annotations

import html
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from synthgain import Run, Scripted, export, generate, report, trace
from synthgain.cli.lives import print_life
from synthgain.types import Anchor, Message, Models, Prompt, Recipe, Row, SynthgainError, assistant, user

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CALLED: Message = {
    "role": "assistant",
    "content": "",
    "reasoning": "I should look.",
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}],
}


async def conversation(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
    turns: tuple[Message, ...] = (user(anchor.text),)
    first = await models(Prompt(turns, tools=(WEATHER,)))
    call = first.message["tool_calls"][0]
    city = json.loads(call["function"]["arguments"])["city"]
    seen = await models(Prompt((user(f"weather of {city}"),), to="environment"))
    tool: Message = {"role": "tool", "tool_call_id": call["id"], "name": "weather", "content": seen.text}
    turns = (*turns, first.message, tool)
    last = await models(Prompt(turns, tools=(WEATHER,)))
    rejected: tuple[Message, ...] = (assistant("I do not know."),)
    yield Row(
        messages=(*turns, {**last.message, "learn": True}),
        tools=(WEATHER,),
        rejected=rejected,
        calls=(first, seen, last),
    )


RECIPE = Recipe("tool-talk", "1", conversation, roles=("writer", "environment"))


def reply(prompt: Prompt) -> Any:
    if prompt.to == "environment":
        return "4 degrees"
    return assistant("It is 4 degrees.") if prompt.messages[-1]["role"] == "tool" else CALLED


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return generate(RECIPE, ["How warm is Oslo?", "Is Oslo cold?"], model=Scripted(reply), out=tmp_path / "run")


def test_it_survives_the_memory_and_the_rows(run: Run) -> None:
    row = next(iter(run.shards())).to_pylist()[0]
    life = trace(run, row["id"])
    assert life["calls"][0]["message"] == CALLED
    assert life["calls"][0]["prompt"]["tools"] == [WEATHER]
    assert [t["role"] for t in row["messages"]] == ["user", "assistant", "tool", "assistant"]
    called = row["messages"][1]
    assert called["tool_calls"][0]["function"] == {"name": "weather", "arguments": '{"city":"Oslo"}'}
    assert called["reasoning"] == "I should look." and row["messages"][2]["tool_call_id"] == "c1"
    assert row["messages"][3]["learn"] is True and row["rejected"][0]["content"] == "I do not know."
    again = generate(RECIPE, ["How warm is Oslo?", "Is Oslo cold?"], model=Scripted(reply), out=run.path)
    assert again.record["counts"]["calls_bought"] == 0 and next(iter(again.shards())).to_pylist()[0] == row


def test_trace_and_the_page_show_the_calls(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """What a model asked of a tool is part of the row: for people too it stands where the model said it."""
    row = next(id for shard in run.shards(["id"]) for id in shard.column("id").to_pylist())
    print_life(trace(run, row))
    assert capsys.readouterr().out.count('weather({"city":"Oslo"})') == 3  # an answer, the next prompt, the row
    shown = html.unescape(report(run).read_text("utf-8"))
    assert shown.count('weather({"city":"Oslo"})') >= 6 and "(empty)" not in shown


def test_prompts_that_differ_in_tool_calls_are_two() -> None:
    other = {
        **CALLED,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "stocks", "arguments": "{}"}}],
    }
    tool: Message = {"role": "tool", "tool_call_id": "c1", "content": "4 C"}
    a, b = Prompt((user("w?"), CALLED, tool)), Prompt((user("w?"), other, tool))  # type: ignore[arg-type]
    assert a.id("m") != b.id("m") and Row(messages=a.messages).id != Row(messages=b.messages).id
    assert Prompt.read(a.content) == a
    assert Prompt((user("w?"),), tools=(WEATHER,)).id("m") != Prompt((user("w?"),)).id("m")


@pytest.mark.parametrize(
    "wrong",
    [
        {"role": "user", "content": "a", "weight": 1},
        {"role": "user"},
        {"role": "assistant", "content": "", "tool_calls": "x"},
    ],
)
def test_a_message_with_another_key_is_refused_where_the_prompt_is_made(wrong: Any) -> None:
    with pytest.raises(SynthgainError, match="message"):
        Prompt((wrong,))
    with pytest.raises(SynthgainError, match="message"):
        Row(messages=(wrong,))


def test_it_trains_and_comes_back_out_of_export(run: Run, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from doubles.spelled import chats
    from doubles.tiny import tiny_model
    from synthgain.train.rows import read_rows

    tokenizer = AutoTokenizer.from_pretrained(tiny_model(tmp_path / "tiny", template=TEMPLATE))
    direct = chats(read_rows(run.path), tokenizer, 512)
    text = tokenizer.decode(direct.examples[0].ids)
    learnt = tokenizer.decode([i for i in direct.examples[0].labels if i >= 0])
    assert "The weather of a city" in text and "Oslo" in learnt and "It is 4 degrees." in learnt
    assert "How warm" not in learnt and "4 degrees<" not in learnt.split("It is")[0]
    for form in ("chat", "openai", "sharegpt", "preference"):
        file, came = export(run, to=form, out=tmp_path / f"{form}.jsonl")
        assert came.written == 2
        back = chats(read_rows(file), tokenizer, 512)
        assert [e.ids for e in back.examples] == [e.ids for e in direct.examples], form


TEMPLATE = (
    "{% if tools %}{{ '<|start|>system\n' + (tools | tojson) + '<|end|>\n' }}{% endif %}"
    "{% for m in messages %}{{ '<|start|>' + m['role'] + '\n' + m['content'] }}"
    "{% for c in m['tool_calls'] or [] %}{{ '<call>' + c['function']['name'] + (c['function']['arguments'] | tojson) + '</call>' }}{% endfor %}"
    "{{ '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start|>assistant\n' }}{% endif %}"
)

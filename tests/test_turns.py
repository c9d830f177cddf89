"""What a row of anybody's data set says, and how it is written as a text."""

import json
from typing import Any

import pytest

from synthgain.turns import before_answer, content_of, readable, shape_of
from synthgain.types import Message, SynthgainError, assistant, system, user

ASKS: Message = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}],
}
ANSWERS: Message = {"role": "tool", "content": "4 C"}
TALK = [user("Is it cold?"), ASKS, ANSWERS, assistant("Yes."), user("And then?"), assistant("Warmer.")]


def shared(turns: list[Message]) -> list[dict[str, Any]]:
    """The turns as ShareGPT has them."""
    names = {"user": "human", "assistant": "gpt", "tool": "observation", "system": "system"}
    call = {"from": "function_call", "value": json.dumps({"name": "weather", "arguments": {"city": "Oslo"}})}
    return [call if t.get("tool_calls") else {"from": names[t["role"]], "value": t["content"]} for t in turns]


@pytest.mark.parametrize(
    "record",
    [
        {"messages": TALK},
        {"messages": json.dumps(TALK)},
        {"conversations": shared(TALK)},
        {"conversations": json.dumps(shared(TALK))},
        {"conversation": TALK},
        {"messages": [{k: (k == "role" and v.upper()) or v for k, v in t.items()} for t in TALK]},
        {
            "messages": [
                TALK[0],
                {"role": "assistant", "function_call": {"name": "weather", "arguments": '{"city": "Oslo"}'}},
                {"role": "function", "content": [{"type": "text", "text": "4 C"}]},
                *TALK[3:],
            ]
        },
    ],
)
def test_a_conversation_is_one_whatever_it_came_as(record: dict[str, Any]) -> None:
    content = content_of({"id": 7, "text": None, **record})
    assert content is not None and content.messages == tuple(TALK) and content.shape == shape_of(record)
    assert content.prompt == tuple(TALK[:-1]) and content.answer == "Warmer."
    said = readable(content.prompt)
    assert said.startswith("user: Is it cold?\n\nassistant: weather(") and said.endswith("user: And then?")
    assert '{"city": "Oslo"}' in said and "tool: 4 C" in said and "Warmer" not in said


@pytest.mark.parametrize("names", [("input", "output"), ("context", "response"), ("input", "response")])
def test_an_instruction_and_its_input_are_the_question(names: tuple[str, str]) -> None:
    content = content_of({"instruction": "Sort these.", names[0]: "b a", names[1]: "a b", "text": "### Sort …"})
    assert content is not None and (readable(content.prompt), content.answer) == ("Sort these.\nb a", "a b")


def test_a_pair_without_a_prompt_begins_with_what_both_say() -> None:
    content = content_of({"chosen": [user("q"), assistant("good")], "rejected": [user("q"), assistant("bad")]})
    assert content is not None
    assert (content.messages, content.rejected) == ((user("q"), assistant("good")), (assistant("bad"),))
    told = {"chosen": "\n\nHuman: q\n\nAssistant: good\n\nmore", "rejected": "\n\nHuman: q\n\nAssistant: bad"}
    content = content_of(told)
    assert content is not None and content.rejected == (assistant("bad"),)
    assert content.messages == (user("q"), assistant("good\n\nmore"))
    with pytest.raises(SynthgainError, match="prompt"):
        content_of({"chosen": "good", "rejected": "bad"})


def test_an_instruction_with_its_input_waits_for_an_answer_that_it_does_not_have() -> None:
    content = content_of({"instruction": "Sort these.", "input": "b a", "response1": "a b"})
    assert content is not None and (content.messages, content.answer) == ((user("Sort these.\nb a"),), None)
    with pytest.raises(SynthgainError, match="null"):
        content_of({"instruction": "Sort these.", "input": "b a", "output": None})


def test_a_chat_that_waits_for_an_answer_is_all_question() -> None:
    assert before_answer([user("a"), assistant("b"), user("c")]) == (user("a"), assistant("b"), user("c"))
    content = content_of({"messages": [user("a")]})
    assert content is not None and content.answer is None and readable(content.prompt) == "a"
    assert readable([system("Be brief."), user("a")]) == "system: Be brief.\n\nuser: a"


def test_a_picture_is_no_text_and_a_row_without_shape_says_what_it_has() -> None:
    picture = {"type": "image_url", "image_url": {"url": "x"}}
    with pytest.raises(SynthgainError, match="image_url"):
        content_of({"messages": [{"role": "user", "content": [{"type": "text", "text": "look"}, picture]}]})
    with pytest.raises(SynthgainError, match="title, body"):
        content_of({"title": "a", "body": "b"})
    assert shape_of({"title": "a"}) is None and content_of({"messages": []}) is None
    thought = content_of({"messages": [user("q"), {**assistant("a"), "reasoning_content": "hm"}]})
    assert thought is not None and thought.messages == (user("q"), {**assistant("a"), "reasoning": "hm"})

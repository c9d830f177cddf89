"""Calls of tools that a model wrote as text: what is one, and what stays an answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from synthgain.models.tool_calls import read_calls
from synthgain.types import assistant

TOOLS: tuple[dict[str, Any], ...] = (
    {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}},
    {"type": "function", "function": {"name": "time", "parameters": {"type": "object"}}},
)
BONN = '{"name": "weather", "arguments": {"city": "Bonn", "days": 2}}'
NOW = '{"name": "time", "arguments": {}}'


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (BONN, ["weather"]),
        (f"```json\n{BONN}\n```", ["weather"]),
        (f"\n```\n{BONN}\n```\n", ["weather"]),
        (f"<tool_call>\n{BONN}\n</tool_call>", ["weather"]),
        (f"<tool_call>\n{BONN}", ["weather"]),  # the end mark is often a token that is not shown
        (f"[{BONN}, {NOW}]", ["weather", "time"]),
        (f"{BONN}\n{NOW}", ["weather", "time"]),
        (f"```json\n{BONN}\n```\n\n```json\n{NOW}\n```", ["weather", "time"]),
        ('{"name": "time"}', ["time"]),
        ('{"name": "weather", "parameters": {"city": "Bonn"}}', ["weather"]),
        ('{"name": "weather", "arguments": "{\\"city\\": \\"Bonn\\"}"}', ["weather"]),
        ('{"type": "function", "function": {"name": "time", "arguments": {}}}', ["time"]),
    ],
)
def test_an_answer_that_is_a_call_of_an_offered_tool_is_read_as_one(text: str, names: list[str]) -> None:
    turn = read_calls(assistant(text, "look it up"), TOOLS, "0123456789abcdef")
    assert turn["content"] == "" and turn["reasoning"] == "look it up"
    assert [call["function"]["name"] for call in turn["tool_calls"]] == names
    for n, call in enumerate(turn["tool_calls"]):
        assert call["id"] == f"call_0123456789ab_{n}" and call["type"] == "function"
        assert isinstance(json.loads(call["function"]["arguments"]), dict)
    if names[0] == "weather":
        assert json.loads(turn["tool_calls"][0]["function"]["arguments"])["city"] == "Bonn"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "It rains in Bonn.",
        f"I would call this: {BONN}",
        f"{BONN}\nThis calls the weather.",
        f"```json\n{BONN}\n```\nThat is all.",
        '{"name": "elephant", "arguments": {}}',  # nobody offered it
        f'[{BONN}, {{"name": "elephant", "arguments": {{}}}}]',
        '{"name": "weather", "arguments": ["Bonn"]}',
        '{"name": "weather", "arguments": "Bonn"}',
        '{"name": "weather", "city": "Bonn"}',  # an object of its own that has a name
        '{"name": "weather", "arguments": {"city": "Bonn"',  # cut off
        '{"city": "Bonn"}',
        "[]",
        "42",
        "[" * 100_000,
    ],
)
def test_anything_else_stays_text(text: str) -> None:
    turn = assistant(text)
    assert read_calls(turn, TOOLS, "0123") is turn


def test_without_tools_json_is_an_answer() -> None:
    turn = assistant(BONN)
    assert read_calls(turn, (), "0123") is turn

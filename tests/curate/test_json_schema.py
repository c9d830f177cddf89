"""JSON answers against schemas: every keyword that is read, what is refused, and where a schema comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthgain.curate import load
from synthgain.curate.json_schema import JsonSchema
from synthgain.curate.schemas import NoSchema, broken
from synthgain.types import Anchor, Call, Prompt, Row, SynthgainError, assistant, user

CASES: list[tuple[str, Any, list[Any], list[Any]]] = [  # the keyword, a schema, what follows it, what breaks that keyword
    ("type", {"type": "integer"}, [3, 3.0, -1], [3.5, True, "3", None]),
    ("type", {"type": ["null", "string"]}, [None, ""], [0, [], False]),
    ("type", {"type": "number"}, [1, 1.5], [True]),
    ("enum", {"enum": [1, "a", {"b": [True]}]}, [1.0, "a", {"b": [True]}], [True, "b", {"b": [1]}]),
    ("const", {"const": {"a": 1, "b": 2}}, [{"b": 2, "a": 1.0}], [{"a": 1}, None]),
    ("required", {"required": ["a"]}, [{"a": None}, 7], [{}, {"b": 1}]),
    ("type", {"properties": {"a": {"type": "string"}}}, [{"a": "x"}, {"b": 1}, []], [{"a": 1}]),
    ("additionalProperties", {"properties": {"a": True}, "additionalProperties": False}, [{"a": 1}, {}], [{"b": 1}]),
    ("type", {"patternProperties": {"^x": {"type": "null"}}}, [{"x1": None, "y": 1}], [{"x1": 1}]),
    ("propertyNames", {"propertyNames": {"maxLength": 1}}, [{"a": 1}], [{"ab": 1}]),
    ("dependentRequired", {"dependentRequired": {"a": ["b"]}}, [{"a": 1, "b": 1}, {"b": 1}], [{"a": 1}]),
    ("minProperties", {"minProperties": 1}, [{"a": 1}], [{}]),
    ("maxProperties", {"maxProperties": 1}, [{"a": 1}], [{"a": 1, "b": 1}]),
    ("type", {"prefixItems": [{"type": "null"}], "items": {"type": "string"}}, [[None, "a"], []], [["a"], [None, 1]]),
    ("minItems", {"minItems": 1}, [[0]], [[]]),
    ("maxItems", {"maxItems": 1}, [[0]], [[0, 0]]),
    ("uniqueItems", {"uniqueItems": True}, [[1, True, "1"], [[1], [2]]], [[1, 1.0], [{"a": 1, "b": 2}, {"b": 2, "a": 1}]]),
    ("contains", {"contains": {"const": 7}, "maxContains": 1}, [[7, 8]], [[8], [7, 7]]),
    ("minLength", {"minLength": 2}, ["ab", 1], ["é"]),
    ("maxLength", {"maxLength": 1}, ["é"], ["ab"]),
    ("pattern", {"pattern": "^a+$"}, ["aa", 7], ["ab"]),
    ("minimum", {"minimum": 2}, [2, "1"], [1.9]),
    ("maximum", {"maximum": 2}, [2], [2.1]),
    ("exclusiveMinimum", {"exclusiveMinimum": 2}, [2.1], [2]),
    ("exclusiveMaximum", {"exclusiveMaximum": 2}, [1.9], [2]),
    ("multipleOf", {"multipleOf": 0.1}, [0.3, 7], [0.35]),
    ("type", {"allOf": [{"type": "string"}, {"maxLength": 3}]}, ["abc"], [3]),
    ("anyOf", {"anyOf": [{"type": "string"}, {"minimum": 2}]}, ["a", 2], [1]),
    ("oneOf", {"oneOf": [{"type": "number"}, {"minimum": 2}]}, [1, "a"], [2]),
    ("not", {"not": {"type": "null"}}, [0], [None]),
    ("required", {"if": {"required": ["a"]}, "then": {"required": ["b"]}}, [{}, {"a": 1, "b": 1}], [{"a": 1}]),
    ("type", {"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "null"}}}, [None], [1]),
    ("type", {"properties": {"next": {"$ref": "#"}, "n": {"type": "integer"}}}, [{"next": {"next": {"n": 1}}}], [{"next": {"next": {"n": "1"}}}]),
    ("false", False, [], [None, {}]),
    ("", {"title": "A", "format": "date", "default": 1, "x-new": 7}, ["no date"], []),
]  # fmt: skip


@pytest.mark.parametrize(("keyword", "schema", "follow", "break_"), CASES)
def test_each_keyword(keyword: str, schema: Any, follow: list[Any], break_: list[Any]) -> None:
    assert [broken(schema, value) for value in follow] == [""] * len(follow)
    assert [broken(schema, value) for value in break_] == [keyword] * len(break_)


@pytest.mark.parametrize(
    "schema",
    [
        {"unevaluatedProperties": False},
        {"properties": {"a": {"$ref": "http://host/schema"}}},
        {"$ref": "#name"},
        {"$ref": "#/$defs/missing"},
        {"$ref": "#"},
        {"type": "text"},
        {"items": [{"type": "null"}]},
        {"pattern": "("},
        {"properties": []},
        {"enum": 7},
        {"minimum": "2"},
        7,
    ],
)
def test_what_is_not_read_whole_is_refused(schema: Any) -> None:
    with pytest.raises(NoSchema):
        broken(schema, 3)


values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=4), lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=2), v, max_size=3), max_leaves=8)  # fmt: skip


@given(values, values)
def test_a_value_is_its_own_constant_and_no_other_s(one: Any, other: Any) -> None:
    assert broken({"const": one}, json.loads(json.dumps(one))) == ""
    assert (broken({"const": one}, other) == "") == (
        json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    )
    assert broken({"not": {"enum": [one]}}, one) == "not"


NAMED = '{"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}'


def why(check: JsonSchema, answer: str, schema: object = None, asked: Any = None) -> str:
    call = Call("c", Prompt((user("?"),), schema=asked), assistant(answer), "m")
    row = Row(messages=(user("?"), assistant(answer)), calls=(call,))
    return check(row, [Anchor("?", fields={"schema": schema})]).reason


def test_answers() -> None:
    check = JsonSchema(NAMED)
    assert why(check, '{"name": "Orn"}') == why(check, '```json\n{"name": "Orn"}\n```') == ""
    assert why(check, '<think>{"name": 1}</think>{"name": "Orn"}') == ""
    assert why(check, '{"name": 1}') == "breaks the schema: type" and why(check, "{}") == "breaks the schema: required"
    assert (
        why(check, 'Here: {"name": "Orn"}') == why(check, '{"name": "Or') == why(check, '{"name": NaN}') == "not JSON"
    )
    assert why(JsonSchema(NAMED, inside=True), 'Here: {"name": "Orn"} as asked') == ""
    assert why(check, "") == "no answer" and why(check, "[" * 100_000) == "not JSON"


def test_where_the_schema_comes_from() -> None:
    named = json.loads(NAMED)
    assert why(JsonSchema(), "7") == "no schema to follow"
    assert (
        why(JsonSchema(), "7", asked=named)
        == why(JsonSchema(), "7", NAMED)
        == why(JsonSchema(), "7", named)
        == "breaks the schema: type"
    )
    assert why(JsonSchema(), "7", NAMED, asked={"type": "integer"}) == ""  # what was asked for comes first
    assert why(JsonSchema(), "7", "{") == why(JsonSchema(), "7", {"type": "text"}) == "its schema cannot be read"


def test_a_file_s_content_is_the_setting(tmp_path: Path) -> None:
    file = tmp_path / "named.json"
    file.write_text(NAMED, "utf-8")
    assert load(f"json-schema={file}") == JsonSchema(NAMED)
    for wrong in (str(tmp_path / "none.json"), '{"type": "text"}', "{"):
        with pytest.raises(SynthgainError):
            JsonSchema(wrong)


def test_a_pattern_that_takes_for_ever_is_cut_off() -> None:
    assert why(JsonSchema('{"pattern": "^(a|a)*$"}'), json.dumps("a" * 40 + "!")) == "judging takes too long"

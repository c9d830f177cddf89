"""Which keywords of a schema the embedded runtime's grammars have no place for."""

from __future__ import annotations

from typing import Any

import pytest

from synthgain.models.grammars import passed_over


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "object", "properties": {"not": {"type": "string"}}, "required": ["not"]}, []),  # a name, no keyword
        ({"type": "array", "items": {"enum": ["a"]}, "minItems": 1, "maxItems": 2}, []),
        ({"type": "integer", "minimum": 1, "maximum": 5}, []),
        ({"type": "number", "minimum": 1}, ["minimum"]),
        ({"type": "string", "pattern": "^[a-z]+$"}, []),
        ({"type": "string", "pattern": "abc"}, ["pattern abc"]),
        ({"type": "string", "format": "date"}, []),
        ({"anyOf": [{"format": "email"}, {"format": "email"}]}, ["format email"]),
        ({"$defs": {"a": {"not": {}}}, "properties": {"b": {"items": {"uniqueItems": True}}}}, ["not", "uniqueItems"]),
        ({"additionalProperties": False, "items": False}, []),
    ],
)
def test_keywords_that_an_answer_may_break(schema: dict[str, Any], said: list[str]) -> None:
    assert passed_over(schema) == said

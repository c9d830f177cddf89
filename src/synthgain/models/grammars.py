"""What of a JSON schema the embedded runtime does not follow: its grammars say what may be written, and some keywords have no place in them.

Such keywords are passed over by the runtime without a word. They are said once, so that nobody takes the answers for checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

PASSED_OVER = frozenset(
    (
        *("not", "if", "then", "else", "uniqueItems", "multipleOf"),
        *("contains", "minContains", "maxContains", "patternProperties", "propertyNames", "minProperties"),
        *(
            "maxProperties",
            "dependentRequired",
            "dependentSchemas",
            "dependencies",
            "unevaluatedItems",
            "unevaluatedProperties",
        ),
    )
)
FORMATS = ("date", "time", "date-time", "uuid", "uuid1", "uuid2", "uuid3", "uuid4", "uuid5")
BOUNDS = frozenset(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"))  # of whole numbers they are followed
ONE, MANY, NAMED = (
    ("items", "additionalProperties"),
    ("anyOf", "oneOf", "allOf", "prefixItems", "items"),
    ("properties", "$defs", "definitions"),
)


def passed_over(schema: Mapping[str, Any]) -> list[str]:
    """The keywords of a schema, with the values that matter, that an answer may break; each once, in the order of their names."""
    return sorted(set(_passed_over(schema)))


def _passed_over(schema: object) -> Iterator[str]:
    if not isinstance(schema, Mapping):
        return
    whole = schema.get("type") == "integer"
    for name, value in schema.items():
        if name in PASSED_OVER or (name in BOUNDS and not whole):
            yield name
        elif name == "pattern" and not _followed(str(value)):
            yield f"pattern {value}"
        elif name == "format" and value not in FORMATS:
            yield f"format {value}"
        if name in ONE:
            yield from _passed_over(value)
        if name in MANY and isinstance(value, Sequence) and not isinstance(value, str):
            for part in value:
                yield from _passed_over(part)
        if name in NAMED and isinstance(value, Mapping):
            for part in value.values():
                yield from _passed_over(part)


def _followed(pattern: str) -> bool:
    """Whether a pattern says a text from its beginning to its end, with nothing that looks ahead, back or at borders of words."""
    return pattern.startswith("^") and pattern.endswith("$") and "(?" not in pattern and "\\b" not in pattern

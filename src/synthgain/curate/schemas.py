"""JSON Schema (draft 2020-12), the part that describes answers: whether a value follows a schema, and which keyword it breaks.

Read are `type`, `enum`, `const`; `properties`, `patternProperties`, `additionalProperties`, `required`, `propertyNames`, `dependentRequired`,
`dependentSchemas`, `minProperties`, `maxProperties`; `items`, `prefixItems`, `contains`, `minContains`, `maxContains`, `minItems`, `maxItems`,
`uniqueItems`; `minLength`, `maxLength`, `pattern`; `minimum`, `maximum`, `exclusiveMinimum`, `exclusiveMaximum`, `multipleOf`; `allOf`, `anyOf`, `oneOf`, `not`, `if`,
`then`, `else`; `$ref` to a place in the same schema ("#/$defs/name"); true and false as schemas; of draft 7 `definitions`. `format` and whatever describes say nothing, as the
standard has it. A schema with another keyword that could refuse a value (`REFUSED`) is refused itself, so that nothing is passed over.

Written here and not taken from a library: a verdict must not depend on what is installed, patterns need a bound on their time, and no schema may reach a file or a network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

import regex

SECONDS = 1.0  # for one pattern on one text
DEEPEST = 200  # schemas inside each other, followed references included
REFUSED = frozenset(
    (
        "unevaluatedProperties",
        "unevaluatedItems",
        "$dynamicRef",
        "$recursiveRef",
        "dependencies",
        "additionalItems",
        "$anchor",
        "$dynamicAnchor",
        "extends",
        "disallow",
    )
)
_HELD = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")  # names → schemas
_INNER = ("additionalProperties", "propertyNames", "items", "contains", "not", "if", "then", "else")  # a schema
_LISTED = ("prefixItems", "allOf", "anyOf", "oneOf")  # schemas
TYPES: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "number": lambda value: _is_number(value),
    "integer": lambda value: _is_number(value) and value == value // 1,
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}


class NoSchema(ValueError):
    """This is no schema, or none that is read here; the text says what is wrong."""


def well_formed(schema: Any, depth: int = 0) -> None:
    """Nothing where the schema can be read here, whole; else `NoSchema`."""
    if isinstance(schema, bool):
        return
    if not isinstance(schema, Mapping) or depth > DEEPEST:
        raise NoSchema("a schema is an object, true or false, and not nested without end")
    if other := REFUSED & schema.keys():
        raise NoSchema(f"the keyword {min(other)} is not read")
    for name in _HELD:
        if not isinstance(schema.get(name, {}), Mapping):
            raise NoSchema(f"{name} holds schemas by name")
        for inner in schema.get(name, {}).values():
            well_formed(inner, depth + 1)
    for name in _LISTED:
        if not isinstance(schema.get(name, []), list):
            raise NoSchema(f"{name} is a list of schemas")
        for inner in schema.get(name, []):
            well_formed(inner, depth + 1)
    for name in _INNER:
        if isinstance(schema.get(name), list):
            raise NoSchema(f"{name} is one schema (a list of them is of an older draft: use prefixItems)")
        well_formed(schema.get(name, True), depth + 1)
    kinds = schema.get("type", [])
    if any(kind not in TYPES for kind in (kinds if isinstance(kinds, list) else [kinds])):
        raise NoSchema(f"there is no type {kinds!r}")
    _readable(schema)


def _readable(schema: Mapping[str, Any]) -> None:
    """References and patterns."""
    ref = schema.get("$ref", "#")
    if not isinstance(ref, str) or not ref.startswith("#") or (ref[1:] and ref[1] != "/"):
        raise NoSchema("only references into the same schema are followed (#/$defs/…)")
    for pattern in [*([schema["pattern"]] if "pattern" in schema else []), *schema.get("patternProperties", {})]:
        try:
            _compiled(pattern)
        except (regex.error, TypeError) as error:
            raise NoSchema(f"{pattern!r:.60} is no regular expression") from error


def broken(schema: Any, value: Any) -> str:
    """The keyword of the schema that the value breaks, the outermost one first met; "" where it follows. NoSchema: see `well_formed`."""
    well_formed(schema)
    try:
        return next(_Judge(schema).broken(schema, value, 0), "")
    except (TypeError, AttributeError, ArithmeticError) as error:  # a keyword that holds something of the wrong kind
        raise NoSchema(f"a keyword holds something of the wrong kind ({error})") from error


class _Judge:
    """One schema, whose references point into it."""

    def __init__(self, whole: Any) -> None:
        self.whole = whole

    def follows(self, schema: Any, value: Any, depth: int) -> bool:
        return next(self.broken(schema, value, depth), None) is None

    def broken(self, schema: Any, value: Any, depth: int) -> Iterator[str]:
        """The keywords that the value breaks, in no fixed order."""
        if depth > DEEPEST:
            raise NoSchema("the schema refers to itself without end")
        if isinstance(schema, bool):
            if not schema:
                yield "false"
            return
        if "$ref" in schema:
            yield from self.broken(self._at(schema["$ref"]), value, depth + 1)
        yield from _of_any(schema, value)
        yield from self._combined(schema, value, depth + 1)
        if isinstance(value, str):
            yield from _of_text(schema, value)
        elif isinstance(value, dict):
            yield from self._of_object(schema, value, depth + 1)
        elif isinstance(value, list):
            yield from self._of_list(schema, value, depth + 1)
        elif _is_number(value):
            yield from _of_number(schema, value)

    def _at(self, ref: str) -> Any:
        found = self.whole
        for part in ref[1:].split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~").replace("%25", "%").replace("%22", '"')
            try:
                found = found[int(name)] if isinstance(found, list) else found[name]
            except (KeyError, IndexError, ValueError, TypeError) as error:
                raise NoSchema(f"there is nothing at {ref}") from error
        well_formed(found)
        return found

    def _combined(self, schema: Mapping[str, Any], value: Any, depth: int) -> Iterator[str]:
        for inner in schema.get("allOf", []):
            yield from self.broken(inner, value, depth)
        if "anyOf" in schema and not any(self.follows(inner, value, depth) for inner in schema["anyOf"]):
            yield "anyOf"
        if "oneOf" in schema and sum(self.follows(inner, value, depth) for inner in schema["oneOf"]) != 1:
            yield "oneOf"
        if "not" in schema and self.follows(schema["not"], value, depth):
            yield "not"
        if "if" in schema:
            branch = "then" if self.follows(schema["if"], value, depth) else "else"
            yield from self.broken(schema.get(branch, True), value, depth)

    def _of_object(self, schema: Mapping[str, Any], value: Mapping[str, Any], depth: int) -> Iterator[str]:
        if any(name not in value for name in schema.get("required", [])):
            yield "required"
        if not schema.get("minProperties", 0) <= len(value) <= schema.get("maxProperties", len(value)):
            yield "minProperties" if len(value) < schema.get("minProperties", 0) else "maxProperties"
        for name, needs in schema.get("dependentRequired", {}).items():
            if name in value and any(need not in value for need in needs):
                yield "dependentRequired"
        for name, inner in schema.get("dependentSchemas", {}).items():
            if name in value:
                yield from self.broken(inner, value, depth)
        known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
        for name, held in value.items():
            if "propertyNames" in schema and not self.follows(schema["propertyNames"], name, depth):
                yield "propertyNames"
            matched = [inner for pattern, inner in patterns.items() if _matches(pattern, name)]
            for inner in [*([known[name]] if name in known else []), *matched]:
                yield from self.broken(inner, held, depth)
            if (
                name not in known
                and not matched
                and not self.follows(schema.get("additionalProperties", True), held, depth)
            ):
                yield "additionalProperties"

    def _of_list(self, schema: Mapping[str, Any], value: list[Any], depth: int) -> Iterator[str]:
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            yield "minItems" if len(value) < schema.get("minItems", 0) else "maxItems"
        first = schema.get("prefixItems", [])
        for inner, held in zip(first, value):
            yield from self.broken(inner, held, depth)
        for held in value[len(first) :]:
            yield from self.broken(schema.get("items", True), held, depth)
        if "contains" in schema:
            found = sum(self.follows(schema["contains"], held, depth) for held in value)
            if not schema.get("minContains", 1) <= found <= schema.get("maxContains", found):
                yield "contains"
        if schema.get("uniqueItems") and len({_key(held) for held in value}) < len(value):
            yield "uniqueItems"


def _of_any(schema: Mapping[str, Any], value: Any) -> Iterator[str]:
    kinds = schema.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if kinds and not any(TYPES[kind](value) for kind in kinds):
        yield "type"
    if "enum" in schema and _key(value) not in map(_key, schema["enum"]):
        yield "enum"
    if "const" in schema and _key(value) != _key(schema["const"]):
        yield "const"


def _of_text(schema: Mapping[str, Any], value: str) -> Iterator[str]:
    if len(value) < schema.get("minLength", 0):
        yield "minLength"
    if len(value) > schema.get("maxLength", len(value)):
        yield "maxLength"
    if "pattern" in schema and not _matches(schema["pattern"], value):
        yield "pattern"


def _of_number(schema: Mapping[str, Any], value: int | float) -> Iterator[str]:
    if value < schema.get("minimum", value):
        yield "minimum"
    if value > schema.get("maximum", value):
        yield "maximum"
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        yield "exclusiveMinimum"
    if "exclusiveMaximum" in schema and value >= schema["exclusiveMaximum"]:
        yield "exclusiveMaximum"
    if "multipleOf" in schema and Fraction(str(value)) % Fraction(str(schema["multipleOf"])):
        yield "multipleOf"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _key(value: Any) -> Any:
    """A value as JSON compares it: 1 is 1.0, and is not true; the order of an object's names is nothing."""
    if isinstance(value, dict):
        return "object", frozenset((name, _key(held)) for name, held in value.items())
    if isinstance(value, list):
        return "array", tuple(map(_key, value))
    return ("number" if _is_number(value) else type(value).__name__), value


def _matches(pattern: str, text: str) -> bool:
    """Whether the pattern matches somewhere. TimeoutError: it takes too long."""
    return _compiled(pattern).search(text, timeout=SECONDS) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> regex.Pattern[str]:
    return regex.compile(pattern, regex.VERSION0)

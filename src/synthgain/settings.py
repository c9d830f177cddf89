"""Settings of parts with knobs (frozen dataclasses): to JSON and back, by name, never as code.

A leaf that recipes' knobs, checks and requests share; what people type of them is read here too.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from synthgain.types import SynthgainError

T = TypeVar("T")


@contextmanager
def advised(next: str) -> Iterator[None]:
    """An error of settings that says no next step gets this one."""
    try:
        yield
    except SynthgainError as error:
        error.next = error.next or next
        raise


def settings_of(part: Any, *, leave: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields of a part as JSON values. SynthgainError where one has no JSON form, or where its settings are no fields."""
    if isinstance(part, type) or not is_dataclass(part):
        held = {} if callable(getattr(part, "__get__", None)) else getattr(part, "__dict__", {})
        if held.keys() - {"name", *leave}:
            raise SynthgainError(
                f"the settings of {getattr(part, 'name', part)!r} cannot be written down",
                where=type(part).__qualname__,
                next="make it a frozen dataclass: its fields are the settings",
            )
        return {}
    return {f.name: _plain(getattr(part, f.name), f.name) for f in fields(part) if f.init and f.name not in leave}


def with_settings(part: T, settings: Mapping[str, Any], where: str = "") -> T:
    """The part with these settings: lists become tuples where it holds tuples. SynthgainError for one that it has not, or of another kind."""
    if not settings:
        return part
    known = {f.name: f for f in fields(part) if f.init} if is_dataclass(part) else {}
    if unknown := sorted(set(settings) - set(known)):
        raise SynthgainError(
            f"there is no setting {unknown[0]!r}", where=where, next=f"the settings are: {', '.join(known) or 'none'}"
        )
    kinds = _kinds(type(part))
    values = {name: _read_back(value, getattr(part, name)) for name, value in settings.items()}
    if wrong := [name for name, value in values.items() if not _is_a(value, kinds.get(name, Any))]:
        raise SynthgainError(
            f"the setting {wrong[0]!r} cannot be {settings[wrong[0]]!r}",
            where=where,
            next=f"give it a value like {getattr(part, wrong[0])!r}",
        )
    try:
        return replace(part, **values)  # type: ignore[type-var]
    except (TypeError, ValueError) as error:
        raise SynthgainError(str(error), where=where) from error


def typed(text: str, like: Any, name: str, where: str) -> Any:
    """A setting that was typed as text, as a value of the kind that it has now (`like`); a text for a tuple is parted at commas."""
    try:
        if isinstance(like, bool):
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[text.lower()]
        if isinstance(like, str):
            return text
        if isinstance(like, tuple):
            return tuple(part.strip() for part in text.split(",") if part.strip())
        if text.lower() in ("none", "all"):
            return None
        return float(text) if isinstance(like, float) else int(text)
    except (KeyError, ValueError):
        kind = "a number" if like is None else f"a value like {like!r}"
        raise SynthgainError(f"{name} needs {kind}, not {text!r}", where=where) from None


def misfit(part: Any) -> str:
    """The first field of a part whose value is of another kind than the class says; "" where all fit."""
    kinds = _kinds(type(part))
    return next((f.name for f in fields(part) if not _is_a(getattr(part, f.name), kinds.get(f.name, Any))), "")


def chosen(given: Sequence[str], known: Collection[str], kind: str, where: str) -> None:
    """SynthgainError where a setting that lists names has one that is not known, or none at all."""
    unknown = [name for name in given if name not in known]
    if unknown or not given:
        what = f"there is no {kind} {unknown[0]!r}" if unknown else f"no {kind} is given"
        raise SynthgainError(what, where=where, next=f"the {kind}s are: {', '.join(known)}")


def at_least(part: Any, where: str, **least: float) -> None:
    """SynthgainError where a setting of the part is less than it may be."""
    for name, n in least.items():
        if getattr(part, name) < n:
            raise SynthgainError(f"{name} is {n} or more, not {getattr(part, name)}", where=where)


def _plain(value: Any, name: str) -> Any:
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, list | tuple):
        return [_plain(v, name) for v in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(v, name) for key, v in value.items()}
    raise SynthgainError(
        f"the setting {name!r} is {value!r:.80}, which has no JSON form",
        next="settings are texts, numbers, true or false, and lists or objects of these",
    )


def _read_back(value: Any, now: Any) -> Any:
    if isinstance(value, list) and isinstance(now, tuple):
        return _tupled(value)
    return float(value) if type(value) is int and isinstance(now, float) and abs(value) < 2**53 else value


def _tupled(value: Any) -> Any:
    return tuple(_tupled(v) for v in value) if isinstance(value, list | tuple) else value


def _kinds(owner: type) -> dict[str, Any]:
    try:
        return get_type_hints(owner)
    except NameError:  # a class whose annotations name what its module does not have
        return {}


def _is_a(value: Any, kind: Any) -> bool:
    origin = get_origin(kind)
    if kind is Any or isinstance(kind, TypeVar):
        return True
    if origin in (Union, UnionType):
        return any(_is_a(value, k) for k in get_args(kind))
    if origin is Literal:
        return value in get_args(kind)
    plain = origin or kind
    if not isinstance(plain, type):
        return True
    if isinstance(value, float) and not math.isfinite(value):
        return False
    if plain is float and type(value) is int:
        return True
    return isinstance(value, plain) and (plain is bool or not isinstance(value, bool))

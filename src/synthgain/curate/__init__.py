"""ε: checks. They decide about rows and never change them; each shipped check is a file of this folder.

Row checks look at one row and its anchors; folds look at rows in their order, each once; a selection looks at the whole set, once, at
the end. All are frozen dataclasses, and their fields are what `--with CHECK` can set:

    language=de                     the first field
    near-duplicate:threshold=0.8    fields by name, separated by commas
    copied=0.3:n=5                  both
    ./mine.py                       the CHECK of anybody's file
    ./mine.py:least=10              with its fields set

A run's record holds checks as JSON, by name and settings (`record`); shipped ones are made from it again (`from_record`). Nothing of
a record is run: a check that is somebody's own has to be given again.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from synthgain.curate.files import read_with_hash
from synthgain.types import AnyCheck, SynthgainError

__all__ = ["file_of", "from_record", "load", "load_file", "names", "record"]
SHAPES = ("__call__", "begin")  # what a row check or a selection has, and what a fold has


@cache
def _shipped() -> dict[str, Any]:
    """Shipped checks: what people type, and what their modules hold as `CHECK`."""
    found = ((module.name, import_module(f"{__name__}.{module.name}")) for module in iter_modules(__path__))
    return {name.replace("_", "-"): module.CHECK for name, module in found if hasattr(module, "CHECK")}


def names() -> list[str]:
    """The shipped checks, as people type them."""
    return sorted(_shipped())


# ---------------------------------------------------------------------------------------------- what people type


def load(spec: str) -> AnyCheck:
    """The check that `spec` names (see the head of this file), with its fields set."""
    if file_of(spec) is not None:
        return load_file(spec)[0]
    name, first, settings = _parted(spec)
    shipped = _shipped()
    check = shipped.get(name.replace("_", "-"))
    if check is None:
        near = difflib.get_close_matches(name, shipped, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise SynthgainError(
            f"there is no check {name!r}", where=f"--with {spec}",
            next=f"{hint}the checks are: {', '.join(sorted(shipped))}; or give the path of a .py file",
        )  # fmt: skip
    return _with_settings(check(), spec, first, settings)


def file_of(spec: str) -> Path | None:
    """The file that `spec` names; None where it names a shipped check."""
    name = _parted(spec)[0]
    return Path(name) if name.endswith(".py") or "/" in name or "\\" in name else None


def load_file(spec: str) -> tuple[AnyCheck, str]:
    """The check of somebody's own file, with its fields set, and the SHA-256 of the file's content. The file is run."""
    name, first, settings = _parted(spec)
    check, sha256 = read_with_hash(name, "CHECK")
    if isinstance(check, type):
        check = check()
    if not isinstance(getattr(check, "name", None), str) or not any(callable(getattr(check, s, None)) for s in SHAPES):
        raise SynthgainError(
            "CHECK is no check: it needs a `name`, and `__call__` or (a fold) `begin`",
            where=name, next="see docs/write-a-check.md",
        )  # fmt: skip
    return _with_settings(check, spec, first, settings), sha256


def _parted(spec: str) -> tuple[str, str | None, list[str]]:
    """Name, value of the first field, settings by name."""
    windows_drive = 2 if spec[1:3] in (":\\", ":/") else 0
    head, _, tail = spec[windows_drive:].partition(":")
    head = spec[:windows_drive] + head
    name, sign, first = head.partition("=")
    return name.strip(), first.strip() if sign else None, [part for part in tail.split(",") if part.strip()]


def _with_settings(check: Any, spec: str, first: str | None, settings: list[str]) -> AnyCheck:
    if first is None and not settings:
        return check  # type: ignore[no-any-return]
    known = {f.name: f for f in fields(check) if f.init} if is_dataclass(check) else {}
    values: dict[str, Any] = {}
    given = [(next(iter(known), "value"), first)] if first is not None else []
    for part in settings:
        key, sign, value = part.partition("=")
        if not sign:
            raise SynthgainError(f"{part!r} is no setting", where=f"--with {spec}", next="write NAME=VALUE")
        given.append((key.strip().replace("-", "_"), value.strip()))
    for key, text in given:
        if key not in known:
            raise SynthgainError(
                f"the check {check.name!r} has no setting {key!r}", where=f"--with {spec}",
                next=f"its settings are: {', '.join(known) or 'none'}",
            )  # fmt: skip
        values[key] = _read(text or "", getattr(check, key), known[key], spec)
    try:
        return replace(check, **values)  # type: ignore[no-any-return]
    except (TypeError, ValueError) as error:
        raise SynthgainError(str(error), where=f"--with {spec}") from error


def _read(text: str, default: Any, field: Field[Any], spec: str) -> Any:
    """The text as a value of the kind that the setting has now."""
    default = field.default if field.default is not MISSING and default is None else default
    try:
        if isinstance(default, bool):
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[text.lower()]
        if isinstance(default, str):
            return text
        if text.lower() == "none":
            return None
        return float(text) if isinstance(default, float) else int(text)
    except (KeyError, ValueError):
        kind = "a number" if default is None else f"a value like {default!r}"
        raise SynthgainError(f"{field.name} needs {kind}, not {text!r}", where=f"--with {spec}") from None


# ---------------------------------------------------------------------------------------------- what a record says


def record(check: AnyCheck) -> dict[str, Any]:
    """A check as JSON: {"name", "settings": {field: value}}; of one that we do not ship also "class", its class's name.

    SynthgainError where a setting has no JSON form, or where the settings are not the fields of a dataclass.
    """
    settings: dict[str, Any] = {}
    held: Any = check
    if is_dataclass(held):
        settings = {f.name: _plain(getattr(check, f.name), f"{check.name}.{f.name}") for f in fields(held) if f.init}
    elif getattr(held, "__dict__", {}).keys() - {"name"}:
        raise SynthgainError(
            f"the settings of {check.name!r} cannot be recorded", where=type(check).__qualname__,
            next="make it a frozen dataclass: its fields are the settings",
        )  # fmt: skip
    own = {} if _shipped().get(check.name) is type(check) else {"class": type(check).__qualname__}
    return {"name": check.name, "settings": settings, **own}


def from_record(record: Mapping[str, Any]) -> AnyCheck:
    """The shipped check that `record` wrote. SynthgainError where it is none, or where its settings are not that check's."""
    held: Mapping[str, Any] = record if isinstance(record, Mapping) else {"name": str(record)[:80]}
    name, settings = held.get("name"), held.get("settings", {})
    shipped = _shipped().get(name) if isinstance(name, str) else None
    if shipped is None or held.keys() - {"name", "settings"}:
        raise SynthgainError(
            f"the check {name!r} is somebody's own, and a record runs no code", where="the run's record",
            next="give it again, as it was: --with FILE.py, or with_=[…] in Python",
        )  # fmt: skip
    known = {f.name: f for f in fields(shipped) if f.init}
    kinds = get_type_hints(shipped)
    wrong = [key for key in settings if key not in known] if isinstance(settings, Mapping) else ["settings"]
    values = {key: _read_back(value, known[key]) for key, value in settings.items()} if not wrong else {}
    wrong += [key for key, value in values.items() if not _is_a(value, kinds[key])]
    if wrong:
        raise SynthgainError(
            f"{wrong[0]!r} is no setting of {name!r}, or its value is none", where="the run's record",
            next=f"mend it; its settings are: {', '.join(known) or 'none'}",
        )  # fmt: skip
    try:
        return shipped(**values)  # type: ignore[no-any-return]
    except (TypeError, ValueError) as error:
        raise SynthgainError(f"{name}: {error}", where="the run's record") from error


def _plain(value: Any, where: str) -> Any:
    """A setting as JSON has it."""
    if value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, list | tuple):
        return [_plain(v, where) for v in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(v, where) for key, v in value.items()}
    raise SynthgainError(
        f"{value!r:.80} has no JSON form", where=where, next="use texts, numbers, true and false, and lists of them"
    )


def _read_back(value: Any, field: Field[Any]) -> Any:
    """A JSON value as this field has it: lists where tuples are meant, whole numbers where fractions are."""
    if isinstance(value, list) and isinstance(field.default, tuple):
        return tuple(_read_back(v, field) for v in value)
    return float(value) if type(value) is int and isinstance(field.default, float) and abs(value) < 2**53 else value


def _is_a(value: Any, kind: Any) -> bool:
    if get_origin(kind) in (Union, UnionType):
        return any(_is_a(value, k) for k in get_args(kind))
    plain = get_origin(kind) or kind
    finite = not isinstance(value, float) or math.isfinite(value)
    return isinstance(value, plain) and finite and (plain is bool or not isinstance(value, bool))

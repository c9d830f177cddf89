"""ε: checks. They decide about rows and never change them; each shipped check is a file of this folder.

Row checks look at one row and its anchors; folds look at rows in their order, each once; a selection looks at the whole set, once, at
the end. All are frozen dataclasses, and their fields are what `--with CHECK` can set:

    language=de                     the first field
    near-duplicate:threshold=0.8    fields by name, separated by commas
    copied=0.3:n=5                  both
    ./mine.py                       the CHECK of anybody's file
    ./mine.py:least=10              with its fields set

A run's record holds checks by name and settings (`chain.Named`). Nothing of a record is run: a check that is somebody's own has to be
given again.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from synthgain.curate.files import read_with_hash
from synthgain.settings import advised, typed, with_settings
from synthgain.types import AnyCheck, SynthgainError

__all__ = ["file_of", "load", "load_file", "names", "shipped"]
RENAMED = {"judged": "judge-score", "scored": "judge-score"}  # names of before
SHAPES = ("__call__", "begin")  # what a row check or a selection has, and what a fold has


@cache
def _shipped() -> dict[str, Any]:
    """Shipped checks: what people type, and what their modules hold as `CHECK`."""
    found = ((module.name, import_module(f"{__name__}.{module.name}")) for module in iter_modules(__path__))
    return {name.replace("_", "-"): module.CHECK for name, module in found if hasattr(module, "CHECK")}


def names() -> list[str]:
    """The shipped checks, as people type them."""
    return sorted(_shipped())


def shipped(name: str) -> Any:
    """The class of the shipped check with that name; None where there is none. It is not made: that may need an extra."""
    return _shipped().get(name.replace("_", "-"))


# ---------------------------------------------------------------------------------------------- what people type


def load(spec: str, own: Mapping[str, Mapping[str, Any]] | None = None) -> AnyCheck:
    """The check that `spec` names (see the head of this file), with its fields set. Fields that `spec` does not set are those of its
    namesake among `own` (settings by name), where there is one."""
    if file_of(spec) is not None:
        return load_file(spec)[0]
    name, first, settings = _parted(spec)
    shipped = _shipped()
    check = shipped.get(name.replace("_", "-"))
    if check is None:
        near = difflib.get_close_matches(name, shipped, n=1, cutoff=0.5)
        hint = f"it is {RENAMED[name]!r} now; " if name in RENAMED else f"did you mean {near[0]!r}? " if near else ""
        raise SynthgainError(
            f"there is no check {name!r}",
            where=f"--with {spec}",
            next=f"{hint}the checks are: {', '.join(sorted(shipped))}; or give the path of a .py file",
        )
    with advised(next=f"`synthgain checks {name}` lists its settings and their defaults"):
        made = check()
        return _with_settings(
            with_settings(made, (own or {}).get(made.name, {}), f"--with {spec}"), spec, first, settings
        )


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
            where=name,
            next="see docs/write-a-check.md",
        )
    with advised(next="its settings are the fields of CHECK in that file"):
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
                f"the check {check.name!r} has no setting {key!r}",
                where=f"--with {spec}",
                next=f"its settings are: {', '.join(known) or 'none'}",
            )
        now, default = getattr(check, key), known[key].default
        like = default if now is None and default is not MISSING else now
        values[key] = typed(text or "", like, key, f"--with {spec}")
    try:
        return replace(check, **values)  # type: ignore[no-any-return]
    except (TypeError, ValueError) as error:
        raise SynthgainError(str(error), where=f"--with {spec}") from error

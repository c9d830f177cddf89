"""How models are reached, as keyword options: `sg.generate(…, base_url="http://localhost:8000/v1")`."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps
from typing import Any, ParamSpec, TypedDict, TypeVar, Unpack

from synthgain.api.asking import sensible
from synthgain.models import Reach

P = ParamSpec("P")
R = TypeVar("R")

__all__ = ["Servers", "Unpack", "reaching"]


class Servers(TypedDict, total=False):
    """What can be said of the servers that models are reached at: the fields of `Reach` that the command line has options for."""

    base_url: str
    served_as: str | Mapping[str, str]
    price: str | Mapping[str, str]
    concurrency: int | None
    wait: float | None
    requests_per_minute: float | None
    headers: tuple[str, ...]
    extra: Mapping[str, Mapping[str, Any]]
    runtime: str


def reaching(call: Callable[P, R]) -> Callable[P, R]:
    """The function, whose `reach` can also be said field by field (`Servers`); what is said so counts.

    TypeError where an option is no option, with the one that was probably meant: a budget that is misspelt is no budget.
    """
    known = inspect.signature(call)
    kept = [p for p in known.parameters.values() if p.annotation != "Unpack[Servers]"]
    last = [p for p in kept if p.kind is p.VAR_KEYWORD]
    fields = inspect.signature(Reach).parameters
    said = [fields[name].replace(kind=inspect.Parameter.KEYWORD_ONLY) for name in Servers.__annotations__]

    names = {*(p.name for p in kept), *Servers.__annotations__} - {p.name for p in last}

    @wraps(call)
    def reached(*args: P.args, **given: P.kwargs) -> R:
        for name in given.keys() - names if not last else ():
            meant = difflib.get_close_matches(name, names, 1)
            hint = f"; did you mean {meant[0]!r}?" if meant else ""
            raise TypeError(f"{call.__name__}() got an unexpected keyword argument {name!r}{hint}")
        named = {name: given.pop(name) for name in Servers.__annotations__ if name in given}
        if named:
            sensible(**{n: named.get(n) for n in ("concurrency", "wait", "requests_per_minute")})  # type: ignore[arg-type]
            given["reach"] = replace(given.get("reach") or Reach(), **named)  # type: ignore[type-var]
        return call(*args, **given)

    vars(reached)["__signature__"] = known.replace(parameters=[*(p for p in kept if p not in last), *said, *last])
    return reached

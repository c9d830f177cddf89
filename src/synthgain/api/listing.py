"""What there is: recipes, checks, embedded models."""

from __future__ import annotations

import inspect
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any

from synthgain.api.asking import knobs_of, verifies
from synthgain.curate import load as load_check
from synthgain.curate import names as check_names
from synthgain.curate import shipped
from synthgain.measure.terms import what_follows
from synthgain.models import weights
from synthgain.models.known import KNOWN, Known
from synthgain.recipes import load as load_recipe
from synthgain.recipes import names as recipe_names
from synthgain.types import SynthgainError

NOTHING_FOLLOWS = "none on what it writes; the weights may be passed on with the licence's text"


def list_recipes(name: str | Path = "") -> list[dict[str, Any]]:
    """The shipped recipes, or the one of that name or file: what it is for, its knobs with their defaults and where these come from."""
    return [
        {
            "name": r.name,
            "version": r.version,
            "stage": r.stage,
            "source": r.source,
            "anchors": r.anchors,
            "calls": r.calls,
            "roles": list(r.all_roles),
            "checks": [c.name for c in r.all_checks],
            "fields": list(r.all_fields),
            "departures": list(r.departures),
            "knobs": [
                {"name": name, "default": value, "source": r.sources.get(name, "")}
                for name, value in knobs_of(r).items()
            ],
        }
        for r in ([load_recipe(str(name))] if name else map(load_recipe, recipe_names()))
    ]


def list_checks(name: str = "") -> list[dict[str, Any]]:
    """The shipped checks, or the one of that name or file: what it does, on what it looks, whether it verifies answers, its settings with
    their defaults, and what it needs besides ("" where it is all there)."""
    if name:
        try:
            return [_told(name, shipped(name) or type(load_check(name)))]
        except SynthgainError as error:
            raise SynthgainError(error.what, where=error.where.removeprefix("--with "), next=error.next) from error
    return [_told(each, shipped(each)) for each in check_names()]


def _told(spec: str, kind: Any) -> dict[str, Any]:
    first, _, rest = inspect.cleandoc(kind.__doc__ or "").partition("\n\n")
    try:
        name, needs = load_check(spec).name, ""
    except SynthgainError as error:
        name, needs = spec, error.next
    held = [f for f in fields(kind) if f.init and f.name != "name"] if is_dataclass(kind) else []
    return {
        "name": name,
        "does": " ".join(first.split()),
        "more": rest.strip(),
        "looks_at": "the whole set"
        if hasattr(kind, "selects")
        else "rows in order"
        if hasattr(kind, "begin")
        else "a row",
        "verifies": verifies(kind),
        "settings": [{"name": f.name, "default": _default(f), "kind": str(f.type)} for f in held],
        "needs": needs,
    }


def _default(held: Field[Any]) -> Any:
    value = held.default if held.default_factory is MISSING else held.default_factory()
    return None if value is MISSING else list(value) if isinstance(value, tuple) else value


def list_models() -> list[dict[str, Any]]:
    """The embedded models that are known by a short name: whether their weights are here (or how many of their parts), their size in bytes,
    licence and terms, how many tokens of context, and whether they can be offered tools."""
    return [_model(name, known) for name, known in KNOWN.items()]


def _model(name: str, known: Known) -> dict[str, Any]:
    file, (arrived, of) = weights.here(name), weights.parts_of(name)
    first, last = known.parts[0], known.parts[-1]
    return {
        "uri": f"local/{name}",
        "here": None if file is None else str(file),
        "parts_here": of if file else arrived,
        "parts": of,
        "bytes": known.size,
        "licence": known.licence,
        "terms": what_follows(known.licence, name) or NOTHING_FOLLOWS,
        "context": known.context,
        "tools": known.tools,
        "package": first.wanted if of == 1 else f"{first.wanted} … {last.package}",
        "hub": known.hub,
    }

"""What there is: recipes, checks, embedded models."""

from __future__ import annotations

import inspect
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from synthgain.api.asking import knobs_of
from synthgain.curate import load as load_check
from synthgain.curate import names as check_names
from synthgain.models import weights
from synthgain.recipes import load as load_recipe
from synthgain.recipes import names as recipe_names
from synthgain.settings import settings_of
from synthgain.types import AnyCheck, Fold, Selection


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
            "roles": list(r.roles),
            "checks": [c.name for c in r.checks],
            "departures": list(r.departures),
            "knobs": [
                {"name": name, "default": value, "source": r.sources.get(name, "")}
                for name, value in knobs_of(r).items()
            ],
        }
        for r in ([load_recipe(str(name))] if name else map(load_recipe, recipe_names()))
    ]


def list_checks(name: str = "") -> list[dict[str, Any]]:
    """The shipped checks, or the one of that name or file: what it does, on what it looks, and its settings with their defaults."""
    return [_told(check) for check in ([load_check(name)] if name else map(load_check, check_names()))]


def _told(check: AnyCheck) -> dict[str, Any]:
    kind = "the whole set" if isinstance(check, Selection) else "rows in order" if isinstance(check, Fold) else "a row"
    first, _, rest = inspect.cleandoc(type(check).__doc__ or "").partition("\n\n")
    held = settings_of(check)
    known: list[Any] = [f for f in fields(check) if f.init and f.name in held] if is_dataclass(check) else []
    return {
        "name": check.name,
        "does": " ".join(first.split()),
        "more": rest.strip(),
        "looks_at": kind,
        "settings": [{"name": f.name, "default": held[f.name], "kind": str(f.type)} for f in known if f.name != "name"],
    }


def list_models() -> list[dict[str, Any]]:
    """The embedded models that are known by a short name: whether their weights are here, their size in bytes, licence and terms."""
    return [
        {
            "uri": f"local/{name}",
            "here": None if (file := weights.here(name)) is None else str(file),
            "bytes": known.size,
            "licence": known.licence,
            "terms": known.terms,
            "package": f"{known.package}=={known.version}",
        }
        for name, known in weights.KNOWN.items()
    ]

"""What to type to ask the same again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synthgain.api.against import against
from synthgain.api.asking import DEFAULT_MODEL, knobs_of, with_knobs
from synthgain.chain import Named, Request
from synthgain.settings import settings_of
from synthgain.types import Recipe, canonical


def command(request: Request, out: Path, usual: Recipe) -> str:
    """What to type to ask the same again; "" where parts were objects of Python, which no command names.

    `usual` is the recipe before its knobs were set: what differs from it is named. No file is opened because a request names it.
    """
    parts = (request.recipe, *request.checks)
    if any(p.python for p in parts) or any(m.python for m in request.models.values()) or not request.anchors:
        return ""
    words = ["synthgain", "generate", request.recipe.file or request.recipe.name, request.anchors, "-o", str(out)]
    uris = {m.uri for m in request.models.values()}
    alike = len(uris) == 1
    if uris != {DEFAULT_MODEL}:
        words += [w for role, m in request.models.items() for w in ("-m", m.uri if alike else f"{role}={m.uri}")][
            : 2 if alike else None
        ]
    words += _per_role("--base-url", {role: m.base_url for role, m in request.models.items()}, one=True)
    words += _per_role("--served-as", {role: m.served_as for role, m in request.models.items()})
    words += _per_role("--price", {role: m.price for role, m in request.models.items()})
    words += [
        w for said in sorted({m.runtime for m in request.models.values()} - {"auto"}) for w in ("--runtime", said)
    ]
    words += _extras({role: m.extra for role, m in request.models.items()})
    words += [word for header in request.headers for word in ("--header", header)]
    before = knobs_of(usual)
    words += [
        w
        for name, value in request.recipe.settings.items()
        if value != before.get(name)
        for w in ("--set", f"{name}={_as_text(value)}")
    ]
    chosen = with_knobs(usual, request.recipe.settings, f"the recipe {usual.name}")  # whose checks may hang on knobs
    own = {c.name: settings_of(c) for c in chosen.all_checks}
    now = {p.name: p for p in request.checks}
    words += [w for name in own if name not in now for w in ("--without", name)]
    words += [w for p in request.checks if own.get(p.name) != dict(p.settings) for w in typed_check(p)]
    for name, default in (
        ("text_field", None),
        ("id_field", None),
        ("seed", 0),
        ("accept", None),
        ("max_candidates", None),
        ("limit", None),
        ("max_cost", None),
        ("max_tokens", None),
        ("concurrency", None),
        ("wait", None),
        ("requests_per_minute", None),
        ("collapse", ""),
    ):
        value = getattr(request, name)
        if value != default:
            words += [f"--{name.replace('_', '-')}", f"{value:g}" if isinstance(value, float) else str(value)]
    words += [word for recording in request.calls for word in ("--calls", recording.file)]
    words += ["--calls-only"] if request.calls_only else []
    return shlex.join(words)


def shared_command(text: str) -> str:
    """A command as it is given to others: without headers, which may say who asks."""
    try:
        words = shlex.split(text)
    except ValueError:
        return ""
    headers = {n for n, word in enumerate(words) if word == "--header"}
    return shlex.join(word for n, word in enumerate(words) if n not in headers and n - 1 not in headers)


def _per_role(option: str, given: Mapping[str, str], one: bool = False) -> list[str]:
    said = {role: value for role, value in given.items() if value}
    if not said:
        return []
    if one or (len(set(said.values())) == 1 and len(said) == len(given)):
        return [option, next(iter(said.values()))]
    return [word for role, value in said.items() for word in (option, f"{role}={value}")]


def _extras(given: Mapping[str, str]) -> list[str]:
    """--extra for all roles where they have the same fields, else for each."""
    alike = len(set(given.values())) == 1
    said = {"" if alike else f"{role}:": json.loads(text) for role, text in given.items() if text}
    return [w for role, more in said.items() for n, v in more.items() for w in ("--extra", f"{role}{n}={canonical(v)}")]


def _as_text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def typed_check(part: Named) -> list[str]:
    """A check as it is typed."""
    settings = {name: value for name, value in part.settings.items() if not (part.name == "against" and name == "sets")}
    if part.name == "against" and settings == {k: v for k, v in settings_of(against(["x"])[0]).items() if k != "sets"}:
        return [word for name in part.settings.get("sets", ()) for word in ("--against", str(name))]
    held = dict(part.settings)
    first = next(iter(held), "")
    listed = isinstance(held.get(first), list)  # commas part settings: a list is typed as the first one alone can be
    head = f"={_as_text(held.pop(first))}" if listed else ""
    told = ",".join(f"{name}={_as_text(value)}" for name, value in held.items())
    return ["--with", f"{part.file or part.name}{head}{':' if told else ''}{told}"]

"""Whether a folder of slices goes on, or was asked for something else: said before anything there is changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from synthgain.api.asking import Asked
from synthgain.measure.data import Batches
from synthgain.store import Run
from synthgain.types import AnotherRequest, SynthgainError, digest

NEXT = "give another folder (-o), or say that these slices may go (replace)"


def slices_asked(
    names: Sequence[str],
    asks: Sequence[Asked],
    target: tuple[Batches, int] | None,
    seed: int,
    text_field: str | None,
    id_field: str | None,
) -> dict[str, Any]:
    """All that decides which rows a slice has and what it is held against. Models are known by their URIs, held-out text by its content."""
    recipes = {
        name: {
            "knobs": dict(ask.request.recipe.settings),
            "checks": [{"name": check.name, "settings": dict(check.settings)} for check in ask.request.checks],
            "models": {role: model.uri for role, model in ask.request.models.items()},
        }
        for name, ask in zip(names, asks, strict=True)
    }
    held_out = "" if target is None else digest(*_ids(target[0]))
    told = {"recipes": recipes, "seed": seed, "text_field": text_field, "id_field": id_field, "held_out": held_out}
    return dict(json.loads(json.dumps(told)))  # as it is read back


def _ids(batches: Batches) -> Iterator[str]:
    for table in batches(("id",)):
        yield from table.column("id").to_pylist()


def may_go_on(file: Path, asked: Mapping[str, Any], runs: Mapping[str, Run], replace: bool) -> dict[str, Any]:
    """What `file` holds, where the same was asked there; empty where there is nothing yet, or where it may be replaced.

    AnotherRequest says what differs, or which run's groups no slice tells of: it would be cut down to its first slice.
    """
    held = _read(file) if file.is_file() else {}
    differs = list(_differences(held["asked"], asked)) if held else []
    known = held["asked"]["recipes"] if held else {}
    strange = [name for name, run in runs.items() if name not in known and run.count("rows")]
    if replace and (differs or strange):
        return {}
    if differs:
        made = len(held["slices"])
        raise AnotherRequest(
            f"this folder holds {made:,} slices of another request: {'; '.join(differs)}. They would begin anew and runs would be cut down to their first slice; "
            "calls stay, and serve again when they are asked for again",
            where=str(file),
            next=NEXT,
        )
    if strange:
        run = runs[strange[0]]
        raise AnotherRequest(
            f"here lies a run of {run.count('rows'):,} rows that no {file.name} tells of: it would be cut down to its first slice",
            where=str(run.path),
            next=NEXT,
        )
    return held


def _read(file: Path) -> dict[str, Any]:
    try:
        held = json.loads(file.read_text("utf-8"))
    except ValueError:
        held = None
    known = isinstance(held, dict) and isinstance(held.get("asked"), dict) and isinstance(held.get("slices"), list)
    if not known or not isinstance(held["asked"].get("recipes"), dict) or "gain" not in held:
        raise SynthgainError(
            "what was asked here cannot be read",
            where=str(file),
            next="give another folder (-o), or move this one file away: the runs stay, and are named before they change",
        )
    return dict(held)


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """In words, what is asked now that was not asked then. More recipes are no difference."""
    for name, said in (("seed", "seed"), ("text_field", "--text-field"), ("id_field", "--id-field")):
        if before.get(name) != now[name]:
            yield f"{said} {before.get(name)}, now {now[name]}"
    if before.get("held_out") != now["held_out"]:
        yield "another held-out text (--target)"
    for recipe, mine in before["recipes"].items():
        if recipe not in now["recipes"]:
            yield f"without {recipe}"
            continue
        theirs = now["recipes"][recipe]
        for part, one in (("knobs", "knob"), ("models", "model of")):
            for name in sorted({*mine[part], *theirs[part]}):
                if mine[part].get(name) != theirs[part].get(name):
                    yield f"{recipe}: {one} {name}={mine[part].get(name)!r:.60}, now {theirs[part].get(name)!r:.60}"
        if mine["checks"] != theirs["checks"]:
            names = ", ".join(check["name"] for check in mine["checks"]) or "none"
            yield f"{recipe}: its checks were {names}, with their settings"

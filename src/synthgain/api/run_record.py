"""run.json: what was asked, what came of it, and what judging again leaves as it was."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from synthgain.api.as_typed import command
from synthgain.api.asking import Asked, recorded_checks
from synthgain.api.replaying import (
    machine,
)
from synthgain.chain import Opened, Outcome, Tally
from synthgain.models.memory import peak_memory
from synthgain.store import Corpus, Run
from synthgain.store.run import FORMAT


def begun(ask: Asked, parts: Opened, run: Run) -> dict[str, Any]:
    """run.json as far as it is known before the first call."""
    request = ask.request
    return {
        "format": FORMAT,
        "synthgain": version("synthgain"),
        "status": "running",
        "request": request.json(),
        "recipe": {
            "name": ask.recipe.name,
            "version": ask.recipe.version,
            "source": ask.recipe.source,
            "knobs": dict(request.recipe.settings),
            "checks": recorded_checks(ask.checks, request.checks),
        },
        "models": {role: model.uri for role, model in parts.models.items()},
        "identities": {role: model.identity for role, model in parts.models.items()},
        "seed": request.seed,
        "round": request.round,
        "command": command(request, run.path, ask.usual),
        "python": sys.version.split()[0],
        "machine": machine(),
    }


def came_of(outcome: Outcome, corpus: Corpus, seconds: float) -> dict[str, Any]:
    """What run.json says of a run that came to its end, also to an early one."""
    t = outcome.tally
    return {
        "status": "stopped" if outcome.code else "complete",
        **({"why": outcome.why} if outcome.why else {}),
        **_taken(t, corpus, seconds),
        **({"broken_by": dict(t.broken_by.most_common())} if t.broken_by else {}),
        "running": {name: round(value, 6) for name, value in t.figures.items()},
        **({"warning": "; ".join(t.warnings.values())} if t.warnings else {}),
        **({"cost_recorded_usd": t.recorded_cost} if t.recorded else {}),
        "memory_peak": peak_memory(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def so_far(tally: Tally, corpus: Corpus, before: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """What run.json says while a run is under way, and where it broke off: what was bought by then, and the groups and rows of `before`, a record ({}: none)."""
    told = _taken(tally, corpus, seconds)
    held = before.get("counts") or {}
    rows = {name: held.get(name, 0) for name in ("groups", "groups_done", "rows", "kept", "dropped")}
    return told | {"counts": told["counts"] | rows, "dropped_by": dict(before.get("dropped_by") or {})}


def _taken(t: Tally, corpus: Corpus, seconds: float) -> dict[str, Any]:
    counts = {
        "anchors": len(corpus),
        "groups": t.groups_total if t.groups_total is not None else t.groups_done,
        "groups_done": t.groups_done,
        "calls_bought": t.calls_bought,
        "calls_reused": t.calls_reused,
        "calls_recorded": t.recorded.total(),
        "rows": t.rows,
        "kept": t.kept,
        "dropped": t.rows - t.kept,
        "broken": t.broken,
    }
    also = {"repeated": t.repeated, "beyond_the_limit": t.beyond, "not_bought": t.not_bought}
    return {
        "counts": counts | {name: n for name, n in also.items() if n},
        "dropped_by": dict(sorted(t.dropped_by.items())),
        "tokens": {"in": t.tokens_in, "out": t.tokens_out, "in_cached": t.tokens_cached}
        | ({"calls_not_counted": t.uncounted} if t.uncounted else {}),
        "cost_usd": t.cost_in_all,
        "seconds": round(seconds, 3),
    }


def as_before(record: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """What judging again does not change: how the run ended, from whom it bought, and what it took."""
    kept = (
        "why",
        "models",
        "identities",
        "licences",
        "machine",
        "tokens",
        "cost_usd",
        "seconds",
        "memory_peak",
        "finished",
    )
    same = {name: before[name] for name in kept if name in before}
    groups = {name: n for name, n in before.get("counts", {}).items() if n and name.startswith("groups")}
    killed = before.get("status") not in ("complete", "stopped")
    status = {"status": "stopped", "why": "its process ended before it did"} if killed else {"status": before["status"]}
    counts = {name: n for name, n in record["counts"].items() if name != "not_bought"}
    return same | status | _replayed(record, before) | {"counts": counts | groups, "curated": record["finished"]}


def _replayed(record: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """What the calls of these rows took, where other knobs ask for fewer of those that the run paid for."""
    settings = [one["request"]["recipe"].get("settings", {}) for one in (before, record)]
    took = {name: record[name] for name in ("tokens", "cost_usd")}
    same = took == {name: before.get(name) for name in took}
    return {} if same or (settings[0] == settings[1] and "replayed" not in before) else {"replayed": took}

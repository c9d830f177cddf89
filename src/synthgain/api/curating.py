"""Judging a run again, buying nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthgain.api.making import Plan, Watch, carried_out, checks_of, sensible, turned
from synthgain.models import Reach
from synthgain.recipes import load as load_recipe
from synthgain.store import Run
from synthgain.types import AnyCheck, Call, CallFailed, ModelInfo, Prompt


def curate(run: str | Path | Run, *, with_: Sequence[str | AnyCheck] = (), without: Sequence[str] = (), knobs: Mapping[str, Any] | None = None,
           accept: int | None = None, watch: Watch | None = None, command: str = "") -> Run:  # fmt: skip
    """Judge a run again with other checks, buying nothing: drafts are replayed over the calls already paid for."""
    sensible(accept=accept)
    here = run if isinstance(run, Run) else Run.at(run)
    record = here.record
    recipe = turned(
        load_recipe(str(record["recipe"].get("file") or record["recipe"]["name"])),
        {**_recorded_knobs(record), **(knobs or {})},
    )
    models = {role: _Remembered(uri, record["identities"][role]) for role, uri in record["models"].items()}
    plan = Plan(recipe, here.anchors(recipe.reads), checks_of(recipe, with_, without), models)
    asked = {
        "seed": record["seed"],
        "round": record.get("round", 0),
        "limit": record["asked"].get("limit"),
        "accept": accept or record["asked"].get("accept"),
    }
    return carried_out(plan, here.path, asked, Reach(), watch, command or record.get("command", ""), buy=False)


def _recorded_knobs(record: Mapping[str, Any]) -> dict[str, Any]:
    import ast

    read = {}
    for name, value in record["recipe"]["knobs"].items():
        try:
            read[name] = ast.literal_eval(value) if isinstance(value, str) and value[:1] in "([{" else value
        except (ValueError, SyntaxError):
            read[name] = value
    return read


@dataclass(frozen=True)
class _Remembered:
    """A model known by name only: its answers are in the memory, and it gives no others."""

    uri: str
    identity: str
    width: int = 64

    async def __call__(self, prompt: Prompt) -> Call:
        raise CallFailed("this call was never bought; `synthgain generate` buys it")

    async def info(self) -> ModelInfo:
        return ModelInfo(self.uri)

    async def aclose(self) -> None:
        return None

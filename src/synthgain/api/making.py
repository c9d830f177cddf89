"""What users import: puts the rooms together. The command line is a thin skin over these calls."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from synthgain.anchors import load as load_anchors
from synthgain.chain import Buyer, Outcome, Request, Tally, run_round
from synthgain.curate import load as load_check
from synthgain.engines import local
from synthgain.measure.running import Running, Thresholds
from synthgain.models import Reach, open_model
from synthgain.recipes import load as load_recipe
from synthgain.store import Run
from synthgain.store.run import writing
from synthgain.types import Anchor, AnyCheck, Model, Recipe, SynthgainError

Watch = Callable[[Tally], None]
Models = str | Model | Mapping[str, str | Model]
DEFAULT_MODEL = "local/smollm2-135m"
UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)


@dataclass(frozen=True)
class Plan:
    """A request before any model was opened: what will be bought, from whom, judged by what."""

    recipe: Recipe
    anchors: Sequence[Anchor]
    checks: tuple[AnyCheck, ...]
    models: Mapping[str, str | Model]
    file: str = ""  # of a recipe that is not shipped


# ---------------------------------------------------------------------------------------------- generate


def generate(
    recipe: str | Path | Recipe,
    anchors: str | Path | Sequence[Any],
    *,
    out: str | Path,
    model: Models = DEFAULT_MODEL,
    knobs: Mapping[str, Any] | None = None,
    with_: Sequence[str | AnyCheck] = (),
    without: Sequence[str] = (),
    accept: int | None = None,
    max_candidates: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    max_cost: float | None = None,
    max_tokens: int | None = None,
    text_field: str | None = None,
    id_field: str | None = None,
    reach: Reach | None = None,
    round: int = 0,
    collapse: Thresholds | str = "",
    stop_on_collapse: bool = False,
    watch: Watch | None = None,
    command: str = "",
) -> Run:
    """Make a data set in the folder `out`. The same call again resumes, and buys nothing twice.

    `model` is a URI, a Model, or one of these by role. `knobs` set the recipe's knobs. `accept`
    stops when that many rows are accepted. `collapse` are the thresholds of the running estimates below which diversity is
    called collapsed: a warning, or with `stop_on_collapse` the end of the run. SynthgainError says why a run stopped short (its `code`
    is the exit code of CONTRACT); everything bought and drawn until then is in the folder.
    """
    sensible(accept=accept, max_candidates=max_candidates, limit=limit, max_cost=max_cost, max_tokens=max_tokens)
    _not_its_own(anchors, Path(out))
    plan = planned(recipe, anchors, model, knobs, with_, without, text_field, id_field)
    asked = dict(
        accept=accept, max_candidates=max_candidates, limit=limit, seed=seed, max_cost=max_cost, max_tokens=max_tokens, round=round,
        pulse=Running(Thresholds.read(collapse) if isinstance(collapse, str) else collapse), stop_on_collapse=stop_on_collapse,
    )  # fmt: skip
    return carried_out(plan, Path(out), asked, reach_from_environment(reach), watch, command)


def planned(
    recipe: str | Path | Recipe,
    anchors: str | Path | Sequence[Any],
    model: Models,
    knobs: Mapping[str, Any] | None = None,
    with_: Sequence[str | AnyCheck] = (),
    without: Sequence[str] = (),
    text_field: str | None = None,
    id_field: str | None = None,
) -> Plan:
    """Everything that can be wrong before a token is bought is found here."""
    chosen = recipe if isinstance(recipe, Recipe) else load_recipe(str(recipe))
    chosen = turned(chosen, knobs or {})
    checks = checks_of(chosen, with_, without)
    models = _by_role(chosen, model)
    found = load_anchors(anchors, text_field=text_field, id_field=id_field, reads=chosen.reads)
    own = isinstance(recipe, str | Path) and str(recipe).endswith(".py")
    return Plan(chosen, found, checks, models, str(Path(recipe).resolve()) if own else "")  # type: ignore[arg-type]


def sensible(**asked: float | None) -> None:
    """SynthgainError where a number of a request makes no sense: counts begin at 1, money at 0."""
    for name, value in asked.items():
        least = 0 if name == "max_cost" else 1
        if value is not None and not value >= least:
            raise SynthgainError(
                f"{name} must be {least} or more, not {value}",
                where=f"--{name.replace('_', '-')} {value}",
                next="leave it out for no limit",
            )


def _not_its_own(anchors: object, out: Path) -> None:
    """A run that read itself would be another, larger run each time, and would replace what it reads."""
    if isinstance(anchors, str | Path) and str(anchors) and not str(anchors).startswith("hf://"):
        here, run = Path(anchors).resolve(), out.resolve()
        own = (run / name for name in ("anchors", "rows", "data", "calls"))
        if (here == run and (run / "run.json").exists()) or any(part in (here, *here.parents) for part in own):
            raise SynthgainError(
                "a run cannot be made from its own folder", where=str(anchors), next="give another folder with -o"
            )
        if here in run.parents:
            raise SynthgainError(
                "this folder lies inside the anchors' folder: its rows would be read as anchors the next time",
                where=str(out),
                next=f"give a folder outside of {anchors} with -o",
            )


def knobs_of(recipe: Recipe) -> dict[str, Any]:
    """The recipe's knobs and their values: the dataclass fields of its draft."""
    draft: Any = recipe.draft
    return {f.name: getattr(draft, f.name) for f in fields(draft)} if is_dataclass(draft) else {}


def turned(recipe: Recipe, knobs: Mapping[str, Any]) -> Recipe:
    """The recipe with these knobs set; values given as text are read by the knob's own type."""
    if not knobs:
        return recipe
    defaults = knobs_of(recipe)
    if not defaults:
        raise SynthgainError(f"the recipe {recipe.name!r} has no knobs", next="leave --set out")
    values: dict[str, Any] = {}
    for name, value in knobs.items():
        if name not in defaults:
            raise SynthgainError(
                f"the recipe {recipe.name!r} has no knob {name!r}", next=f"its knobs are: {', '.join(defaults)}"
            )
        values[name] = _as_knob(name, value, defaults[name]) if isinstance(value, str) else value
    try:
        draft: Any = recipe.draft
        return replace(recipe, draft=replace(draft, **values))
    except (TypeError, ValueError) as error:
        raise SynthgainError(str(error), where=f"--set {values}") from error


def _as_knob(name: str, text: str, default: object) -> object:
    try:
        if isinstance(default, bool):
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[text.lower()]
        if isinstance(default, str):
            return text
        if isinstance(default, tuple):
            return tuple(part.strip() for part in text.split(",") if part.strip())
        if text.lower() in ("none", "all"):
            return None
        return float(text) if isinstance(default, float) else int(text)
    except (KeyError, ValueError):
        kind = "a number" if default is None else f"a value like {default!r}"
        raise SynthgainError(f"knob {name} needs {kind}, not {text!r}", where=f"--set {name}={text}") from None


def checks_of(recipe: Recipe, with_: Sequence[str | AnyCheck], without: Sequence[str]) -> tuple[AnyCheck, ...]:
    """The recipe's checks, less `without`, then `with_`; one that is named again replaces its namesake."""
    added = [load_check(c) if isinstance(c, str) else c for c in with_]
    names = {c.name for c in recipe.checks}
    unknown = [name for name in without if name not in names and name != "all"]
    if unknown:
        raise SynthgainError(
            f"the recipe {recipe.name!r} has no check {unknown[0]!r}", where=f"--without {unknown[0]}",
            next=f"its checks are: {', '.join(sorted(names)) or 'none'}",
        )  # fmt: skip
    replaced = {c.name for c in added}
    stay = [c for c in recipe.checks if "all" not in without and c.name not in without and c.name not in replaced]
    return (*stay, *added)


def _by_role(recipe: Recipe, model: Models) -> dict[str, str | Model]:
    given: Mapping[str, str | Model] = model if isinstance(model, Mapping) else {"": model}
    unknown = [role for role in given if role and role not in recipe.roles]
    if unknown:
        raise SynthgainError(
            f"the recipe {recipe.name!r} has no role {unknown[0]!r}", where=f"-m {unknown[0]}=…",
            next=f"its roles are: {', '.join(recipe.roles)}",
        )  # fmt: skip
    return {role: given.get(role, given.get("", DEFAULT_MODEL)) for role in recipe.roles}


def reach_from_environment(reach: Reach | None = None) -> Reach:
    """How to reach servers: what was given, else OPENAI_BASE_URL and OPENAI_API_KEY."""
    reach = reach or Reach()
    return replace(
        reach,
        base_url=reach.base_url or os.environ.get("OPENAI_BASE_URL", ""),
        api_key=reach.api_key or os.environ.get("OPENAI_API_KEY", ""),
    )


def opened(models: Mapping[str, str | Model], reach: Reach) -> dict[str, Model]:
    """The models by role; equal URIs share one."""
    by_uri: dict[str, Model] = {}
    found: dict[str, Model] = {}
    for role, model in models.items():
        if isinstance(model, str):
            model = by_uri.setdefault(model, by_uri.get(model) or open_model(model, reach))
        found[role] = model
    return found


@contextmanager
def on_disk(where: Path) -> Iterator[None]:
    """A full disk, or a place that cannot be written, is said in words (SynthgainError)."""
    try:
        yield
    except OSError as error:
        if error.errno in UNWRITABLE:
            raise SynthgainError(
                f"this place cannot be written ({error.strerror})",
                where=str(error.filename or where),
                next="give another place with -o, or the right to write to this one",
            ) from error
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise SynthgainError(
            "the disk is full", where=str(where), code=3,
            next="free disk space and run the same command again: every answer written so far is kept",
        ) from error  # fmt: skip


def carried_out(
    plan: Plan, out: Path, asked: Mapping[str, Any], reach: Reach, watch: Watch | None, command: str, buy: bool = True
) -> Run:
    run = Run(out)
    with on_disk(out), writing(out):
        began = time.time()
        models = opened(plan.models, reach)
        request = Request(plan.recipe, plan.anchors, models, plan.checks, buy=buy, **asked)
        record = _record(request, plan, command)
        run.write_anchors(plan.anchors)
        run.write_record({**record, "status": "running"})
        buyers: list[Buyer] = []

        async def work() -> tuple[Outcome, dict[str, str | None]]:
            memory = run.memory()
            try:
                outcome = await run_round(request, run, memory, watch or (lambda _: None), buyers.append)
                licences = {
                    m.uri: (await m.info()).licence if not m.uri.startswith("openai/") else None
                    for m in models.values()
                }
                return outcome, licences
            finally:
                memory.close()
                for model, given in zip(models.values(), plan.models.values()):
                    if isinstance(given, str):
                        await model.aclose()

        def interrupted() -> bool:
            for buyer in buyers:
                buyer.stop("interrupted", 130)
            return bool(buyers)

        try:
            outcome, licences = local.run(work(), interrupted)
        except (SynthgainError, KeyboardInterrupt) as error:
            run.write_record({**record, "status": "stopped", "why": str(error) or "interrupted"})
            raise
        record = {**record, **_came_of(outcome, run, time.time() - began)}
        _write_card(run, record, licences)
        run.write_record(record)
    if outcome.code:
        resume = command.replace(" --stop-on-collapse", "") or "the same call again"
        raise SynthgainError(
            f"stopped: {outcome.why}",
            where=str(out),
            code=outcome.code,
            next=f"everything bought is kept; to go on: {resume}",
        )
    return run


def _record(request: Request, plan: Plan, command: str) -> dict[str, Any]:
    """run.json as far as it is known before the first call."""
    knobs = knobs_of(request.recipe)
    asked = {name: getattr(request, name) for name in ("accept", "max_candidates", "limit", "max_cost", "max_tokens")}
    return {
        "synthgain": version("synthgain"),
        "status": "running",
        "recipe": {
            "name": request.recipe.name,
            "version": request.recipe.version,
            "source": request.recipe.source,
            "knobs": {k: v if isinstance(v, str | int | float | bool | None) else repr(v) for k, v in knobs.items()},
            "checks": [repr(c) for c in request.checks],
            **({"file": plan.file} if plan.file else {}),
        },
        "models": {role: model.uri for role, model in request.models.items()},
        "identities": {role: model.identity for role, model in request.models.items()},
        "seed": request.seed,
        "round": request.round,
        "asked": {k: v for k, v in asked.items() if v is not None},
        "command": command,
        "python": sys.version.split()[0],
    }


def _came_of(outcome: Outcome, run: Run, seconds: float) -> dict[str, Any]:
    t = outcome.tally
    return {
        "status": "stopped" if outcome.code else "complete",
        **({"why": outcome.why} if outcome.why else {}),
        "counts": {
            "anchors": run.count_anchors(),
            "groups": t.groups_total,
            "groups_done": t.groups_done,
            "calls_bought": t.calls_bought,
            "calls_reused": t.calls_reused,
            "rows": t.rows,
            "kept": t.kept,
            "dropped": t.rows - t.kept,
            "broken": t.broken,
        },
        "dropped_by": dict(sorted(t.dropped_by.items())),
        "tokens": {"in": t.tokens_in, "out": t.tokens_out, "in_cached": t.tokens_cached},
        "running": {name: round(value, 6) for name, value in t.figures.items()},
        **({"warning": t.note} if t.note else {}),
        "cost_usd": t.cost,
        "seconds": round(seconds, 3),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _write_card(run: Run, record: Mapping[str, Any], licences: Mapping[str, str | None]) -> None:
    from synthgain.report.card import card

    text = card(dict(record), columns=run.data_columns(), rows_kept=record["counts"]["kept"], licences=dict(licences))
    (run.data / "README.md").write_text(text, "utf-8")

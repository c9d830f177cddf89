"""Judging a run again, or a data set that somebody else made; nothing is bought."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from synthgain.api.against import against as compared_with
from synthgain.api.against import listed
from synthgain.api.asking import (
    Asked,
    check_given,
    knobs_of,
    named_once,
    opened_checks,
    ordered,
    recipe_of,
    sensible,
    settings_by_name,
    turned,
    with_knobs,
)
from synthgain.api.curating_data import curate_data, curate_data_again
from synthgain.api.making import Watch, carried_out, embedder_for
from synthgain.api.places import writes_to
from synthgain.api.replaying import Remembered
from synthgain.chain import Named, Opened, Request
from synthgain.chain.given import GIVEN
from synthgain.settings import misfit
from synthgain.store import Run
from synthgain.types import AnyCheck, Recipe, SynthgainError


def curate(
    source: str | Path | Run,
    *,
    out: str | Path | None = None,
    with_: Sequence[str | AnyCheck] = (),
    without: Sequence[str] = (),
    knobs: Mapping[str, Any] | None = None,
    accept: int | None = None,
    recipe: str | Path | Recipe | None = None,
    text_field: str | None = None,
    strict: bool = False,
    against: Sequence[str | Path] = (),
    watch: Watch | None = None,
) -> Run:
    """Judge a run again with other checks, buying nothing: its drafts are replayed over the calls already paid for.

    Without options this changes nothing. `with_` adds checks to those the run has (one with the same name takes its place), `without`
    takes some away; `accept` keeps the first that many. A recipe that came from a file or as an object has to be given again (`recipe`):
    a run folder holds no code, and none is executed because of it.

    With `out`, `source` is a data set that somebody else made: a file, a folder, hf://… Its rows are judged into a run there, which can be
    judged again like any other. `text_field` names the column of its texts; rows that cannot be used are skipped and counted, or with
    `strict` refused. `against` are files, folders or hf://…: a row that is near one of theirs falls.
    """
    sensible(accept=accept)
    with_, without = [*listed(with_), *compared_with(against)], listed(without)
    if out is not None:
        return _given(source, out, with_, without, knobs, accept, recipe, text_field, strict, watch)
    here = source if isinstance(source, Run) else _run_at(source)
    if text_field is not None or strict:
        raise SynthgainError(
            "a run is judged as it lies there: nothing is read anew",
            where="--strict" if strict else "--text-field",
            next="leave the option out",
        )
    with writes_to(here.path):
        if "given" in here.record:
            return curate_data_again(here, _asked_of_given(here, with_, without, knobs, accept, recipe), watch)
        record = _sound(here)
        request = _asked(here)
        sensible(
            **{name: getattr(request, name) for name in ("accept", "max_candidates", "limit", "max_cost", "max_tokens")}
        )
        usual = recipe_of(request.recipe, recipe)
        chosen = turned(with_knobs(usual, request.recipe.settings, f"the recipe {request.recipe.name}"), knobs or {})
        _replayable(here, chosen)
        checks, parts = _judged_anew(request, chosen, with_, without)
        changed = request.changed(
            recipe=replace(request.recipe, settings=knobs_of(chosen)), checks=parts, accept=accept or request.accept
        )
        models = {role: Remembered(uri, record["identities"][role]) for role, uri in record["models"].items()}
        ask = Asked(changed, chosen, usual, checks, models)
        _no_server(ask)
        embedder = embedder_for(ask)
        opened = Opened(chosen, checks, models, embedder)
        told = {"anchors": record.get("anchors", {})}
        corpus = here.corpus(chosen.needs, embedder)
        return carried_out(ask, opened, corpus, here, watch or (lambda _: None), told, before=record)


def _run_at(source: str | Path) -> Run:
    """The run; SynthgainError where the path is a data set, or nothing."""
    if not Run.is_at(source) and (str(source).startswith("hf://") or Path(source).exists()):
        raise SynthgainError(
            "this is not a run (no run.json)",
            where=str(source),
            next=f"if it is a data set, say where its verdicts go: synthgain curate {shlex.quote(str(source))} -o RUN",
        )
    return Run.at(source)


def _given(
    source: str | Path | Run,
    out: str | Path,
    with_: Sequence[str | AnyCheck],
    without: Sequence[str],
    knobs: Mapping[str, Any] | None,
    accept: int | None,
    recipe: object,
    text_field: str | None,
    strict: bool,
    watch: Watch | None,
) -> Run:
    place = source.path if isinstance(source, Run) else source
    if Run.is_at(place):
        raise SynthgainError(
            "this is a run, and a run is judged in its own place",
            where=str(place),
            next=f"leave -o out; or give its rows as a data set: {place}/data",
        )
    _nothing_drafted(without, knobs, recipe)
    return curate_data(place, out, with_=with_, accept=accept, text_field=text_field, strict=strict, watch=watch)


def _nothing_drafted(without: Sequence[str], knobs: Mapping[str, Any] | None, recipe: object) -> None:
    """SynthgainError for an option that says nothing of rows that no recipe made."""
    for option, given in (("--without", without), ("--set", knobs), ("--recipe", recipe)):
        if given:
            raise SynthgainError(
                f"{option} says nothing of rows that no recipe made",
                where=option,
                next="leave it out; --with adds checks",
            )


def _asked_of_given(
    run: Run,
    with_: Sequence[str | AnyCheck],
    without: Sequence[str],
    knobs: Mapping[str, Any] | None,
    accept: int | None,
    recipe: object,
) -> Asked:
    """What is asked of given rows that are judged again."""
    _nothing_drafted((), knobs, recipe)
    request = _asked(run)
    sensible(accept=request.accept)
    checks, parts = _judged_anew(request, GIVEN, with_, without)
    ask = Asked(request.changed(checks=parts, accept=accept or request.accept), GIVEN, GIVEN, checks)
    _no_server(ask)
    return ask


SAID = {
    "models": str,
    "identities": str,
    "counts": int,
    "tokens": int,
}  # of run.json: names, and what stands under each
FIGURES = ("cost_usd", "seconds")
AGAIN = "run the command that made it again: calls are kept apart and are not bought twice"
MOST = 1e18  # no count, price or time of a run is larger


def _sound(run: Run) -> dict[str, Any]:
    """run.json, of which judging again takes over how the run ended. SynthgainError where it says what no run writes."""
    record = run.record
    wrong = [
        name
        for name, kind in SAID.items()
        if not isinstance(said := record.get(name, {}), dict)
        or not all(_is_one(value, kind) for value in said.values())
    ]
    wrong += [name for name in FIGURES if not (record.get(name) is None or _is_one(record[name], float | int))]
    if not wrong and set(record.get("models", {})) != set(record.get("identities", {})):
        wrong = ["identities"]
    if not wrong and "models" not in record:  # of a recipe that asks no model there is none
        wrong = ["models"]
    if wrong:
        raise SynthgainError(
            f"run.json says of {wrong[0]}: {record.get(wrong[0])!r:.60}",
            where=str(run.run_json),
            next=AGAIN,
        )
    return record


def _asked(run: Run) -> Request:
    """The request of a record. SynthgainError where a value is of another kind than a request has."""
    request = Request.read(run.request)
    for part in (request, request.recipe, *request.checks, *request.models.values()):
        if wrong := misfit(part):
            raise SynthgainError(
                f"run.json asks for {wrong} {getattr(part, wrong)!r:.60}", where=str(run.run_json), next=AGAIN
            )
    return request


def _is_one(value: object, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool) and (isinstance(value, str) or abs(value) < MOST)


def _no_server(ask: Asked) -> None:
    """A record sends no text and no key anywhere: vectors of a server are asked for by who names it, not by a run folder."""
    if ask.request.embedder.startswith("openai/") and any("vector" in getattr(c, "columns", ()) for c in ask.checks):
        raise SynthgainError(
            f"a check reads vectors of {ask.request.embedder}, and judging again reaches no server",
            where="checks",
            next="leave the check out (--without), or make the run again with `synthgain generate`",
        )


def _replayable(run: Run, recipe: Recipe) -> None:
    if not run.files("anchors"):
        raise SynthgainError(
            "this run has no anchors yet", where=str(run.path), next="finish it first: run its command again"
        )
    if getattr(recipe.pick, "pooled", False) and not run.files("groups"):
        raise SynthgainError(
            "this run was killed before its groups were written down, and they depend on its rows",
            where=str(run.path),
            next="finish it first: run its command again",
        )


def _judged_anew(
    request: Request, recipe: Recipe, with_: Sequence[str | AnyCheck], without: Sequence[str]
) -> tuple[tuple[AnyCheck, ...], tuple[Named, ...]]:
    """The run's own checks, less `without`, then `with_`; what of these is not set stays as the run has it."""
    names = [part.name for part in request.checks]
    if unknown := [name for name in without if name not in (*names, "all")]:
        raise SynthgainError(
            f"this run has no check {unknown[0]!r}",
            where=f"--without {unknown[0]}",
            next=f"its checks are: {', '.join(sorted(names)) or 'none'}",
        )
    own = settings_by_name(request.checks, recipe, without)
    given = named_once([check_given(check, own) for check in with_], with_)
    gone = {*(names if "all" in without else without), *(part.name for _, part in given if part.shipped)}
    stay = opened_checks([part for part in request.checks if part.name not in gone], recipe, given)
    again = {part.name for _, part in stay}
    return ordered([*stay, *(pair for pair in given if pair[1].name not in again)])

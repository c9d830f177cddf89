"""From what a person asks to a request, and from a request to its opened parts."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from synthgain.api.against import opened_against
from synthgain.api.drafts import gives_rows
from synthgain.api.given import sha256_of
from synthgain.chain import Named, Opened, Reached, Request
from synthgain.chain.judging import judging_order, ready
from synthgain.curate import file_of, load_file, shipped
from synthgain.curate import load as load_check
from synthgain.curate import names as check_names
from synthgain.models import SERVER_ONLY, Reach, headers_of, key_for, of_role, open_model, server_of
from synthgain.recipes import load as load_recipe
from synthgain.recipes import names as recipe_names
from synthgain.settings import advised, settings_of, typed, with_settings
from synthgain.types import AnyCheck, Fold, Model, Recipe, Selection, SynthgainError, canonical

DEFAULT_MODEL = "local/smollm2-135m"
ModelChoice = str | Model | Mapping[str, str | Model]
NO_KNOBS = ("pooled",)  # fields of a `pick` that are no knobs


@dataclass(frozen=True)
class Asked:
    """A request, with what of it is in hand already: the recipe with its knobs, the checks, models that were given as objects.

    `usual` is the recipe as its author has it, before any knob was set. `ask_again`: also what a server refused for good.
    """

    request: Request
    recipe: Recipe
    usual: Recipe
    checks: tuple[AnyCheck, ...]
    objects: Mapping[str, Model] = field(default_factory=dict)
    ask_again: bool = False


def asked(
    recipe: str | Path | Recipe,
    *,
    model: ModelChoice = DEFAULT_MODEL,
    knobs: Mapping[str, Any] | None = None,
    with_: Sequence[str | AnyCheck] = (),
    without: Sequence[str] = (),
    reach: Reach | None = None,
    ask_again: bool = False,
    **limits: Any,
) -> Asked:
    """Everything that can be wrong before anchors are read is found here. `limits` are the other fields of a Request."""
    sensible(
        **{
            name: limits.get(name)
            for name in ("accept", "max_candidates", "limit", "max_cost", "max_tokens", "concurrency")
        }
    )
    usual = recipe if isinstance(recipe, Recipe) else load_recipe(str(recipe))
    gives_rows(usual)
    chosen = turned(usual, knobs or {})
    checks, parts = judged_by(chosen, with_, without)
    given = by_role(chosen, model)
    reach = reach or Reach()
    for option, said in (("--served-as", reach.served_as), ("--price", reach.price), ("--extra", reach.extra)):
        _roles_of(chosen, {} if isinstance(said, str) else said, option)
    asks = not limits.get("calls_only")
    if asks:
        _of_servers(given, reach)
    request = Request(
        recipe=part_of(chosen, recipe),
        checks=parts,
        models={role: _reached(role, m, reach, asks) for role, m in given.items()},
        concurrency=limits.pop("concurrency", None) or reach.concurrency,
        wait=reach.wait,
        requests_per_minute=reach.requests_per_minute,
        headers=reach.headers,
        **limits,
    )
    objects = {role: m for role, m in given.items() if not isinstance(m, str)}
    return Asked(request, chosen, usual, checks, objects, ask_again)


def sensible(**numbers: float | None) -> None:
    """SynthgainError where a number of a request makes no sense: counts begin at 1, money at 0."""
    for name, value in numbers.items():
        least = 0 if name in ("max_cost", "wait") else 1
        if value is not None and not value >= least:
            raise SynthgainError(
                f"{name} must be {least} or more, not {value}",
                where=f"--{name.replace('_', '-')} {value}",
                next="leave it out for no limit",
            )


# ---------------------------------------------------------------------------------------------- recipes and their knobs


def part_of(recipe: Recipe, given: str | Path | Recipe) -> Named:
    """The recipe as a request names it."""
    knobs, draft, name = knobs_of(recipe), recipe.draft, recipe.name
    if isinstance(given, Recipe):
        if (
            name in recipe_names()
            and type(load_recipe(name).draft) is type(draft)
            and not hasattr(draft, "__qualname__")
        ):
            return Named(recipe.name, knobs, recipe.version)
        owner: Any = draft if hasattr(draft, "__qualname__") else type(draft)
        return Named(recipe.name, knobs, recipe.version, python=f"{owner.__module__}.{owner.__qualname__}")
    if str(given).replace("_", "-") in recipe_names():
        return Named(recipe.name, knobs, recipe.version)
    return Named(recipe.name, knobs, recipe.version, file=str(given), sha256=sha256_of(given))


def fields_of(recipe: Recipe) -> tuple[str, ...]:
    """All fields that its rows can have, as far as it says so: those that came with another draft's recipe (`replace(RECIPE, draft=…)`) say nothing."""
    taken_over = recipe.name in recipe_names() and recipe.fields is (usual := load_recipe(recipe.name)).fields
    return () if taken_over and type(recipe.draft) is not type(usual.draft) else recipe.all_fields


def knobs_of(recipe: Recipe) -> dict[str, Any]:
    """The recipe's knobs and their values, as JSON: the dataclass fields of its draft and of its pick."""
    return settings_of(recipe.draft) | settings_of(recipe.pick, leave=NO_KNOBS)


def turned(recipe: Recipe, knobs: Mapping[str, Any]) -> Recipe:
    """The recipe with these knobs set; values given as text are read by the knob's own type."""
    if not knobs:
        return recipe
    known = {f.name: part for part in (recipe.draft, recipe.pick) for f in _fields(part)}
    if not known:
        raise SynthgainError(f"the recipe {recipe.name!r} has no knobs", next="leave --set out")
    with advised(next=f"`synthgain recipes {recipe.name}` lists its knobs and their defaults"):
        return with_knobs(recipe, _typed_knobs(recipe, known, knobs), f"--set {dict(knobs)}")


def _typed_knobs(recipe: Recipe, known: Mapping[str, Any], knobs: Mapping[str, Any]) -> dict[str, Any]:
    """The values of knobs, those given as text as the knob's own type. `known` says which part holds each."""
    values: dict[str, Any] = {}
    for name, value in knobs.items():
        if name not in known:
            raise SynthgainError(
                f"the recipe {recipe.name!r} has no knob {name!r}", next=f"its knobs are: {', '.join(known)}"
            )
        values[name] = (
            typed(value, getattr(known[name], name), f"knob {name}", f"--set {name}={value}")
            if isinstance(value, str)
            else value
        )
    return values


def with_knobs(recipe: Recipe, values: Mapping[str, Any], where: str) -> Recipe:
    """The recipe with knobs of these values, in its draft or its pick. SynthgainError for one that neither has."""
    known = [f.name for part in (recipe.draft, recipe.pick) for f in _fields(part)]
    if unknown := sorted(set(values) - set(known)):
        raise SynthgainError(
            f"there is no knob {unknown[0]!r}", where=where, next=f"the knobs are: {', '.join(known) or 'none'}"
        )
    changed = {}
    for side in ("draft", "pick"):
        part: Any = getattr(recipe, side)
        mine = {f.name: values[f.name] for f in _fields(part) if f.name in values}
        changed[side] = with_settings(part, mine, where)
    return replace(recipe, **changed)


def _fields(part: Any) -> list[Any]:
    return [f for f in fields(part) if f.name not in NO_KNOBS] if is_dataclass(part) else []


def opened_recipe(part: Named, given: str | Path | Recipe | None = None) -> Recipe:
    """The recipe that a request names, with its knobs, as `recipe_of` finds it."""
    return with_knobs(recipe_of(part, given), part.settings, f"the recipe {part.name}")


def recipe_of(part: Named, given: str | Path | Recipe | None = None) -> Recipe:
    """The recipe that a request names, as its author has it. One that is not shipped must be given again: a record executes nothing."""
    if part.shipped and given is None and part.name in recipe_names():
        recipe = load_recipe(part.name)
        _same_version(recipe, part)
    elif given is None:
        what = (
            f"the file {part.file}"
            if part.file
            else f"an object of Python ({part.python})"
            if part.python
            else "unknown here"
        )
        how = "in Python: recipe=…" if part.python else f"--recipe {shlex.quote(part.file or 'FILE')}"
        raise SynthgainError(
            f"this run's recipe {part.name!r} is {what}, and a run folder executes nothing",
            where="recipe",
            next=f"give it again: {how}",
        )
    else:
        recipe = given if isinstance(given, Recipe) else load_recipe(str(given))
        if recipe.name != part.name:
            raise SynthgainError(
                f"this run was made with the recipe {part.name!r}, not {recipe.name!r}",
                where=str(getattr(given, "name", given)),
                next=f"give the file it was made with: {part.file or part.name}",
            )
        if part.sha256 and not isinstance(given, Recipe) and sha256_of(given) != part.sha256:
            raise SynthgainError(
                "this recipe's file is not the one that the run was made with: its content has changed",
                where=str(given),
                next="give the file as it was, or make the run again with `synthgain generate` (only changed prompts are bought)",
            )
        _same_version(recipe, part)
    return recipe


def _same_version(recipe: Recipe, part: Named) -> None:
    if part.version and recipe.version != part.version:
        raise SynthgainError(
            f"this run was made with version {part.version} of {part.name}; here is version {recipe.version}",
            where="recipe",
            next="make it again with `synthgain generate`: calls whose prompts did not change are not bought again",
        )


# ---------------------------------------------------------------------------------------------- checks


def judged_by(
    recipe: Recipe, with_: Sequence[str | AnyCheck], without: Sequence[str]
) -> tuple[tuple[AnyCheck, ...], tuple[Named, ...]]:
    """The recipe's checks, less `without`, then `with_`, in the order in which they judge. What is named takes its namesake's place, and
    what it does not set stays as its namesake has it."""
    own = settings_by_name([Named(c.name, settings_of(c)) for c in recipe.all_checks], recipe, without)
    added = named_once([check_given(c, own) for c in with_], with_)
    names = {c.name for c in recipe.all_checks}
    unknown = [name for name in without if name not in names and name != "all"]
    if unknown:
        raise SynthgainError(
            f"the recipe {recipe.name!r} has no check {unknown[0]!r}",
            where=f"--without {unknown[0]}",
            next=f"its checks are: {', '.join(sorted(names)) or 'none'}",
        )
    replaced = {check.name for check, _ in added}
    stay = [c for c in recipe.all_checks if "all" not in without and c.name not in without and c.name not in replaced]
    return ordered([*((c, Named(c.name, settings_of(c))) for c in stay), *added])


def ordered(parts: Sequence[tuple[AnyCheck, Named]]) -> tuple[tuple[AnyCheck, ...], tuple[Named, ...]]:
    """Checks and how a request names them, in the order in which they judge. Each has said that it can judge here."""
    order = judging_order([check for check, _ in parts])
    ready(order)
    told = {id(check): part for check, part in parts}
    return order, tuple(told[id(check)] for check in order)


def recorded_checks(checks: Sequence[AnyCheck], parts: Sequence[Named]) -> list[dict[str, Any]]:
    """The checks as run.json has them under `recipe`: by name and settings, and which of them verify answers."""
    return [
        {"name": part.name, "settings": dict(part.settings), "verifies": verifies(check)}
        for check, part in zip(checks, parts, strict=True)
    ]


def verifies(check: object) -> bool:
    """Whether a row that the check keeps has a right answer, by what its anchor holds (a row check that says so: docs/write-a-check.md)."""
    return getattr(check, "verifies", False) is True and not isinstance(check, Fold | Selection)


def settings_by_name(parts: Iterable[Named], recipe: Recipe, without: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """The settings by name of those checks that are shipped ones (the recipe's own of such a name may be another), less `without`."""
    if "all" in without:
        return {}
    others = {*without, *(c.name for c in recipe.all_checks if type(c) is not shipped(c.name))}
    return {part.name: part.settings for part in parts if part.shipped and part.name not in others}


def named_once(added: list[tuple[AnyCheck, Named]], typed: Sequence[str | AnyCheck]) -> list[tuple[AnyCheck, Named]]:
    """The checks as they are; SynthgainError where one is typed twice: a run knows a check by its name."""
    names = [part.name for (_, part), given in zip(added, typed, strict=True) if isinstance(given, str)]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        next_ = f"name it once, with all its settings: --with {twice}:NAME=VALUE,NAME=VALUE"
        raise SynthgainError(f"the check {twice} is named twice", where=f"--with {twice}", next=next_)
    return added


def check_given(given: str | AnyCheck, own: Mapping[str, Mapping[str, Any]] | None = None) -> tuple[AnyCheck, Named]:
    """A check that somebody named or made, and how a request names it. Settings that are not named are those of its namesake among `own`."""
    if isinstance(given, str):
        file = file_of(given)
        if file is None:
            check = load_check(given, own)
            return opened_against(check, Named(check.name, settings_of(check)))
        check, sha256 = load_file(given)
        return check, Named(check.name, settings_of(check), file=str(file), sha256=sha256)
    if given.name in check_names() and type(load_check(given.name)) is type(given):
        return opened_against(given, Named(given.name, settings_of(given)))
    kind = type(given)
    return given, Named(given.name, settings_of(given), python=f"{kind.__module__}.{kind.__qualname__}")


def opened_checks(
    parts: Sequence[Named], recipe: Recipe, given: Sequence[tuple[AnyCheck, Named]] = ()
) -> list[tuple[AnyCheck, Named]]:
    """The checks that a request names; those that are neither the recipe's nor shipped must be among the `given`."""
    own = {c.name: c for c in recipe.all_checks}
    again = {part.name: (check, part) for check, part in given}
    found: list[tuple[AnyCheck, Named]] = []
    for part in parts:
        if part.shipped and part.name in own:
            check = own[part.name]
        elif part.shipped and part.name in check_names():
            check = load_check(part.name)
        elif part.name in again:
            found.append(again[part.name])
            continue
        else:
            what = f"the file {part.file}" if part.file else "an object of Python" if part.python else "unknown here"
            raise SynthgainError(
                f"this run's check {part.name!r} is {what}, and a run folder executes nothing",
                where="checks",
                next=f"give it again (--with {part.file or part.name}), or leave it out (--without {part.name})",
            )
        found.append(opened_against(with_settings(check, part.settings, f"the check {part.name}"), part, recorded=True))
    return found


# ---------------------------------------------------------------------------------------------- models


def by_role(recipe: Recipe, model: ModelChoice) -> dict[str, str | Model]:
    """A model for each of the recipe's roles. SynthgainError where a role has none: the default never steps in for one."""
    given: Mapping[str, str | Model] = model if isinstance(model, Mapping) else {"": model}
    _roles_of(recipe, given, "-m")
    missing = [role for role in recipe.all_roles if role not in given and "" not in given]
    if missing:
        raise SynthgainError(
            f"no model is named for the role {missing[0]!r} of {recipe.name}",
            where="-m",
            next=f"name one for each role (-m {missing[0]}=URI), or give a URI without a role for all that are not named",
        )
    return {role: given[role] if role in given else given[""] for role in recipe.all_roles}


def _roles_of(recipe: Recipe, given: Mapping[str, Any], option: str) -> None:
    """SynthgainError where an option is for a role that the recipe has not: nobody would read it."""
    unknown = [role for role in given if role and role not in recipe.all_roles]
    if unknown:
        raise SynthgainError(
            f"the recipe {recipe.name!r} has no role {unknown[0]!r}",
            where=f"{option} {unknown[0]}=…",
            next=f"its roles are: {', '.join(recipe.all_roles)}",
        )


def _reached(role: str, model: str | Model, reach: Reach, asks: bool) -> Reached:
    """How a role's model is reached. Where nothing is asked of it, a server need not be named."""
    if not isinstance(model, str):
        return Reached(model.uri, python=True)
    named = ""
    if model.startswith("openai/") and "@http" not in model:
        with nullcontext() if asks else suppress(SynthgainError):
            named = server_of(model, reach)[1]
    more = reach.extra_for(role) if model.startswith("openai/") else {}
    return Reached(
        model,
        base_url=named,
        served_as=of_role(reach.served_as, role),
        price=of_role(reach.price, role),
        extra=canonical(more) if more else "",
        runtime=reach.runtime if model.startswith(("local/", "hf://")) else "auto",
    )


def _of_servers(given: Mapping[str, str | Model], reach: Reach) -> None:
    """SynthgainError where an option that only servers heed is given, and no role has one."""
    headers_of(reach.headers)
    sensible(requests_per_minute=reach.requests_per_minute, wait=reach.wait)
    said = (reach.requests_per_minute, reach.headers, reach.extra)
    if any(said) and not any(isinstance(m, str) and m.startswith("openai/") for m in given.values()):
        option = next(option for option, value in zip(SERVER_ONLY[1:], said) if value)
        raise SynthgainError(f"{option} is for servers, and no role has one", where=option, next="leave it out")


def opened_models(request: Request, objects: Mapping[str, Model], reach: Reach | None = None) -> dict[str, Model]:
    """The models by role; roles that reach the same model the same way share one. Keys come from the environment."""
    shared: dict[Any, Model] = {}
    found: dict[str, Model] = {}
    for role, reached in request.models.items():
        if role in objects:
            found[role] = objects[role]
            continue
        if reached.python:
            raise SynthgainError(
                f"the model of the role {role!r} was an object of Python ({reached.uri})",
                where="models",
                next="give it again: model=…",
            )
        own = replace(
            reach or Reach(),
            base_url=reached.base_url,
            served_as=reached.served_as,
            price=reached.price,
            concurrency=request.concurrency,
            wait=request.wait,
            requests_per_minute=request.requests_per_minute,
            headers=request.headers,
            extra={"": json.loads(reached.extra)} if reached.extra else {},
            runtime=reached.runtime,
        )
        key = (reached, key_for(role))
        if key not in shared:
            shared[key] = open_model(reached.uri, own, role)
        found[role] = shared[key]
    return found


def opened(request: Request) -> Opened:
    """The parts of a request that was made here, also in another process: a recipe's or check's file is loaded if it has not changed."""
    recipe = opened_recipe(request.recipe, request.recipe.file or None)
    given = [check_given(part.file) for part in request.checks if part.file]
    changed = [part for part in request.checks if part.file and sha256_of(part.file) != part.sha256]
    if changed:
        raise SynthgainError("this check's file has changed", where=changed[0].file, next="run the command again")
    checks = [check for check, _ in opened_checks(request.checks, recipe, given)]
    return Opened(recipe, tuple(checks), opened_models(request, {}))

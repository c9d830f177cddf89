"""Which data next: several recipes at once, a slice of each, and each further slice where the last one added most for its price.

    buy a slice of every recipe
    ┌─▶ what did each recipe's last slice add?   Δ = gain(all rows) − gain(all rows but those of that slice), on the same held-out text
    │   per dollar (or 1,000 tokens bought):     the lower end of Δ's interval / what the slice cost
    └── the next slice where that is highest, until none is above the limit, nothing is left, or the budget is reached

The gain is the meter's, by its cheap reader (`measure.proxy`), paired held-out document by document. What a slice added stands for what the next one will
add: gains flatten as sets grow, so it is on the high side. Each recipe has a run of its own in the folder; a slice is so many more groups of it. What was decided
is in `slices.json`; the same call again goes on from there, and buys nothing twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from synthgain.api.asking import DEFAULT_MODEL, Asked, ModelChoice, asked, opened_models
from synthgain.api.examining import Panel, no_panel
from synthgain.api.making import generate
from synthgain.api.places import apart_from, writes_to
from synthgain.api.reaching import Servers, Unpack, reaching
from synthgain.api.replaying import Calls
from synthgain.api.slices import PER, Slice, Until, added, row_ids, shown, spent, together
from synthgain.api.slices_asked import may_go_on, slices_asked
from synthgain.api.sources import data_of_run, real_texts
from synthgain.api.telling import Say
from synthgain.measure import Data, held_out_gains, judged
from synthgain.measure.compare import PerDocument
from synthgain.models import Reach
from synthgain.recipes import load as load_recipe
from synthgain.store import Run, atomic_write
from synthgain.types import AnyCheck, BudgetReached, SynthgainError

FILE = "slices.json"
STOPPED = "no recipe's last slice is shown to add that much"
ALL = "all groups of all recipes are made"


@dataclass
class _Bought:
    """A recipe as far as it is made."""

    run: Run
    groups: int = 0
    ended: bool = False
    spent: tuple[float | None, int] = (0.0, 0)  # dollars and tokens, for all its slices
    kept: frozenset[str] = field(default_factory=frozenset)  # ids of its kept rows
    last: frozenset[str] = field(default_factory=frozenset)  # … that its last slice brought


@reaching
def allocate(
    recipes: Sequence[str],
    anchors: str | Path,
    *,
    out: str | Path,
    until: str,
    slice: int = 20,
    target: str | Path | None = None,
    max_cost: float | None = None,
    seed: int = 0,
    replace: bool = False,
    say: Say | None = None,
    panel: Panel = no_panel,
    model: ModelChoice = DEFAULT_MODEL,
    knobs: Mapping[str, Any] | None = None,
    with_: Sequence[str | AnyCheck] = (),
    without: Sequence[str] = (),
    max_tokens: int | None = None,
    text_field: str | None = None,
    id_field: str | None = None,
    strict: bool = False,
    calls: Calls = (),
    calls_only: bool = False,
    reach: Reach | None = None,
    **servers: Unpack[Servers],
) -> dict[str, Any]:
    """Slices of several recipes, each next one where the lower bound of the gain for its price is highest: what slices.json holds.

    {"asked", "why" (it ended), "gain", "unit", "slices": [{"recipe", "groups", "kept", "dollars", "tokens", "gain", "low", "high", "documents", "note"}],
    "runs": {recipe: folder}, "readings" (of each recipe's last slice), "cost_usd"}: see docs/which-data-next.md.

    `until` says when it ends (`Until`), `slice` how many groups a slice has, `target` is held-out real text (without it anchors are held out in
    turn). `max_cost` bounds all recipes together. All else is as `generate` takes it, for every recipe.

    The same folder goes on: with another `until`, `slice` or `max_cost`, and with more recipes, too. AnotherRequest where anything else was asked there (another seed,
    target, model, knob or check, a recipe less): its slices would begin anew, and `replace` lets them. SynthgainError where a price is not
    known and the gain is asked for by dollar; BudgetReached at `max_cost`, with everything kept.
    """
    place, rule = Path(out), Until.read(until)
    names = list(dict.fromkeys(recipes))
    if len(names) < 2:
        raise SynthgainError(
            "one recipe leaves nothing to decide", where="--until", next="name two or more: rephrase,entigraph"
        )
    if slice < 1:
        raise SynthgainError(
            f"a slice has 1 group or more, not {slice}", where="--slice", next="give 1 or more, or leave it out for 20"
        )
    if Run.is_at(place):
        raise SynthgainError(
            "this folder is a run of one recipe",
            where=str(place),
            next="give another folder with -o: each recipe gets a run in it",
        )
    if max_cost is not None and not max_cost >= 0:
        raise SynthgainError(
            f"a budget is 0 or more, not {max_cost:g}", where="--max-cost", next="leave it out for no limit"
        )
    _apart(names)
    apart_from(anchors, place)
    asking = {
        "model": model,
        "knobs": knobs,
        "with_": with_,
        "without": without,
        "max_tokens": max_tokens,
        "text_field": text_field,
        "id_field": id_field,
        "strict": strict,
        "calls": calls,
        "calls_only": calls_only,
        "reach": reach,
    }
    asks = [_asked(name, asking) for name in names]  # what can be wrong with one is found before another buys
    if rule.per == "dollar":
        _priced(asks, reach)
    real = None if target is None else real_texts(target)
    told = slices_asked(names, asks, real, seed, text_field, id_field)
    with writes_to(place):
        held = may_go_on(place / FILE, told, {name: _run_of(place, name) for name in names}, replace)
        told |= {
            "anchors": str(anchors),
            "target": None if target is None else str(target),
            "until": until,
            "slice": slice,
        }
        asking["replace"] = replace
        work = _Allocation(place, rule, slice, real, max_cost, seed, say or (lambda _: None), panel, anchors, asking)
        work.begin(names, told, held)
        return work.carry_out()


def _run_of(place: Path, recipe: str) -> Run:
    """A recipe's run: in a folder by its name, or its file's."""
    return Run(place / Path(recipe).stem)


def _apart(names: Sequence[str]) -> None:
    """SynthgainError where two recipes would share a folder: each has one by its name, or its file's."""
    folders: dict[str, str] = {}
    for name in names:
        if (other := folders.setdefault(Path(name).stem, name)) != name:
            raise SynthgainError(
                f"{other} and {name} would be made in one folder, {Path(name).stem}",
                where="--until",
                next="give one of the files another name",
            )


def _priced(asks: Sequence[Asked], reach: Reach | None) -> None:
    """SynthgainError where nobody knows what a call costs, or it costs nothing."""
    for ask in asks:
        models = ask.request.models
        sold = {role: reached for role, reached in models.items() if reached.uri.startswith("openai/")}
        opened = opened_models(replace(ask.request, models=sold), ask.objects, reach)
        for role, reached in models.items():
            if not reached.python and getattr(opened.get(role), "price", None) is None:
                raise SynthgainError(
                    f"no price is known for {reached.uri}, so there is no gain per dollar",
                    where="--until",
                    next='give --price IN,OUT of a server, or ask by tokens: --until "gain_per_token < 0.01"',
                )


def _asked(recipe: str, asking: Mapping[str, Any]) -> Asked:
    parts = {name: asking[name] for name in ("knobs", "with_", "without", "reach", "calls_only")}
    return asked(recipe, model=_of_roles(recipe, asking["model"]), **parts)


def _of_roles(recipe: str, model: ModelChoice) -> ModelChoice:
    """The models of the roles that a recipe has."""
    if not isinstance(model, Mapping):
        return model
    roles = load_recipe(recipe).all_roles
    return {role: given for role, given in model.items() if not role or role in roles}


class _Over(BudgetReached):
    """The budget of all recipes together is reached."""


@dataclass
class _Allocation:
    """One allocation under way: the runs, the slices so far, and what they add."""

    place: Path
    rule: Until
    slice: int
    target: tuple[Any, int] | None
    max_cost: float | None
    seed: int
    say: Say
    panel: Panel
    anchors: str | Path
    asking: Mapping[str, Any]
    told: Mapping[str, Any] = field(default_factory=dict)
    bought: dict[str, _Bought] = field(default_factory=dict)
    slices: list[Slice] = field(default_factory=list)

    def begin(self, names: Sequence[str], told: Mapping[str, Any], held: Mapping[str, Any]) -> None:
        """Where an earlier call stopped: `held` is what it wrote; empty: nowhere. What was judged by another gain is not known by this one."""
        self.told = told
        self.bought = {name: _Bought(_run_of(self.place, name)) for name in names}
        steps = [Slice(**step) for step in held.get("slices", ())]
        if held and held["gain"] != self.rule.gain:
            unknown = f"judged by {held['gain']} before"
            steps = [replace(step, gain=None, low=None, high=None, documents=0, note=unknown) for step in steps]
        for step in steps:
            if self._spent_up():
                raise self._over()  # what is written down stays as it is
            before = len(self.slices)
            self._buy(step.recipe, step.groups)
            made = [one.groups for one in self.slices[before:]]
            if made == [step.groups]:  # else there are fewer anchors than there were
                self.slices[-1] = step
        self._write("")

    def carry_out(self) -> dict[str, Any]:
        for name in self.bought:
            if not self.bought[name].groups:
                self._next(name)
        while True:
            standing = self._judged()
            open_to = {name: low for name, low in standing.items() if not self.bought[name].ended}
            if not open_to:
                return self._write(ALL)
            paying = {name: low for name, low in open_to.items() if low is not None and low >= self.rule.limit}
            if not paying:
                return self._write(f"{STOPPED} ({self.rule.gain} per {PER[self.rule.per][0]} ≥ {self.rule.limit:g})")
            self._next(max(paying, key=lambda name: (paying[name], name)))

    # ------------------------------------------------------------------------------------------ buying

    def _next(self, name: str) -> None:
        if self._spent_up():
            self._write(f"the budget of ${self.max_cost:g} is reached")
            raise self._over()
        before = len(self.slices)
        try:
            self._buy(name, self.bought[name].groups + self.slice)
        except _Over:
            self._write(f"the budget of ${self.max_cost:g} is reached")
            raise
        for made in self.slices[before:]:
            took = f"{made.tokens:,} tokens" + (f", ${made.dollars:.4f}" if made.dollars else "")
            self.say(f"{name}: groups up to {made.groups}: {made.kept} kept rows more, {took}")
        self._write("")

    def _buy(self, name: str, groups: int) -> None:
        mine = self.bought[name]
        left = None if self.max_cost is None else self.max_cost - self._cost() + (spent(mine.run)[0] or 0.0)
        try:
            run = self._made(name, groups, left)
        except BudgetReached as error:
            if left is None or self.asking.get("max_tokens") is not None:
                raise  # it may be another budget, of this run alone
            raise self._over() from error
        made = int(run.record["counts"]["groups"])
        mine.ended = made < groups
        if made > mine.groups:  # else all was made before
            before, kept = mine.spent, frozenset(row_ids(run))
            mine.spent = dollars, tokens = spent(run)
            mine.last, mine.kept = kept - mine.kept, kept
            dollars = None if dollars is None else dollars - (before[0] or 0.0)
            self.slices.append(Slice(name, made, len(mine.last), dollars, tokens - before[1]))
        mine.groups = made

    def _made(self, name: str, groups: int, max_cost: float | None) -> Run:
        """A recipe's run, up to so many groups."""
        with self.panel() as watch:
            return generate(
                name,
                self.anchors,
                out=self.bought[name].run.path,
                limit=groups,
                seed=self.seed,
                max_cost=max_cost,
                watch=watch,
                **{**self.asking, "model": _of_roles(name, self.asking["model"])},
            )

    def _spent_up(self) -> bool:
        return self.max_cost is not None and self._cost() >= self.max_cost

    def _over(self) -> _Over:
        return _Over(
            f"the budget of ${self.max_cost:g} is reached",
            where=str(self.place),
            next="the same command with a larger --max-cost goes on",
            code=3,
        )

    def _cost(self) -> float:
        return sum(spent(one.run)[0] or 0.0 for one in self.bought.values())

    # ------------------------------------------------------------------------------------------ judging

    def _judged(self) -> dict[str, float | None]:
        """Of each recipe the lower bound of what its last slice added, for its price; written into its last slice."""
        sides = [data_of_run(one.run, seed=self.seed) for one in self.bought.values()]
        every = self._gains(sides, frozenset())
        found: dict[str, float | None] = {}
        for name, mine in self.bought.items():
            at = max((i for i, step in enumerate(self.slices) if step.recipe == name), default=None)
            if at is None:  # it made no group of these anchors
                self.say(f"{name}: it has no groups")
                continue
            step = self.slices[at]
            if not mine.last:
                step = replace(step, gain=None, low=None, high=None, documents=0, note="no row was kept")
            else:
                value, low, high, n, note = added(every, self._gains(sides, mine.last), self.seed)
                step = replace(step, gain=value, low=low, high=high, documents=n, note=note)
            self.slices[at] = step
            found[name] = step.worth(self.rule.per, step.low)
            self.say(f"{name}: its last slice added {shown(step, self.rule)}")
        self._write("")
        return found

    def _gains(self, sides: Sequence[Data], without: frozenset[str]) -> PerDocument | str:
        """The gain of all rows but these, held-out document by document; or why there is none."""
        data = together(sides, without, self.seed)
        if self.target is not None:
            data = data.with_target(*self.target)
        found = judged(data)
        return found if isinstance(found, str) else held_out_gains(data, found)[self.rule.gain]

    # ------------------------------------------------------------------------------------------ what is written

    def _write(self, why: str) -> dict[str, Any]:
        told = {
            "asked": dict(self.told),
            "why": why,
            "gain": self.rule.gain,
            "unit": self.rule.unit,
            "slices": [asdict(step) for step in self.slices],
            "runs": {name: str(one.run.path) for name, one in self.bought.items()},
            "readings": [self._reading(name) for name in self.bought if any(s.recipe == name for s in self.slices)],
            "cost_usd": self._cost(),
        }
        atomic_write(self.place / FILE, json.dumps(told, ensure_ascii=False, indent=1) + "\n")
        return told

    def _reading(self, name: str) -> dict[str, Any]:
        """What the recipe's last slice added for its price."""
        step = [s for s in self.slices if s.recipe == name][-1]
        ends = {
            end: step.worth(self.rule.per, getattr(step, which))
            for end, which in (("value", "gain"), ("low", "low"), ("high", "high"))
        }
        why = step.note or (
            "not judged yet"
            if step.gain is None
            else f"what a slice took is not known by {self.rule.per}"
            if ends["value"] is None
            else ""
        )
        return {
            "name": f"{self.rule.gain}_per_{self.rule.per}",
            **ends,
            "level": 0.95,
            "unit": self.rule.unit,
            "n": step.documents,
            "estimator": "gain with and without the last slice, paired by held-out document",
            "class": "proxy",
            "note": "; ".join(filter(None, (name, why))),
        }

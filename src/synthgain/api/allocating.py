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
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synthgain.api.asking import DEFAULT_MODEL, Asked, ModelChoice, asked, opened_models
from synthgain.api.examining import Panel, no_panel
from synthgain.api.making import apart_from, generate, writes_to
from synthgain.api.reaching import Servers, Unpack, reaching
from synthgain.api.replaying import Calls
from synthgain.api.sources import data_of_run, real_texts
from synthgain.measure import Data, held_out_gains, judged
from synthgain.measure.compare import GAINS, PerDocument
from synthgain.measure.resample import ratio_interval
from synthgain.models import Reach
from synthgain.recipes import load as load_recipe
from synthgain.store import Run, atomic_write
from synthgain.types import AnyCheck, BudgetReached, SynthgainError

PER = {"dollar": ("dollar", 1.0), "token": ("1,000 tokens bought", 1000.0), "row": ("100 kept rows", 100.0)}
FILE = "slices.json"
STOPPED = "no recipe's last slice is shown to add that much"
ALL = "all groups of all recipes are made"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Until:
    """`gain_per_dollar < 0.5`: stop where no recipe is shown to add that much. `gain` is a figure of the meter's gains."""

    gain: str
    per: str
    limit: float

    @staticmethod
    def read(text: str) -> Until:
        said = re.fullmatch(r"\s*(\w+?)_per_(\w+)\s*<\s*([0-9.eE+-]+)\s*", text)
        gain = {"gain": GAINS[0]}.get(said[1], said[1]) if said else ""
        try:
            limit = float(said[3]) if said else -1.0
        except ValueError:
            limit = -1.0
        if said is None or gain not in GAINS or said[2] not in PER or limit < 0:
            raise SynthgainError(
                f"until when is not understood: {text!r}",
                where="--until",
                next=f'write "gain_per_dollar < 0.5": gain or one of {", ".join(GAINS)}; per {", ".join(PER)}; a number from 0 on',
            )
        return Until(gain, said[2], limit)

    @property
    def unit(self) -> str:
        return f"nats/token per {PER[self.per][0]}"


@dataclass(frozen=True)
class Slice:
    """Some groups of a recipe: what they took, and what their rows add to all the others'."""

    recipe: str
    groups: int  # of the recipe's run, with this slice
    kept: int
    dollars: float | None
    tokens: int
    gain: float | None = None  # nats/token, when it was decided what comes next
    low: float | None = None
    high: float | None = None
    documents: int = 0  # held out, on which the gain rests
    note: str = ""

    def size(self, per: str) -> float | None:
        """What the slice took, in the unit that a gain is told by."""
        took = {"dollar": self.dollars, "token": self.tokens, "row": self.kept}[per]
        return took / PER[per][1] if took else None

    def worth(self, per: str, end: float | None) -> float | None:
        """An end of the gain's interval for each unit of what it took."""
        size = self.size(per)
        return None if end is None or size is None else end / size


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

    `until` says when it ends (`Until`), `slice` how many groups a slice has, `target` is held-out real text (without it anchors are held out in
    turn). `max_cost` bounds all recipes together. All else is as `generate` takes it, for every recipe. SynthgainError where a price is not
    known and the gain is asked for by dollar; BudgetReached at `max_cost`, with everything kept.
    """
    place, rule = Path(out), Until.read(until)
    names = list(dict.fromkeys(recipes))
    if len(names) < 2:
        raise SynthgainError(
            "one recipe leaves nothing to decide", where="--until", next="name two or more: rephrase,entigraph"
        )
    if slice < 1:
        raise SynthgainError(f"a slice has 1 group or more, not {slice}", where="--slice")
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
    with writes_to(place):
        work = _Allocation(place, rule, slice, real, max_cost, seed, say or (lambda _: None), panel, anchors, asking)
        work.begin(names, {"recipes": names, "anchors": str(anchors), "until": until, "slice": slice, "seed": seed})
        return work.carry_out()


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
    roles = load_recipe(recipe).roles
    return {role: given for role, given in model.items() if not role or role in roles}


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

    def begin(self, names: Sequence[str], told: Mapping[str, Any]) -> None:
        """Where an earlier call stopped, if it asked the same."""
        self.told = told
        self.bought = {name: _Bought(Run(self.place / Path(name).stem)) for name in names}
        file = self.place / FILE
        held = json.loads(file.read_text("utf-8")) if file.is_file() else {}
        if held.get("asked") == dict(told):
            for step in held["slices"]:
                self._buy(step["recipe"], step["groups"])
                self.slices[-1] = Slice(**step)

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
        before = len(self.slices)
        self._buy(name, self.bought[name].groups + self.slice)
        for made in self.slices[before:]:
            took = f"{made.tokens:,} tokens" + (f", ${made.dollars:.4f}" if made.dollars else "")
            self.say(f"{name}: groups up to {made.groups}: {made.kept} kept rows more, {took}")
        self._write("")

    def _buy(self, name: str, groups: int) -> None:
        mine = self.bought[name]
        if self.max_cost is not None and self._cost() >= self.max_cost:
            self._write(f"the budget of ${self.max_cost:g} is reached")
            raise BudgetReached(
                f"the budget of ${self.max_cost:g} is reached",
                where=str(self.place),
                next="the same command with a larger --max-cost goes on",
                code=3,
            )
        left = None if self.max_cost is None else self.max_cost - self._cost() + (_spent(mine.run)[0] or 0.0)
        with self.panel() as watch:
            run = generate(
                name,
                self.anchors,
                out=mine.run.path,
                limit=groups,
                seed=self.seed,
                max_cost=left,
                watch=watch,
                **{**self.asking, "model": _of_roles(name, self.asking["model"])},
            )
        made = int(run.record["counts"]["groups"])
        mine.ended = made < groups
        if made > mine.groups:  # else all was made before
            before, kept = mine.spent, frozenset(row_ids(run))
            mine.spent = dollars, tokens = _spent(run)
            mine.last, mine.kept = kept - mine.kept, kept
            dollars = None if dollars is None else dollars - (before[0] or 0.0)
            self.slices.append(Slice(name, made, len(mine.last), dollars, tokens - before[1]))
        mine.groups = made

    def _cost(self) -> float:
        return sum(_spent(one.run)[0] or 0.0 for one in self.bought.values())

    # ------------------------------------------------------------------------------------------ judging

    def _judged(self) -> dict[str, float | None]:
        """Of each recipe the lower bound of what its last slice added, for its price; written into its last slice."""
        sides = [data_of_run(one.run, seed=self.seed) for one in self.bought.values()]
        every = self._gains(sides, frozenset())
        found: dict[str, float | None] = {}
        for name, mine in self.bought.items():
            at = max(i for i, step in enumerate(self.slices) if step.recipe == name)
            step = self.slices[at]
            if not mine.last:
                step = replace(step, gain=None, low=None, high=None, documents=0, note="no row was kept")
            else:
                value, low, high, n, note = _added(every, self._gains(sides, mine.last), self.seed)
                step = replace(step, gain=value, low=low, high=high, documents=n, note=note)
            self.slices[at] = step
            found[name] = step.worth(self.rule.per, step.low)
            self.say(f"{name}: its last slice added {_shown(step, self.rule)}")
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


# ---------------------------------------------------------------------------------------------- pure parts


def row_ids(run: Run) -> Iterator[str]:
    """The ids of the kept rows."""
    for table in run.shards(["id", "kept"]):
        yield from table.filter(table.column("kept")).column("id").to_pylist()


def _spent(run: Run) -> tuple[float | None, int]:
    """Dollars (None: not known) and tokens that a run's data set took."""
    record = run.record
    tokens = record.get("tokens") or {}
    return record.get("cost_usd"), int(tokens.get("in") or 0) + int(tokens.get("out") or 0)


def together(sides: Sequence[Data], without: frozenset[str], seed: int) -> Data:
    """The kept rows of several runs as one set, but for these; beside all their anchors."""
    gone = pa.array(sorted(without), pa.string())

    def rows(names: Sequence[str]) -> Iterator[pa.Table]:
        for table in chain.from_iterable(side.rows([*names, "id"] if "id" not in names else names) for side in sides):
            left = table.filter(pc.invert(pc.is_in(table.column("id"), value_set=gone))) if len(gone) else table
            yield left.select(list(names))

    def anchors(names: Sequence[str]) -> Iterator[pa.Table]:
        return chain.from_iterable(side.anchors(names) for side in sides)

    n_rows = sum(side.n_rows for side in sides) - len(without)
    n_anchors = sum(side.n_anchors for side in sides)
    return Data(rows, n_rows, anchors, n_anchors, linked=all(side.linked for side in sides), seed=seed)


def _added(
    every: PerDocument | str, without: PerDocument | str, seed: int
) -> tuple[float | None, float | None, float | None, int, str]:
    """What rows add to the others: the difference on the same held-out text, its interval, and on how many documents."""
    if isinstance(every, str):
        return None, None, None, 0, every
    if isinstance(without, str):  # these rows are all there is
        ratio = ratio_interval(every.nats, every.tokens, seed=seed)
        return ratio.value, ratio.low, ratio.high, len(every.documents), ""
    _, mine, other = np.intersect1d(every.documents, without.documents, return_indices=True)
    if len(mine) < 2:
        return None, None, None, len(mine), "fewer than 2 held-out documents are judged with and without it"
    ratio = ratio_interval(every.nats[mine] - without.nats[other], every.tokens[mine], seed=seed)
    return ratio.value, ratio.low, ratio.high, len(mine), ""


def _shown(step: Slice, rule: Until) -> str:
    value, low, high = (step.worth(rule.per, end) for end in (step.gain, step.low, step.high))
    if value is None or low is None or high is None:
        return f"an unknown gain ({step.note or 'no interval, or no price'})"
    return f"{value:.4g} [{low:.4g}, {high:.4g}] {rule.unit}"

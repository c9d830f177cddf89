"""What arms cost, and arms that cost the same: generation included.

The cost of a run is that of the calls behind its rows, kept and dropped (a call that several rows share counts once): dollars where every
call has a price, else the tokens that the writer read and wrote, or the seconds that its calls took. What an arm's rows cost is its
share of that. A training token costs what `train_price` says; without it nothing in dollars, one token in tokens, and in seconds what training
was measured to take. At equal cost every arm spends what the cheapest recipe does whole: dearer rows are fewer, and an arm that generates
nothing may train longer for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from synthgain.loop import Arm, Part, Rows
from synthgain.store import Run
from synthgain.types import SynthgainError

UNITS = {
    "dollars": "US dollars",
    "tokens": "tokens that the writer read and wrote",
    "seconds": "seconds of the writer's calls",
}
AT_ONCE = 2_000  # calls that are looked up at once


@dataclass(frozen=True)
class Spent:
    """What a run's rows cost; `dollars` is None where a call has no price, or nothing was paid."""

    dollars: float | None
    tokens: int
    seconds: float
    kept: int
    rows: int

    def cost(self, unit: str) -> float:
        return float({"dollars": self.dollars or 0.0, "tokens": self.tokens, "seconds": self.seconds}[unit])


def spent(run: Run) -> Spent:
    """The calls behind a run's rows, each once."""
    ids = dict.fromkeys(
        id for shard in run.shards(["call_ids"]) for mine in shard.column("call_ids").to_pylist() for id in mine or ()
    )
    dollars, tokens, seconds = 0.0, 0, 0.0
    priced = bool(ids)
    rest = iter(ids)
    while some := list(islice(rest, AT_ONCE)):
        for call in run.bought(some).values():
            tokens += call.tokens_in + call.tokens_out
            seconds += call.seconds
            priced = priced and call.cost is not None
            dollars += call.cost or 0.0
    counts = run.record["counts"]
    return Spent(dollars if priced and dollars > 0 else None, tokens, seconds, counts["kept"], counts["rows"])


@dataclass(frozen=True)
class Costs:
    """What each arm costs, in one unit. `training` is the cost of a training token; `notes` say what was taken for granted."""

    unit: str
    runs: Mapping[str, Spent]
    training: float
    notes: tuple[str, ...] = ()

    def rows(self, arm: Arm, n: int) -> float:
        """What the rows of an arm cost: of each part its share of the run."""
        return sum(
            self.runs[part.source].cost(self.unit) * share
            for part, share in zip(arm.learns, shares(arm, n, self.runs))
            if part.source in self.runs
        )

    def whole(self, arm: Arm, n: int, tokens: int) -> float:
        """Rows and training."""
        return self.rows(arm, n) + tokens * self.training


def shares(arm: Arm, n: int, runs: Mapping[str, Spent]) -> list[float]:
    """Of each part the share of its run that an arm of `n` rows uses: of kept rows, or of all where it draws candidates; 0 of anchors."""
    sizes = [_size(part, runs) for part in arm.learns]
    given = [part.share for part in arm.learns]
    if all(share is not None for share in given):
        taken = [n * (share or 0.0) for share in given]
    elif arm.as_many_as:
        whole = sum(sizes)
        taken = [n * size / whole if whole else 0.0 for size in sizes]
    else:
        taken = [float(part.rows or size) for part, size in zip(arm.learns, sizes)]
    return [
        min(1.0, k / size) if size and part.take != "anchors" else 0.0
        for part, k, size in zip(arm.learns, taken, sizes)
    ]


def _size(part: Part, runs: Mapping[str, Spent]) -> int:
    if part.source not in runs:
        return 0
    return runs[part.source].rows if part.take == "candidates" else runs[part.source].kept


def costs_of(
    arms: Sequence[Arm],
    runs: Mapping[str, Run],
    *,
    unit: str = "",
    train_price: float | None = None,
    seconds_a_token: Callable[[], float] = lambda: 0.0,
) -> Costs:
    """The costs of arms in dollars where every run has prices, else in the writer's tokens; or in the unit asked for."""
    used = {part.source for arm in arms for part in arm.learns if part.take != "anchors"}
    found = {source: spent(run) for source, run in runs.items()}
    unpriced = [source for source in used & found.keys() if found[source].dollars is None]
    if unit == "dollars" and unpriced:
        raise SynthgainError(
            "nothing is known of what this run's calls cost in dollars",
            where=min(unpriced),
            next="make the run with its prices: `synthgain generate … --price IN,OUT`; or compare in tokens: --cost-in tokens",
        )
    chosen = unit or ("tokens" if unpriced else "dollars")
    notes = [f"cost is in {UNITS[chosen]}" + ("" if unit else ", because " + _why(unpriced))]
    training = (train_price or 0.0) / 1e6
    if train_price is not None:
        notes.append(f"a million training tokens cost {train_price:g}")
    elif chosen == "dollars":
        notes.append("nothing is known of what training costs: it counts nothing (train_price says it)")
    elif chosen == "tokens":
        training = 1.0
        notes.append("a training token counts as one token (train_price says otherwise)")
    else:
        training = seconds_a_token()
        notes.append(f"a training token takes {1000 * training:.3g} ms, as measured on the students of the first table")
    free = sorted(used - found.keys())
    if free:
        notes.append(f"of {', '.join(free)} nobody knows what making it cost: it counts nothing")
    return Costs(chosen, found, training, tuple(notes))


def _why(unpriced: Sequence[str]) -> str:
    return f"{len(unpriced)} of the runs have no prices" if unpriced else "every call has its price"


@dataclass(frozen=True)
class Equal:
    """Arms that cost the same: `arms` are those of the plan that are trained otherwise for it, `unchanged` the names of the others."""

    budget: float
    arms: tuple[Arm, ...]
    unchanged: tuple[str, ...]
    notes: tuple[str, ...] = ()


def at_equal_cost(arms: Sequence[Arm], rows: Mapping[str, Rows], costs: Costs, tokens: int) -> Equal:
    """Every trained arm with the budget of the cheapest that generates: fewer rows of what is dearer; more training where nothing is generated.

    An arm that cannot spend the budget (all its rows cost less, or training costs nothing) stays as it is, and a note says so.
    """
    price = {arm.name: costs.rows(arm, rows[arm.name].n) for arm in arms}
    making = [cost for cost in price.values() if cost > 0]
    if not making:
        return Equal(0.0, (), tuple(arm.name for arm in arms), ("no arm's rows cost anything",))
    budget = min(making) + tokens * costs.training
    changed, unchanged, notes = [], [], []
    for arm in arms:
        share = min(making) / price[arm.name] if price[arm.name] else 1.0
        if price[arm.name] and share < 1:
            changed.append(_fewer(arm, rows[arm.name].n, share, costs.runs))
        elif not price[arm.name] and costs.training:
            more = int(budget / costs.training)
            changed.append(replace(arm, settings={**arm.settings, "tokens": more}))
        else:
            unchanged.append(arm.name)
            if not price[arm.name]:
                notes.append(f"{arm.name} costs nothing and cannot spend the budget: training has no price")
    return Equal(budget, tuple(changed), tuple(unchanged), tuple(notes))


def _fewer(arm: Arm, n: int, share: float, runs: Mapping[str, Spent]) -> Arm:
    """The arm with that share of its rows, drawn by a hash from each part; anchors stay whole."""
    used = shares(arm, n, runs)
    parts = tuple(
        replace(part, share=None, rows=max(1, int(use * _size(part, runs) * share)) if use else part.rows)
        for part, use in zip(arm.learns, used)
    )
    return replace(arm, learns=parts, as_many_as="")

"""What arms.json says of a table of arms: readings, differences, each learning rate by itself, orders and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

from synthgain.api.arms_grid import Done, Table
from synthgain.api.arms_plan import ArmsPlan
from synthgain.api.choosing import OPEN_BOOK
from synthgain.evaluate import Order, Question, Solved, order_of
from synthgain.loop import Result, arms_json
from synthgain.types import Reading


@dataclass(frozen=True)
class Told:
    """A table of arms that are done. `texts` are readings on text by arm; those of the base stand under ""."""

    plan: ArmsPlan
    questions: Sequence[Question]
    done: Done
    rates: Sequence[float]
    texts: Mapping[str, Sequence[Reading]] = field(default_factory=dict)

    @property
    def table(self) -> Table:
        return Table(self.questions, [arm.name for arm in self.plan.arms], self.done)

    @property
    def headline(self) -> str:
        wanted = self.plan.settings.headline
        return wanted if wanted in self.table.figures else self.table.figures[0]


def table_json(told: Told) -> dict[str, Any]:
    """{"arms", "differences", "by_rate", "orders", "verdict"}."""
    table, names = told.table, [arm.name for arm in told.plan.arms]
    results = [_result(told, table, name) for name in names]
    compared = [name for name, arm in zip(names, told.plan.arms) if arm.exam != OPEN_BOOK]  # a ceiling is no competitor
    pairs = [(a, b) if b == told.plan.reference else (b, a) for a, b in combinations(compared, 2)]
    differences = [
        {"a": a, "b": b, **table.difference(a, b, figure).json()} for a, b in pairs for figure in table.figures
    ]
    trained = [arm.name for arm in told.plan.trained]
    orders = [_order(told, a, b) for a, b in pairs if a in trained and b in trained]
    return {
        **arms_json(results, (), lambda a, b: ()),
        "differences": differences,
        "by_rate": [_at_rate(told, table, rate) for rate in told.rates],
        "orders": [one.json() for one in orders],
        "verdict": _verdict(told, orders),
    }


def _result(told: Told, table: Table, name: str) -> Result[Solved]:
    """The arm as one: the figures over rates, documents and students; of further figures the mean."""
    by_rate = told.done.trained.get(name)
    made = [told.done.untrained[name]] if by_rate is None else [by_rate[rate] for rate in told.rates]
    first, figures = made[0], [table.reading(name, figure) for figure in table.figures]
    whole = first.scored.pooled([one.scored for one in made[1:]]) if len(made) > 1 else first.scored
    known = {r.name for r in figures}
    more = [r for r in whole.readings if r.name not in known]
    arm = next(one for one in told.plan.arms if one.name == name)
    texts = told.texts.get("" if by_rate is None and not arm.exam else name, ())
    return replace(first, scored=replace(whole, readings=(*figures, *more, *texts)))


def _at_rate(told: Told, table: Table, rate: float) -> dict[str, Any]:
    """Every trained arm at one learning rate, and what it has more than the reference."""
    reference = told.plan.reference
    arms = []
    for arm in told.plan.trained:
        less = (
            []
            if arm.name == reference
            else [table.difference(arm.name, reference, figure, rate).json() for figure in table.figures]
        )
        arms.append(
            {
                "name": arm.name,
                "readings": [table.reading(arm.name, figure, rate).json() for figure in table.figures],
                "loss": last_loss(told.done.trained[arm.name][rate]),
                "less_reference": less,
            }
        )
    return {"learning_rate": rate, "arms": arms}


def last_loss(made: Result[Solved]) -> float | None:
    """The training loss at the last step of an arm's first student."""
    curve = made.student.record.get("curve") or [{}] if made.student else [{}]
    loss = curve[-1].get("loss")
    return None if loss is None else float(loss)


# ---------------------------------------------------------------------------------------------- the verdict


def _order(told: Told, a: str, b: str, level: float = 0.95) -> Order:
    table, figure = told.table, told.headline
    by_rate = {rate: table.difference(a, b, figure, rate, level) for rate in told.rates}
    return order_of(a, b, table.difference(a, b, figure, None, level), by_rate)


def _verdict(told: Told, orders: Sequence[Order]) -> dict[str, Any]:
    """The arm that is best on the mean of the rates against the reference, and whether the other orders hold.

    The best of several is picked on the same questions, so its interval has the level that Bonferroni asks of as many comparisons.
    """
    table, figure, reference = told.table, told.headline, told.plan.reference
    others = [arm.name for arm in told.plan.trained if arm.name != reference]
    if not others or reference not in {arm.name for arm in told.plan.trained}:
        return {"sentence": "There are no two trained arms to compare.", "holds": "unknown", "figure": figure}
    best = max(others, key=lambda name: table.reading(name, figure).value or 0.0)
    level = 1 - 0.05 / len(others)
    order = _order(told, best, reference, level)
    flips = [one for one in orders if one.holds == "flips"]
    beats = [one for one in orders if one.holds == "beats"]
    more = (
        f"Of {len(orders)} pairs of trained arms {len(beats)} are told apart at every rate, and the order of {len(flips)} flips."
        if len(orders) > 1
        else ""
    )
    picked = (
        f"{best} is the best of {len(others)}, and the intervals allow for that (level {level:.3g})."
        if len(others) > 1
        else ""
    )
    sentence = " ".join(part for part in (order.sentence, picked, more) if part)
    return {
        **order.json(),
        "sentence": sentence,
        "figure": figure,
        "level": level,
        "flips": len(flips),
        "pairs": len(orders),
    }

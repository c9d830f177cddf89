"""Tables beside the arms: each learning rate by itself, and what was known before training against what was learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from synthgain.numbers import interval, number
from synthgain.report.markup import Safe, el, join, snippet
from synthgain.report.read import Json, listed, mapping, reading
from synthgain.report.tables import stacked
from synthgain.types import Reading


def rates_table(by_rate: Sequence[Json], reference: str) -> Safe | None:
    """Of each learning rate every arm's accuracy, its margin, and what it has more than the reference; the order of the arms at each."""
    rows: list[tuple[object, list[object]]] = []
    orders = []
    read = [_by_name(mapping(arm).get("readings")) for one in by_rate for arm in listed(one.get("arms"))]
    by = "answer_margin" if any("answer_margin" in mine for mine in read) else "accuracy"
    figures = ["accuracy", *(["answer_margin"] if by != "accuracy" else [])]
    for one in by_rate:
        rate = f"{number(one.get('learning_rate')) or 0:g}"
        arms = [mapping(arm) for arm in listed(one.get("arms"))]
        for arm in arms:
            mine, less = _by_name(arm.get("readings")), _by_name(arm.get("less_reference"))
            cells: list[object] = [cell(mine.get(name), signed=name != "accuracy") for name in figures]
            rows.append((f"{rate}: {_name(arm)}", [*cells, cell(less.get(f"{by} difference"), signed=True)]))
        orders.append(f"at {rate}: {', '.join(_order(arms, by))}")
    if not rows:
        return None
    unit = ", nats" if by != "accuracy" else ""
    heads = (
        "learning rate and arm",
        *(f"{n}, nats" if n != "accuracy" else n for n in figures),
        f"more than {reference}{unit}",
    )
    return join(
        el("h3", "Each learning rate by itself"),
        el("p", f"From the largest {by} to the smallest {'; '.join(orders)}.", class_="note"),
        stacked(heads, rows),
    )


def _order(arms: Sequence[Json], by: str) -> list[str]:
    read = {_name(arm): _by_name(arm.get("readings")).get(by) for arm in arms}
    known = {name: r.value for name, r in read.items() if r is not None and r.value is not None}
    return sorted(known, key=lambda name: -known[name])


def foretold_table(foretold: Json) -> Safe | None:
    """What the meter said of each arm's texts before training, beside what students learned from them."""
    arms = [mapping(arm) for arm in listed(foretold.get("arms"))]
    before = {_name(arm): _by_name(arm.get("before")) for arm in arms}
    names = list(dict.fromkeys(name for read in before.values() for name in read))
    if not names:
        return None
    rows = [
        (
            _name(arm),
            [
                *(cell(before[_name(arm)].get(name)) for name in names),
                cell(reading(arm.get("learned")), signed=True),
            ],
        )
        for arm in arms
    ]
    said = [el("p", snippet(str(sentence), 600)) for sentence in listed(foretold.get("said"))]
    return join(
        el("h3", "What the meter said before, and what was learned"),
        stacked(("arm", *names, "learned more than from repetition, nats"), rows),
        said,
    )


def _name(arm: Json) -> str:
    return str(arm.get("name") or "?")


def _by_name(found: object) -> Mapping[str, Reading]:
    read = [reading(r) for r in listed(found)]
    return {r.name: r for r in read if r is not None}


def cell(r: Reading | None, *, signed: bool = False) -> object:
    """A reading in a table: its value and interval, that it has none, or a dash where there is no reading."""
    if r is None:
        return "–"
    if r.value is None:
        return el("span", "none", title=r.note, class_="none")
    return interval(r.value, r.low, r.high, signed=signed)

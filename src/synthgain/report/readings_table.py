"""Figures as a table: each in its group with its interval, its mark on a shared scale, its class and what it means; then what has no value, and why."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from synthgain.meanings import meaning
from synthgain.numbers import count, interval, tick
from synthgain.report.figures import Scale, paired, whisker
from synthgain.report.groups import Group, grouped, side
from synthgain.report.markup import Safe, el, join
from synthgain.types import Reading

CLASSES = {
    "exact": "counted or an identity",
    "estimate": "aims at the quantity itself",
    "lower bound": "the truth is at least this",
    "upper bound": "the truth is at most this",
    "proxy": "stands in for something else",
    "test": "answers yes or no, its size means little",
}


def diagnosis(told: Sequence[Reading]) -> Safe | None:
    """Every figure that has a value, in its group."""
    by_name = {r.name: r for r in told}
    groups = grouped(by_name)
    if not groups:
        return None
    alone = len(groups) == 1  # one group needs no title
    bodies = [_group(group, [by_name[n] for n in names], by_name, titled=not alone) for group, names in groups]
    head = el(
        "tr",
        el("th", "figure"),
        el("th", "value and interval", class_="num"),
        el("th", "", class_="mark-cell"),
        el("th", "n", class_="num"),
        el("th", "what it means"),
    )
    return el("div", el("table", el("thead", head), bodies, class_="readings"), class_="scroll")


def _group(group: Group, mine: Sequence[Reading], by_name: Mapping[str, Reading], *, titled: bool) -> Safe:
    scales = shared_scales([*mine, *(by_name[n] for r in mine if (n := f"{r.name}_anchors") in by_name)])
    asks = el("span", group.asks, class_="asks") if group.asks else None
    title = el("tr", el("th", group.title, " ", asks, colspan=5, scope="rowgroup"), class_="group")
    rows = [reading_row(r, scales.get(scaled_with(r)), by_name.get(f"{r.name}_anchors")) for r in mine]
    return el("tbody", title if titled else None, rows)


def reading_row(r: Reading, scale: Scale | None, anchors: Reading | None = None) -> Safe:
    """One reading: its value, its mark, its class and what it means; the anchors' figure beside it where there is one."""
    value = [el("span", _value(r), class_="value"), el("small", _unit(r))]
    if anchors is not None and anchors.value is not None:
        value.append(el("small", f"anchors {_value(anchors)}", class_="beside"))
    check = r.name.partition("/")[2]
    name = [el("code", check if check else r.name), badge(r)] if check else [el("code", r.name), badge(r)]
    sentence = "" if check else meaning(r.name)
    note = el("span", r.note, class_="reading-note", dir="auto") if r.note else None
    return el(
        "tr",
        el("th", name, scope="row", title=r.name if check else None),
        el("td", value, class_="num"),
        el("td", _mark(r, scale, anchors), class_="mark-cell"),
        el(
            "td",
            el("span", "n = ", class_="n-said"),
            count(r.n) if r.n else "",
            class_="num n" if r.n else "num n none",
        ),
        el(
            "td",
            sentence or ("" if r.note or check else "No description is known for this figure."),
            " " if sentence else "",
            note,
            class_="means",
        ),
        class_="of-check" if check else None,
    )


def badge(r: Reading) -> Safe:
    """The reading's class."""
    said = CLASSES[r.kind] + (f"; {r.estimator}" if r.estimator else "")
    return el("span", r.kind, class_=f"kind kind-{r.kind.replace(' ', '-')}", title=said)


def _value(r: Reading) -> str:
    assert r.value is not None
    if r.name == "nhsic_p":
        return tick(r.value)
    return interval(r.value, r.low, r.high)


def _unit(r: Reading) -> str:
    level = "" if math.isclose(r.level, 0.95) or (r.low is None and r.high is None) else f" at {100 * r.level:g} %"
    return f"{r.unit}{level}"


def _mark(r: Reading, scale: Scale | None, anchors: Reading | None) -> Safe | str:
    if scale is None or r.name == "nhsic_p":
        return ""
    if anchors is not None and anchors.value is not None:
        return paired(scale, r, anchors)
    if r.low is None and r.high is None and r.unit != "prob":
        return ""
    return whisker(scale, r.value, r.low, r.high, class_=side(r))


def shared_scales(readings: Iterable[Reading]) -> dict[str, Scale]:
    """One scale for the figures of one unit (`scaled_with`), so that marks under each other can be compared; shares go from 0 to 1."""
    ends: dict[str, list[float]] = {}
    for r in readings:
        ends.setdefault(scaled_with(r), []).extend(v for v in (r.value, r.low, r.high) if v is not None)
    return {key: _scale(key, values) for key, values in ends.items() if values}


def scaled_with(r: Reading) -> str:
    """What a figure shares its scale with: those of its unit, but for figures whose size would hide the others'."""
    stem = r.name.removesuffix("_anchors")
    return stem if stem in ("held_out_loss", "absorbed_token") else r.unit


def _scale(unit: str, ends: Sequence[float]) -> Scale:
    if unit in ("prob", "share") and min(ends) >= 0 and max(ends) <= 1:
        return Scale(0.0, 1.0, margin=4)
    low, high = min(0.0, *ends), max(0.0, *ends)
    room = 0.08 * (high - low or 1.0)
    return Scale(low - room * (low < 0), high + room * (high > 0), margin=4)


def around_zero(readings: Iterable[Reading]) -> Scale:
    """A scale for figures whose sign matters: zero is always on it, with some room on both sides."""
    ends = [v for r in readings for v in (r.value, r.low, r.high) if v is not None]
    low, high = min(0.0, *ends), max(0.0, *ends)
    room = 0.15 * (high - low or 1.0)
    return Scale(low - room, high + room)


# ---------------------------------------------------------------------------------------------- under the figures


def legend(told: Sequence[Reading]) -> Safe:
    """What the marks, n and the classes that occur mean."""
    kinds = [kind for kind in CLASSES if any(r.kind == kind for r in told)]
    words = [
        el("li", el("span", kind, class_=f"kind kind-{kind.replace(' ', '-')}"), " ", CLASSES[kind]) for kind in kinds
    ]
    lead = "Intervals are at 95 % unless said otherwise; n counts independent units (prompts or documents), never tokens. Marks of one unit in one group share a scale; the upright line is zero."
    beside = any(r.name.endswith("_anchors") for r in told)
    diamonds = (
        " Where there are two marks, the blue dot is the rows’ and the orange diamond the anchors’." if beside else ""
    )
    return join(el("p", lead, diamonds, class_="note"), el("ul", words, class_="classes") if words else None)


def not_measured(missing: Sequence[Reading]) -> Safe | None:
    """The figures without a value, with the reason."""
    return quiet_list("Not measured, and why", {r.name: r.note or "no reason given" for r in missing})


def quiet_list(title: str, reasons: Mapping[str, str]) -> Safe | None:
    """Names with their reasons; those of one reason stand together."""
    if not reasons:
        return None
    by_reason: dict[str, list[str]] = {}
    for name, why in reasons.items():
        by_reason.setdefault(why, []).append(name)
    items = [
        el(
            "li",
            el("span", [(" " if i else "", el("code", name)) for i, name in enumerate(names)], class_="names"),
            " ",
            el("span", why, dir="auto"),
        )
        for why, names in by_reason.items()
    ]
    return el("div", el("h3", title), el("ul", items), class_="unmeasured")

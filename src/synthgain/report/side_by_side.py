"""The same figures of several runs, or of several students, drawn under each other on one scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from synthgain.meanings import meaning
from synthgain.numbers import count, interval
from synthgain.report.figures import Scale, axis, on_scale, whisker
from synthgain.report.groups import GAINS, grouped, side
from synthgain.report.markup import Safe, el, join
from synthgain.report.readings_table import around_zero, badge, legend, quiet_list, shared_scales
from synthgain.types import Reading

Readings = Mapping[str, Reading]

SIGNED = frozenset(
    {
        *GAINS,
        "proxy_gain_1",
        "proxy_gain_mixture",
        "target_fit_1",
        "gain",
        "ggmi",
        "forgetting",
        "faithfulness",
        "grad_align",
        "generalisation_gap",
        "transfer_kl",
    }
)


def side_by_side(named: Sequence[tuple[str, Readings]]) -> Safe:
    """Every figure that any of them has, in the meter's groups."""
    names = dict.fromkeys(n for _, readings in named for n, r in readings.items() if r.value is not None)
    parts: list[Safe] = []
    groups = grouped(names)
    for group, mine in groups:
        if len(groups) > 1:
            asks = el("span", group.asks, class_="asks") if group.asks else None
            parts.append(el("h3", group.title, asks, class_="group-title"))
        parts += [
            compared(name, [(who, readings.get(name)) for who, readings in named])
            for name in _with_anchors(mine, names)
        ]
    told = [r for _, readings in named for r in readings.values() if r.value is not None]
    return join(
        el("div", parts, class_="sided"), legend([r for r in told if not r.name.endswith("_anchors")]), _missing(named)
    )


def _with_anchors(mine: Sequence[str], names: Mapping[str, object]) -> list[str]:
    return [n for name in mine for n in (name, f"{name}_anchors") if n == name or n in names]


def compared(name: str, found: Sequence[tuple[str, Reading | None]]) -> Safe:
    """One figure: a line for each run."""
    there = [r for _, r in found if r is not None and r.value is not None]
    scale = around_zero(there) if name in SIGNED else next(iter(shared_scales(there).values()))
    rows = [line(who, r, scale) for who, r in found]
    foot = el("div", el("span", ""), el("span", axis(scale), class_="plot-cell"), el("span", ""), class_="arm foot")
    head = el(
        "p", el("code", name), badge(there[0]), el("span", meaning(name) or "", class_="means"), class_="compared-head"
    )
    return el("div", head, el("div", rows, foot, class_="arms"), class_="compared")


def line(who: str, r: Reading | None, scale: Scale) -> Safe:
    """One run's figure: its name, its mark on the shared scale, its value."""
    label = el("span", el("b", who, title=who), class_="arm-name")
    if r is None or r.value is None:
        why = "not measured" if r is None else f"not measured: {r.note}" if r.note else "not measured"
        missing = el("span", el("small", why[:200], title=why, class_="none"), class_="arm-value why-none")
        return on_scale(label, scale, None, missing)
    plot = whisker(scale, r.value, r.low, r.high, class_=side(r), zero=False)
    size = " · ".join(part for part in (r.unit, f"n = {count(r.n)}" if r.n else "") if part)
    value = [el("b", interval(r.value, r.low, r.high)), el("small", size)]
    return on_scale(label, scale, plot, el("span", value, class_="arm-value"))


def _missing(named: Sequence[tuple[str, Readings]]) -> Safe | None:
    """Figures that none of them has, with the first reason given."""
    reasons: dict[str, str] = {}
    for _, readings in named:
        for name, r in readings.items():
            if not any((other := theirs.get(name)) is not None and other.value is not None for _, theirs in named):
                reasons.setdefault(name, r.note or "no reason given")
    return quiet_list("Measured in none of them, and why", reasons)

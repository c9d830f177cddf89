"""Figures as inline SVG. Positions are percentages, so a figure fits a phone and its letters keep their size.

Colours come from the page's style by class: `anchors`, `kept`, `fallen`, `mark`. Each figure says in
`aria-label` what it shows; the numbers themselves stand beside it as text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from synthgain.numbers import count, figure, tick
from synthgain.report.markup import Safe, el, join, snippet
from synthgain.types import Reading


@dataclass(frozen=True)
class Scale:
    """Values to percent of a figure's width (or height)."""

    low: float
    high: float
    margin: float = 2.0

    def at(self, value: float) -> str:
        return f"{self.percent(value):.2f}%"

    def percent(self, value: float) -> float:
        span = self.high - self.low
        part = (min(max(value, self.low), self.high) - self.low) / span if span > 0 else 0.5
        return self.margin + (100 - 2 * self.margin) * part


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers inside an interval."""
    if not high > low:
        return [low]
    rough = (high - low) / about
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * m for m in (1, 2, 5, 10) if size * m >= rough)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 12) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def whisker(
    scale: Scale, value: float | None, low: float | None, high: float | None, *, class_: str = "mark", zero: bool = True
) -> Safe:
    """A dot with its interval on one line; an interval with one end only reaches to the dot."""
    marks: list[object] = [_line("0%", "100%", "50%", "50%", "base")]
    if zero and scale.low <= 0 <= scale.high:
        marks.append(_line(scale.at(0), scale.at(0), "15%", "85%", "zero"))
    marks += _span(scale, value, low, high, 50, class_)
    if value is not None:
        marks.append(el("circle", cx=scale.at(value), cy="50%", r=5, class_=f"dot {class_}"))
    return el("svg", marks, class_="whiskers", role="img", aria_label=_said(value, low, high))


def paired(scale: Scale, rows: Reading, anchors: Reading) -> Safe:
    """The rows' figure above the anchors': a dot and a diamond with their intervals, on one scale."""
    marks: list[object] = [_line(scale.at(0), scale.at(0), "8%", "92%", "zero")] if scale.low <= 0 <= scale.high else []
    marks += _span(scale, rows.value, rows.low, rows.high, 30, "kept") + _span(
        scale, anchors.value, anchors.low, anchors.high, 72, "anchors"
    )
    if rows.value is not None:
        marks.append(el("circle", cx=scale.at(rows.value), cy="30%", r=5, class_="dot kept"))
    if anchors.value is not None:
        diamond = el("path", d="M-5 0L0 -5L5 0L0 5Z", class_="dot anchors")
        marks.append(
            el(
                "svg",
                diamond,
                x=scale.at(anchors.value),
                y="72%",
                width=1,
                height=1,
                overflow="visible",
                class_="diamond",
            )
        )
    said = f"rows {_said(rows.value, rows.low, rows.high)}; anchors {_said(anchors.value, anchors.low, anchors.high)}"
    return el("svg", marks, class_="whiskers pair", role="img", aria_label=said)


def _span(scale: Scale, value: float | None, low: float | None, high: float | None, y: int, class_: str) -> list[Safe]:
    ends = [end for end in (low, high) if end is not None]
    if not ends or (len(ends) == 1 and value is None):
        return []
    left, right = (low if low is not None else value), (high if high is not None else value)
    assert left is not None and right is not None
    caps = [_line(scale.at(end), scale.at(end), f"{y - 18}%", f"{y + 18}%", f"cap {class_}") for end in ends]
    return [_line(scale.at(left), scale.at(right), f"{y}%", f"{y}%", f"whisker {class_}"), *caps]


def _said(value: float | None, low: float | None, high: float | None) -> str:
    said = "no value" if value is None else figure(value)
    if low is not None and high is not None:
        return f"{said}, interval {figure(low)} to {figure(high)}"
    return said + (
        f", at least {figure(low)}" if low is not None else f", at most {figure(high)}" if high is not None else ""
    )


def axis(scale: Scale, about: int = 5) -> Safe:
    """The numbers under a figure."""
    marks = [_label(scale.at(t), "70%", tick(t), scale.percent(t)) for t in ticks(scale.low, scale.high, about)]
    return el("svg", marks, class_="axis", aria_hidden="true")


def gridlines(scale: Scale, about: int = 5) -> Safe:
    """Light upright lines where an axis has its numbers, zero stronger; lies behind a column of whiskers."""
    lines = [
        _line(scale.at(t), scale.at(t), "0", "100%", "grid" if t else "grid zero")
        for t in ticks(scale.low, scale.high, about)
    ]
    return el("svg", lines, class_="gridlines", aria_hidden="true")


def on_scale(label: Safe, scale: Scale, plot: object, value: Safe, *, about: int = 5, class_: str = "arm") -> Safe:
    """One line of a picture: what it is of, its mark between the gridlines of a scale (None: none), and what stands beside it."""
    return el("div", label, el("span", gridlines(scale, about), plot, class_="plot-cell"), value, class_=class_)


# ---------------------------------------------------------------------------------------------- histograms


def histograms(groups: Sequence[tuple[str, str, NDArray[np.int64]]], unit: str) -> Safe:
    """Distributions one under another on one axis, each as shares of its own group: (name, class, values)."""
    there = [g for g in groups if len(g[2])]
    top = max(float(np.percentile(values, 99)) for _, _, values in there)
    bins = min(30, max(1, math.ceil(top)))
    edges = np.linspace(0, max(1.0, top), bins + 1)
    inside = [np.histogram(np.clip(values, 0, edges[-1]), edges)[0] / len(values) for _, _, values in there]
    tallest = max(float(shares.max()) for shares in inside)
    scale = Scale(0.0, float(edges[-1]))
    rows = [
        el(
            "div",
            el(
                "div",
                el("b", name),
                el("span", f"median {figure(float(np.median(values)))} · n = {count(len(values))}"),
                class_="hist-name",
            ),
            _bars(scale, edges, shares / tallest, class_, f"{name}: median {figure(float(np.median(values)))} {unit}"),
            class_="hist",
        )
        for (name, class_, values), shares in zip(there, inside)
    ]
    return el("div", rows, el("div", el("div", class_="hist-name"), axis(scale), class_="hist"), class_="hists")


def _bars(scale: Scale, edges: NDArray[np.float64], heights: NDArray[np.float64], class_: str, said: str) -> Safe:
    bars = []
    for left, right, height in zip(edges, edges[1:], heights):
        if height > 0:
            x, width = scale.percent(float(left)), scale.percent(float(right)) - scale.percent(float(left))
            bars.append(
                el(
                    "rect",
                    x=f"{x:.2f}%",
                    width=f"{width * 0.88:.2f}%",
                    y=f"{100 - 96 * height:.1f}%",
                    height=f"{96 * height:.1f}%",
                    class_=f"bar {class_}",
                )
            )
    return el("svg", bars, _line("0%", "100%", "100%", "100%", "base"), class_="bars", role="img", aria_label=said)


# ---------------------------------------------------------------------------------------------- the map


def scatter(points: NDArray[np.float64], classes: Sequence[str], texts: Sequence[str], said: str) -> Safe:
    """Points of the unit square, each with a title; `classes` are anchors, kept or fallen."""
    marks = []
    for (x, y), class_, text in zip(points, classes, texts):
        at = {"x": f"{3 + 94 * x:.1f}%", "y": f"{96 - 92 * y:.1f}%"}
        marks.append(el("use", el("title", snippet(text)), href=f"#dot-{class_}", class_=class_, **at))
    shapes = el(
        "defs",
        el("path", id="dot-anchors", d="M0-5L5 0L0 5L-5 0Z"),
        el("circle", id="dot-kept", r=3.6),
        el("path", id="dot-fallen", d="M-2.6-2.6L2.6 2.6M-2.6 2.6L2.6-2.6", stroke_width=1.2),
    )
    return el("svg", shapes, marks, class_="map", role="img", aria_label=said)


# ---------------------------------------------------------------------------------------------- curves


@dataclass(frozen=True)
class Curve:
    """A line with its name, its series colour, and how strongly it is drawn (0–1)."""

    name: str
    points: Sequence[tuple[float, float]]
    series: int = 0
    strength: float = 1.0

    @property
    def key(self) -> Safe:
        return el(
            "li", el("i", class_=f"key series-{self.series % 6}", style=f"opacity:{self.strength:.2f}"), self.name
        )


def curves(lines: Sequence[Curve], x_name: str, y_name: str) -> Safe:
    """Lines over a shared plane with a legend."""
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    across = Scale(min(0.0, min(xs)), max(xs), margin=0)
    up = Scale(min(0.0, min(ys)), max(ys) * 1.05 or 1.0, margin=0)
    height = {t: 100 - up.percent(t) for t in ticks(up.low, up.high, 4)}
    grid = [_line("0", "100%", f"{y:.2f}%", f"{y:.2f}%", "grid") for y in height.values()]
    paths = [
        el(
            "polyline",
            points=" ".join(f"{across.percent(x):.2f},{100 - up.percent(y):.2f}" for x, y in line.points),
            class_=f"line series-{line.series % 6}",
            opacity=f"{line.strength:.2f}",
        )
        for line in lines
    ]
    inner = el("svg", paths, viewBox="0 0 100 100", preserveAspectRatio="none", width="100%", height="100%")
    left = el(
        "svg",
        [_label("92%", f"{y:.2f}%", tick(t), 100.0, dy="0.32em") for t, y in height.items()],
        class_="y-axis",
        aria_hidden="true",
    )
    said = f"{y_name} over {x_name} for {', '.join(line.name for line in lines)}"
    return join(
        el("ul", [line.key for line in lines], class_="legend"),
        el(
            "div",
            el("div", y_name, class_="y-name"),
            left,
            el("svg", grid, inner, class_="curves", role="img", aria_label=said),
            el("div", axis(across), class_="x-axis"),
            el("div", x_name, class_="x-name"),
            class_="plot",
        ),
    )


def rounds(
    lines: Sequence[tuple[str, Sequence[tuple[float, float, float | None, float | None]]]],
    numbers: Sequence[float],
    low: float,
    high: float,
) -> Safe:
    """Values with their intervals over rounds, one line an arm: (round, value, low, high)."""
    across, up = Scale(min(numbers) - 0.35, max(numbers) + 0.35, margin=0), Scale(low, high, margin=4)
    levels = ticks(low, high, 4)
    height = {t: 100 - up.percent(t) for t in levels}
    marks: list[object] = [_line("0", "100%", f"{y:.2f}%", f"{y:.2f}%", "grid") for y in height.values()]
    for i, (_, line) in enumerate(lines):
        nudge = (i - (len(lines) - 1) / 2) * 0.06
        at = [(across.at(x + nudge), f"{100 - up.percent(y):.2f}%") for x, y, _, _ in line]
        marks += [_line(a[0], b[0], a[1], b[1], f"line series-{i % 6}") for a, b in pairwise(at)]
        for (x, y), (_, _, below, above) in zip(at, line):
            if below is not None and above is not None:
                marks.append(
                    _line(
                        x,
                        x,
                        f"{100 - up.percent(below):.2f}%",
                        f"{100 - up.percent(above):.2f}%",
                        f"whisker series-{i % 6}",
                    )
                )
            marks.append(el("circle", cx=x, cy=y, r=5, class_=f"dot series-{i % 6}"))
    legend = [el("li", el("i", class_=f"key series-{i % 6}"), name) for i, (name, _) in enumerate(lines)]
    left = el(
        "svg",
        [_label("92%", f"{y:.2f}%", tick(t), 100.0, dy="0.32em") for t, y in height.items()],
        class_="y-axis",
        aria_hidden="true",
    )
    below_ = el("svg", [_label(across.at(n), "70%", count(n), 50) for n in numbers], class_="axis", aria_hidden="true")
    return join(
        el("ul", legend, class_="legend"),
        el(
            "div",
            el("div", "accuracy", class_="y-name"),
            left,
            el(
                "svg",
                marks,
                class_="curves",
                role="img",
                aria_label="accuracy by round for " + ", ".join(n for n, _ in lines),
            ),
            el("div", below_, class_="x-axis"),
            el("div", "round", class_="x-name"),
            class_="plot",
        ),
    )


def _line(x1: str, x2: str, y1: str, y2: str, class_: str) -> Safe:
    return el("line", x1=x1, x2=x2, y1=y1, y2=y2, class_=class_)


def _label(x: str, y: str, text: str, percent: float, dy: str | None = None) -> Safe:
    side = "start" if percent < 8 else "end" if percent > 92 else "middle"
    return el("text", text, x=x, y=y, dy=dy, text_anchor=side)

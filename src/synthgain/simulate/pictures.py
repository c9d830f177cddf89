"""Pictures of the laboratory's results: PNG and SVG through matplotlib, and one self-contained interactive page.

The page needs no library and loads nothing: the result stands in it as JSON, and every text in it reaches the
screen as text, never as markup.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from synthgain.simulate.gain import Setting
from synthgain.types import Reading, SynthgainError

INKS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")  # Okabe and Ito, safe for colour-blind eyes
SUFFIXES = (".png", ".svg", ".html")
SAID = {True: "holds", False: "reversed", None: "not there"}

Result = Mapping[str, Any] | Sequence[Setting] | Sequence[Reading]


def draw(result: Result, out: Path | str) -> list[Path]:
    """The picture of what `gmm`, `scene`, `chain`, `gain` or `gain.settings` gave; returns the files written.

    `out` is a file (.png, .svg or .html) or a folder, which gets all three.
    """
    data = plain(result)
    out = Path(out)
    if out.suffix and out.suffix not in SUFFIXES:
        raise SynthgainError(f"no picture is written as {out.suffix}", next="end it with .png, .svg or .html")
    paths = [out] if out.suffix else [out / f"{data['kind']}{suffix}" for suffix in SUFFIXES]
    try:
        paths[0].parent.mkdir(parents=True, exist_ok=True)
        for path in paths:
            if path.suffix == ".html":
                path.write_text(page(data), encoding="utf-8")
            else:
                _figure(data, path)
    except OSError as fault:
        raise SynthgainError(f"the picture cannot be written: {fault.strerror}", where=str(out)) from fault
    return paths


def plain(result: Result) -> dict[str, Any]:
    """The result as one JSON object that says what kind it is: gmm, scene, chain or gain."""
    if isinstance(result, Mapping):
        for key, kind in (("points", "gmm"), ("scene", "scene"), ("inequalities", "chain")):
            if key in result:
                return {"kind": kind} | dict(result)
    elif result and isinstance(result[0], Setting):
        return {"kind": "gain", "settings": [s.json() for s in result if isinstance(s, Setting)]}
    elif result and isinstance(result[0], Reading):
        return {"kind": "gain", "settings": _regrouped([r for r in result if isinstance(r, Reading)])}
    raise SynthgainError("nothing here can be drawn", next="give what gmm, scene, chain, gain or settings returned")


def _regrouped(readings: Sequence[Reading]) -> list[dict[str, Any]]:
    """The flat list of `gain`, back by setting."""
    found: dict[str, dict[str, Any]] = {}
    for reading in readings:
        name, _, at = reading.name.partition("@")
        dose, _, value = at.partition("=")
        if not value:
            raise SynthgainError(f"reading {reading.name!r} does not say its setting", next="draw what gain() returned")
        one = found.setdefault(at, {"setting": {"dose": dose, "value": float(value)}, "readings": []})
        one["readings"].append(reading.json() | {"name": name})
    return list(found.values())


def page(data: Mapping[str, Any]) -> str:
    """The interactive page."""
    frame = files("synthgain.simulate").joinpath("page.html").read_text(encoding="utf-8")
    text = json.dumps(data, ensure_ascii=True, allow_nan=False)
    return frame.replace("__DATA__", text.replace("<", "\\u003c"))


# ------------------------------------------------------------------------------------------------ matplotlib


def _figure(data: Mapping[str, Any], path: Path) -> None:
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as missing:
        raise SynthgainError(
            "PNG and SVG need matplotlib", next='pip install "synthgain[lab]", or write an .html'
        ) from missing
    paint = {"gmm": _gmm, "scene": _scene, "chain": _chain, "gain": _gain}[data["kind"]]
    style = {
        "svg.hashsalt": "synthgain",
        "svg.fonttype": "none",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with rc_context(style):
        figure = Figure(layout="constrained")
        FigureCanvasAgg(figure)
        paint(figure, data)
        metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
        figure.savefig(path, dpi=160, metadata=metadata)


def _gmm(figure: Any, data: Mapping[str, Any]) -> None:
    """A row a divergence, a column an axis; median, its interval (dark) and the quartiles (light)."""
    points, trends = data["points"], data["trends"]
    axes = list(dict.fromkeys(p["axis"] for p in points))
    rows = list(dict.fromkeys(p["divergence"] for p in points))
    protocols = list(dict.fromkeys(p["protocol"] for p in points))
    figure.set_size_inches(3.6 * len(axes), 2.7 * len(rows))
    grid = figure.subplots(len(rows), len(axes), squeeze=False)
    for i, divergence in enumerate(rows):
        for j, axis in enumerate(axes):
            panel, title = grid[i][j], f"{axis}"
            for ink, protocol in zip(INKS, protocols, strict=False):
                mine = {"axis": axis, "divergence": divergence, "protocol": protocol}
                here = [p for p in points if mine.items() <= p.items()]
                x = [p["x"] for p in here]
                panel.fill_between(
                    x,
                    [p["lower_quartile"] for p in here],
                    [p["upper_quartile"] for p in here],
                    color=ink,
                    alpha=0.13,
                    lw=0,
                )
                if all(p["low"] is not None for p in here):
                    panel.fill_between(
                        x, [p["low"] for p in here], [p["high"] for p in here], color=ink, alpha=0.35, lw=0
                    )
                panel.plot(x, [p["median"] for p in here], color=ink, lw=1.6, marker="o", ms=3, label=protocol)
                for t in (t for t in trends if mine.items() <= t.items() and t["slope"] is not None):
                    title += f"\n{protocol}: claimed {t['claimed']}, {SAID[t['holds']]} ({t['slope']:+.2f})"
            panel.axhline(0, color="0.4", lw=0.8, ls=":")
            panel.set_title(title, fontsize=8.5)
            panel.set_xlabel(f"components {axis}")
            panel.xaxis.get_major_locator().set_params(integer=True)
            if j == 0:
                panel.set_ylabel(f"{divergence}\nKL gap, nats")
    if len(protocols) > 1:
        grid[0][0].legend(frameon=False, fontsize=8)
    worlds = max(p["worlds"] for p in points)
    figure.suptitle(f"KL gap, anchors' fit minus synthetic fit: median of {worlds} worlds, its interval, quartiles")


def _scene(figure: Any, data: Mapping[str, Any]) -> None:
    """Anchors and synthetic points with two-sigma ellipses of the law that each came from."""
    from matplotlib.patches import Ellipse

    figure.set_size_inches(8.4, 4.2)
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    seen = data["scene"]
    for panel, points, law, title in (
        (left, "anchors", "truth", "anchors and the truth"),
        (right, "synthetic", "model", "synthetic data and the model"),
    ):
        for k, one in enumerate(seen[law] or []):
            part = "K" if k < data["K"] else "J" if k < data["K"] + data["J"] else "L"
            width, height, angle = ellipse(one["covariance"])
            ink = {"K": INKS[0], "J": INKS[2], "L": INKS[1]}[part]
            panel.add_patch(Ellipse(one["mean"][:2], width, height, angle=angle, color=ink, alpha=0.22, lw=0))
            panel.annotate(part, one["mean"][:2], color=ink, ha="center", va="center")
        panel.scatter([p[0] for p in seen[points]], [p[1] for p in seen[points]], s=5, color="0.25", lw=0)
        panel.set_title(title)
        panel.set_aspect("equal")
    figure.suptitle("K: seen by anchors, J: unseen part of the truth, L: off task (first two coordinates, two sigma)")


def ellipse(covariance: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """Width, height and angle (degrees) of the two-sigma ellipse of a covariance's first two coordinates."""
    a, b, c = covariance[0][0], covariance[0][1], covariance[1][1]
    middle, off = (a + c) / 2, math.hypot((a - c) / 2, b)
    return (
        4 * math.sqrt(middle + off),
        4 * math.sqrt(max(0.0, middle - off)),
        math.degrees(math.atan2(2 * b, a - c)) / 2,
    )


def _chain(figure: Any, data: Mapping[str, Any]) -> None:
    """Each inequality's slack, in nats."""
    shown = data["inequalities"]
    figure.set_size_inches(9.5, 0.3 * len(shown) + 1.2)
    panel = figure.subplots()
    place = range(len(shown))[::-1]
    panel.barh(
        place,
        [one["slack"] or 0.0 for one in shown],
        color=[INKS[2] if one["holds"] else INKS[1] for one in shown],
        height=0.6,
    )
    panel.set_yticks(list(place), [one["name"] for one in shown], fontsize=7)
    panel.axvline(0, color="0.3", lw=0.8)
    panel.set_xlabel("slack, right side minus left (green: holds, orange: does not)")
    exact = [at for at, one in zip(place, shown, strict=True) if one["slack"] is not None and abs(one["slack"]) < 1e-9]
    panel.plot([0.0] * len(exact), exact, "o", color=INKS[2], ms=4)
    figure.suptitle(f"world {data['world']['name']}: {data['world']['says']}", fontsize=8.5, wrap=True)


def _gain(figure: Any, data: Mapping[str, Any]) -> None:
    """Each reading against the dose."""
    settings = data["settings"]
    names = list(dict.fromkeys(r["name"] for s in settings for r in s["readings"]))
    figure.set_size_inches(2.9 * len(names), 2.7)
    dose = settings[0]["setting"]["dose"]
    x = [s["setting"]["value"] for s in settings]
    for panel, name, ink in zip(figure.subplots(1, len(names), squeeze=False)[0], names, INKS * 2, strict=False):
        found = [next(r for r in s["readings"] if r["name"] == name) for s in settings]
        if all(r["low"] is not None for r in found):
            panel.fill_between(x, [r["low"] for r in found], [r["high"] for r in found], color=ink, alpha=0.25, lw=0)
        panel.plot(x, [r["value"] for r in found], color=ink, marker="o", ms=3)
        panel.axhline(0, color="0.4", lw=0.8, ls=":")
        panel.set_title(name)
        panel.set_xlabel(dose)
        panel.set_ylabel(found[0]["unit"])
        if min(x) > 0 and max(x) / min(x) > 8:
            panel.set_xscale("log")

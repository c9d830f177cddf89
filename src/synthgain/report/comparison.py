"""The page that `compare` draws: which run adds more, with the interval of each difference, or that they cannot be told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from synthgain.meanings import meaning
from synthgain.numbers import count, interval, money, number
from synthgain.report.figures import Scale, axis, on_scale, whisker
from synthgain.report.frame import page
from synthgain.report.groups import ADDS, EARNED, grouped
from synthgain.report.markup import Safe, el, join, visible
from synthgain.report.read import Json, listed, mapping, reading
from synthgain.report.readings_table import around_zero, quiet_list
from synthgain.report.side_by_side import side_by_side
from synthgain.report.tables import stacked
from synthgain.store import atomic_write
from synthgain.types import Reading, SynthgainError

# how a difference is counted: what the page writes over it, and what it is multiplied with to be read
PER: dict[str, tuple[str, float]] = {
    "set": ("as they are", 1.0),
    "size": ("at the size of the smaller", 1.0),
    "row": ("for 100 rows", 1e2),
    "token": ("for 10,000 words", 1e4),
    "dollar": ("for 10 cents", 0.1),
}


@dataclass(frozen=True)
class Difference:
    """One line of `differences`: a reading of a less that of b."""

    a: str
    b: str
    per: str
    reading: Reading
    paired: int  # documents that both were held out against; 0: measured apart
    verdict: str = ""  # what `compare` said of it; "": nothing

    @property
    def drawn(self) -> Reading:
        """The reading in the measure that the page writes over it."""
        (_, times), r = PER.get(self.per, ("", 1.0)), self.reading
        value, low, high = (None if v is None else v * times for v in (r.value, r.low, r.high))
        return replace(r, value=value, low=low, high=high)

    @property
    def decided(self) -> bool:
        """Whether the interval leaves zero out."""
        low, high = self.reading.low, self.reading.high
        return low is not None and high is not None and not low <= 0 <= high

    @property
    def says(self) -> str:
        """Who is ahead, as far as the interval bears it out."""
        r = self.reading
        if r.value is None:
            return "not ranked: other held-out text" if "other real text" in r.note else "not measured"
        if r.low is None or r.high is None:
            return "no interval, so nobody can say"
        if r.low <= 0 <= r.high:
            return "cannot be told apart"
        first = self.a if r.low > 0 else self.b
        more = self.verdict.endswith("adds more") if self.verdict else r.name in ADDS
        return f"{first} adds more" if more else f"{first} is higher"


def write_comparison(result: Mapping[str, Any], out: Path) -> Path:
    """Write the page about what `compare --json` prints to `out` and give its path.

    SynthgainError where `result` has no two runs.
    """
    runs = [mapping(run) for run in listed(result.get("runs"))]
    if len(runs) < 2:
        raise SynthgainError(
            "a comparison needs two runs",
            where=f"{len(runs)} given",
            next="give the result of `synthgain compare RUN RUN --json`",
        )
    atomic_write(out, _page(runs, result))
    return out


def differences(result: Json, names: Mapping[str, str]) -> list[Difference]:
    """The differences that can be read, with runs by their short names."""
    found = []
    for given in map(mapping, listed(result.get("differences"))):
        r = reading(given)
        if r is not None:
            a, b = (names.get(str(given.get(k)), str(given.get(k) or "?")) for k in ("a", "b"))
            paired, verdict = int(number(given.get("paired")) or 0), str(given.get("verdict") or "")
            found.append(Difference(a, b, str(given.get("per") or "set"), r, paired, verdict))
    return found


def labels(runs: Sequence[Json]) -> list[str]:
    """A short name for each run: its own, else as much of its path's end as tells it from the others."""
    given = [str(run.get("name") or "") for run in runs]
    if all(given) and len(set(given)) == len(given):
        return given
    paths = [str(run.get("path") or "") or f"run {i + 1}" for i, run in enumerate(runs)]
    parts = [[p for p in path.replace("\\", "/").split("/") if p] or [path] for path in paths]
    for depth in range(1, max(map(len, parts)) + 1):
        ends = ["/".join(p[-depth:]) for p in parts]
        if len(set(ends)) == len(ends):
            return ends
    return [f"{path} ({i + 1})" for i, path in enumerate(paths)]


def units(named: Sequence[tuple[str, Mapping[str, Reading]]]) -> dict[str, str]:
    """The unit of each figure, by name."""
    return {name: r.unit for _, readings in named for name, r in readings.items() if r.unit}


# ---------------------------------------------------------------------------------------------- the page


def _page(runs: Sequence[Json], result: Json) -> str:
    named_as = labels(runs)
    typed = {str(run[key]): label for run, label in zip(runs, named_as) for key in ("path", "name") if run.get(key)}
    found = differences(result, typed)
    named = [
        (label, {r.name: r for r in map(reading, listed(run.get("readings"))) if r is not None})
        for label, run in zip(named_as, runs)
    ]
    title = _title([who for who, _ in named])
    sections = [
        (
            "differences",
            "Differences",
            "Which adds more",
            _differences(found, units(named), said=bool(listed(result.get("sentences")))),
        ),
        ("runs", "Runs", "What was compared", _runs(runs, named_as)),
        ("figures", "Figures", "All figures, side by side", side_by_side(named)),
    ]
    header = el("header", el("p", "synthgain · comparison", class_="brand"), el("h1", title), _sentences(result, found))
    nav = el("nav", [el("a", short, href=f"#{slug}") for slug, short, _, _ in sections], aria_label="contents")
    main = el("main", [el("section", el("h2", head), body, id=slug) for slug, _, head, body in sections])
    footer = el("footer", "Written by synthgain. This page holds everything it shows and loads nothing.")
    return page(f"{visible(title)} · synthgain", join(header, nav, main, footer))


def _title(names: Sequence[str]) -> str:
    shown = [name if len(name) <= 40 else f"{name[:39]}…" for name in names]
    return f"{', '.join(shown[:-1])} and {shown[-1]}" if len(shown) < 5 else f"{len(shown)} runs compared"


def _sentences(result: Json, found: Sequence[Difference]) -> Safe:
    """What the comparison says in words; without sentences of its own, what the headline differences bear out."""
    given = [str(s) for s in listed(result.get("sentences")) if isinstance(s, str) and s.strip()]
    if not given:
        given = [
            f"By {d.reading.name}: {d.says} ({d.a} and {d.b})."
            for d in found
            if d.reading.name in ADDS and d.per == "set"
        ]
    if not given:
        given = ["Nothing was measured in both that could be compared."]
    return join(
        el("p", given[0][:1_000], class_="lead", dir="auto"),
        [el("p", s[:1_000], class_="sentence", dir="auto") for s in given[1:12]],
    )


# ---------------------------------------------------------------------------------------------- differences


def _differences(found: Sequence[Difference], unit: Mapping[str, str], *, said: bool) -> Safe:
    """`said`: whether sentences above say already what a ratio is."""
    if not found:
        return el("p", "Not shown: there are no differences in this comparison.", class_="absent")
    by_name = {
        name: [d for d in found if d.reading.name == name] for name in dict.fromkeys(d.reading.name for d in found)
    }
    known = [name for name, mine in by_name.items() if any(d.reading.value is not None for d in mine)]
    parts: list[Safe] = []
    for group, names in grouped(known):
        asks = el("span", group.asks, class_="asks") if group.asks else None
        parts.append(el("h3", group.title, asks, class_="group-title"))
        parts += [_figure(name, by_name[name], unit.get(name, "")) for name in names]
    note = "Each line is the figure of the first run less that of the second. An interval that holds zero means that these data cannot tell the two apart; it does not mean that they are equal."
    if not said and any(d.per not in ("set", "size") and d.reading.value is not None for d in found):
        note += " A figure for so many rows, words or cents is a ratio of what was measured, not a forecast: gains flatten as sets grow."
    return join(el("div", parts, class_="sided"), el("p", note, class_="note"), _not_compared(found, by_name, known))


def _not_compared(
    found: Sequence[Difference], by_name: Mapping[str, Sequence[Difference]], known: Sequence[str]
) -> Safe | None:
    """Figures, and ways of counting, without any difference, with the first reason given."""
    why = {
        name: next((d.reading.note for d in mine if d.reading.note), "no reason given")
        for name, mine in by_name.items()
        if name not in known
    }
    for per in ("row", "token", "dollar"):
        ratios = [d for d in found if d.per == per and d.reading.name in known]
        if ratios and all(d.reading.value is None for d in ratios):
            why[PER[per][0]] = next((d.reading.note for d in ratios if d.reading.note), "no reason given")
    return quiet_list("Not compared, and why", why)


def _figure(name: str, mine: Sequence[Difference], unit: str) -> Safe:
    """All differences of one figure: a block for each way of counting, each with its own scale."""
    small = el("small", unit) if unit else None
    head = el("p", el("code", name), small, el("span", meaning(name) or "", class_="means"), class_="compared-head")
    ways = dict.fromkeys(d.per for d in mine if d.reading.value is not None or d.per not in ("row", "token", "dollar"))
    blocks = [_block(per, [d for d in mine if d.per == per], titled=len(ways) > 1 or per != "set") for per in ways]
    return el("div", head, blocks, class_="compared")


def _block(per: str, some: Sequence[Difference], titled: bool) -> Safe:
    paired = min((d.paired for d in some if d.reading.value is not None), default=0)
    said = [PER.get(per, (per, 1.0))[0]] if titled else []
    title = (
        el("p", "; ".join([*said, f"paired over {count(paired)} held-out documents"] if paired else said), class_="per")
        if said or paired
        else None
    )
    known = [d.drawn for d in some if d.reading.value is not None]
    if not known:
        why = next((d.reading.note for d in some if d.reading.note), "not measured")
        return el("div", title, el("p", why, class_="note", dir="auto"), class_="per-block")
    scale = around_zero(known)
    foot = el("div", el("span", ""), el("span", axis(scale, 4), class_="plot-cell"), el("span", ""), class_="arm foot")
    return el("div", title, el("div", [_line(d, scale) for d in some], foot, class_="arms"), class_="per-block")


def _line(d: Difference, scale: Scale) -> Safe:
    r, colour = d.drawn, "kept" if d.decided and d.reading.name in EARNED else "mark"
    label = el("span", el("b", d.a), el("small", f"less {d.b}"), class_="arm-name")
    said = el("small", d.says, class_=f"says {colour}", title=d.reading.note or None)
    if r.value is None:
        return on_scale(label, scale, None, el("span", said, class_="arm-value"), about=4)
    plot = whisker(scale, r.value, r.low, r.high, class_=colour, zero=False)
    value = el("b", interval(r.value, r.low, r.high, signed=True))
    level = el("small", f"at {100 * r.level:g} %") if abs(r.level - 0.95) > 1e-9 and r.low is not None else None
    return on_scale(label, scale, plot, el("span", value, said, level, class_="arm-value"), about=4)


def _runs(runs: Sequence[Json], names: Sequence[str]) -> Safe:
    rows = [
        (
            el("span", label, title=str(run.get("path") or "") or None),
            (
                str(run.get("recipe") or "–")[:80],
                count(run.get("rows")),
                count(run.get("tokens")),
                money(run.get("cost_usd")) if number(run.get("cost_usd")) is not None else "not known",
            ),
        )
        for label, run in zip(names, runs)
    ]
    return stacked(("run", "recipe", "rows", "words", "cost"), rows, words=("recipe",))

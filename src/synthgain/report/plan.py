"""The page that `plan` draws: what a source's repeats are worth, and where each source stands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from synthgain.numbers import count, duration, figure, money, number, share, short
from synthgain.repetition import worth
from synthgain.report.figures import Curve, curves
from synthgain.report.frame import page
from synthgain.report.markup import Safe, el, join
from synthgain.report.read import Json, listed, mapping
from synthgain.report.tables import stacked
from synthgain.store import atomic_write

AXIS = 20.0  # epochs that the picture shows at least
POINTS = 60


def write_plan(result: Json, out: Path) -> Path:
    """Write the page about what `plan --json` prints to `out` and give its path."""
    atomic_write(out, _page(result))
    return out


def _page(result: Json) -> str:
    sources = [mapping(one) for one in listed(result.get("sources"))]
    options = [(str(one.get("name")), mapping(o)) for one in sources for o in listed(one.get("options"))]
    header = el(
        "header",
        el("p", "synthgain · repetition calculus", class_="brand"),
        el(
            "h1",
            f"{short(result.get('horizon'))} tokens from {count(len(sources))} {'source' if len(sources) == 1 else 'sources'}",
        ),
        [el("p", str(note)[:1_000], class_="sentence") for note in listed(result.get("notes"))],
    )
    parts = [el("h2", "Epochs, and what they are worth"), _picture(sources), _sources(sources)]
    if options:
        parts += [el("h2", "What new text takes"), _options(options)]
    footer = el("footer", "Written by synthgain. This page holds everything it shows and loads nothing.")
    return page("repetition calculus · synthgain", join(header, el("main", el("section", parts)), footer))


def _picture(sources: Sequence[Json]) -> Safe:
    """The law as a curve, and each source as an upright line from its epochs to the curve."""
    found = [(str(one.get("name"))[:40], number(one.get("epochs")) or 0.0) for one in sources]
    last = max([AXIS, *(1.1 * epochs for _, epochs in found)])
    law = Curve(
        "worth of a token that is read", [(x, worth(x)) for x in (last * i / POINTS for i in range(1, POINTS + 1))]
    )
    marks = [
        Curve(f"{name}: {figure(epochs)} epochs", [(epochs, 0.0), (epochs, worth(epochs))], at + 1)
        for at, (name, epochs) in enumerate(found)
    ]
    return curves([law, *marks], "epochs", "worth, as a share of new text")


def _sources(sources: Sequence[Json]) -> Safe:
    rows = [
        (
            str(one.get("name"))[:80],
            (
                ("about " if one.get("estimated") else "") + short(one.get("unique_tokens")),
                share(number(one.get("share")) or 0, 1),
                short(one.get("tokens_read")),
                figure(number(one.get("epochs")) or 0),
                share(number(one.get("worth")) or 0, 1),
                short(one.get("synthetic_tokens")) if one.get("synthetic_tokens") else "–",
                str(one.get("verdict")),
            ),
        )
        for one in sources
    ]
    heads = ("source", "unique tokens", "share", "read", "epochs", "worth", "new tokens wanted", "repeats")
    return stacked(heads, rows, words=("repeats",))


def _options(options: Sequence[tuple[str, Json]]) -> Safe:
    rows = [
        (
            name[:80],
            (
                str(one.get("recipe"))[:80],
                figure(number(one.get("passes")) or 0),
                count(one.get("calls")),
                short(one.get("tokens_in")),
                short(one.get("tokens_out")),
                money(one.get("cost_usd")),
                duration(one.get("seconds")),
                str(one.get("note") or ""),
            ),
        )
        for name, one in options
    ]
    heads = ("for source", "recipe", "passes", "calls", "tokens in", "tokens out", "cost", "time", "note")
    return stacked(heads, rows, words=("recipe", "note"))

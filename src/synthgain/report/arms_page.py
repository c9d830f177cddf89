"""The page of a comparison of arms: the verdict, the arms at equal tokens and at equal cost, each learning rate, and what was asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from synthgain.numbers import figure, number
from synthgain.report.loop_sections import arms_body
from synthgain.report.markup import Safe, el, join, snippet
from synthgain.report.read import Json, json_at, listed, mapping
from synthgain.report.read_loop import LoopPart
from synthgain.report.run_sections import section
from synthgain.report.tables import stacked

Part = tuple[str, str, Safe]  # anchor in the page, short title, section


def is_comparison(folder: Path) -> bool:
    """Whether `synthgain arms` wrote this folder."""
    return bool(mapping(json_at(folder / "arms.json")[0].get("plan")))


def comparison(folder: Path) -> tuple[str, Safe, list[Part], Json]:
    """(title, what stands under it, sections, what was asked) of a folder that holds a comparison."""
    told, _ = json_at(folder / "arms.json")
    verdict = str(mapping(told.get("verdict")).get("sentence") or "No verdict was written yet.")
    arms = [str(mapping(arm).get("name") or "?") for arm in listed(told.get("arms"))]
    title = f"{len(arms)} arms: {snippet(', '.join(arms), 120)}"
    lead = join(el("p", snippet(verdict, 2_000), class_="verdict-says", dir="auto"), _notes(told.get("notes")))
    parts = [
        ("equal-tokens", "Equal tokens", section("equal-tokens", "At equal training tokens", _table(folder, told)))
    ]
    if equal := mapping(told.get("equal_cost")):
        parts.append(("equal-cost", "Equal cost", section("equal-cost", "At equal cost", _equal(folder, equal, told))))
    parts.append(("orders", "Orders", section("orders", "Which orders hold", _orders(told))))
    return title, lead, parts, mapping(told.get("plan"))


def _table(folder: Path, told: Json) -> Safe:
    return arms_body(
        LoopPart(
            folder,
            {},
            (),
            [mapping(arm) for arm in listed(told.get("arms"))],
            [mapping(d) for d in listed(told.get("differences"))],
            {},
            by_rate=[mapping(one) for one in listed(told.get("by_rate"))],
            reference=str(told.get("reference") or ""),
        )
    )


def _equal(folder: Path, equal: Json, told: Json) -> Safe:
    budget, unit = number(equal.get("budget")), str(equal.get("unit") or "")
    lead = f"Every trained arm has the same {figure(budget)} {unit}, generation included. " if budget else ""
    sentence = str(mapping(equal.get("verdict")).get("sentence") or "")
    costs = [
        (
            str(arm.get("name") or "?"),
            [figure(cost), figure(number(arm.get("rows")) or 0), figure(number(arm.get("tokens")) or 0)],
        )
        for arm in map(mapping, listed(equal.get("arms")))
        if (cost := number(arm.get("cost"))) is not None
    ]
    return join(
        el("p", lead, sentence, class_="lede", dir="auto"),
        stacked(("arm", unit, "rows", "training tokens"), costs) if costs else None,
        _table(folder, {**equal, "reference": told.get("reference")}) if listed(equal.get("arms")) else None,
        _notes(equal.get("notes")),
    )


def _orders(told: Json) -> Safe:
    rows = [mapping(one) for one in listed(told.get("orders"))]
    if not rows:
        return el("p", "There are no two trained arms to compare.", class_="absent")
    words: Sequence[tuple[object, Sequence[object]]] = [
        (
            f"{one.get('a')} and {one.get('b')}",
            [str(one.get("holds") or "?"), snippet(str(one.get("sentence") or ""), 600)],
        )
        for one in rows
    ]
    lead = (
        "beats: every learning rate tells the two apart, on the same side. ahead: every rate leans to one side, and some cannot tell. "
        "flips: rates lean to both sides."
    )
    return join(
        el("p", lead, class_="note"), stacked(("pair", "order", "in words"), words, words=("order", "in words"))
    )


def _notes(notes: object) -> Safe | None:
    said = [el("li", snippet(str(note), 600)) for note in listed(notes)]
    return el("ul", said, class_="note") if said else None

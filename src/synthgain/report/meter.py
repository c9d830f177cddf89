"""The meter on a page: one sentence for the task at hand, its figures, then those that say why, each with its interval, its class and one sentence.

Colour says that something is better or worse, so only what a student's loss on held-out real text showed has one: a gain by n-grams can be nonsense.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from synthgain.meanings import meaning, record_of
from synthgain.numbers import count, interval
from synthgain.report.figures import Scale, axis, on_scale, whisker
from synthgain.report.groups import EARNED, GAINS, GROUPS, MINOR, side
from synthgain.report.markup import Safe, el, join
from synthgain.report.readings_table import around_zero, badge, diagnosis, legend, not_measured
from synthgain.report.worth import STUDENT, fitting, worth
from synthgain.types import Reading


def meter(readings: Sequence[Reading], task: str = "") -> Safe:
    """All readings of a run (or of one student): the sentence, the cards that fit the task, then every other figure. `task`: see `verdict.Known`."""
    by_name = {r.name: r for r in readings}
    told = [r for r in readings if r.value is not None]
    missing = [r for r in readings if r.value is None]
    heads = [by_name[name] for name in fitting(readings, task) if name in by_name and by_name[name].value is not None]
    own = {r.name for r in heads} & set(
        GROUPS[0].names
    )  # figures of another group stand there too, beside the anchors'
    shown = own | {minor for name in own for minor in MINOR.get(name, ())}
    return join(
        el("p", said, class_="lede worth", dir="auto") if (said := worth(readings, task)) else None,
        headline(heads, by_name),
        diagnosis([r for r in told if r.name not in shown]),
        legend(told),
        not_measured(missing),
    )


# ---------------------------------------------------------------------------------------------- the headline


def headline(heads: Sequence[Reading], by_name: Mapping[str, Reading]) -> Safe | None:
    """A card for each figure that fits the task; the gains among them drawn on one scale with their variants under them."""
    if not heads:
        return None
    cards = el("div", [card(r) for r in heads], class_="cards")
    names = [n for r in heads if r.name in GAINS for n in (r.name, *MINOR.get(r.name, ()))]
    there = [by_name[n] for n in names if n in by_name and by_name[n].value is not None]
    if not there:
        return cards
    scale = around_zero(there)
    minor = {n for others in MINOR.values() for n in others}
    rows = [_headline_row(r, scale, minor=r.name in minor) for r in there]
    foot = el(
        "div",
        el("span", ""),
        el("span", axis(scale), _sides("harder to predict", "easier to predict"), class_="plot-cell"),
        el("span", ""),
        class_="arm foot",
    )
    return join(cards, el("div", rows, foot, class_="arms headline"))


def card(r: Reading) -> Safe:
    """A headline reading in large, with what its interval bears out in words."""
    value, _, ends = interval(r.value or 0.0, r.low, r.high).partition(" ")
    big = el("p", el("strong", value), el("span", ends), el("small", _size(r)), class_="big")
    record, said = record_of(r.name), verdict(r)
    parts = (
        el("p", el("code", r.name), badge(r), class_="what"),
        big,
        el("p", said, class_="says") if said else None,
        el("p", meaning(r.name) or "", class_="means"),
        el("p", "Its record: it ", record, ".", class_="means record") if record else None,
    )
    lines = [el("p", part, dir="auto") for part in (r.estimator, *r.note.split("; ")) if part]
    how = el("details", el("summary", "How it was measured"), lines, class_="how deep") if lines else None
    return el("div", parts, how, class_=f"card {side(r)}")


def verdict(r: Reading) -> str:
    """What a headline reading says, in words, and no more than its interval bears out."""
    fit = r.name.startswith(("target_fit", "context_fit"))
    what = "Held-out answers become" if r.name.endswith("_answer") else "Held-out real text becomes"
    if r.name == "grounded":
        return f"Of 100 names and numbers in the rows, about {count(100 * (r.value or 0.0))} stand in what each was made from."
    if r.name == "right_share":
        return f"Of 100 answers that were written, a rule found about {count(100 * (r.value or 0.0))} right."
    if r.name not in (*GAINS, *EARNED):
        return ""
    if r.low is None or r.high is None:
        return "Without an interval nobody can say more."
    if r.name in STUDENT:
        moved = "lower" if r.low > 0 else "higher" if r.high < 0 else ""
        return (
            f"The student’s own loss is {moved}."
            if moved
            else "The interval holds zero: the student’s loss has not moved, as far as can be told."
        )
    if r.low > 0:
        return (
            "Alone, the rows predict held-out real text better than the anchors do."
            if fit
            else f"{what} easier to predict for a small model when the rows are added; nonsense can do that too."
        )
    if r.high < 0:
        return (
            "Alone, the rows predict held-out real text worse than the anchors do."
            if fit
            else f"{what} harder to predict for a small model when the rows are added; faithful restatements, and right answers in other words, can do that too."
        )
    whether = "whether the rows alone are better or worse than the anchors" if fit else "whether the rows add anything"
    return f"The interval holds zero: {whether} cannot be told from these data."


def _headline_row(r: Reading, scale: Scale, minor: bool) -> Safe:
    assert r.value is not None
    label = el("span", el("b", el("code", r.name)), class_="arm-name", title=meaning(r.name))
    value = [el("b", interval(r.value, r.low, r.high)), el("small", _size(r))]
    plot = whisker(scale, r.value, r.low, r.high, class_=side(r), zero=False)
    beside = el("span", value, class_="arm-value")
    return on_scale(label, scale, plot, beside, class_="arm minor" if minor else "arm")


def _sides(left: str, right: str) -> Safe:
    return el("span", el("span", f"← {left}"), el("span", f"{right} →"), class_="sides")


def _size(r: Reading) -> str:
    level = "" if math.isclose(r.level, 0.95) or r.low is None else f"at {100 * r.level:g} %"
    return " · ".join(part for part in (r.unit, f"n = {count(r.n)}" if r.n else "", level) if part)

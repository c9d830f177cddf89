"""The meter on a page: one sentence for the task at hand, its figures, then those that say why, each with its interval, its class and one sentence.

Colour says that something is better or worse, so only what a student's loss on held-out real text showed has one: a gain by n-grams can be nonsense.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from synthgain.meanings import known, meaning, record_of
from synthgain.numbers import count, interval, tick
from synthgain.report.figures import Scale, axis, gridlines, paired, whisker
from synthgain.report.markup import Safe, el, join
from synthgain.report.worth import STUDENT, fitting, worth
from synthgain.types import Reading

GAINS = (
    "probe_gain",
    "context_gain",
    "proxy_gain",
    "target_fit",
    "proxy_gain_answer",
    "target_fit_answer",
)  # on one scale
EARNED = frozenset({"gain"})  # figures whose sign has a colour
ADDS = frozenset(
    {*GAINS, *EARNED, "context_fit", "proxy_gain_1", "proxy_gain_mixture", "target_fit_1"}
)  # more is more added
MINOR = {"proxy_gain": ("proxy_gain_1", "proxy_gain_mixture"), "target_fit": ("target_fit_1",)}


@dataclass(frozen=True)
class Group:
    """Figures that answer one question together."""

    slug: str
    title: str
    asks: str
    names: tuple[str, ...]


GROUPS = (
    Group(
        "headline",
        "What it adds",
        "do held-out answers, or does held-out real text, become easier for a student or for a reader that counts words",
        (
            "probe_gain",
            "context_gain",
            "context_fit",
            "right_share",
            "proxy_gain_answer",
            "target_fit_answer",
            "grounded",
            "proxy_gain",
            "proxy_gain_1",
            "proxy_gain_mixture",
            "target_fit",
            "target_fit_1",
        ),
    ),
    Group(
        "after",
        "After training",
        "what a trained student gained, and what it learned by heart",
        (
            "gain",
            "accuracy",
            "accuracy_letter",
            "accuracy_generation",
            "answer_margin",
            "preference_accuracy",
            "preference_accuracy_per_token",
            "preference_margin",
            "pass_at_k",
            "parsable",
            "parsable_generation",
            "cut_off",
            "answer_coverage",
            "held_out_loss",
            "perplexity",
            "loss_at",
            "generalisation_gap",
            "generalisation_gap_calibrated",
            "memo",
            "memo_binned",
            "ggmi",
            "absorbed",
            "absorbed_token",
            "faithfulness",
            "forgetting",
        ),
    ),
    Group(
        "randomness",
        "Randomness, and the student’s view",
        "how unsure the writer was, and how unexpected its words are to the student",
        (
            "delta_I",
            "delta_I_sample",
            "h_meaning",
            "surprise",
            "surprise_byte",
            "transfer_kl",
            "transfer_kl_byte",
            "transfer_kl_sample",
            "grad_align",
            "grad_match",
            "logprob_per_token",
        ),
    ),
    Group(
        "curation",
        "Curation",
        "what the checks did by choosing",
        ("kept_share", "curation_nats", "curation_nats_total", "curation_nats_lost", "curation_tv"),
    ),
    Group("distance", "Distance", "how far the rows are from real text", ("tv_lower",)),
    Group(
        "diversity",
        "Diversity",
        "how different the rows are from each other; real anchors beside them",
        ("mdm", "vendi", "dup_rate", "dup_rate_exact", "repeated", "distinct_2", "distinct_1"),
    ),
    Group(
        "copying",
        "Copying and leakage",
        "how much was copied from the anchors, or leaked from the test",
        ("copy_rate", "copy_rate_any", "test_overlap"),
    ),
    Group(
        "dependence",
        "Dependence",
        "whether the rows follow what they were made from",
        ("nhsic", "nhsic_p", "i_prompt", "i_prompt_low", "i_prompt_high"),
    ),
    Group("size", "Size, and other figures", "", ("rows_kept", "tokens_out", "tokens_in")),
)

CLASSES = {
    "exact": "counted or an identity",
    "estimate": "aims at the quantity itself",
    "lower bound": "the truth is at least this",
    "upper bound": "the truth is at most this",
    "proxy": "stands in for something else",
    "test": "answers yes or no, its size means little",
}


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
    return el(
        "div",
        label,
        el("span", gridlines(scale), plot, class_="plot-cell"),
        el("span", value, class_="arm-value"),
        class_="arm minor" if minor else "arm",
    )


def side(r: Reading) -> str:
    """The colour of a figure: of those that have earned one, by the side of zero that its interval lies on; else none."""
    if r.name not in EARNED:
        return "mark"
    if r.low is not None and r.low > 0:
        return "kept"
    return "below" if r.high is not None and r.high < 0 else "mark"


def _sides(left: str, right: str) -> Safe:
    return el("span", el("span", f"← {left}"), el("span", f"{right} →"), class_="sides")


def _size(r: Reading) -> str:
    level = "" if math.isclose(r.level, 0.95) or r.low is None else f"at {100 * r.level:g} %"
    return " · ".join(part for part in (r.unit, f"n = {count(r.n)}" if r.n else "", level) if part)


# ---------------------------------------------------------------------------------------------- the diagnosis


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


def grouped(names: Iterable[str]) -> list[tuple[Group, list[str]]]:
    """Names by group, in the groups' order; what no group knows comes last. Anchors' figures go with the rows'."""
    given = list(names)
    left = [n for n in given if not (n.endswith("_anchors") and n.removesuffix("_anchors") in given)]
    place = {name: (g, i) for g, group in enumerate(GROUPS) for i, name in enumerate(group.names)}
    last = (len(GROUPS) - 1, 99)
    order = {n: place.get(n) or place.get(known(n) or "", last) for n in left}
    found = [
        (group, sorted((n for n in left if order[n][0] == g), key=lambda n: order[n][1]))
        for g, group in enumerate(GROUPS)
    ]
    return [(group, mine) for group, mine in found if mine]


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

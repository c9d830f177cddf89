"""The sections of a run: how candidates became rows, the meter, samples with their lineage, the map, lengths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from synthgain.numbers import count, counted, share
from synthgain.report.broken import broken_table
from synthgain.report.documents import documents_table
from synthgain.report.figures import histograms, scatter
from synthgain.report.markup import Safe, el, join
from synthgain.report.meter import meter
from synthgain.report.plane import HOW, plane
from synthgain.report.read import RunPart, Text, listed, mapping
from synthgain.report.samples import samples


def run_sections(run: RunPart, prefix: str = "") -> list[tuple[str, str, Safe]]:
    """(anchor in the page, short title, section) for each section of a run."""
    made = [
        ("funnel", "Funnel", "What fell, and why", _funnel(run)),
        ("documents", "Documents", "What came of each document", documents_table(run.documents)),
        ("meter", "Meter", "The meter", _meter(run)),
        ("samples", "Samples", "Samples with their lineage", samples(run)),
        ("map", "Map", "Where the rows lie", _map(run)),
        ("lengths", "Lengths", "How long they are", _lengths(run)),
    ]
    nowhere = run.record.get("given") and not run.anchor_count  # rows that were given come from no documents
    shown = [one for one in made if one[0] != "documents" or not nowhere]
    return [(prefix + slug, short, section(prefix + slug, title, body)) for slug, short, title, body in shown]


def section(slug: str, title: str, *body: object) -> Safe:
    """A titled part of the page."""
    return el("section", el("h2", title), *body, id=slug)


def absent(why: str, then: object = "") -> Safe:
    """What is said in place of a part that is not there."""
    return el("p", "Not shown: ", why, ". " if why else "", then, class_="absent")


# ---------------------------------------------------------------------------------------------- the funnel


def _funnel(run: RunPart) -> Safe:
    total = run.rows
    if not total:
        return join(absent(run.missing.get("rows", "rows/ holds no rows")), _broken(run))
    by_check: dict[str, int] = {}
    for (check, _), n in run.reasons.items():
        by_check[check] = by_check.get(check, 0) + n
    by_check.pop("", None)
    left = total
    steps = [_bar("Candidates", total, 0, total, total, "plain", None)]
    for check in sorted(by_check, key=lambda name: _place(run, name, by_check[name])):
        left -= by_check[check]
        steps.append(_bar(check, by_check[check], left, by_check[check], total, "fallen", _reasons(run, check)))
    steps.append(_bar("Kept", run.kept, 0, run.kept, total, "kept", None))
    lead = f"{counted(total, 'candidate')}, of which {count(run.kept)} were kept ({share(run.kept, total)}). "
    rest = (
        "No row is thrown away: the fallen stand in rows/ with their reasons."
        if by_check
        else "No check dropped a row."
    )
    return join(el("p", lead, rest, class_="lede"), el("ol", steps, class_="funnel"), _broken(run))


def _place(run: RunPart, check: str, n: int) -> tuple[int, int]:
    """Drafts' own verdicts first, then the checks in their order, then `accept`; the larger first where that is unknown."""
    if check == "accept":
        return 10_000, 0
    order = [mapping(c).get("name") for c in listed(mapping(run.record.get("recipe")).get("checks"))]
    return (order.index(check) if check in order else -1), -n


def _bar(name: str, n: int, start: int, width: int, total: int, kind: str, more: Safe | None) -> Safe:
    sign = "−" if kind == "fallen" else ""
    track = el(
        "span",
        el("i", class_=kind, style=f"left:{100 * start / total:.2f}%;width:{100 * width / total:.2f}%"),
        class_="track",
    )
    return el(
        "li",
        el(
            "div",
            el("span", name, class_="name", title=name),
            track,
            el("span", sign, count(n), class_="n"),
            el("span", share(n, total), class_="share"),
            class_="step-row",
        ),
        more,
        class_=f"funnel-{kind}",
    )


def _reasons(run: RunPart, check: str, most: int = 12) -> Safe | None:
    mine = sorted(((r, n) for (c, r), n in run.reasons.items() if c == check), key=lambda rn: (-rn[1], rn[0]))
    if not mine or (len(mine) == 1 and not mine[0][0]):
        return None
    shown = [
        el("li", el("span", reason[:300] or "no reason given", dir="auto"), el("b", count(n)))
        for reason, n in mine[:most]
    ]
    if len(mine) > most:
        shown.append(
            el("li", el("span", f"{len(mine) - most} more reasons"), el("b", count(sum(n for _, n in mine[most:]))))
        )
    return el("ul", shown, class_="reasons")


def _broken(run: RunPart) -> Safe | None:
    """What broke, by reason, with what to do."""
    record = run.record
    broken = mapping(record.get("counts")).get("broken")
    if not isinstance(broken, int) or broken <= 0:
        return None
    told = {str(why): n for why, n in mapping(record.get("broken_by")).items() if isinstance(n, int)}
    lead = f"{counted(broken, 'draft or call', 'drafts or calls')} broke before giving a row; each stands in broken/ with its documents."
    return join(
        el("h3", "What broke, and what to do"), el("p", lead, class_="note"), broken_table(run.documents.broken or told)
    )


# ---------------------------------------------------------------------------------------------- the meter


def _meter(run: RunPart) -> Safe:
    if not run.readings:
        return absent(run.missing.get("readings", ""), join(el("code", "synthgain measure RUN"), " computes them."))
    old = (
        el(
            "p",
            "Measured before the rows changed: ",
            el("code", "synthgain measure RUN"),
            " measures them again.",
            class_="warning",
        )
        if run.stale
        else None
    )
    held = el("p", "Held out to be predicted: ", el("code", run.target[:300]), class_="note") if run.target else None
    return join(old, held, meter(run.readings, run.task))


# ---------------------------------------------------------------------------------------------- the map and lengths


def _map(run: RunPart) -> Safe:
    texts: Sequence[Text] = (*run.anchors, *run.texts)
    if len(texts) < 3 or not run.texts:
        why = run.missing.get("rows") or run.missing.get("anchors") or "a map needs at least three texts"
        return absent(why)
    drawn = plane([t.body for t in texts])
    classes = ["anchors"] * len(run.anchors) + ["kept" if t.kept else "fallen" for t in run.texts]
    order = sorted(range(len(texts)), key=lambda i: ("fallen", "kept", "anchors").index(classes[i]))
    names = {"anchors": "anchors (real text)", "kept": "rows kept", "fallen": "rows that fell"}
    legend = [
        el(
            "li",
            el(
                "button",
                el("i", class_=f"swatch {c}"),
                f"{names[c]} · {count(classes.count(c))}",
                type="button",
                data_toggle=c,
                aria_pressed="true",
            ),
        )
        for c in names
        if c in classes
    ]
    said = f"Map of {count(len(run.anchors))} anchors and {count(len(run.texts))} rows by wording"
    picture = scatter(drawn.points[order], [classes[i] for i in order], [texts[i].body for i in order], said)
    shares = f"The two axes carry {100 * drawn.carried[0]:.0f} % and {100 * drawn.carried[1]:.0f} % of the variance. "
    drawn_of = f"Drawn: {count(len(run.anchors))} of {count(run.anchor_count)} anchors, {count(len(run.texts))} of {count(run.rows)} rows. "
    return join(
        el(
            "p",
            "Rows among the anchors repeat their wording; rows far from them bring other words, which may be new or merely off the subject.",
            class_="lede",
        ),
        el("ul", legend, class_="legend toggles"),
        el(
            "figure",
            picture,
            el("p", "Point at a mark to read the beginning of its text.", class_="reader", aria_live="polite"),
            class_="map-figure",
        ),
        el("p", drawn_of, shares, HOW, class_="note"),
    )


def _lengths(run: RunPart) -> Safe:
    parts: list[Safe] = []
    tokens = [
        (n, c, run.tokens[k])
        for k, n, c in ((True, "kept", "kept"), (False, "fallen", "fallen"))
        if k in run.tokens and len(run.tokens[k])
    ]
    kept, fallen = ([t.words for t in run.texts if t.kept is k] for k in (True, False))
    words = [
        ("anchors", "anchors", [t.words for t in run.anchors]),
        ("rows kept", "kept", kept),
        ("rows that fell", "fallen", fallen),
    ]
    filled = [(name, class_, np.asarray(values, np.int64)) for name, class_, values in words if values]
    if filled:
        parts.append(
            _panel(
                "Words of a text",
                histograms(filled, "words"),
                "Anchors and rows as a student reads them, prompt and answer together; the same sample as the map.",
            )
        )
    if tokens:
        parts.append(
            _panel(
                "Tokens written for a row",
                histograms(tokens, "tokens"),
                "All rows, by the writer's own tokenizer. Each group is scaled to its own size; the longest 1 % stand in the last bar.",
            )
        )
    if not parts:
        return absent(run.missing.get("rows") or run.missing.get("anchors") or "there is nothing to measure")
    return el("div", parts, class_="panels")


def _panel(title: str, body: Safe, note: str) -> Safe:
    return el("div", el("h3", title), body, el("p", note, class_="note"), class_="panel")

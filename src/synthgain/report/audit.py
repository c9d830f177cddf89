"""The page of an audit: what to do, which rows are at fault, what leaks, what the set is made of, its terms, and the meter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from synthgain.numbers import count, counted, duration, figure, share
from synthgain.report.frame import page
from synthgain.report.markup import Safe, el, join, passage, snippet, visible
from synthgain.report.meter import meter
from synthgain.types import Reading

Record = Mapping[str, Any]
MARK = {"use it": "card kept", "take rows out first": "card", "do not use it as it is": "card below"}


def audit_page(record: Record) -> str:
    """The whole self-contained page. Whatever the data set says is shown as text."""
    name = _name(record)
    parts = [
        ("faults", "Faults", "Rows at fault", _faults(record)),
        ("leaks", "Leaks", "What other sets have in it", _leaks(record)),
        ("made", "Made of", "What it is made of", _made_of(record)),
        ("terms", "Terms", "Who wrote it, and under which terms", _terms(record)),
        ("meter", "Meter", "The meter", _meter(record)),
        ("limits", "Limits", "What was not looked at", _limits(record)),
    ]
    header = el(
        "header",
        el("p", "synthgain · audit of a data set", class_="brand"),
        el("h1", name),
        el("p", str(record["sentence"]), class_="lead"),
        _facts(record),
    )
    contents = el("nav", [el("a", short, href=f"#{slug}") for slug, short, _, _ in parts], aria_label="contents")
    sections = [el("section", el("h2", title), body, id=slug) for slug, _, title, body in parts]
    footer = el(
        "footer",
        f"Written by synthgain {record['synthgain']}. This page holds everything it shows and loads nothing. Texts are shown as they came, with "
        "hidden characters spelt out.",
    )
    return page(f"{visible(name)} · synthgain audit", join(header, contents, el("main", sections), footer))


def _name(record: Record) -> str:
    return snippet(str(record["source"]).rstrip("/").rsplit("/", 1)[-1], 60)


def _facts(record: Record) -> Safe:
    given = record["given"]
    facts = [
        ("rows", count(record["rows"])),
        ("skipped", count(sum(given["skipped"].values()))),
        ("files", count(len(given["files"]))),
        ("rows are", ", ".join(f"{kind} ({count(n)})" for kind, n in record["shapes"].items()) or "–"),
        ("SHA-256", str(given.get("sha256") or "not known")[:16]),
        ("took", f"{duration(record['seconds'])} ({duration(record['cpu_seconds'])} of a processor)"),
        ("rows at fault", f"in {record['faults_file'].rsplit('/', 1)[-1]}"),
    ]
    grid = el("dl", [el("div", el("dt", k), el("dd", snippet(v, 200))) for k, v in facts], class_="facts-grid")
    skipped = [
        el("li", f"{counted(n, 'row')}: {why}", _places(given["skipped_at"].get(why, ())))
        for why, n in given["skipped"].items()
    ]
    took = [
        el("li", f"{name}: {seconds:.1f} s")
        for name, seconds in sorted(record["seconds_by"].items(), key=lambda t: -t[1])
    ]
    deep = [("command", el("code", str(record["command"]))), ("where the time went", el("ul", took))]
    deep += [("skipped", el("ul", skipped))] if skipped else []
    details = el(
        "details",
        el("summary", "Command, time, what was skipped"),
        el("dl", [el("div", el("dt", k), el("dd", v)) for k, v in deep]),
        class_="deep",
    )
    return join(grid, details)


def _places(places: Sequence[str]) -> str:
    return f" (at {', '.join(places)})" if places else ""


def table(head: Sequence[str], rows: Sequence[Sequence[object]], right: Sequence[int] = ()) -> Safe:
    """A table that scrolls in itself; `right` are columns of numbers."""

    def cells(tag: str, row: Sequence[object]) -> list[Safe]:
        return [el(tag, cell, class_="num" if i in right else None) for i, cell in enumerate(row)]

    body = [el("tr", cells("td", row)) for row in rows]
    return el("div", el("table", el("thead", el("tr", cells("th", head))), el("tbody", body)), class_="scroll")


# ---------------------------------------------------------------------------------------------- sections


def _faults(record: Record) -> Safe:
    faults, rows = record["faults"], record["rows"]
    clean = [name for name in record["looked_for"] if name not in faults]
    looked = el("p", f"Looked for and not found: {', '.join(clean)}.", class_="note") if clean else None
    if not faults:
        return join(el("p", "No row has a fault that was looked for."), looked)
    lede = el(
        "p",
        f"{counted(record['rows_with_faults'], 'row')} of {count(rows)} with a fault that counts; every check looked at every row, so a row may "
        "stand in several lines. Checks look for what they are named after and nothing else, and some are wrong: read the rows.",
        class_="lede",
    )
    lines = [
        (el("code", name), count(held["rows"]), share(held["rows"], rows), _reasons(held["reasons"]))
        for name, held in faults.items()
    ]
    samples = [
        el(
            "details",
            el("summary", f"{name}: {counted(len(held['samples']), 'row')} of {count(held['rows'])}"),
            [_sample(s) for s in held["samples"]],
            class_="deep",
        )
        for name, held in faults.items()
        if held["samples"]
    ]
    return join(lede, table(("fault", "rows", "share", "reasons"), lines, (1, 2)), looked, samples)


def _reasons(reasons: Mapping[str, int]) -> Safe:
    return el(
        "ul",
        [el("li", f"{snippet(reason, 80)} ({count(n)})") for reason, n in list(reasons.items())[:5]],
        class_="note",
    )


def _sample(sample: Record) -> Safe:
    head = el(
        "p",
        el("strong", f"row {sample['row']}"),
        f" · {sample['reason']} · ",
        el("code", str(sample["where"])),
        class_="note",
    )
    asked = passage(str(sample["question"]), 400) if sample.get("question") else None
    return el("div", head, asked, passage(str(sample.get("answer") or "(no answer)"), 400), class_="sample")


def _leaks(record: Record) -> Safe:
    if not record["leaks"]:
        return el("p", "No other set was given. ", el("code", "--against EVALS"), " names some.", class_="absent")
    lines = [
        (el("code", leak["set"]), count(leak["items"]), count(leak["items_found"]), share(leak["items_found"], leak["items"]), count(leak["rows"]), count(leak["rows_by_run"]), count(leak["rows_by_nearness"]), count(leak["rows_by_words"]), count(leak["rows_with_a_passage"]), count(leak["too_short"]))
        for leak in record["leaks"]
    ]  # fmt: skip
    head = (
        "set",
        "items",
        "found",
        "share",
        "rows",
        "by runs",
        "by nearness",
        "word by word",
        "a passage only",
        "too short",
    )
    examples = [
        el(
            "details",
            el("summary", f"{leak['set']}: the first pairs"),
            el("ul", [el("li", f"row {e['row']} {e['how']}") for e in leak["examples"]]),
            class_="deep",
        )
        for leak in record["leaks"]
        if leak["examples"]
    ]
    return join(table(head, lines, range(1, 10)), el("p", record["rule"], class_="note"), examples)


def _made_of(record: Record) -> Safe:
    lengths = [
        (name, *(figure(held[key], 4) for key in ("median", "mean", "p95")), count(held["max"]), count(held["total"]))
        for name, held in record["lengths"].items()
    ]
    under = (
        f"Tokens by {record['tokenizer']}."
        if record["tokenizer"]
        else "No tokenizer was named (--tokenizer FOLDER): words are runs between spaces."
    )
    languages = record["languages"]
    spoken = [(code or "too short to tell", count(n), share(n, record["rows"])) for code, n in languages["by"].items()]
    said = (
        el("p", f"Languages were not told apart: that {languages['why_not']}.", class_="absent")
        if languages["why_not"]
        else table(("answer’s language", "rows", "share"), spoken, (1, 2))
    )
    labels = [
        (el("code", name), ", ".join(f"{snippet(value, 40)} ({share(n, record['rows'])})" for value, n in list(held["values"].items())[:8]), f"{held['entropy_bits']:.2f}", count(held["missing"]))
        for name, held in record["labels"].items()
    ]  # fmt: skip
    return join(
        el("h3", "Lengths"),
        table(("", "median", "mean", "95 %", "longest", "all together"), lengths, range(1, 6)),
        el("p", under, class_="note"),
        el(
            "p",
            f"{counted(record['same_question'], 'row')} asked what an earlier row asks, word for word.",
            class_="note",
        ),
        el("h3", "Languages"),
        said,
        el("h3", "Labels"),
        table(("column", "values", "entropy, bits", "missing"), labels, (2, 3))
        if labels
        else el("p", "No column has few different values.", class_="note"),
    )


def _terms(record: Record) -> Safe:
    terms = record["terms"]
    if not record["card"]:
        return el(
            "p",
            "No card (README.md) lies beside the data, so nothing is known of who wrote it and under which terms.",
            class_="absent",
        )
    lines = [(teacher["name"], teacher["said"], teacher["terms"]) for teacher in terms["teachers"]]
    return join(
        el("p", f"By {record['card'].rsplit('/', 1)[-1]}: licence {terms['licence'] or 'not named in a header'}."),
        table(("provider", "named as", "what its terms say"), lines)
        if lines
        else el("p", "The card names no model that wrote the rows."),
        el(
            "p",
            "As far as the card goes, and by names alone; what is said of terms is of November 2026 and no advice on law.",
            class_="note",
        ),
    )


def _meter(record: Record) -> Safe:
    if record["why_no_meter"]:
        return el("p", f"Not measured: {record['why_no_meter']}", class_="absent")
    lede = (
        "Against " + str(record["anchors"])
        if record["anchors"]
        else "Without real text beside it (--anchors) most figures have nothing to be measured against"
    )
    return join(el("p", f"{lede}.", class_="lede"), meter([Reading.read(r) for r in record["readings"]]))


def _limits(record: Record) -> Safe:
    limits = [
        "Whether what the rows say is true, useful or safe.",
        "Paraphrased or translated items of evaluation sets, and sets that were not given.",
        "Refusals, preambles and broken-off answers in other languages than English; of answers cut at any word about a third is seen.",
        "Names, addresses and whatever else of people has no fixed form.",
        "Near-duplicates are found by word pairs (Jaccard 0.7): what says the same in other words is not one.",
    ]
    return el("ul", [el("li", text) for text in limits])

"""The page about a run: what it made, its verdict, its picture and what it took, then its sections."""

from __future__ import annotations

from synthgain.numbers import count, counted, duration, money, number, share
from synthgain.report.card import check_said, cost_said
from synthgain.report.chain_picture import chain
from synthgain.report.frame import contents, footer, grid, page, setting
from synthgain.report.markup import Safe, el, join, snippet, visible
from synthgain.report.read import Json, RunPart, listed, mapping
from synthgain.report.recorded import recorded_said
from synthgain.report.run_sections import run_sections
from synthgain.report.verdict import advise
from synthgain.report.verdict_box import known_of, verdict_box


def run_page(run: RunPart) -> str:
    parts = run_sections(run)
    name = _name(run)
    masthead = el("p", "synthgain · report of a run", class_="brand")
    lead = el("p", run_lead(run), class_="lead")
    header = el(
        "header",
        masthead,
        el("h1", name),
        lead,
        warning(run),
        verdict_box(advise(known_of(run)), where="samples"),
        None if run.record.get("given") else chain(run),
        facts_of(run),
    )
    return page(
        f"{visible(name)} · synthgain",
        join(
            header,
            contents(parts),
            el("main", [body for _, _, body in parts]),
            footer(str(run.record.get("synthgain") or "")),
        ),
    )


def _name(run: RunPart) -> str:
    recipe = snippet(str(mapping(run.record.get("recipe")).get("name") or "a run without a name"), 40)
    if given := mapping(run.record.get("given")):
        return f"{counted(run.kept, 'row')} of {snippet(str(given.get('source') or 'a data set'), 40)}"
    return f"{recipe}: {counted(run.kept, 'row')} from {_anchors(run)}" if run.rows and run.anchor_count else recipe


def _anchors(run: RunPart, noun: str = "anchor") -> str:
    """The anchors that were used, and of how many where these are not all."""
    used, there = run.documents.used, run.anchor_count
    return counted(there, noun) if used in (0, there) else f"{count(used)} of {counted(there, noun)}"


def run_lead(run: RunPart) -> str:
    record, counts = run.record, mapping(run.record.get("counts"))
    models = " and ".join(dict.fromkeys(str(uri) for uri in mapping(record.get("models")).values()))
    rows = run.rows or number(counts.get("rows"))
    kept = run.kept if run.rows else number(counts.get("kept"))
    if not rows or kept is None:
        return "There are no rows in this folder yet."
    if given := mapping(record.get("given")):
        whose = f"{counted(rows, 'row')} of {given.get('source') or 'a data set'} were given; nothing was bought."
        return f"{whose} The checks let {count(kept)} of them pass ({share(kept, rows)}).".replace(" %", "\u00a0%")
    pieces = _anchors(run, "piece") if run.anchor_count else counted(counts.get("anchors"), "piece")
    first = f"From {pieces} of real text, {models or 'a model'} wrote {counted(rows, 'candidate row')}"
    took = number(record.get("seconds"))
    return f"{first}{f' in {duration(took)}' if took else ''}. The checks let {count(kept)} of them pass ({share(kept, rows)}).".replace(
        " %", "\u00a0%"
    )


def warning(run: RunPart) -> Safe | None:
    status, why = run.record.get("status"), run.record.get("why")
    if run.missing.get("run"):
        return el("p", run.missing["run"], class_="warning")
    if status == "complete":
        return None
    said = {
        "running": "This run had not ended when the page was written.",
        "stopped": "This run stopped before its end",
    }.get(str(status), "The status of this run is not known.")
    return el(
        "p",
        said,
        f": {str(why)[:500]}." if why else "." if status == "stopped" else "",
        " Everything that was bought is kept." if status == "stopped" else "",
        class_="warning",
    )


def facts_of(run: RunPart) -> Safe:
    record = run.record
    counts, tokens, recipe = (mapping(record.get(name)) for name in ("counts", "tokens", "recipe"))
    cached, read = number(tokens.get("in_cached")), number(tokens.get("in"))
    beyond = number(counts.get("beyond_the_limit"))
    from_others = number(counts.get("calls_recorded"))
    recorded = f", {count(from_others)} recorded" if from_others else ""
    facts: list[tuple[str, str]] = [
        ("recipe", f"{recipe.get('name') or '?'} {recipe.get('version') or ''}".strip()),
        *models_of(record),
        ("status", str(record.get("status") or "not known")),
        ("finished", str(record.get("finished") or "–")),
        ("took", duration(record.get("seconds"))),
        ("seed", count(record.get("seed"))),
        ("calls", f"{count(counts.get('calls_bought'))} bought, {count(counts.get('calls_reused'))} reused{recorded}"),
        *((f"recorded {n}" if n > 1 else "recorded", line) for n, line in enumerate(recorded_said(record), 1)),
        (
            "tokens",
            f"{count(read)} read"
            + (f" ({share(cached, read)} cached)" if cached and read else "")
            + f", {count(tokens.get('out'))} written",
        ),
        ("cost", "nothing was bought" if record.get("given") else cost_said(record)),
        *_per_row(run),
        ("broken", count(counts.get("broken"))),
        *([("left out", f"{count(beyond)} rows beyond the limit of candidates")] if beyond else []),
        ("synthgain", str(record.get("synthgain") or "–")),
    ]
    source = recipe.get("source")
    if source:
        facts.append(("source", str(source)))
    return join(grid(facts), _deep(record))


def _per_row(run: RunPart) -> list[tuple[str, str]]:
    """What a kept row took: money, tokens, time."""
    kept, record = run.kept, run.record
    cost, written, took = (
        number(v) for v in (record.get("cost_usd"), mapping(record.get("tokens")).get("out"), record.get("seconds"))
    )
    if not kept:
        return []
    said = [
        money(cost / kept) if cost else "",
        f"{count(written / kept)} tokens written" if written else "",
        duration(took / kept) if took and took / kept >= 0.05 else "",
    ]
    return [("a kept row took", ", ".join(part for part in said if part))] if any(said) else []


def _deep(record: Json) -> Safe | None:
    """Knobs, checks and the command. A knob that the command names stands in the command alone."""
    recipe, command = mapping(record.get("recipe")), str(record.get("command") or "")
    knobs = [
        f"{name} = {setting(value)}"
        for name, value in mapping(recipe.get("knobs")).items()
        if f" {name}=" not in command and f"'{name}=" not in command
    ]
    more = [
        ("command", [command]),
        ("knobs that it does not name" if command else "knobs", knobs),
        ("checks", [check_said(c) for c in listed(recipe.get("checks"))]),
    ]
    deep = [
        (name, el("ul", [el("li", el("code", snippet(v, 2_000 if name == "command" else 400))) for v in values]))
        for name, values in more
        if any(values)
    ]
    if not deep:
        return None
    inside = el("dl", [el("div", el("dt", n), el("dd", v)) for n, v in deep])
    return el("details", el("summary", "The command, knobs and checks"), inside, class_="deep")


def models_of(record: Json) -> list[tuple[str, str]]:
    return [(str(role), str(uri)) for role, uri in mapping(record.get("models")).items()]

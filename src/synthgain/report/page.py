"""One self-contained HTML page about a run or a loop: no network, no foreign script, all data escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from string import Template

from synthgain.numbers import count, counted, duration, interval, money, number, share
from synthgain.report.arms_page import comparison, is_comparison
from synthgain.report.card import check_said, cost_said
from synthgain.report.chain_picture import chain
from synthgain.report.loop_sections import HEADLINE, loop_sections, readings_of
from synthgain.report.markup import Safe, el, join, snippet, visible
from synthgain.report.read import Json, RunPart, json_at, listed, mapping, run_part
from synthgain.report.read_loop import LoopPart, loop_part
from synthgain.report.recorded import recorded_said
from synthgain.report.run_sections import run_sections
from synthgain.report.student_sections import after_training, student_sections
from synthgain.report.verdict import advise
from synthgain.report.verdict_box import known_of, known_of_loop, verdict_box
from synthgain.store import Run, atomic_write
from synthgain.types import Reading, SynthgainError

Part = tuple[str, str, Safe]  # anchor in the page, short title, section


def write(folder: Path, out: Path | None = None) -> Path:
    """Write the page about a run, loop, comparison or student folder to `out` (default: report.html in the folder) and give its path.

    SynthgainError where the folder is none of them; a part that is missing is said to be on the page.
    """
    folder = Path(folder)
    out = folder / "report.html" if out is None else Path(out)
    if (folder / "loop.json").is_file():
        page = _loop_page(loop_part(folder))
    elif Run.is_at(folder):
        page = _run_page(run_part(folder))
    elif (folder / "student.json").is_file():
        page = _student_page(folder)
    elif is_comparison(folder):
        page = _comparison_page(folder)
    else:
        raise SynthgainError(
            "there is nothing here to report on (no run.json, no loop.json, no student.json, no arms.json)",
            where=str(folder),
            next="give the folder that `synthgain generate … -o RUN`, `synthgain loop`, `synthgain arms` or `synthgain demo` wrote",
        )
    atomic_write(out, page)
    return out


def page(title: str, body: Safe) -> str:
    """The whole document. Its policy allows its own style and this one script, and no connection to anywhere."""
    files = resources.files("synthgain.report")
    css, script, frame = ((files / name).read_text("utf-8") for name in ("page.css", "page.js", "page.html"))
    seal = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return Template(frame).substitute(title=el("title", title), css=css, script=script, seal=seal, body=body)


# ---------------------------------------------------------------------------------------------- a run


def _run_page(run: RunPart) -> str:
    parts = run_sections(run)
    name = _name(run)
    masthead = el("p", "synthgain · report of a run", class_="brand")
    lead = el("p", _run_lead(run), class_="lead")
    header = el(
        "header",
        masthead,
        el("h1", name),
        lead,
        _warning(run),
        verdict_box(advise(known_of(run)), where="samples"),
        None if run.record.get("given") else chain(run),
        _facts(run),
    )
    return page(
        f"{visible(name)} · synthgain",
        join(
            header,
            _contents(parts),
            el("main", [body for _, _, body in parts]),
            _footer(str(run.record.get("synthgain") or "")),
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


def _run_lead(run: RunPart) -> str:
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


def _warning(run: RunPart) -> Safe | None:
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


def _facts(run: RunPart) -> Safe:
    record = run.record
    counts, tokens, recipe = (mapping(record.get(name)) for name in ("counts", "tokens", "recipe"))
    cached, read = number(tokens.get("in_cached")), number(tokens.get("in"))
    beyond = number(counts.get("beyond_the_limit"))
    from_others = number(counts.get("calls_recorded"))
    recorded = f", {count(from_others)} recorded" if from_others else ""
    facts: list[tuple[str, str]] = [
        ("recipe", f"{recipe.get('name') or '?'} {recipe.get('version') or ''}".strip()),
        *_models(record),
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
    return join(_grid(facts), _deep(record))


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


def _grid(facts: Sequence[tuple[str, str]]) -> Safe:
    """Names with their values; each name once, as it came first."""
    once = dict(reversed(facts))
    return el(
        "dl",
        [
            el(
                "div",
                el("dt", name),
                el("dd", snippet(once[name], 160), title=once[name] if len(once[name]) > 160 else None),
            )
            for name in dict.fromkeys(name for name, _ in facts)
        ],
        class_="facts-grid",
    )


def _deep(record: Json) -> Safe | None:
    """Knobs, checks and the command. A knob that the command names stands in the command alone."""
    recipe, command = mapping(record.get("recipe")), str(record.get("command") or "")
    knobs = [
        f"{name} = {_setting(value)}"
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


# ---------------------------------------------------------------------------------------------- a loop

FILTERED = "filtered"  # the arm that learns from the kept rows


def _loop_page(loop: LoopPart) -> str:
    last = loop.reported
    shared = loop_sections(loop)
    after = after_training(loop)
    if after is not None:
        shared.insert(1, after)
    tabs = [(r.number, run_sections(r.run, f"round-{r.number}-"), r.run) for r in loop.rounds if r.run is not None]
    name = _loop_name(loop)
    picture = None
    if last is not None and last.run is not None:
        named = FILTERED if FILTERED in last.students else next(iter(last.students), "")
        picture = chain(last.run, last.students.get(named), _accuracies(last.arms or loop.arms).get(named))
    note = el("p", str(loop.record["note"])[:2_000], class_="loop-note") if loop.record.get("note") else None
    missing = [el("p", why, ".", class_="warning") for part, why in loop.missing.items() if part == "loop"]
    header = el(
        "header",
        el("p", "synthgain · report of a loop", class_="brand"),
        el("h1", name),
        el("p", _loop_lead(loop), class_="lead"),
        el("p", snippet(str(loop.record["stopped"]), 600), class_="loop-note") if loop.record.get("stopped") else None,
        missing,
        verdict_box(advise(known_of_loop(loop)), where=f"round-{last.number}-samples" if last is not None else ""),
        picture,
        note,
        _settings(loop),
    )
    contents = [*shared, *((f"round-{n}", f"Round {n}", Safe("")) for n, _, _ in tabs)]
    body = join(
        header,
        _contents(contents),
        el("main", [body for _, _, body in shared], _round_tabs(tabs)),
        _footer(_version(loop)),
    )
    return page(f"{visible(name)} · synthgain", body)


def _loop_name(loop: LoopPart) -> str:
    given = loop.record.get("recipe") or loop.last_run.get("recipe")
    name = snippet(
        str(mapping(given).get("name") or (given if isinstance(given, str) else "") or "a loop without a name"), 40
    )
    n = len(loop.rounds)
    return f"{name}, {'one round' if n == 1 else f'{n} rounds'}" if n else name


def _accuracies(arms: Sequence[Json]) -> dict[str, Reading]:
    """The accuracy of every arm that has one."""
    found = {str(arm["name"]): readings_of(arm).get(HEADLINE) for arm in arms}
    return {name: r for name, r in found.items() if r is not None and r.value is not None}


def _loop_lead(loop: LoopPart) -> str:
    rounds = len(loop.rounds)
    asked = number(loop.record.get("asked"))
    of = f" of {count(asked)} asked for" if asked and asked > rounds else ""
    text = (
        f"{'One round' if rounds == 1 else f'{rounds} rounds'}{of}: generate, curate, train, evaluate. "
        if rounds
        else ""
    )
    read = _accuracies(loop.arms)
    trained = {str(arm["name"]) for arm in loop.arms if number(arm.get("rows"))}
    students = {name: r for name, r in read.items() if name in trained}
    if not students:
        return text + "No student's accuracy is known in this folder."
    if FILTERED in students:
        text += (
            f"The student trained on the kept rows answers {_answers(students[FILTERED])} of the test questions right"
        )
    else:
        each = ", ".join(f"{name} {_answers(r)}" for name, r in students.items())
        text += f"Of the test questions the students answer right: {each}"
    base = [(name, r) for name, r in read.items() if name.startswith("base")]
    if not base:
        return text + "."
    name, best = max(base, key=lambda nr: nr[1].value or 0.0)
    return f"{text}; the best untrained arm ({name}), {_answers(best)}."


def _answers(r: Reading) -> str:
    return "none" if r.value is None else interval(r.value, r.low, r.high)


def _settings(loop: LoopPart) -> Safe | None:
    run = loop.last_run
    facts = [("recipe", snippet(str(mapping(run.get("recipe")).get("name") or "–"), 60)), *_models(run)]
    facts += [(str(name), _setting(value)) for name, value in mapping(loop.record.get("settings")).items()]
    facts.append(("synthgain", _version(loop)))
    return _grid(facts)


def _setting(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_setting(v)}" for name, v in value.items())
    return (
        ", ".join(map(_setting, value))
        if isinstance(value, list)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def _models(record: Json) -> list[tuple[str, str]]:
    return [(str(role), str(uri)) for role, uri in mapping(record.get("models")).items()]


def _version(loop: LoopPart) -> str:
    return str(loop.record.get("synthgain") or loop.last_run.get("synthgain") or "–")


def _round_tabs(tabs: Sequence[tuple[int, list[Part], RunPart]]) -> Safe | None:
    if not tabs:
        return None
    buttons = [
        el(
            "button",
            f"Round {n}",
            type="button",
            data_tab=f"round-{n}",
            aria_pressed="true" if i == len(tabs) - 1 else "false",
        )
        for i, (n, _, _) in enumerate(tabs)
    ]
    panels = [
        el(
            "div",
            el("h2", f"Round {n}: the run", class_="round-title"),
            el("p", _run_lead(run), class_="lead"),
            _warning(run),
            _facts(run),
            [body for _, _, body in parts],
            id=f"round-{n}",
            class_="round",
            data_panel=f"round-{n}",
        )
        for n, parts, run in tabs
    ]
    return join(el("div", buttons, class_="filters tabs") if len(tabs) > 1 else None, panels)


# ---------------------------------------------------------------------------------------------- a student


def _student_page(folder: Path) -> str:
    record, why = json_at(folder / "student.json")
    parts = student_sections(folder, record)
    name = snippet(f"A student of {str(record.get('base') or 'an unknown base').rstrip('/').rsplit('/', 1)[-1]}", 60)
    facts = [
        (key, str(record[key]))
        for key in ("base", "method", "adapter", "rows", "tokens_seen", "epochs", "steps", "seed", "learning_rate")
        if record.get(key) is not None
    ]
    grid = _grid(facts)
    warning = el("p", why, ".", class_="warning") if why else None
    header = el("header", el("p", "synthgain · report of a student", class_="brand"), el("h1", name), warning, grid)
    body = join(
        header,
        _contents(parts),
        el("main", [body for _, _, body in parts]),
        _footer(str(record.get("synthgain") or "")),
    )
    return page(f"{visible(name)} · synthgain", body)


# ---------------------------------------------------------------------------------------------- a comparison


def _comparison_page(folder: Path) -> str:
    title, lead, parts, asked = comparison(folder)
    facts = [(str(name), _setting(value)) for name, value in asked.items()]
    header = el(
        "header", el("p", "synthgain · comparison of arms", class_="brand"), el("h1", title), lead, _grid(facts)
    )
    body = join(
        header, _contents(parts), el("main", [body for _, _, body in parts]), _footer(str(asked.get("synthgain") or ""))
    )
    return page(f"{visible(title)} · synthgain", body)


# ---------------------------------------------------------------------------------------------- around


def _contents(parts: Sequence[Part]) -> Safe:
    return el("nav", [el("a", short, href=f"#{slug}") for slug, short, _ in parts], aria_label="contents")


def _footer(version: str) -> Safe:
    return el(
        "footer",
        f"Written by synthgain {version}. This page holds everything it shows and loads nothing. Texts of models are shown as they came, with hidden characters spelt out.",
    )

"""The page about a loop: what its students answer, then its rounds, each with its run."""

from __future__ import annotations

from collections.abc import Sequence

from synthgain.numbers import count, interval, number
from synthgain.report.chain_picture import chain
from synthgain.report.frame import Part, contents, footer, grid, page, setting
from synthgain.report.loop_sections import HEADLINE, loop_sections, readings_of
from synthgain.report.markup import Safe, el, join, snippet, visible
from synthgain.report.read import Json, RunPart, mapping
from synthgain.report.read_loop import LoopPart
from synthgain.report.run_page import facts_of, models_of, run_lead, warning
from synthgain.report.run_sections import run_sections
from synthgain.report.student_sections import after_training
from synthgain.report.verdict import advise
from synthgain.report.verdict_box import known_of_loop, verdict_box
from synthgain.types import Reading

FILTERED = "filtered"  # the arm that learns from the kept rows


def loop_page(loop: LoopPart) -> str:
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
    whole = [*shared, *((f"round-{n}", f"Round {n}", Safe("")) for n, _, _ in tabs)]
    body = join(
        header,
        contents(whole),
        el("main", [body for _, _, body in shared], _round_tabs(tabs)),
        footer(_version(loop)),
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
    facts = [("recipe", snippet(str(mapping(run.get("recipe")).get("name") or "–"), 60)), *models_of(run)]
    facts += [(str(name), setting(value)) for name, value in mapping(loop.record.get("settings")).items()]
    facts.append(("synthgain", _version(loop)))
    return grid(facts)


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
            el("p", run_lead(run), class_="lead"),
            warning(run),
            facts_of(run),
            [body for _, _, body in parts],
            id=f"round-{n}",
            class_="round",
            data_panel=f"round-{n}",
        )
        for n, parts, run in tabs
    ]
    return join(el("div", buttons, class_="filters tabs") if len(tabs) > 1 else None, panels)

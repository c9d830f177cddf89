"""The one picture at the top: anchors → prompts → answers → kept → student, with this run's numbers on the arrows."""

from __future__ import annotations

from collections.abc import Sequence

from synthgain.numbers import count, figure, interval, number, share
from synthgain.report.markup import Safe, el, join
from synthgain.report.read import Json, RunPart, mapping
from synthgain.types import Reading


def chain(run: RunPart, student: Json | None = None, accuracy: Reading | None = None) -> Safe:
    """The chain of a run; with `student` (its student.json) and its accuracy where one was trained."""
    counts, record = mapping(run.record.get("counts")), run.record
    drafted = _total(counts, "calls_bought", "calls_reused", "calls_recorded")
    rows = run.rows or number(counts.get("rows"))
    kept = run.kept if run.rows else number(counts.get("kept"))
    there = number(counts.get("anchors")) or run.anchor_count or None
    anchors = run.documents.used or there  # those that something was drafted from
    part = kept / rows if rows and kept is not None else None
    models = (
        ", ".join(
            dict.fromkeys(str(uri).rstrip("/").rsplit("/", 1)[-1] for uri in mapping(record.get("models")).values())
        )
        or "model"
    )
    written = number(mapping(record.get("tokens")).get("out"))
    each = f"{drafted / anchors:.1f} an anchor" if drafted and anchors else ""
    steps: list[Safe] = [
        step(
            "anchors",
            symbol("S", "anchor"),
            count(anchors),
            "anchors",
            "the real text" if anchors == there else f"used of {count(there)}",
        ),
        arrow(_recipe(record), "writes the prompts", each, 1.0),
        step("plain", symbol("p", ""), count(drafted), "prompts", _bought(counts)),
        arrow(models, "answers", f"{count(written)} tokens" if written else "", 1.0),
        step("plain", symbol("M(p)", ""), count(rows), "candidate rows", _broken(counts)),
        arrow("the checks", "decide", f"{share(kept or 0, rows)} pass" if rows else "", part),
        step("kept", symbol("S", "gen"), count(kept), "rows kept", "the data set"),
        *_learned(student, accuracy),
    ]
    return el(
        "figure", el("ol", steps, class_="chain"), class_="chain-figure", aria_label="The chain with this run's numbers"
    )


def _learned(student: Json | None, accuracy: Reading | None) -> Sequence[Safe]:
    if student is None and accuracy is None:
        return (arrow("train", "", "", None), step("absent", symbol("W", ""), "–", "student", "none in this folder"))
    student = student or {}
    epochs = number(student.get("epochs"))
    how = str(student.get("method") or "training").upper()
    long = (
        f"{figure(epochs, 2)} epochs"
        if epochs
        else f"{count(student.get('steps'))} steps"
        if student.get("steps")
        else ""
    )
    if accuracy is None or accuracy.value is None:
        return (
            arrow(how, "trains", long, 0.5),
            step("student", symbol("W", ""), count(student.get("rows")), "rows learned", "student"),
        )
    said = interval(accuracy.value, accuracy.low, accuracy.high)
    value, _, rest = said.partition(" ")
    return (arrow(how, "trains", long, 0.5), step("student", symbol("W", ""), value, "student’s accuracy", rest))


def step(kind: str, sign: Safe, value: str, what: str, more: str, **attributes: object) -> Safe:
    """One station: its symbol, its number, what that is, and a word more."""
    return el(
        "li",
        el("span", sign, class_="symbol"),
        el("strong", value),
        el("span", what, class_="what"),
        el("span", more or "\u00a0", class_="more"),
        class_=f"step {kind}",
        **attributes,
    )


def arrow(who: str, does: str, much: str, flow: float | None, **attributes: object) -> Safe:
    """What leads to the next station; `flow` is the share that passes, None where nothing does."""
    width = 1.5 if flow is None else 1.5 + 6 * min(1.0, max(0.0, flow))
    return el(
        "li",
        el("span", who, class_="who", title=who),
        el("span", does, class_="does"),
        el("i", class_="shaft", style=f"--flow:{width:.1f}px", aria_hidden="true"),
        el("span", much, class_="much"),
        class_="arrow" + (" open" if flow is None else ""),
        **attributes,
    )


def symbol(letter: str, low: str) -> Safe:
    """A letter of the theory with its index."""
    return join(el("i", letter), el("sub", low) if low else "")


def _recipe(record: Json) -> str:
    return str(mapping(record.get("recipe")).get("name") or "recipe")


def _total(counts: Json, *names: str) -> float | None:
    known = [n for n in (number(counts.get(name)) for name in names) if n is not None]
    return sum(known) if known else None


def _bought(counts: Json) -> str:
    bought, reused, recorded = (number(counts.get(f"calls_{name}")) for name in ("bought", "reused", "recorded"))
    if not reused and not recorded:
        return "all bought now" if bought else ""
    said = [f"{count(reused)} paid for before"] if reused else []
    return ", ".join(said + ([f"{count(recorded)} recorded"] if recorded else []))


def _broken(counts: Json) -> str:
    broken = number(counts.get("broken"))
    return "" if broken is None else "none broken" if not broken else f"{count(broken)} more broke"

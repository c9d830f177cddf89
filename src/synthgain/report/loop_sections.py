"""The sections of a loop: arms with their intervals, training curves, rounds side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from synthgain.meanings import meaning
from synthgain.numbers import count, duration, figure, interval, number, share
from synthgain.report.arm_tables import cell, foretold_table, rates_table
from synthgain.report.figures import Curve, Scale, axis, curves, on_scale, rounds, whisker
from synthgain.report.markup import Safe, el, join, snippet
from synthgain.report.read import Json, listed, mapping, reading
from synthgain.report.read_loop import LoopPart, RoundPart
from synthgain.report.run_sections import absent, section
from synthgain.report.steps import ledger_table, look_said, steps
from synthgain.report.tables import stacked
from synthgain.types import Reading

HEADLINE = "accuracy"


def loop_sections(loop: LoopPart) -> list[tuple[str, str, Safe]]:
    """(anchor in the page, short title, section) for what all rounds share."""
    picture = steps(loop)
    made = [
        ("arms", "Arms", "The arms, side by side", arms_body(loop)),
        *([("steps", "Step by step", "The loop, step by step", picture)] if picture is not None else []),
        ("training", "Training", "Training", _training(loop)),
        ("rounds", "Rounds", "Rounds side by side", _rounds(loop)),
    ]
    return [(slug, short, section(slug, title, body)) for slug, short, title, body in made]


def series(names: Iterable[str]) -> dict[str, int]:
    """A colour for each arm, the same in every figure: the filtered arm first, the untrained last."""
    order = sorted(set(names), key=lambda name: (name != "filtered", name.startswith("base"), name))
    return {name: i for i, name in enumerate(order)}


def readings_of(arm: Json) -> dict[str, Reading]:
    """An arm's readings by name."""
    found = [reading(r) for r in listed(arm.get("readings"))]
    return {r.name: r for r in found if r is not None}


def headline(arms: Sequence[Json]) -> str:
    """The reading by which arms are sorted: accuracy where any arm has it, else the first there is."""
    names = [name for arm in arms for name in readings_of(arm)]
    return HEADLINE if HEADLINE in names or not names else names[0]


# ---------------------------------------------------------------------------------------------- arms


def arms_body(loop: LoopPart) -> Safe:
    """The arms drawn side by side, their differences, each learning rate by itself, and all readings."""
    if not loop.arms:
        return absent(loop.missing.get("arms", ""), "Arms appear when students have been trained and evaluated.")
    by = headline(loop.arms)
    read = [(arm, readings_of(arm)) for arm in loop.arms]
    read.sort(key=lambda ar: (-_value(ar[1].get(by), -1e300), str(ar[0]["name"])))
    ends = [v for _, rs in read if by in rs for v in (rs[by].value, rs[by].low, rs[by].high) if v is not None]
    scale = Scale(0.0, 1.0) if not ends or (min(ends) >= 0 and max(ends) <= 1) else Scale(min(0.0, *ends), max(ends))
    rows = [_arm(arm, rs.get(by), scale) for arm, rs in read]
    chart = el(
        "div",
        rows,
        el("div", el("span", ""), el("span", axis(scale), class_="plot-cell"), el("span", ""), class_="arm foot"),
        class_="arms",
    )
    sentence = meaning(by)
    return join(
        el("p", _said(loop, read, by), class_="lede"),
        chart,
        _differences(loop),
        el(
            "p",
            el("code", by),
            f": {sentence} " if sentence else " ",
            _level(read, by),
            "Dots are estimates, lines their intervals; n is the number of questions.",
            class_="note",
        ),
        rates_table(loop.by_rate, loop.reference),
        foretold_table(loop.foretold),
        _all_readings(read),
    )


def _differences(loop: LoopPart) -> Safe | None:
    """Paired differences of arms, where arms.json has them: they see more than two intervals side by side."""
    known = [(str(d.get("a") or "?"), str(d.get("b") or "?"), reading(d)) for d in loop.differences]
    rows = []
    for a, b, r in known:
        if r is None:
            continue
        verdict = (
            "not measured"
            if r.value is None or r.low is None or r.high is None
            else (f"{a} is higher" if r.low > 0 else f"{b} is higher" if r.high < 0 else "not told apart")
        )
        of = r.name.removesuffix(" difference") + (f", {r.unit}" if r.unit else "")
        rows.append((f"{a} less {b}", [of, cell(r, signed=True), verdict]))
    heads = ("paired difference", "of", "value and interval", "what it says")
    return stacked(heads, rows, words=(heads[1], heads[3])) if rows else None


def _value(r: Reading | None, default: float) -> float:
    return default if r is None or r.value is None else r.value


def _level(read: Sequence[tuple[Json, Mapping[str, Reading]]], by: str) -> str:
    levels = sorted({rs[by].level for _, rs in read if by in rs})
    return f"Intervals at {', '.join(f'{100 * level:g} %' for level in levels)}. " if levels else ""


def _said(loop: LoopPart, read: Sequence[tuple[Json, Mapping[str, Reading]]], by: str) -> str:
    """What the chart shows, in words, and no more than it shows."""
    known = [(str(arm["name"]), rs[by]) for arm, rs in read if by in rs and rs[by].value is not None]
    if len(known) < 2:
        return f"One arm only has a reading {by}: nothing is compared." if known else f"No arm has a reading {by}."
    (first, a), (second, b) = known[:2]
    text = f"Highest {by}: {first}, {_interval(a)}; next {second}, {_interval(b)}. "
    if loop.differences:
        return (
            text
            + "The same questions were asked of each, so the paired differences below say more than two intervals side by side."
        )
    if a.low is None or b.high is None:
        return text + "Without intervals nobody can say whether they differ."
    if a.low > b.high:
        return text + "Their intervals do not overlap."
    return text + "Their intervals overlap, so this run alone does not tell them apart."


def _interval(r: Reading) -> str:
    return "none" if r.value is None else interval(r.value, r.low, r.high)


def _arm(arm: Json, r: Reading | None, scale: Scale) -> Safe:
    seeds = listed(arm.get("seeds"))
    facts = [
        f"{count(arm.get('rows'))} rows" if number(arm.get("rows")) else "not trained" if arm.get("rows") == 0 else "",
        f"{count(arm.get('tokens'))} tokens" if number(arm.get("tokens")) else "",
        f"{len(seeds)} seed{'s' if len(seeds) != 1 else ''}" if seeds and number(arm.get("rows")) else "",
    ]
    name = str(arm["name"])
    kind = "kept" if name.startswith("filtered") else "mark"
    plot = whisker(scale, r.value, r.low, r.high, class_=kind) if r is not None else el("em", "no reading")
    value = [el("b", _interval(r)), el("small", f"n = {count(r.n)}" if r.n else "")] if r is not None else []
    label = el("span", el("b", name), el("small", " · ".join(f for f in facts if f)), class_="arm-name")
    return on_scale(label, scale, plot, el("span", value, class_="arm-value"))


def _all_readings(read: Sequence[tuple[Json, Mapping[str, Reading]]]) -> Safe | None:
    names = list(dict.fromkeys(name for _, rs in read for name in rs))
    if len(names) < 2:
        return None
    rows = [
        (
            join(el("code", name), el("span", meaning(name) or "", class_="means-small") if name != HEADLINE else None),
            [cell(rs.get(name)) for _, rs in read],
        )
        for name in names
    ]
    return stacked(["figure", *(str(arm["name"]) for arm, _ in read)], rows)


# ---------------------------------------------------------------------------------------------- training


def _training(loop: LoopPart) -> Safe:
    many = len(loop.rounds) > 1
    named = [(name, r.number, student) for r in loop.rounds for name, student in r.students.items()]
    last = max((n for _, n, _ in named), default=0)
    colour = series(name for name, _, _ in named)

    def label(name: str, n: int) -> str:
        return f"{name}, round {n}" if many else name

    gone = [
        absent(why, f"({name} of round {r.number})")
        for r in loop.rounds
        for name, why in r.missing.items()
        if name.startswith("student")
    ]
    if not named:
        return join(gone) if gone else absent("no student was trained in this folder")
    picture = curves_of(
        [(label(name, n), colour[name], student, max(0.25, 0.62 ** (last - n))) for name, n, student in named]
    )
    table = student_table([(label(name, n), student) for name, n, student in named])
    lead = "A falling loss says that the student fits the rows it was given, right or wrong; the arms above say whether it helps."
    return join(
        el("p", lead, class_="lede"),
        picture,
        gone,
        table,
    )


def curves_of(named: Sequence[tuple[str, int, Json, float]]) -> Safe:
    """Training curves: each student's name, its colour, its student.json, and how strongly it is drawn."""
    lines = [
        Curve(name, points, colour, strength)
        for name, colour, student, strength in named
        if len(points := _curve(student)) > 1
    ]
    if not lines:
        return absent("no student wrote its curve")
    return curves(lines, "optimiser step", "training loss, nats per answer token")


def student_table(named: Sequence[tuple[str, Json]]) -> Safe:
    """How each student was trained."""
    heads = ("student", "rows", "tokens seen", "epochs", "steps", "learning rate", "time", "how")
    table = stacked(heads, [(name, _student(student)) for name, student in named], words=("how",))
    told = [el("p", f"{name}: {said}") for name, student in named if (said := str(student.get("said") or ""))]
    return join(table, told)


def _curve(student: Json) -> list[tuple[float, float]]:
    points = [(number(mapping(p).get("step")), number(mapping(p).get("loss"))) for p in listed(student.get("curve"))]
    known = [(x, y) for x, y in points if x is not None and y is not None]
    every = max(1, len(known) // 400)
    return sorted(known)[::every]


def _student(s: Json) -> Sequence[object]:
    rate = number(s.get("learning_rate"))
    epochs = number(s.get("epochs"))
    how = " · ".join(str(part)[:80] for part in (s.get("method"), s.get("adapter"), s.get("base")) if part)
    if s.get("replay"):
        how += " · with replay"
    return (
        count(s.get("rows")),
        count(s.get("tokens_seen")),
        "–" if epochs is None else figure(epochs),
        count(s.get("steps")),
        "–" if rate is None else f"{rate:g}",
        duration(s.get("seconds")),
        how,
    )


# ---------------------------------------------------------------------------------------------- rounds


def _rounds(loop: LoopPart) -> Safe:
    if not loop.rounds:
        return absent(loop.missing.get("loop", ""))
    heads = ("round", "candidates", "kept", "kept share", *_arm_names(loop))
    table = stacked(heads, [(count(r.number), _round(r, _arm_names(loop))) for r in loop.rounds])
    gone = [
        absent(why, f"({name}, round {r.number})")
        for r in loop.rounds
        for name, why in r.missing.items()
        if not name.startswith("student")
    ]
    return join(_decided(loop), _over_rounds(loop), table, ledger_table(loop), gone)


def _decided(loop: LoopPart) -> Safe | None:
    """Which questions decided, what they said of each round, and why the loop ended."""
    decided = mapping(loop.record.get("decided"))
    if not decided:
        return None
    lead = (
        f"{count(decided.get('questions'))} questions decided which student is best, chosen by {snippet(str(decided.get('by') or '?'), 120)}; "
        f"the figures of this page are on the other {count(decided.get('reported'))}, which decided nothing."
    )
    best, stopped = str(loop.record.get("best") or ""), str(loop.record.get("stopped") or "")
    control = mapping(loop.record.get("control"))
    left_out = (
        f"There is no one-shot control: {snippet(str(control['left_out']), 200)}." if control.get("left_out") else ""
    )
    end = stopped or "All rounds ran."
    return join(
        el("p", lead, class_="lede"),
        [el("p", el("b", f"Round {n}. "), look_said(loop, n)) for n in loop.looks],
        el("p", snippet(end, 600), f" The best student is {snippet(best, 120)}." if best else ""),
        el("p", left_out) if left_out else None,
    )


def _arm_names(loop: LoopPart) -> list[str]:
    return list(dict.fromkeys(str(arm["name"]) for r in loop.rounds for arm in r.arms))[:8]


def _round(r: RoundPart, arms: Sequence[str]) -> Sequence[object]:
    run = r.run
    readings = {x.name: x for x in run.readings} if run else {}
    kept = (
        "–"
        if run is None or not run.rows
        else _interval(readings["kept_share"])
        if "kept_share" in readings
        else share(run.kept, run.rows)
    )
    by_arm = {str(arm["name"]): readings_of(arm).get(HEADLINE) for arm in r.arms}
    return (
        count(run.rows) if run else "–",
        count(run.kept) if run else "–",
        kept,
        *(cell(by_arm.get(name)) for name in arms),
    )


def _over_rounds(loop: LoopPart) -> Safe | None:
    """The picture of accuracy over rounds, where there is more than one."""
    lines: dict[str, list[tuple[float, float, float | None, float | None]]] = {}
    for r in loop.rounds:
        for arm in r.arms:
            read = readings_of(arm).get(HEADLINE)
            if read is not None and read.value is not None:
                lines.setdefault(str(arm["name"]), []).append((r.number, read.value, read.low, read.high))
    if len(loop.rounds) < 2 or not lines:
        return None
    ends = [v for line in lines.values() for _, *vs in line for v in vs if v is not None]
    low, high = (0.0, 1.0) if min(ends) >= 0 and max(ends) <= 1 else (min(ends), max(ends))
    order = sorted(lines, key=series(lines).__getitem__)[:6]
    return rounds([(name, lines[name]) for name in order], [r.number for r in loop.rounds], low, high)

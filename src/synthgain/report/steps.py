"""θ → generate → filter → train, round by round: a picture to step through, with this folder's numbers.

Every round and stage is in the page; the page's script shows one at a time. Without it all of them are listed.
"""

from __future__ import annotations

from collections.abc import Sequence

from synthgain.meanings import meaning
from synthgain.numbers import count, counted, interval, number, share
from synthgain.report.arm_tables import cell
from synthgain.report.chain_picture import arrow, step, symbol
from synthgain.report.markup import Safe, el, join, snippet
from synthgain.report.read import READ_FIRST, Json, RunPart, listed, mapping, reading, said_in
from synthgain.report.read_loop import LoopPart, RoundPart
from synthgain.report.tables import stacked
from synthgain.types import Reading

STAGES = ("who writes", "generate", "filter", "train")
MOST_CHECKS = 12  # shown with an example
LEDGER = (  # of a round, in the order in which it is read
    "kept_share",
    "curation_nats",
    "curation_nats_total",
    "curation_nats_lost",
    "repeated",
    "delta_I",
    "delta_I_sample",
    "tokens_out",
    "distinct_2",
    "cut_off",
)
BY_STAGE = {
    1: ("delta_I", "delta_I_sample", "tokens_out", "cut_off"),
    2: ("kept_share", "curation_nats", "curation_nats_total", "curation_nats_lost", "repeated", "distinct_2"),
}


def steps(loop: LoopPart) -> Safe | None:
    """The picture; None where no round has a run."""
    turns = [r for r in loop.rounds if r.run is not None]
    if not turns:
        return None
    jumps = [
        el("button", f"Round {r.number}", type="button", data_jump=str(i), aria_pressed="false")
        for i, r in enumerate(turns)
    ]
    bar = el(
        "div",
        el("button", "‹ back", type="button", data_go="-1"),
        el("button", "next ›", type="button", data_go="1"),
        jumps,
        el("span", class_="steps-at", aria_live="polite"),
        class_="filters steps-bar",
        hidden=True,
    )
    said = "θ, generate, filter, train: step with the buttons, or with the arrow keys when this figure has the focus"
    return el("figure", bar, [_turn(loop, r) for r in turns], class_="steps", tabindex="0", aria_label=said)


def _turn(loop: LoopPart, r: RoundPart) -> Safe:
    run = r.run
    assert run is not None  # `steps` leaves others out
    arm = _writing_arm(r)
    accuracy = _readings(arm).get("accuracy")
    kept_share = run.kept / run.rows if run.rows else None
    writes = "its student writes" if r.told.get("written_by") else "writes"
    picture = el(
        "ol",
        step("anchors", symbol("θ", str(r.number)), _writer(r, run), writes, "", data_stage="0"),
        arrow("generate", "", _tokens(run), 1.0, data_stage="1"),
        step("plain", symbol("M(p)", ""), count(run.rows), "candidates", "", data_stage="1"),
        arrow("filter", "", f"{share(run.kept, run.rows)} pass" if run.rows else "", kept_share, data_stage="2"),
        step("kept", symbol("S", "gen"), count(run.kept), "rows kept", "", data_stage="2"),
        arrow("train", "", _steps_of(r, arm), 0.5 if arm else None, data_stage="3"),
        step("student", symbol("θ", str(r.number + 1)), *_said(accuracy), data_stage="3"),
        class_="chain",
    )
    told = (_told_writer(r, run), _told_generate(r, run), _told_filter(r, run), _told_train(loop, r))
    parts = [
        el("div", el("h4", f"{n + 1}. {STAGES[n]}"), body, class_="told", data_stage=str(n))
        for n, body in enumerate(told)
    ]
    return el("article", el("h3", f"Round {r.number}"), picture, parts, class_="turn", data_turn=str(r.number))


# ---------------------------------------------------------------------------------------------- the four stages


def _told_writer(r: RoundPart, run: RunPart) -> Safe:
    models = [f"{role}: {uri}" for role, uri in mapping(run.record.get("models")).items()]
    by = str(r.told.get("written_by") or "")
    who = (
        f"The student {by} writes."
        if by
        else "The first writer writes: nothing was trained yet, or no student was better."
    )
    return join(
        el("p", who if "written_by" in r.told else "loop.json does not say who wrote this round."), _list(models)
    )


def _told_generate(r: RoundPart, run: RunPart) -> Safe:
    counts = mapping(run.record.get("counts"))
    facts = [
        f"{counted(run.rows, 'candidate row')} from {counted(run.anchor_count, 'anchor')}",
        f"{count(counts.get('calls_bought'))} calls bought, {count(counts.get('calls_reused'))} reused",
    ]
    return join(_list(facts), _ledger(r, 1))


def _told_filter(r: RoundPart, run: RunPart) -> Safe:
    dropped: dict[str, int] = {}
    for (check, _), n in run.reasons.items():
        if check:
            dropped[check] = dropped.get(check, 0) + n
    order = sorted(dropped, key=lambda check: -dropped[check])
    rows = [(el("code", check), [count(dropped[check]), _example(run, check)]) for check in order[:MOST_CHECKS]]
    more = el("p", f"and {len(order) - MOST_CHECKS} more checks", class_="cut") if len(order) > MOST_CHECKS else None
    heads = ("dropped by", "rows", "one of them, drawn by its id")
    table = stacked(heads, rows, words=heads[2:]) if rows else el("p", "No check dropped a row.")
    return join(table, more, _ledger(r, 2))


def _example(run: RunPart, check: str) -> Safe:
    """One row that the check dropped: why, what was asked, what was answered."""
    for reason, rows in run.samples.items():
        if reason[0] == check and reason != READ_FIRST and rows:
            turns = [mapping(m) for m in listed(rows[0].get("messages"))]
            said = [(str(m.get("role") or "?"), said_in(m)) for m in turns] or [
                ("text", str(rows[0].get("text") or ""))
            ]
            ends = said if len(said) <= 2 else [said[0], said[-1]]
            why = el("b", snippet(reason[1], 120)) if reason[1] else None
            return el(
                "div",
                why,
                [el("p", f"{role}: {snippet(text, 220)}", dir="auto") for role, text in ends],
                class_="example",
            )
    return el("span", "none in the sample", class_="none")


def _told_train(loop: LoopPart, r: RoundPart) -> Safe:
    names = ("accuracy", *sorted({n for arm in r.arms for n in _readings(arm) if n.startswith("pass_at_")}, key=_k))
    rows = [
        (str(arm["name"]), [count(arm.get("rows")), *(cell(_readings(arm).get(n)) for n in names)]) for arm in r.arms
    ]
    table = stacked(("arm", "rows learnt", *names), rows) if rows else el("p", "No arm was examined.", class_="absent")
    said = look_said(loop, r.number)
    return join(table, _less_base(r), el("p", said) if said else None)


def _less_base(r: RoundPart) -> Safe | None:
    """By how much the round's student differs from the base, question by question: in accuracy, and in pass@k where there are several draws."""
    found = [(d, reading(d)) for d in r.differences if d.get("b") == "base"]
    told = [(str(d.get("a") or "?"), one) for d, one in found if one is not None and _is_of_answers(one.name)]
    if not told:
        return None
    rows = [(f"{a} less base", [one.name.removesuffix(" difference"), cell(one, signed=True)]) for a, one in told]
    return stacked(("paired difference", "of", "value and interval"), rows, words=("of",))


def _is_of_answers(name: str) -> bool:
    return name.removesuffix(" difference") == "accuracy" or name.startswith("pass_at_")


def _k(name: str) -> int:
    digits = name.rpartition("_")[2]
    return int(digits) if digits.isdigit() else 0


def look_said(loop: LoopPart, n: int) -> str:
    """What the deciding questions said of a round's student; "" where nothing was decided."""
    look = loop.looks.get(n)
    gain = reading(look.get("gain")) if look else None
    if look is None or gain is None:
        return ""
    said = "no figure" if gain.value is None else interval(gain.value, gain.low, gain.high, signed=True)
    so = "it is the best so far" if look.get("better") else "no gain is told from chance, and the best stays"
    less = snippet(str(look.get("less") or "?"), 80)
    return f"On the {count(gain.n)} deciding questions its accuracy less that of {less} is {said}: {so}."


# ---------------------------------------------------------------------------------------------- the ledger


def ledger_table(loop: LoopPart) -> Safe | None:
    """What each round brought, figure by figure; None where loop.json has no ledger."""
    there = [r for r in loop.rounds if r.ledger]
    if not there:
        return None
    names = [*LEDGER, *sorted({n for r in there for n in r.ledger if n.startswith("curation_nats/")})]
    rows = [(_named(name, there), [cell(r.ledger.get(name)) for r in there]) for name in names]
    return join(
        el("h3", "The ledger: what each round brought"),
        stacked(("figure", *(f"round {r.number}" for r in there)), rows),
    )


def _named(name: str, rounds: Sequence[RoundPart]) -> Safe:
    """A figure's name with its unit, its meaning, and why it is nowhere measured where it is not."""
    found = [r.ledger[name] for r in rounds if name in r.ledger]
    unit = next((f", {x.unit}" for x in found if x.unit), "")
    why = next((x.note for x in found if x.value is None and x.note), "")
    small = f"{meaning(name) or ''}{f' Not measured: {snippet(why, 200)}.' if why else ''}"
    return join(el("code", name), unit, el("span", small, class_="means-small"))


def _ledger(r: RoundPart, stage: int) -> Safe:
    found = r.ledger
    if not found:
        return el("p", "loop.json has no ledger of this round.", class_="absent")
    return el(
        "dl",
        [
            el(
                "div",
                el("dt", name),
                el("dd", cell(x), f" {x.unit}" if x.unit and x.value is not None else ""),
                title=meaning(name),
            )
            for name in BY_STAGE[stage]
            if (x := found.get(name)) is not None
        ],
        class_="facts-grid",
    )


# ---------------------------------------------------------------------------------------------- words


def _writing_arm(r: RoundPart) -> Json | None:
    """The arm whose student goes on: `filtered`, or the first trained one."""
    trained = [arm for arm in r.arms if number(arm.get("rows"))]
    return next((arm for arm in trained if arm["name"] == "filtered"), trained[0] if trained else None)


def _readings(arm: Json | None) -> dict[str, Reading]:
    found = [reading(x) for x in listed((arm or {}).get("readings"))]
    return {x.name: x for x in found if x is not None}


def _writer(r: RoundPart, run: RunPart) -> str:
    by = str(r.told.get("written_by") or "")
    if by:
        return snippet(by.split("/")[0].replace("-", " "), 16)
    models = list(mapping(run.record.get("models")).values())
    return snippet(str(models[0]).rstrip("/").rsplit("/", 1)[-1], 16) if models else "–"


def _tokens(run: RunPart) -> str:
    written = number(mapping(run.record.get("tokens")).get("out"))
    return f"{count(written)} tokens" if written else ""


def _steps_of(r: RoundPart, arm: Json | None) -> str:
    n = number((arm or {}).get("steps")) or number(r.students.get("filtered", {}).get("steps"))
    return f"{count(n)} steps" if n else ""


def _said(accuracy: Reading | None) -> tuple[str, str, str]:
    if accuracy is None or accuracy.value is None:
        return ("–", "student", "not examined")
    value, _, rest = interval(accuracy.value, accuracy.low, accuracy.high).partition(" ")
    return (value, "student’s accuracy", rest)


def _list(facts: Sequence[str]) -> Safe:
    return el("ul", [el("li", snippet(fact, 300)) for fact in facts])

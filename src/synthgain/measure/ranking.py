"""What a comparison of sets says in words: by which figure they are ranked, and what each pair differs in.

answers, and a rule looked at them    right_share, the share that was right (whatever a reader that counts words makes of their wording)
answers                               proxy_gain_answer, paired by held-out answer
texts                                 mdm, which ranked foreign sets best (studies/value_truth.md); beside it proxy_gain, paired by held-out text
texts, and no vectors                 proxy_gain
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

from synthgain.meanings import record_of
from synthgain.measure.compare import APART, GAINS, RATIOS, SIZE, TOLD, Difference, Side, adds, apart, other_anchors
from synthgain.measure.copying import ROWS
from synthgain.measure.spread import MOST
from synthgain.measure.vendi import POOL
from synthgain.numbers import interval

CLOSE = ("delta_I", "vendi", "copy_rate")  # of these it is said where they do not tell two sets apart
RIGHT, ANSWERS, VARIED, TEXTS = "right_share", "proxy_gain_answer", "mdm", "proxy_gain"
READ = {VARIED: MOST, "vendi": POOL, "copy_rate": ROWS}  # rows that a figure is of at most
FAR = 10_000  # times what there is: no reasonable amount
AHEAD = {  # what it means to be ahead by a figure that is no gain, and what it does not
    RIGHT: (
        "More answers of {first} than of {second} were found right",
        "That is what the writers know, each of its own questions: whether a student gains has to be tried.",
    ),
    VARIED: ("{first} is more varied than {second}", "It looks at no real row."),
}
NO_FORECAST = (
    "A figure per row, word or dollar is a ratio of what was measured, not a forecast: gains flatten as sets grow."
)


def headline(sides: Sequence[Side]) -> str:
    """The figure that ranks these sets; those without rows have none."""
    sides = [side for side in sides if side.rows] or sides
    told = [{r.name for r in side.readings if r.value is not None} for side in sides]
    if all(side.answers for side in sides):
        return RIGHT if any(side.verified for side in sides) else ANSWERS
    return VARIED if all(VARIED in mine for mine in told) else TEXTS


def sentences(sides: Sequence[Side], found: Sequence[Difference]) -> list[str]:
    """What the comparison says of all sets: their order, each pair by the figure that fits these two, and what holds for several of them once. Sets
    without rows are in no pair."""
    empty, sides = [side for side in sides if not side.rows], [side for side in sides if side.rows]
    found = [d for d in found if not {d.a, d.b} & {side.name for side in empty}]
    pairs = [(a, b, [d for d in found if (d.a, d.b) == (a.name, b.name)]) for a, b in combinations(sides, 2)]
    heads = [headline((a, b)) for a, b, _ in pairs]
    apart: dict[str, list[tuple[Side, Side]]] = {}
    for (a, b, mine), head in zip(pairs, heads):
        by = (
            TEXTS if head == VARIED else head
        )  # how varied a set is needs no held-out text, what is said beside it does
        if _strangers(a, b, mine, by):
            apart.setdefault(by, []).append((a, b))
    common = headline(sides)
    ranked = len(sides) > 2 and not any(_strangers(*pair, common) for pair in pairs)
    said = [ranking(sides, found)] if ranked else []
    for by in apart:
        said += _not_ranked(apart[by], by) if by in heads else []
    for (a, b, mine), head in zip(pairs, heads):
        said += _of_pair(a, b, mine, head, not _strangers(a, b, mine, head))
    for by in apart:
        said += _not_ranked(apart[by], by) if by not in heads else []
    ratios = [d for d in found if d.per not in ("set", SIZE)]
    if any(d.value is not None for d in ratios):
        said.append(NO_FORECAST)
    elif few := next((d.note for d in ratios if "too few" in d.note), ""):
        said.append(f"No figures per row, word or dollar: {few}.")
    return said + _small(sides, empty)


def _small(sides: Sequence[Side], empty: Sequence[Side]) -> list[str]:
    """What is said of sets of one row, and of none."""
    said = []
    if alone := [side.name for side in sides if side.rows == 1]:
        of = "It is" if len(alone) == 1 else "Each is"
        said.append(f"{_have(alone)} one row only. {of} compared as that row, which says nothing of what made it.")
    if none := [side.name for side in empty]:
        why = "`synthgain show RUN --fallen` says what fell, and why"
        said.append(f"{_have(none)} no rows, so there is nothing to compare: {why}.")
    return said


def _have(names: Sequence[str]) -> str:
    listed = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    return f"{listed} {'has' if len(names) == 1 else 'have'}"


def _strangers(a: Side, b: Side, found: Sequence[Difference], head: str) -> bool:
    """Whether a figure of the two is of other questions, or was held out against other text, and so ranks neither."""
    if head == RIGHT:
        return other_anchors(a, b)
    return head != VARIED and any(d.note == APART for d in found)


def ranking(sides: Sequence[Side], found: Sequence[Difference] = ()) -> str:
    """The order of the sets by the headline, highest first, and what it is."""
    head = headline(sides)
    known = [(side, r) for side in sides if (r := side.reading(head)) is not None and r.value is not None]
    known.sort(key=lambda pair: -(pair[1].value or 0.0))
    told = [f"{side.name} {interval(r.value or 0.0, r.low, r.high)}" for side, r in known]
    missing = [side.name for side in sides if side.name not in {one.name for one, _ in known}]
    gone = f"; not measured: {', '.join(missing)}" if missing else ""
    drawn = head == VARIED and any((d.name, d.per) == (VARIED, SIZE) for d in found)
    size = (
        " Of fewer texts it is a little smaller: sets of unlike size are compared at equal size below." if drawn else ""
    )
    return f"Ranked by {head}{_record(head)}, highest first: {', '.join(told) or 'none'}{gone}.{size}"


def _record(name: str) -> str:
    """What the figure has shown elsewhere, in brackets; "" where it was not tried."""
    said = record_of(name)
    return f" ({said})" if said else ""


def _not_ranked(strangers: Sequence[tuple[Side, Side]], head: str) -> list[str]:
    names = list(dict.fromkeys(side.name for pair in strangers for side in pair))
    said = "were asked other questions" if head == RIGHT else "were held out against other real text"
    after = (
        "Make all of them from the same anchors, with the same --limit, to rank them."
        if head == RIGHT
        else "Give all of them the same text with --target to rank them."
    )
    by = f" by {head}" if head != TEXTS else ""
    return [
        f"Not ranked{by}: {', '.join(names[:-1])} and {names[-1]} {said}, and that alone makes a difference. {after}"
    ]


def _of_pair(a: Side, b: Side, found: Sequence[Difference], head: str, ranked: bool) -> list[str]:
    """What is said of two sets, and how much more text would tell them apart where it cannot."""
    heads = [d for d in found if d.name == head] if ranked else []
    said = [_sentence(a, b, d) for d in heads if d.value is not None]
    if ranked and not said and not any(d.note == APART for d in heads):
        why = heads[0].note if heads else "it was not measured"
        said.append(f"{a.name} and {b.name} cannot be compared by {head}: {why}.")
    if head == VARIED:
        said += [_sentence(a, b, d) for d in found if d.name == TEXTS and d.value is not None]
    other = [d for d in found if d.per == "set" and d.name not in (*GAINS, head) and d.verdict.endswith("is higher")]
    close = [d for d in found if d.per == "set" and d.name in CLOSE and d.verdict == TOLD]
    if other:
        parts = ", ".join(f"{d.name} {interval(d.value or 0.0, d.low, d.high, signed=True)}" for d in other)
        said.append(f"They also differ ({a.name} − {b.name}): {parts}.")
    if close:
        said.append(" ".join(f"{d.name} does not tell {a.name} and {b.name} apart.{_needed(a, b, d)}" for d in close))
    return said


def _sentence(a: Side, b: Side, d: Difference) -> str:
    scale, per = (1.0, "") if d.per == "set" else (1.0, "at equal size") if d.per == SIZE else RATIOS[d.per][:2]
    value, low, high = (None if v is None else v * scale for v in (d.value, d.low, d.high))
    per, unit = (f" {per}" if per else ""), f" {d.unit.partition(' per ')[0]}" if d.name in GAINS else ""
    assert value is not None
    if low is None or high is None:
        return f"{d.name}{per}: {a.name} − {b.name} is {interval(value, None, None, signed=True)}, without an interval ({d.note})."
    if d.verdict == TOLD:
        by = interval(value, low, high, signed=True)
        return f"{a.name} and {b.name} cannot be told apart{per}: {d.name} differs by {by}{unit}.{_needed(a, b, d)}"
    first, second = (a, b) if low > 0 else (b, a)
    by = interval(abs(value), *sorted((abs(low), abs(high))))
    but = _but(first, second, d.name) if not per else ""
    if not adds(d.name, a, b):
        what, caveat = AHEAD.get(d.name, ("{first} is ahead of {second}", ""))
        ahead = what.format(first=first.name, second=second.name)
        return f"{ahead}{per}: {d.name} higher by {by}{unit}{_record(d.name)}. {caveat}".rstrip() + but
    best = first.reading(d.name)
    loss = " Neither is above zero: by this figure neither helps." if best and (best.value or 0) < 0 and not per else ""
    return f"{first.name} adds more than {second.name}{per}: {d.name} higher by {by}{unit}.{loss}{but}"


def _but(first: Side, second: Side, name: str) -> str:
    """What speaks against the set that is ahead: rows whose names and numbers are not those of their sources."""
    mine, theirs = (side.reading("grounded") for side in (first, second))
    if name not in (*GAINS, VARIED) or mine is None or theirs is None or mine.value is None or theirs.value is None:
        return ""
    _, _, high = apart(mine, theirs)
    if high is None or high >= 0:
        return ""
    kept = [interval(r.value or 0.0, r.low, r.high) for r in (mine, theirs)]
    looks = "nonsense is varied, too" if name == VARIED else "more nonsense can look like more gain"
    return f" But fewer of its rows' names and numbers stand in their sources ({kept[0]} against {kept[1]}): {looks}."


def _needed(a: Side, b: Side, d: Difference) -> str:
    """How much more held-out text, or how many rows, a difference of this size would need: the half-width falls with the square root of their number.
    "" where more than are ever read (`READ`)."""
    n = d.paired or min((r.n for r in (a.reading(d.name), b.reading(d.name)) if r is not None), default=0)
    half = ((d.high or 0) - (d.low or 0)) / 2
    if not d.value or not n or half <= 0:
        return ""
    factor = (half / abs(d.value)) ** 2
    if d.paired or d.name in GAINS:
        if factor > FAR:
            return " If there is a difference, no reasonable amount of held-out text would show it."
        more = max(1, math.ceil(n * factor) - n)
        return (
            f" If the difference is real, about {more:,} more held-out documents would show it (there are {n:,}); more rows do not "
            "narrow this interval."
        )
    held = (min if d.per == SIZE else max)(a.rows, b.rows)
    rows, most = math.ceil(held * factor), READ.get(d.name, math.inf)
    if held >= most or rows > most:
        return ""
    if factor > FAR:
        return " If there is a difference, no reasonable number of rows would show it."
    return f" If the difference is real, sets of about {rows:,} rows would show it."

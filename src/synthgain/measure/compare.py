"""Which of two sets adds more: differences of readings with their intervals, paired where the same held-out text was read.

The interval of a difference of two readings that were measured apart is Newcombe's "square and add"
(Statistics in Medicine 17, 1998; Zou and Donner, 27, 2008): it needs only the two intervals. Held-out gains of two sets against the
same real text are paired document by document and resampled together; against other text they are not compared, as texts differ
more than sets do. Ratios (per row, word, dollar) are given where both sets hold what the ratio is written for (`RATIOS`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np

from synthgain.measure.resample import ratio_interval
from synthgain.numbers import interval
from synthgain.types import Reading

GAINS = (
    "proxy_gain",
    "proxy_gain_1",
    "target_fit",
    "target_fit_1",
    "proxy_gain_answer",
    "target_fit_answer",
)  # higher adds more; of others only "higher" is said
SIZED = ("vendi", "distinct_2")  # their size is a part of what they are: `estimator` names it
RATIOS = {  # what a ratio is written for, how a user reads it, and how much of it both sets must hold: no unit beyond what was measured
    "row": (100.0, "per 100 rows", 200.0, "rows"),
    "token": (10_000.0, "per 10,000 words", 10_000.0, "words"),
    "dollar": (0.1, "per 10 cents", 0.1, "dollars"),
}
SIZE = "size"  # what a difference at equal size is per
GROWING = {"dup_rate": 10_000, "dup_rate_exact": None}  # they grow with the rows that are read, at most so many
CLOSE = ("delta_I", "vendi", "copy_rate")  # of these it is said where they do not tell two sets apart
ALIKE = 0.1  # by which two sizes may differ
HEADLINES = ("proxy_gain_answer", "proxy_gain")  # by which sets are ranked: the first that all of them have
TOLD = "cannot be told apart"
APART = "held out against other real text, so not ranked"
NO_FORECAST = (
    "A figure per row, word or dollar is a ratio of what was measured, not a forecast: gains flatten as sets grow."
)


@dataclass(frozen=True)
class PerDocument:
    """A gain, held-out document by document: sums of nats, tokens, and a number for each document's content."""

    documents: np.ndarray
    nats: np.ndarray
    tokens: np.ndarray


@dataclass(frozen=True)
class Side:
    """One of the sets that are compared. `tokens` are those a student would read; `cost_usd` None: no price known."""

    name: str
    rows: int
    tokens: int
    cost_usd: float | None
    readings: Sequence[Reading]
    gains: Mapping[str, PerDocument] = field(default_factory=dict)

    def reading(self, name: str) -> Reading | None:
        return next((r for r in self.readings if r.name == name), None)

    def size(self, per: str) -> float | None:
        """By what a figure per row, token or dollar is divided."""
        found = {"row": self.rows, "token": self.tokens, "dollar": self.cost_usd}[per]
        return float(found) if found else None


@dataclass(frozen=True)
class Difference:
    """a − b of one reading, for the whole sets or per row, token or dollar of each. `paired` says on how many documents."""

    name: str
    a: str
    b: str
    per: str
    value: float | None
    low: float | None
    high: float | None
    verdict: str
    unit: str = ""
    paired: int = 0
    note: str = ""
    level: float = 0.95

    def json(self) -> dict[str, Any]:
        """As `compare --json` has it, with unit, paired and note beside."""
        names = ("name", "a", "b", "per", "value", "low", "high", "level", "verdict", "unit", "paired", "note")
        return {name: getattr(self, name) for name in names}


def differences(a: Side, b: Side, seed: int = 0) -> list[Difference]:
    """Every reading that both have, for the sets; the gains also per row, per token and per dollar."""
    found = []
    for mine in a.readings:
        theirs = b.reading(mine.name)
        if theirs is not None:
            found.append(_difference(mine, theirs, a, b, "set", seed))
            if mine.name in GAINS:
                found += [_difference(mine, theirs, a, b, per, seed) for per in ("row", "token", "dollar")]
    return found


def at_equal_size(
    a: Side, b: Side, gains: Mapping[str, PerDocument], seed: int = 0, draws: int = 0
) -> list[Difference]:
    """The gains of two sets of unequal size at the smaller one's: `gains` are those of the larger there (`equal_size.gains_at`)."""
    rows = min(a.rows, b.rows)
    sides = [replace(side, gains=gains) if side.rows > rows else side for side in (a, b)]
    found = []
    for name in GAINS:
        mine, theirs = a.reading(name), b.reading(name)
        if mine is None or theirs is None or None in (mine.value, theirs.value):
            continue
        blank = Difference(name, a.name, b.name, SIZE, None, None, None, "not measured", mine.unit)
        paired = _paired(name, sides[0], sides[1], (1.0, 1.0), seed)
        if paired is None:
            found.append(_noted(blank, APART))
            continue
        (value, low, high), n = paired
        note = f"at {rows:,} rows each, the larger set drawn {draws} times; paired by held-out document"
        verdict = _verdict(name, low, high)
        found.append(replace(blank, value=value, low=low, high=high, verdict=verdict, paired=n, note=note))
    return found


def _difference(mine: Reading, theirs: Reading, a: Side, b: Side, per: str, seed: int) -> Difference:
    unit = mine.unit if per == "set" else f"{mine.unit} per {per}"
    sizes = (1.0, 1.0) if per == "set" else (a.size(per), b.size(per))
    missing = [side for side, size in zip((a, b), sizes) if size is None]
    blank = Difference(mine.name, a.name, b.name, per, None, None, None, "not measured", unit)
    if per != "set" and not missing and (few := _too_few(a, b, per)):
        return _noted(blank, few)
    if missing:
        what = {"row": "rows", "token": "token counts", "dollar": "price"}[per]
        free = [side.name for side in missing if per == "dollar" and side.cost_usd == 0]
        unknown = [side.name for side in missing if side.name not in free]
        said = [f"no {what} of {', '.join(unknown)}"] if unknown else []
        said += [f"{', '.join(free)} cost nothing"] if free else []
        return _noted(blank, "; ".join(said))
    for side, reading in ((a, mine), (b, theirs)):
        if reading.value is None:
            return _noted(blank, f"{side.name}: {reading.note}")
    why = _incomparable(mine, theirs, a, b, per)
    if why:
        return _noted(blank, why)
    by = (float(sizes[0] or 1), float(sizes[1] or 1))
    if mine.name in GAINS:
        paired = _paired(mine.name, a, b, by, seed)
        if paired is None:
            return _noted(blank, APART)
        (value, low, high), n = paired
        found = replace(blank, value=value, low=low, high=high, verdict=_verdict(mine.name, low, high))
        return replace(found, paired=n, note="paired by held-out document")
    value, low, high = apart(mine, theirs, by)
    note = "" if low is not None else "one of the readings has no interval"
    return replace(blank, value=value, low=low, high=high, verdict=_verdict(mine.name, low, high), note=note)


def _too_few(a: Side, b: Side, per: str) -> str:
    """Why neither set, or one, is too small for a ratio; "" where both bear one."""
    _, _, least, what = RATIOS[per]
    rows = RATIOS["row"][2]
    for side in (a, b):
        if side.rows < rows:
            return f"{side.name} has {side.rows:,} rows, too few for a ratio ({rows:,.0f} are needed)"
        if (held := side.size(per) or 0.0) < least:
            return f"{side.name} has {held:,.4g} {what}, too few for a ratio ({least:,g} are needed)"
    return ""


def _incomparable(mine: Reading, theirs: Reading, a: Side, b: Side, per: str) -> str:
    """Why a difference of the two would mislead; "" where it would not."""
    stem = mine.name.removesuffix("_anchors")
    if "test" in (mine.kind, theirs.kind):
        return "a test: its size depends on the number of prompts and on the bandwidth, and is not to be compared"
    if stem in SIZED and mine.estimator != theirs.estimator:
        return f"not at equal size ({a.name}: {mine.estimator}; {b.name}: {theirs.estimator})"
    if mine.name in GROWING:
        most = GROWING[mine.name]
        small, large = sorted(side.rows if most is None else min(side.rows, most) for side in (a, b))
        if large - small > ALIKE * large:
            return f"grows with the number of rows, which differs: {small:,} and {large:,}"
    if per != "set" and (mine.value or 0) < 0 and (theirs.value or 0) < 0:
        return f"neither adds anything (both below 0), and a loss per {per} is smaller for the larger set"
    return ""


def apart(
    mine: Reading, theirs: Reading, by: tuple[float, float] = (1.0, 1.0)
) -> tuple[float, float | None, float | None]:
    """(a − b, low, high) of two readings measured apart, each divided by its size."""
    a, b = (mine.value or 0.0) / by[0], (theirs.value or 0.0) / by[1]
    if None in (mine.low, mine.high, theirs.low, theirs.high):
        return a - b, None, None
    la, ua, lb, ub = mine.low / by[0], mine.high / by[0], theirs.low / by[1], theirs.high / by[1]  # type: ignore[operator]
    return a - b, a - b - math.hypot(a - la, ub - b), a - b + math.hypot(ua - a, b - lb)


def _paired(
    name: str, a: Side, b: Side, by: tuple[float, float], seed: int
) -> tuple[tuple[float, float | None, float | None], int] | None:
    """The difference over the documents that both were held out against, where these are all documents of both."""
    mine, theirs = a.gains.get(name), b.gains.get(name)
    if mine is None or theirs is None:
        return None
    _, at, other = np.intersect1d(mine.documents, theirs.documents, return_indices=True)
    same = len(at) >= 2 and np.array_equal(mine.tokens[at], theirs.tokens[other])
    if not same or len(at) < 0.9 * max(len(mine.documents), len(theirs.documents)):
        return None
    nats, tokens = mine.nats[at] / by[0] - theirs.nats[other] / by[1], mine.tokens[at]
    ratio = ratio_interval(nats, tokens, seed=seed)
    return (ratio.value, ratio.low, ratio.high), len(at)


def _verdict(name: str, low: float | None, high: float | None) -> str:
    """ "a adds more", "b adds more" of gains, "a is higher" of other readings, or that they cannot be told apart."""
    if low is None or high is None:
        return "no interval"
    more = "adds more" if name in GAINS else "is higher"
    return f"a {more}" if low > 0 else f"b {more}" if high < 0 else TOLD


def _noted(blank: Difference, why: str) -> Difference:
    return replace(blank, note=why)


# ---------------------------------------------------------------------------------------------- in words


def sentences(sides: Sequence[Side], found: Sequence[Difference]) -> list[str]:
    """What the comparison says of all sets: each pair, and what holds for several of them once."""
    pairs = [(a, b, [d for d in found if (d.a, d.b) == (a.name, b.name)]) for a, b in combinations(sides, 2)]
    strangers = [(a, b) for a, b, mine in pairs if any(d.note == APART for d in mine)]
    said = _not_ranked(strangers) if strangers else ranking(sides) if len(sides) > 2 else []
    for a, b, mine in pairs:
        said += _of_pair(a, b, mine)
    ratios = [d for d in found if d.per not in ("set", SIZE)]
    if any(d.value is not None for d in ratios):
        said.append(NO_FORECAST)
    elif few := next((d.note for d in ratios if "too few" in d.note), ""):
        said.append(f"No figures per row, word or dollar: {few}.")
    return said


def _not_ranked(strangers: Sequence[tuple[Side, Side]]) -> list[str]:
    names = list(dict.fromkeys(side.name for pair in strangers for side in pair))
    return [
        f"Not ranked: {', '.join(names[:-1])} and {names[-1]} were held out against other real text, and that alone makes a difference. "
        "Give all of them the same text with --target to rank them."
    ]


def _of_pair(a: Side, b: Side, found: Sequence[Difference]) -> list[str]:
    """What is said of two sets, and how much more text would tell them apart where it cannot."""
    head = headline((a, b))
    heads = [d for d in found if d.name == head]
    said = [_sentence(a, b, d) for d in heads if d.value is not None]
    if not said and not any(d.note == APART for d in heads):
        why = heads[0].note if heads else "it was not measured"
        said.append(f"{a.name} and {b.name} cannot be compared by {head}: {why}.")
    other = [d for d in found if d.per == "set" and d.name not in GAINS and d.verdict.endswith("is higher")]
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
    per, unit = (f" {per}" if per else ""), d.unit.partition(" per ")[0]
    assert value is not None
    if low is None or high is None:
        return f"{d.name}{per}: {a.name} − {b.name} is {interval(value, None, None, signed=True)}, without an interval ({d.note})."
    if d.verdict == TOLD:
        by = interval(value, low, high, signed=True)
        return f"{a.name} and {b.name} cannot be told apart{per}: {d.name} differs by {by} {unit}.{_needed(a, b, d)}"
    first, second = (a, b) if low > 0 else (b, a)
    size = sorted((abs(low), abs(high)))
    best = first.reading(d.name)
    loss = " Neither is above zero: by this figure neither helps." if best and (best.value or 0) < 0 and not per else ""
    return f"{first.name} adds more than {second.name}{per}: {d.name} higher by {interval(abs(value), *size)} {unit}.{loss}{_but(first, second) if not per else ''}"


def _but(first: Side, second: Side) -> str:
    """What speaks against the set that is ahead: rows whose names and numbers are not those of their sources."""
    mine, theirs = (side.reading("grounded") for side in (first, second))
    if mine is None or theirs is None or mine.value is None or theirs.value is None:
        return ""
    _, _, high = apart(mine, theirs)
    if high is None or high >= 0:
        return ""
    kept = [interval(r.value or 0.0, r.low, r.high) for r in (mine, theirs)]
    return f" But fewer of its rows' names and numbers stand in their sources ({kept[0]} against {kept[1]}): more nonsense can look like more gain."


def _needed(a: Side, b: Side, d: Difference) -> str:
    """How much more held-out text a difference of this size would need: the half-width falls with its square root."""
    n = d.paired or min((r.n for r in (a.reading(d.name), b.reading(d.name)) if r is not None), default=0)
    half = ((d.high or 0) - (d.low or 0)) / 2
    if not d.value or not n or half <= 0:
        return ""
    factor = (half / abs(d.value)) ** 2
    if factor > 10_000:
        return " If there is a difference, no reasonable amount of held-out text would show it."
    more = max(1, math.ceil(n * factor) - n)
    rows = math.ceil(max(a.rows, b.rows) * factor)
    if d.paired or d.name in GAINS:
        return (
            f" If the difference is real, about {more:,} more held-out documents would show it (there are {n:,}); more rows do not "
            "narrow this interval."
        )
    return f" If the difference is real, sets of about {rows:,} rows would show it."


def headline(sides: Sequence[Side]) -> str:
    """The figure that ranks these sets: of answers where all have one, else of whole texts."""
    told = [{r.name for r in side.readings if r.value is not None} for side in sides]
    return next((name for name in HEADLINES if all(name in mine for mine in told)), HEADLINES[-1])


def ranking(sides: Sequence[Side]) -> list[str]:
    """One line a set, by the headline. For sets that were held out against one text."""
    head = headline(sides)
    known = [(side, r) for side in sides if (r := side.reading(head)) is not None and r.value is not None]
    known.sort(key=lambda pair: -(pair[1].value or 0.0))
    lines = [f"{side.name}: {head} {interval(r.value or 0.0, r.low, r.high)}" for side, r in known]
    return lines + [f"{s.name}: {head} not measured" for s in sides if s.name not in {k.name for k, _ in known}]

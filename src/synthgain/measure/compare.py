"""How two sets differ: differences of readings with their intervals, paired where the same held-out text was read. What is said of them: `ranking.py`.

The interval of a difference of two readings that were measured apart is Newcombe's "square and add"
(Statistics in Medicine 17, 1998; Zou and Donner, 27, 2008): it needs only the two intervals. Held-out gains of two sets against the
same real text are paired document by document and resampled together; against other text they are not compared, as texts differ
more than sets do. Ratios (per row, word, dollar) are given where both sets hold what the ratio is written for (`RATIOS`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from synthgain.measure.resample import ratio_interval
from synthgain.types import Reading

GAINS = (
    "proxy_gain",
    "proxy_gain_1",
    "target_fit",
    "target_fit_1",
    "proxy_gain_answer",
    "target_fit_answer",
)  # paired by held-out document
SIZED = ("vendi", "distinct_2")  # their size is a part of what they are: `estimator` names it
RATIOS = {  # what a ratio is written for, how a user reads it, and how much of it both sets must hold: no unit beyond what was measured
    "row": (100.0, "per 100 rows", 200.0, "rows"),
    "token": (10_000.0, "per 10,000 words", 10_000.0, "words"),
    "dollar": (0.1, "per 10 cents", 0.1, "dollars"),
}
SIZE = "size"  # what a difference at equal size is per
GROWING = {
    "dup_rate": 10_000,
    "dup_rate_exact": None,
    "mdm": 1_000,
}  # they grow with the rows that are read, at most so many
ALIKE = 0.1  # by which two sizes may differ
TOLD = "cannot be told apart"
KNOWN = 4_096  # contents of anchors, by which it is known whether two runs were made from the same
SHARED = 0.8  # of the anchors of two runs, from which on these are the same
APART = "held out against other real text, so not ranked"


@dataclass(frozen=True)
class PerDocument:
    """A gain, held-out document by document: sums of nats, tokens, and a number for each document's content."""

    documents: np.ndarray
    nats: np.ndarray
    tokens: np.ndarray


@dataclass(frozen=True)
class Side:
    """One of the sets that are compared. `tokens` are those a student would read; `cost_usd` None: no price known. `anchors` are contents of what a run
    was made from (`first_contents`), empty where that is not known."""

    name: str
    rows: int
    tokens: int
    cost_usd: float | None
    readings: Sequence[Reading]
    gains: Mapping[str, PerDocument] = field(default_factory=dict)
    anchors: frozenset[int] = frozenset()

    def reading(self, name: str) -> Reading | None:
        return next((r for r in self.readings if r.name == name), None)

    @property
    def answers(self) -> bool:
        """Whether the value of its rows lies in answers: the gains of answers are looked for only there."""
        return self.reading("proxy_gain_answer") is not None

    @property
    def verified(self) -> bool:
        """Whether a rule looked at its answers."""
        right = self.reading("right_share")
        return right is not None and right.value is not None

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


def first_contents(batches: Iterable[Iterable[int]]) -> frozenset[int]:
    """The `KNOWN` smallest of the contents (`words.content`): they are hashes, so this is an even sample, drawn alike from whatever is the same."""
    known: set[int] = set()
    for some in batches:
        known = set(sorted(known.union(some))[:KNOWN])
    return frozenset(known)


def other_anchors(a: Side, b: Side) -> bool:
    """Whether two runs were made from other anchors. False where those of one are not known."""
    either = sorted(a.anchors | b.anchors)[:KNOWN]
    shared = a.anchors & b.anchors & set(either)
    return bool(a.anchors and b.anchors) and len(shared) < SHARED * len(either)


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
    a: Side,
    b: Side,
    gains: Mapping[str, PerDocument],
    seed: int = 0,
    draws: int = 0,
    varied: Reading | None = None,
) -> list[Difference]:
    """The gains of two sets of unequal size at the smaller one's: `gains` are those of the larger there (`equal_size.gains_at`), `varied` its
    `mdm` (`equal_size.varied_at`)."""
    rows = min(a.rows, b.rows)
    sides = [replace(side, gains=gains) if side.rows > rows else side for side in (a, b)]
    drawn = f"at {rows:,} rows each, the larger set drawn {draws} times"
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
        note = f"{drawn}; paired by held-out document"
        verdict = _verdict(name, low, high, a, b)
        found.append(replace(blank, value=value, low=low, high=high, verdict=verdict, paired=n, note=note))
    both = [varied if side.rows > rows else side.reading("mdm") for side in (a, b)]
    if both[0] is not None and both[1] is not None and both[0].value is not None and both[1].value is not None:
        value, low, high = apart(both[0], both[1])
        verdict, unit = _verdict("mdm", low, high, a, b), both[0].unit
        found.append(Difference("mdm", a.name, b.name, SIZE, value, low, high, verdict, unit, note=drawn))
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
        found = replace(blank, value=value, low=low, high=high, verdict=_verdict(mine.name, low, high, a, b))
        return replace(found, paired=n, note="paired by held-out document")
    value, low, high = apart(mine, theirs, by)
    note = "" if low is not None else "one of the readings has no interval"
    return replace(blank, value=value, low=low, high=high, verdict=_verdict(mine.name, low, high, a, b), note=note)


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
        small, large = sorted(texts_read(mine.name, side) for side in (a, b))
        if large - small > ALIKE * large:
            return f"grows with the number of rows, which differs: {small:,} and {large:,}"
    if per != "set" and (mine.value or 0) < 0 and (theirs.value or 0) < 0:
        return f"neither adds anything (both below 0), and a loss per {per} is smaller for the larger set"
    return ""


def texts_read(name: str, side: Side) -> int:
    """Of how many of its rows a figure of `GROWING` is."""
    most = GROWING[name]
    return side.rows if most is None else min(side.rows, most)


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


def adds(name: str, a: Side, b: Side) -> bool:
    """Whether more of a figure is more added: a gain of texts where the value lies in texts, one of answers where it lies in answers and no
    rule looked at these (a reader that counts words sees how they are worded, not whether they are right)."""
    if name not in GAINS:
        return False
    of_answers = name.endswith("_answer")
    if a.answers and b.answers:
        return of_answers and not (a.verified or b.verified)
    return not of_answers


def _verdict(name: str, low: float | None, high: float | None, a: Side, b: Side) -> str:
    """ "a adds more", "b adds more" of gains that fit the task, "a is higher" of other readings, or that they cannot be told apart."""
    if low is None or high is None:
        return "no interval"
    more = "adds more" if adds(name, a, b) else "is higher"
    return f"a {more}" if low > 0 else f"b {more}" if high < 0 else TOLD


def _noted(blank: Difference, why: str) -> Difference:
    return replace(blank, note=why)

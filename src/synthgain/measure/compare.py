"""Which of two sets adds more: differences of readings with their intervals, paired where the same held-out text was read.

The interval of a difference of two readings that were measured apart is Newcombe's "square and add"
(Statistics in Medicine 17, 1998; Zou and Donner, 27, 2008): it needs only the two intervals. Held-out gains of two sets against the
same real text are paired document by document and resampled together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
)  # higher adds more; of others only "higher" is said
SIZED = ("vendi", "distinct_2")  # their size is a part of what they are: `estimator` names it
GROWING = {"dup_rate": 10_000, "dup_rate_exact": None}  # they grow with the rows that are read, at most so many
ALIKE = 0.1  # by which two sizes may differ
HEADLINE = "proxy_gain"
TOLD = "cannot be told apart"


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
        """As CONTRACT writes it, with unit, paired and note beside."""
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


def _difference(mine: Reading, theirs: Reading, a: Side, b: Side, per: str, seed: int) -> Difference:
    unit = mine.unit if per == "set" else f"{mine.unit} per {per}"
    sizes = (1.0, 1.0) if per == "set" else (a.size(per), b.size(per))
    missing = [side for side, size in zip((a, b), sizes) if size is None]
    blank = Difference(mine.name, a.name, b.name, per, None, None, None, "not measured", unit)
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
    paired = _paired(mine.name, a, b, by, seed)
    if paired is not None:
        (value, low, high), n = paired
        return Difference(
            mine.name,
            a.name,
            b.name,
            per,
            value,
            low,
            high,
            _verdict(mine.name, low, high),
            unit,
            n,
            "paired by held-out document",
        )
    value, low, high = apart(mine, theirs, by)
    note = "" if low is not None else "one of the readings has no interval"
    if mine.name in GAINS:
        note = "; ".join(filter(None, (note, "measured apart, not on the same held-out text")))
    return Difference(mine.name, a.name, b.name, per, value, low, high, _verdict(mine.name, low, high), unit, 0, note)


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


def sentences(a: Side, b: Side, found: Sequence[Difference]) -> list[str]:
    """What the comparison says of two sets, and how much more text would tell them apart where it cannot."""
    said = []
    for per in ("set", "row", "token", "dollar"):
        d = next((d for d in found if d.name == HEADLINE and d.per == per), None)
        if d is not None and d.value is not None:
            said.append(_sentence(a, b, d))
    if not said:
        d = next((d for d in found if d.name == HEADLINE), None)
        said.append(
            f"{a.name} and {b.name} cannot be compared by {HEADLINE}: {d.note if d else 'it was not measured'}."
        )
    other = [d for d in found if d.per == "set" and d.name not in GAINS and d.verdict.endswith("is higher")]
    close = [d for d in found if d.per == "set" and d.name in ("delta_I", "vendi", "copy_rate") and d.verdict == TOLD]
    if other:
        parts = ", ".join(f"{d.name} {d.value:+.3g} [{d.low:.3g}, {d.high:.3g}]" for d in other)
        said.append(f"They also differ ({a.name} − {b.name}): {parts}.")
    said += [f"{d.name} does not tell them apart.{_needed(a, b, d)}" for d in close]
    return said


SCALES = {
    "set": (1, ""),
    "row": (1_000, " per 1,000 rows"),
    "token": (1_000_000, " per million tokens"),
    "dollar": (1, " per dollar"),
}


def _sentence(a: Side, b: Side, d: Difference) -> str:
    scale, per = SCALES[d.per]
    d = replace(
        d,
        value=_times(d.value, scale),
        low=_times(d.low, scale),
        high=_times(d.high, scale),
        unit=d.unit.partition(" per ")[0],
    )
    if d.low is None or d.high is None:
        return f"{d.name}{per}: {a.name} − {b.name} is {d.value:+.4g}, without an interval ({d.note})."
    span = f"[{d.low:.3g}, {d.high:.3g}]"
    if d.verdict == TOLD:
        return f"{a.name} and {b.name} cannot be told apart{per}: {d.name} differs by {d.value:+.3g} {span} {d.unit}.{_needed(a, b, d)}"
    first, second = (a, b) if d.low > 0 else (b, a)
    size = sorted((abs(d.low), abs(d.high)))
    best = first.reading(d.name)
    loss = " Neither is above zero: both take away." if best is not None and (best.value or 0) < 0 else ""
    other = "" if d.paired else " They were measured on different held-out text, and that alone may make a difference."
    return f"{first.name} adds more than {second.name}{per}: {d.name} higher by {abs(d.value or 0):.3g} [{size[0]:.3g}, {size[1]:.3g}] {d.unit}.{loss}{other}"


def _times(value: float | None, scale: float) -> float | None:
    return None if value is None else value * scale


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


def ranking(sides: Sequence[Side]) -> list[str]:
    """One line a set, by the headline, and whether the first is told from the second."""
    known = [(side, r) for side in sides if (r := side.reading(HEADLINE)) is not None and r.value is not None]
    known.sort(key=lambda pair: -(pair[1].value or 0.0))
    lines = [
        f"{side.name}: {HEADLINE} {r.value:.4g}" + ("" if r.low is None else f" [{r.low:.3g}, {r.high:.3g}]")
        for side, r in known
    ]
    return lines + [f"{s.name}: {HEADLINE} not measured" for s in sides if s.name not in {k.name for k, _ in known}]

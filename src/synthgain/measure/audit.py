"""What is counted of a data set that somebody else made, and what it comes to: pure functions and counters in bounded memory."""

from __future__ import annotations

import heapq
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

SAMPLES = 5  # rows that are shown of each fault
SHOWN = 400  # characters of each
DISTINCT = 20  # values at most that a column of labels has
FEW_ROWS = 20  # rows below which no share is called large
REASONS = 12  # that are told of a fault, the most frequent

Sample = tuple[str, dict[str, Any]]


@dataclass
class Fault:
    """Rows with one fault: how many, by reason, and a draw of them that stays the same (the smallest ids)."""

    rows: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)

    def add(self, id: str, reason: str, sample: Mapping[str, Any]) -> None:
        self.rows += 1
        if reason in self.reasons or len(self.reasons) < 1_000:
            self.reasons[reason] += 1
        if len(self.samples) < SAMPLES or id < self.samples[-1][0]:
            self.samples = heapq.nsmallest(SAMPLES, [*self.samples, (id, dict(sample))], key=lambda s: s[0])

    def json(self, rows: int) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "share": self.rows / rows if rows else 0.0,
            "reasons": dict(self.reasons.most_common(REASONS)),
            "samples": [sample for _, sample in self.samples],
        }


class Lengths:
    """Lengths of all rows by name, 4 bytes each."""

    def __init__(self) -> None:
        self._held: dict[str, array[int]] = {}

    def add(self, name: str, values: Iterable[int]) -> None:
        self._held.setdefault(name, array("I")).extend(values)

    def json(self) -> dict[str, dict[str, float]]:
        told = {}
        for name, values in self._held.items():
            numbers = np.frombuffer(values, np.uint32) if len(values) else np.zeros(1, np.uint32)
            middle, high = np.percentile(numbers, (50, 95))
            told[name] = {
                "total": int(numbers.sum()),
                "mean": float(numbers.mean()),
                "median": float(middle),
                "p95": float(high),
                "max": int(numbers.max()),
            }
        return told


class Labels:
    """Columns that have few different values: classes, sources, scores. What has more is let go as soon as that is seen."""

    def __init__(self) -> None:
        self._held: dict[str, Counter[str] | None] = {}

    def add(self, fields: Mapping[str, Any]) -> None:
        for name, value in fields.items():
            if name == "source_row" or isinstance(value, float | list | dict):
                continue
            counts = self._held.setdefault(name, Counter()) if len(self._held) < 100 else self._held.get(name)
            if counts is None:
                continue
            counts[str(value)[:80]] += 1
            if len(counts) > DISTINCT:
                self._held[name] = None

    def json(self, rows: int) -> dict[str, dict[str, Any]]:
        """By column: its values with their counts, the largest first; columns of one value in every row say nothing and are left out."""
        told = {}
        for name, counts in sorted(self._held.items()):
            known = sum(counts.values()) if counts else 0
            if counts and known >= 2 and not (len(counts) == 1 and known == rows) and len(counts) <= max(2, known // 2):
                told[name] = {
                    "values": dict(counts.most_common()),
                    "missing": rows - known,
                    "entropy_bits": _bits(counts),
                }
        return told


def _bits(counts: Counter[str]) -> float:
    shares = np.array(list(counts.values()), float) / sum(counts.values())
    return float(-(shares * np.log2(shares)).sum()) + 0.0


# ---------------------------------------------------------------------------------------------- what it comes to

USE = "use it"
CLEAN = "take rows out first"
NOT = "do not use it as it is"
LARGE = 0.05  # share of the rows from which a fault is one of the set, not of some rows
MANY = 0.3  # and for duplicates, which training only counts twice
LEAKED = 0.05  # share of a set's items that are in rows

SAID = {
    "leak": "hold an item of another set",
    "exact-duplicate": "repeat an earlier row",
    "near-duplicate": "nearly repeat an earlier row",
    "empty": "have no answer",
    "thinking-left": "have thinking left in the answer",
    "refusal": "refuse",
    "preamble": "talk about the task",
    "template-marks": "hold marks of a template or prompt",
    "truncated": "break off",
    "repetition": "repeat themselves",
    "encoding": "have damaged characters",
    "personal-data": "hold what looks like personal data",
    "language": "are in another language than the most",
    "no-question": "have no question",
    "passage": "share a passage with another set",
}
ONLY_LOOK = (
    "language",
    "personal-data",
    "repetition",
    "preamble",
    "no-question",
    "passage",
)  # often right: to be looked at, not counted against a set


@dataclass(frozen=True)
class Judgement:
    """What to do with a set, in one sentence, and why."""

    verdict: str
    sentence: str
    reasons: tuple[str, ...]

    def json(self) -> dict[str, Any]:
        return {"verdict": self.verdict, "sentence": self.sentence, "reasons": list(self.reasons)}


def judgement(
    rows: int,
    taken_out: int,
    faults: Mapping[str, int],
    leaks: Sequence[Mapping[str, Any]],
    skipped: int,
    terms: Sequence[str],
) -> Judgement:
    """One of three verdicts. `taken_out` are the rows with any fault that counts, each once; `terms` what the card says that binds a user."""
    severe: list[str] = []
    reasons: list[str] = []
    for leak in leaks:
        if leak["items_found"]:
            share = leak["items_found"] / max(1, leak["items"])
            said = f"{_n(leak['rows'], 'row')} {_v(leak['rows'], 'holds', 'hold')} {leak['items_found']:,} of the {leak['items']:,} items of {leak['set']}"
            (severe if share >= LEAKED else reasons).append(said)
    for fault, n in sorted(faults.items(), key=lambda named: -named[1]):
        if not n or fault == "leak":
            continue
        limit = MANY if fault.endswith("duplicate") else LARGE
        large = rows >= FEW_ROWS and n / rows >= limit and fault not in ONLY_LOOK
        (severe if large else reasons).append(f"{n:,} ({_percent(n, rows)}) {SAID.get(fault, fault)}")
    if skipped:
        reasons.append(f"{_n(skipped, 'row')} could not be read")
    counted = [said for said in reasons if not any(said.endswith(SAID[name]) for name in ONLY_LOOK)]
    bound = f" {' '.join(terms)}" if terms else ""
    if severe:
        return Judgement(NOT, f"Do not use it as it is: {_listed(severe)}.{bound}", (*severe, *reasons))
    if counted and taken_out:
        most = f"Take {_n(taken_out, 'row')} of {rows:,} out first ({_percent(taken_out, rows)}): {_listed(counted[:4])}.{bound}"
        return Judgement(CLEAN, most, (*counted, *(r for r in reasons if r not in counted)))
    look = f" Look at these: {_listed(reasons[:3])}." if reasons else ""
    return Judgement(
        USE, f"Nothing that was looked for speaks against using its {rows:,} rows.{look}{bound}", tuple(reasons)
    )


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _n(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _v(n: int, one: str, many: str) -> str:
    return one if n == 1 else many


def _percent(part: int, whole: int) -> str:
    percent = 100 * part / whole if whole else 0.0
    return "< 0.1 %" if 0 < percent < 0.1 else f"{percent:.1f} %"

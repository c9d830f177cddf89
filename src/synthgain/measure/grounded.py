"""Whether rows say of the world what their sources say: names and numbers of a row that stand in what it was made from.

A rule, no model: a restatement that invents a year or a town is caught, one that turns the sense of a sentence round is not. So the
figure is a proxy, to be read beside `proxy_gain`, which nonsense can raise.

What a name and a number are is `synthgain.facts`'. Each counts once a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from synthgain.facts import Source, facts
from synthgain.measure.copying import unit_numbers
from synthgain.measure.data import Data, even_sample, nothing
from synthgain.measure.resample import share_reading, summed
from synthgain.types import Reading

ROWS = 10_000
READ = 20_000  # characters of a row that are read
ANSWERING = 0.5  # share of rows that put their anchor as the question, from which a set answers its anchors
NAME = "grounded"


@dataclass(frozen=True)
class Doubt:
    """A row to be read before the others, and why."""

    row: str
    why: str

    def json(self) -> dict[str, str]:
        return {"row": self.row, "why": self.why}


@dataclass(frozen=True)
class Grounds:
    """Names and numbers of sampled rows, found in the row's own anchors or not. `answering`: the share of rows that put their anchor as the question."""

    table: pa.Table  # the sampled rows: `id`, `text`, `prompt`, `anchor_ids`
    said: Sequence[frozenset[str]]  # by row: its names and numbers
    found: Sequence[set[str]]  # by row: those that its anchors have
    known: Sequence[bool]  # by row: whether an anchor of it is here
    answering: float
    total: int
    why: str = field(default="")  # why there is nothing to look at

    @staticmethod
    def of(data: Data, rows: int = ROWS) -> Grounds:
        """Of an even sample of the kept rows; anchors stream by once."""
        table = even_sample(data.rows, ("id", "text", "prompt", "anchor_ids"), data.n_rows, rows, data.seed)
        texts = [(text or "")[:READ] for text in table.column("text").to_pylist()] if data.n_rows else []
        said = [frozenset(facts(text)) for text in texts]
        found: list[set[str]] = [set() for _ in said]
        known, put = [False] * len(said), [False] * len(said)
        children: dict[str, list[int]] = {}
        for i, ids in enumerate(table.column("anchor_ids").to_pylist() if len(said) else ()):
            for id in ids or ():
                children.setdefault(id, []).append(i)
        prompts = table.column("prompt").to_pylist() if len(said) else []
        for batch in data.anchors(("id", "text")) if children else ():
            for id, text in zip(*(batch.column(name).to_pylist() for name in ("id", "text"))):
                if mine := children.get(id):
                    source, plain = Source.of(text or ""), " ".join((text or "").split())
                    for i in mine:
                        known[i] = True
                        found[i] |= {fact for fact in said[i] if fact not in found[i] and source.has(fact)}
                        put[i] = put[i] or (bool(plain) and plain in " ".join((prompts[i] or "").split()))
        sure = sum(known)
        why = "" if sure else _why_not(data)
        return Grounds(table, said, found, known, sum(put) / sure if sure else 0.0, data.n_rows, why)

    @property
    def answers(self) -> bool:
        """Whether the rows answer their anchors, so that new names and numbers are what they are for."""
        return self.answering >= ANSWERING

    @property
    def task(self) -> str:
        """ "answers" where rows answer their anchors, "restates" where they say them again, "" where that is not known."""
        return "" if self.why else "answers" if self.answers else "restates"

    def reading(self) -> Reading:
        """The share of names and numbers that stand in the rows' own anchors."""
        if self.why:
            return nothing(NAME, self.why, unit="prob", kind="proxy")
        if self.answers:
            why = "rows answer their anchors: what is new in an answer is what it is for, so whether it is right has to be checked otherwise"
            return nothing(NAME, why, unit="prob", kind="proxy")
        whole = np.array([len(said) if there else 0 for said, there in zip(self.said, self.known)], float)
        part = np.array([len(f) if there else 0 for f, there in zip(self.found, self.known)], float)
        units = unit_numbers(self.table)
        if not whole.any():
            return nothing(NAME, "no row has a name or a number", unit="prob", kind="proxy")
        k, n = summed(units, part, whole)
        note = "; ".join(self._notes(whole))
        return share_reading(NAME, k, n, kind="proxy", estimator="names and numbers by rule", note=note)

    def _notes(self, whole: np.ndarray) -> Iterator[str]:
        few = len(self.said) < self.total
        yield f"on {len(self.said):,} of {self.total:,} rows, evenly drawn" if few else f"on all {self.total:,} rows"
        for what, is_one in (("numbers", True), ("names", False)):
            said = sum(fact[0].isdigit() is is_one for facts, k in zip(self.said, self.known) if k for fact in facts)
            there = sum(fact[0].isdigit() is is_one for facts, k in zip(self.found, self.known) if k for fact in facts)
            yield f"{what}: {there:,} of {said:,}" if said else f"no {what}"
        if bare := int(sum(self.known) - (whole > 0).sum()):
            yield f"{bare:,} rows have none"
        if lost := len(self.known) - sum(self.known):
            yield f"{lost:,} rows whose anchors are not here are left out"

    def doubts(self, most: int = 8) -> list[Doubt]:
        """The rows of which most is not in their sources, those with the most such names and numbers first."""
        if self.why or self.answers:
            return []
        ids = self.table.column("id").to_pylist()
        strange = [
            (said - found, len(said), i) for i, (said, found) in enumerate(zip(self.said, self.found)) if self.known[i]
        ]
        worst = sorted((s for s in strange if s[0]), key=lambda s: (-(len(s[0]) ** 2) / s[1], str(ids[s[2]])))
        return [Doubt(str(ids[i]), _told(odd, n)) for odd, n, i in worst[:most]]


def _why_not(data: Data) -> str:
    if not data.n_rows:
        return "there are no rows"
    return "no row's own anchors are here" if data.linked else "rows do not name what they were made from"


def _told(odd: Iterable[str], of: int) -> str:
    names = sorted(odd, key=lambda fact: (not fact[0].isdigit(), fact))
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"{len(names)} of its {of} names and numbers are not in its source: {shown}"

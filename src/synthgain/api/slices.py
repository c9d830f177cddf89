"""A slice of a recipe's groups: what it took, what its rows add to all the others', and until when slices are bought."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synthgain.measure import Data
from synthgain.measure.compare import GAINS, PerDocument
from synthgain.measure.resample import ratio_interval
from synthgain.store import Run
from synthgain.types import SynthgainError

PER = {"dollar": ("dollar", 1.0), "token": ("1,000 tokens bought", 1000.0), "row": ("100 kept rows", 100.0)}


@dataclass(frozen=True)
class Until:
    """`gain_per_dollar < 0.5`: stop where no recipe is shown to add that much. `gain` is a figure of the meter's gains."""

    gain: str
    per: str
    limit: float

    @staticmethod
    def read(text: str) -> Until:
        said = re.fullmatch(r"\s*(\w+?)_per_(\w+)\s*<\s*([0-9.eE+-]+)\s*", text)
        gain = {"gain": GAINS[0]}.get(said[1], said[1]) if said else ""
        try:
            limit = float(said[3]) if said else -1.0
        except ValueError:
            limit = -1.0
        if said is None or gain not in GAINS or said[2] not in PER or limit < 0:
            raise SynthgainError(
                f"until when is not understood: {text!r}",
                where="--until",
                next=f'write "gain_per_dollar < 0.5": gain or one of {", ".join(GAINS)}; per {", ".join(PER)}; a number from 0 on',
            )
        return Until(gain, said[2], limit)

    @property
    def unit(self) -> str:
        return f"nats/token per {PER[self.per][0]}"


@dataclass(frozen=True)
class Slice:
    """Some groups of a recipe: what they took, and what their rows add to all the others'."""

    recipe: str
    groups: int  # of the recipe's run, with this slice
    kept: int
    dollars: float | None
    tokens: int
    gain: float | None = None  # nats/token, when it was decided what comes next
    low: float | None = None
    high: float | None = None
    documents: int = 0  # held out, on which the gain rests
    note: str = ""

    def size(self, per: str) -> float | None:
        """What the slice took, in the unit that a gain is told by."""
        took = {"dollar": self.dollars, "token": self.tokens, "row": self.kept}[per]
        return took / PER[per][1] if took else None

    def worth(self, per: str, end: float | None) -> float | None:
        """An end of the gain's interval for each unit of what it took."""
        size = self.size(per)
        return None if end is None or size is None else end / size


def row_ids(run: Run) -> Iterator[str]:
    """The ids of the kept rows."""
    for table in run.shards(["id", "kept"]):
        yield from table.filter(table.column("kept")).column("id").to_pylist()


def spent(run: Run) -> tuple[float | None, int]:
    """Dollars (None: not known) and tokens that a run's data set took."""
    record = run.record
    tokens = record.get("tokens") or {}
    return record.get("cost_usd"), int(tokens.get("in") or 0) + int(tokens.get("out") or 0)


def together(sides: Sequence[Data], without: frozenset[str], seed: int) -> Data:
    """The kept rows of several runs as one set, but for these; beside all their anchors."""
    gone = pa.array(sorted(without), pa.string())

    def rows(names: Sequence[str]) -> Iterator[pa.Table]:
        for table in chain.from_iterable(side.rows([*names, "id"] if "id" not in names else names) for side in sides):
            left = table.filter(pc.invert(pc.is_in(table.column("id"), value_set=gone))) if len(gone) else table
            yield left.select(list(names))

    def anchors(names: Sequence[str]) -> Iterator[pa.Table]:
        return chain.from_iterable(side.anchors(names) for side in sides)

    n_rows = sum(side.n_rows for side in sides) - len(without)
    n_anchors = sum(side.n_anchors for side in sides)
    return Data(rows, n_rows, anchors, n_anchors, linked=all(side.linked for side in sides), seed=seed)


def added(
    every: PerDocument | str, without: PerDocument | str, seed: int
) -> tuple[float | None, float | None, float | None, int, str]:
    """What rows add to the others: the difference on the same held-out text, its interval, and on how many documents."""
    if isinstance(every, str):
        return None, None, None, 0, every
    if isinstance(without, str):  # these rows are all there is
        ratio = ratio_interval(every.nats, every.tokens, seed=seed)
        return ratio.value, ratio.low, ratio.high, len(every.documents), ""
    _, mine, other = np.intersect1d(every.documents, without.documents, return_indices=True)
    if len(mine) < 2:
        return None, None, None, len(mine), "fewer than 2 held-out documents are judged with and without it"
    ratio = ratio_interval(every.nats[mine] - without.nats[other], every.tokens[mine], seed=seed)
    return ratio.value, ratio.low, ratio.high, len(mine), ""


def shown(step: Slice, rule: Until) -> str:
    value, low, high = (step.worth(rule.per, end) for end in (step.gain, step.low, step.high))
    if value is None or low is None or high is None:
        return f"an unknown gain ({step.note or 'no interval, or no price'})"
    return f"{value:.4g} [{low:.4g}, {high:.4g}] {rule.unit}"

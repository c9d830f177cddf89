"""Complex and good rows that differ from each other (a selection): DEITA's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from synthgain.curate.chosen import (
    Floats,
    Places,
    Vectors,
    best,
    check_size,
    flags,
    keyed,
    number,
    of_fields,
    size,
    verdicts,
)
from synthgain.curate.lacking import of_row
from synthgain.types import Anchor, Row, SynthgainError, Verdict, drop

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK = 256  # candidates that are compared at once


@dataclass(frozen=True)
class Deita:
    """Keeps `n` rows (or the `share`) of the highest complexity × quality, each of cosine `near` at most to every row kept before it.

    Liu et al., arXiv 2312.15685; code hkust-nlp/deita, which it follows: rows by descending score, one admitted unless its largest cosine to those
    **admitted** lies above 0.9 (the paper prints the inequality as a distance; distilabel's step compares with the whole pool instead). The
    scores stand in two fields of the row, bought in a draft or given: a number each, or a list with one number a turn; the products are summed
    over turns, so long conversations win, as in the code. A row without both scores falls and is counted (the code gives it 3.0
    silently). The paper's scores come from two trained scorers that learnt a joint ranking of variants; scores that a judge gives one by one
    are another thing. DEITA took 6,000 and 10,000 of 300,000.

    Cost: rows that are looked at × rows admitted products of vectors; it ends when `n` are admitted.
    """

    n: int = 6_000
    share: float = 0.0
    near: float = 0.9
    complexity: str = "complexity"
    quality: str = "quality"

    def __post_init__(self) -> None:
        check_size(self.n, self.share, self.name)
        if not -1.0 <= self.near <= 1.0:
            raise SynthgainError(f"near is a cosine, -1 to 1, not {self.near}", where=self.name)

    @property
    def name(self) -> str:
        return "deita"

    @property
    def columns(self) -> tuple[str, ...]:
        return ("id", "fields", "vector")

    @property
    def selects(self) -> Literal[True]:
        return True

    def __call__(self, table: pa.Table) -> Sequence[Verdict]:
        scores = np.array(
            [_score(fields.get(self.complexity), fields.get(self.quality)) for fields in of_fields(table)], np.float64
        )
        order = best(scores, keyed(table, self.name), len(table))
        admitted, close = apart(Vectors(table), order, self.near, size(len(table), self.n, self.share))
        found = verdicts(flags(len(table), admitted), "scored below others", scores, "no complexity and quality score")
        for place in close.tolist():
            found[place] = drop("near a row of a higher score", round(float(scores[place]), 6))
        return found

    def lacks(self, row: Row | None, anchors: Sequence[Anchor]) -> str | None:
        """The field that it reads, where the row has none."""
        return of_row(row, self.complexity, self.quality)


def _score(complexity: object, quality: object) -> float:
    """The product of two scores, or the sum of products over turns; NaN where one is missing."""
    many = [score if isinstance(score, list) else [score] for score in (complexity, quality)]
    if len(many[0]) != len(many[1]) or not many[0]:
        return float("nan")
    return sum(number(c) * number(q) for c, q in zip(*many))


def apart(vectors: Vectors, order: Places, near: float, n: int) -> tuple[Places, Places]:
    """Of places in their order the first `n` whose largest cosine to those taken before is `near` at most; and those passed over."""
    taken: list[int] = []
    passed: list[int] = []
    held: NDArray[np.float32] | None = None
    for start in range(0, len(order), BLOCK):
        if len(taken) >= n:
            break
        places = order[start : start + BLOCK]
        block = vectors[places]
        closest = _largest(block, held)
        among = block @ block.T
        mine: list[int] = []
        for i, place in enumerate(places.tolist()):
            if len(taken) >= n:
                break
            if closest[i] > near or (mine and among[i, mine].max() > near):
                passed.append(place)
            else:
                mine.append(i)
                taken.append(place)
        if mine:
            held = block[mine] if held is None else np.concatenate([held, block[mine]])
    return np.array(taken, np.int64), np.array(passed, np.int64)


def _largest(block: NDArray[np.float32], held: NDArray[np.float32] | None) -> Floats:
    """Each row's largest cosine to the rows that are held, -1 where none is."""
    if held is None:
        return np.full(len(block), -1.0)
    return np.asarray((block @ held.T).max(axis=1), np.float64)


CHECK = Deita

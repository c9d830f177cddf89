"""Rows that say almost what an earlier row says (a fold): MinHash with locality-sensitive hashing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from synthgain.curate.banding import Kept
from synthgain.curate.exact_duplicate import texts
from synthgain.types import Judge, SynthgainError, Verdict, drop, keep
from synthgain.words import SHINGLE, signatures

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class NearDuplicate:
    """Keeps the first of rows whose sets of word `n`-grams overlap by `threshold` or more (Jaccard index).

    Words are those of `words.py`, in every script. Rows that calculate something else ("3 + 4 = 7", "3 + 5 = 8"), and code whose operators
    are others (where it has no more than 16), are never near: they share most of their words and say different things.
    Every row is compared with the earlier rows that stay, so a chain of small changes can go on: that is
    what keeps the result independent of anything but the order. Signatures come from rensa (R-MinHash), candidates
    from banding, and each candidate is decided by the estimate over all 128 numbers, which is the score.
    Where very many rows share whole phrases (a template), a row is compared with the last 32 of them for each band.
    Texts without words are never near-duplicates. A kept row takes 0.9 KB of memory (the peak measured at 1,000,000 tiny rows).
    """

    threshold: float = 0.7
    n: int = SHINGLE
    column: str = "text"

    def __post_init__(self) -> None:
        if not 0.0 < self.threshold <= 1.0:
            raise SynthgainError(f"threshold lies between 0 and 1, not {self.threshold}", where="near-duplicate")
        if self.n < 1:
            raise SynthgainError(f"n is 1 or more, not {self.n}", where="near-duplicate")

    @property
    def name(self) -> str:
        return "near-duplicate"

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def begin(self) -> Judge:
        """A judge that remembers the signatures of the rows that it kept."""
        kept = Kept(self.threshold)

        def judge(table: pa.Table) -> Sequence[Verdict]:
            scores = [score for batch in texts(table, self.column) for score in kept.take(*signatures(batch, self.n))]
            return [keep() if score is None else drop("close to an earlier row", round(score, 4)) for score in scores]

        return judge


CHECK = NearDuplicate

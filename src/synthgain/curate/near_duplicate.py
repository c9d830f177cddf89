"""Rows that say almost what an earlier row says (a fold): MinHash with locality-sensitive hashing."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from synthgain.curate.banding import HASHES, Kept, Signatures
from synthgain.curate.exact_duplicate import texts
from synthgain.curate.words import ngrams, words
from synthgain.types import Judge, SynthgainError, Verdict, drop, keep

if TYPE_CHECKING:
    import pyarrow as pa

SEED = 42


@dataclass(frozen=True)
class NearDuplicate:
    """Keeps the first of rows whose sets of word `n`-grams overlap by `threshold` or more (Jaccard index).

    Every row is compared with the earlier rows that stay, so a chain of small changes can go on: that is
    what keeps the result independent of anything but the order. Signatures come from rensa (R-MinHash), candidates
    from banding, and each candidate is decided by the estimate over all 128 numbers, which is the score.
    Where very many rows share whole phrases (a template), a row is compared with the last 32 of them for each band.
    Texts without words are never near-duplicates. A kept row takes 0.9 KB of memory (the peak measured at 1,000,000 tiny rows).
    """

    threshold: float = 0.7
    n: int = 3
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


def signatures(batch: Sequence[str], n: int) -> tuple[Signatures, NDArray[np.bool_]]:
    """One signature a text (texts × 128), and which texts have any words."""
    from rensa import RMinHash

    grams = [ngrams(words(text), n) for text in batch]
    rows = RMinHash.digest_matrix_from_token_sets(grams, HASHES, SEED).to_rows() if grams else []
    numbers = np.frombuffer(b"".join(array("I", row).tobytes() for row in rows), np.uint32)
    return numbers.reshape(-1, HASHES), np.array([bool(g) for g in grams], np.bool_)


CHECK = NearDuplicate

"""Rows that say what an earlier row says (set check)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from synthgain.types import Verdict, drop, keep

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 2_048  # rows that are Python objects at the same time


@dataclass(frozen=True)
class ExactDuplicate:
    """Keeps the first of the rows with the same text (what a student reads: question and answer), apart from white space.

    `column` may be "answer" to compare the answers alone. 16 bytes of digest a row are held, about 130 bytes with their set.
    """

    column: str = "text"

    @property
    def name(self) -> str:
        return "exact-duplicate"

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def __call__(self, table: pa.Table) -> Sequence[Verdict]:
        seen: set[bytes] = set()
        verdicts: list[Verdict] = []
        for text in texts(table, self.column):
            digest = blake2b(" ".join(text.split()).encode("utf-8", "surrogatepass"), digest_size=16).digest()
            verdicts.append(drop("same text as an earlier row") if digest in seen else keep())
            seen.add(digest)
        return verdicts


def texts(table: pa.Table, column: str) -> Iterator[str]:
    """A column's texts in order, a batch at a time."""
    for batch in table.select([column]).to_batches(max_chunksize=BATCH):
        yield from (text or "" for text in batch.column(0).to_pylist())


CHECK = ExactDuplicate

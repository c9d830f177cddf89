"""Rows that say what an earlier row says (a fold)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from synthgain.curate.hashed import Seen
from synthgain.types import Judge, Verdict, drop, keep

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 1_024  # rows that are Python objects at the same time


@dataclass(frozen=True)
class ExactDuplicate:
    """Keeps the first of the rows with the same text (what a student reads: question and answer), apart from white space.

    `column` may be "answer" to compare the answers alone. Texts are compared by digests of 16 bytes, which take 23 to 34
    bytes of memory a kept row (up to 57 while the table grows).
    """

    column: str = "text"

    @property
    def name(self) -> str:
        return "exact-duplicate"

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def begin(self) -> Judge:
        """A judge that remembers the texts that it was given."""
        seen, again = Seen(), drop("same text as an earlier row")

        def judge(table: pa.Table) -> Sequence[Verdict]:
            verdicts: list[Verdict] = []
            for batch in texts(table, self.column):
                verdicts += [keep() if new else again for new in seen.first([_digest(text) for text in batch])]
            return verdicts

        return judge


def _digest(text: str) -> bytes:
    return blake2b(" ".join(text.split()).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def texts(table: pa.Table, column: str) -> Iterator[list[str]]:
    """A column's texts in order, a batch at a time; "" where there is none."""
    for batch in table.select([column]).to_batches(max_chunksize=BATCH):
        yield [text or "" for text in batch.column(0).to_pylist()]


CHECK = ExactDuplicate

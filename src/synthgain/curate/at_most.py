"""No more than so many rows of one question (a fold)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from synthgain.curate.hashed import HashTable
from synthgain.types import Judge, SynthgainError, Verdict, digest, drop, keep

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class AtMost:
    """Keeps the first `most` rows of each question (the rows with the same anchors); what fell before is not counted.

    ReST-EM keeps ten right solutions a problem (arXiv 2312.06585), so that easy problems do not fill the set. A question takes about 30 bytes of memory.
    """

    most: int = 10

    def __post_init__(self) -> None:
        if self.most < 1:
            raise SynthgainError(f"most is 1 or more, not {self.most}", where=self.name)

    @property
    def name(self) -> str:
        return "at-most"

    @property
    def columns(self) -> tuple[str, ...]:
        return ("anchor_ids",)

    def begin(self) -> Judge:
        """A judge that counts the rows of each question."""
        import numpy as np

        counts = HashTable(2, np.uint64, np.uint32)
        enough = drop("its question has enough rows")

        def judge(table: pa.Table) -> Sequence[Verdict]:
            asked = [digest(*(ids or ()))[:32] for ids in table.column("anchor_ids").to_pylist()]
            if not asked:
                return []
            names = list(dict.fromkeys(asked))
            keys = np.frombuffer(b"".join(map(bytes.fromhex, names)), np.uint64).reshape(-1, 2)
            held = dict(zip(names, counts.get(keys).tolist()))
            verdicts = []
            for name in asked:
                stays = held[name] < self.most
                held[name] += stays
                verdicts.append(keep() if stays else enough)
            counts.put(keys, np.array([held[name] for name in names], np.uint32))
            return verdicts

        return judge


CHECK = AtMost

"""Rows that say almost what a row of another set says (a fold): an evaluation set, or a data set that is there already."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from synthgain.curate.banding import Kept
from synthgain.types import Judge, SynthgainError, Verdict, drop, keep
from synthgain.words import SHINGLE, signatures

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 1_024  # texts whose signatures are made at once
Sourced = Iterable[tuple[str, str]]  # (where a text of the other set stands, "evals.jsonl#12"; the text)


@dataclass(frozen=True)
class Against:
    """Drops a row that is near a row of one of `sets` (paths or names, as they are typed and recorded).

    Near is what it is for near-duplicate: sets of word `n`-grams that overlap by `threshold` or more, estimated. A row's whole text,
    its prompt and its answer are each compared, so a question of an evaluation set is found in a chat that answers it. The reason
    names the set and its row, the score is the estimate. A passage of the other set inside a longer text is not seen.

    The check reads no files: who runs it gives it the sets' texts (`primed`). A text takes 0.9 KB of memory.
    """

    sets: tuple[str, ...] = ()
    threshold: float = 0.7
    n: int = SHINGLE

    def __post_init__(self) -> None:
        if not 0.0 < self.threshold <= 1.0:
            raise SynthgainError(f"threshold lies between 0 and 1, not {self.threshold}", where=self.name)
        if self.n < 1:
            raise SynthgainError(f"n is 1 or more, not {self.n}", where=self.name)

    @property
    def name(self) -> str:
        return "against"

    @property
    def columns(self) -> tuple[str, ...]:
        return ("text", "prompt", "answer")

    def primed(self, texts: Callable[[], Sourced]) -> Primed:
        """The fold that judges: `texts` is called once a run."""
        return Primed(self, texts)

    def begin(self) -> Judge:
        raise SynthgainError(
            "the sets that rows are compared with were not read", where=self.name, next="use --against DATA"
        )


@dataclass(frozen=True)
class Primed:
    """`Against` with the texts of its sets: the fold that a run uses. Its settings are the check's own."""

    check: Against
    texts: Callable[[], Sourced]

    @property
    def name(self) -> str:
        return self.check.name

    @property
    def columns(self) -> tuple[str, ...]:
        return self.check.columns

    def begin(self) -> Judge:
        """A judge that holds the signatures of the other sets' texts."""
        held, sources, texts = Kept(self.check.threshold), list[str](), iter(self.texts())
        while some := list(islice(texts, BATCH)):
            numbers, said = signatures([text for _, text in some], self.check.n)
            held.hold(numbers, said)
            sources += [source for (source, _), has_words in zip(some, said.tolist()) if has_words]

        def judge(table: pa.Table) -> Sequence[Verdict]:
            best, which = np.zeros(len(table)), np.zeros(len(table), np.int64)
            for column in self.columns:
                for start in range(0, len(table), BATCH):
                    part = table.column(column).slice(start, BATCH).to_pylist()
                    near, row = held.closest(*signatures([text or "" for text in part], self.check.n))
                    here = slice(start, start + len(part))
                    better = near > best[here]
                    best[here][better], which[here][better] = near[better], row[better]
            return [
                drop(f"close to {sources[row]}", round(score, 4)) if score >= self.check.threshold else keep()
                for score, row in zip(best.tolist(), which.tolist())
            ]

        return judge


CHECK = Against

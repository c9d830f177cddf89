"""Rows that say what a row of another set says, nearly or somewhere inside them (a fold): an evaluation set, or data that is there already."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from synthgain.curate.aligned import WHOLE, Aligned, Hit
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
    names the set and its row, the score is the estimate.

    `inside` (as `--against` sets it) also drops a row that holds a text of the sets somewhere inside it, whole or in part, with words or numbers changed or lines
    wrapped (`aligned.py`): the score is then the share of that text, by weight. `paraphrase` above 0 drops a row whose prompt (or text) has so high a cosine
    with one of theirs, by the vectors of `embedder`: static word vectors tell a paraphrase from another question on the same matter badly
    (docs/decontamination.md), so it is off.

    The check reads no files: who runs it gives it the sets' texts (`primed`). A text takes 0.9 KB of memory, and with `inside` about 60 bytes a word.
    """

    sets: tuple[str, ...] = ()
    threshold: float = 0.7
    n: int = SHINGLE
    inside: bool = False
    paraphrase: float = 0.0
    embedder: str = "words"

    def __post_init__(self) -> None:
        if not 0.0 < self.threshold <= 1.0:
            raise SynthgainError(f"threshold lies between 0 and 1, not {self.threshold}", where=self.name)
        if self.n < 1:
            raise SynthgainError(f"n is 1 or more, not {self.n}", where=self.name)
        if not 0.0 <= self.paraphrase <= 1.0:
            raise SynthgainError(f"paraphrase lies between 0 and 1, not {self.paraphrase}", where=self.name)

    @property
    def name(self) -> str:
        return "against"

    @property
    def columns(self) -> tuple[str, ...]:
        return ("text", "prompt", "answer")

    def primed(self, texts: Callable[[], Sourced]) -> Primed:
        """The fold that judges: `texts` is called once a run."""
        return Primed(self, texts)

    def beside(self, items: Sequence[tuple[str, str]]) -> Judge:
        """A judge that holds what the looks need of the other sets' texts."""
        looks = [near_rows(self, items)]
        looks += [inside_rows(items)] if self.inside else []
        looks += [paraphrased_rows(self, items)] if self.paraphrase else []

        def judge(table: pa.Table) -> Sequence[Verdict]:
            verdicts = [keep()] * len(table)
            for look in looks:
                verdicts = [old if not old.keeps else new for old, new in zip(verdicts, look(table))]
            return verdicts

        return judge

    def begin(self) -> Judge:
        raise SynthgainError(
            "the sets that rows are compared with were not read", where=self.name, next="use --against DATA"
        )


class Compares(Protocol):
    """A check that compares rows with the texts of other sets, as soon as it has these."""

    @property
    def name(self) -> str: ...
    @property
    def columns(self) -> tuple[str, ...]: ...
    def beside(self, items: Sequence[tuple[str, str]]) -> Judge:
        """The judge that holds these (where it stands, text)."""
        ...


@dataclass(frozen=True)
class Primed:
    """A check with the texts of its sets: the fold that a run uses. Its settings are the check's own."""

    check: Compares
    texts: Callable[[], Sourced]

    @property
    def name(self) -> str:
        return self.check.name

    @property
    def columns(self) -> tuple[str, ...]:
        return self.check.columns

    def begin(self) -> Judge:
        """A judge that holds the sets' texts."""
        return self.check.beside(list(self.texts()))


Look = Callable[["pa.Table"], Sequence[Verdict]]


def near_rows(check: Against, items: Sequence[tuple[str, str]]) -> Look:
    """Rows whose text, prompt or answer nearly says what an item says, by the estimate of the Jaccard index."""
    held, sources = Kept(check.threshold), list[str]()
    for first in range(0, len(items), BATCH):
        some = items[first : first + BATCH]
        numbers, said = signatures([text for _, text in some], check.n)
        held.hold(numbers, said)
        sources += [source for (source, _), has_words in zip(some, said.tolist()) if has_words]

    def look(table: pa.Table) -> Sequence[Verdict]:
        best, which = np.zeros(len(table)), np.zeros(len(table), np.int64)
        for column in check.columns:
            for start in range(0, len(table), BATCH):
                part = table.column(column).slice(start, BATCH).to_pylist()
                near, row = held.closest(*signatures([text or "" for text in part], check.n))
                here = slice(start, start + len(part))
                better = near > best[here]
                best[here][better], which[here][better] = near[better], row[better]
        return [
            drop(f"close to {sources[row]}", round(score, 4)) if score >= check.threshold else keep()
            for score, row in zip(best.tolist(), which.tolist())
        ]

    return look


def inside_rows(items: Sequence[tuple[str, str]]) -> Look:
    """Rows that hold an item, or most of it, somewhere in their text."""
    aligned, sources = Aligned(text for _, text in items), [source for source, _ in items]

    def look(table: pa.Table) -> Sequence[Verdict]:
        found = aligned.find(text or "" for text in table.column("text").to_pylist())
        return [
            drop(f"holds {told(hits[0], sources[hits[0].item])}", round(hits[0].share, 4)) if hits else keep()
            for hits in found
        ]

    return look


def told(hit: Hit, source: str) -> str:
    """How an item was found inside a row, in words that are counted by."""
    changed = (
        ""
        if hit.share >= WHOLE and hit.same_numbers
        else " in part or changed"
        if hit.same_numbers
        else " with other numbers"
    )
    return f"{source}{changed}"


def paraphrased_rows(check: Against, items: Sequence[tuple[str, str]]) -> Look:
    """Rows whose prompt (their text, where they have none) means nearly what an item means, by the cosine of their vectors."""
    from synthgain.models.embedders import open_embedder

    embed = open_embedder(check.embedder)
    vectors, sources = embed([text for _, text in items]), [source for source, _ in items]

    def look(table: pa.Table) -> Sequence[Verdict]:
        asked = [p or t or "" for p, t in zip(table.column("prompt").to_pylist(), table.column("text").to_pylist())]
        verdicts: list[Verdict] = []
        for start in range(0, len(asked), BATCH):
            cosines = embed(asked[start : start + BATCH]) @ vectors.T
            for row, which in enumerate(cosines.argmax(axis=1).tolist() if len(items) else []):
                score = float(cosines[row, which])
                close = score >= check.paraphrase
                verdicts.append(
                    drop(f"means what {sources[which]} means", round(score, 4)) if close else keep(round(score, 4))
                )
        return verdicts or [keep()] * len(asked)

    return look


CHECK = Against

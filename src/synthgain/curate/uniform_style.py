"""The rows of one style, spread over their sources: LIMA's two axes, as a selection."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from synthgain.curate.lacking import of_row
from synthgain.types import Anchor, Row, SynthgainError, Verdict, digest, drop, keep
from synthgain.words import words

if TYPE_CHECKING:
    import pyarrow as pa

_SENTENCE = re.compile(r"[.!?…。！？]+(?:\s|$)")
_ITEM = re.compile(r"(?m)^\s*(?:[-*•+]|\d{1,3}[.)])\s+\S")
_MARKS = re.compile(r"[*_`#|]{1,3}")
FEATURES = (
    "logarithm of words",
    "words a sentence",
    "share of lines that are items",
    "marks of Markdown a word",
    "share of sentences that ask",
    "share of sentences that call out",
)
FLOOR = np.array([0.25, 3.0, 0.1, 0.02, 0.1, 0.1])  # ours: below these two answers do not read differently
SOURCE = "category"  # the field of LIMA's sources
BATCH = 1_024  # rows that are Python objects at the same time


@dataclass(frozen=True)
class UniformStyle:
    """Keeps rows whose answers are alike in style, and of these at most `most`, spread over the sources of their prompts.

    Style is six figures of an answer (`FEATURES`), each as its distance from the set's median in units of the median absolute deviation; a row whose root
    mean square is above `spread` falls, and that is its score. The sources are the values of the field `by` of a row: source c with n rows gets a part
    proportional to n^(1/`tau`), so that small ones are not drowned (LIMA is recalled to draw its exchanges
    with a temperature of 3; no source was read that confirms it). `most` None keeps them all. Within a
    source rows are taken in an order that follows from their content, without regard to their quality.

    What style does not see: whether an answer is right, and how its words sound. Without the field all rows are one source.
    """

    most: int | None = 1000
    spread: float = 3.0
    by: str = SOURCE
    tau: float = 3.0

    def __post_init__(self) -> None:
        if self.tau < 1 or self.spread <= 0 or (self.most is not None and self.most < 1):
            raise SynthgainError("tau is 1 or more, spread above 0, most 1 or more", where="uniform-style")

    @property
    def name(self) -> str:
        return "uniform-style"

    @property
    def columns(self) -> tuple[str, ...]:
        return ("id", "answer", "fields")

    @property
    def selects(self) -> Literal[True]:
        return True

    def lacks(self, row: Row | None, anchors: Sequence[Anchor]) -> str | None:
        """The field of sources, where somebody named one and the row has none."""
        return "" if self.by == SOURCE else of_row(row, self.by)

    def __call__(self, table: pa.Table) -> Sequence[Verdict]:
        far = style_distances(np.concatenate([np.zeros((0, len(FEATURES))), *map(_features, _answers(table))]))
        near = far <= self.spread
        sources = [self._source(text) for text in table.column("fields").to_pylist()]
        chosen = self._spread_out(table.column("id").to_pylist(), sources, near)
        too_many = drop("its source has enough rows")
        return [
            drop("style far from the set's", round(float(d), 4))
            if not close
            else keep(round(float(d), 4))
            if stay
            else too_many
            for d, close, stay in zip(far, near, chosen)
        ]

    def _source(self, fields: str | None) -> str:
        held = json.loads(fields).get(self.by) if fields else None
        return "" if held is None else str(held)

    def _spread_out(self, ids: Sequence[str], sources: Sequence[str], near: NDArray[np.bool_]) -> NDArray[np.bool_]:
        names, which = np.unique(np.asarray(sources, dtype=str), return_inverse=True)
        there = np.bincount(which[near], minlength=len(names))
        quota = quotas(there, len(ids) if self.most is None else self.most, self.tau)
        order = sorted(np.flatnonzero(near).tolist(), key=lambda at: digest("uniform-style", ids[at]))
        chosen, taken = np.zeros(len(ids), bool), np.zeros(len(names), int)
        for at in order:
            source = which[at]
            if taken[source] < quota[source]:
                chosen[at] = True
                taken[source] += 1
        return chosen


def quotas(there: NDArray[np.int64], most: int, tau: float) -> NDArray[np.int64]:
    """How many of each source: parts proportional to n^(1/tau), none above n, `most` in all where there are so many.

    Each further row goes to the source that is farthest below its part, so the result does not depend on rounding.
    """
    weights = np.where(there > 0, there.astype(float) ** (1 / tau), 0.0)
    given = np.zeros(len(there), np.int64)
    for _ in range(min(most, int(there.sum()))):
        open_ = given < there
        given[int(np.argmin(np.where(open_, (given + 1) / np.where(weights > 0, weights, 1.0), np.inf)))] += 1
    return given


def style_distances(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each answer the root mean square of its figures' distances from the median, each in median absolute deviations (not below `FLOOR`)."""
    if not len(features):
        return np.zeros(0)
    off = np.abs(features - np.median(features, axis=0))
    scale = np.maximum(1.4826 * np.median(off, axis=0), FLOOR)
    distances: NDArray[np.float64] = np.sqrt(np.mean((off / scale) ** 2, axis=1))
    return distances


def _answers(table: pa.Table) -> Any:
    for batch in table.select(["answer"]).to_batches(max_chunksize=BATCH):
        yield [text or "" for text in batch.column(0).to_pylist()]


def _features(texts: Sequence[str]) -> NDArray[np.float64]:
    return np.array([style(text) for text in texts])


def style(text: str) -> tuple[float, ...]:
    """The figures `FEATURES` of a text."""
    n = max(1, len(words(text)))
    ends = [mark.group() for mark in _SENTENCE.finditer(text)]
    sentences = max(1, len(ends))
    lines = max(1, sum(bool(line.strip()) for line in text.splitlines()))
    return (
        float(np.log(n)),
        n / sentences,
        len(_ITEM.findall(text)) / lines,
        len(_MARKS.findall(text)) / n,
        sum("?" in end or "？" in end for end in ends) / sentences,
        sum("!" in end or "！" in end for end in ends) / sentences,
    )


CHECK = UniformStyle

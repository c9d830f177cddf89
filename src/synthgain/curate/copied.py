"""Rows that copy their anchors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from synthgain.settings import at_least
from synthgain.types import Anchor, Row, Verdict, drop, keep
from synthgain.words import ngrams, spans, words


@dataclass(frozen=True)
class Copied:
    """Drops an answer of which more than `most` of the word `n`-grams stand in its anchors.

    The score is that share. The defaults are ours: a restatement of a document shares names and short
    phrases with it, and 8 words in a row seldom (12 characters of Han, 16 letters of Thai: see `words.py`). Answers of fewer
    than `n` words stay.
    """

    most: float = 0.5
    n: int = 8

    def __post_init__(self) -> None:
        at_least(self, "copied", most=0, n=1)

    @property
    def name(self) -> str:
        return "copied"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        share = copied_share(row.answer, [anchor.text for anchor in anchors], self.n)
        return drop("copies its anchor", round(share, 4)) if share > self.most else keep()


def copied_share(text: str, sources: Sequence[str], n: int) -> float:
    """Share of the word n-grams of a text that stand in one of the sources; 0 for a text of fewer than n words."""
    said = words(text)
    if not spans(said, n):
        return 0.0
    grams = ngrams(said, n)
    known = [_ngrams_of(source, n) for source in sources]
    return sum(any(gram in grams_of for grams_of in known) for gram in grams) / len(grams)


@lru_cache(maxsize=4)  # rows of one anchor come side by side
def _ngrams_of(source: str, n: int) -> frozenset[str]:
    return frozenset(ngrams(words(source), n))


CHECK = Copied

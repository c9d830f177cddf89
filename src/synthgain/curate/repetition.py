"""Rows that repeat themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from synthgain.settings import at_least
from synthgain.types import Anchor, Row, Verdict, drop, keep
from synthgain.words import count, spans, words


@dataclass(frozen=True)
class Repetition:
    """Drops an answer in which too large a share of the characters is said again.

    `lines`: share of characters in lines that stood there before. `ngrams`: share of characters in
    word `n`-grams that stood there before (each word counted once, so no more than 1). Both ideas and the limit for lines
    are those of MassiveText's repetition filter (Gopher; datatrove's `GopherRepetitionFilter`: 0.20 of
    the characters in repeated lines, 0.15 in repeated 5-grams). The limit for 5-grams is wider here, 0.20:
    question-and-answer texts restate the question. Texts of fewer than 2n words are too short to tell.
    """

    ngrams: float = 0.20
    lines: float = 0.20
    n: int = 5

    def __post_init__(self) -> None:
        at_least(self, "repetition", ngrams=0, lines=0, n=1)

    @property
    def name(self) -> str:
        return "repetition"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        text = row.answer
        said = words(text)
        if not spans(said, 2 * self.n):
            return keep()
        share = repeated_lines(text)
        if share > self.lines:
            return drop("lines repeat", round(share, 4))
        share = repeated_ngrams(said, self.n)
        if share > self.ngrams:
            return drop("phrases repeat", round(share, 4))
        return keep()


def repeated_lines(text: str) -> float:
    """Share of the characters that stand in lines said before (lines of three words or more)."""
    seen: set[str] = set()
    again = total = 0
    for line in text.splitlines():
        line = line.strip().lower()
        total += len(line)
        if count(line) < 3:
            continue
        if line in seen:
            again += len(line)
        seen.add(line)
    return again / total if total else 0.0


def repeated_ngrams(said: Sequence[str], n: int) -> float:
    """Share of the characters of words that lie in an n-gram said before."""
    seen: set[str] = set()
    again = reached = 0
    for start, end in spans(said, n):
        if start < reached:
            continue
        gram = " ".join(said[start:end])
        if gram in seen:
            again += sum(map(len, said[start:end]))
            reached = end
        else:
            seen.add(gram)
    total = sum(map(len, said))
    return again / total if total else 0.0


CHECK = Repetition

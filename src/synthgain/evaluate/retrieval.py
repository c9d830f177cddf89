"""Passages that a question finds: BM25, as a baseline that needs no training.

score(q, p) = Σ_t idf(t) · f(t, p) (k1 + 1) / (f(t, p) + k1 (1 − b + b |p| / mean |p|)), with idf(t) = ln(1 + (N − n_t + ½)/(n_t + ½))
(Robertson and Zaragoza, The Probabilistic Relevance Framework, 2009; the idf that is never negative is Lucene's). k1 = 1.2 and b = 0.75
are its usual values. Words are those of `synthgain.words`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthgain.passages import chunks
from synthgain.words import words

K1, B = 1.2, 0.75
SIZE = 150  # (estimated) tokens of a passage at most


@dataclass(frozen=True)
class Passage:
    """A piece of a document, and its document's name."""

    text: str
    document: str


class Passages:
    """The passages of documents (texts by name) under an index of their words."""

    def __init__(self, documents: Mapping[str, str], size: int = SIZE) -> None:
        self.all = [Passage(piece, name) for name, text in documents.items() for piece in chunks(text, size)]
        counts = [Counter(words(passage.text)) for passage in self.all]
        lengths = np.array([max(1, sum(one.values())) for one in counts], float)
        self._norm = K1 * (1 - B + B * lengths / (lengths.mean() if len(lengths) else 1.0))
        held: dict[str, list[tuple[int, int]]] = {}
        for at, one in enumerate(counts):
            for word, n in one.items():
                held.setdefault(word, []).append((at, n))
        self._held: dict[str, NDArray[Any]] = {word: np.array(found) for word, found in held.items()}

    def scores(self, question: str) -> NDArray[np.float64]:
        """BM25 of each passage for a question."""
        found = np.zeros(len(self.all))
        for word, times in Counter(words(question)).items():
            if (held := self._held.get(word)) is None:
                continue
            at, n = held[:, 0], held[:, 1].astype(float)
            idf = np.log1p((len(self.all) - len(at) + 0.5) / (len(at) + 0.5))
            found[at] += times * idf * n * (K1 + 1) / (n + self._norm[at])
        return found

    def find(self, question: str, k: int) -> list[Passage]:
        """The `k` best passages, the best last, next to the question; those that share no word with it are none."""
        scores = self.scores(question)
        best = np.argsort(-scores, kind="stable")[:k]
        return [self.all[at] for at in best[::-1] if scores[at] > 0]

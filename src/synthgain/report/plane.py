"""Texts as points of a plane: hashed TF-IDF of words, word pairs and characters, then two principal components.

Light and deterministic: no model, no download, the same picture each time. What lies close shares words
and spelling, not necessarily meaning.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

BUCKETS = 4096  # for words and word pairs; as many again for character 4-grams
READ = 2_000  # characters of a text that are read
HOW = (
    "Each text (its first 2,000 characters) is a vector of hashed words, word pairs and character 4-grams, weighted by TF-IDF; "
    "the plane is that of the two largest principal components. What lies close shares wording, not necessarily meaning."
)


@dataclass(frozen=True)
class Plane:
    """Points in [0, 1]² and the share of variance that each axis carries."""

    points: NDArray[np.float64]  # texts × 2
    carried: tuple[float, float]


def plane(texts: Sequence[str]) -> Plane:
    """The texts as points. Fewer than three texts, or equal ones, give points in the middle."""
    if len(texts) < 3:
        return Plane(np.full((len(texts), 2), 0.5), (0.0, 0.0))
    vectors = weighted(np.stack([counts(text) for text in texts]))
    vectors -= vectors.mean(axis=0)
    total = float(np.square(vectors).sum())
    if total <= 1e-9 * len(texts):
        return Plane(np.full((len(texts), 2), 0.5), (0.0, 0.0))
    scores, values = leading(vectors)
    scores *= np.where(scores[np.abs(scores).argmax(axis=0), [0, 1]] < 0, -1.0, 1.0)  # a fixed sign
    return Plane(_fitted(scores), (float(values[0]) / total, float(values[1]) / total))


def leading(vectors: NDArray[np.float32], passes: int = 24) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores on the two largest principal components (texts × 2) and their sums of squares, by subspace iteration."""
    start = np.random.default_rng(0).standard_normal((len(vectors), min(10, len(vectors)))).astype(np.float32)
    basis, _ = np.linalg.qr(start)
    for _ in range(passes):
        basis, _ = np.linalg.qr(vectors @ (vectors.T @ basis))
    directions, sizes, _ = np.linalg.svd(basis.T @ vectors, full_matrices=False)
    scores = (basis @ directions[:, :2]).astype(np.float64) * sizes[:2]
    return scores, np.square(sizes[:2].astype(np.float64))


def counts(text: str) -> NDArray[np.float32]:
    """Hashed counts of words and word pairs (first half) and of character 4-grams (second half)."""
    text = " ".join(text[:READ].lower().split())
    words = re.findall(r"\w+", text)
    pairs = [f"{a} {b}" for a, b in pairwise(words)]
    hashed = np.fromiter((zlib.crc32(w.encode("utf-8", "replace")) % BUCKETS for w in (*words, *pairs)), np.int64)
    out = np.zeros(2 * BUCKETS, np.float32)
    out[:BUCKETS] = np.bincount(hashed, minlength=BUCKETS)
    raw = np.frombuffer(text.encode("utf-8", "replace"), np.uint8).astype(np.uint64)
    if len(raw) >= 4:
        rolled = ((raw[:-3] * 257 + raw[1:-2]) * 257 + raw[2:-1]) * 257 + raw[3:]
        mixed = (rolled * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(52)  # 12 bits: BUCKETS
        out[BUCKETS:] = np.bincount(mixed.astype(np.int64), minlength=BUCKETS)
    return out


def weighted(seen: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logarithmic counts times inverse document frequency; both halves of a text have length one.

    What stands in one text only says nothing of two texts' likeness and is left out.
    """
    halves = []
    for half in (seen[:, :BUCKETS], seen[:, BUCKETS:]):
        in_texts = (half > 0).sum(axis=0)
        shared = in_texts > 1
        inverse = np.log((1 + len(seen)) / (1 + in_texts[shared])) + 1
        out = np.log1p(half[:, shared]) * inverse.astype(np.float32)
        halves.append(out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9))
    return np.concatenate(halves, axis=1)


def _fitted(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = scores.min(axis=0), scores.max(axis=0)
    width = np.where(high - low > 1e-12, high - low, 1.0)
    return np.asarray(np.where(high - low > 1e-12, (scores - low) / width, 0.5))

"""Texts as points: alike texts lie together, and the picture does not change."""

from __future__ import annotations

import numpy as np

from synthgain.report.plane import leading, plane

BOATS = [f"The boat {i} sails over the sea with its crew and its captain number {i}" for i in range(20)]
BREAD = [f"Knead the dough, add flour {i} and yeast, and bake the bread for {i} minutes" for i in range(20)]


def test_alike_texts_lie_together() -> None:
    points = plane(BOATS + BREAD).points
    inside = max(np.linalg.norm(part - part.mean(axis=0), axis=1).mean() for part in (points[:20], points[20:]))
    between = np.linalg.norm(points[:20].mean(axis=0) - points[20:].mean(axis=0))
    assert between > 3 * inside
    assert points.min() >= 0 and points.max() <= 1


def test_the_components_are_those_of_a_full_decomposition() -> None:
    made = np.random.default_rng(1).standard_normal((60, 200)).astype(np.float32)
    made[:, 0] += np.linspace(-30, 30, 60)
    made[:, 1] += 12 * np.sin(np.arange(60))
    made -= made.mean(axis=0)
    scores, squares = leading(made)
    left, sizes, _ = np.linalg.svd(made.astype(np.float64), full_matrices=False)
    assert np.allclose(squares, sizes[:2] ** 2, rtol=1e-3)
    assert np.allclose(np.abs(scores), np.abs(left[:, :2] * sizes[:2]), atol=0.15)


def test_the_same_texts_give_the_same_points() -> None:
    assert np.array_equal(plane(BOATS + BREAD).points, plane(BOATS + BREAD).points)


def test_too_few_equal_empty_and_broken_texts() -> None:
    assert plane([]).points.shape == (0, 2)
    assert np.array_equal(plane(["a", "b"]).points, np.full((2, 2), 0.5))
    assert np.isfinite(plane(["same text here"] * 5).points).all()
    assert np.isfinite(plane(["", "", "", "a\ud800b", "\x00"]).points).all()

"""Mean distance to medoids: closed forms, against every choice of medoids, and coverage."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest

from synthgain.measure.data import Data
from synthgain.measure.spread import distances, jackknifed, mdm, mean_distance, settled, spread


def test_equal_texts_lie_at_their_medoid_and_orthogonal_ones_apart() -> None:
    axes = np.eye(5)
    assert spread(np.repeat(axes, 4, axis=0)) == pytest.approx(0, abs=1e-7)
    assert spread(np.eye(25)) == pytest.approx(
        np.sqrt(2) * 20 / 21 / 5
    )  # one cluster has all that are no medoids, √2 away


def test_the_medoids_are_as_good_as_any() -> None:
    """No swap is left that helps; on 11 points in a plane the sum is within a hundredth of the best of all 462 choices."""
    worse = 0
    for seed in range(20):
        points = np.random.default_rng(seed).normal(0, 1, (11, 2))
        far = distances(points)
        assert far == pytest.approx(np.linalg.norm(points[:, None] - points, axis=2), abs=1e-7)
        mine = far[:, settled(far, np.arange(5))].min(1).sum()
        best = min(far[:, list(some)].min(1).sum() for some in combinations(range(11), 5))
        assert mine >= best - 1e-9
        worse += mine > 1.01 * best
    assert worse <= 5


class Plane:
    """An embedder of texts that are two numbers."""

    identity = uri = "plane"

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([[float(x) for x in text.split()] for text in texts])


def points(rng: np.random.Generator, n: int, width: float) -> np.ndarray:
    centres = 10 * np.array([[0, 0], [1, 0], [0, 1], [1, 1], [2, 2]])
    return centres[rng.integers(0, 5, n)] + rng.normal(0, width, (n, 2))


def test_the_interval_covers() -> None:
    """Five clouds far apart: the truth is the mean distance from a cloud's middle, width · √(π/2), and the medoids sit near it."""
    rng, hits, values = np.random.default_rng(0), 0, []
    for seed in range(100):
        value, low, high = jackknifed(points(rng, 200, 0.5), np.arange(200), seed=seed)
        values.append(value)
        hits += low <= 0.5 * np.sqrt(np.pi / 2) <= high  # type: ignore[operator]
    assert np.mean(values) == pytest.approx(0.5 * np.sqrt(np.pi / 2), rel=0.02) and 0.88 <= hits / 100 <= 1


def test_rows_stand_beside_anchors_and_few_give_no_figure() -> None:
    rng = np.random.default_rng(1)
    narrow, wide = ([f"{x} {y}" for x, y in points(rng, 120, width)] for width in (0.2, 0.6))
    rows, anchors = mdm(Data.of(narrow, wide), embedder=Plane())
    assert (rows.name, anchors.name, rows.n) == ("mdm", "mdm_anchors", 120)
    assert rows.high < anchors.low and rows.kind == "proxy"  # type: ignore[operator]
    few, none = mdm(Data.of(narrow[:9], []), embedder=Plane())
    assert few.value is None and none.value is None and "too few" in few.note
    far = distances(points(rng, 30, 0.5))
    assert mean_distance(far, settled(far, np.arange(5))) > 0

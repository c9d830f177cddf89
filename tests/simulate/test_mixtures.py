import numpy as np
import pytest

from synthgain.simulate.mixtures import Mixtures, even, even_counts, mixture
from synthgain.types import SynthgainError


def random_mixtures(seed: int, worlds: int, k: int, d: int) -> Mixtures:
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((worlds, k, d, d))
    return Mixtures(
        rng.dirichlet(np.ones(k), size=worlds),
        3 * rng.standard_normal((worlds, k, d)),
        a @ a.swapaxes(-1, -2) + 0.1 * np.eye(d),
    )


@pytest.mark.parametrize("d", [2, 3, 5])
def test_log_density_equals_the_definition(d):
    law = random_mixtures(d, worlds=3, k=4, d=d)
    points = np.random.default_rng(1).normal(size=(3, 7, d))
    for world in range(3):
        for i in range(7):
            total = 0.0
            for w, m, c in zip(law.weights[world], law.means[world], law.covariances[world], strict=True):
                off = points[world, i] - m
                quadratic = off @ np.linalg.solve(c, off)
                total += w * np.exp(-quadratic / 2) / np.sqrt((2 * np.pi) ** d * np.linalg.det(c))
            assert law.log_density(points)[world, i] == pytest.approx(np.log(total), rel=1e-9, abs=1e-9)


def test_log_density_is_the_same_far_from_the_origin():
    law = random_mixtures(0, worlds=2, k=3, d=2)
    points = np.random.default_rng(1).normal(size=(2, 9, 2))
    moved = Mixtures(law.weights, law.means + 1e5, law.covariances)
    assert moved.log_density(points + 1e5) == pytest.approx(law.log_density(points), abs=1e-6)


@pytest.mark.parametrize("evenly", [False, True])
def test_draws_have_the_mixtures_mean_and_covariance(evenly):
    law = random_mixtures(3, worlds=2, k=3, d=2)
    x = law.draw(np.random.default_rng(5), 200_000, even=evenly)
    for world in range(2):
        w, m, c = law.weights[world], law.means[world], law.covariances[world]
        mean = w @ m
        spread = sum(wi * (ci + np.outer(mi - mean, mi - mean)) for wi, mi, ci in zip(w, m, c, strict=True))
        assert x[world].mean(axis=0) == pytest.approx(mean, abs=4 * np.sqrt(spread.max() / 200_000))
        assert np.cov(x[world].T) == pytest.approx(spread, rel=0.03, abs=0.05)


def test_even_counts_are_within_one_of_the_share_and_unbiased():
    weights = np.array([[0.137, 0.4, 0.463]])
    rng = np.random.default_rng(0)
    counts = np.array([even_counts(rng, weights, 10)[0] for _ in range(4000)])
    assert (counts.sum(axis=1) == 10).all()
    assert (np.abs(counts - 10 * weights) < 1).all()
    assert counts.mean(axis=0) == pytest.approx(10 * weights[0], abs=0.05)


def test_even_gives_equal_weights():
    law = even(np.zeros((2, 5, 2)), np.broadcast_to(np.eye(2), (2, 5, 2, 2)))
    assert law.weights == pytest.approx(np.full((2, 5), 0.2))


@pytest.mark.parametrize(
    ("weights", "means", "covariances", "says"),
    [
        ([1.0], [[0, 0]], [[[1, 1], [1, 1]]], "singular"),
        ([1.0], [[0, 0]], [[[1, 0.5], [0.2, 1]]], "not symmetric"),
        ([1.0], [[0, 0]], [[[1, 2], [2, 1]]], "singular"),
        ([0.5, 0.6], [[0, 0], [1, 1]], [np.eye(2)] * 2, "sum to 1"),
        ([-0.5, 1.5], [[0, 0], [1, 1]], [np.eye(2)] * 2, "at least 0"),
        ([1.0], [[np.nan, 0]], [np.eye(2)], "finite"),
        ([1.0], [[0, 0, 0]], [np.eye(2)], "shapes"),
    ],
)
def test_what_has_no_density_is_refused(weights, means, covariances, says):
    with pytest.raises(SynthgainError, match=says):
        mixture(weights, means, covariances)

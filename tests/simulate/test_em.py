import warnings

import numpy as np
import pytest

from synthgain.simulate.em import Fit, cluster_means, nearest, seeds
from synthgain.simulate.generators import truths
from synthgain.simulate.mixtures import Mixtures, even
from synthgain.types import SynthgainError


def data(worlds: int, components: int, n: int) -> tuple[Mixtures, np.ndarray]:
    rng = np.random.default_rng(11)
    law = truths(rng, "sound", worlds, components, 2)
    return law, law.draw(rng, n)


def slow_em(points, member, steps, floor=1e-6):
    """The textbook, one component and one point at a time."""
    n, d = points.shape
    k = len(member)
    for step in range(steps + 1):
        weights = member.sum(axis=1) / n
        means = [member[j] @ points / member[j].sum() for j in range(k)]
        spreads = [
            sum(r * np.outer(x - means[j], x - means[j]) for r, x in zip(member[j], points, strict=True))
            / member[j].sum()
            + floor * np.eye(d)
            for j in range(k)
        ]
        if step == steps:
            return weights, np.array(means), np.array(spreads)
        member = np.array(
            [
                [
                    weights[j]
                    * np.exp(-(x - means[j]) @ np.linalg.inv(spreads[j]) @ (x - means[j]) / 2)
                    / np.sqrt(np.linalg.det(spreads[j]))
                    for x in points
                ]
                for j in range(k)
            ]
        )
        member /= member.sum(axis=0)
    raise AssertionError


def test_steps_of_em_equal_the_textbook():
    _, points = data(3, 3, 60)
    member = np.random.default_rng(2).dirichlet(np.ones(3), size=(3, 60)).swapaxes(1, 2)
    found = Fit(tolerance=0.0, steps=5).climb(points, member)
    for world in range(3):
        weights, means, spreads = slow_em(points[world], member[world], 5)
        assert found.weights[world] == pytest.approx(weights, rel=1e-6)
        assert found.means[world] == pytest.approx(means, rel=1e-6)
        assert found.covariances[world] == pytest.approx(spreads, rel=1e-5, abs=1e-8)


def test_each_world_is_fitted_as_if_it_were_alone():
    _, points = data(12, 3, 80)
    member = np.random.default_rng(2).dirichlet(np.ones(3), size=(12, 80)).swapaxes(1, 2)
    together = Fit().climb(points, member)
    for world in range(12):
        alone = Fit().climb(points[world : world + 1], member[world : world + 1])
        assert together.means[world] == pytest.approx(alone.means[0], abs=1e-9)


def test_one_component_is_the_sample_moments():
    _, points = data(4, 2, 50)
    found = Fit()(np.random.default_rng(0), points, 1)
    assert found.means[:, 0] == pytest.approx(points.mean(axis=1))
    assert found.covariances[2, 0] == pytest.approx(np.cov(points[2].T, bias=True) + 1e-6 * np.eye(2))


def test_separated_components_are_found():
    means = np.array([[[0, 0], [50, 0], [0, 50]]] * 5, dtype=float)
    law = even(means, np.broadcast_to(np.eye(2), (5, 3, 2, 2)).copy())
    rng = np.random.default_rng(0)
    found = Fit()(rng, law.draw(rng, 900), 3)
    for world in range(5):
        place = found.means[world][np.lexsort(found.means[world].round().T)]
        assert np.abs(place - means[world][np.lexsort(means[world].T)]).max() < 0.4


def test_an_empty_cluster_moves_to_the_farthest_point():
    points = np.array([[[0.0, 0], [1, 0], [0, 1], [9, 9]]])
    centres = np.array([[[0.0, 0], [100, 100]]])
    moved = cluster_means(points, nearest(points, centres), centres)
    assert moved[0, 1] == pytest.approx([9, 9])


def test_seeds_are_points_and_duplicates_do_no_harm():
    points = np.zeros((2, 10, 2))
    points[:, 0] = 5.0
    assert np.isin(seeds(np.random.default_rng(0), points, 3), [0.0, 5.0]).all()
    fitted = Fit()(np.random.default_rng(0), points, 2)
    assert np.isfinite(fitted.log_density(points)).all()


@pytest.mark.parametrize(("n", "k"), [(3, 4), (3, 0)])
def test_too_few_points_or_components_are_refused(n, k):
    with pytest.raises(SynthgainError, match="component"):
        Fit()(np.random.default_rng(0), np.zeros((1, n, 2)), k)


def test_fits_agree_with_scikit_learn():
    """ESTIMATORS check 26: mean log-likelihood within 2 % and KS p > .01 on 150 worlds."""
    GaussianMixture = pytest.importorskip("sklearn.mixture", reason="pip install scikit-learn").GaussianMixture
    ks_2samp = pytest.importorskip("scipy.stats", reason="pip install scipy").ks_2samp
    law, points = data(150, 6, 200)
    rng = np.random.default_rng(4)
    held_out = law.draw(rng, 500)
    found = Fit()(rng, points, 6)
    mine = np.stack([found.log_density(x).mean(axis=1) for x in (points, held_out)])
    limits = pytest.importorskip("threadpoolctl", reason="pip install scikit-learn").threadpool_limits
    with warnings.catch_warnings(), limits(1):
        warnings.simplefilter("ignore")  # fits that stop early
        fits = [GaussianMixture(6, random_state=i).fit(x) for i, x in enumerate(points)]
    theirs = np.array([[f.score(x) for f, x in zip(fits, xs, strict=True)] for xs in (points, held_out)])
    assert mine[0].mean() == pytest.approx(theirs[0].mean(), rel=0.02)
    assert ks_2samp(mine[0], theirs[0]).pvalue > 0.01
    assert ks_2samp(mine[1], theirs[1]).pvalue > 0.01

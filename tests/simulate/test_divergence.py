import numpy as np
import pytest

from synthgain.simulate import divergence as far
from synthgain.simulate.mixtures import Mixtures, mixture
from synthgain.types import SynthgainError


def gaussian(mean, covariance) -> Mixtures:
    return mixture([1.0], [mean], [covariance])


P = gaussian([0.0, 0.0], [[1.0, 0.3], [0.3, 0.5]])
Q = gaussian([1.0, -0.5], [[2.0, -0.4], [-0.4, 1.0]])


def closed(p: Mixtures, q: Mixtures) -> float:
    return far.gaussian_kl(p.means[0, 0], p.covariances[0, 0], q.means[0, 0], q.covariances[0, 0])


def test_closed_form_of_one_dimension_at_a_time():
    """Independent coordinates add up: KL(N(m, s²) ‖ N(0, 1)) = (s² + m² − 1 − ln s²)/2 each."""
    p, q = gaussian([1.0, 2.0], np.diag([0.5, 3.0])), gaussian([0.0, 0.0], np.eye(2))
    expected = sum((s + m * m - 1 - np.log(s)) / 2 for m, s in ((1.0, 0.5), (2.0, 3.0)))
    assert closed(p, q) == pytest.approx(expected, abs=1e-12)


def test_exact_kl_of_gaussians_through_the_mixture_code():
    """ESTIMATORS check 25: by quadrature over the mixture's densities to 1e-10, by draws within 4 standard errors."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(12)
    grid = np.array([(a, b) for a in nodes for b in nodes])
    mass = np.array([u * v for u in weights for v in weights]) / (2 * np.pi)
    points = (P.means[0, 0] + grid @ np.linalg.cholesky(P.covariances[0, 0]).T)[None]
    exact = float(mass @ (P.log_density(points) - Q.log_density(points))[0])
    assert exact == pytest.approx(closed(P, Q), abs=1e-10)
    value, error = far.kl(P, Q, np.random.default_rng(0), 20_000)
    assert abs(value[0] - closed(P, Q)) < 4 * error[0]


def test_a_split_component_changes_nothing():
    halves = mixture([0.25, 0.75], [P.means[0, 0]] * 2, [P.covariances[0, 0]] * 2)
    assert far.kl(halves, P, np.random.default_rng(0), 100)[0][0] == pytest.approx(0.0, abs=1e-12)


def test_a_shift_is_seen_by_exact_densities_and_not_by_the_histogram():
    moved = gaussian([1000.0, 0.0], P.covariances[0, 0])
    assert far.kl(P, moved, np.random.default_rng(0), 1000)[0][0] > 1e5
    x = P.draw(np.random.default_rng(0), 1000)
    assert far.histogram_kl(x, x + 1000.0)[0] == pytest.approx(0.0, abs=1e-9)


def test_the_histogram_is_far_from_zero_for_the_same_law():
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((50, 1000, 2)) for _ in range(2))
    assert far.histogram_kl(x, y).mean() == pytest.approx(8.1, abs=0.4)  # ESTIMATORS C3: 8.10 ± 0.91


def test_the_histogram_equals_the_estimator_written_with_numpy():
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((4, 500, 2)), 2 + 3 * rng.standard_normal((4, 500, 2))
    for world in range(4):
        p, q = (np.maximum(np.histogramdd(s, bins=50, density=True)[0], 1e-10).ravel() for s in (x[world], y[world]))
        p, q = p / p.sum(), q / q.sum()
        assert far.histogram_kl(x, y)[world] == pytest.approx(float((p * np.log(p / q)).sum()), rel=1e-9)


def test_forward_gap_is_the_difference_of_the_forward_divergences():
    truth = mixture([0.5, 0.5], [[0, 0], [4, 4]], [np.eye(2)] * 2)
    anchor, synthetic = far.forward(P, Q, truth, np.random.default_rng(0), 20_000)
    other = np.random.default_rng(9)
    for fit, found in ((P, anchor), (Q, synthetic)):
        value, error = far.kl(truth, fit, other, 20_000)
        assert abs(value[0] - found[0]) < 6 * error[0]


def test_missing_mode_costs_little_in_reverse_and_much_forward():
    truth = mixture([0.5, 0.5], [[0, 0], [30, 0]], [np.eye(2)] * 2)
    half = gaussian([0.0, 0.0], np.eye(2))
    rng = np.random.default_rng(0)
    assert far.kl(half, truth, rng, 2000)[0][0] == pytest.approx(np.log(2), abs=1e-6)
    assert far.kl(truth, half, rng, 2000)[0][0] > 100


def test_entropy_and_total_variation_against_closed_forms():
    rng = np.random.default_rng(0)
    expected = 0.5 * np.log((2 * np.pi * np.e) ** 2 * np.linalg.det(P.covariances[0, 0]))
    assert far.entropy(P, rng, 40_000)[0] == pytest.approx(expected, abs=0.03)
    moved = gaussian([1.5, 0.0], np.eye(2))
    # two unit Gaussians at distance 1.5: 2Φ(0.75) − 1
    assert far.total_variation(moved, gaussian([0.0, 0.0], np.eye(2)), rng, 40_000)[0] == pytest.approx(
        0.5467, abs=0.01
    )


def test_a_histogram_in_many_dimensions_is_refused():
    with pytest.raises(SynthgainError, match="cells"):
        far.histogram_kl(np.zeros((1, 10, 4)), np.zeros((1, 10, 4)))

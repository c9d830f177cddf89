"""The audit of the released code (ESTIMATORS.md section 1.2), as far as docs/laboratory.md and tests/simulate do not show it."""

import math

import numpy as np
import pytest

from synthgain.simulate import scene
from synthgain.simulate.divergence import histogram_kl
from synthgain.simulate.gmm import point


def test_c1_a_product_of_two_different_matrices_is_no_covariance():
    """rand(2, 2) @ rand(2, 2).T: the symmetric part has a negative eigenvalue in 72.5 % of draws."""
    rng = np.random.default_rng(0)
    drawn = rng.random((20_000, 2, 2)) @ rng.random((20_000, 2, 2)).swapaxes(1, 2)
    smallest = np.linalg.eigvalsh((drawn + drawn.swapaxes(1, 2)) / 2)[:, 0]
    share = float((smallest < 0).mean())
    assert abs(share - 0.725) < 4 * math.sqrt(0.725 * 0.275 / 20_000) + 0.0005  # the figure has three digits
    assert (np.abs(drawn - drawn.swapaxes(1, 2)).max(axis=(1, 2)) > 1e-6).all()


def test_c1_numpy_then_draws_from_another_law():
    """Its draws have covariance (CᵀC)^½, not C and not its symmetric part."""
    given = np.array([[0.5, 0.9], [0.2, 0.4]])
    rng = np.random.RandomState(0)
    points = rng.multivariate_normal([0, 0], given, size=200_000, check_valid="ignore")
    values, vectors = np.linalg.eigh(given.T @ given)
    effective = vectors @ np.diag(np.sqrt(values)) @ vectors.T
    found = np.cov(points.T)
    assert np.abs(found - effective).max() < 0.02
    assert np.abs(found - (given + given.T) / 2).max() > 0.1


def test_c3_the_histogram_of_one_law_against_itself_nears_0_only_with_very_many_points():
    """Two samples of N(0, I): about 8 nats at 1,000 points, still about 0.24 at 100,000; the truth is 0."""
    rng = np.random.default_rng(0)
    few = histogram_kl(rng.standard_normal((40, 1000, 2)), rng.standard_normal((40, 1000, 2)))
    assert abs(few.mean() - 8.10) < 4 * few.std() / math.sqrt(40) + 0.2
    many = histogram_kl(rng.standard_normal((4, 100_000, 2)), rng.standard_normal((4, 100_000, 2)))
    assert 0.15 < many.mean() < 0.35


def test_c4_world_by_world_the_histogram_does_not_follow_the_gap_that_it_stands_for():
    found = point(worlds=100, draws=500, rounds=3)
    published, exact = found.gap("histogram"), found.gap("reverse")
    agree = float(((published > 0) == (exact > 0)).mean())
    assert agree < 0.5  # 35 % there: worse than a coin
    ranks = [np.argsort(np.argsort(x)) for x in (published, exact)]
    assert abs(np.corrcoef(*ranks)[0, 1]) < 0.4  # 0.13 [-0.11, 0.34] there


@pytest.mark.parametrize("k", [2, 15])
def test_c5_c6_code_and_text_ask_for_different_worlds(k):
    """The code: K components on the anchors, K + J + L on 200 synthetic points; anchors grow with K. The text: alike, 1,000."""
    code, text = (scene(K=k, J=2, L=2, protocols=(name,)) for name in ("authors", "text"))
    size = {
        name: {part: len(values) for part, values in one["scene"].items()}
        for name, one in (("code", code), ("text", text))
    }
    assert (size["code"]["anchors"], size["code"]["synthetic"]) == (50 * k, 200)
    assert (size["code"]["anchor_fit"], size["code"]["synthetic_fit"]) == (k, k + 4)
    assert size["text"]["synthetic"] == 1000
    assert size["text"]["anchor_fit"] == size["text"]["synthetic_fit"] == k + 4


def test_c9_repeating_the_histogram_on_one_fitted_pair_removes_its_own_noise_only():
    """The mean over worlds stays, whatever the number of inner rounds; the spread over worlds hardly narrows."""
    one, ten = (point(worlds=60, draws=100, rounds=n, divergences=("histogram",)).gap("histogram") for n in (1, 10))
    assert abs(one.mean() - ten.mean()) < 4 * math.hypot(one.std(), ten.std()) / math.sqrt(60)
    assert ten.std() > 0.6 * one.std()

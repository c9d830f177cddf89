import numpy as np
import pytest

from synthgain.simulate.bayes import Location, prequential_regression, redundancy_coin, redundancy_regression
from synthgain.types import SynthgainError


@pytest.mark.parametrize("noise", [0.25, 4.0, 64.0])
def test_sampled_gains_agree_with_the_closed_forms(noise):
    task = Location(noise=noise)
    for draws, expected in zip(
        task.sampled(np.random.default_rng(0), 100_000), (task.gain, task.naive_gain), strict=True
    ):
        assert abs(draws.mean() - expected) < 4 * draws.std() / np.sqrt(len(draws))


def test_a_model_without_error_and_without_end_tells_everything():
    task = Location(synthetic=10**9, error=0.0)
    before = 1 / (1 / task.prior + task.anchors)
    assert task.gain == pytest.approx(0.5 * np.log(1 + before), abs=1e-6)


def test_coin_redundancy():
    """ESTIMATORS check 9."""
    assert redundancy_coin(100, 0.3) == pytest.approx(2.0280, abs=1e-4)
    assert redundancy_coin(1000, 0.3) == pytest.approx(3.1796, abs=1e-4)


def test_coin_redundancy_equals_the_sequential_code():
    rng = np.random.default_rng(0)
    paid = []
    for toss in rng.random((4000, 100)) < 0.3:
        ones = np.concatenate([[0], np.cumsum(toss)[:-1]])
        odds = (ones + 0.5) / (np.arange(100) + 1)
        paid.append(-np.log(np.where(toss, odds, 1 - odds)).sum())
    redundancy = np.array(paid) - 100 * -(0.3 * np.log(0.3) + 0.7 * np.log(0.7))
    assert abs(redundancy.mean() - redundancy_coin(100, 0.3)) < 4 * redundancy.std() / np.sqrt(len(redundancy))


def test_mean_coin_redundancy_is_the_mutual_information():
    """One toss under Jeffreys' prior: ln 2 minus the mean entropy 2 ln 2 − 1."""
    assert redundancy_coin(1) == pytest.approx(np.log(2) - (2 * np.log(2) - 1))


def test_regression_redundancy():
    """ESTIMATORS check 9: the mean prequential code length is ½ ln det within 4 standard errors."""
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((30, 4))
    paid = np.array(
        [
            prequential_regression(
                inputs, inputs @ rng.standard_normal(4) + np.sqrt(0.5) * rng.standard_normal(30), 0.5
            )
            for _ in range(1500)
        ]
    )
    assert abs(paid.mean() - redundancy_regression(inputs, 0.5)) < 4 * paid.std() / np.sqrt(len(paid))


@pytest.mark.parametrize(
    "broken",
    [
        lambda: Location(noise=0.0),
        lambda: Location(synthetic=0),
        lambda: Location().sampled(np.random.default_rng(0), 1),
        lambda: redundancy_coin(0),
        lambda: redundancy_coin(5, 1.0),
        lambda: redundancy_regression(np.zeros(3)),
    ],
)
def test_bad_input_is_refused(broken):
    with pytest.raises(SynthgainError):
        broken()

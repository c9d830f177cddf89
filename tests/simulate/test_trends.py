import numpy as np
import pytest

from synthgain.simulate.trends import Trend, middle, trend


def groups(slope: float, seed: int = 0, worlds: int = 60):
    rng = np.random.default_rng(seed)
    return [(float(x), slope * x + rng.standard_normal(worlds)) for x in range(2, 10)]


def test_spearman_equals_scipy():
    spearmanr = pytest.importorskip("scipy.stats", reason="pip install scipy").spearmanr
    data = groups(0.1)
    found = trend(data, np.random.default_rng(0))
    x = np.concatenate([np.full(len(v), at) for at, v in data])
    assert found.slope == pytest.approx(spearmanr(x, np.concatenate([v for _, v in data])).statistic, abs=1e-12)


def test_interval_covers_the_true_slope_of_independent_data():
    hits = 0
    for seed in range(60):
        found = trend(groups(0.0, seed, 30), np.random.default_rng(seed), resamples=200)
        hits += found.low <= 0 <= found.high
    assert hits >= 52  # nominal 57


@pytest.mark.parametrize(("slope", "up", "down"), [(0.5, True, False), (-0.5, False, True)])
def test_a_trend_holds_one_way(slope, up, down):
    found = trend(groups(slope), np.random.default_rng(0))
    assert (found.holds("up"), found.holds("down")) == (up, down)


def test_no_trend_is_neither():
    assert Trend(0.01, -0.02, 0.04).holds("up") is None
    assert trend(groups(0.5)[:1], np.random.default_rng(0)) == Trend(None, None, None)


def test_median_interval_has_its_coverage():
    rng = np.random.default_rng(0)
    for n in (6, 25, 100):
        hits = 0
        for _ in range(400):
            found = middle(rng.exponential(size=n))
            hits += found.low <= np.log(2) <= found.high
        assert hits >= 0.93 * 400


def test_median_interval_is_the_known_order_statistics():
    found = middle(np.arange(1.0, 101.0))
    assert (found.median, found.low, found.high) == (50.5, 40.0, 61.0)  # binomial(100, 1/2): the 40th and 61st


def test_too_few_values_have_no_interval():
    assert middle(np.arange(5.0)).low is None
    assert middle(np.arange(6.0)).low == 0.0

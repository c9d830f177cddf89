import numpy as np
import pytest
from scipy.stats import bootstrap

from synthgain.intervals import wilson
from synthgain.measure import resample
from synthgain.measure.resample import mean_of_blocks, ratio_interval, share_interval, summed


def test_bca_equals_an_independent_one() -> None:
    rng = np.random.default_rng(0)
    below = rng.integers(5, 80, 60).astype(float)
    top = below * rng.gamma(1.0, 0.2, 60)
    mine = ratio_interval(top, below, resamples=20_000)

    def ratio(t: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
        return t.sum(axis=axis) / b.sum(axis=axis)

    theirs = bootstrap(
        (top, below), ratio, paired=True, method="BCa", n_resamples=20_000, rng=np.random.default_rng(1)
    ).confidence_interval
    width = theirs.high - theirs.low
    assert mine.low == pytest.approx(theirs.low, abs=0.03 * width)
    assert mine.high == pytest.approx(theirs.high, abs=0.03 * width)
    assert mine.value == top.sum() / below.sum() and "BCa" in mine.method


def test_it_covers_the_truth_for_paired_ratios() -> None:
    rng = np.random.default_rng(2)
    hits = 0
    for trial in range(300):
        tokens = rng.integers(20, 200, 60).astype(float)
        gain = tokens * (0.1 + rng.normal(0, 0.2, 60))
        found = ratio_interval(gain, tokens, resamples=500, seed=trial)
        hits += found.low <= 0.1 <= found.high  # type: ignore[operator]
    assert 268 <= hits <= 296  # 95 % of 300 is 285, standard error 3.8; a little less for 60 units


def test_tokens_are_not_the_unit() -> None:
    rng = np.random.default_rng(3)
    effect = np.repeat(rng.normal(0, 1, 50), 40)
    clustered = ratio_interval(effect.reshape(50, 40).sum(1), np.full(50, 40.0))
    naive = ratio_interval(effect, np.ones(2000))
    assert clustered.high - clustered.low > 4 * (naive.high - naive.low)  # type: ignore[operator]


def test_many_units_in_groups_give_the_same_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    below = rng.integers(5, 80, 20_000).astype(float)
    top = below * rng.gamma(1.0, 0.2, 20_000)
    grouped = ratio_interval(top, below)
    error = np.sqrt(((top - grouped.value * below) ** 2).sum()) / below.sum()
    assert grouped.high - grouped.low == pytest.approx(2 * 1.96 * error, rel=0.06)  # type: ignore[operator]
    monkeypatch.setattr(resample, "HELD", 10_000)
    assert ratio_interval(top[:500], below[:500]).value == pytest.approx(top[:500].sum() / below[:500].sum())


def test_the_seed_decides() -> None:
    top, below = np.arange(30.0), np.ones(30)
    assert ratio_interval(top, below, seed=7) == ratio_interval(top, below, seed=7)
    assert ratio_interval(top, below, seed=7) != ratio_interval(top, below, seed=8)


def test_where_bca_is_not_defined() -> None:
    same = ratio_interval([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    assert (same.value, same.low, same.high) == (2.0, 2.0, 2.0) and "percentile" in same.method
    one = ratio_interval([2.0], [1.0])
    assert (one.value, one.low, one.high) == (2.0, None, None)
    assert ratio_interval([2.0, 5.0], [1.0, 0.0]).low is None  # the second says nothing
    with pytest.raises(ValueError):
        ratio_interval([], [])


def test_shares_are_wilson_for_single_draws_and_wider_for_alike_ones() -> None:
    rng = np.random.default_rng(5)
    yes = (rng.random(400) < 0.3).astype(float)
    found = share_interval(yes, np.ones(400))
    assert (found.low, found.high) == pytest.approx(wilson(yes.sum(), 400), abs=2e-3)
    alike = share_interval(yes * 10, np.full(400, 10.0))
    assert alike.low < found.low and alike.high > found.high  # Student's quantile on 399, and 399 of 400 draws' worth
    assert (alike.low, alike.high) == pytest.approx((found.low, found.high), abs=3e-4)
    assert share_interval([0, 0], [5, 5]).high == pytest.approx(wilson(0, 2)[1])
    assert share_interval([5, 5], [5, 5]).low == pytest.approx(wilson(2, 2)[0])
    assert share_interval([1], [2]).low is None


def test_shares_cover_the_truth_when_units_differ() -> None:
    rng = np.random.default_rng(6)
    hits = 0
    for _ in range(400):
        n = rng.integers(5, 60, 80)
        k = rng.binomial(n, rng.beta(1.0, 4.0, 80))
        found = share_interval(k, n)
        hits += found.low <= 0.2 <= found.high  # type: ignore[operator]
    assert 366 <= hits <= 394


def test_sums_and_blocks() -> None:
    a, b = summed(np.array([7, 3, 7]), [1, 2, 3], [1, 1, 1])
    assert a.tolist() == [2, 4] and b.tolist() == [1, 2]
    blocks = mean_of_blocks([1.0, 2.0, 3.0])
    assert blocks.value == 2.0 and blocks.high == pytest.approx(2 + 4.302652729911275 / np.sqrt(3))
    assert mean_of_blocks([1.0]).low is None

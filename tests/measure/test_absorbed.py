import math

import numpy as np
import pytest

from synthgain.intervals import mean_t
from synthgain.measure.absorbed import OnePass, absorbed, area


@pytest.mark.parametrize(("n", "expected"), [(100, 2.0280), (1000, 3.1796)])
def test_the_kt_code_on_coin_flips(n: int, expected: float) -> None:
    """Expected redundancy of Krichevsky and Trofimov's code on Bernoulli(.3), exact: a sum over all counts of heads."""
    heads = np.arange(n + 1)[:, None]
    t = np.arange(n)
    seen = np.minimum(t, heads)  # heads come first; the order changes nothing of the sum
    chance = np.where(t < heads, seen + 0.5, t - seen + 0.5) / (t + 1)
    entropy = -0.3 * math.log(0.3) - 0.7 * math.log(0.7)
    each = area(-np.log(chance), np.ones(n), np.full(n + 1, entropy))
    log_weight = [
        math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * math.log(0.3) + (n - k) * math.log(0.7)
        for k in range(n + 1)
    ]
    assert float(np.exp(log_weight) @ each) == pytest.approx(expected, abs=5e-5)


def test_bayesian_linear_regression() -> None:
    """I(w; y | X) = ½ ln det(I + X Xᵀ τ²/σ²): the mean area of 200 runs lies within 4 standard errors of it."""
    dice = np.random.default_rng(9)
    n, d, tau, sigma, runs = 200, 5, 1.0, 0.7, 200
    x = dice.normal(size=(n, d))
    truth = 0.5 * np.linalg.slogdet(np.eye(d) + x.T @ x * tau**2 / sigma**2)[1]
    noise = dice.normal(0, sigma, (n, runs))
    y = x @ dice.normal(0, tau, (d, runs)) + noise
    precision, moment, online = np.eye(d) / tau**2, np.zeros((d, runs)), np.empty((runs, n))
    for t in range(n):
        spread = sigma**2 + x[t] @ np.linalg.solve(precision, x[t])
        miss = y[t] - x[t] @ np.linalg.solve(precision, moment)
        online[:, t] = 0.5 * np.log(2 * np.pi * spread) + miss**2 / (2 * spread)
        precision += np.outer(x[t], x[t]) / sigma**2
        moment += np.outer(x[t], y[t]) / sigma**2
    knowing = (0.5 * math.log(2 * math.pi * sigma**2) + noise**2 / (2 * sigma**2)).mean(0)  # the loss of who knows w
    found = area(online, np.ones(n), knowing)
    error = found.std(ddof=1) / math.sqrt(runs)
    assert abs(found.mean() - truth) < 4 * error and error < truth / 50


def test_the_first_pass_of_a_curve() -> None:
    curve = [
        {"step": 1, "loss": 3.0, "learnt": 10, "first": 10}, {"step": 2, "loss": 2.0, "learnt": 12, "first": 4},
        {"step": 3, "loss": 1.0, "learnt": 12, "first": 0},
    ]  # fmt: skip
    one = OnePass.of(curve)
    assert one.losses.tolist() == [3, 2] and one.tokens.tolist() == [10, 4] and one.mixed == pytest.approx(4 / 14)
    whole, per_token = absorbed([one], [1.5])
    assert whole.value == pytest.approx(10 * 1.5 + 4 * 0.5) and per_token.value == pytest.approx(17 / 14)
    assert (whole.name, whole.unit, per_token.name, per_token.unit) == (
        "absorbed",
        "nats/dataset",
        "absorbed_token",
        "nats/token",
    )
    assert "29% of the tokens" in whole.note


def test_an_interval_needs_three_orders() -> None:
    runs = [OnePass(np.array([3.0, 2.0 + x]), np.array([10.0, 10.0])) for x in (0.0, 0.1, 0.4)]
    for n in (1, 2):
        whole, per_token = absorbed(runs[:n], [1.0] * n)
        assert whole.value is not None and whole.low is per_token.low is None and "needs 3" in whole.note
    whole, per_token = absorbed(runs, [1.0] * 3, errors=[0.05] * 3)
    value, low, high = mean_t([30.0, 31.0, 34.0])
    assert (whole.value, whole.low, whole.high) == (pytest.approx(value), pytest.approx(low), pytest.approx(high))
    assert per_token.value == pytest.approx(value / 20) and whole.n == 3
    assert "uncertain by 1 nats" in whole.note


def test_nothing_is_absorbed_by_a_student_that_stays_as_it_was() -> None:
    assert absorbed([OnePass(np.full(5, 2.0), np.full(5, 8.0))], [2.0])[0].value == 0


@pytest.mark.parametrize(
    ("passes", "finals", "why"),
    [
        ([], [], "no training curve"),
        ([OnePass(np.empty(0), np.empty(0))], [1.0], "no step"),
        ([OnePass(np.array([math.nan]), np.array([3.0]))], [1.0], "not a number"),
        ([OnePass(np.array([1.0]), np.array([3.0]))], [math.nan], "not a number"),
        ([OnePass(np.array([1.0]), np.array([3.0]))], [], "1 curves and 0 final losses"),
    ],
)
def test_nothing_is_said_of_bad_curves(passes: list[OnePass], finals: list[float], why: str) -> None:
    for reading in absorbed(passes, finals):
        assert reading.value is None and why in reading.note

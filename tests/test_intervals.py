import math
import random

import numpy as np
import pytest

from synthgain.evaluate import Solved, difference
from synthgain.intervals import (
    clustered,
    effective_size,
    mean_of_clusters,
    mean_t,
    mean_two_way,
    of_clusters,
    t_quantile,
    wilson,
)


@pytest.mark.parametrize(
    ("df", "level", "table"),
    [
        (1, 0.95, 12.7062),
        (2, 0.95, 4.30265),
        (3, 0.95, 3.18245),
        (5, 0.95, 2.57058),
        (10, 0.95, 2.22814),
        (11, 0.99, 3.10581),
        (30, 0.95, 2.04227),
        (120, 0.95, 1.97993),
        (400, 0.9, 1.64867),
        (1000, 0.95, 1.96234),
    ],
)
def test_quantiles_of_t_are_those_of_the_tables(df: int, level: float, table: float) -> None:
    assert t_quantile(level, df) == pytest.approx(table, abs=2e-5)


def test_the_expansion_for_many_degrees_of_freedom_meets_the_series() -> None:
    assert t_quantile(0.95, 401) == pytest.approx(t_quantile(0.95, 400), abs=2e-5)
    assert t_quantile(0.95, 401) < t_quantile(0.95, 400)


def test_wilson_solves_its_own_equation() -> None:
    low, high = wilson(7, 20)
    for p in (low, high):  # the score equation: (p̂ − p)² = z² p (1 − p)/n
        assert (7 / 20 - p) ** 2 == pytest.approx(1.959964**2 * p * (1 - p) / 20, rel=1e-5)
    assert low < 7 / 20 < high
    z2 = 1.959964**2
    assert wilson(0, 10) == (0.0, pytest.approx(z2 / (10 + z2), rel=1e-6))
    assert wilson(10, 10) == (pytest.approx(10 / (10 + z2), rel=1e-6), 1.0)


def test_one_draw_a_question_is_plain_wilson() -> None:
    assert clustered([1.0, 0.0, 1.0, 1.0]) == (0.75, *wilson(3, 4))


def test_draws_that_agree_within_a_question_count_as_one() -> None:
    alike = [1.0] * 30 + [0.0] * 70  # every question all right or all wrong: 4 draws say no more than 1
    _, low, high = clustered(alike, draws=4)
    a, b = wilson(30, 100)
    assert high - low == pytest.approx(b - a, rel=0.03)
    everything = clustered([1.0] * 12, draws=8)
    assert everything == (1.0, wilson(12, 12)[0], 1.0)


def test_clustered_intervals_cover() -> None:
    """Draws of a question share its difficulty, Beta(1, 3): the mean accuracy is 1/4."""
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(600):
        shares = rng.binomial(4, rng.beta(1, 3, size=60)) / 4
        _, low, high = clustered(list(shares), draws=4)
        hits += low <= 0.25 <= high
    assert 0.93 <= hits / 600 <= 0.98


def test_the_effective_size_of_a_known_case() -> None:
    # two clusters, (1 of 1) and (1 of 3): p = 1/2, deviations 1/2 and -1/2, variance (1/4 + 1/4)/16 · 2 = 1/16, size 1/4 · 16
    assert effective_size([1, 1], [1, 3]) == pytest.approx(4.0)
    assert effective_size([0, 4, 0], [4, 4, 0]) == pytest.approx(1.0)  # one without draws is no cluster
    assert effective_size([2], [5]) == 1 and effective_size([0, 0, 0], [4, 2, 1]) == 3 == effective_size(
        [1, 0, 1], [1, 1, 1]
    )
    with pytest.raises(ValueError, match="no draws"):
        effective_size([], [])


def test_intervals_of_unequal_clusters_cover() -> None:
    rng = np.random.default_rng(5)
    draws, hits = np.tile([1, 2, 4, 8, 10], 16), 0
    for _ in range(600):
        right = rng.binomial(draws, rng.beta(1, 3, size=80))
        size = effective_size(right.tolist(), draws.tolist())
        low, high = of_clusters(right.sum() / draws.sum(), size, 80)
        hits += low <= 0.25 <= high
    assert 0.92 <= hits / 600 <= 0.98


def test_the_mean_interval_is_students() -> None:
    mean, low, high = mean_t([1.0, 2.0, 3.0, 4.0])
    half = 3.18245 * math.sqrt(5 / 3 / 4)
    assert (mean, low, high) == (2.5, pytest.approx(2.5 - half, abs=1e-4), pytest.approx(2.5 + half, abs=1e-4))
    assert mean_t([3.0]) == (3.0, None, None)


def _solved(right: dict[str, list[bool]]) -> Solved:
    return Solved((), right)


def test_a_paired_difference_is_narrower_than_two_shares_apart() -> None:
    hard = [random.Random(n).random() < 0.5 for n in range(200)]
    a = {str(n): [not h] for n, h in enumerate(hard)}
    b = {str(n): [not h and n % 10 > 0] for n, h in enumerate(hard)}  # b misses a few of what a knows
    found = difference(_solved(a), _solved(b))
    gaps = np.array([float(a[q][0]) - float(b[q][0]) for q in a])
    half = t_quantile(0.95, 199) * gaps.std(ddof=1) / math.sqrt(200)
    assert found.value == pytest.approx(gaps.mean())
    assert (found.low, found.high) == (pytest.approx(gaps.mean() - half), pytest.approx(gaps.mean() + half))
    assert found.low is not None and found.low > 0 and found.n == 200


def test_differences_only_count_shared_questions() -> None:
    found = difference(
        _solved({"1": [True], "2": [True, False], "3": [True]}), _solved({"1": [False], "2": [True], "9": [True]})
    )
    assert found.value == pytest.approx((1 - 0.5) / 2) and found.n == 2 and "2 of 3 and 3" in found.note
    nothing = difference(_solved({"1": [True]}), _solved({"2": [True]}))
    assert nothing.value is None and nothing.note


def test_equal_arms_do_not_get_an_interval_of_no_width() -> None:
    arm = _solved({str(n): [True] for n in range(50)})
    found = difference(arm, arm)
    unseen = wilson(0, 50)[1]
    assert (found.value, found.low, found.high) == (0.0, pytest.approx(-unseen), pytest.approx(unseen))
    best = difference(arm, _solved({str(n): [False] for n in range(50)}))
    assert (best.value, best.low, best.high) == (1.0, pytest.approx(1 - 2 * unseen), 1.0)


def test_paired_differences_cover() -> None:
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(400):
        a, b = rng.random(80) < 0.6, rng.random(80) < 0.4
        found = difference(
            _solved({str(n): [bool(x)] for n, x in enumerate(a)}), _solved({str(n): [bool(x)] for n, x in enumerate(b)})
        )
        assert found.low is not None and found.high is not None
        hits += found.low <= 0.2 <= found.high
    assert 0.92 <= hits / 400 <= 0.98


def test_the_two_way_variance_is_that_of_the_analysis_of_variance() -> None:
    """One value a cell: Var = (MS_rows + MS_columns − MS_rest)/(rows × columns), by mean squares made independently here."""
    rng = np.random.default_rng(3)
    y = rng.normal(size=(12, 1)) + 0.8 * rng.normal(size=(1, 4)) + 0.5 * rng.normal(size=(12, 4))
    n, k = y.shape
    rows, columns, mean = y.mean(1), y.mean(0), y.mean()
    of_rows = k * rows.var(ddof=1)
    of_columns = n * columns.var(ddof=1)
    rest = ((y - rows[:, None] - columns[None] + mean) ** 2).sum() / ((n - 1) * (k - 1))
    variance = (of_rows + of_columns - rest) / (n * k)
    freedom = (of_rows + of_columns - rest) ** 2 / (
        of_rows**2 / (n - 1) + of_columns**2 / (k - 1) + rest**2 / ((n - 1) * (k - 1))
    )
    found, low, high = mean_two_way(y.tolist(), [str(i) for i in range(n)])
    assert found == pytest.approx(mean)
    assert (high - low) / 2 == pytest.approx(t_quantile(0.95, int(freedom)) * math.sqrt(variance))  # type: ignore[operator]


def test_of_one_student_or_one_cluster_the_interval_is_over_the_other() -> None:
    values, names = [[1.0], [3.0], [2.0], [6.0]], ["a", "a", "b", "c"]
    assert mean_two_way(values, names) == pytest.approx(mean_of_clusters([1.0, 3.0, 2.0, 6.0], names))
    alike = [[1.0, 2.0, 6.0], [3.0, 4.0, 8.0]]
    assert mean_two_way(alike, ["a", "a"]) == pytest.approx(mean_t([2.0, 3.0, 7.0]))
    assert mean_two_way([[1.0], [2.0]], ["a", "a"]) == (1.5, None, None)
    assert mean_two_way([[1.0, 1.0], [1.0, 1.0]], ["a", "b"]) == (1.0, 1.0, 1.0)
    with pytest.raises(ValueError):
        mean_two_way([[1.0], [1.0, 2.0]], ["a", "b"])


@pytest.mark.parametrize(("documents", "seeds", "least"), [(12, 3, 0.92), (8, 5, 0.93), (30, 2, 0.86)])
def test_two_way_intervals_cover_where_one_way_intervals_do_not(documents: int, seeds: int, least: float) -> None:
    """Documents, students and both together differ; three questions a document. The interval over documents alone misses far more often."""
    rng = np.random.default_rng(4)
    hits = alone = 0
    names = [str(d) for d in range(documents) for _ in range(3)]
    for _ in range(600):
        y = 0.5 + 0.3 * rng.normal(size=(documents, 1, 1)) + 0.25 * rng.normal(size=(1, 1, seeds))
        y = y + 0.2 * rng.normal(size=(documents, 1, seeds)) + 0.3 * rng.normal(size=(documents, 3, seeds))
        values = y.reshape(documents * 3, seeds)
        _, low, high = mean_two_way(values.tolist(), names)
        hits += low <= 0.5 <= high  # type: ignore[operator]
        _, low, high = mean_of_clusters(values.mean(1).tolist(), names)
        alone += low <= 0.5 <= high  # type: ignore[operator]
    assert least <= hits / 600 <= 0.995
    assert alone / 600 < hits / 600 - 0.05

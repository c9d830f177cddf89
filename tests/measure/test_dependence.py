"""HSIC against its closed form and the sum over all tuples, its permutation test, and the reading on rows."""

from itertools import permutations

import numpy as np
import pytest

from synthgain.measure.data import Data
from synthgain.measure.dependence import bearable, dependence, nhsic
from synthgain.measure.hsic import gaussian, gaussian_blocks, hsic, hsic_weighted, median_distance
from synthgain.models.embedders import open_embedder


@pytest.fixture(scope="module")
def words():
    return open_embedder("words")


def correlated(random: np.random.Generator, n: int, rho: float = 0.5, d: int = 1) -> tuple[np.ndarray, np.ndarray]:
    x = random.normal(size=(n, d))
    return x, rho * x + np.sqrt(1 - rho**2) * random.normal(size=(n, d))


def by_fourier_features(x: np.ndarray, y: np.ndarray, random: np.random.Generator, features: int = 200) -> float:
    """The unbiased HSIC, both kernels of width 1 by random Fourier features (Rahimi and Recht 2007)."""

    def waves(side: np.ndarray) -> np.ndarray:
        angles = side @ random.normal(size=(side.shape[1], features // 2))
        return np.concatenate([np.cos(angles), np.sin(angles)], axis=1) / np.sqrt(features // 2)

    phi, psi, n = waves(x), waves(y), len(x)
    a, b = phi @ phi.sum(0) - 1.0, psi @ psi.sum(0) - 1.0  # sums of kernel rows without the diagonal, which is 1
    both = float(((phi.T @ psi) ** 2).sum()) - n
    return float((both + a.sum() * b.sum() / ((n - 1) * (n - 2)) - 2 * (a @ b) / (n - 2)) / (n * (n - 3)))


def closed_form(rho: float, s: float, d: int) -> float:
    """HSIC of two standard Gaussians with correlation rho in each of d coordinates, both kernels of width s."""
    a = 1 + 2 / s**2
    return (a * a - 4 * rho**2 / s**4) ** (-d / 2) + a**-d - 2 * (a * a - rho**2 / s**4) ** (-d / 2)


def biased(k: np.ndarray, l: np.ndarray) -> float:  # noqa: E741
    n = len(k)
    centre = np.eye(n) - 1 / n
    return float(np.trace(k @ centre @ l @ centre) / n**2)


def over_tuples(k: np.ndarray, l: np.ndarray, w: np.ndarray) -> float:  # noqa: E741
    """The weighted U-statistic by its definition: sums over tuples of different indices."""
    n = range(len(w))
    two = [(w[i] * w[j], k[i, j] * l[i, j]) for i, j in permutations(n, 2)]
    three = [(w[i] * w[j] * w[q], k[i, j] * l[i, q]) for i, j, q in permutations(n, 3)]
    four = [(w[i] * w[j] * w[q] * w[r], k[i, j] * l[q, r]) for i, j, q, r in permutations(n, 4)]
    mean = [sum(a * b for a, b in each) / sum(a for a, _ in each) for each in (two, three, four)]
    return float(mean[0] - 2 * mean[1] + mean[2])


# ---------------------------------------------------------------------------------------------- check 10


def test_the_mean_of_the_unbiased_form_is_the_closed_form_and_the_biased_one_lies_above() -> None:
    assert closed_form(0.5, 1.0, 1) == pytest.approx(8**-0.5 + 1 / 3 - 2 * 8.75**-0.5, abs=1e-12)
    random = np.random.default_rng(0)
    u, v = [], []
    for _ in range(200):
        x, y = correlated(random, 100)
        k, l = gaussian(x, 1.0), gaussian(y, 1.0)  # noqa: E741
        u.append(hsic(k, l))
        v.append(biased(k, l))
    error = np.std(u, ddof=1) / np.sqrt(200)
    assert abs(np.mean(u) - closed_form(0.5, 1.0, 1)) < 4 * error
    assert np.mean(v) - np.mean(u) > 10 * np.std(np.subtract(v, u), ddof=1) / np.sqrt(200)


def test_without_dependence_it_averages_to_zero_in_many_dimensions() -> None:
    random = np.random.default_rng(1)
    values = []
    for _ in range(100):
        x, y = random.normal(size=(2, 60, 64))
        values.append(hsic(gaussian(x, median_distance(x)), gaussian(y, median_distance(y))))
    assert abs(np.mean(values)) < 4 * np.std(values, ddof=1) / 10


def test_with_linear_kernels_it_is_the_squared_cross_covariance() -> None:
    random = np.random.default_rng(2)
    mixing = random.normal(size=(3, 2))
    values = []
    for _ in range(200):
        x = random.normal(size=(80, 3))
        y = x @ mixing + random.normal(size=(80, 2))
        values.append(hsic(x @ x.T, y @ y.T))
    assert abs(np.mean(values) - (mixing**2).sum()) < 4 * np.std(values, ddof=1) / np.sqrt(200)


def test_it_is_the_sum_over_tuples_of_different_pairs_also_with_weights() -> None:
    random = np.random.default_rng(3)
    x, y = correlated(random, 7, d=2)
    k, l = gaussian(x, 1.0), gaussian(y, 0.7)  # noqa: E741
    weights = np.stack([np.ones(7), random.integers(0, 4, 7), random.uniform(0, 2, 7)], axis=1)
    expected = [over_tuples(k, l, w) for w in weights.T]
    assert hsic_weighted(k, l, weights) == pytest.approx(expected, rel=1e-9)
    assert hsic(k, l) == pytest.approx(expected[0], rel=1e-9)


# ---------------------------------------------------------------------------------------------- check 11


def test_the_permutation_test_keeps_its_size() -> None:
    random = np.random.default_rng(4)
    rejected = 0
    for trial in range(200):
        x, y = random.normal(size=(2, 30, 8))
        found = dependence(x, y, np.arange(30), permutations=99, resamples=2, seed=trial)
        assert found is not None
        rejected += found.p <= 0.05
    assert 0.02 <= rejected / 200 <= 0.09


def test_near_copies_of_one_prompt_are_no_evidence_and_would_be_if_rows_were_permuted() -> None:
    """Anchors and outputs are independent, but each prompt has eight outputs that are nearly copies."""
    random = np.random.default_rng(5)
    prompt = np.repeat(np.arange(15), 8)
    by_prompt, by_row = 0, 0
    for trial in range(100):
        anchors, said = random.normal(size=(2, 15, 4))
        rows = said[prompt] + 0.05 * random.normal(size=(120, 4))
        right = dependence(anchors, rows, prompt, permutations=39, resamples=2, seed=trial)
        naive = dependence(anchors[prompt], rows, np.arange(120), permutations=39, resamples=2, seed=trial)
        assert right is not None and naive is not None
        by_prompt += right.p <= 0.05
        by_row += naive.p <= 0.05
    assert by_prompt <= 12
    assert by_row >= 90


def test_dependence_is_found_also_within_blocks() -> None:
    random = np.random.default_rng(6)
    x, y = correlated(random, 100, 0.8, d=4)
    exact = dependence(x, y, np.arange(100), permutations=199, seed=0)
    x, y = correlated(random, 2_100, 0.5, d=4)
    blocks = dependence(x, y, np.arange(2_100), permutations=199, seed=0)
    independent = dependence(x, y[::-1], np.arange(2_100), permutations=199, seed=0)
    assert exact is not None and blocks is not None and independent is not None
    assert exact.p == blocks.p == 1 / 200 and independent.p > 0.05
    assert "blocks" in blocks.form and "blocks" not in exact.form


# ---------------------------------------------------------------------------------------------- checks 12, 13


def test_blocks_and_fourier_features_agree_with_the_exact_form() -> None:
    random = np.random.default_rng(7)
    exact, blocks, fourier = [], [], []
    for trial in range(30):
        x, y = correlated(random, 500)
        exact.append(hsic(gaussian(x, 1.0), gaussian(y, 1.0)))
        blocks.append(hsic(gaussian_blocks(x, 1.0), gaussian_blocks(y, 1.0)).mean())
        fourier.append(by_fourier_features(x, y, np.random.default_rng(trial)))
    for other in (blocks, fourier):
        apart = np.subtract(other, exact)
        assert abs(apart.mean()) < 3 * apart.std(ddof=1) / np.sqrt(30)
        assert np.abs(apart).max() < 0.015


def test_a_side_depends_on_itself_wholly() -> None:
    x = np.random.default_rng(8).normal(size=(80, 5))
    found = dependence(x, x, np.arange(80), seed=0)
    assert found is not None and found.value == pytest.approx(1.0, abs=1e-9) and found.p == 1 / 200


def test_rotation_shift_and_scale_change_nothing() -> None:
    random = np.random.default_rng(9)
    x, y = correlated(random, 60, 0.6, d=4)
    rotation = np.linalg.qr(random.normal(size=(4, 4)))[0]
    plain = dependence(x, y, np.arange(60), seed=0)
    moved = dependence(x @ rotation, 1000 * y + 5, np.arange(60), seed=0)
    assert plain is not None and moved is not None
    assert moved.value == pytest.approx(plain.value, abs=1e-9) and moved.p == plain.p


# ---------------------------------------------------------------------------------------------- prompts


def test_rows_of_one_prompt_enter_as_the_mean_over_draws_of_one_row_each() -> None:
    """The numerator with prompt means of the kernel is the average over every way to draw one row a prompt."""
    random = np.random.default_rng(10)
    anchors, rows = random.normal(size=(5, 2)), random.normal(size=(7, 2))
    prompt = np.array([0, 1, 1, 2, 3, 4, 4])
    k, pairwise = gaussian(anchors, 1.0), gaussian(rows, 1.0)
    draws = [[0, b, 3, 4, e] for b in (1, 2) for e in (5, 6)]
    expected = np.mean([hsic(k, pairwise[np.ix_(draw, draw)]) for draw in draws])
    means = np.array([[pairwise[np.ix_(prompt == p, prompt == q)].mean() for q in range(5)] for p in range(5)])
    assert hsic(k, means) == pytest.approx(expected, rel=1e-9)
    found = dependence(anchors, rows, prompt, seed=0)
    assert found is not None and (found.low is None or found.low <= found.value)


def test_many_rows_of_a_few_prompts_weigh_no_more_than_one_row_of_each() -> None:
    random = np.random.default_rng(13)
    x, y = correlated(random, 60, 0.7, d=3)
    once = dependence(x, y, np.arange(60), seed=0)
    copies = np.repeat(np.arange(60), random.integers(1, 9, 60))
    often = dependence(x, y[copies], copies, seed=0)
    assert once is not None and often is not None
    assert often.value == pytest.approx(once.value, rel=0.03)  # but for the median distance, which counts rows


def test_the_bootstrap_over_prompts_covers() -> None:
    random = np.random.default_rng(11)
    large = []
    for _ in range(12):
        x, y = correlated(random, 500, 0.6, d=3)
        k, l = gaussian(x, median_distance(x)), gaussian(y, median_distance(y))  # noqa: E741
        large.append(hsic(k, l) / np.sqrt(hsic(k, k) * hsic(l, l)))
    truth = np.mean(large)
    inside = 0
    for trial in range(100):
        found = dependence(*correlated(random, 80, 0.6, d=3), np.arange(80), permutations=1, seed=trial)
        assert found is not None and found.low is not None and found.high is not None
        assert found.low <= found.value <= found.high
        inside += found.low <= truth <= found.high
    assert inside >= 88


def test_no_more_rows_than_bearable_are_taken_and_every_prompt_keeps_one() -> None:
    random = np.random.default_rng(12)
    few, many = random.integers(0, 40, 9_000), random.permutation(np.repeat(np.arange(3_000), 3))
    assert len(bearable(few)) <= 2_000 and len(np.unique(few[bearable(few)])) == 40
    assert np.array_equal(many[bearable(many)], np.arange(3_000))


# ---------------------------------------------------------------------------------------------- readings

TOPICS = [
    "the river floods in spring",
    "copper conducts current",
    "bread needs yeast and flour",
    "violins have four strings",
    "tigers hunt alone at night",
    "clouds form from vapour",
    "an engine burns its fuel",
    "lamps give light in winter",
]


def made(
    seed: int, linked: bool, dependent: bool = True, prompts: int = 40, each: int = 2
) -> tuple[list[dict], list[str]]:
    random = np.random.default_rng(seed)
    anchors = [f"{TOPICS[i % 8]} {i}" for i in range(prompts)]
    rows = []
    for i in range(prompts):
        about = i if dependent else int(random.integers(prompts))
        for j in range(each):
            answer = f"someone told me that {TOPICS[about % 8]} and {random.choice(TOPICS[:3])} {j}"
            rows.append({"text": answer, "prompt": anchors[i], "anchor_ids": [str(i)] if linked else []})
    return rows, anchors


@pytest.mark.parametrize("linked", [True, False])
def test_answers_about_their_anchor_depend_on_it(words, linked: bool) -> None:
    rows, anchors = made(0, linked)
    value, p = nhsic(Data.of(rows, anchors), embedder=words)
    assert value.value is not None and value.low is not None and value.low > 0.1 and p.value == 1 / 200
    assert (value.name, p.name, value.kind, p.kind, value.n, p.unit) == ("nhsic", "nhsic_p", "test", "test", 40, "prob")
    assert ("anchors" in value.note) and (("prompts" in value.note.split(";")[0]) is not linked)


def test_answers_about_anything_do_not(words) -> None:
    value, p = nhsic(Data.of(*made(1, True, dependent=False)), embedder=words)
    assert value.value is not None and abs(value.value) < 0.15 and p.value is not None and p.value > 0.05


@pytest.mark.parametrize(
    ("rows", "anchors"),
    [
        ([], []),
        ([{"text": "alone", "prompt": "why"}], []),
        ([{"text": f"answer {i}"} for i in range(50)], ["a", "b"]),
        ([{"text": "all the same", "prompt": f"question {i} is here"} for i in range(50)], []),
        ([{"text": f"answer {i}", "prompt": "one question"} for i in range(50)], []),
        ([{"text": "", "prompt": f"question {i}"} for i in range(50)], []),
        ([{"text": f"answer {i}", "anchor_ids": [f"gone {i}"]} for i in range(50)], ["a", "b"]),
    ],
    ids=[
        "no rows",
        "one row",
        "nothing known",
        "equal rows",
        "one prompt",
        "empty answers",
        "anchors that are not there",
    ],
)
def test_what_cannot_be_known_is_not_read(words, rows, anchors) -> None:
    value, p = nhsic(Data.of(rows, anchors), embedder=words)
    assert value.value is None and p.value is None and value.note == p.note != ""


def test_the_anchors_equal_to_the_rows_read_one(words) -> None:
    anchors = made(0, True)[1]
    rows = [{"text": text, "anchor_ids": [str(i)]} for i, text in enumerate(anchors)]
    value, p = nhsic(Data.of(rows, anchors), embedder=words)
    assert value.value == pytest.approx(1.0, abs=1e-9) and p.value == 1 / 200


def test_ten_megabytes_in_a_row_and_in_an_anchor_are_borne(words) -> None:
    rows, anchors = made(2, True)
    rows[0]["text"], anchors[1] = "word " * 2_000_000, "flood " * 1_700_000
    value, _ = nhsic(Data.of(rows, anchors), embedder=words)
    assert value.value is not None and value.value > 0

"""Entropy estimators against what is known of them, clusters, and the reading on rows."""

import numpy as np
import pytest

from synthgain.measure.data import Data
from synthgain.measure.semantic_entropy import chao_shen, grassberger, h_meaning, meanings, miller_madow, plug_in
from synthgain.models.embedders import open_embedder

ALL = (plug_in, miller_madow, grassberger, chao_shen)


@pytest.fixture(scope="module")
def words():
    return open_embedder("words")


# ---------------------------------------------------------------------------------------------- check 7


@pytest.mark.parametrize("estimate", ALL)
def test_a_uniform_law_reads_the_logarithm_of_its_size_from_many_draws(estimate) -> None:
    random = np.random.default_rng(0)
    for size in (1, 2, 7, 50):
        counts = random.multinomial(200_000, np.full(size, 1 / size))
        assert estimate(counts) == pytest.approx(np.log(size), abs=1e-3)


@pytest.mark.parametrize("estimate", ALL)
def test_one_draw_and_singletons_only_are_finite(estimate) -> None:
    assert estimate([1]) == pytest.approx(0.0, abs=2.0) and np.isfinite(estimate([1]))
    assert np.isfinite(estimate([1] * 10)) and estimate([1] * 10) >= np.log(10) - 1e-12
    assert estimate([3, 0, 5, 0]) == estimate([5, 3])


def test_one_class_has_no_entropy_by_plug_in_miller_madow_and_chao_shen() -> None:
    for estimate in (plug_in, miller_madow, chao_shen):
        for k in (1, 10, 1_000):
            assert estimate([k]) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("estimate", ALL)
def test_nothing_counted_is_refused(estimate) -> None:
    for counts in ([], [0, 0], [2, -1]):
        with pytest.raises(ValueError, match="count"):
            estimate(counts)


def test_the_mean_of_the_plug_in_and_of_grassberger_is_their_exact_expectation() -> None:
    """E[Σ f(n_i)] = Σ_i Σ_n Binomial(n; k, p_i) f(n); Grassberger's G by digamma functions, not by its recursion."""
    from scipy.special import digamma
    from scipy.stats import binom

    p = np.array([0.5, 0.3, 0.15, 0.05])
    k, n = 12, np.arange(1, 13)
    g = digamma(n) + 0.5 * (-1.0) ** n * (digamma((n + 1) / 2) - digamma(n / 2))
    random = np.random.default_rng(1)
    draws = random.multinomial(k, p, size=4_000)
    for estimate, expected in (
        (plug_in, sum((binom.pmf(n, k, q) * -(n / k) * np.log(n / k)).sum() for q in p)),
        (grassberger, np.log(k) - sum((binom.pmf(n, k, q) * n * g).sum() for q in p) / k),
    ):
        values = np.array([estimate(draw) for draw in draws])
        assert abs(values.mean() - expected) < 4 * values.std(ddof=1) / np.sqrt(len(draws))


@pytest.mark.parametrize(
    ("k", "expected"), [(5, (1.30, 1.59, 2.10, 2.34)), (10, (1.74, 2.02, 2.36, 2.47)), (50, (2.31, 2.45, 2.52, 2.54))]
)
def test_few_draws_of_twenty_zipf_meanings_are_biased_as_known(k: int, expected: tuple[float, ...]) -> None:
    """ESTIMATORS 5.4: the truth is 2.528; only Chao and Shen's estimate is near it from ten draws."""
    p = 1 / np.arange(1, 21)
    p /= p.sum()
    assert -(p * np.log(p)).sum() == pytest.approx(2.528, abs=5e-4)
    draws = np.random.default_rng(2).multinomial(k, p, size=1_500)
    for estimate, mean in zip(ALL, expected):
        assert np.mean([estimate(draw) for draw in draws]) == pytest.approx(mean, abs=0.09)


def test_chao_and_shen_by_hand() -> None:
    """Counts 3, 1, 1: coverage 1 - 2/5; shares .36, .12, .12."""
    shares = np.array([0.36, 0.12, 0.12])
    expected = -(shares * np.log(shares) / (1 - (1 - shares) ** 5)).sum()
    assert chao_shen([3, 1, 1]) == pytest.approx(expected, rel=1e-12)


# ---------------------------------------------------------------------------------------------- clusters


def test_clusters_are_found_in_any_order_and_chains_are_not_followed() -> None:
    random = np.random.default_rng(3)
    centres = np.linalg.qr(random.normal(size=(16, 4)))[0].T
    truth = random.integers(0, 4, 40)
    vectors = centres[truth] + 0.05 * random.normal(size=(40, 16))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    order = random.permutation(40)
    for rows, expected in ((vectors, truth), (vectors[order], truth[order])):
        found = meanings(rows)
        assert len(set(zip(found.tolist(), expected.tolist()))) == 4 == found.max() + 1
    angles = np.arange(20) * 0.2  # neighbours have a cosine of .98, the ends nothing in common
    assert meanings(np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)).max() >= 2


def test_equal_and_empty_answers_are_each_one_meaning() -> None:
    vectors = np.zeros((6, 3), np.float32)
    vectors[:2, 0] = 1
    vectors[2, 1] = 1
    assert meanings(vectors).tolist() == [0, 0, 1, 2, 2, 2]
    assert meanings(vectors[:1]).tolist() == [0]


# ---------------------------------------------------------------------------------------------- the reading

SAYINGS = [
    "the river floods the low fields",
    "violins have four strings",
    "bread needs yeast and flour",
    "copper conducts electric current",
]

UNLIKE = ["river", "violin", "bread", "copper", "tiger", "winter", "engine", "paper", "market", "garden"]


def said(prompts: int, each: int, kinds: int, seed: int = 0, linked: bool = True) -> list[dict]:
    random = np.random.default_rng(seed)
    return [
        {"text": SAYINGS[random.integers(kinds)], "prompt": f"question {i}", "anchor_ids": [str(i)] if linked else []}
        for i in range(prompts)
        for _ in range(each)
    ]


@pytest.mark.parametrize("linked", [True, False])
def test_equally_likely_meanings_read_the_logarithm_of_their_number(words, linked: bool) -> None:
    for kinds in (1, 2, 4):
        found = h_meaning(Data.of(said(40, 20, kinds, linked=linked)), embedder=words)
        assert found.value == pytest.approx(np.log(kinds), abs=0.06)
        assert found.low is not None and found.high is not None and found.low <= found.value <= found.high
        assert (found.name, found.unit, found.n, found.kind) == ("h_meaning", "nats/prompt", 40, "estimate")


def test_prompts_of_one_anchor_are_one_unit_but_not_one_prompt(words) -> None:
    rows = said(12, 10, 1)
    for i, row in enumerate(rows):
        number = i // 10
        row["anchor_ids"], row["text"] = [str(number // 4)], SAYINGS[number % 4]
    found = h_meaning(Data.of(rows), embedder=words)
    assert found.n == 3 and found.value == pytest.approx(0.0, abs=1e-9)  # each prompt says one thing only


def test_more_prompts_and_answers_than_needed_are_sampled_the_same_way_each_time(words) -> None:
    data = Data.of(said(260, 12, 3) + said(1, 200, 2, seed=9))
    found = h_meaning(data, embedder=words)
    assert found == h_meaning(data, embedder=words)
    assert found.value is not None and "225 of" in found.note


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"text": "alone", "prompt": "why"}],
        [{"text": f"answer {i}"} for i in range(40)],
        said(20, 9, 2),
        [{"text": text, "prompt": f"question {i}"} for i in range(5) for text in UNLIKE],
    ],
    ids=["no rows", "one row", "no prompts known", "nine answers a prompt", "no two answers alike"],
)
def test_what_cannot_be_known_is_not_read(words, rows) -> None:
    found = h_meaning(Data.of(rows), embedder=words)
    assert found.value is None and found.low is None and found.note


def test_one_prompt_has_a_figure_and_no_interval(words) -> None:
    found = h_meaning(Data.of(said(1, 40, 2)), embedder=words)
    assert found.value is not None and found.low is None and found.high is None and "one prompt" in found.note


def test_empty_and_huge_answers_are_borne(words) -> None:
    rows = said(4, 12, 2)
    rows[0]["text"], rows[1]["text"], rows[2]["text"] = "", "word " * 2_000_000, "\u3042\U0001f600"
    found = h_meaning(Data.of(rows), embedder=words)
    assert found.value is not None and found.value > 0

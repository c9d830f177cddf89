"""The Vendi score against closed forms, and what it does with data that is not there."""

import numpy as np
import pytest

from synthgain.measure.data import Data
from synthgain.measure.vendi import subsampled, vendi, vendi_score
from synthgain.models.embedders import open_embedder

WORDS = [
    "river",
    "stone",
    "lamp",
    "winter",
    "copper",
    "garden",
    "music",
    "bread",
    "ladder",
    "ocean",
    "tiger",
    "paper",
    "violin",
    "market",
    "cloud",
    "engine",
]


@pytest.fixture(scope="module")
def words():
    return open_embedder("words")


def texts(n: int, seed: int = 0, vocabulary: list[str] = WORDS) -> list[str]:
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(vocabulary, 6)) for _ in range(n)]


# ---------------------------------------------------------------------------------------------- check 15


def test_identical_texts_count_as_one() -> None:
    one = np.random.default_rng(0).normal(size=(1, 64))
    assert vendi_score(np.repeat(one, 50, axis=0)) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("d", [8, 500])  # both Gram matrices
def test_orthogonal_clusters_of_equal_size_are_counted(d: int) -> None:
    for m in (2, 5, 8):
        assert vendi_score(np.repeat(np.eye(d)[:m], 20, axis=0)) == pytest.approx(m, abs=1e-9)


def test_unequal_clusters_give_the_exponential_of_their_entropy() -> None:
    sizes = np.array([50, 30, 15, 5])
    shares = sizes / sizes.sum()
    expected = np.exp(-(shares * np.log(shares)).sum())
    assert vendi_score(np.repeat(np.eye(10)[:4], sizes, axis=0)) == pytest.approx(expected, abs=1e-9)


def test_two_vectors_at_an_angle_have_the_closed_form() -> None:
    c = 0.6  # eigenvalues (1 ± c)/2
    shares = np.array([(1 + c) / 2, (1 - c) / 2])
    expected = np.exp(-(shares * np.log(shares)).sum())
    assert vendi_score(np.array([[1.0, 0.0], [c, np.sqrt(1 - c * c)]])) == pytest.approx(expected, abs=1e-12)


def test_copying_everything_changes_nothing_and_scale_does_not_matter() -> None:
    vectors = np.random.default_rng(1).normal(size=(40, 30))
    plain = vendi_score(vectors)
    assert vendi_score(np.repeat(vectors, 3, axis=0)) == pytest.approx(plain, abs=1e-9)
    scales = np.random.default_rng(2).uniform(0.01, 100, (40, 1))
    assert vendi_score(vectors * scales) == pytest.approx(plain, abs=1e-9)


def test_refining_clusters_only_raises_the_score() -> None:
    scores = [vendi_score(np.repeat(np.eye(32)[:m], 32 // m, axis=0)) for m in (1, 2, 4, 8, 16, 32)]
    assert scores == sorted(scores) and len(set(np.round(scores, 6))) == 6


def test_the_published_sizes_of_ten_clusters_are_met() -> None:
    """Ten orthogonal clusters, uniform at random: 9.17 / 9.81 at n = 50 / 200 (ESTIMATORS 5.6)."""
    random = np.random.default_rng(0)
    for n, expected in ((50, 9.17), (200, 9.81)):
        mean = np.mean([vendi_score(np.eye(384)[random.integers(0, 10, n)]) for _ in range(20)])
        assert mean == pytest.approx(expected, abs=0.12)


# ---------------------------------------------------------------------------------------------- the interval


def test_the_interval_over_prompts_covers_and_one_over_rows_does_not() -> None:
    """Five outputs a prompt. Truth: the mean over many samples of the same design."""
    random = np.random.default_rng(3)
    topics = random.normal(size=(20, 16))

    def sample() -> tuple[np.ndarray, np.ndarray]:
        centre = topics[random.integers(0, 20, 20)] + 0.5 * random.normal(size=(20, 16))
        rows = np.repeat(centre, 5, axis=0) + 0.1 * random.normal(size=(100, 16))
        return rows, np.repeat(np.arange(20), 5)

    truth = np.mean([vendi_score(sample()[0]) for _ in range(200)])
    hits = {"prompts": 0, "rows": 0}
    for trial in range(60):
        rows, prompt = sample()
        for name, unit in (("prompts", prompt), ("rows", np.arange(100))):
            value, low, high = subsampled(rows, unit, 100, subsamples=1, seed=trial)
            assert low is not None and high is not None and low <= value <= high
            hits[name] += low <= truth <= high
    assert hits["prompts"] >= 52  # nominal 57 of 60
    assert hits["rows"] <= 45  # rows of one prompt are no independent draws


# ---------------------------------------------------------------------------------------------- readings


def test_varied_rows_read_higher_than_rows_of_one_kind_at_the_same_size(words) -> None:
    varied, anchors = texts(300), texts(200, seed=5)
    same = [f"river stone number {i}" for i in range(300)]
    for rows, wider in ((varied, True), (same, False)):
        found, real = vendi(Data.of(rows, anchors), embedder=words)
        assert (found.name, real.name, found.unit, found.kind) == ("vendi", "vendi_anchors", "count", "estimate")
        assert found.value is not None and real.value is not None and found.low is not None and found.high is not None
        assert 1 <= found.low <= found.value <= found.high <= 200
        assert (found.value > 0.6 * real.value) is wider


def test_both_sides_are_taken_at_the_smaller_size(words) -> None:
    found, real = vendi(Data.of(texts(500), texts(30, seed=5)), embedder=words)
    alone, _ = vendi(Data.of(texts(500)), embedder=words)
    assert found.value is not None and real.value is not None and alone.value is not None
    assert "30 texts" in found.note and "30 texts" in real.note
    assert found.value < alone.value  # the score grows with the size
    assert found.value == pytest.approx(real.value, rel=0.2)  # the same law at the same size


def test_the_same_seed_reads_the_same_twice(words) -> None:
    data = Data.of(texts(300), texts(100, seed=5))
    assert vendi(data, embedder=words) == vendi(data, embedder=words)


@pytest.mark.parametrize("rows", [[], ["one row"], ["", "  ", "\n"]], ids=["none", "one", "empty"])
def test_too_few_texts_read_nothing_with_a_reason(words, rows: list[str]) -> None:
    found, real = vendi(Data.of(rows, []), embedder=words)
    assert found.value is None and real.value is None and "text" in found.note and "text" in real.note


def test_equal_rows_read_one_and_no_anchors_are_said(words) -> None:
    found, real = vendi(Data.of(["the same answer"] * 50, []), embedder=words)
    assert found.value == pytest.approx(1.0, abs=1e-6) and real.value is None


def test_long_and_mixed_texts_are_read(words) -> None:
    rows = ["word " * 2_000_000, "Это предложение.", "これは文です。", "مرحبا بالعالم", "", *texts(20)]
    found, _ = vendi(Data.of(rows, texts(20, seed=5)), embedder=words)
    assert found.value is not None and 1 < found.value <= 20 and "1 empty" in found.note

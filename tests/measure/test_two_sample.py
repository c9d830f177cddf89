"""The lower bound on total variation against known laws, and the logistic regression against scikit-learn."""

from statistics import NormalDist

import numpy as np
import pytest

from synthgain.intervals import wilson
from synthgain.measure.data import Data
from synthgain.measure.logistic import Features, Sparse, fit
from synthgain.measure.two_sample import gap, hashed_words, held_out, share, tf_idf, tv_lower
from synthgain.models.embedders import open_embedder


@pytest.fixture(scope="module")
def words():
    return open_embedder("words")


def sparse(matrix: np.ndarray) -> Sparse:
    row, column = np.nonzero(matrix)
    return Sparse(row, column, matrix[row, column].astype(float), matrix.shape)


# ---------------------------------------------------------------------------------------------- logistic regression


def test_the_weights_are_those_of_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(0)
    dense = random.normal(size=(300, 6))
    rare = random.poisson(0.2, (300, 40)) * random.uniform(0.5, 2, (300, 40))
    both = np.hstack([dense, rare])
    positive = both @ random.normal(size=46) + random.normal(size=300) > 0.7
    weight = np.where(positive, 1.3, 0.6)
    for penalty in (0.1, 1.0, 10.0):
        w, b = fit(Features(dense, sparse(rare)), positive, weight, penalty=penalty, tolerance=1e-9)
        theirs = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=10_000)
        theirs.fit(both, positive, sample_weight=weight)
        assert w == pytest.approx(theirs.coef_[0], abs=2e-5)
        assert b == pytest.approx(theirs.intercept_[0], abs=2e-5)


def test_sides_that_a_plane_parts_give_finite_weights() -> None:
    x = np.array([[-1.0], [-2.0], [1.0], [2.0]])
    w, b = fit(Features(x), np.array([False, False, True, True]), np.ones(4), tolerance=1e-9)
    assert np.isfinite(w).all() and w[0] > 0 and abs(b) < 1e-3


def test_rows_and_products_of_a_sparse_matrix_are_those_of_the_dense_one() -> None:
    random = np.random.default_rng(1)
    full = random.poisson(0.3, (20, 9)).astype(float)
    full[[0, 7, 19]] = 0.0  # empty rows
    which = np.array([19, 3, 3, 0, 12])
    matrix, taken = sparse(full), sparse(full).rows(which)
    w, r = random.normal(size=9), random.normal(size=5)
    assert matrix.times(w) == pytest.approx(full @ w)
    assert taken.times(w) == pytest.approx(full[which] @ w)
    assert taken.transposed_times(r) == pytest.approx(full[which].T @ r)


def test_words_are_weighted_as_scikit_learn_weights_them() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = ["the river floods the town", "The town sleeps.", "a river, a town", "the river floods", "", "only here"]
    theirs = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2, token_pattern=r"\w+")
    expected = theirs.fit_transform(texts).toarray()
    ours = tf_idf(hashed_words(texts), np.arange(len(texts)))
    found = np.zeros(ours.shape)
    found[ours.row, ours.column] = ours.value
    assert found.shape == expected.shape
    assert found @ found.T == pytest.approx(expected @ expected.T, abs=1e-12)  # the same but for the columns' order


def test_the_rarity_of_a_word_is_counted_in_seen_texts_only() -> None:
    texts = ["red blue", "red blue", "green green", "green red"]
    seen_two = tf_idf(hashed_words(texts), np.array([0, 1]))
    assert seen_two.shape[1] == 3  # red, blue and "red blue"; green was not seen
    assert 2 not in seen_two.row


# ---------------------------------------------------------------------------------------------- check 14


def trial(random: np.random.Generator, real: np.ndarray, made: np.ndarray):
    dense = np.vstack([made, real])
    synthetic = np.arange(len(dense)) < len(made)
    right = held_out(dense, synthetic, random.integers(0, 5, len(dense)))
    assert right is not None
    return gap(right, synthetic, np.arange(len(dense)))


def test_two_samples_of_one_law_give_no_gap() -> None:
    random = np.random.default_rng(2)
    lows = [trial(random, *random.normal(size=(2, 150, 10))).low for _ in range(100)]
    assert sum(low == 0.0 for low in lows) >= 95


def test_a_shift_is_bounded_from_below_and_its_point_is_near() -> None:
    """Gaussians of ten dimensions, 1.5 apart: TV = 2Φ(0.75) - 1 = .5467."""
    random = np.random.default_rng(3)
    truth = 2 * NormalDist().cdf(0.75) - 1
    shift = np.full(10, 1.5 / np.sqrt(10))
    small = [trial(random, random.normal(size=(200, 10)), random.normal(size=(200, 10)) + shift) for _ in range(100)]
    assert sum(found.low <= truth for found in small) >= 97
    assert np.mean([found.low for found in small]) > 0.3
    large = trial(random, random.normal(size=(1000, 10)), random.normal(size=(1000, 10)) + shift)
    assert abs(large.value - truth) < 0.08 and 0.4 < large.low <= truth


def test_laws_without_common_support_are_told_apart() -> None:
    random = np.random.default_rng(4)
    found = trial(random, random.uniform(0, 1, (300, 10)), random.uniform(2, 3, (300, 10)))
    assert found.low > 0.9 and found.value == 1.0


def test_copies_within_prompts_widen_the_bound_as_much_as_they_should() -> None:
    random = np.random.default_rng(5)
    right = np.repeat(random.random(100) < 0.8, 10)
    once, copied = share(right[::10], np.arange(100)), share(right, np.repeat(np.arange(100), 10))
    assert once[0] == copied[0] and once[1] == pytest.approx(copied[1], abs=0.01)
    assert share(right, np.arange(1_000))[1] > copied[1] + 0.03
    assert once[1] == wilson(float(right[::10].sum()), 100)[0]


def test_a_side_that_no_classifier_saw_gives_nothing() -> None:
    synthetic = np.arange(40) < 20
    assert held_out(np.ones((40, 2)), synthetic, synthetic.astype(np.int64)) is None


# ---------------------------------------------------------------------------------------------- the reading

NOUNS = ["river", "lamp", "copper", "garden", "bread", "tiger", "violin", "market", "cloud", "engine", "stone", "paper"]
VERBS = ["holds", "breaks", "follows", "covers", "meets", "turns"]


def sentences(n: int, seed: int, nouns: list[str] = NOUNS) -> list[str]:
    random = np.random.default_rng(seed)
    return [
        f"the {a} {v} the {b} at {i}"
        for i, a, v, b in zip(
            random.integers(10**6, size=n), random.choice(nouns, n), random.choice(VERBS, n), random.choice(nouns, n)
        )
    ]


def test_the_same_law_reads_nought_and_another_vocabulary_reads_high(words) -> None:
    real = sentences(200, 0)
    same = tv_lower(Data.of(sentences(200, 1), real), embedder=words)
    other = tv_lower(Data.of(sentences(200, 1, ["quasar", "neutrino", "boson", "lepton"]), real), embedder=words)
    assert same.low == 0.0 and same.value is not None and same.value < 0.12
    assert other.low is not None and other.low > 0.9 and other.value is not None and other.value >= other.low
    assert (other.name, other.kind, other.unit, other.high, other.n) == ("tv_lower", "lower bound", "prob", None, 400)
    assert "anchors" in other.note and "length" in other.note


def test_half_of_another_law_reads_at_most_a_half(words) -> None:
    rows = sentences(150, 1) + sentences(150, 2, ["quasar", "neutrino", "boson", "lepton"])
    found = tv_lower(Data.of(rows, sentences(300, 0)), embedder=words)
    assert found.low is not None and 0.25 < found.low < 0.5


def test_held_out_target_stands_for_real_text_where_there_is_one(words) -> None:
    far, near = sentences(200, 5, ["quasar", "neutrino"]), sentences(200, 0)
    found = tv_lower(Data.of(sentences(200, 1), far, target=near), embedder=words)
    assert found.low == 0.0 and "target" in found.note


def test_many_rows_of_few_prompts_do_not_count_as_many(words) -> None:
    """Each prompt has ten equal answers about one noun: forty independent pieces, not four hundred."""
    real = sentences(200, 0)
    answers = sentences(40, 3)
    rows = [{"text": answers[i], "prompt": f"say something {i}"} for i in range(40) for _ in range(10)]
    found = tv_lower(Data.of(rows, real), embedder=words)
    assert found.n == 240 and found.low == 0.0


def test_rows_made_from_anchors_share_a_fold_with_them(words) -> None:
    """A row that is its anchor with one word more: only that word can tell them apart."""
    anchors = sentences(120, 0)
    rows = [{"text": f"{text} indeed", "anchor_ids": [str(i)]} for i, text in enumerate(anchors)]
    found = tv_lower(Data.of(rows, anchors), embedder=words)
    assert found.low is not None and found.low > 0.9


@pytest.mark.parametrize(
    ("rows", "anchors"),
    [
        ([], sentences(50, 0)),
        (sentences(50, 0), []),
        (["one row"], sentences(50, 0)),
        (["all the same"] * 100, sentences(50, 0)),
        (sentences(50, 0), sentences(50, 0)),
        (sentences(50, 0) * 4, sentences(50, 0)),
        ([""] * 60, [""] * 60),
        ([{"text": t, "anchor_ids": ["0"]} for t in sentences(50, 0)], sentences(50, 1)),
    ],
    ids=[
        "no rows",
        "no anchors",
        "one row",
        "equal rows",
        "the anchors",
        "the anchors repeated",
        "empty",
        "one anchor for all",
    ],
)
def test_what_cannot_be_known_is_not_read(words, rows, anchors) -> None:
    found = tv_lower(Data.of(rows, anchors), embedder=words)
    assert found.value is None and found.low is None and found.note and found.kind == "lower bound"


def test_long_mixed_and_wordless_texts_are_borne(words) -> None:
    strange = ["word " * 2_000_000, "Это предложение.", "これは文です。", "مرحبا", "!!! ...", "", "\U0001f600" * 50]
    found = tv_lower(Data.of([*strange, *sentences(60, 1)], sentences(60, 0)), embedder=words)
    assert found.value is not None and found.low == 0.0


def test_the_same_seed_reads_the_same_twice(words) -> None:
    data = Data.of(sentences(80, 1), sentences(80, 0, NOUNS[:6]))
    assert tv_lower(data, embedder=words) == tv_lower(data, embedder=words)

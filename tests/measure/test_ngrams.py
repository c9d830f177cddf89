from collections import Counter, defaultdict

import numpy as np
import pytest

from synthgain.measure import ngrams
from synthgain.measure.ngrams import Asked, Counts, best_weight, log_odds, mixed, mixture_log


def flat(documents: list[list[int]], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Documents after two marks each, and the document of each place."""
    return (
        np.array([t for d in documents for t in [size, size, *d]], np.int32),
        np.repeat(np.arange(len(documents)), [len(d) + 2 for d in documents]),
    )


def documents(rng: np.random.Generator, n: int, size: int) -> list[list[int]]:
    odds = 1 / np.arange(1, size + 1)
    return [rng.choice(size, rng.integers(0, 25), p=odds / odds.sum()).tolist() for _ in range(n)]


def slow(training: list[list[int]], size: int, held: list[int]) -> list[list[float]]:
    """Witten–Bell by the book, with dictionaries: ln q of each held-out event, order by order."""
    grams: Counter[tuple[int, ...]] = Counter()
    seen: Counter[tuple[int, ...]] = Counter()
    kinds: dict[tuple[int, ...], set[int]] = defaultdict(set)
    for document in training:
        padded = [size, size, *document]
        for i in range(2, len(padded)):
            for n in range(3):
                h = tuple(padded[i - n : i])
                grams[(*h, padded[i])] += 1
                seen[h] += 1
                kinds[h].add(padded[i])
    found: list[list[float]] = [[], [], []]
    padded = [size, size, *held]
    for i in range(2, len(padded)):
        q = 1 / size
        for n in range(3):
            h = tuple(padded[i - n : i])
            if seen[h]:
                q = (grams[(*h, padded[i])] + len(kinds[h]) * q) / (seen[h] + len(kinds[h]))
            found[n].append(np.log(q))
    return found


def counts(asked: Asked, training: list[list[int]], out: list[int] | None = None) -> Counts:
    counted = Counts(asked)
    for start in range(0, len(training), 7):
        array, place = flat(training[start : start + 7], asked.size)
        bits = np.array((out or [0] * len(training))[start : start + 7], np.int64)
        counted.add(array, bits[place])
    return counted


@pytest.mark.parametrize("chunk", [50, 1 << 19])
def test_every_fold_equals_the_model_by_the_book(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngrams, "CHUNK", chunk)
    rng = np.random.default_rng(0)
    size, folds = 12, 3
    real, made = documents(rng, 30, size), documents(rng, 50, size)
    fold = rng.integers(0, folds, 30)
    out = rng.integers(0, 8, 50)  # a row may leave in several folds, or in none
    array, place = flat(real, size)
    asked = Asked.by(array, place, fold[place], size, folds)
    a, s = counts(asked, real, [1 << f for f in fold]), counts(asked, made, out.tolist())
    for sources, mine in (((a,), (1, 0)), ((s,), (0, 1)), ((a, s), (1, 1))):
        found = log_odds(*sources)
        for i in range(30):
            training = [d for d, f in zip(real, fold) if f != fold[i]] * mine[0]
            training += [d for d, bits in zip(made, out) if not bits >> fold[i] & 1] * mine[1]
            for n, values in enumerate(slow(training, size, real[i])):
                assert found[n][asked.document == i] == pytest.approx(values, abs=1e-12)


def test_it_is_a_probability_after_every_context_seen_or_not() -> None:  # check 20
    rng = np.random.default_rng(1)
    size = 40
    training = documents(rng, 60, 30)  # the events 30 to 39 are never seen, as contexts neither
    contexts = [rng.integers(0, size, 2).tolist() for _ in range(30)] + [[39, 38], [0, 39], [39, 0]]
    array, place = flat([[*h, v] for h in contexts for v in range(size)], size)
    asked = Asked.by(array, place, np.zeros(len(array), np.int64), size)
    last = np.flatnonzero(np.diff(np.append(asked.document, -1)))
    for sources in ((counts(asked, training),), (counts(asked, training), counts(asked, documents(rng, 20, size)))):
        for values in log_odds(*sources):
            assert np.isfinite(values).all()
            assert np.exp(values[last]).reshape(len(contexts), size).sum(axis=1) == pytest.approx(1, abs=1e-9)


def test_no_synthetic_documents_change_nothing_exactly() -> None:  # check 17
    rng = np.random.default_rng(2)
    array, place = flat(documents(rng, 20, 9), 9)
    asked = Asked.by(array, place, np.zeros(len(array), np.int64), 9)
    a = counts(asked, documents(rng, 20, 9))
    for alone, both in zip(log_odds(a), log_odds(a, Counts(asked))):
        assert (alone == both).all()
    for values in log_odds(Counts(asked)):
        assert values == pytest.approx(-np.log(9))


def test_the_kept_pairs_do_not_grow_with_the_documents() -> None:
    rng = np.random.default_rng(3)
    size = 30
    array, place = flat([[1, 2, 3]], size)
    asked = Asked.by(array, place, np.zeros(len(array), np.int64), size)
    counted = counts(asked, documents(rng, 3_000, size))
    assert sum(len(counted.pairs(order)) for order in range(3)) <= (1 + 3 + 3) * size


def test_a_mixture_without_q_is_the_student_exactly() -> None:  # check 21
    rng = np.random.default_rng(4)
    student, q = np.log(rng.random(50)), np.log(rng.random(50))
    assert (mixture_log(student, q, 0.0) == student).all() and (mixture_log(student, q, 1.0) == q).all()
    assert np.exp(mixture_log(student, q, 0.3)) == pytest.approx(0.7 * np.exp(student) + 0.3 * np.exp(q))
    never = np.full(50, -50.0)
    assert (mixed(student, never, np.arange(50)) == student).all()
    assert best_weight(never, student) == 1.0 and best_weight(np.zeros(0), np.zeros(0)) == 0.0


def test_the_best_weight_is_the_most_likely_one() -> None:
    rng = np.random.default_rng(5)
    student, q = np.log(rng.random(300)), np.log(rng.random(300))
    grid = np.linspace(0, 1, 2001)
    best = grid[np.argmax([mixture_log(student, q, w).sum() for w in grid])]
    assert best_weight(student, q) == pytest.approx(best, abs=1e-3)


def test_cross_fitting_never_uses_a_documents_own_fold() -> None:  # check 21
    rng = np.random.default_rng(6)
    student, q = np.log(rng.random(100)), np.log(rng.random(100))
    document = np.repeat(np.arange(10), 10)
    before = mixed(student, q, document)
    changed = q.copy()
    own = np.isin(document, (3, 8))  # one fold of five
    changed[own] = -20.0
    after = mixed(student, changed, document)
    weights = [best_weight(student[~own], x[~own]) for x in (q, changed)]
    assert weights[0] == weights[1] > 0
    assert after[own] == pytest.approx(mixture_log(student[own], changed[own], weights[0]))
    assert before[own] == pytest.approx(mixture_log(student[own], q[own], weights[0]))
    assert not np.allclose(before[~own], after[~own])

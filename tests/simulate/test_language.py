import itertools
from collections import Counter

import numpy as np
import pytest

from synthgain.simulate.language import Speech, generate, language, train
from synthgain.types import SynthgainError


def small(length: int = 3):
    return language(np.random.default_rng(0), words=4, on_task=2, off_task=2, length=length)


def test_entropy_equals_the_sum_over_all_documents():
    world = small()
    chains = world.chains(Speech(temperature=0.7, hallucination=0.1))
    documents = np.array(list(itertools.product(range(4), repeat=3)))
    for topic in range(4):
        logs = world.log_odds(documents, np.full(len(documents), topic), chains)
        assert np.exp(logs).sum() == pytest.approx(1)
        assert world.entropy(chains)[topic] == pytest.approx(-(np.exp(logs) * logs).sum())


def test_documents_come_from_their_law():
    world = small(2)
    chains = world.chains(Speech())
    made = world.write(np.random.default_rng(0), np.full(40_000, 1), chains)
    cells = made @ np.array([4, 1])
    expected = np.exp(world.log_odds(np.array(list(itertools.product(range(4), repeat=2))), np.full(16, 1), chains))
    assert np.bincount(cells, minlength=16) / 40_000 == pytest.approx(expected, abs=0.01)


def test_temperature_ends_at_the_likeliest_and_at_the_uniform_word():
    world = small()
    cold, hot = world.chains(Speech(temperature=0.05)), world.chains(Speech(temperature=100))
    plain = world.chains(Speech())
    assert (cold.argmax(axis=2) == plain.argmax(axis=2)).all()
    assert hot == pytest.approx(np.full(hot.shape, 0.25), abs=0.05)


def test_generator_log_odds_are_those_of_the_mixture():
    """Mean −ln P(y|p) of draws is the entropy of P(.|p), here by enumeration with a strange share and copies."""
    world = small()
    speech = Speech(off_task=0.3, copying=0.2)
    anchors, topics = np.array([[0, 1, 2]]), np.array([1])
    made = generate(world, np.random.default_rng(0), speech, anchors, topics, 20_000)
    chains = world.chains(speech)
    documents = np.array(list(itertools.product(range(4), repeat=3)))
    odds = 0.5 * np.exp(world.log_odds(documents, np.full(64, 1), chains))
    for strange in (2, 3):
        odds += 0.15 * np.exp(world.log_odds(documents, np.full(64, strange), chains))
    odds[(documents == anchors[0]).all(axis=1)] += 0.2
    assert odds.sum() == pytest.approx(1)
    values = -made.log_odds
    assert abs(values.mean() + (odds * np.log(odds)).sum()) < 4 * values.std() / np.sqrt(len(values))
    place = documents @ np.array([16, 4, 1])
    assert np.exp(made.log_odds) == pytest.approx(odds[np.argsort(place)][made.documents @ np.array([16, 4, 1])])


def test_a_verifier_changes_the_mixture_of_what_is_kept():
    speech = Speech(off_task=0.5, verifier=0.8)
    assert speech.accepted == pytest.approx(0.5)
    assert speech.kept == pytest.approx((0.2, 0.0))
    assert Speech(off_task=0.5, verifier=1.0).kept[0] == 0.0
    assert Speech(off_task=0.3, verifier=0.5).kept[0] == pytest.approx(0.3)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_students_odds_sum_to_one_in_seen_and_unseen_contexts(order):
    rng = np.random.default_rng(0)
    student = train(rng.integers(0, 3, size=(20, 6)), 5, order)  # words 3 and 4 are never seen
    for context in ([0, 1], [2, 2], [4, 3]):
        documents = np.array([[*context, word] for word in range(5)])
        assert student.odds(documents).reshape(5, 3)[:, 2].sum() == pytest.approx(1, abs=1e-9)
    assert np.isfinite(student.loss(np.full((1, 3), 4)))


def slow_odds(documents, words, order, context, word):
    """Witten–Bell written with counters, for one word after a context (padded with `words` at the start)."""
    p = 1.0 / words
    for size in range(order):
        after = Counter()
        for document in documents:
            padded = [words] * size + list(document)
            for t in range(len(document)):
                if tuple(padded[t : t + size]) == tuple(context[len(context) - size :]):
                    after[document[t]] += 1
        if after:
            p = (after[word] + len(after) * p) / (sum(after.values()) + len(after))
    return p


def test_students_odds_equal_the_slow_way():
    rng = np.random.default_rng(1)
    data = rng.integers(0, 4, size=(15, 5))
    student = train(data, 4, 3)
    for document in rng.integers(0, 4, size=(6, 5)):
        fast = student.odds(document[None])
        for t in range(5):
            context = [4, 4, *document[:t]][-2:]
            assert fast[t] == pytest.approx(slow_odds(data, 4, 3, context, document[t]))


@pytest.mark.parametrize(
    "broken",
    [
        lambda: Speech(temperature=0),
        lambda: Speech(off_task=0.7, copying=0.7),
        lambda: Speech(off_task=-0.1),
        lambda: Speech(off_task=1.0, verifier=1.0),
        lambda: Speech(hallucination=2),
        lambda: language(np.random.default_rng(0), words=1),
        lambda: language(np.random.default_rng(0), words=10_000),
        lambda: train(np.zeros((1, 3), dtype=int), 4, 0),
    ],
)
def test_bad_input_is_refused(broken):
    with pytest.raises(SynthgainError):
        broken()

"""What is true and cheap: the identities that the meter's figures rest on (ESTIMATORS.md section 3), by explicit sums."""

import math
from itertools import accumulate, pairwise, product

import numpy as np
import pytest

from synthgain.simulate.bayes import Location
from synthgain.simulate.chain import enumerate_world
from synthgain.simulate.worlds import random_world


def entropy(law) -> float:
    return -math.fsum(p * math.log(p) for p in law if p > 0)


def kl(p, q) -> float:
    return math.fsum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)


def tv(p, q) -> float:
    return 0.5 * math.fsum(abs(a - b) for a, b in zip(p, q, strict=True))


# ---------------------------------------------------------------------------------------------- I1: ΔI


def test_i1_delta_i_is_a_conditional_entropy():
    """ΔI = H(M|h(e_p)) = H(M|p) + I(M;p|h(e_p)) ≥ H(M|p), in worlds with any laws."""
    larger = 0
    for seed in range(100):
        q = enumerate_world(random_world(seed))
        delta_i = q.h("M") - q.i("h", "M")
        assert delta_i == pytest.approx(q.h("M", given=["h"]), abs=1e-12)
        noise = q.h("M", given=["S_anchor"])
        assert delta_i == pytest.approx(noise + q.i("M", "S_anchor", given=["h"]), abs=1e-12)
        assert delta_i >= noise - 1e-12
        larger += delta_i > noise + 1e-6
    assert larger > 0  # h forgets a part of the prompt in some of them


def test_i1_it_equals_the_answers_own_entropy_where_the_factor_is_the_prompt():
    """Then ΔI is the mean of −ln M(y|p), which a model gives for nothing."""
    rng = np.random.default_rng(1)
    odds, answers = rng.dirichlet(np.ones(4)), rng.dirichlet(np.ones(6), 4)
    both = odds[:, None] * answers
    marginal = entropy(both.sum(axis=0))
    information = math.fsum(
        both[i, j] * math.log(answers[i, j] / both[:, j].sum()) for i, j in product(range(4), range(6))
    )
    assert marginal - information == pytest.approx(float(-(both * np.log(answers)).sum()), abs=1e-12)


# ---------------------------------------------------------------------------------------------- I2: surprise


def test_i2_surprise_is_randomness_plus_transfer():
    rng = np.random.default_rng(2)
    for _ in range(50):
        odds = rng.dirichlet(np.ones(3))
        writer, student = rng.dirichlet(np.ones(7), (2, 3))
        surprise = float(-(odds[:, None] * writer * np.log(student)).sum())
        randomness = math.fsum(p * entropy(law) for p, law in zip(odds, writer, strict=True))
        transfer = math.fsum(p * kl(w, s) for p, w, s in zip(odds, writer, student, strict=True))
        assert surprise == pytest.approx(randomness + transfer, abs=1e-12)
        assert transfer > 0


def test_i2_a_model_that_writes_for_itself_transfers_nothing():
    law = np.random.default_rng(3).dirichlet(np.ones(7))
    assert float(-(law * np.log(law)).sum()) - entropy(law) == pytest.approx(0.0, abs=1e-15)
    assert kl((0.3, 0.7), (0.6, 0.4)) == pytest.approx(0.18379, abs=5e-6)


# ---------------------------------------------------------------------------------------------- I3: the curation ledger


def writer(states: int = 50, seed: int = 4):
    return np.random.default_rng(seed).dirichlet(np.ones(states))


@pytest.mark.parametrize("seed", range(5))
def test_i3_a_rule_that_accepts_some_of_50_states(seed):
    said = writer(seed=seed)
    accepted = np.random.default_rng(100 + seed).random(50) < 0.3
    a = float(said[accepted].sum())
    kept = np.where(accepted, said, 0.0) / a
    assert kl(kept, said) == pytest.approx(-math.log(a), abs=1e-12)
    assert tv(kept, said) == pytest.approx(1 - a, abs=1e-12)


def test_i3_a_quarter_accepted():
    said = np.full(48, 1 / 48)
    kept = np.where(np.arange(48) < 12, 4 / 48, 0.0)
    assert kl(kept, said) == pytest.approx(1.386294, abs=5e-7)
    assert tv(kept, said) == pytest.approx(0.75, abs=1e-12)


def test_i3_filters_in_a_row_add_up():
    said, rng = writer(), np.random.default_rng(5)
    first, second = rng.random(50) < 0.5, rng.random(50) < 0.5
    a1 = float(said[first].sum())
    once = np.where(first, said, 0.0) / a1
    a2 = float(once[second].sum())
    twice = np.where(second, once, 0.0) / a2
    assert kl(twice, said) == pytest.approx(-math.log(a1) - math.log(a2), abs=1e-12)


def test_i3_a_filter_that_tosses_a_coin_puts_in_less_into_the_text_alone():
    """With odds of acceptance r(y) the identity holds for text and coin together; for the text alone it is an upper bound."""
    said, odds = writer(), np.random.default_rng(6).random(50)
    a = float(said @ odds)
    kept = said * odds / a
    assert kl(kept, said) < -math.log(a)
    assert tv(kept, said) < 1 - a
    together = np.concatenate([said * odds, said * (1 - odds)])
    assert kl(np.concatenate([kept, np.zeros(50)]), together) == pytest.approx(-math.log(a), abs=1e-12)
    coin = np.full(50, 0.5)  # accepts half of everything: −ln a is ln 2, and the text has not changed at all
    assert kl(said * coin / 0.5, said) == pytest.approx(0.0, abs=1e-12)


def test_i3_holds_for_prompts_and_answers_together():
    """Pooled over prompts; where each prompt is drawn again until one is kept, the mean of −ln a_p is at least as large."""
    rng = np.random.default_rng(7)
    odds, answers, accepted = rng.dirichlet(np.ones(5)), rng.dirichlet(np.ones(10), 5), rng.random((5, 10)) < 0.5
    both = odds[:, None] * answers
    a = float(both[accepted].sum())
    kept = np.where(accepted, both, 0.0) / a
    assert kl(kept.ravel(), both.ravel()) == pytest.approx(-math.log(a), abs=1e-12)
    each = (answers * accepted).sum(axis=1)
    assert -(odds @ np.log(each)) > -math.log(a)


def test_i3_the_interval_of_a_maps_to_the_figures():
    from synthgain.intervals import wilson

    low, high = wilson(25, 100)
    assert -math.log(high) < -math.log(0.25) < -math.log(low)
    assert 1 - high < 0.75 < 1 - low


@pytest.mark.parametrize("n", [1, 2, 4, 16])
def test_i3_best_of_n(n):
    """The best of n by a score without ties: at most ln n − (n − 1)/n, and equal to it for a continuous score."""
    bound = math.log(n) - (n - 1) / n
    coarse = writer()
    tops = list(accumulate(coarse, initial=0.0))
    best = [b**n - a**n for a, b in pairwise(tops)]
    assert kl(best, coarse) <= bound + 1e-12
    edges = np.linspace(0, 1, 20_001) ** n
    assert kl(np.diff(edges), np.full(20_000, 1 / 20_000)) == pytest.approx(bound, abs=2e-3)
    if n == 4:
        assert bound == pytest.approx(0.63629, abs=5e-6)


# ---------------------------------------------------------------------------------------------- I4: what the benefit is


def test_i4_a_bayes_learners_gain_is_the_information_that_the_synthetic_set_adds():
    """θ of three values, one anchor, two synthetic draws from a blurred model: all sums explicit."""
    rng = np.random.default_rng(8)
    prior, real, made = rng.dirichlet(np.ones(3)), rng.dirichlet(np.ones(4), 3), rng.dirichlet(np.ones(4), 3)
    #            θ      x      s_anchor       s1            s2
    joint = np.einsum("t,tx,ta,tb,tc->txabc", prior, real, real, made, made)
    seen = joint.sum(axis=0)  # x, anchor, s1, s2
    anchor = seen.sum(axis=(2, 3))  # x, anchor
    loss_without = -(anchor * np.log(anchor / anchor.sum(axis=0))).sum()
    loss_with = -(seen * np.log(seen / seen.sum(axis=0))).sum()

    def h(*axes):
        return entropy(joint.sum(axis=tuple(i for i in range(5) if i not in axes)).ravel())

    x_given = h(1, 2) + h(2, 3, 4) - h(2) - h(1, 2, 3, 4)  # I(X; S | A)
    theta_given = h(0, 2) + h(2, 3, 4) - h(2) - h(0, 2, 3, 4)  # I(Θ; S | A)
    assert loss_without - loss_with == pytest.approx(x_given, abs=1e-12)
    assert 0 < x_given < theta_given


@pytest.mark.parametrize("noise", [0.25, 1.0, 4.0, 16.0, 64.0])
def test_i4_the_gaussian_table_is_that_information(noise):
    """The closed forms of the table (.0726 … .0103), from the determinants of covariances instead."""
    task = Location(noise=noise)
    m, n = task.anchors, task.synthetic
    cov = np.full((2 + m + n, 2 + m + n), task.prior)  # θ, x, anchors, synthetic: all share θ
    cov[2 + m :, 2 + m :] += task.error
    cov[range(1, 2 + m), range(1, 2 + m)] += 1.0
    cov[range(2 + m, 2 + m + n), range(2 + m, 2 + m + n)] += noise
    a, s = list(range(2, 2 + m)), list(range(2 + m, 2 + m + n))

    def half_logdet(*rows):
        return 0.5 * np.linalg.slogdet(cov[np.ix_(rows, rows)])[1]

    def information(one):  # I(one; S | A)
        return half_logdet(one, *a) + half_logdet(*a, *s) - half_logdet(*a) - half_logdet(one, *a, *s)

    assert task.gain == pytest.approx(information(1), abs=1e-9)
    assert information(1) < information(0)  # what reaches a test point is less than what is learned of θ


def test_i4_delta_i_and_the_benefit_go_opposite_ways():
    tasks = [Location(noise=s) for s in (0.25, 1, 4, 16, 64)]
    information, benefit = [t.delta_I for t in tasks], [t.gain for t in tasks]
    assert information == sorted(information)
    assert benefit == sorted(benefit, reverse=True)
    assert tasks[-1].naive_gain < 0 < tasks[0].naive_gain  # who takes it for real data is harmed in the end


# ---------------------------------------------------------------------------------------------- I5 and I6: one-sided figures


def test_i5_the_score_matrix_brackets_the_information():
    """Exact expectation over prompts and answers of a small model: leave-in ≤ I ≤ empty prompt, and leave-in ≤ ln N."""
    rng = np.random.default_rng(9)
    for sharp in (0.1, 1.0, 10.0):
        answers = rng.dirichlet(np.ones(12) / sharp, 2)
        marginal = answers.mean(axis=0)
        information = math.fsum(0.5 * kl(row, marginal) for row in answers)
        empty = rng.dirichlet(np.ones(12))  # what the model says to an empty prompt
        low = 0.0
        for own, other in product(range(2), repeat=2):  # two prompts drawn, one answer to the first
            mean = 0.5 * (answers[own] + answers[other])
            low += 0.25 * math.fsum(answers[own] * np.log(np.where(answers[own] > 0, answers[own] / mean, 1.0)))
        against_empty = math.fsum(0.5 * kl(row, empty) for row in answers)
        assert 0 <= low <= information <= math.log(2) + 1e-12
        assert against_empty == pytest.approx(information + kl(marginal, empty), abs=1e-12)


def test_i6_no_classifier_beats_the_total_variation():
    p, q = writer(seed=10), writer(seed=11)
    distance, rng = tv(p, q), np.random.default_rng(12)
    for _ in range(200):
        says_p = rng.random(50) < 0.5
        assert p[says_p].sum() + q[~says_p].sum() - 1 <= distance + 1e-12
    best = p > q
    assert p[best].sum() + q[~best].sum() - 1 == pytest.approx(distance, abs=1e-12)
    assert distance <= min(math.sqrt(kl(p, q) / 2), math.sqrt(1 - math.exp(-kl(p, q))))


def test_i6_the_task_divergence_is_at_least_the_gap_less_what_curation_did():
    """D_TV(D,D_M) ≥ D_TV(D,D_gen) − D_TV(D_M,D_gen): how a lower bound for the writer comes out of two readings."""
    for seed in range(50):
        real, said = writer(seed=seed), writer(seed=500 + seed)
        accepted = np.random.default_rng(seed).random(50) < 0.8
        a = float(said[accepted].sum())
        kept = np.where(accepted, said, 0.0) / a
        assert tv(real, said) >= tv(real, kept) - (1 - a) - 1e-12

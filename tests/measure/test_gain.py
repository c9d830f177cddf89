import math

import numpy as np
import pytest

from synthgain.measure.gain import Losses, faithfulness, gain, generalisation_gap, held_out_loss, two_way


def losses(nats: list[float], tokens: list[int] | None = None) -> Losses:
    return Losses(np.array(nats, float), np.array(tokens or [10] * len(nats)))


def test_losses_are_sums_of_log_probabilities() -> None:
    found = Losses.of([[-1.0, -2.0], [-0.5]])
    assert (
        found.nats.tolist() == [3.0, 0.5] and found.tokens.tolist() == [2, 1] and found.rate == pytest.approx(3.5 / 3)
    )
    assert found.wrong == "" and len(found) == 2


def test_gain_is_the_difference_of_nats_over_tokens() -> None:
    found = gain([losses([30, 10], [20, 10]), losses([34, 8], [20, 10])], [losses([24, 9], [20, 10])] * 2)
    assert found.value == pytest.approx((32 + 9 - 24 - 9) / 30) and found.n == 2
    assert (found.name, found.unit, found.kind, found.level) == ("gain", "nats/token", "estimate", 0.95)


def test_with_one_seed_the_interval_is_students_over_documents() -> None:
    """Equally long documents: the t interval of the paired differences, by scipy."""
    from scipy import stats

    dice = np.random.default_rng(0)
    a, g = dice.normal(30, 4, 25), dice.normal(28, 4, 25)
    found = gain([losses(a.tolist())], [losses(g.tolist())])
    low, high = stats.t.interval(0.95, 24, np.mean(a - g) / 10, stats.sem(a - g) / 10)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert "one seed" in found.note and "does not cover how trainings differ" in found.note
    assert found.estimator.endswith("over documents")


def test_a_spread_between_seeds_alone_is_welchs_interval() -> None:
    """Every document says the same of a seed: what is left is two samples of seeds, with Satterthwaite's degrees of freedom."""
    from scipy import stats

    tokens = np.array([5.0, 9.0, 14.0, 30.0])
    first, second = np.array([1.5, 1.62, 1.55, 1.4]), np.array([1.3, 1.5, 1.45])
    value, low, high = two_way(first[:, None] * tokens, second[:, None] * tokens, tokens)
    welch = stats.ttest_ind(first, second, equal_var=False)
    interval = welch.confidence_interval(0.95)
    assert value == pytest.approx(first.mean() - second.mean())
    assert low == pytest.approx(interval.low, rel=2e-3) and high == pytest.approx(interval.high, rel=2e-3)


def test_coverage_over_documents_and_seeds_where_independent_tokens_fail() -> None:
    """Documents and seeds vary, 40 x 3: 95 % covers in [.92, .98]; the interval of independent tokens below .8."""
    dice, runs, hits, naive = np.random.default_rng(24), 500, 0, 0
    for _ in range(runs):
        tokens = dice.integers(20, 200, 40)
        hard = dice.normal(0, 0.3, 40)
        arms = []
        for mean, weight in ((1.6, 1.0), (1.5, 0.6)):
            rate = mean + dice.normal(0, 0.04, (3, 1)) + weight * hard + dice.normal(0, 0.05, (3, 40))
            arms.append(rate * tokens + dice.normal(0, 1.0, (3, 40)) * np.sqrt(tokens))
        value, low, high = two_way(arms[0], arms[1], tokens.astype(float))
        assert low is not None and high is not None
        hits += low <= 0.1 <= high
        naive += abs(value - 0.1) <= 1.96 * math.sqrt(2 / 3 / tokens.sum())  # tokens' own deviation is 1
    assert 0.92 <= hits / runs <= 0.98
    assert naive / runs < 0.8


def test_few_seeds_are_said() -> None:
    docs = losses([30, 12, 44], [20, 10, 30])
    notes = {n: gain([docs] * n, [docs] * n).note for n in (1, 2, 3)}
    assert "fewer than 3 seeds" in notes[2] and "fewer" not in notes[3] and "one seed" in notes[1]
    mixed = gain([docs], [docs] * 3).note
    assert "one seed (anchors only)" in mixed


def test_identical_students_gain_nothing() -> None:
    docs = losses([30, 12, 44], [20, 10, 30])
    found = gain([docs] * 3, [docs] * 3)
    assert (found.value, found.low, found.high) == (0, 0, 0)


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        ([], [losses([1])], "anchors alone"),
        ([losses([1])], [], "synthetic rows"),
        ([losses([])], [losses([])], "no texts"),
        ([losses([1, math.nan])], [losses([1, 2])], "1 of 2 losses are not numbers"),
        ([losses([1, 2])], [losses([1, math.inf])], "not numbers"),
        ([losses([1, 2])], [losses([1, 2], [10, 11])], "same numbers of tokens"),
        ([losses([1, 2])], [losses([1])], "same numbers of tokens"),
        ([losses([1, 2], [10, 0])], [losses([1, 2], [10, 0])], "no tokens"),
        ([Losses(np.ones(2), np.ones(3, int))], [losses([1])], "2 losses and 3 token counts"),
    ],
)
def test_no_gain_from_bad_losses(first: list[Losses], second: list[Losses], why: str) -> None:
    found = gain(first, second)
    assert (found.value, found.low, found.high) == (None, None, None) and why in found.note


def test_one_document_gives_no_interval() -> None:
    found = gain([losses([12])] * 3, [losses([10])] * 3)
    assert found.value == pytest.approx(0.2) and found.low is None and "one document" in found.note


def test_faithfulness_is_after_less_before() -> None:
    before = losses([30, 12, 44], [20, 10, 30])
    after = [losses([28, 11, 40], [20, 10, 30]), losses([26, 11, 40], [20, 10, 30])]
    found = faithfulness(before, after)
    assert found.value == pytest.approx((27 + 11 + 40 - 86) / 60) and found.name == "faithfulness"
    assert found.value < 0 and "2 seeds (after)" in found.note
    assert faithfulness(before, []).value is None


def test_the_held_out_loss_itself() -> None:
    found = held_out_loss("held_out_loss", [losses([30, 12], [20, 10]), losses([33, 12], [20, 10])])
    assert found.value == pytest.approx(43.5 / 30) and found.low is not None and found.low < found.value
    assert held_out_loss("held_out_loss_anchors", []).value is None


# ---------------------------------------------------------------------------------------------- members and siblings


def test_the_gap_between_siblings_and_members() -> None:
    members, siblings = losses([10, 20], [10, 10]), losses([30, 20], [20, 20])
    found = generalisation_gap(members, siblings)
    assert found.value == pytest.approx(50 / 40 - 30 / 20) and found.n == 2 and found.name == "generalisation_gap"
    before = (losses([20, 30], [10, 10]), losses([60, 40], [20, 20]))
    calibrated = generalisation_gap(members, siblings, before)
    assert calibrated.name == "generalisation_gap_calibrated"
    assert calibrated.value == pytest.approx(found.value - (100 / 40 - 50 / 20))  # type: ignore[operator]


def test_the_gap_covers_and_calibration_narrows_it() -> None:
    dice, hits, closer, widths = np.random.default_rng(5), 0, 0, np.zeros(2)
    for _ in range(300):
        tokens, hard = dice.integers(5, 60, (2, 30)), dice.normal(0, 0.5, (2, 30))
        after = tokens * (1.5 + 0.9 * hard + dice.normal(0, 0.1, (2, 30)) + np.array([[0.0], [0.1]]))
        w, before = ([Losses(side, t) for side, t in zip(nats, tokens)] for nats in (after, tokens * (2 + hard)))
        plain, calibrated = generalisation_gap(w[0], w[1]), generalisation_gap(w[0], w[1], (before[0], before[1]))
        for reading in (plain, calibrated):
            assert reading.low is not None and reading.high is not None
        hits += plain.low <= 0.1 <= plain.high  # type: ignore[operator]
        closer += calibrated.low <= 0.1 <= calibrated.high  # type: ignore[operator]
        widths += (plain.high - plain.low, calibrated.high - calibrated.low)  # type: ignore[operator]
    assert 0.91 <= hits / 300 <= 0.985 and 0.91 <= closer / 300 <= 0.985
    assert widths[1] < widths[0] / 2


def test_no_gap_from_bad_pairs() -> None:
    good, one = losses([1, 2]), losses([1])
    for members, siblings, before in (
        (good, one, None),
        (losses([]), losses([]), None),
        (good, losses([1, math.nan]), None),
        (good, good, (good, one)),
        (good, good, (good, losses([1, 2], [10, 12]))),
    ):
        found = generalisation_gap(members, siblings, before)
        assert found.value is None and found.note
    assert generalisation_gap(one, one).low is None

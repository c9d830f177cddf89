import math

import numpy as np
import pytest

from synthgain.intervals import wilson
from synthgain.measure.memorisation import binned, fano, ggmi, memo, memo_binned
from synthgain.types import Reading

LN2 = math.log(2)
LOSSES = (Reading("held_out_loss_anchors", 1.54), Reading("held_out_loss", 1.5))


def pairs_of(accuracy: float, n: int) -> tuple[list[float], list[float]]:
    """Pairs of which the sign rule gets that share right."""
    right = round(accuracy * n)
    return [0.0] * n, [1.0] * right + [-1.0] * (n - right)


def mean_learner(n: int, d: int, dice: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """W is the mean of n members from N(0, I_d); squared losses of the members and of as many siblings."""
    z = dice.normal(size=(2, n, d))
    loss = ((z - z[0].mean(0)) ** 2).sum(-1)
    return loss[0], loss[1]


def fano_of_mean_learner(n: int, d: int) -> float:
    """Δ is (1 + 1/n) χ² − (1 − 1/n) χ'² with d degrees of freedom each, uncorrelated: the accuracy is a tail of F."""
    from scipy.special import fdtrc

    return fano(float(fdtrc(d, d, (1 - 1 / n) / (1 + 1 / n))))


def test_fano_is_the_capacity_of_the_sign() -> None:
    assert fano(1) == pytest.approx(LN2) and fano(0.5) == fano(0.3) == fano(0) == 0
    assert fano(0.75) == pytest.approx(LN2 + 0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    grid = [fano(a) for a in np.linspace(0, 1, 101)]
    assert grid == sorted(grid)


def test_a_memoriser_gives_ln_2_of_every_row() -> None:
    found = memo([-5.0] * 100, [0.0] * 100)
    assert found.value == found.high == pytest.approx(LN2) and found.low == pytest.approx(fano(wilson(100, 100)[0]))
    assert (found.unit, found.kind, found.n) == ("nats/example", "lower bound", 100)
    assert memo_binned([-5.0] * 100, [0.0] * 100).value == pytest.approx(LN2)


def test_the_interval_is_wilsons_carried_over() -> None:
    found = memo(*pairs_of(0.7, 50))
    low, high = wilson(35, 50)
    assert (found.value, found.low, found.high) == (fano(0.7), fano(low), fano(high))


def test_worse_than_chance_is_chance() -> None:
    found = memo(*pairs_of(0.4, 50))
    assert found.value == 0 and found.low == 0 and found.high == fano(wilson(20, 50)[1]) > 0
    assert "less than chance" in found.note


def test_a_tie_is_half_right() -> None:
    found = memo([1.0] * 40, [1.0] * 40)
    assert found.value == 0 and "0.500" in found.note
    assert memo_binned([1.0] * 40, [1.0] * 40).value == 0


def test_a_learner_that_ignores_the_rows_memorises_nothing() -> None:
    dice = np.random.default_rng(22)
    values, covers, corrected, covers_binned = [], 0, [], 0
    for n in range(200):
        members, siblings = dice.normal(size=(2, 100))
        found = memo(members, siblings)
        values.append(found.value or 0.0)
        covers += found.low == 0
        if n < 30:
            other = memo_binned(members, siblings)
            corrected.append(other.value or 0.0)
            covers_binned += other.low == 0
    assert covers >= 0.93 * 200 and np.mean(values) < 0.005
    assert abs(np.mean(corrected)) < 4 * np.std(corrected) / math.sqrt(30) and covers_binned >= 28


def test_the_mean_learner_is_covered() -> None:
    """ESTIMATORS 5.7: n = 50, d = 100; Fano's bound from the exact accuracy lies in the interval in 90 of 100 runs."""
    truth = fano_of_mean_learner(50, 100)
    assert truth == pytest.approx(0.0128, abs=5e-4)
    dice = np.random.default_rng(7)
    found = [memo(*mean_learner(50, 100, dice)) for _ in range(100)]
    assert sum(r.low <= truth <= r.high for r in found) >= 90  # type: ignore[operator]
    assert np.mean([r.value for r in found]) > truth  # type: ignore[arg-type]  # the positive part's bias


def test_bins_find_what_the_sign_alone_misses() -> None:
    """I(Δ;U) of a memoriser of every other row, whose other rows say nothing: half of ln 2, more than Fano's bound."""
    dice = np.random.default_rng(1)
    learnt = np.arange(1000) % 2 == 0
    siblings = np.where(learnt, 10.0, dice.choice([-1.0, 1.0], 1000))
    found, bound = memo_binned([0.0] * 1000, siblings.tolist()), memo([0.0] * 1000, siblings.tolist())
    assert found.value == pytest.approx(LN2 / 2, abs=0.02) and bound.value == pytest.approx(fano(0.75), abs=0.02)
    assert found.low is not None and found.high is not None and found.low <= LN2 / 2 <= found.high


def test_the_correction_removes_the_bias_of_a_plug_in() -> None:
    """Shares of .8 in every bin of 20: the corrected mean is right to 4 standard errors, the plug-in is not."""
    dice = np.random.default_rng(3)
    gaps = np.where(dice.random((4000, 100)) < 0.8, 1.0, -1.0) * dice.random((4000, 100))
    value, slack = binned(gaps, 5)
    error = value.std() / math.sqrt(len(value))
    assert abs(value.mean() - fano(0.8)) < 4 * error + 2e-3
    assert (value + slack).mean() - fano(0.8) > 0.02


@pytest.mark.parametrize(
    ("members", "siblings", "why"),
    [
        ([], [], "no pairs"),
        ([1.0], [1.0, 2.0], "are no pairs"),
        ([1.0, math.nan], [1.0, 2.0], "1 of 2 pairs"),
        ([1.0, 0.0], [1.0, math.inf], "not numbers"),
    ],
)
def test_no_memo_from_bad_pairs(members: list[float], siblings: list[float], why: str) -> None:
    for found in (memo(members, siblings), memo_binned(members, siblings)):
        assert found.value is None and why in found.note
    assert "two bins need" in memo_binned([0.0] * 19, [1.0] * 19).note


# ---------------------------------------------------------------------------------------------- GGMI


def test_ggmi_changes_sign_with_the_runs_and_is_0_for_equal_ones() -> None:
    a, b = memo(*pairs_of(0.8, 100)), memo(*pairs_of(0.6, 80))
    one, other = ggmi(a, b, LOSSES), ggmi(b, a, LOSSES)
    assert one.value == pytest.approx(fano(0.8) - fano(0.6)) and one.value == -other.value  # type: ignore[operator]
    assert (one.low, one.high) == (pytest.approx(-other.high), pytest.approx(-other.low))  # type: ignore[operator]
    same = ggmi(a, a, LOSSES)
    assert same.value == 0 and same.low == pytest.approx(-same.high)  # type: ignore[operator]
    assert (one.kind, one.unit, one.n) == ("proxy", "nats/example", 80)


def test_ggmi_is_never_given_without_both_held_out_losses() -> None:
    a, b = memo(*pairs_of(0.8, 100)), memo(*pairs_of(0.6, 80))
    assert "1.54" in ggmi(a, b, LOSSES).note and "1.5 " in ggmi(a, b, LOSSES).note
    for losses in ((LOSSES[0], Reading("held_out_loss", None, note="no test")), (Reading("x", None), LOSSES[1])):
        assert ggmi(a, b, losses).value is None
    assert ggmi(memo([], []), b, LOSSES).value is None and "no pairs" in ggmi(memo([], []), b, LOSSES).note


def test_newcombes_interval_covers() -> None:
    dice, hits, truth = np.random.default_rng(11), 0, fano(0.75) - fano(0.6)
    for _ in range(400):
        runs = [memo([0.0] * 100, np.where(dice.random(100) < p, 1.0, -1.0).tolist()) for p in (0.75, 0.6)]
        found = ggmi(runs[0], runs[1], LOSSES)
        hits += found.low <= truth <= found.high  # type: ignore[operator]
    assert 0.92 <= hits / 400 <= 0.985

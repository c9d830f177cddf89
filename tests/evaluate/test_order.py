"""What differences at several learning rates say together."""

from __future__ import annotations

from synthgain.evaluate import order_of
from synthgain.types import Reading


def gap(value: float | None, low: float | None = None, high: float | None = None) -> Reading:
    return Reading("accuracy difference", value, low, high)


MEAN = gap(0.1, 0.05, 0.15)


def test_it_beats_where_every_rate_tells_them_apart_on_one_side() -> None:
    order = order_of(
        "A", "B", MEAN, {1e-3: gap(0.1, 0.02, 0.18), 3e-4: gap(0.2, 0.1, 0.3), 1e-4: gap(0.05, 0.01, 0.09)}
    )
    assert (order.holds, order.a, order.b) == ("beats", "A", "B")
    assert order.sentence.startswith(
        "A beats B by 0.10 [0.05, 0.15] at all three learning rates: 0.10 [0.02, 0.18] at 0.001"
    )


def test_the_other_way_round_the_names_change_places() -> None:
    lower = gap(-0.1, -0.15, -0.05)
    order = order_of("A", "B", lower, {1e-3: lower, 1e-4: gap(-0.2, -0.3, -0.1)})
    assert (order.holds, order.a) == ("beats", "B") and order.sentence.startswith(
        "B beats A by 0.10 [0.05, 0.15] at both"
    )


def test_one_rate_that_cannot_tell_makes_it_ahead() -> None:
    order = order_of("A", "B", MEAN, {1e-3: gap(0.1, 0.02, 0.18), 1e-4: gap(0.01, -0.05, 0.07)})
    assert order.holds == "ahead" and "not told apart at 0.0001" in order.sentence


def test_rates_that_lean_both_ways_flip() -> None:
    order = order_of("A", "B", MEAN, {1e-3: gap(0.1, 0.02, 0.18), 1e-4: gap(-0.01, -0.05, 0.03)})
    assert order.holds == "flips" and "told apart at 0.001" in order.sentence
    order = order_of("A", "B", MEAN, {1e-3: gap(0.1, -0.2, 0.4), 1e-4: gap(-0.01, -0.05, 0.03)})
    assert order.holds == "flips" and "told apart at none" in order.sentence


def test_zero_is_no_lead() -> None:
    assert order_of("A", "B", gap(0.0, 0, 0), {1e-3: gap(0.0, 0, 0), 1e-4: gap(0.0, 0, 0)}).holds == "alike"
    assert order_of("A", "B", MEAN, {1e-3: gap(0.0, -0.1, 0.1), 1e-4: gap(0.1, 0.05, 0.15)}).holds == "ahead"
    back = order_of("A", "B", MEAN, {1e-3: gap(0.0, -0.1, 0.1), 1e-4: gap(-0.1, -0.15, -0.05)})
    assert (back.holds, back.a) == ("ahead", "B")


def test_a_rate_without_a_figure_is_not_compared() -> None:
    assert order_of("A", "B", MEAN, {1e-3: gap(None), 1e-4: gap(0.1, 0.05, 0.15)}).holds == "unknown"
    assert order_of("A", "B", gap(None), {}).holds == "unknown"

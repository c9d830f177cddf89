"""Numbers for people."""

from __future__ import annotations

import pytest

from synthgain.numbers import count, duration, figure, interval, money, share


@pytest.mark.parametrize(
    ("value", "low", "high", "said"),
    [
        (1 / 6, 0.0, 1 / 3, "0.17 [0.00, 0.33]"),
        (0.62, 0.55, 0.69, "0.62 [0.55, 0.69]"),
        (0.5, 0.09, 0.91, "0.50 [0.09, 0.91]"),
        (0.6234, 0.6221, 0.6247, "0.6234 [0.6221, 0.6247]"),
        (0.0, 0.0, 0.037, "0.000 [0.000, 0.037]"),
        (1234.5, 1100.0, 1400.0, "1,234 [1,100, 1,400]"),
        (-0.021, -0.062, 0.019, "−0.02 [−0.06, 0.02]"),
        (-0.004, -0.062, 0.05, "0.00 [−0.06, 0.05]"),
        (22.41, 20.93, 24.12, "22.4 [20.9, 24.1]"),
        (5.0, 5.0, 5.0, "5 [5, 5]"),
        (0.5, None, None, "0.500"),
        (0.81, 0.64, None, "0.81 [≥ 0.64]"),
        (0.81, None, 0.9, "0.81 [≤ 0.90]"),
        (1e300, -1e300, 1e300, "1e+300 [−1e+300, 1e+300]"),
        (1e-12, 0.0, 1e-11, "1e-12 [0, 1e-11]"),
    ],
)
def test_digits_go_as_far_as_the_interval_bears_them_out(
    value: float, low: float | None, high: float | None, said: str
) -> None:
    assert interval(value, low, high) == said


def test_an_end_beside_zero_is_never_written_as_zero() -> None:
    """Which side of zero the interval ends on is what a difference says."""
    assert interval(0.3, 0.004, 0.6) == "0.300 [0.004, 0.600]"
    assert interval(0.2, -0.0004, 0.4) == "0.2000 [−0.0004, 0.4000]"
    assert interval(0.3, 1e-17, 0.6) == "0.30 [0.00, 0.60]"  # the noise of adding up is no digit


def test_a_difference_can_carry_its_sign() -> None:
    assert interval(1 / 6, 0.0, 1 / 3, signed=True) == "+0.17 [0.00, +0.33]"
    assert interval(-0.5, -0.6, -0.4, signed=True) == "−0.50 [−0.60, −0.40]"


def test_figures() -> None:
    assert [figure(x) for x in (0, 3.0, 0.1714, 12345.6, -2.5, 1.23e-7, 4.2e7)] == [
        "0",
        "3",
        "0.171",
        "12,346",
        "−2.50",
        "1.23e-07",
        "42,000,000",
    ]
    assert [share(*x) for x in ((0, 0), (0, 3), (1, 3), (3, 3), (1, 5000))] == [
        "–",
        "0 %",
        "33.3 %",
        "100 %",
        "< 0.1 %",
    ]
    assert [count(x) for x in (None, "x", True, float("nan"), 1234)] == ["–", "–", "–", "–", "1,234"]
    assert [money(x) for x in (None, 0.0, 0.01234, 12.5)] == ["not known", "$0.00", "$0.0123", "$12.50"]
    assert [duration(x).replace("\u00a0", " ") for x in (1.25, 42, 211.4, 7500, None)] == [
        "1.2 s",
        "42 s",
        "3 min 31 s",
        "2 h 05 min",
        "–",
    ]

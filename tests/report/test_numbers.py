"""Numbers for people."""

from __future__ import annotations

import pytest

from synthgain.report.numbers import count, duration, figure, interval, money, share


@pytest.mark.parametrize(
    ("value", "low", "high", "said"),
    [
        (0.62, 0.55, 0.69, "0.62 [0.55, 0.69]"),
        (0.6234, 0.6221, 0.6247, "0.6234 [0.6221, 0.6247]"),
        (0.0, 0.0, 0.037, "0.00 [0.00, 0.04]"),
        (1234.5, 1100.0, 1400.0, "1,234 [1,100, 1,400]"),
        (-0.021, -0.062, 0.019, "−0.02 [−0.06, 0.02]"),
        (-0.004, -0.062, 0.05, "0.00 [−0.06, 0.05]"),
        (22.41, 20.93, 24.12, "22 [21, 24]"),
        (5.0, 5.0, 5.0, "5 [5, 5]"),
        (0.5, None, None, "0.500"),
        (0.5, 0.4, None, "0.500"),
    ],
)
def test_digits_go_as_far_as_the_interval_bears_them_out(
    value: float, low: float | None, high: float | None, said: str
) -> None:
    assert interval(value, low, high) == said


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

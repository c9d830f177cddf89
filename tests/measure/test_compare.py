"""Comparing sets: closed forms, coverage, and what is said when nothing can be told."""

import numpy as np
import pytest

from synthgain.measure.compare import TOLD, PerDocument, Side, apart, differences, ranking, sentences
from synthgain.types import Reading


def side(
    name: str,
    value: float | None = 0.2,
    half: float = 0.05,
    *,
    rows: int = 100,
    tokens: int = 1_000,
    cost: float | None = 2.0,
    gains: PerDocument | None = None,
    reading: str = "proxy_gain",
) -> Side:
    r = Reading(
        reading,
        value,
        None if value is None else value - half,
        None if value is None else value + half,
        unit="nats/token",
        n=100,
        note="why not",
    )
    return Side(name, rows, tokens, cost, [r], {} if gains is None else {reading: gains})


def test_symmetric_intervals_add_as_squares() -> None:
    d = next(d for d in differences(side("x", 0.30, 0.03), side("y", 0.10, 0.04)) if d.per == "set")
    assert (d.value, d.low, d.high) == pytest.approx((0.20, 0.15, 0.25))
    assert d.verdict == "a adds more"


def test_newcombe_example_of_two_shares() -> None:
    """56/70 against 48/80: 0.2 [0.0524, 0.3339] (Newcombe 1998, table II, method 10)."""
    from synthgain.intervals import wilson

    readings = []
    for k, n in ((56, 70), (48, 80)):
        low, high = wilson(k, n)
        readings.append(Reading("dup_rate", k / n, low, high))
    assert apart(*readings) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_swapping_the_sets_turns_every_sign() -> None:
    x, y = side("x", 0.3, 0.2), side("y", 0.1, 0.01, rows=7, tokens=70)
    for one, other in zip(differences(x, y), differences(y, x)):
        assert one.value == pytest.approx(-(other.value or 0)) and one.low == pytest.approx(-(other.high or 0))
    same = next(iter(differences(x, x)))
    assert same.value == 0 and same.verdict == TOLD


def test_per_row_token_and_dollar() -> None:
    found = {
        d.per: d
        for d in differences(
            side("x", 0.2, rows=100, tokens=1_000, cost=2.0), side("y", 0.2, rows=400, tokens=500, cost=None)
        )
    }
    assert found["set"].value == 0
    assert found["row"].value == pytest.approx(0.2 / 100 - 0.2 / 400)
    assert found["token"].value == pytest.approx(0.2 / 1_000 - 0.2 / 500)
    assert found["dollar"].value is None and "price of y" in found["dollar"].note


def test_a_missing_reading_gives_no_difference_but_its_reason() -> None:
    d = next(iter(differences(side("x", None), side("y"))))
    assert d.value is None and d.verdict == "not measured" and "x: why not" in d.note
    assert "cannot be compared" in sentences(side("x", None), side("y"), [d])[0]


def test_pairing_by_document_finds_what_two_intervals_apart_cannot() -> None:
    draw = np.random.default_rng(0)
    documents, tokens = np.arange(200), draw.integers(20, 200, 200)
    hard = draw.normal(0, 1, 200)  # documents differ far more than the sets do
    one = PerDocument(documents, (hard + 0.05 + draw.normal(0, 0.05, 200)) * tokens, tokens)
    two = PerDocument(documents, (hard + draw.normal(0, 0.05, 200)) * tokens, tokens)
    x, y = side("x", 0.05, 0.14, gains=one), side("y", 0.0, 0.14, gains=two)
    d = next(iter(differences(x, y)))
    assert d.paired == 200 and d.verdict == "a adds more" and (d.low or 0) < 0.05 < (d.high or 0)
    shuffled = PerDocument(documents[::-1], two.nats[::-1], tokens[::-1])
    assert next(iter(differences(x, side("y", 0.0, 0.14, gains=shuffled)))).value == pytest.approx(d.value)


def test_other_held_out_text_is_not_paired() -> None:
    tokens = np.full(50, 10)
    one, two = PerDocument(np.arange(50), np.ones(50), tokens), PerDocument(np.arange(100, 150), np.ones(50), tokens)
    assert next(iter(differences(side("x", gains=one), side("y", gains=two)))).paired == 0


def test_coverage_of_the_difference_measured_apart() -> None:
    """Two independent normal means, 95 % intervals: the difference's interval covers in 0.93 to 0.97 of 2,000 draws."""
    draw = np.random.default_rng(1)
    x, y = draw.normal(1.0, 0.3, 2_000), draw.normal(0.4, 0.1, 2_000)
    inside = 0
    for a, b in zip(x, y):
        _, low, high = apart(
            Reading("r", a, a - 1.96 * 0.3, a + 1.96 * 0.3), Reading("r", b, b - 1.96 * 0.1, b + 1.96 * 0.1)
        )
        assert low is not None and high is not None
        inside += low < 0.6 < high
    assert 0.93 <= inside / 2_000 <= 0.97


def test_what_is_said() -> None:
    x, y, z = side("x", 0.30, 0.05), side("y", 0.10, 0.05), side("z", 0.28, 0.05)
    assert sentences(x, y, differences(x, y))[0].startswith(
        "x adds more than y: proxy_gain higher by 0.2 [0.129, 0.271]"
    )
    told = sentences(x, z, differences(x, z))[0]
    assert "cannot be told apart" in told and "about 1,15" in told  # 100 · (0.0707 / 0.02)² = 1,250
    assert [line.split(":")[0] for line in ranking([y, side("w", None), x, z])] == ["x", "z", "y", "w"]

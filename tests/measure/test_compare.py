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


def sized(name: str, reading: Reading, rows: int = 100) -> Side:
    return Side(name, rows, 1_000, None, [reading])


def test_figures_of_unequal_size_are_not_compared() -> None:
    """Vendi and distinct bigrams grow or fall with the size that they are taken at, duplicates with the rows."""
    for name in ("vendi", "vendi_anchors", "distinct_2"):
        x, y = (sized("x", Reading(name, v, v - 1, v + 1, estimator=f"at n={n}")) for v, n in ((40, 60), (100, 200)))
        d = next(iter(differences(x, y)))
        assert d.value is None and "size" in d.note and not any("differ (" in s for s in sentences(x, y, [d]))
    same = [sized(n, Reading("vendi", v, v - 1, v + 1, estimator="at n=60")) for n, v in (("x", 40), ("y", 50))]
    assert next(iter(differences(*same))).verdict == "b is higher"
    many = [
        sized(n, Reading("dup_rate", v, v - 0.01, v + 0.01), rows) for n, v, rows in (("x", 0.1, 100), ("y", 0.4, 900))
    ]
    assert next(iter(differences(*many))).value is None
    full = [sized(s.name, s.readings[0], 20_000 * (i + 1)) for i, s in enumerate(many)]  # both read 10,000 rows
    assert next(iter(differences(*full))).verdict == "b is higher"


def test_the_size_of_a_tests_figure_is_not_compared() -> None:
    x, y = (sized(n, Reading("nhsic", v, v - 0.01, v + 0.01, kind="test")) for n, v in (("x", 0.5), ("y", 0.1)))
    assert next(iter(differences(x, y))).value is None


def test_a_loss_is_not_shared_out_over_rows() -> None:
    """A large set that takes away more would look better per row than a small one that takes away less."""
    x, y = side("x", -0.5, 0.01, rows=100), side("y", -1.0, 0.01, rows=1_000)
    found = {d.per: d for d in differences(x, y)}
    assert found["set"].verdict == "a adds more" and found["row"].value is None and found["token"].value is None
    said = sentences(x, y, list(found.values()))
    assert "y adds more" not in " ".join(said) and "both take away" in said[0]
    z = side("z", 0.1, 0.01, rows=1_000)
    assert {d.per: d for d in differences(x, z)}["row"].verdict == "b adds more"


def test_no_price_and_a_price_of_nothing_are_told_apart() -> None:
    d = next(d for d in differences(side("x", cost=0.0), side("y", cost=None)) if d.per == "dollar")
    assert d.value is None and "x cost nothing" in d.note and "price of y" in d.note


def test_gains_on_different_text_say_so() -> None:
    x, y = side("x", 0.3, 0.01), side("y", 0.1, 0.01)
    assert "different held-out text" in sentences(x, y, differences(x, y))[0]
    tokens = np.full(50, 10)
    gains = [PerDocument(np.arange(50), np.full(50, v) * tokens, tokens) for v in (0.3, 0.1)]
    x, y = side("x", 0.3, 0.01, gains=gains[0]), side("y", 0.1, 0.01, gains=gains[1])
    assert "different held-out text" not in sentences(x, y, differences(x, y))[0]

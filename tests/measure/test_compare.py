"""Comparing sets: closed forms, coverage, and what is said when nothing can be told."""

from collections.abc import Sequence

import numpy as np
import pytest

from synthgain.measure.compare import (
    TOLD,
    PerDocument,
    Side,
    apart,
    at_equal_size,
    differences,
)
from synthgain.measure.data import Data
from synthgain.measure.equal_size import gains_at
from synthgain.measure.proxy import held_out_gains, proxy_gain
from synthgain.measure.ranking import ranking, sentences
from synthgain.types import Reading

DOCUMENTS = np.arange(100)


def gain(value: float, half: float, name: str, documents: np.ndarray = DOCUMENTS) -> PerDocument:
    """Gains of so many documents of ten words around a value, noisy enough for that half width; each set's noise is its own."""
    noise = np.random.default_rng(sum(map(ord, name))).normal(0, 1, len(documents))
    noise -= noise.mean()
    each = value + noise / noise.std() * half / 1.96 * np.sqrt(len(documents))
    return PerDocument(documents, each * 10, np.full(len(documents), 10))


def side(
    name: str,
    value: float | None = 0.2,
    half: float = 0.05,
    *,
    rows: int = 1_000,
    tokens: int = 100_000,
    cost: float | None = 2.0,
    gains: PerDocument | None = None,
    reading: str = "proxy_gain",
    beside: Sequence[Reading] = (),
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
    by_document = gain(value or 0.0, half, name) if gains is None else gains
    return Side(name, rows, tokens, cost, [r, *beside], {reading: by_document})


def test_symmetric_intervals_add_as_squares() -> None:
    x, y = (sized(n, Reading("copy_rate", v, v - h, v + h)) for n, v, h in (("x", 0.30, 0.03), ("y", 0.10, 0.04)))
    d = next(iter(differences(x, y)))
    assert (d.value, d.low, d.high) == pytest.approx((0.20, 0.15, 0.25))
    assert d.verdict == "a is higher"


def test_newcombe_example_of_two_shares() -> None:
    """56/70 against 48/80: 0.2 [0.0524, 0.3339] (Newcombe 1998, table II, method 10)."""
    from synthgain.intervals import wilson

    readings = []
    for k, n in ((56, 70), (48, 80)):
        low, high = wilson(k, n)
        readings.append(Reading("dup_rate", k / n, low, high))
    assert apart(*readings) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_swapping_the_sets_turns_every_sign() -> None:
    x, y = side("x", 0.3, 0.2), side("y", 0.1, 0.01, rows=700, tokens=70_000)
    for one, other in zip(differences(x, y), differences(y, x)):
        assert one.value == pytest.approx(-(other.value or 0))
        assert one.low == pytest.approx(-(other.high or 0), abs=0.02 * abs(one.value or 0))
    same = next(iter(differences(x, x)))
    assert same.value == 0 and same.verdict == TOLD


def test_per_row_token_and_dollar() -> None:
    found = {
        d.per: d
        for d in differences(
            side("x", 0.2, rows=1_000, tokens=100_000, cost=2.0), side("y", 0.2, rows=4_000, tokens=50_000, cost=None)
        )
    }
    assert found["set"].value == pytest.approx(0)
    assert found["row"].value == pytest.approx(0.2 / 1_000 - 0.2 / 4_000)
    assert found["token"].value == pytest.approx(0.2 / 100_000 - 0.2 / 50_000)
    assert found["dollar"].value is None and "price of y" in found["dollar"].note


def test_no_ratio_without_enough_rows_to_bear_it() -> None:
    """Sets of 32 and 69 rows gave "84 nats/token per million tokens": a unit that neither of them held."""
    few, more = side("few", 0.2, rows=32, tokens=2_400), side("more", 0.3, rows=69, tokens=3_000)
    found = differences(few, more)
    assert {d.per for d in found if d.value is not None} == {"set"}
    assert all("few has 32 rows" in d.note for d in found if d.per != "set")
    said = " ".join(sentences([few, more], found))
    assert said.count("too few for a ratio") == 1 and "million" not in said
    short = side("short", 0.2, tokens=9_000, cost=0.05)
    per = {d.per: d for d in differences(short, side("long", 0.3))}
    assert per["row"].value is not None and "9,000 words" in per["token"].note and "0.05 dollars" in per["dollar"].note


def test_a_missing_reading_gives_no_difference_but_its_reason() -> None:
    d = next(iter(differences(side("x", None), side("y"))))
    assert d.value is None and d.verdict == "not measured" and "x: why not" in d.note
    assert "cannot be compared" in sentences([side("x", None), side("y")], [d])[0]


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


def test_sets_held_out_against_other_text_are_not_ranked() -> None:
    """Texts differ more than sets do: 32 and 69 rows from other anchors were ranked, "adds more"."""
    x, y = side("x", 0.5, 0.01), side("y", 0.1, 0.01, gains=gain(0.1, 0.01, "y", DOCUMENTS + 100))
    z = side("z", 0.3, 0.01)
    d = next(iter(differences(x, y)))
    assert d.value is None and d.verdict == "not measured" and "other real text" in d.note
    said = sentences([x, y], differences(x, y))
    assert said[0].startswith("Not ranked: x and y") and "--target" in said[0] and "adds more" not in " ".join(said)
    found = [*differences(x, y), *differences(x, z), *differences(y, z)]
    whole = sentences([x, y, z], found)
    assert [line for line in whole if "other real text" in line] == whole[:1]  # once for all pairs
    assert any(line.startswith("x adds more than z") for line in whole)  # these two share their text


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
    first = sentences([x, y], differences(x, y))[0]
    assert first.startswith("x adds more than y: proxy_gain higher by 0.20 [0.1") and "nats/token" in first
    told = sentences([x, z], differences(x, z))[0]
    assert "cannot be told apart" in told and "more held-out documents would show it" in told
    order = "highest first: x 0.30 [0.25, 0.35], z 0.28 [0.23, 0.33], y 0.10 [0.05, 0.15]"
    assert f"{order}; not measured: w." in ranking([y, side("w", None), x, z])
    found = [*differences(y, x), *differences(y, z), *differences(x, z)]
    said = sentences([y, x, z], found)
    assert said[0].startswith("Ranked by proxy_gain (ranked 32 foreign sets at 0.60") and order in said[0]
    assert sum("not a forecast" in line for line in said) == 1  # a caveat stands once


def test_the_one_that_is_ahead_by_nonsense_is_told_so() -> None:
    """At temperature 1 rows that were gibberish gained 0.22, and faithful ones lost 0.17."""
    odd, true = (Reading("grounded", v, v - 0.03, v + 0.03, unit="prob") for v in (0.4, 0.95))
    x, y = side("x", 0.22, 0.02, beside=[odd]), side("y", -0.17, 0.02, beside=[true])
    said = sentences([x, y], differences(x, y))
    assert "x adds more than y" in said[0] and "0.40 [0.37, 0.43] against 0.95 [0.92, 0.98]" in said[0]
    assert "But" not in sentences([x, y], differences(side("x", 0.22, 0.02), side("y", -0.17, 0.02)))[1]


def sized(name: str, reading: Reading, rows: int = 100) -> Side:
    return Side(name, rows, 1_000, None, [reading])


def test_figures_of_unequal_size_are_not_compared() -> None:
    """Vendi and distinct bigrams grow or fall with the size that they are taken at, duplicates with the rows."""
    for name in ("vendi", "vendi_anchors", "distinct_2"):
        x, y = (sized("x", Reading(name, v, v - 1, v + 1, estimator=f"at n={n}")) for v, n in ((40, 60), (100, 200)))
        d = next(iter(differences(x, y)))
        assert d.value is None and "size" in d.note and not any("differ (" in s for s in sentences([x, y], [d]))
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
    x, y = side("x", -0.5, 0.01, rows=1_000), side("y", -1.0, 0.01, rows=10_000)
    found = {d.per: d for d in differences(x, y)}
    assert found["set"].verdict == "a adds more" and found["row"].value is None and found["token"].value is None
    said = sentences([x, y], list(found.values()))
    assert "y adds more" not in " ".join(said) and "neither helps" in said[0]
    z = side("z", 0.1, 0.001, rows=10_000)
    assert {d.per: d for d in differences(x, z)}["row"].verdict == "b adds more"


def test_no_price_and_a_price_of_nothing_are_told_apart() -> None:
    d = next(d for d in differences(side("x", cost=0.0), side("y", cost=None)) if d.per == "dollar")
    assert d.value is None and "x cost nothing" in d.note and "price of y" in d.note


def test_a_larger_set_is_also_compared_at_the_size_of_the_smaller() -> None:
    """Rows of one law: the larger set adds more for being larger, and at equal size they cannot be told apart."""
    rng = np.random.default_rng(1)
    words = np.array([f"w{i}" for i in range(60)])
    chances = 1 / np.arange(1, 61)

    def texts(n: int) -> list[str]:
        return [" ".join(rng.choice(words, 12, p=chances / chances.sum())) for _ in range(n)]

    target, anchors = texts(80), texts(10)
    small, large = (Data.of(texts(n), anchors, target=target) for n in (40, 400))
    sides = [
        Side(name, d.n_rows, 1, None, proxy_gain(d), held_out_gains(d)) for name, d in (("s", small), ("l", large))
    ]
    whole = next(d for d in differences(*sides) if d.name == "proxy_gain" and d.per == "set")
    assert whole.verdict == "b adds more" and whole.high is not None and whole.high < 0
    equal = {d.name: d for d in at_equal_size(*sides, gains_at(large, 40, answers=False), draws=3)}
    found = equal["proxy_gain"]
    assert found.per == "size" and found.paired == 80 and "at 40 rows each" in found.note
    assert found.low is not None and found.high is not None and found.low < 0.05 and found.high > -0.05
    assert abs(found.value or 9.0) < abs(whole.value or 0.0) / 3
    said = sentences(sides, [*differences(*sides), *equal.values()])
    assert any("at equal size" in line for line in said)

"""The curation ledger against explicit laws."""

import math

import numpy as np
import pytest

from synthgain.intervals import wilson
from synthgain.measure.curation import best_of, curation
from synthgain.measure.data import Data, Step
from synthgain.types import Reading


def ledger(*steps: tuple[str, int, int]) -> dict[str, Reading]:
    return {r.name: r for r in curation(Data.of(["x"], ledger=[Step(*step) for step in steps]))}


def test_a_quarter_kept_is_1_386_nats_and_a_distance_of_three_quarters() -> None:
    found = ledger(("final_answer", 400, 100))
    assert found["curation_nats"].value == pytest.approx(1.3862943611, abs=1e-10)
    assert found["curation_tv"].value == pytest.approx(0.75, abs=1e-15)
    low, high = wilson(100, 400)
    assert (found["curation_nats"].low, found["curation_nats"].high) == pytest.approx((-math.log(high), -math.log(low)))
    assert (found["curation_tv"].low, found["curation_tv"].high) == pytest.approx((1 - high, 1 - low))
    assert found["curation_nats"].unit == "nats/kept sample" and found["curation_nats"].kind == "exact"
    assert found["curation_nats"].n == 400


def test_the_identities_hold_for_explicit_laws_of_fifty_states() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        counts = rng.integers(1, 100, 50)
        law = counts / counts.sum()
        kept = rng.random(50) < 0.4
        kept[0] = True
        share = law[kept].sum()
        after = np.where(kept, law / share, 0.0)
        found = ledger(("check", int(counts.sum()), int(counts[kept].sum())))
        divergence = float((after[kept] * np.log(after[kept] / law[kept])).sum())
        assert found["curation_nats"].value == pytest.approx(divergence, abs=1e-12)
        assert found["curation_tv"].value == pytest.approx(0.5 * np.abs(after - law).sum(), abs=1e-12)


def test_checks_in_sequence_add() -> None:
    found = ledger(("parse", 1000, 900), ("final_answer", 900, 300), ("exact_duplicate", 300, 290))
    parts = sum(found[f"curation_nats/{name}"].value for name in ("parse", "final_answer", "exact_duplicate"))
    assert found["curation_nats"].value == pytest.approx(parts, abs=1e-12)
    assert found["curation_nats"].value == pytest.approx(-math.log(0.29), abs=1e-12)
    low, high = wilson(290, 1000)
    assert (found["curation_tv"].low, found["curation_tv"].high) == pytest.approx((1 - high, 1 - low), abs=1e-9)
    assert found["curation_tv"].n == 1000 and found["curation_tv/final_answer"].n == 900


def test_the_surplus_of_accept_is_no_filter() -> None:
    found = ledger(("final_answer", 200, 100), ("accept", 100, 60))
    assert found["curation_tv"].value == pytest.approx(0.5) and "40 rows beyond" in found["curation_tv"].note
    assert "curation_tv/accept" not in found
    alone = ledger(("accept", 100, 60))
    assert alone["curation_nats"].value == 0 and "no check judged" in alone["curation_nats"].note


def test_surplus_between_checks_leaves_the_shares_and_widens_the_interval() -> None:
    between = ledger(("a", 1000, 500), ("accept", 500, 50), ("b", 50, 25))
    whole = ledger(("a", 1000, 500), ("b", 500, 250))
    assert between["curation_tv"].value == pytest.approx(whole["curation_tv"].value)
    width = {key: found["curation_tv"].high - found["curation_tv"].low for key, found in (("b", between), ("w", whole))}
    assert width["b"] > 2 * width["w"]


def test_everything_kept_is_zero_with_an_interval() -> None:
    found = ledger(("final_answer", 50, 50))
    for name in ("curation_nats", "curation_tv"):
        assert found[name].value == 0.0 and math.copysign(1, found[name].value) == 1 and found[name].low == 0.0
    assert found["curation_tv"].high == pytest.approx(1 - wilson(50, 50)[0])


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ((), "no ledger"),
        ((("a", 100, 0),), "a kept none of 100 rows"),
        ((("a", 100, 0), ("b", 0, 0)), "a kept none"),
        ((("a", 0, 0),), "nothing reached a"),
        ((("accept", 0, 0),), "no candidates"),
        ((("a", 10, 12),), "no ledger"),
        ((("a", 10, -1),), "no ledger"),
    ],
)
def test_what_is_no_ledger_gives_null_with_the_reason(steps: tuple[tuple[str, int, int], ...], said: str) -> None:
    found = ledger(*steps)
    for name in ("curation_nats", "curation_tv"):
        assert found[name].value is None and said in found[name].note


def test_a_check_named_twice_has_two_lines() -> None:
    found = ledger(("language", 100, 80), ("language", 80, 40))
    assert found["curation_tv/language"].value == pytest.approx(0.2)
    assert found["curation_tv/language#2"].value == pytest.approx(0.5)


def test_intervals_cover_the_rate() -> None:
    rng, hits = np.random.default_rng(1), 0
    kept = rng.binomial(200, 0.3, 1000)
    for k in kept:
        reading = ledger(("a", 200, int(k)))["curation_nats"]
        hits += reading.low <= -math.log(0.3) <= reading.high
    assert 930 <= hits <= 970


def test_best_of_n() -> None:
    assert best_of(4) == pytest.approx(0.63629, abs=1e-5) and best_of(1) == 0
    u = np.random.default_rng(0).random((400_000, 4)).max(1)
    assert np.log(4 * u**3).mean() == pytest.approx(best_of(4), abs=4 * np.log(4 * u**3).std() / math.sqrt(len(u)))
    with pytest.raises(ValueError, match="best of 0"):
        best_of(0)

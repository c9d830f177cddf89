"""The curation ledger against explicit laws, and its intervals against simulated prompts."""

import math
from dataclasses import replace

import numpy as np
import pytest

from synthgain.intervals import effective_size, of_clusters, wilson
from synthgain.measure.curation import best_of, curation, kept_share
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
    assert found["curation_nats"].unit == "nats/kept sample" and found["curation_nats"].kind == "estimate"
    assert found["curation_nats"].n == 400
    for reading in found.values():
        assert "not known which prompts" in reading.note


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


def drawn(rng: np.random.Generator, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each prompt: how many of its draws parse, and how many of these are right. Prompts differ in both, and most are hard."""
    parsed = rng.binomial(draws, rng.beta(4, 1, len(draws)))
    return parsed, rng.binomial(parsed, rng.beta(0.3, 1.1, len(draws)))


def step(name: str, seen: np.ndarray, kept: np.ndarray) -> Step:
    return Step(
        name, int(seen.sum()), int(kept.sum()), int((seen > 0).sum()), effective_size(kept.tolist(), seen.tolist())
    )


@pytest.mark.parametrize("draws", [np.full(60, 8), np.tile([2, 6, 8, 12, 12], 12)], ids=["equal", "unequal"])
def test_intervals_cover_where_draws_of_a_prompt_are_alike(draws: np.ndarray) -> None:
    """The truth in closed form: a parses with mean 4/5, is right with mean 3/14 of these, independently of it."""
    parses, right = 4 / 5, 0.3 / 1.4
    truth = {"curation_tv/parse": 1 - parses, "curation_tv/answer": 1 - right, "curation_tv": 1 - parses * right}
    truth |= {name.replace("tv", "nats"): -math.log(1 - value) for name, value in truth.items()}
    truth["kept_share"] = parses * right
    rng, hits, naive, n = np.random.default_rng(3), dict.fromkeys(truth, 0), 0, 800
    for _ in range(n):
        parsed, good = drawn(rng, draws)
        steps = step("parse", draws, parsed), step("answer", parsed, good)
        data = replace(Data.of(["x"], ledger=steps), judged=step("", draws, good))
        found = {r.name: r for r in (*curation(data), kept_share(data))}
        for name, value in truth.items():
            hits[name] += found[name].low <= value <= found[name].high
            assert found[name].n in (60, steps[1].prompts) and "not known" not in found[name].note
        low, high = wilson(good.sum(), draws.sum())
        naive += low <= parses * right <= high
    assert all(0.92 <= hit / n <= 0.985 for hit in hits.values()), hits
    assert naive < 0.8 * n  # what counting candidates as independent would give


def test_one_draw_a_prompt_is_plain_wilson() -> None:
    data = Data.of(["x"], ledger=[Step("a", 200, 50, prompts=200, size=200)])
    reading = curation(data)[-1]
    assert (reading.name, reading.low, reading.high) == ("curation_tv/a", *(1 - x for x in reversed(wilson(50, 200))))


def test_prompts_that_all_pass_are_the_size() -> None:
    seen = [8.0] * 12
    size = effective_size(seen, seen)
    assert size == 12 and of_clusters(1.0, size, 12) == wilson(12, 12)


def test_the_kept_share_counts_what_accept_drops_as_kept() -> None:
    known = Data.of(["x"], ledger=[Step("a", 100, 60), Step("accept", 60, 40)])
    found = kept_share(known)
    assert (found.value, found.n, found.kind) == (0.6, 100, "estimate") and "20 beyond" in found.note
    clustered = kept_share(replace(known, judged=Step("", 100, 60, prompts=10, size=25.0)))
    assert clustered.value == 0.6 and clustered.n == 10
    assert clustered.high - clustered.low > found.high - found.low
    assert (
        kept_share(Data.of(["x"])).value is None and kept_share(Data.of([], ledger=[Step("none", 0, 0)])).value is None
    )


def test_best_of_n() -> None:
    assert best_of(4) == pytest.approx(0.63629, abs=1e-5) and best_of(1) == 0
    u = np.random.default_rng(0).random((400_000, 4)).max(1)
    assert np.log(4 * u**3).mean() == pytest.approx(best_of(4), abs=4 * np.log(4 * u**3).std() / math.sqrt(len(u)))
    with pytest.raises(ValueError, match="best of 0"):
        best_of(0)

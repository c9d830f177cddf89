"""The repetition calculus against the slides' and a published model's figures, sums of its own, and limits."""

from __future__ import annotations

import math

import pytest

from synthgain.repetition import (
    R_STAR,
    Source,
    Yield,
    effective_tokens,
    new_tokens,
    next_worth,
    planned,
    verdict,
    worth,
)
from synthgain.types import SynthgainError

T = 1e12


def test_the_slides_sources_are_read_four_times_and_once() -> None:
    made = planned([Source("code", 0.5 * T, 0.2), Source("web", 5 * T, 0.5)], 10 * T)
    assert [one.epochs for one in made] == pytest.approx([4, 1])
    assert [one.synthetic for one in made] == [0, 0]


@pytest.mark.parametrize(  # phi-4's mixture of 10 T tokens: share, unique tokens, epochs as printed (arXiv 2412.08905)
    ("share", "unique", "printed"),
    [(0.15, 1.3e12, 1.2), (0.15, 290e9, 5.2), (0.40, 290e9, 13.8), (0.20, 820e9, 2.4), (0.10, 580e9, 1.7)],
)
def test_the_epochs_of_a_published_mixture(share: float, unique: float, printed: float) -> None:
    assert planned([Source("one", unique, share)], 10 * T)[0].epochs == pytest.approx(printed, abs=0.06)


def test_effective_tokens_are_the_sum_of_what_each_repeat_is_worth() -> None:
    unique, epochs, steps = 7.0, 9.0, 100_000
    width = (epochs - 1) / steps
    total = unique + sum(unique * next_worth(1 + (i + 0.5) * width) * width for i in range(steps))
    assert effective_tokens(unique, epochs * unique) == pytest.approx(total, rel=1e-8)


def test_limits_of_the_law() -> None:
    assert worth(0.3) == worth(1.0) == 1.0
    assert effective_tokens(1.0, 1e9) == pytest.approx(1 + R_STAR)  # a plateau: more repeats add nothing
    assert effective_tokens(5.0, 5.0 * (1 + R_STAR)) == pytest.approx(5.0 * (1 + R_STAR * (1 - 1 / math.e)))


def test_each_new_token_that_is_wanted_takes_the_place_of_a_repeat() -> None:
    unique, read = 100.0, 1000.0
    for target, often in [(4.0, 1.0), (2.0, 2.0), (4.0, 4.0)]:
        synthetic = new_tokens(unique, read, target, often)
        assert target * unique + often * synthetic == pytest.approx(read)
    assert new_tokens(unique, 300.0, 4.0) == 0


def test_what_new_tokens_take_grows_with_the_yield_of_the_recipe() -> None:
    made = planned(
        [Source("docs", 1000.0, 1.0)],
        10_000.0,
        yields=[Yield("rephrase", tokens=2.0, calls=0.01, tokens_in=1.5, tokens_out=3.0, dollars=1e-6, seconds=None)],
    )[0]
    (option,) = made.options
    assert made.synthetic == pytest.approx(6_000)  # 10,000 = 4 × 1,000 + 6,000
    assert option["passes"] == pytest.approx(3)  # 6,000 / 2 tokens of the source, which has 1,000
    assert option["calls"] == pytest.approx(30)
    assert option["tokens_out"] == pytest.approx(9_000)
    assert option["cost_usd"] == pytest.approx(0.003)
    assert option["seconds"] is None


def test_the_words_follow_the_epochs() -> None:
    said = [verdict(epochs) for epochs in (0.5, 1, 4, 10, 40)]
    assert len(set(said)) == 5


@pytest.mark.parametrize(
    ("sources", "horizon"),
    [
        ([Source("a", 1, 0.6), Source("b", 1, 0.6)], 10.0),
        ([Source("a", 1, 0.5), Source("a", 1, 0.5)], 10.0),
        ([Source("a", 1, 0.5)], 0.0),
        ([Source("a", 1, 0.5)], math.nan),
    ],
)
def test_what_makes_no_sense_is_refused(sources: list[Source], horizon: float) -> None:
    with pytest.raises(SynthgainError):
        planned(sources, horizon)


@pytest.mark.parametrize(("tokens", "share"), [(0, 0.5), (-1, 0.5), (math.inf, 0.5), (1, 0), (1, 1.5), (1, math.nan)])
def test_a_source_has_tokens_and_a_share(tokens: float, share: float) -> None:
    with pytest.raises(SynthgainError):
        Source("a", tokens, share)

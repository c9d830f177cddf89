"""Prices: closed forms, and who sells what."""

import json
from importlib.resources import files

import pytest

from synthgain.models.prices import Price, known_price
from synthgain.types import SynthgainError


def test_a_million_tokens_cost_what_the_price_says() -> None:
    price = Price.parse("0.15,0.60")
    assert price.cost(1_000_000, 0) == pytest.approx(0.15)
    assert price.cost(0, 1_000_000) == pytest.approx(0.60)
    assert price.cost(2_000, 500) == pytest.approx((2_000 * 0.15 + 500 * 0.60) / 1e6)


def test_cached_tokens_are_charged_at_their_own_price_where_it_is_known() -> None:
    assert Price.parse("2,8,0.5").cost(1000, 0, 400) == pytest.approx((600 * 2 + 400 * 0.5) / 1e6)
    assert Price.parse("2,8").cost(1000, 0, 400) == pytest.approx(1000 * 2 / 1e6)


@pytest.mark.parametrize("text", ["", "1", "1,2,3,4", "a,b", "-1,2", "nan,1", "1,inf", "1;2"])
def test_what_is_no_price_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SynthgainError) as error:
        Price.parse(text)
    assert error.value.code == 2
    assert "0.15,0.60" in str(error.value)


def test_the_longest_name_wins_and_a_dated_snapshot_is_its_family() -> None:
    mini, full = known_price("gpt-4o-mini-2024-07-18", "api.openai.com"), known_price("gpt-4o", "api.openai.com")
    assert mini is not None and full is not None
    assert mini.into < full.into
    early = known_price("gpt-4o-2024-05-13", "api.openai.com")
    assert early is not None and early.into == 5.0  # a snapshot with an entry of its own


@pytest.mark.parametrize("name", ["gpt-4o-audio-preview", "gpt-5-pro", "gpt-4", "llama"])
def test_a_name_that_only_begins_alike_has_no_price(name: str) -> None:
    assert known_price(name, "api.openai.com") is None


def test_the_same_name_elsewhere_has_no_price() -> None:
    assert known_price("gpt-4o", "localhost") is None


def test_every_entry_of_the_table_is_whole() -> None:
    table = json.loads(files("synthgain.models").joinpath("prices.json").read_text("utf-8"))
    for host, sold in table.items():
        for name, entry in sold.items():
            price = known_price(name, host)
            assert price is not None and price.as_of
            assert 0 <= (price.cached or 0) <= price.into < price.out
            assert set(entry) <= {"in", "out", "in_cached", "as_of"}

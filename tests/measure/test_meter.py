"""The meter's own plain counts."""

from synthgain.measure import Data
from synthgain.measure.data import Step
from synthgain.measure.meter import kept_share, tokens_out


def test_tokens_are_a_mean_over_rows_that_all_have_a_count() -> None:
    assert tokens_out(Data.of([{"text": "a", "tokens_out": n} for n in (2, 4)])).value == 3.0
    for lost in (0, -5):
        found = tokens_out(Data.of([{"text": "a", "tokens_out": n} for n in (2, 4, lost)]))
        assert found.value is None and "1 of 3" in found.note
    assert tokens_out(Data.of([{"text": "a", "tokens_out": -5}])).value is None


def test_what_was_more_than_asked_for_was_let_through_by_every_check() -> None:
    ledger = [Step("length", 100, 80), Step("language", 80, 60), Step("accept", 60, 15)]
    found = kept_share(Data.of(["a"] * 15, ledger=ledger))
    assert found.value == 0.6 and found.n == 100 and "45" in found.note
    assert kept_share(Data.of(["a"] * 60, ledger=ledger[:2])).value == 0.6

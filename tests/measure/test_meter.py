"""The meter as a whole, and its own plain counts."""

import math
import random

import pytest

from synthgain.measure import Data, Instruments, Rescoring, meter
from synthgain.measure.data import Step
from synthgain.measure.meter import kept_share, tokens_out
from synthgain.types import SynthgainError


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


# ---------------------------------------------------------------------------------------------- the whole meter

DEFAULT = (
    "proxy_gain",
    "target_fit",
    "delta_I",
    "surprise",
    "transfer_kl",
    "curation_nats",
    "curation_tv",
    "tv_lower",
    "vendi",
    "dup_rate",
    "distinct_2",
    "copy_rate",
    "test_overlap",
    "nhsic",
    "i_prompt",
)


def world(n: int, seed: int = 0) -> Data:
    """`n` anchors of 30 words, and two rows from each."""
    draw = random.Random(seed)
    anchors = [" ".join(f"w{draw.randrange(200)}" for _ in range(30)) for _ in range(n)]
    rows = [
        {
            "text": " ".join(f"w{draw.randrange(200)}" for _ in range(30)),
            "anchor_ids": [str(i)],
            "logprob": -60.0,
            "tokens_out": 30,
            "law": "T=1",
        }
        for i in range(n)
        for _ in range(2)
    ]
    return Data.of(rows, anchors, ledger=[Step("final-answer", 4 * n, 2 * n)])


def test_every_default_figure_is_there_and_says_why_where_nobody_looks() -> None:
    found = {r.name: r for r in meter(world(60))}
    assert set(DEFAULT) <= set(found)
    for name in ("surprise", "tv_lower", "vendi", "nhsic", "i_prompt", "test_overlap"):
        assert found[name].value is None and found[name].note
    assert found["delta_I"].value == 2.0 and found["curation_nats"].value == pytest.approx(math.log(2))
    for reading in found.values():
        assert reading.value is None or math.isfinite(reading.value)
        assert reading.note or reading.estimator


def test_log_probabilities_made_after_the_fact_stand_in() -> None:
    data = world(60)
    again = Data.of(
        [{"text": "a b", "anchor_ids": [str(i)], "logprob": -3.0, "tokens_out": 3, "law": "T=1"} for i in range(9)]
    )
    found = {r.name: r for r in meter(data, again=Rescoring(again, "nine rows, scored again"))}
    assert found["delta_I"].value == 1.0 and "nine rows" in found["delta_I"].note


def test_a_figure_that_is_not_there_is_refused() -> None:
    with pytest.raises(SynthgainError, match="grad"):
        meter(world(10), also=("grad",))
    asked = {r.name: r for r in meter(world(10), also=("grad_align", "h_meaning"))}
    assert asked["h_meaning"].value is None and asked["grad_align"].value is None


@pytest.mark.parametrize(
    "data",
    [
        Data.of([], []),
        Data.of([], ["one"]),
        Data.of(["one row"], []),
        Data.of(["same"] * 50, ["same"] * 50),
        Data.of(["a b c"], ["a b c"]),
        Data.of([""], [""]),
        Data.of(["\N{SNOWMAN}" * 9, "漢字 " * 40, "слово " * 40], ["mixed 漢字 слово"] * 3),
        Data.of([{"text": "x y", "logprob": math.nan, "tokens_out": 2, "law": "T=1"}] * 5, ["x"] * 5),
    ],
    ids=["nothing", "no rows", "no anchors", "all equal", "one equal", "empty", "mixed", "nan"],
)
def test_nothing_to_measure_is_said_and_never_a_wrong_number(data: Data) -> None:
    from synthgain.models.embedders import open_embedder

    for reading in meter(data, Instruments(embedder=open_embedder())):
        assert reading.value is None or math.isfinite(reading.value)
        assert reading.value is not None or reading.note
        if reading.name in ("proxy_gain", "delta_I", "tv_lower", "nhsic"):
            assert reading.value is None, reading

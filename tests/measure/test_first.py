import math
import random

import numpy as np
import pytest

from synthgain.intervals import wilson
from synthgain.measure.first import (
    Sample,
    copy_rate,
    delta_i,
    distinct,
    dup_rate,
    first_figures,
    kept_share,
    ratio_interval,
)


def sample(
    texts: list[str],
    *,
    prompts: list[str] | None = None,
    sources: list[str] | None = None,
    logprobs: list[float | None] | None = None,
    law: str = "",
) -> Sample:
    n = len(texts)
    return Sample(
        texts, prompts or [str(i) for i in range(n)], sources or [""] * n, logprobs if logprobs is not None else [-1.0] * n,
        [len(t.split()) for t in texts], [law] * n,
    )  # fmt: skip


def test_wilson_is_the_root_of_the_score_equation() -> None:
    for k, n in ((0, 10), (3, 10), (10, 10), (250, 1000)):
        z = 1.959963984540054
        for edge in wilson(k, n):
            if 1e-9 < edge < 1 - 1e-9:
                assert abs(k / n - edge) == pytest.approx(z * math.sqrt(edge * (1 - edge) / n), rel=1e-9)


def test_the_interval_of_a_ratio_covers_the_truth() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for trial in range(200):
        tokens = rng.integers(5, 30, 60).astype(float)
        nats = tokens * 2.0 + rng.normal(0, 6, 60)
        low, high = ratio_interval(nats, tokens, seed=trial)
        hits += low <= 2.0 <= high
    assert 178 <= hits <= 198  # 95 % of 200, less a little for 60 units


def test_delta_i_is_nats_over_tokens_and_clusters_by_prompt() -> None:
    reading = delta_i(sample(["a b", "a b c d", "a b"], prompts=["p", "p", "q"], logprobs=[-2.0, -8.0, -3.0]), "")
    assert reading.value == pytest.approx(13 / 8) and reading.n == 2 and reading.unit == "nats/token"


@pytest.mark.parametrize("logprobs", [[None, None], [-1.0, None]])
def test_delta_i_is_null_with_the_reason_where_the_law_is_not_known(logprobs: list[float | None]) -> None:
    reading = delta_i(sample(["a", "b"], logprobs=logprobs, law="server gives pre-sampling log-probabilities"), "")
    assert reading.value is None and "pre-sampling" in reading.note


def test_distinct_counts_by_hand_and_at_a_fixed_budget() -> None:
    assert distinct(["a b a b"], 2, 0, "rows").value == pytest.approx(2 / 3)
    words = [f"w{i}" for i in range(40_000)]
    many = distinct([" ".join(words[i : i + 100]) for i in range(0, 40_000, 100)], 1, 0, "rows")
    assert many.value == 1.0 and "20,000" in many.note


def test_copy_rate_is_the_share_of_eight_word_spans_in_the_rows_own_anchor() -> None:
    anchor = " ".join(f"w{i}" for i in range(20))
    half = " ".join([f"w{i}" for i in range(12)] + [f"x{i}" for i in range(12)])
    reading = copy_rate(sample([anchor, half, "too short"], sources=[anchor, anchor, anchor]), "")
    assert reading.value == pytest.approx((13 + 5) / (13 + 17))
    assert copy_rate(sample(["too short"]), "").value is None


def test_dup_rate_finds_planted_near_duplicates_only() -> None:
    rng = random.Random(0)
    texts = [" ".join(rng.choices([f"w{i}" for i in range(500)], k=80)) for _ in range(100)]
    planted = [t + " tail" for t in texts[:25]]
    assert dup_rate(texts, "rows", "").value == 0
    assert dup_rate(texts + planted, "rows", "").value == pytest.approx(25 / 125, abs=0.01)


def test_nothing_kept_gives_nulls_with_reasons_never_zeros() -> None:
    readings = {r.name: r for r in first_figures(sample([]), rows=5, kept=0, anchors=[])}
    assert readings.pop("kept_share").value == 0.0
    assert all(r.value is None and r.note for r in readings.values())
    assert kept_share(0, 0).value is None

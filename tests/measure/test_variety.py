import math
import os
import random
import subprocess
import sys

import numpy as np
import pytest

from synthgain.measure.data import Data
from synthgain.measure.variety import distinct_2, dup_rate, dup_rate_exact, near_duplicates, rarefied
from synthgain.types import Reading


def texts(seed: int, n: int, length: int = 60, vocabulary: int = 500) -> list[str]:
    rng = random.Random(seed)
    known = [f"w{i}" for i in range(vocabulary)]
    return [" ".join(rng.choices(known, k=length)) for _ in range(n)]


def by_name(readings: list[Reading]) -> dict[str, Reading]:
    return {r.name: r for r in readings}


# ---------------------------------------------------------------------------------------------- distinct_2


def test_distinct_bigrams_of_a_uniform_law_have_their_closed_form() -> None:
    """E[distinct among m draws from K alike] = K (1 − (1 − 1/K)^m)."""
    k = 50**2
    hits = 0
    for seed in range(40):
        found = by_name(distinct_2(Data.of(texts(seed, 100, 101, 50), seed=seed), budget=2_000))["distinct_2"]
        truth = k * (1 - (1 - 1 / k) ** 2_000) / 2_000
        assert found.value == pytest.approx(truth, abs=0.02)
        hits += found.low <= truth <= found.high  # type: ignore[operator]
    assert hits >= 34


def test_both_sides_are_measured_at_the_same_size() -> None:
    rich, poor = texts(0, 800), texts(1, 40)
    found = by_name(distinct_2(Data.of(rich, poor)))
    assert "among 200 " in found["distinct_2"].estimator and "among 200 " in found["distinct_2_anchors"].estimator
    assert found["distinct_2"].value == pytest.approx(found["distinct_2_anchors"].value, abs=0.01)
    alone = by_name(distinct_2(Data.of(rich)))
    assert "among 5,000 " in alone["distinct_2"].estimator and alone["distinct_2_anchors"].value is None


def test_rows_all_equal_have_few_bigrams_however_many_they_are() -> None:
    same = texts(2, 1, 40) * 500
    found = by_name(distinct_2(Data.of(same, texts(3, 500))))
    assert found["distinct_2"].value < 0.05 < 0.9 < found["distinct_2_anchors"].value  # type: ignore[operator]
    assert found["distinct_2"].low is not None


def test_the_interval_is_between_prompts() -> None:
    """A prompt's rows say nearly the same: blocks of other prompts differ, and the unit count says how many prompts."""
    rows = [{"text": t, "prompt": str(i)} for i, t in enumerate(texts(4, 30)) for _ in range(20)]
    found = by_name(distinct_2(Data.of(rows)))["distinct_2"]
    assert found.n == 30 and 0 <= found.low < found.value < found.high <= 1  # type: ignore[operator]


# ---------------------------------------------------------------------------------------------- duplicates


def test_planted_near_duplicates_are_found_and_no_others() -> None:
    fresh = texts(5, 300, 80)
    planted = [t + " tail" for t in fresh[:75]]
    found = by_name(dup_rate(Data.of(fresh + planted, fresh)))
    assert found["dup_rate"].value == pytest.approx(75 / 375)
    assert found["dup_rate"].low < 0.2 < found["dup_rate"].high  # type: ignore[operator]
    assert found["dup_rate_anchors"].value == 0 and "the rows at this size (300)" in found["dup_rate_anchors"].note


def test_pairs_above_the_threshold_are_found_as_exact_sets_say() -> None:
    base = texts(6, 120, 100, 5_000)
    rng = random.Random(7)
    other, index = [], []
    for text in base:
        words = text.split()
        for place in rng.sample(range(100), rng.choice([0, 1, 2, 3, 20])):
            words[place] = f"new{rng.randrange(10**9)}"
        other.append(" ".join(words))
        a, b = ({tuple(t.split()[i : i + 3]) for i in range(98)} for t in (text, other[-1]))
        index.append(len(a & b) / len(a | b))
    first, said = near_duplicates(base + other, 0.7)
    assert said.all() and (first[:120] == np.arange(120)).all()
    for i, j in enumerate(first[120:]):
        if abs(index[i] - 0.7) > 0.13:  # three standard errors of 128 numbers
            assert j == (i if index[i] > 0.7 else 120 + i)


def test_short_equal_and_empty_texts() -> None:
    first, said = near_duplicates(["yes", "no", "Yes", "", "ok then", "ok  then", " ", "then ok"])
    assert first.tolist() == [0, 1, 0, 3, 4, 4, 6, 7] and said.tolist() == [True] * 3 + [False] + [True] * 2 + [
        False,
        True,
    ]
    assert near_duplicates(["same words here now"] * 2_000)[0].tolist() == [0] * 2_000


def test_rarefaction_is_the_mean_over_subsamples() -> None:
    first = np.array([0] * 6 + [6] * 3 + list(range(9, 20)))
    rng = np.random.default_rng(8)
    shares = [1 - len(set(rng.choice(first, 8, replace=False).tolist())) / 8 for _ in range(4_000)]
    error = float(np.std(shares)) / math.sqrt(4_000)
    assert rarefied(first, 8) == pytest.approx(np.mean(shares), abs=4 * error)
    assert rarefied(first, 20) == pytest.approx(7 / 20) and rarefied(first, 1) == pytest.approx(0)


def test_exact_duplicates_over_all_rows() -> None:
    rows = texts(9, 5_000)
    rows[4_000:] = [t.upper() + " " for t in rows[:1_000]]
    found = dup_rate_exact(Data.of(rows))
    assert found.value == pytest.approx(0.2) and found.low is None and found.kind == "exact"
    assert dup_rate_exact(Data.of(["same"] * 100)).value == 0.99
    assert dup_rate_exact(Data.of(["one"])).value is None and dup_rate_exact(Data.of([])).value is None


def test_figures_do_not_depend_on_the_process() -> None:
    code = (
        "import random; from synthgain.measure.data import Data; from synthgain.measure.variety import *\n"
        "r = random.Random(0); t = [' '.join(r.choices('abcdefgh', k=9)) for _ in range(400)]\n"
        "print(dup_rate(Data.of(t, t[:50]), threshold=0.4), distinct_2(Data.of(t, t[:50])))"
    )
    outs = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outs) == 1


# ---------------------------------------------------------------------------------------------- bad input


def test_what_cannot_be_measured_says_why() -> None:
    for data, why in (
        (Data.of([]), "there are no rows"),
        (Data.of(["one row"]), "one"),
        (Data.of(["", "", ""]), "words"),
    ):
        dup = by_name(dup_rate(data))["dup_rate"]
        assert dup.value is None and why in dup.note
        two = by_name(distinct_2(data))
        assert two["distinct_2"].value is None and two["distinct_2"].note
        assert two["distinct_2_anchors"].value is None and "no anchors" in two["distinct_2_anchors"].note
    few = by_name(distinct_2(Data.of(texts(10, 500), ["tiny"] * 3)))
    assert few["distinct_2"].value is not None and "too few anchors" in few["distinct_2_anchors"].note


def test_odd_rows() -> None:
    rows = ["日本語の文章。" * 5, "word " * 2_000_000, "Привет мир", "\0", *texts(11, 50)]
    data = Data.of(rows, rows[4:])
    found = by_name(dup_rate(data)) | by_name(distinct_2(data))
    assert all(r.value is not None and np.isfinite(r.value) for r in found.values())
    equal = by_name(dup_rate(Data.of(["same text again"] * 50, texts(12, 50))))
    assert equal["dup_rate"].value == 49 / 50


def test_one_row_does_not_cost_the_anchors_their_figure() -> None:
    real = texts(0, 40)
    for rows in ([], real[:1]):
        found = by_name(dup_rate(Data.of(rows, [*real, real[0]])))
        assert found["dup_rate"].value is None and found["dup_rate_anchors"].value == pytest.approx(1 / 41)

"""Agreement with labels: worked examples, closed forms, scikit-learn and a jackknife."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score, precision_score, recall_score

from synthgain.intervals import wilson
from synthgain.measure.agreement import Confusion, cohen_kappa, place_readings
from synthgain.types import Reading


def spread(table: list[list[int]]) -> tuple[list[int], list[int]]:
    """Judgements whose table this is."""
    pairs = [(i, j) for i, row in enumerate(table) for j, count in enumerate(row) for _ in range(count)]
    return [i for i, _ in pairs], [j for _, j in pairs]


def named(readings: list[Reading]) -> dict[str, Reading]:
    return {reading.name: reading for reading in readings}


def test_a_table_by_hand() -> None:
    kept = [True] * 9 + [False] * 1 + [True] * 4 + [False] * 16
    right = [True] * 10 + [False] * 20
    table = Confusion(kept, right)
    assert table.table == {"right_kept": 9, "right_dropped": 1, "wrong_kept": 4, "wrong_dropped": 16}
    found = named(table.readings())
    for name, part, whole in (
        ("precision", 9, 13),
        ("recall", 9, 10),
        ("specificity", 16, 20),
        ("label_accuracy", 25, 30),
    ):
        assert (found[name].value, found[name].n) == (part / whole, whole)
        assert (found[name].low, found[name].high) == pytest.approx(wilson(part, whole))
    half = found["balanced_accuracy"]
    assert half.value == pytest.approx(0.85) and half.low is not None and half.high is not None
    recall, other = wilson(9, 10), wilson(16, 20)
    assert half.low == pytest.approx(0.85 - math.sqrt((0.9 - recall[0]) ** 2 + (0.8 - other[0]) ** 2) / 2)
    assert half.high == pytest.approx(0.85 + math.sqrt((recall[1] - 0.9) ** 2 + (other[1] - 0.8) ** 2) / 2)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_as_scikit_learn(pairs: list[tuple[bool, bool]]) -> None:
    kept, right = [a for a, _ in pairs], [b for _, b in pairs]
    found = named(Confusion(kept, right).readings())
    if any(kept):
        assert found["precision"].value == pytest.approx(precision_score(right, kept))
    else:
        assert found["precision"].value is None and found["precision"].note == "nothing was kept"
    if any(right):
        assert found["recall"].value == pytest.approx(recall_score(right, kept))
    if any(right) and not all(right):
        assert found["balanced_accuracy"].value == pytest.approx(balanced_accuracy_score(right, kept))
    else:
        assert found["balanced_accuracy"].value is None


def test_items_of_one_cluster_are_one_unit() -> None:
    kept, right = [True] * 20 + [False] * 20, [True] * 40
    alone = named(Confusion(kept, right).readings())["recall"]
    together = named(Confusion(kept, right, [str(i // 10) for i in range(40)]).readings())["recall"]
    assert alone.value == together.value == 0.5 and (alone.n, together.n) == (40, 4)
    assert together.low is not None and alone.low is not None and together.low < alone.low


def test_sizes_must_agree() -> None:
    for kept, right in (([True], []), ([], [])):
        with pytest.raises(ValueError):
            Confusion(kept, right)


def test_kappa_of_a_worked_example() -> None:
    # two readers of 50 applications: 20 both yes, 15 both no, 5 and 10 split: p_o = 0.7, p_e = 0.5, kappa = 0.4
    found = cohen_kappa(*spread([[20, 5], [10, 15]]))
    assert found.value == pytest.approx(0.4) and found.n == 50
    assert found.low is not None and found.high is not None and 0.1 < found.low < 0.4 < found.high < 0.7


def fleiss_cohen_everitt(table: list[list[int]]) -> float:
    """The large-sample variance of kappa as the paper of 1969 writes it."""
    p = np.asarray(table, float) / np.sum(table)
    rows, columns, seen = p.sum(1), p.sum(0), float(np.trace(p))
    chance = float(rows @ columns)
    kappa = (seen - chance) / (1 - chance)
    diagonal = sum(p[i, i] * (1 - (rows[i] + columns[i]) * (1 - kappa)) ** 2 for i in range(len(p)))
    off = sum(p[i, j] * (columns[i] + rows[j]) ** 2 for i in range(len(p)) for j in range(len(p)) if i != j)
    whole = diagonal + (1 - kappa) ** 2 * off - (kappa - chance * (1 - kappa)) ** 2
    return float(whole / (np.sum(table) * (1 - chance) ** 2))


@pytest.mark.parametrize("table", [[[20, 5], [10, 15]], [[88, 10, 2], [14, 40, 6], [18, 10, 12]], [[3, 9], [8, 4]]])
def test_the_interval_of_kappa_is_that_of_the_paper(table: list[list[int]]) -> None:
    from synthgain.intervals import t_quantile

    one, other = spread(table)
    found, n = cohen_kappa(one, other), len(one)
    assert found.value == pytest.approx(cohen_kappa_score(one, other)) and found.high is not None
    error = math.sqrt(fleiss_cohen_everitt(table) * n / (n - 1))
    assert found.high - found.value == pytest.approx(t_quantile(0.95, n - 1) * error, rel=1e-9)


def test_kappa_at_its_ends_and_where_there_is_none() -> None:
    assert cohen_kappa("ab" * 10, "ab" * 10).value == 1
    assert cohen_kappa("ab" * 10, "ba" * 10).value == -1
    only = cohen_kappa("aaa", "aaa")
    assert only.value is None and only.note
    doubled = cohen_kappa(*spread([[40, 10], [20, 30]]), [str(i // 2) for i in range(100)])
    single = cohen_kappa(*spread([[20, 5], [10, 15]]))
    assert doubled.value == pytest.approx(single.value) and doubled.low == pytest.approx(single.low)
    with pytest.raises(ValueError):
        cohen_kappa("ab", "a")


def test_places() -> None:
    fair = named(place_readings(["first", "second", "tie"], ["second", "first", "tie"]))
    assert fair["place_consistency"].value == 1 and fair["place_bias"].value == 0
    always = named(place_readings(["first"] * 5, ["first"] * 5))
    assert always["place_consistency"].value == 0 and always["place_bias"].value == 1
    second = named(place_readings(["second"] * 5, ["second"] * 5))
    assert second["place_bias"].value == -1
    half = named(place_readings(["first", "first", "tie", "second"], ["first", "second", "first", "first"]))
    assert half["place_consistency"].value == 0.5 and half["place_bias"].value == 0.25
    with pytest.raises(ValueError):
        place_readings(["a"], ["first"])
    with pytest.raises(ValueError):
        place_readings([], [])

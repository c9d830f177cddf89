"""Uniform style: the outlier falls, sources get parts by a temperature, and nothing hangs on the order of rows."""

from __future__ import annotations

import json
import math
import random

import numpy as np
import pyarrow as pa
import pytest

from synthgain.curate.uniform_style import FLOOR, UniformStyle, quotas, style, style_distances
from synthgain.types import SynthgainError

PLAIN = "The {0} stands on a stone base. Its {0} is made of oak and iron. It is opened every spring by the keeper."


def table(answers: list[str], categories: list[str]) -> pa.Table:
    fields = [json.dumps({"category": c}) for c in categories]
    return pa.table({"id": [f"row {i}" for i in range(len(answers))], "answer": answers, "fields": fields})


def test_another_style_falls_and_says_how_far_it_is() -> None:
    answers = [PLAIN.format(word) for word in ("gate", "mill", "barn", "tower", "bridge", "well", "arch")]
    odd = "- **Wow**!!!\n- Great!\n- # Yes!\n- Is it?\n- Is it not?"
    verdicts = UniformStyle()(table([*answers, odd], [""] * 8))
    assert [v.keeps for v in verdicts] == [True] * 7 + [False]
    assert verdicts[-1].reason == "style far from the set's" and (verdicts[-1].score or 0) > 3


def test_the_distance_is_what_is_said() -> None:
    rows = np.array([[0.0] * 6, [1.0] * 6, [2.0] * 6, [3.0] * 6, [10.0] * 6])
    scale = np.maximum(1.4826 * 1.0, FLOOR)
    slow = [math.sqrt(sum(((row[k] - 2.0) / scale[k]) ** 2 for k in range(6)) / 6) for row in rows]
    assert style_distances(rows) == pytest.approx(slow)
    assert style_distances(np.zeros((0, 6))).shape == (0,)


def test_figures_of_a_text() -> None:
    n, sentence, items, marks, asks, calls = style("- One two.\n- Three four five?\nSix **seven**!")
    assert (n, sentence) == (pytest.approx(math.log(7)), pytest.approx(7 / 3))
    assert (items, marks) == (pytest.approx(2 / 3), pytest.approx(2 / 7))
    assert (asks, calls) == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert all(map(math.isfinite, style("")))


@pytest.mark.parametrize(("tau", "parts"), [(1.0, [80, 10, 10]), (3.0, [50, 25, 25])])
def test_parts_of_the_sources(tau: float, parts: list[int]) -> None:
    assert quotas(np.array([800, 100, 100]), 100, tau).tolist() == parts


def test_parts_never_pass_what_there_is() -> None:
    dice = random.Random(5)
    for _ in range(50):
        there = np.array([dice.randrange(30) for _ in range(4)])
        most = dice.randrange(1, 90)
        given = quotas(there, most, 3.0)
        assert (given <= there).all() and given.sum() == min(most, there.sum())


def test_rows_are_spread_over_sources_whatever_their_order() -> None:
    answers = [PLAIN.format(f"thing {i}") for i in range(90)]
    categories = ["a"] * 80 + ["b"] * 10
    whole = table(answers, categories)
    chosen = [v.keeps for v in UniformStyle(most=12)(whole)]
    assert (sum(chosen[:80]), sum(chosen[80:])) == (8, 4)
    order = list(range(90))
    random.Random(1).shuffle(order)
    again = UniformStyle(most=12)(whole.take(order))
    assert [again[order.index(i)].keeps for i in range(90)] == chosen
    assert {v.reason for v in again if not v.keeps} == {"its source has enough rows"}
    assert all(v.keeps for v in UniformStyle(most=None)(whole))
    assert UniformStyle()(whole.slice(0, 0)) == []


@pytest.mark.parametrize("knobs", [{"tau": 0.5}, {"spread": 0.0}, {"most": 0}])
def test_bad_settings(knobs: dict[str, float]) -> None:
    with pytest.raises(SynthgainError):
        UniformStyle(**knobs)  # type: ignore[arg-type]

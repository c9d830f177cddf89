"""Selections against slow references, and what they all promise: equal sets give equal choices in any order, and one verdict a row."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthgain import Run, curate
from synthgain.curate import load
from synthgain.curate.chosen import Vectors, keyed, size
from synthgain.curate.deita import Deita
from synthgain.curate.ifd import IFD, difficulty
from synthgain.curate.k_centre import KCentre, centres
from synthgain.curate.limr import LIMR, learning_impact
from synthgain.curate.longest import Longest
from synthgain.curate.random import Random
from synthgain.curate.s1 import S1
from synthgain.types import Selection, SynthgainError, Verdict

NAMES = ("random", "longest", "k-centre", "deita", "ifd", "limr", "s1")


def rows(n: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows with all that any selection reads."""
    rng = random.Random(seed)
    made = []
    for i in range(n):
        vector = np.array([rng.gauss(0, 1) for _ in range(6)])
        fields = {
            "complexity": rng.randrange(1, 7), "quality": rng.randrange(1, 7), "loss_given_question": rng.uniform(1, 4), "loss_alone": rng.uniform(2, 4),
            "rewards": [rng.random() for _ in range(5)], "domain": rng.choice("abc"), "trace_tokens": rng.randrange(5, 50), "preselected": rng.random() < 0.05,
        }  # fmt: skip
        answer = "x" * rng.randrange(40)
        made.append({"id": f"{i:024x}", "answer": answer, "prompt": "q", "text": answer, "fields": fields, "vector": vector / np.linalg.norm(vector)})  # fmt: skip
    return made


def table(made: Sequence[dict[str, Any]], cut: Sequence[int] = ()) -> pa.Table:
    """The columns of rows, in chunks that end at `cut`."""
    ends = [0, *cut, len(made)]
    parts = []
    for start, end in pairwise(ends):
        part = made[start:end]
        width = len(made[0]["vector"])
        vectors = np.array([row["vector"] for row in part], np.float32).reshape(len(part), width)
        columns: dict[str, Any] = {
            name: pa.array([row[name] for row in part], pa.string()) for name in ("id", "answer", "prompt", "text")
        }
        columns["fields"] = pa.array([json.dumps(row["fields"]) for row in part], pa.string())
        columns["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), width)
        parts.append(pa.table(columns))
    return pa.concat_tables(parts)


def stays(verdicts: Sequence[Verdict]) -> list[int]:
    return [i for i, verdict in enumerate(verdicts) if verdict.keeps]


def selection(spec: str) -> Selection:
    check = load(spec)
    assert isinstance(check, Selection)
    return check


@pytest.mark.parametrize("name", NAMES)
def test_the_same_rows_in_another_order_and_other_chunks_are_chosen_alike(name: str) -> None:
    made = rows(60)
    check = selection(f"{name}:share=0.25" if name != "limr" else "limr=-9:share=0.25")
    ids = {made[i]["id"] for i in stays(check(table(made)))}
    mixed = random.Random(1).sample(made, len(made))
    verdicts = check(table(mixed, cut=[7, 7, 31]))
    assert {mixed[i]["id"] for i in stays(verdicts)} == ids
    assert len(verdicts) == 60 and len(ids) == 15
    assert all(verdict.reason for verdict in verdicts if not verdict.keeps)


@pytest.mark.parametrize("name", NAMES)
def test_sizes(name: str) -> None:
    made = rows(9)
    empty = "limr=-9" if name == "limr" else name
    assert selection(empty)(table(made).slice(0, 0)) == []
    few = selection("limr=-9:share=0,n=4" if name == "limr" else "ifd=0:n=4" if name == "ifd" else f"{name}:n=4")
    most = sum(
        difficulty(*np.array([[r["fields"]["loss_given_question"]], [r["fields"]["loss_alone"]]]))[0] < 1 for r in made
    )
    assert len(stays(few(table(made)))) == (min(4, most) if name == "ifd" else 4)
    for wrong in ("n=0", "share=1.5", "share=-0.1"):
        with pytest.raises(SynthgainError):
            load(f"{name}:{wrong}")


@given(st.integers(0, 200), st.integers(1, 50), st.floats(0, 1))
def test_a_share_is_rounded_and_keeps_one_at_least(total: int, n: int, share: float) -> None:
    found = size(total, n, share)
    assert found == min(total, n if share == 0 else max(1, math.floor(share * total + 0.5)))


def test_random_draws_by_content_evenly_and_alike_in_a_larger_set() -> None:
    made = rows(400)
    check = Random(n=100)
    first = {made[i]["id"] for i in stays(check(table(made)))}
    other = {made[i]["id"] for i in stays(Random(n=100, seed=1)(table(made)))}
    assert len(first) == len(other) == 100 and len(first & other) < 60
    part = {made[:200][i]["id"] for i in stays(Random(n=50)(table(made[:200])))}
    keys = dict(zip([row["id"] for row in made], keyed(table(made), "random 0").tolist()))
    assert part == set(sorted((row["id"] for row in made[:200]), key=keys.__getitem__)[:50])
    times = np.zeros(400)
    for seed in range(200):
        times[stays(Random(n=100, seed=seed)(table(made)))] += 1
    assert abs(times.mean() - 50) < 1e-9 and times.std() < 1.5 * math.sqrt(200 * 0.25 * 0.75)


@pytest.mark.parametrize("by", ["answer", "text", "trace_tokens"])
def test_longest(by: str) -> None:
    made = rows(50)
    kept = stays(Longest(n=12, by=by)(table(made)))
    length = [len(row[by]) if by in row else row["fields"][by] for row in made]
    assert sorted(length[i] for i in kept) == sorted(length, reverse=True)[11::-1]
    missing = Longest(n=12, by="nothing")(table(made))
    assert {verdict.reason for verdict in missing} == {"no number in the field nothing"}


def test_k_centre_against_all_distances_at_every_step() -> None:
    made = rows(80)
    rows_of = table(made, cut=[13, 50])
    vectors = np.array([row["vector"] for row in made])
    ties = keyed(rows_of, "k-centre 0")
    found, nearest = centres(rows_of, 20, ties)
    slow = [int(np.argmin(ties))]
    while len(slow) < 20:
        closest = (vectors @ vectors[slow].T).max(axis=1)
        closest[slow] = np.inf
        slow.append(int(np.argmin(closest)))
    assert found == slow
    left = [i for i in range(80) if i not in slow]
    assert np.allclose(nearest[left], (vectors @ vectors[slow].T).max(axis=1)[left], atol=1e-6)
    assert stays(KCentre(n=20)(rows_of)) == sorted(slow)


def test_k_centre_covers_clusters_that_random_rows_miss() -> None:
    rng = np.random.default_rng(0)
    centre = np.eye(8)
    made = rows(205)
    for i, row in enumerate(made):
        vector = centre[0 if i < 198 else i - 197] + rng.normal(0, 0.02, 8)
        row["vector"] = vector / np.linalg.norm(vector)
    kept = stays(KCentre(n=8)(table(made)))
    assert {0 if i < 198 else i - 197 for i in kept} == set(range(8))


def test_equal_vectors_end_and_each_row_is_chosen_once() -> None:
    made = rows(12)
    for row in made:
        row["vector"] = made[0]["vector"]
    assert len(stays(KCentre(n=5)(table(made)))) == 5
    assert len(stays(Deita(n=5)(table(made)))) == 1


def test_deita_against_its_greedy_row_by_row() -> None:
    made = rows(700, seed=3)
    for i, row in enumerate(made):  # rows in clusters, so that many are near
        base = np.array(made[i % 60]["vector"])
        vector = base + np.random.default_rng(i).normal(0, 0.12, 6)
        row["vector"] = vector / np.linalg.norm(vector)
    made[5]["fields"]["quality"] = None
    made[6]["fields"] = {"complexity": [2, 3], "quality": [1.5, 6]}
    made[7]["fields"] = {"complexity": [2, 3], "quality": [1]}
    rows_of = table(made, cut=[100])
    vectors = np.array([row["vector"] for row in made], np.float32)
    score = {
        i: sum(a * b for a, b in zip(c, q)) if isinstance(c, list) else c * q
        for i, row in enumerate(made)
        if i not in (5, 7) and (c := row["fields"]["complexity"], q := row["fields"]["quality"]) and c and q
    }
    assert score[6] == 21
    ties = keyed(rows_of, "deita")
    taken: list[int] = []
    for i in sorted(score, key=lambda i: (-score[i], ties[i])):
        if len(taken) < 90 and (not taken or (vectors[taken] @ vectors[i]).max() <= 0.9):
            taken.append(i)
    verdicts = Deita(n=90)(rows_of)
    assert stays(verdicts) == sorted(taken) and len(taken) == 90
    reasons = [verdict.reason for verdict in verdicts]
    assert reasons[5] == reasons[7] == "no complexity and quality score"
    assert {"near a row of a higher score", "scored below others"} <= set(reasons)


def test_deita_compares_with_admitted_rows_only() -> None:
    """b is near a and c near b, but c is not near a: b falls, and c stays (distilabel's step drops it too)."""
    made = rows(3)
    for row, angle, quality in zip(made, (0.0, 0.4, 0.8), (6, 5, 4)):
        row["vector"] = np.array([math.cos(angle), math.sin(angle)])
        row["fields"] = {"complexity": 1, "quality": quality}
    assert stays(Deita()(table(made))) == [0, 2]


def test_ifd_forms_and_limits() -> None:
    given, alone = np.array([1.0, 2.0, 3.0, 0.5, np.nan, 1.0]), np.array([2.0, 2.0, 2.0, 4.0, 1.0, 0.0])
    losses = difficulty(given, alone)
    assert np.array_equal(losses, [0.5, 1.0, 1.5, 0.125, np.nan, np.nan], equal_nan=True)
    perplexities = difficulty(given, alone, "perplexities")
    assert np.allclose(perplexities[:4], np.exp(given[:4]) / np.exp(alone[:4])) and perplexities[5] == math.e
    made = rows(4)
    for row, g, a in zip(made, given, alone):
        row["fields"] = {"loss_given_question": g, "loss_alone": a}
    made[3]["fields"] = {}
    verdicts = IFD(share=0, n=3)(table(made))
    helps_not = "the question does not help with the answer"
    assert [v.reason for v in verdicts] == ["", helps_not, helps_not, "no losses in its fields"]
    assert verdicts[2].score == 1.5
    with pytest.raises(SynthgainError):
        IFD(form="bits")


def test_the_two_forms_of_ifd_order_rows_differently() -> None:
    made = rows(2)
    for row, (g, a) in zip(made, ((0.5, 1.0), (3.0, 4.0))):
        row["fields"] = {"loss_given_question": g, "loss_alone": a}
    assert stays(IFD(share=0, n=1)(table(made))) == [1]
    assert stays(IFD(share=0, n=1, form="perplexities")(table(made))) == [0]


def impact(curve: list[float], others: list[list[float]]) -> float:
    mean = [sum(column) / len(others) for column in zip(*others)]
    return 1 - sum((r - m) ** 2 for r, m in zip(curve, mean)) / sum((1 - m) ** 2 for m in mean)


def test_learning_impact_against_the_formula() -> None:
    made = [row["fields"]["rewards"] for row in rows(30)]
    found = learning_impact(np.array(made))
    assert np.allclose(found, [impact(curve, made) for curve in made])
    follows = [sum(column) / 30 for column in zip(*made)]
    assert learning_impact(np.array([*made, follows]))[-1] == pytest.approx(1.0)
    assert found.max() < 1 < learning_impact(np.array([[0.2, 0.8], [0.2, 0.8]])).min() + 1e-9


def test_a_gap_takes_the_next_epochs_value_and_else_the_row_is_not_scored() -> None:
    gap = math.nan
    curves = np.array([[0.1, 0.5, 0.9], [gap, 0.4, 0.8], [0.2, gap, 0.6], [0.2, 0.4, gap], [gap, gap, 0.5], [gap] * 3])
    filled = [[0.1, 0.5, 0.9], [0.4, 0.4, 0.8], [0.2, 0.6, 0.6]]
    found = learning_impact(curves)
    assert np.allclose(found[:3], [impact(curve, filled) for curve in filled])
    assert np.isnan(found[3:]).all()
    assert np.array_equal(learning_impact(np.array([[1.0, 1.0], [1.0, 1.0]])), [1.0, 1.0])
    assert np.isnan(learning_impact(np.zeros((2, 0)))).all()


def test_limr_keeps_what_is_equal_to_its_limit_and_counts_what_is_not_scored() -> None:
    made = rows(4)
    for row, rewards in zip(made, ([0.0, 0.5, 1.0], [0.0, 0.5, 1.0], [1.0, 0.0, 0.0], "x")):
        row["fields"] = {"rewards": rewards}
    scores = learning_impact(np.array([[0, 0.5, 1], [0, 0.5, 1], [1, 0, 0]]))
    verdicts = LIMR(least=float(scores[0]))(table(made))
    assert stays(verdicts) == [0, 1]
    assert [v.reason for v in verdicts[2:]] == ["does not follow the mean learning curve", "no rewards of every epoch"]
    assert verdicts[2].score == pytest.approx(scores[2], abs=1e-6)


def test_s1_draws_domains_evenly_and_long_traces_by_powers_of_two() -> None:
    """Of a domain with three rows the longest is drawn first with probability 4/7, then 2/7, 1/7; domains of any size alike."""
    made = rows(43)
    for i, row in enumerate(made):
        row["fields"] = {"domain": "small" if i < 3 else "large", "trace_tokens": [30, 20, 10][i] if i < 3 else i}
    rows_of, n = table(made), 4000
    first = [stays(S1(n=1, seed=seed)(rows_of))[0] for seed in range(n)]
    small = [i for i in first if i < 3]
    assert abs(len(small) / n - 0.5) < 4 * math.sqrt(0.25 / n)
    for rank, expected in enumerate((4 / 7, 2 / 7, 1 / 7)):
        assert abs(small.count(rank) / len(small) - expected) < 4 * math.sqrt(expected * (1 - expected) / len(small))


def test_s1_empties_domains_and_keeps_preselected_rows_first() -> None:
    made = rows(30)
    for i, row in enumerate(made):
        row["fields"] = {"domain": "a" if i < 2 else "b", "trace_tokens": i, "preselected": i in (5, 29)}
    for seed in range(20):
        assert {5, 29} <= set(stays(S1(n=4, seed=seed)(table(made))))
        assert len(stays(S1(n=30, seed=seed)(table(made)))) == 30
    kept = [stays(S1(n=12, seed=seed)(table(made))) for seed in range(20)]
    assert all({0, 1} <= set(one) for one in kept)  # a domain of two, drawn every other time
    for row in made:
        row["fields"] = {}
    assert len(stays(S1(n=12)(table(made)))) == 12


def test_vectors_by_place_over_chunks() -> None:
    made = rows(20)
    places = np.array([19, 0, 7, 7, 12], np.int64)
    held = Vectors(table(made, cut=[7, 7, 13]))[places]
    assert np.allclose(held, [made[i]["vector"] for i in places], atol=1e-6)


def test_in_a_run_a_selection_judges_what_checks_left_and_any_data_set(tmp_path: Path) -> None:
    file = tmp_path / "theirs.jsonl"
    said = [{"prompt": f"q{i}", "completion": "word " * i, "complexity": i % 5, "quality": 3} for i in range(1, 41)]
    file.write_text("".join(json.dumps(row) + "\n" for row in said), "utf-8")
    run = curate(file, out=tmp_path / "longest", with_=["longest=10", "length:least=1,most=30"])
    assert run.record["dropped_by"] == {"length": 10, "longest": 20}
    kept = [len(row["messages"][-1]["content"].split()) for row in _kept(run)]
    assert sorted(kept) == list(range(21, 31))
    near = curate(file, out=tmp_path / "deita", with_=["deita=5:near=1.0"])
    assert near.record["counts"]["kept"] == 5 and {row["complexity"] for row in _kept(near)} == {4}
    assert curate(file, out=tmp_path / "far", with_=["k-centre=7"]).record["counts"]["kept"] == 7


def _kept(run: Run) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    return [row for file in sorted(run.data.glob("*.parquet")) for row in pq.read_table(file).to_pylist()]

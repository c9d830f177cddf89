"""Set checks against slow references: exact Jaccard indices, a textbook edit distance, a dictionary."""

from __future__ import annotations

import gzip
import json
import os
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgain.curate.distinct_equations import DistinctEquations, edit_distance, farthest_apart
from synthgain.curate.exact_duplicate import ExactDuplicate
from synthgain.curate.near_duplicate import HASHES, NearDuplicate, nearest_earlier
from synthgain.curate.words import ngrams, words
from synthgain.types import Verdict


def texts(*rows: str) -> pa.Table:
    return pa.table({"id": [str(i) for i in range(len(rows))], "text": list(rows)})


def stays(verdicts: list[Verdict]) -> list[bool]:
    return [v.keeps for v in verdicts]


def test_exact_duplicates_keep_the_first() -> None:
    table = texts("a b", "c", "a  b\n", "A b", "c", "")
    assert stays(ExactDuplicate()(table)) == [True, True, False, True, False, True]


@given(st.lists(st.text(alphabet="ab \n", max_size=4), max_size=30))
def test_exact_duplicates_against_a_dictionary(rows: list[str]) -> None:
    seen: set[str] = set()
    expected = []
    for row in rows:
        key = " ".join(row.split())
        expected.append(key not in seen)
        seen.add(key)
    assert stays(ExactDuplicate()(texts(*rows))) == expected


def shingles(text: str) -> set[str]:
    return set(ngrams(words(text), 3))


def jaccard(left: set[str], right: set[str]) -> float:
    return len(left & right) / len(left | right) if left | right else 0.0


def changed(rng: random.Random, text: list[str], share: float) -> str:
    return " ".join(rng.choice(["zig", "zag", "zog"]) + str(rng.random()) if rng.random() < share else w for w in text)


def test_near_duplicates_against_exact_jaccard() -> None:
    rng = random.Random(1)
    rows: list[str] = []
    for _ in range(60):
        base = [f"w{rng.randrange(400)}" for _ in range(120)]
        rows += [" ".join(base), *(changed(rng, base, share) for share in (0.0, 0.02, 0.05, 0.1, 0.3))]
    verdicts = NearDuplicate(threshold=0.7)(texts(*rows))
    kept: list[set[str]] = []
    missed = wrong = 0
    for row, verdict in zip(map(shingles, rows), verdicts):
        best = max((jaccard(row, other) for other in kept), default=0.0)
        missed += best > 0.8 and verdict.keeps
        wrong += best < 0.6 and not verdict.keeps
        if verdict.score is not None:
            assert verdict.score == pytest.approx(best, abs=0.2)
        if verdict.keeps:
            kept.append(row)
    assert (missed, wrong) == (0, 0)


def test_the_first_in_order_stays_and_the_rest_of_a_cluster_falls() -> None:
    table = texts(*["one two three four five six seven"] * 50, "quite another text about the sea and ships")
    assert stays(NearDuplicate()(table)) == [True] + [False] * 49 + [True]


def test_texts_without_words_and_empty_tables() -> None:
    assert stays(NearDuplicate()(texts("", "...", "", "!"))) == [True] * 4
    assert list(NearDuplicate()(texts())) == [] == list(ExactDuplicate()(texts()))


def test_the_answers_alone_can_be_compared() -> None:
    check = NearDuplicate(column="answer")
    assert check.columns == ("answer",)
    table = pa.table({"id": ["1", "2"], "answer": ["a b c d e f", "a b c d e f"]})
    assert stays(check(table)) == [True, False]


@settings(max_examples=25)
@given(st.integers(1, 40), st.integers(0, 2**31))
def test_banding_finds_what_comparing_all_pairs_finds(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 2**32, size=(4, HASHES), dtype=np.uint32)
    signatures = base[rng.integers(0, 4, n)].copy()
    noise = rng.random((n, HASHES)) < rng.choice([0.0, 0.05, 0.6], size=(n, 1))
    signatures[noise] = rng.integers(0, 2**32, size=int(noise.sum()), dtype=np.uint32)
    found = nearest_earlier(signatures, np.ones(n, bool), 0.8)
    kept: list[int] = []
    for i in range(n):
        best = max((float((signatures[i] == signatures[j]).mean()) for j in kept), default=0.0)
        assert (found[i] is not None) == (best >= 0.8)
        if best < 0.8:
            kept.append(i)


def textbook(a: str, b: str) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


@given(st.text(alphabet="abcé", max_size=80), st.text(alphabet="abcé", max_size=80))
def test_edit_distance_against_the_textbook(a: str, b: str) -> None:
    assert edit_distance(a, b) == textbook(a, b)


def gathered(solutions: list[str]) -> list[str]:
    """RFT's rule written out plainly: the reference."""
    kept: dict[str, str] = {}
    for text in solutions:
        path = "|".join(part.replace(" ", "") for part in text.split(";") if "=" in part)
        if path not in kept:
            kept[path] = text
            continue
        now = kept[path]
        others = [k for k in kept.values() if k != now]
        if sum(textbook(text, o) for o in others) > sum(textbook(now, o) for o in others):
            kept[path] = text
    return list(kept.values())


@given(
    st.lists(
        st.builds(
            lambda a, b, w: f"1 + {a} = {1 + a};2 + {b} = {2 + b};{w}",
            st.integers(1, 2),
            st.integers(1, 2),
            st.text("xyz", max_size=6),
        ),
        max_size=12,
    )
)
def test_distinct_equations_follow_the_source(solutions: list[str]) -> None:
    assert [solutions[i] for i in farthest_apart(solutions)] == gathered(solutions)


def answered(*rows: tuple[str, str, dict[str, object]]) -> pa.Table:
    return pa.table(
        {"id": [str(i) for i in range(len(rows))], "answer": [r[1] for r in rows], "anchor_ids": [[r[0]] for r in rows], "fields": [json.dumps(r[2]) for r in rows]}
    )  # fmt: skip


def test_questions_are_kept_apart_and_gold_solutions_stay() -> None:
    table = answered(
        ("q1", "3 + 4 = 7", {"human": True}), ("q1", "First 3 + 4 = 7", {}), ("q2", "3 + 4 = 7", {}),
        ("q1", "Then 3 + 4 = 7 it is", {}), ("q1", "4 + 3 = 7", {}), ("q2", "nothing", {}), ("q2", "nothing else", {}),
    )  # fmt: skip
    verdicts = DistinctEquations()(table)
    assert stays(verdicts) == [True, True, True, False, True, False, True]
    assert {v.reason for v in verdicts if not v.keeps} == {"same equations as another solution"}


def test_batches_do_not_matter() -> None:
    rows = [(f"q{i % 7}", f"{i % 3} + 1 = {i % 3 + 1} {'ab' * (i % 5)}", {}) for i in range(200)]
    whole = answered(*rows)
    parts = pa.concat_tables([whole.slice(i, 13) for i in range(0, 200, 13)])
    assert stays(DistinctEquations()(whole)) == stays(DistinctEquations()(parts))


def data(name: str) -> Path:
    root = Path(os.environ.get("SYNTHGAIN_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
    if not (root / name).is_file():
        pytest.skip(f"the data set {name} is not here (set SYNTHGAIN_DATA)")
    return root / name


def test_planted_near_duplicates() -> None:
    with gzip.open(data("dedup/planted_near_duplicates.jsonl.gz"), "rt", encoding="utf8") as lines:
        rows = [json.loads(line) for line in lines]
    verdicts = NearDuplicate(threshold=0.7)(
        pa.table({"id": [r["id"] for r in rows], "text": [r["text"] for r in rows]})
    )
    seen: set[object] = set()
    found: dict[str, list[bool]] = {}
    right = fell = 0
    for row, verdict in zip(rows, verdicts):
        clusters = {row["cluster"], row["cluster2"]} - {None}
        again = bool(clusters & seen)
        seen |= clusters
        fell += not verdict.keeps
        right += again and not verdict.keeps
        if again:
            found.setdefault(f"{row['kind']} {row['rate']}", []).append(not verdict.keeps)
    assert right / fell > 0.95  # precision
    for kind in ("exact 0", "format 0", "edit 0.01", "edit 0.03", "sentence_shuffle None"):
        assert all(found[kind]), kind
    assert not any(found["edit 0.3"])  # their overlap lies far below the threshold

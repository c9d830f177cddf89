"""By which figure sets are ranked: the one that fits the task, never how answers are worded where a rule looked at them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from synthgain.measure.compare import KNOWN, PerDocument, Side, adds, at_equal_size, differences, first_contents
from synthgain.measure.data import Data
from synthgain.measure.equal_size import varied_at
from synthgain.measure.ranking import headline, sentences
from synthgain.measure.spread import mdm
from synthgain.measure.words import number
from synthgain.types import Reading

DOCUMENTS = np.arange(60)


def reading(name: str, value: float | None, half: float = 0.02) -> Reading:
    ends = (None, None) if value is None else (value - half, value + half)
    return Reading(name, value, *ends, unit="nats/token" if "gain" in name else "prob", n=60, note="there is none")


def side(
    name: str, rows: int = 1_000, documents: Any = DOCUMENTS, made_from: Any = range(60), **values: float | None
) -> Side:
    """A set whose gains are the same in each held-out document."""
    told = [reading(which, value) for which, value in values.items()]
    tokens = np.full(len(documents), 10)
    gains = {r.name: PerDocument(documents, tokens * r.value, tokens) for r in told if r.value is not None}
    return Side(name, rows, 100_000, None, told, gains, frozenset(made_from))


def said(*sides: Side) -> list[str]:
    from itertools import combinations

    return sentences(sides, [d for a, b in combinations(sides, 2) for d in differences(a, b)])


def test_texts_are_ranked_by_what_ranked_foreign_sets_best() -> None:
    """The sentence of one set was of mdm, and two sets were ranked by proxy_gain."""
    x, y = side("x", mdm=1.2, proxy_gain=0.1), side("y", mdm=1.1, proxy_gain=0.3)
    assert headline([x, y]) == "mdm"
    first, second, *_ = said(x, y)
    assert first.startswith("x is more varied than y: mdm higher by 0.10 [0.07, 0.13] (ranked 32 foreign sets at 0.71")
    assert first.endswith("It looks at no real row.")
    assert second.startswith("y adds more than x: proxy_gain higher by 0.20")
    z = side("z", mdm=1.15, proxy_gain=0.2)
    assert "highest first: x 1.20 [1.18, 1.22], z 1.15" in said(x, y, z)[0]
    assert headline([x, side("w", mdm=None, proxy_gain=0.1)]) == "proxy_gain"


def test_how_varied_sets_are_is_said_of_sets_that_were_held_out_against_other_text() -> None:
    x, y = side("x", mdm=1.2, proxy_gain=0.1), side("y", documents=DOCUMENTS + 100, mdm=1.1, proxy_gain=0.3)
    first, last = said(x, y)
    assert first.startswith("x is more varied than y")
    assert last.startswith("Not ranked: x and y were held out against other real text") and "--target" in last


def test_a_set_that_is_ahead_by_nonsense_is_told_so_by_variety_too() -> None:
    x, y = (side(n, mdm=m, proxy_gain=0.1, grounded=g) for n, m, g in (("x", 1.3, 0.3), ("y", 1.1, 0.95)))
    assert "x is more varied than y" in said(x, y)[0] and "nonsense is varied, too" in said(x, y)[0]
    assert "But" not in said(*(side(n, mdm=m, proxy_gain=0.1, grounded=0.9) for n, m in (("x", 1.3), ("y", 1.1))))[0]


def test_where_a_rule_looked_at_answers_their_wording_ranks_nothing() -> None:
    """The demo's rows had proxy_gain_answer −0.12, and made a student +0.25 better."""
    x = side("x", right_share=0.6, proxy_gain_answer=-0.12, proxy_gain=-0.3, mdm=1.1)
    y = side("y", right_share=0.2, proxy_gain_answer=0.2, proxy_gain=0.3, mdm=1.3)
    assert headline([x, y]) == "right_share"
    lines = said(x, y)
    assert lines[0].startswith("More answers of x than of y were found right: right_share higher by 0.40 [0.37, 0.43].")
    assert "whether a student gains has to be tried" in lines[0]
    assert not any("adds more" in line or "helps" in line for line in lines)
    verdicts = {(d.name, d.per): d.verdict for d in differences(x, y)}
    assert verdicts["proxy_gain_answer", "set"] == verdicts["proxy_gain", "set"] == "b is higher"
    assert verdicts["right_share", "set"] == "a is higher"


def test_a_set_whose_answers_no_rule_looked_at_is_not_ranked_beside_one_that_has() -> None:
    x = side("x", right_share=0.6, proxy_gain_answer=-0.12)
    y = side("y", right_share=None, proxy_gain_answer=0.2)
    lines = said(x, y)
    assert lines[0] == "x and y cannot be compared by right_share: y: there is none."
    assert not any("adds more" in line for line in lines)


@pytest.mark.parametrize("documents", [DOCUMENTS, DOCUMENTS + 100], ids=["one --target", "none"])
def test_shares_right_of_other_questions_are_not_ranked(documents: Any) -> None:
    """With --target they were: whether they answer the same was asked of the held-out text."""
    x = side("x", right_share=0.6, proxy_gain_answer=0.1)
    y = side("y", documents=documents, made_from=range(60, 120), right_share=0.2, proxy_gain_answer=0.2)
    lines = said(x, y)
    assert lines[0].startswith("Not ranked by right_share: x and y were asked other questions")
    assert not any("found right" in line or "adds more" in line for line in lines)


def test_shares_right_of_the_same_questions_are_ranked_whatever_was_held_out() -> None:
    x = side("x", right_share=0.6, proxy_gain_answer=0.1)
    for more in ({"documents": DOCUMENTS + 100}, {"made_from": range(3, 63)}, {"made_from": ()}):
        assert "More answers of x than of y" in said(x, side("y", right_share=0.2, proxy_gain_answer=0.2, **more))[0]
    half = side("y", made_from=range(30), right_share=0.2, proxy_gain_answer=0.2)
    assert "were asked other questions" in said(x, half)[0]


def test_questions_are_known_by_some_of_very_many() -> None:
    """20,000 anchors against 95 in 100, and against one in two, of the same."""
    every = [number(f"question {i}") for i in range(20_000)]
    whole, most, half = ([every[i] for i in range(20_000) if i % 20 < m] for m in (20, 19, 10))
    x, y, z = (
        side(n, made_from=first_contents([some[::3], some[1::3], some[2::3]]), right_share=v, proxy_gain_answer=0.1)
        for n, v, some in (("x", 0.6, whole), ("y", 0.2, most), ("z", 0.2, half))
    )
    assert x.anchors == frozenset(sorted(every)[:KNOWN])
    assert "More answers of x" in said(x, y)[0] and "were asked other questions" in said(x, z)[0]


def test_sets_without_rows_are_said_and_silence_nobody() -> None:
    """ "a and b cannot be compared by proxy_gain: b: there are no rows. They also differ: kept_share +1.00"."""
    a, c = side("a", proxy_gain=0.1, mdm=1.0), side("c", proxy_gain=0.3, mdm=2.0)
    blank = {name: Reading(name, None, note="there are no rows") for name in ("proxy_gain", "mdm")}
    b, d = (replace(side(n, rows=0), readings=[*blank.values(), Reading("kept_share", 0.0, 0.0, 0.1)]) for n in "bd")
    a = replace(a, readings=[*a.readings, Reading("kept_share", 1.0, 0.9, 1.0)])
    lines = said(a, b)
    assert lines == [
        "b has no rows, so there is nothing to compare: `synthgain show RUN --fallen` says what fell, and why."
    ]
    lines = said(a, b, c, d)
    assert lines[:-1] == said(a, c) and lines[-1].startswith("b and d have no rows")
    assert headline((a, b, c)) == headline((a, c)) == "mdm"


def test_of_one_row_it_is_said_that_it_is_one() -> None:
    a, b = side("a", proxy_gain=0.1), side("b", rows=1, proxy_gain=0.3)
    lines = said(a, b)
    assert lines[-1] == "b has one row only. It is compared as that row, which says nothing of what made it."
    assert lines[0].startswith("b adds more than a")


def test_each_pair_is_compared_by_what_both_have() -> None:
    """One set that a rule looked at silenced the pairs of the others: the differences held "b adds more", the sentences nothing."""
    a = side("A", right_share=0.6, proxy_gain_answer=0.1)
    b, c = (side(n, right_share=None, proxy_gain_answer=v) for n, v in (("B", 0.1), ("C", 0.3)))
    lines = said(a, b, c)
    assert any(line.startswith("C adds more than B: proxy_gain_answer higher by 0.20") for line in lines)
    assert "A and B cannot be compared by right_share: B: there is none." in lines and "B and C cannot" not in str(
        lines
    )
    x, y, z = (side(n, mdm=m, proxy_gain=0.1) for n, m in (("x", 1.3), ("y", 1.1), ("z", None)))
    lines = said(x, y, z)
    assert lines[0].startswith("Ranked by proxy_gain") and any(
        line.startswith("x is more varied than y") for line in lines
    )
    assert not any("more varied" in line for line in said(x, z))
    w = side("w", documents=DOCUMENTS + 100, mdm=1.2, proxy_gain=0.1)
    lines = said(x, y, z, w)
    assert sum("Not ranked" in line for line in lines) == 1 and lines[0].startswith("Not ranked: x, w, y and z")
    assert any(line.startswith("x is more varied than w") for line in lines)


@pytest.mark.parametrize(
    ("name", "rows", "half", "needs"),
    [
        ("mdm", (5_000, 5_000), 0.1, ""),  # 1,000 are read, and no more
        ("mdm", (500, 500), 0.1, ""),
        ("mdm", (100, 100), 0.1, "about 800 rows"),
        ("mdm", (100, 100), 5.0, ""),
        ("vendi", (3_000, 3_000), 0.1, ""),
        ("copy_rate", (3_000, 3_000), 0.04, "about 3,840 rows"),
        ("copy_rate", (3_000, 3_000), 0.1, ""),
    ],
)
def test_rows_that_are_not_read_narrow_nothing(name: str, rows: tuple[int, int], half: float, needs: str) -> None:
    """Two sets of 5,000 rows were told that 62,500 would show it."""
    x, y = (
        Side(n, r, 1, None, [Reading(name, v, v - half, v + half, n=60)]) for n, v, r in zip("xy", (1.05, 1.0), rows)
    )
    lines = " ".join(sentences([x, y], differences(x, y)))
    assert ("If the difference is real" in lines) == bool(needs) and needs in lines and "held-out" not in lines
    assert "tell x and y apart" in lines or "cannot be told apart" in lines


def test_at_equal_size_rows_are_counted_from_that_size() -> None:
    x, y = (Side(n, r, 1, None, [reading("mdm", v, 0.1)]) for n, v, r in (("x", 1.05, 100), ("y", 1.0, 900)))
    found = at_equal_size(x, y, {}, draws=3, varied=y.readings[0])
    assert "sets of about 800 rows would show it" in sentences([x, y], found)[0]


def test_equal_size_is_promised_only_where_it_was_drawn() -> None:
    """Sets of 900, 880 and 860 rows were promised pairs at equal size."""
    alike = [side(n, r, mdm=1.0, proxy_gain=0.1) for n, r in (("x", 900), ("y", 880), ("z", 860))]
    assert "equal size" not in " ".join(said(*alike))
    small = side("s", 100, mdm=1.0, proxy_gain=0.1)
    drawn = at_equal_size(alike[0], small, {}, draws=3, varied=alike[0].reading("mdm"))
    assert "at equal size" in sentences([*alike[:2], small], drawn)[0]


def test_answers_that_no_rule_looked_at_are_ranked_by_their_gain() -> None:
    x, y = (side(n, right_share=None, proxy_gain_answer=v, proxy_gain=-v) for n, v in (("x", 0.3), ("y", 0.1)))
    assert headline([x, y]) == "proxy_gain_answer"
    assert said(x, y)[0].startswith("x adds more than y: proxy_gain_answer higher by 0.20")
    assert {d.verdict for d in differences(x, y) if d.name == "proxy_gain"} == {"b is higher", "not measured"}
    bare = [side(n, right_share=None, proxy_gain_answer=None, proxy_gain=v) for n, v in (("x", 0.3), ("y", 0.1))]
    assert said(*bare)[0] == "x and y cannot be compared by proxy_gain_answer: x: there is none."


@pytest.mark.parametrize("name", ["vendi", "mdm", "right_share"])
def test_more_of_what_is_no_gain_is_never_more_added(name: str) -> None:
    assert not adds(name, side("x", **{name: 1.0}), side("y", **{name: 0.5}))


class Bags:
    """Vectors by words: each text a unit vector of the counts of its letters."""

    identity = "bags"

    def __call__(self, texts: Any) -> Any:
        counts = np.array([[text.count(chr(97 + i)) for i in range(26)] for text in texts], float)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)


def test_variety_is_compared_at_equal_size() -> None:
    """Texts of one law: of few of them the mean distance is smaller, since a medoid lies at no distance from itself."""
    rng = np.random.default_rng(0)

    def texts(n: int) -> list[str]:
        return ["".join(chr(97 + i) for i in rng.integers(0, 26, 12)) for _ in range(n)]

    small, large = Data.of(texts(30)), Data.of(texts(600))
    few, many = (Side(n, d.n_rows, 1, None, mdm(d, embedder=Bags())[:1]) for n, d in (("few", small), ("many", large)))
    (whole,) = differences(few, many)
    assert whole.value is None and "30 and 600" in whole.note
    (equal,) = at_equal_size(few, many, {}, draws=3, varied=varied_at(large, 30, Bags()))
    assert equal.per == "size" and equal.verdict == "cannot be told apart" and "at 30 rows each" in equal.note
    apart = (few.readings[0].value or 0.0) - (many.readings[0].value or 0.0)
    assert abs(equal.value or 9.0) < abs(apart)
    assert any("cannot be told apart at equal size: mdm" in line for line in sentences([few, many], [whole, equal]))

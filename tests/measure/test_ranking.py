"""By which figure sets are ranked: the one that fits the task, never how answers are worded where a rule looked at them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from synthgain.measure.compare import PerDocument, Side, adds, at_equal_size, differences
from synthgain.measure.data import Data
from synthgain.measure.equal_size import varied_at
from synthgain.measure.ranking import headline, sentences
from synthgain.measure.spread import mdm
from synthgain.types import Reading

DOCUMENTS = np.arange(60)


def reading(name: str, value: float | None, half: float = 0.02) -> Reading:
    ends = (None, None) if value is None else (value - half, value + half)
    return Reading(name, value, *ends, unit="nats/token" if "gain" in name else "prob", n=60, note="there is none")


def side(name: str, rows: int = 1_000, documents: Any = DOCUMENTS, **values: float | None) -> Side:
    """A set whose gains are the same in each held-out document."""
    told = [reading(which, value) for which, value in values.items()]
    tokens = np.full(len(documents), 10)
    gains = {r.name: PerDocument(documents, tokens * r.value, tokens) for r in told if r.value is not None}
    return Side(name, rows, 100_000, None, told, gains)


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


def test_shares_right_of_other_questions_are_not_ranked() -> None:
    x = side("x", right_share=0.6, proxy_gain_answer=0.1)
    y = side("y", documents=DOCUMENTS + 100, right_share=0.2, proxy_gain_answer=0.2)
    lines = said(x, y)
    assert lines[0].startswith("Not ranked by right_share: x and y were asked other questions")
    assert not any("found right" in line or "adds more" in line for line in lines)


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

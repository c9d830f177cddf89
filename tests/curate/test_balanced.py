"""Kinds of rows by their tokens."""

from __future__ import annotations

import json
import random

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthgain.curate.balanced import Balanced
from synthgain.passages import tokens
from synthgain.types import SynthgainError


def table(rows: list[tuple[str, str]]) -> pa.Table:
    ids = [f"{n:024x}" for n in range(len(rows))]
    return pa.table(
        {"id": ids, "text": [text for _, text in rows], "fields": [json.dumps({"prompt": kind}) for kind, _ in rows]}
    )


ROWS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 30).map(lambda n: "word " * n)), max_size=40)


@given(ROWS, st.randoms(use_true_random=False))
def test_as_many_tokens_of_each_kind(rows: list[tuple[str, str]], mixing: random.Random) -> None:
    whole = table(rows)
    verdicts = Balanced()(whole)
    kept: dict[str, list[float]] = {kind: [] for kind, _ in rows}
    for (kind, text), verdict in zip(rows, verdicts, strict=True):
        if verdict.keeps:
            kept[kind].append(tokens(text))
    least = min((sum(tokens(text) for k, text in rows if k == kind) for kind in kept), default=0.0)
    for sizes in kept.values():
        assert sum(sizes) >= least - 1e-6 and sum(sizes) - max(sizes) < least + 1e-6
    order = list(range(len(rows)))
    mixing.shuffle(order)
    again = Balanced()(whole.take(pa.array(order, pa.int64())))
    assert [verdict.keeps for verdict in again] == [verdicts[row].keeps for row in order]


def test_balanced_alone_and_over() -> None:
    one = table([("a", "word " * 30)] * 4 + [("b", "word " * 30)] * 2)
    assert sum(verdict.keeps for verdict in Balanced()(one)) == 4
    assert sum(verdict.keeps for verdict in Balanced(over=0.5)(one)) == 5
    assert all(verdict.keeps for verdict in Balanced("style")(one))  # no such field: all one kind
    assert list(Balanced()(one.slice(0, 0))) == []
    with pytest.raises(SynthgainError):
        Balanced(over=-1)

"""Votes over draws of one question: by hand, against a counter, and through a whole run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from itertools import count
from math import log
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import synthgain as sg
from synthgain.curate import load
from synthgain.curate.majority import Majority
from synthgain.curate.voting import vote
from synthgain.types import Anchor, Models, Prompt, Recipe, Row, SynthgainError, assistant, user


def test_a_vote() -> None:
    found = vote(["1/2", "3", None, "0.5", "3.0", "0.50"])
    assert (found.of, found.winner, found.tied) == ((0, 1, None, 0, 1, 0), 0, False)
    assert (found.share, found.margin) == (3 / 6, pytest.approx(1 / 6))
    tied = vote(["7", "8"])
    assert (tied.winner, tied.tied, tied.margin) == (0, True, 0)
    weighed = vote(["7", "8", "8"], [5, 1, 1])
    assert (weighed.winner, weighed.share) == (0, 5 / 7)
    assert vote([None, None]).winner is None and vote([]).winner is None and vote(["7"], [0.0]).winner is None
    with pytest.raises(ValueError):
        vote(["7"], [1, 2])
    with pytest.raises(ValueError):
        vote(["7"], [-1])


@given(st.lists(st.one_of(st.none(), st.integers(0, 5)), max_size=40))
def test_a_vote_is_a_count(drawn: list[int | None]) -> None:
    found = vote([None if one is None else str(one) for one in drawn])
    counted = Counter(one for one in drawn if one is not None)
    most = max(counted.values(), default=0)
    if not most:
        assert found.winner is None
        return
    winner = next(one for one in drawn if one is not None and counted[one] == most)
    assert drawn[found.of.index(found.winner)] == winner
    assert found.share == pytest.approx(most / len(drawn))
    assert found.tied == (list(counted.values()).count(most) > 1)


def table(*rows: tuple[str, str], fields: str = "{}", nats: list[float | None] | None = None) -> pa.Table:
    return pa.table(
        {
            "answer": [answer for _, answer in rows],
            "anchor_ids": [[question] for question, _ in rows],
            "fields": [fields] * len(rows),
            "logprob": pa.array(nats or [None] * len(rows), pa.float64()),
            "tokens_out": [2] * len(rows),
        }
    )


def reasons(check: Majority, rows: pa.Table) -> list[str]:
    return [verdict.reason for verdict in check.begin()(rows)]


def test_the_rows_of_the_winner_stay() -> None:
    rows = table(("q", "Answer: 7"), ("r", "Answer: 1"), ("q", "It is 8"), ("q", "Answer: 9"), ("q", "So \\boxed{7}"))
    verdicts = Majority().begin()(rows)
    assert [v.keeps for v in verdicts] == [True, False, False, False, True]
    assert [v.reason for v in verdicts[1:4]] == [
        "too few draws for a vote",
        "no final answer",
        "not the majority's answer",
    ]
    assert verdicts[0].score == 0.5  # the one without an answer counts among the draws


@pytest.mark.parametrize(
    ("check", "reason"),
    [
        (Majority(share=0.6), ""),
        (Majority(share=0.61), "no clear majority"),
        (Majority(margin=0.2), ""),
        (Majority(margin=0.21), "no clear majority"),
        (Majority(most=0.59), "too many draws agree"),
        (Majority(draws=6), "too few draws for a vote"),
    ],
)
def test_thresholds(check: Majority, reason: str) -> None:
    rows = table(*[("q", "Answer: 7")] * 3, *[("q", "Answer: 8")] * 2)
    assert reasons(check, rows)[0] == reason


def test_ties() -> None:
    rows = table(("q", "Answer: 7"), ("q", "Answer: 8"))
    assert reasons(Majority(), rows) == ["a tie", "a tie"]
    assert reasons(Majority(ties="first"), rows) == ["", "not the majority's answer"]


def test_weighted_by_likelihood_a_token() -> None:
    rows = [("q", "Answer: 7"), ("q", "Answer: 8"), ("q", "Answer: 8")]
    nats = [2 * log(0.9), 2 * log(0.4), 2 * log(0.4)]
    assert reasons(Majority(weighted=True), table(*rows, nats=nats))[0] == ""
    assert Majority(weighted=True).begin()(table(*rows, nats=nats))[0].score == round(0.9 / 1.7, 4)
    assert (
        reasons(Majority(weighted=True), table(*rows, nats=[nats[0], None, nats[2]]))[0] != ""
    )  # then all count alike


def test_human_rows_stay_and_have_no_vote() -> None:
    rows = pa.concat_tables(
        [table(("q", "Answer: 8"), fields=json.dumps({"human": True})), table(*[("q", "Answer: 7")] * 2)]
    )
    verdicts = Majority().begin()(rows)
    assert [v.keeps for v in verdicts] == [True] * 3 and verdicts[1].score == 1


@pytest.mark.parametrize("settings", [{"share": 2}, {"margin": -1}, {"ties": "all"}, {"draws": 0}])
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(SynthgainError):
        Majority(**settings)


def test_in_a_run_with_other_settings_at_no_cost(tmp_path: Path) -> None:
    said = count()

    async def draft(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        async for call in models.each(Prompt((user(anchor.text),), draw=draw) for draw in range(4)):
            yield Row(messages=(user(anchor.text), assistant(call.text)), calls=(call,))

    model = sg.Scripted(lambda prompt: f"Answer: {7 if next(said) % 4 else 8}")
    recipe = Recipe("vote", "1", draft, checks=(Majority(),))
    run = sg.generate(recipe, ["How many?", "How far?"], model=model, out=tmp_path)
    assert run.record["counts"]["kept"] == 6 and run.record["dropped_by"] == {"majority": 2}
    again = sg.curate(run, recipe=recipe, with_=[load("majority=0.8")])
    assert again.record["counts"]["kept"] == 0 and next(said) == 8

import json
from pathlib import Path

import numpy as np
import pytest

from synthgain.models.scripted import Scripted
from synthgain.train import sample, write
from synthgain.train.replay import Lengths, schedule
from synthgain.train.rows import read_rows
from synthgain.types import CallFailed, Prompt, SynthgainError

NEW = Lengths(np.full(10, 3), np.full(10, 2))
OLD = Lengths(np.full(5, 2), np.full(5, 1))


def test_each_pass_sees_each_row_once() -> None:
    plan = schedule(NEW, batch=4, epochs=3)
    assert len(plan.order) == 30 and plan.steps == 8 and plan.epochs == 3 and plan.tokens_seen == 90
    for n in range(3):
        assert sorted(plan.order[10 * n : 10 * n + 10]) == list(range(10))
    assert plan.order[:10].tolist() != plan.order[10:20].tolist()
    assert plan.tokens_by_step()[0] == 12 and plan.tokens_by_step()[-1] == 90


def test_the_seed_decides_the_order() -> None:
    orders = [schedule(NEW, batch=2, seed=seed).order.tolist() for seed in (3, 3, 4)]
    assert orders[0] == orders[1] != orders[2]


def test_arms_of_different_size_make_the_same_steps() -> None:
    few = Lengths(NEW.tokens[:3], NEW.learnt[:3])
    small, large = schedule(few, batch=4, max_steps=6), schedule(NEW, batch=4, max_steps=6)
    assert small.steps == large.steps == 6 and len(small.order) == len(large.order) == 24
    assert (small.epochs, large.epochs) == (8, 2.4)
    assert large.reached(10).all() and schedule(NEW, batch=4, max_steps=1).reached(10).sum() == 4


def test_a_budget_of_tokens_is_reached_and_no_more_than_that() -> None:
    plan = schedule(NEW, batch=4, tokens=40)
    assert 40 <= plan.tokens_seen < 43
    assert schedule(NEW, batch=4, tokens=39).tokens_seen == 39
    assert schedule(NEW, batch=4, tokens=40, max_steps=1).tokens_seen == 12


def test_replay_takes_the_place_of_rows() -> None:
    plan = schedule(NEW, OLD, batch=8, max_steps=500, share=0.1)
    replayed = plan.order[plan.order < 0]
    assert plan.steps == 500 and len(plan.order) == 4000
    assert plan.replayed == len(replayed) and plan.replay_tokens == 2 * len(replayed)
    assert 0.08 < len(replayed) / 4000 < 0.12  # about six standard errors
    assert set(replayed.tolist()) == {-5, -4, -3, -2, -1}
    assert plan.epochs == 400  # the places of rows that gave way count as seen: nothing is added
    two = schedule(NEW, OLD, batch=8, epochs=2, share=0.4)
    assert len(two.order) == 20 and 0 < two.replayed < 20


def test_replay_may_be_added_instead() -> None:
    plan = schedule(NEW, OLD, batch=8, epochs=100, share=0.2, mode="add")
    assert int((plan.order >= 0).sum()) == 1000 and plan.replayed == len(plan.order) - 1000
    assert 0.16 < plan.replayed / len(plan.order) < 0.24


async def test_the_model_writes_replay_from_nothing(tmp_path: Path) -> None:
    asked: list[Prompt] = []

    def say(prompt: Prompt) -> str:
        asked.append(prompt)
        if prompt.draw == 1:
            raise CallFailed("no")
        return "  " if prompt.draw == 2 else f"Text {prompt.draw}."

    texts = await sample(Scripted(say), 6, seed=4)
    assert texts == ["Text 0.", "Text 3.", "Text 4.", "Text 5.", "Text 6.", "Text 7."]
    assert all(p.messages == ({"role": "raw", "content": ""},) and p.seed == 4 and p.sampling.plain for p in asked)
    assert [row.text for row in read_rows(write(texts, tmp_path / "replay.jsonl"))] == texts
    assert json.loads((tmp_path / "replay.jsonl").read_text().splitlines()[0]) == {"text": "Text 0."}


async def test_a_model_that_says_nothing_is_an_error() -> None:
    with pytest.raises(SynthgainError):
        await sample(Scripted(lambda prompt: ""), 3)


def test_the_first_pass_is_known_place_by_place() -> None:
    plan = schedule(NEW, batch=4, epochs=2.5)
    assert plan.first.tolist() == [True] * 10 + [False] * 15
    assert plan.learnt_by_step() == [(8, 8), (8, 8), (8, 4), (8, 0), (8, 0), (8, 0), (2, 0)]
    mixed = schedule(NEW, OLD, batch=4, epochs=2, share=0.5, mode="add")
    assert sorted(mixed.order[mixed.first].tolist()) == list(range(10))  # replay is no part of it
    short = schedule(NEW, OLD, batch=4, max_steps=2, share=0.5)
    assert (short.order[short.first] >= 0).all() and len(short.first) == 8

import json
from collections import Counter
from pathlib import Path

import pytest

from synthgain.models.scripted import Scripted
from synthgain.train import sample, write
from synthgain.train.replay import schedule
from synthgain.train.rows import read_rows
from synthgain.train.tokens import Example
from synthgain.types import CallFailed, Prompt, SynthgainError

NEW = [Example((n, n, n), (n, n, n)) for n in range(10)]
OLD = [Example((100 + n, 0), (100 + n, 0)) for n in range(5)]


def test_each_pass_sees_each_row_once() -> None:
    plan = schedule(NEW, batch=4, epochs=3)
    assert len(plan.examples) == 30 and plan.steps == 8 and plan.epochs == 3 and plan.tokens == 90
    for n in range(3):
        assert Counter(plan.examples[10 * n : 10 * n + 10]) == Counter(NEW)
    assert plan.examples[:10] != plan.examples[10:20]
    assert plan.tokens_by_step()[0] == 12 and plan.tokens_by_step()[-1] == 90


def test_the_seed_decides_the_order() -> None:
    assert schedule(NEW, batch=2, seed=3) == schedule(NEW, batch=2, seed=3) != schedule(NEW, batch=2, seed=4)


def test_arms_of_different_size_make_the_same_steps() -> None:
    small, large = schedule(NEW[:3], batch=4, max_steps=6), schedule(NEW, batch=4, max_steps=6)
    assert small.steps == large.steps == 6 and len(small.examples) == len(large.examples) == 24
    assert (small.epochs, large.epochs) == (8, 2.4)


def test_a_budget_of_tokens_is_reached_and_no_more_than_that() -> None:
    plan = schedule(NEW, batch=4, tokens=40)
    assert 40 <= plan.tokens < 43
    assert schedule(NEW, batch=4, tokens=40, max_steps=1).tokens == 12


def test_replay_takes_the_place_of_rows() -> None:
    plan = schedule(NEW, OLD, batch=8, max_steps=500, share=0.1)
    replayed = [e for e in plan.examples if e in OLD]
    assert plan.steps == 500 and len(plan.examples) == 4000
    assert plan.substituted == len(replayed) and plan.added == 0 and plan.replay_tokens == 2 * len(replayed)
    assert 0.08 < len(replayed) / 4000 < 0.12  # about six standard errors
    assert set(replayed) == set(OLD)
    assert plan.epochs == 400  # the places of rows that gave way count as seen: nothing is added
    two = schedule(NEW, OLD, batch=8, epochs=2, share=0.4)
    assert len(two.examples) == 20 and 0 < two.substituted < 20


def test_replay_may_be_added_instead() -> None:
    plan = schedule(NEW, OLD, batch=8, epochs=100, share=0.2, mode="add")
    assert sum(e in NEW for e in plan.examples) == 1000 and plan.substituted == 0
    assert plan.added == len(plan.examples) - 1000
    assert 0.16 < plan.added / len(plan.examples) < 0.24


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
    assert [row.text for row in read_rows(write(texts, tmp_path / "replay.jsonl")).rows] == texts
    assert json.loads((tmp_path / "replay.jsonl").read_text().splitlines()[0]) == {"text": "Text 0."}


async def test_a_model_that_says_nothing_is_an_error() -> None:
    with pytest.raises(SynthgainError):
        await sample(Scripted(lambda prompt: ""), 3)


def test_the_first_pass_is_known_place_by_place() -> None:
    plan = schedule(NEW, batch=4, epochs=2.5)
    assert plan.first == (True,) * 10 + (False,) * 15
    assert plan.learnt_by_step() == [(8, 8), (8, 8), (8, 4), (8, 0), (8, 0), (8, 0), (2, 0)]
    mixed = schedule(NEW, OLD, batch=4, epochs=2, share=0.5, mode="add")
    firsts = [e for e, new in zip(mixed.examples, mixed.first) if new]
    assert Counter(firsts) == Counter(NEW)  # replay is no part of it
    short = schedule(NEW, OLD, batch=4, max_steps=2, share=0.5)
    assert all(e in NEW for e, new in zip(short.examples, short.first) if new) and len(short.first) == 8

"""What `check` finds out by asking, and the record of a run that a server would not serve to its end."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import synthgain as sg
from doubles.server import Server, served
from synthgain.types import Anchor, Models, Prompt, Recipe, Row, Sampling, SynthgainError, user


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with served() as running:
        yield running


def test_a_server_that_draws_and_obeys_seeds(server: Server) -> None:
    server.become()
    info, _ = sg.check("openai/double", sg.Reach(base_url=server.base_url))
    assert (info.draws, info.seeds) == (True, True)
    assert server.stats()["asked"] <= 6


def test_a_server_that_answers_greedily_whatever_it_is_asked_for_is_found_out(server: Server) -> None:
    server.become(text="the most likely words, whatever the temperature")
    info, _ = sg.check("openai/double", sg.Reach(base_url=server.base_url))
    assert (info.draws, info.seeds) == (False, None) and "greedily" in info.note


def test_a_model_that_thinks_is_judged_by_its_thoughts_and_answer_together(server: Server) -> None:
    server.become(thinks=40)
    info, _ = sg.check("openai/double", sg.Reach(base_url=server.base_url))
    assert info.draws is True and info.schema is True  # the schema is asked for again with room for thinking


def test_a_failing_gateway_makes_one_look_at_the_key(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some answer 500 or 400 to a missing or wrong key, and say nothing of it."""
    server.become(fault_first=10**6, fault=500)
    for key in ("", "sk-of-somebody-else"):
        monkeypatch.setenv("OPENAI_API_KEY", key)
        with pytest.raises(SynthgainError, match="OPENAI_API_KEY") as failed:
            sg.check("openai/double", sg.Reach(base_url=server.base_url))
        assert failed.value.code == 4 and (not key or key not in str(failed.value))


@dataclass(frozen=True)
class Twice:
    """A call that is served, then one with a setting that the server refuses."""

    async def __call__(self, models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        first = await models(Prompt((user(anchor.text),), sampling=Sampling(max_tokens=8)))
        second = await models(Prompt((user(first.text),), sampling=Sampling(max_tokens=8, stop=("\n",))))
        yield Row(text=second.text, calls=(first, second))


def test_a_run_that_stops_at_a_refused_setting_records_what_it_bought(server: Server, tmp_path: Path) -> None:
    server.become(refuse="stop")
    anchors = [{"text": f"question {i}"} for i in range(4)]
    with pytest.raises(SynthgainError, match="stop") as stopped:
        sg.generate(
            Recipe("twice", "1", Twice()),
            anchors,
            out=tmp_path / "run",
            model="openai/double",
            reach=sg.Reach(base_url=server.base_url),
        )
    assert stopped.value.code == 2
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    bought = server.stats()["served"]
    assert record["status"] == "stopped" and "stop" in record["why"]
    assert record["counts"]["calls_bought"] == bought > 0 and record["tokens"]["out"] == 8 * bought

"""Servers that others wrote: llama.cpp's, `transformers serve`, and a LiteLLM proxy in front of llama.cpp's (`make slow`).

The command line is used as a user would, in a process of its own; what a server answered is counted from its log.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from servers import running
from servers.running import Server
from synthgain.models.openai import OpenAI
from synthgain.store import Run
from synthgain.types import Message, Prompt, Sampling, system

pytestmark = pytest.mark.slow
CALLS, WIDTH = 200, 8
ONE_CALL = """
from synthgain.types import Prompt, Recipe, Row, Sampling, user

async def draft(models, anchor):
    call = await models(Prompt((user(anchor.text),), sampling=Sampling(max_tokens=6)))
    yield Row(messages=(user(anchor.text), call.message), calls=(call,))

RECIPE = Recipe("one-call", "1", draft)
"""
SHAPED = """
import json
from synthgain.types import Prompt, Recipe, Row, Sampling, user

SHAPE = {"type": "object", "properties": {"big": {"type": "boolean"}}, "required": ["big"], "additionalProperties": False}

async def draft(models, anchor):
    call = await models(Prompt((user(anchor.text),), sampling=Sampling(max_tokens=128), schema=SHAPE))
    try:
        shaped = isinstance(json.loads(call.text), dict)
    except ValueError:
        shaped = False
    yield Row(messages=(user(anchor.text), call.message), calls=(call,), fields={"shaped": shaped})

RECIPE = Recipe("shaped", "1", draft)
"""


@pytest.fixture(
    scope="module", params=[running.llamacpp, running.transformers, running.litellm], ids=lambda p: p.__name__
)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with request.param(tmp_path_factory.mktemp("server")) as server:
        yield server


def command(server: Server, *words: str) -> list[str]:
    return [sys.executable, "-m", "synthgain", *words]


def synthgain(server: Server, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(server, *words), capture_output=True, text=True, timeout=580, env=os.environ | server.env()
    )


def generate(folder: Path, server: Server, recipe: str, anchors: int) -> list[str]:
    """The words of a run over so many questions."""
    (folder / "mine.py").write_text(recipe)
    questions = [json.dumps({"text": f"Is {i} a big number? Say why."}) for i in range(anchors)]
    (folder / "anchors.jsonl").write_text("\n".join(questions))
    of = [str(folder / "mine.py"), str(folder / "anchors.jsonl"), "-o", str(folder / "run")]
    return [
        "generate",
        *of,
        "-m",
        f"openai/{server.model}",
        "--without",
        "all",
        "--concurrency",
        str(WIDTH),
        "--wait",
        "10",
    ]


def record(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "run" / "run.json").read_text()))


def begun(folder: Path, server: Server, words: list[str]) -> subprocess.Popen[str]:
    """The run in a process group of its own, with what it says in a file."""
    with (folder / "said").open("w") as said:
        return subprocess.Popen(
            command(server, *words),
            start_new_session=True,
            stdout=said,
            stderr=said,
            text=True,
            env=os.environ | server.env(),
        )


def until(what: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)


def test_check_says_what_the_server_gives(server: Server) -> None:
    done = synthgain(server, "check", f"openai/{server.model}", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["logprobs"] is server.logprobs and told["tokens_out"] > 0
    assert told["schema"] is server.schema and told["draws"] is True


def test_two_hundred_calls_with_log_probabilities_where_the_server_gives_them(server: Server, tmp_path: Path) -> None:
    before = server.front.answers()
    done = synthgain(server, *generate(tmp_path, server, ONE_CALL, CALLS))
    assert done.returncode == 0, done.stderr
    counts = record(tmp_path)["counts"]
    assert (counts["calls_bought"], counts["kept"], counts["broken"]) == (CALLS, CALLS, 0)
    assert server.front.answers() - before == CALLS
    calls = list(Run.at(tmp_path / "run").memory(readonly=True))
    assert len(calls) == CALLS and all(call.tokens_in > 0 and 0 < call.tokens_out <= 6 for call in calls)
    given = [call.logprob for call in calls if call.logprob is not None]
    assert len(given) == (CALLS if server.logprobs else 0) and all(value <= 0 for value in given)
    assert len({call.text for call in calls}) > CALLS / 4  # it draws


def test_a_schema_is_followed_or_seen_not_to_be(server: Server, tmp_path: Path) -> None:
    done = synthgain(server, *generate(tmp_path, server, SHAPED, 12))
    assert done.returncode == 0, done.stderr
    rows = [row for shard in Run.at(tmp_path / "run").kept(["fields"]) for row in shard.to_pylist()]
    shaped = [json.loads(row["fields"])["shaped"] for row in rows]
    assert shaped == [server.schema] * 12 and record(tmp_path)["counts"]["broken"] == 0


def test_a_killed_run_goes_on_and_pays_twice_only_for_what_was_in_flight(server: Server, tmp_path: Path) -> None:
    before, words = server.front.answers(), generate(tmp_path, server, ONE_CALL, CALLS)
    process = begun(tmp_path, server, words)
    until(lambda: server.front.answers() - before >= CALLS // 2, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = synthgain(server, *words)
    assert done.returncode == 0, done.stderr
    counts = record(tmp_path)["counts"]
    assert counts["calls_bought"] + counts["calls_reused"] == counts["kept"] == CALLS
    assert counts["calls_reused"] >= CALLS // 2 - WIDTH
    assert server.front.answers() - before <= CALLS + WIDTH


def test_a_server_that_dies_in_the_middle_and_comes_back_costs_no_row(server: Server, tmp_path: Path) -> None:
    before = server.front.answers()
    process = begun(tmp_path, server, generate(tmp_path, server, ONE_CALL, CALLS))
    until(lambda: server.front.answers() - before >= CALLS // 4, process)
    server.mortal.kill()
    time.sleep(2.0)  # it is away: what comes meanwhile is refused
    server.mortal.start()
    assert process.wait(timeout=580) == 0, (tmp_path / "said").read_text()
    counts = record(tmp_path)["counts"]
    assert (counts["calls_bought"], counts["kept"], counts["broken"]) == (CALLS, CALLS, 0)
    assert server.front.answers() - before <= CALLS + WIDTH  # answers that were on their way when it died


def test_a_wrong_name_is_told(server: Server) -> None:
    if server.front.name == "llama.cpp":
        pytest.skip("llama.cpp serves its one model under any name")
    done = synthgain(server, "check", "openai/nobody-has-this-name")
    assert done.returncode == 4 and "nobody-has-this-name" in done.stderr


def test_a_server_that_answers_greedily_whatever_it_is_asked_for_is_found_out(tmp_path: Path) -> None:
    """What `transformers serve` does with a folder whose generation_config.json does not say `do_sample`."""
    with running.transformers(tmp_path, draws=False) as greedy:
        told = json.loads(synthgain(greedy, "check", f"openai/{greedy.model}", "--json").stdout)
    assert told["draws"] is False and "greedily" in told["note"]


# ---------------------------------------------------------------------------------------------- what a gateway knows of models

WARM = ONE_CALL.replace("max_tokens=6", "temperature=0.7, max_tokens=6")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running.litellm(tmp_path_factory.mktemp("gateway")) as server:
        yield server


def test_what_a_model_behind_a_gateway_does_not_take_is_left_out_and_said(gateway: Server, tmp_path: Path) -> None:
    claude = replace(gateway, model="claude")
    told = json.loads(synthgain(claude, "check", "openai/claude", "--json").stdout)
    assert told["logprobs"] is False and told["seeds"] is False and {"logprobs", "seed"} <= set(told["left_out"])
    done = synthgain(claude, *generate(tmp_path, claude, WARM, 20))
    assert done.returncode == 0 and "seeds" in done.stderr
    assert record(tmp_path)["counts"]["calls_bought"] == 20


def test_a_setting_that_was_asked_for_and_is_refused_stops_the_run_before_anything_is_bought(
    gateway: Server, tmp_path: Path
) -> None:
    thinker = replace(gateway, model="thinker")
    done = synthgain(thinker, *generate(tmp_path, thinker, WARM, 20))
    assert done.returncode == 2 and "temperature=0.7" in done.stderr
    assert record(tmp_path)["counts"]["calls_bought"] == 0


def test_without_the_key_of_a_gateway_nothing_is_bought_and_the_key_is_named(gateway: Server) -> None:
    """LiteLLM without a database answers 500 to a request without its key, and 400 to a wrong one."""
    for key in ("", "sk-of-somebody-else"):
        with_key = gateway.env() | {"OPENAI_API_KEY": key}
        done = subprocess.run(
            command(gateway, "check", "openai/claude"), capture_output=True, text=True, env=os.environ | with_key
        )
        assert done.returncode == 4 and "OPENAI_API_KEY" in done.stderr


async def test_text_goes_on_also_behind_a_turn_that_the_servers_template_begins(server: Server) -> None:
    if server.front.name != "llama.cpp":
        pytest.skip("only llama.cpp's server has been tried with text")
    model = OpenAI(server.model, base_url=server.front.base_url)
    try:
        law = Sampling(max_tokens=4, temperature=0.0)
        written = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n"
        turns: list[tuple[Message, ...]] = [
            (Message(role="raw", content="The capital of France is"),),
            (system("Be brief."), Message(role="raw", name="user", content="What is")),
            (Message(role="raw", content=f"{written}What is"),),
        ]
        capital, begun, plain = [await model(Prompt(turn, sampling=law)) for turn in turns]
        drawn = await model(Prompt(turns[0], sampling=Sampling(max_tokens=4)))
        assert (await model.info()).completes is True
    finally:
        await model.aclose()
    assert "Paris" in capital.text and (begun.text, begun.tokens_in) == (plain.text, plain.tokens_in)
    assert drawn.logprob is not None and drawn.logprob < 0 and drawn.tokens_out == 4

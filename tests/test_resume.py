"""The five resume tests: a real server, a real process, SIGKILL.

Two hundred prompts, twenty in flight, answers after 0.1 s. Buying a call that the run already holds,
or giving an old answer to a new question, is a failure. What is killed or interrupted, and the run that others go on from, are
processes of their own; what goes on is the same command line in this process, which holds nothing of theirs.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import synthgain as sg
from doubles.server import Server, served
from synthgain import cli

RECIPE = """
from synthgain.types import Prompt, Recipe, Row, system, user

async def draft(models, anchor):
    call = await models(Prompt((system("{system}"), user(anchor.text))))
    yield Row(messages=(user(anchor.text), {{"role": "assistant", "content": call.text}}), calls=(call,))

RECIPE = Recipe("one-call", "1", draft)
"""
PROMPTS = 200


@pytest.fixture(scope="module")
def one_server() -> Iterator[Server]:
    with served() as running:
        yield running


@pytest.fixture
def server(one_server: Server) -> Server:
    one_server.become(latency=0.1, poison="POISON")  # nothing was asked yet
    return one_server


def anchors(folder: Path, n: int, poison: int | None = None) -> Path:
    file = folder / "anchors.jsonl"
    texts = [f"Question number {i}" + (" POISON" if i == poison else "") for i in range(n)]
    file.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    return file


def recipe(folder: Path, system: str = "You are terse.") -> Path:
    file = folder / "mine.py"
    file.write_text(RECIPE.format(system=system))
    return file


def command(folder: Path, server: Server) -> list[str]:
    return [
        sys.executable,
        "-m",
        "synthgain",
        "generate",
        str(folder / "mine.py"),
        str(folder / "anchors.jsonl"),
        "-o",
        str(folder / "run"),
        "-m",
        "openai/double",
        "--base-url",
        server.base_url,
        "--concurrency",
        "20",
    ]


def finish(folder: Path, server: Server) -> dict[str, object]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", command(folder, server)[2:])
        cli.main()
    return json.loads((folder / "run" / "run.json").read_text())  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, one_server: Server) -> Path:
    """A folder with a run that a process has finished."""
    folder = tmp_path_factory.mktemp("whole")
    anchors(folder, PROMPTS)
    recipe(folder)
    one_server.become(latency=0.1)
    done = subprocess.run(command(folder, one_server), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert asked(one_server) == PROMPTS == len(rows(folder))
    return folder


@pytest.fixture
def finished(whole: Path, tmp_path: Path) -> Path:
    """The same, moved to a folder that a test may change."""
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    return tmp_path


def rows(folder: Path) -> list[dict[str, object]]:
    import pyarrow.parquet as pq

    files = sorted((folder / "run" / "data").glob("*.parquet"))
    return [row for file in files for row in pq.read_table(file, columns=["id", "messages"]).to_pylist()]


def asked(server: Server) -> int:
    return int(server.stats()["asked"])


def killed_after(folder: Path, server: Server, requests: int) -> int:
    """Start the run, SIGKILL its whole process group once the server has seen that many requests. How many it saw."""
    process = subprocess.Popen(
        command(folder, server), start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while asked(server) < requests and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.3)
    return asked(server)


def test_a_killed_run_goes_on_and_buys_again_only_what_was_in_flight(tmp_path: Path, server: Server) -> None:
    anchors(tmp_path, PROMPTS)
    recipe(tmp_path)
    before = killed_after(tmp_path, server, 100)
    assert before < PROMPTS
    record = finish(tmp_path, server)
    assert asked(server) - before <= PROMPTS - before + 20  # what was in flight
    assert record["status"] == "complete" and len(rows(tmp_path)) == PROMPTS
    assert len({r["id"] for r in rows(tmp_path)}) == PROMPTS


def test_an_unchanged_run_buys_nothing(finished: Path, server: Server) -> None:
    first = rows(finished)
    record = finish(finished, server)
    assert asked(server) == 0 and rows(finished) == first
    assert record["counts"]["calls_reused"] == PROMPTS  # type: ignore[index]


def test_an_edited_system_prompt_buys_everything_anew(finished: Path, server: Server) -> None:
    old = rows(finished)
    recipe(finished, system="You are chatty.")
    finish(finished, server)
    assert asked(server) == PROMPTS
    assert all(a["messages"] != b["messages"] for a, b in zip(old, rows(finished)))
    recipe(finished)  # and back: the old answers serve again
    finish(finished, server)
    assert asked(server) == PROMPTS and rows(finished) == old


def test_twenty_rows_appended_buy_twenty(finished: Path, server: Server) -> None:
    anchors(finished, PROMPTS + 20)
    finish(finished, server)
    assert asked(server) == 20 and len(rows(finished)) == PROMPTS + 20


def test_one_refused_row_breaks_itself_only(tmp_path: Path, server: Server) -> None:
    anchors(tmp_path, PROMPTS, poison=77)
    recipe(tmp_path)
    record = finish(tmp_path, server)
    assert len(rows(tmp_path)) == PROMPTS - 1
    assert record["counts"]["broken"] == 1  # type: ignore[index]
    broken = [json.loads(line) for line in (tmp_path / "run" / "broken" / "broken.jsonl").read_text().splitlines()]
    assert len(broken) == 1 and "400" in broken[0]["reason"]


def test_a_second_writer_is_refused_by_name(tmp_path: Path, server: Server) -> None:
    anchors(tmp_path, PROMPTS)
    recipe(tmp_path)
    with served(latency=1.0) as slow:
        process = subprocess.Popen(
            command(tmp_path, slow), start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while asked(slow) < 20:
            time.sleep(0.01)
        second = subprocess.run(command(tmp_path, server), capture_output=True, text=True, timeout=60)
        assert second.returncode == 2 and f"pid {process.pid}" in second.stderr
        assert asked(server) == 0
        assert process.wait(timeout=60) == 0 and len(rows(tmp_path)) == PROMPTS


def test_ctrl_c_ends_cleanly_with_the_command_that_resumes(tmp_path: Path, server: Server) -> None:
    anchors(tmp_path, PROMPTS)
    recipe(tmp_path)
    process = subprocess.Popen(
        command(tmp_path, server), start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    while asked(server) < 60:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130 and "generate" in said and str(tmp_path / "run") in said
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    seen = asked(server)
    assert record["status"] == "stopped" and record["counts"]["kept"] == seen == record["counts"]["calls_bought"]
    finish(tmp_path, server)
    assert asked(server) == PROMPTS


def test_characters_that_no_file_can_hold_are_the_same_in_a_second_run(tmp_path: Path) -> None:
    odd = "half \ud83d of a pair, \0 and a whole \U0001f600"

    def rows() -> list[dict[str, object]]:
        model = sg.Scripted(lambda prompt: {"content": odd, "reasoning": odd}, identity="odd")
        return list(
            sg.generate("rephrase", ["The mill of Orrin has two wheels."], model=model, out=tmp_path / "run").rows()
        )

    first = rows()
    assert first and rows() == first
    assert {row["text"] for row in first} == {"half \ufffd of a pair, \ufffd and a whole \U0001f600"}

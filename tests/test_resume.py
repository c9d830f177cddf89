"""The five resume tests: a real server, a real process, SIGKILL.

Two hundred prompts, twenty in flight, answers after 0.1 s. Buying a call that the run already holds,
or giving an old answer to a new question, is a failure.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import synthgain as sg
from doubles.server import Server, served

RECIPE = """
from synthgain.types import Prompt, Recipe, Row, system, user

async def draft(models, anchor):
    call = await models(Prompt((system("{system}"), user(anchor.text))))
    yield Row(messages=(user(anchor.text), {{"role": "assistant", "content": call.text}}), calls=(call,))

RECIPE = Recipe("one-call", "1", draft)
"""
PROMPTS = 200


@pytest.fixture
def server() -> Iterator[Server]:
    with served(latency=0.1, poison="POISON") as running:
        yield running


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
    done = subprocess.run(command(folder, server), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "run" / "run.json").read_text())  # type: ignore[no-any-return]


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


def test_an_unchanged_run_buys_nothing(tmp_path: Path, server: Server) -> None:
    anchors(tmp_path, PROMPTS)
    recipe(tmp_path)
    finish(tmp_path, server)
    first, bought = rows(tmp_path), asked(server)
    record = finish(tmp_path, server)
    assert asked(server) == bought == PROMPTS and rows(tmp_path) == first
    assert record["counts"]["calls_reused"] == PROMPTS  # type: ignore[index]


def test_an_edited_system_prompt_buys_everything_anew(tmp_path: Path, server: Server) -> None:
    anchors(tmp_path, PROMPTS)
    recipe(tmp_path)
    finish(tmp_path, server)
    old = rows(tmp_path)
    recipe(tmp_path, system="You are chatty.")
    finish(tmp_path, server)
    assert asked(server) == 2 * PROMPTS
    assert all(a["messages"] != b["messages"] for a, b in zip(old, rows(tmp_path)))
    recipe(tmp_path)  # and back: the old answers serve again
    finish(tmp_path, server)
    assert asked(server) == 2 * PROMPTS and rows(tmp_path) == old


def test_twenty_rows_appended_buy_twenty(tmp_path: Path, server: Server) -> None:
    anchors(tmp_path, PROMPTS)
    recipe(tmp_path)
    finish(tmp_path, server)
    anchors(tmp_path, PROMPTS + 20)
    finish(tmp_path, server)
    assert asked(server) == PROMPTS + 20 and len(rows(tmp_path)) == PROMPTS + 20


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

"""Checks that run programs, inside whole runs: many rows, side by side, nothing left at the end."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import synthgain as sg
from synthgain.curate.unit_tests import UnitTests
from synthgain.sandbox import pool, shared
from synthgain.types import Anchor, Models, Prompt, Recipe, Row, SynthgainError, Verdict, keep, user

ANSWERS = ("def f(x):\n    return x + {n}", "def f(x):\n    return 0", "none", "def f(x):\n    while True: pass")


async def _draft(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
    call = await models(Prompt((user(anchor.text),)))
    yield Row(text=call.text, calls=(call,))


RECIPE = Recipe("programs", "1", _draft, needs=("tests",))


def anchors(count: int) -> list[Anchor]:
    return [Anchor(f"add {n}", f"t#{n}", {"tests": [f"assert f(1) == {n + 1}"]}) for n in range(count)]


def answer(prompt: Prompt) -> str:
    n = int(prompt.messages[-1]["content"].split()[1])
    return ANSWERS[(n % 4) if n % 40 == 3 or n % 4 != 3 else 0].replace("{n}", str(n))


@pytest.fixture(autouse=True)
def there() -> Iterator[None]:
    try:
        shared().ready()
    except SynthgainError as error:
        pytest.skip(error.what)
    yield
    shared().close()


def test_many_rows_are_judged_while_calls_go_on_and_nothing_is_left(tmp_path: Path) -> None:
    check = UnitTests(seconds=1)
    run = sg.generate(RECIPE, anchors(48), model=sg.Scripted(answer), out=tmp_path / "run", with_=[check])
    reasons = [(row["outcome"], row["reason"]) for row in _rows(run)]
    wanted = {("keep", ""): 22, ("drop", "wrong"): 12, ("drop", "no code"): 12, ("drop", "time"): 2}
    assert {pair: reasons.count(pair) for pair in set(reasons)} == wanted
    assert shared()._idle == [] and not _children()
    again = sg.curate(run.path, recipe=RECIPE)
    assert [(row["outcome"], row["reason"]) for row in _rows(again)] == reasons
    assert again.record["counts"]["kept"] == 22


def test_rows_that_somebody_else_made_are_judged_side_by_side(tmp_path: Path) -> None:
    given = tmp_path / "rows.jsonl"
    lines = [
        {"text": f"def f(x):\n    return {n}", "tests": [f"assert f(0) == {n if n % 2 else -1}"]} for n in range(60)
    ]
    given.write_text("\n".join(map(json.dumps, lines)))
    run = sg.curate(given, out=tmp_path / "run", with_=["unit-tests"], text_field="text")
    assert run.record["counts"]["kept"] == 30 and run.record["dropped_by"] == {"unit-tests": 30}
    assert [row["kept"] for row in _rows(run)] == [bool(n % 2) for n in range(60)]
    assert not _children()


def test_where_there_is_no_sandbox_no_token_is_spent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared().close()
    monkeypatch.setattr(pool, "_shared", [])
    monkeypatch.setattr(sys, "platform", "darwin")
    asked = []
    model = sg.Scripted(lambda prompt: asked.append(prompt) or "x")
    for check in ("unit-tests", "sql"):
        with pytest.raises(SynthgainError, match="allows no sandbox") as told:
            sg.generate(RECIPE, anchors(3), model=model, out=tmp_path / "run", with_=[check])
        assert told.value.code == 2 and not asked and not (tmp_path / "run").exists()


def test_a_check_of_ones_own_can_say_that_it_cannot_judge_here(tmp_path: Path) -> None:
    closed = []

    @dataclass(frozen=True)
    class Mine:
        fails: bool = False
        name: str = "mine"

        def ready(self) -> None:
            if self.fails:
                raise SynthgainError("no such service", where="mine", next="start it")

        def close(self) -> None:
            closed.append(self)

        def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
            return keep()

    with pytest.raises(SynthgainError, match="no such service"):
        sg.generate(RECIPE, anchors(1), model=sg.Scripted(answer), out=tmp_path / "a", with_=[Mine(True)])
    sg.generate(RECIPE, anchors(1), model=sg.Scripted(answer), out=tmp_path / "b", with_=[Mine()])
    assert closed == [Mine()]


def test_ctrl_c_ends_it_and_its_processes(tmp_path: Path) -> None:
    given = tmp_path / "rows.jsonl"
    lines = [
        {"text": f"import time\ndef f(x):\n    time.sleep(20); return {n}", "tests": ["assert f(0) == 0"]}
        for n in range(400)
    ]
    given.write_text("\n".join(map(json.dumps, lines)))
    command = [
        sys.executable,
        "-m",
        "synthgain",
        "curate",
        str(given),
        "-o",
        str(tmp_path / "run"),
        "--with",
        "unit-tests",
    ]
    with subprocess.Popen(
        [*command, "--text-field", "text"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        ends = time.monotonic() + 60
        while not (workers := _children(process.pid)) and time.monotonic() < ends:
            time.sleep(0.1)
        assert workers
        time.sleep(2)
        workers = _children(process.pid)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        process.communicate(timeout=100)
        assert process.returncode == 130 and time.monotonic() - began < 18  # a program sleeps longer
    ends = time.monotonic() + 20
    while any(os.path.exists(f"/proc/{number}") for number in workers) and time.monotonic() < ends:
        time.sleep(0.1)
    assert not any(os.path.exists(f"/proc/{number}") for number in workers)


def _rows(run: sg.Run) -> list[dict[str, object]]:
    return [row for shard in run.shards(("outcome", "reason", "kept")) for row in shard.to_pylist()]


def _children(of: int | None = None) -> list[int]:
    """The processes that a process started and that are there, without threads and zombies."""
    with open(f"/proc/{of or os.getpid()}/task/{of or os.getpid()}/children") as file:
        direct = [int(number) for number in file.read().split()]
    return [number for number in direct if _state(number) not in ("Z", "")]


def _state(number: int) -> str:
    try:
        with open(f"/proc/{number}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0]
    except OSError:
        return ""

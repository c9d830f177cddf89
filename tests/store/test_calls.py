import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from synthgain.store import CallMemory
from synthgain.types import Call, Prompt, SynthgainError, system, user


def call(n: int, text: str = "answer", long: str = "") -> Call:
    messages = (user(f"question {n}"),) if not long else (system(long), user(f"question {n}"))
    prompt = Prompt(messages, draw=n)
    return Call(prompt.id("m"), prompt, text, "scripted/x", "stop", 3, 5, 1, -2.5, "law", 0.25, 0.1)


async def test_what_was_put_is_found_with_every_field(tmp_path: Path) -> None:
    memory = CallMemory(tmp_path)
    mine = call(1, "naïve ☃ answer")
    assert memory.find(mine.id, mine.prompt) is None
    await memory.put(mine, "m")
    assert memory.find(mine.id, mine.prompt) == mine
    memory.close()
    again = CallMemory(tmp_path)
    assert again.find(mine.id, mine.prompt) == mine
    assert again.get_many([mine.id, "0" * 64]) == {mine.id: mine}
    assert list(again) == [mine] and len(again) == 1
    again.close()


@pytest.mark.parametrize("n", [1, 7, 8, 63, 64, 65, 200])
async def test_answers_written_together_are_each_there_once(tmp_path: Path, n: int) -> None:
    memory = CallMemory(tmp_path)
    mine = [call(i, f"answer {i}") for i in range(n)]
    await asyncio.gather(*(memory.put(c, "m") for c in [*mine, *mine]))
    memory.close()
    again = CallMemory(tmp_path, readonly=True)
    assert sorted(c.text for c in again) == sorted(c.text for c in mine)
    again.close()


async def test_a_long_content_is_stored_once_and_comes_back(tmp_path: Path) -> None:
    document = "A long document. " * 4000
    memory = CallMemory(tmp_path)
    calls = [call(n, long=document) for n in range(50)]
    await asyncio.gather(*(memory.put(c, "m") for c in calls))
    memory.close()
    assert sum(f.stat().st_size for f in tmp_path.iterdir()) < 4 * len(document)
    read = CallMemory(tmp_path, readonly=True)
    assert read.get_many([c.id for c in calls]) == {c.id: c for c in calls}
    read.close()


async def test_the_filter_grows_and_forgets_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from synthgain.store import calls as room

    real = room._Known.__init__

    def small(self: room._Known, keys: int) -> None:
        real(self, keys)
        self.room = max(8, keys)

    monkeypatch.setattr(room._Known, "__init__", small)
    memory = CallMemory(tmp_path)
    mine = [call(n) for n in range(100)]
    for c in mine:
        await memory.put(c, "m") if c is mine[-1] else memory.put(c, "m")
    assert all(memory.find(c.id, c.prompt) == c for c in mine)
    memory.close()


KILLED = """
import asyncio, os, sys
from pathlib import Path
from synthgain.store import CallMemory
from synthgain.types import Call, Prompt, user
async def main():
    memory = CallMemory(Path(sys.argv[1]))
    n = 0
    while True:
        batch = []
        for _ in range(7):
            prompt = Prompt((user(f"q {n}"),)); n += 1
            batch.append(Call(prompt.id("m"), prompt, "x" * 500, "s", "stop"))
        await asyncio.gather(*(memory.put(c, "m") for c in batch))
        print(n, flush=True)
asyncio.run(main())
"""


def test_a_killed_writer_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(15)]
        os.kill(process.pid, signal.SIGKILL)
        said += process.stdout.readlines()
        process.wait()
        process.stdout.close()
        acknowledged = int([s for s in said if s.endswith("\n")][-1])
        memory = CallMemory(tmp_path)
        prompts = [Prompt((user(f"q {i}"),)) for i in range(acknowledged)]
        assert all(memory.find(p.id("m"), p) for p in prompts)
        memory.close()


@pytest.mark.parametrize("bytes", [b"x", b"no database at all, but long enough to look at" * 100])
async def test_a_damaged_file_is_an_error_in_words(tmp_path: Path, bytes: bytes) -> None:
    (tmp_path / "calls.sqlite").write_bytes(bytes)
    with pytest.raises(SynthgainError, match="memory of calls cannot be read") as error:
        CallMemory(tmp_path)
    assert str(tmp_path) in str(error.value)


async def test_a_full_disk_is_exit_three_and_corrupts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = CallMemory(tmp_path)
    await memory.put(call(1), "m")
    pages = memory._reader.execute("PRAGMA page_count").fetchone()[0]
    real = CallMemory._connect

    def tight(self: CallMemory) -> sqlite3.Connection:
        db = real(self)
        db.execute(f"PRAGMA max_page_count={pages + 1}")
        return db

    memory.close()
    monkeypatch.setattr(CallMemory, "_connect", tight)
    full = CallMemory(tmp_path)
    with pytest.raises(SynthgainError) as error:
        for n in range(2, 40):
            await full.put(call(n, "x" * 20_000), "m")
    assert error.value.code == 3
    full.close()
    monkeypatch.undo()
    whole = CallMemory(tmp_path)
    assert whole.find(call(1).id, call(1).prompt) == call(1)
    await whole.put(call(99), "m")
    assert whole.find(call(99).id, call(99).prompt) == call(99)
    whole.close()


async def test_two_models_with_one_name_are_two(tmp_path: Path) -> None:
    prompt = Prompt((user("q"),))
    memory = CallMemory(tmp_path)
    for identity in ("weights one", "weights two"):
        await memory.put(Call(prompt.id(identity), prompt, identity, "local/x"), identity)
    assert [memory.find(prompt.id(i), prompt).text for i in ("weights one", "weights two")] == [
        "weights one",
        "weights two",
    ]  # type: ignore[union-attr]
    assert {c.id for c in memory} == {prompt.id("weights one"), prompt.id("weights two")}
    memory.close()

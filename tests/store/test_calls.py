import asyncio
import math
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synthgain.store import CallMemory
from synthgain.types import (
    BudgetReached,
    Call,
    CallFailed,
    Message,
    Prompt,
    Sampling,
    SynthgainError,
    assistant,
    canonical,
    system,
    user,
)

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
LONG_TOOL = {"type": "function", "function": {"name": "g", "description": "what it does. " * 100}}
LONG_SCHEMA = {"type": "object", "properties": {f"field {n}": {"type": "string"} for n in range(50)}}
ASKED: Message = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"ä": 1}'}}],
    "reasoning": "first look, then answer",
}


def call(n: int, text: str = "answer", long: str = "") -> Call:
    messages = (user(f"question {n}"),) if not long else (system(long), user(f"question {n}"))
    return answered(Prompt(messages, draw=n), assistant(text))


def answered(prompt: Prompt, message: Message, identity: str = "m") -> Call:
    return Call(prompt.id(identity), prompt, message, "scripted/x", "stop", 3, 5, 1, -2.5, "law", 0.25, 0.1)


async def keep(folder: Path, calls: list[Call], segment: str = "local") -> None:
    """Calls put down in one segment, each waited for at most 20 s."""
    memory = CallMemory(folder, segment)
    try:
        await asyncio.wait_for(asyncio.gather(*{memory.put(c, "m") for c in calls}), 20)
    finally:
        memory.close()


def kept(folder: Path) -> list[Call]:
    """What a read-only opening finds."""
    memory = CallMemory(folder, readonly=True)
    found = list(memory)
    assert len(memory) == len(found) and memory.get_many([c.id for c in found]) == {c.id: c for c in found}
    memory.close()
    return found


# ---------------------------------------------------------------------------------------------- everything comes back


async def test_what_was_put_is_found_with_every_field(tmp_path: Path) -> None:
    memory = CallMemory(tmp_path)
    mine = call(1, "naïve ☃ \0 answer")
    assert memory.find(mine.id, mine.prompt) is None
    await memory.put(mine, "m")
    assert memory.find(mine.id, mine.prompt) == mine
    memory.close()
    again = CallMemory(tmp_path)
    assert again.find(mine.id, mine.prompt) == mine
    assert again.get_many([mine.id, "0" * 64, "no id at all"]) == {mine.id: mine}
    assert list(again) == [mine] and len(again) == 1
    again.close()


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt((user("q"),)),
        Prompt((user("q"),), sampling=Sampling(temperature=0.0, stop=("a", "b"), max_tokens=7), seed=3, draw=4),
        Prompt((user("q"),), sampling=Sampling(temperature=0.3), seed=3, draw=4),
        Prompt((user("q"),), schema={"type": "object"}, tools=(TOOL,)),
        Prompt((user("q"),), schema=LONG_SCHEMA),
        Prompt((user("q"),), schema=LONG_SCHEMA, tools=(TOOL, LONG_TOOL)),
        Prompt((system("s" * 513), user("[" * 600), assistant("a"), user("🌧" * 513))),
        Prompt((user(canonical(LONG_SCHEMA)),), schema=LONG_SCHEMA),
        Prompt((user("q" * 600), ASKED, {"role": "tool", "content": "found " * 200, "tool_call_id": "1", "name": "f"})),
        Prompt(({"role": "assistant", "content": "a" * 600, "learn": False}, user("q"))),
    ],
)
@pytest.mark.parametrize(
    "message",
    [
        assistant("a"),
        assistant("a" * 5000),
        ASKED,
        {"role": "tool", "content": "a", "tool_call_id": "1", "name": "f", "learn": True},
    ],
)
async def test_every_prompt_and_every_answer_comes_back(tmp_path: Path, prompt: Prompt, message: Message) -> None:
    mine = answered(prompt, message)
    await keep(tmp_path, [mine])
    (found,) = kept(tmp_path)
    assert found.prompt.content == prompt.content and found.prompt.id("m") == mine.id
    assert replace(found, prompt=prompt) == mine
    asked = CallMemory(tmp_path)
    assert asked.find(mine.id, prompt) == mine
    asked.close()


TEXTS = st.text() | st.text(min_size=1, max_size=3).map(lambda text: text * 300)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
CALLS = st.fixed_dictionaries(
    {
        "function": st.fixed_dictionaries(
            {"name": st.text()}, optional={"arguments": st.text() | st.dictionaries(st.text(), JSON, max_size=3)}
        )
    },
    optional={"id": st.text(), "type": st.text()},
)
TURNS = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool"]), "content": TEXTS},
    optional={
        "tool_calls": st.lists(CALLS, max_size=2),
        "tool_call_id": st.text(),
        "name": st.text(),
        "reasoning": TEXTS,
    },
)
PROMPTS = st.builds(
    Prompt,
    st.lists(TURNS, min_size=1, max_size=4).map(tuple),
    schema=st.none() | st.dictionaries(st.text(), JSON, max_size=3) | st.just(LONG_SCHEMA),
    tools=st.just(())
    | st.lists(st.dictionaries(st.text(), JSON, max_size=3) | st.just(LONG_TOOL), max_size=2).map(tuple),
    seed=st.integers(),
    draw=st.integers(min_value=0),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(PROMPTS, TURNS), min_size=1, max_size=5))
def test_whatever_is_put_down_comes_back(asked: list[tuple[Prompt, Message]]) -> None:
    async def all_of_it() -> None:
        memory = CallMemory(None)
        mine = {c.id: c for c in (answered(prompt, message) for prompt, message in reversed(asked))}
        await asyncio.gather(*{memory.put(c, "m") for c in mine.values()})
        assert {c.id: c for c in memory} == mine == memory.get_many(mine) and len(memory) == len(mine)
        assert all(c.prompt.id("m") == id for id, c in memory.get_many(mine).items())
        memory.close()

    asyncio.run(all_of_it())


@pytest.mark.parametrize("n", [1, 7, 8, 59, 60, 61, 200])
async def test_answers_written_together_are_each_there_once(tmp_path: Path, n: int) -> None:
    mine = [call(i, f"answer {i}") for i in range(n)]
    await keep(tmp_path, [*mine, *mine])
    assert sorted(c.text for c in kept(tmp_path)) == sorted(c.text for c in mine)


@pytest.mark.parametrize("where", ["content", "tools", "schema"])
async def test_what_is_long_and_repeats_is_stored_once(tmp_path: Path, where: str) -> None:
    document = "A long document. " * 4000
    prompts = [
        Prompt(
            (system(document if where == "content" else "short"), user(f"question {n}")),
            schema={"title": document} if where == "schema" else None,
            tools=({"about": document},) if where == "tools" else (),
        )
        for n in range(50)
    ]
    calls = [answered(prompt, assistant("answer")) for prompt in prompts]
    await keep(tmp_path, calls)
    assert sum(f.stat().st_size for f in tmp_path.iterdir()) < 4 * len(document)
    assert {c.id: c for c in kept(tmp_path)} == {c.id: c for c in calls}


async def test_two_models_with_one_name_are_two(tmp_path: Path) -> None:
    prompt = Prompt((user("q"),))
    memory = CallMemory(tmp_path)
    both = [replace(answered(prompt, assistant(i), i), model="local/x") for i in ("weights one", "weights two")]
    for c in both:
        await memory.put(c, c.text)
    assert [memory.find(c.id, prompt) for c in both] == both
    assert {c.id for c in memory} == {c.id for c in both}
    memory.close()


async def test_the_filter_grows_and_forgets_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from synthgain.store import calls as room

    real = room._Known.__init__

    def small(self: room._Known, keys: int) -> None:
        real(self, keys)
        self.room = max(8, keys)

    monkeypatch.setattr(room._Known, "__init__", small)
    memory = CallMemory(tmp_path)
    mine = [call(n) for n in range(100)]
    await asyncio.gather(*{memory.put(c, "m") for c in mine})
    assert all(memory.find(c.id, c.prompt) == c for c in mine)
    memory.close()


# ---------------------------------------------------------------------------------------------- odd values

ODD: list[dict[str, Any]] = [
    {"finish": "\ud800"},
    {"finish": None},
    {"finish": {"a": 1}},
    {"law": "\udfff"},
    {"model": "m\ud800"},
    {"tokens_out": 2**63},
    {"tokens_in": -1},
    {"tokens_in": 3.0},
    {"tokens_cached": True},
    {"tokens_cached": 10**400},
    {"logprob": math.nan},
    {"logprob": -math.inf},
    {"logprob": 10**400},
    {"cost": math.inf},
    {"cost": math.nan},
    {"seconds": math.nan},
    {"seconds": -math.inf},
    {"message": assistant("half \ud800 a character \0")},
    {"message": {"role": "assistant", "content": "", "tool_calls": [{"\ud800": "\udfff", "n": [math.nan, 10**400]}]}},
    {"message": {"role": "\ud800", "content": "", "reasoning": "\ud800"}},
]


@pytest.mark.parametrize("odd", ODD)
async def test_an_odd_value_is_made_storable_and_hurts_nobody(tmp_path: Path, odd: dict[str, Any]) -> None:
    memory = CallMemory(tmp_path)
    mine = replace(call(0), **odd)
    for c in (mine, call(1)):
        await asyncio.wait_for(memory.put(c, "m"), 10)
    found = memory.find(mine.id, mine.prompt)
    assert found is not None and memory.find(call(1).id, call(1).prompt) == call(1)
    memory.close()
    again = {c.id: c for c in kept(tmp_path)}
    assert again.keys() == {mine.id, call(1).id} and canonical(again[mine.id].message) == canonical(found.message)
    canonical(found.message).encode()  # there is no half character left in it
    for name in ("tokens_in", "tokens_out", "tokens_cached"):
        assert 0 <= getattr(found, name) < 2**63
    assert all(number is None or math.isfinite(number) for number in (found.logprob, found.cost, found.seconds))
    assert found.logprob is not None or "not finite" in found.law


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt((user("\ud800"),)),
        Prompt((user("long \ud800" * 300),)),
        Prompt((user("q"),), schema={"\ud800": 1}, tools=({"name": "\udfff" * 600},)),
        Prompt(({"role": "assistant", "content": "", "tool_calls": [{"id": "\ud800", "function": {"name": "f"}}]},)),
    ],
)
async def test_a_prompt_with_half_a_character_is_still_found_by_its_id(tmp_path: Path, prompt: Prompt) -> None:
    memory = CallMemory(tmp_path)
    mine = answered(prompt, assistant("a"), "m\ud800")
    await asyncio.wait_for(memory.put(mine, "m\ud800"), 10)
    assert memory.find(mine.id, prompt) == mine
    memory.close()
    (found,) = kept(tmp_path)
    assert found.id == mine.id and found.message == mine.message and "\ufffd" in found.prompt.content


@pytest.mark.parametrize(
    "odd",
    [
        {"tokens_in": {"a": 1}},
        {"tokens_out": "many"},
        {"tokens_out": math.nan},
        {"cost": "dear"},
        {"message": {"role": "assistant", "content": None}},
        {"message": {"content": "no role"}},
        {"message": {"role": "assistant", "content": "", "tool_calls": [{"a": b"bytes"}]}},
        {"id": "no id"},
        {"id": "ab"},
    ],
)
async def test_an_answer_that_has_no_form_fails_alone(tmp_path: Path, odd: dict[str, Any]) -> None:
    memory = CallMemory(tmp_path)
    before, mine, after = memory.put(call(1), "m"), memory.put(replace(call(0), **odd), "m"), memory.put(call(2), "m")
    with pytest.raises(CallFailed, match="cannot be written down"):
        await asyncio.wait_for(mine, 10)
    await asyncio.wait_for(asyncio.gather(before, after), 10)
    memory.close()
    assert {c.id for c in kept(tmp_path)} == {call(1).id, call(2).id}


async def test_what_sqlite_cannot_hold_is_refused_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthgain.store.call_columns.LARGEST", 10_000)
    memory = CallMemory(tmp_path)
    for mine in (call(0, "x" * 10_001), call(0, long="x" * 10_001)):
        with pytest.raises(CallFailed, match="longer than"):
            await memory.put(mine, "m")
    await memory.put(call(1, "x" * 9_000), "m")
    memory.close()
    assert [c.id for c in kept(tmp_path)] == [call(1).id]


# ---------------------------------------------------------------------------------------------- segments

WRITER = """
import asyncio, sys
from pathlib import Path
from synthgain.store import CallMemory
from synthgain.types import Call, Prompt, assistant, user
async def main(folder, segment, first, last):
    memory = CallMemory(Path(folder), segment)
    print("open", flush=True)
    sys.stdin.readline()
    for n in range(int(first), int(last)):
        prompt = Prompt((user("x" * 600), user(f"q {n}"),))
        await memory.put(Call(prompt.id("m"), prompt, assistant(f"{segment} {n}"), segment), "m")
    print("done", flush=True)
    sys.stdin.readline()
    memory.close()
asyncio.run(main(*sys.argv[1:]))
"""


class Writer:
    """Another process that writes one segment: it opens, is told to write, and is told to close."""

    def __init__(self, *args: object) -> None:
        pipe = subprocess.PIPE
        command = [sys.executable, "-c", WRITER, *map(str, args)]
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        self.expect("open")

    def expect(self, word: str) -> None:
        assert self.process.stdout is not None and self.process.stdout.readline() == f"{word}\n"

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self) -> None:
        self.process.communicate("\n", timeout=30)
        assert self.process.returncode == 0


def asked(n: int) -> Prompt:
    return Prompt((user("x" * 600), user(f"q {n}")))


def test_two_processes_write_two_segments_at_once_and_are_joined(tmp_path: Path) -> None:
    writers = [Writer(tmp_path, "one", 0, 150), Writer(tmp_path, "two", 100, 250)]
    for writer in writers:
        writer.go()
    for writer in writers:
        writer.expect("done")
    live = {c.id: c.text for c in kept(tmp_path)}
    assert live.keys() == {asked(n).id("m") for n in range(250)}
    for writer in writers:
        writer.end()
    assert {c.id: c.text for c in kept(tmp_path)} == live

    async def third() -> None:
        memory = CallMemory(tmp_path, "three")
        assert len(memory) == 250
        texts = [getattr(memory.find(asked(n).id("m"), asked(n)), "text", None) for n in range(251)]
        assert texts[0] == "one 0" and texts[249] == "two 249" and texts[250] is None and None not in texts[:250]
        await memory.put(answered(asked(250), assistant("three 250")), "m")
        memory.close()

    asyncio.run(third())
    assert len(kept(tmp_path)) == 251
    assert sorted(f.name for f in tmp_path.glob("*.sqlite")) == ["one.sqlite", "three.sqlite", "two.sqlite"]


async def test_a_reader_sees_what_another_process_commits_later(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "one", 0, 5)
    reader = CallMemory(tmp_path, readonly=True)
    assert len(reader) == 0 and reader.find(asked(0).id("m"), asked(0)) is None
    writer.go()
    writer.expect("done")
    assert len(reader) == 5
    found = reader.find(asked(0).id("m"), asked(0))
    assert found is not None and found.text == "one 0"
    with pytest.raises(SynthgainError, match="opened to be read"):
        await reader.put(call(1), "m")
    reader.close()
    writer.end()


@pytest.mark.parametrize("name", ["", "../up", "a/b", "a.b", "a\0"])
def test_a_segment_is_a_plain_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="segment"):
        CallMemory(tmp_path, name)


def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(SynthgainError, match="no memory of calls"):
        CallMemory(tmp_path / "calls", readonly=True)
    assert not (tmp_path / "calls").exists()


# ---------------------------------------------------------------------------------------------- nobody waits for ever

KILLED = """
import asyncio, sys
from pathlib import Path
from synthgain.store import CallMemory
from synthgain.types import Call, Prompt, assistant, user
async def main():
    memory = CallMemory(Path(sys.argv[1]))
    n = 0
    while True:
        batch = []
        for _ in range(7):
            prompt = Prompt((user(f"q {n}"),)); n += 1
            batch.append(Call(prompt.id("m"), prompt, assistant("x" * 500), "s", "stop"))
        await asyncio.gather(*(memory.put(c, "m") for c in batch))
        print(n, flush=True)
asyncio.run(main())
"""


def killed(folder: Path) -> int:
    """How many calls a writer had been told were safe when SIGKILL met it."""
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(15)]
    os.kill(process.pid, signal.SIGKILL)
    said += process.stdout.readlines()
    process.wait()
    process.stdout.close()
    return int([s for s in said if s.endswith("\n")][-1])


def test_a_killed_writer_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    for _ in range(3):
        acknowledged = killed(tmp_path)
        memory = CallMemory(tmp_path)
        prompts = [Prompt((user(f"q {i}"),)) for i in range(acknowledged)]
        assert all(memory.find(p.id("m"), p) for p in prompts)
        memory.close()


async def ends(memory: CallMemory) -> list[BaseException | None]:
    """How two waiting puts and two later ones end; a put that waits for ever is a TimeoutError."""
    said: list[BaseException | None] = []
    for puts in (
        [memory.put(call(1), "m"), memory.put(call(2), "m")],
        [memory.put(call(3), "m")],
        [memory.put(call(4), "m")],
    ):
        for put in puts:
            try:
                await asyncio.wait_for(asyncio.shield(put), 20)
                said.append(None)
            except Exception as error:
                said.append(error)
    thread = threading.Thread(target=memory.close, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive(), "close() hangs"
    return said


async def test_a_writer_that_fails_ends_every_wait_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(file: Path) -> sqlite3.Connection:
        raise ZeroDivisionError("nobody thought of this")

    memory = CallMemory(tmp_path)
    monkeypatch.setattr("synthgain.store.calls.opened_to_write", broken)
    said = await ends(memory)
    assert all(isinstance(error, SynthgainError) and "nobody thought of this" in str(error) for error in said)


async def test_a_table_that_goes_away_ends_every_wait(tmp_path: Path) -> None:
    memory = CallMemory(tmp_path)
    other = sqlite3.connect(tmp_path / "local.sqlite")
    other.execute("DROP TABLE calls")
    other.close()
    said = await ends(memory)
    assert all(isinstance(error, SynthgainError) and str(tmp_path / "local.sqlite") in str(error) for error in said)


FULL = """
import asyncio, resource, sys
from pathlib import Path
from synthgain.store import CallMemory
from synthgain.types import Call, Prompt, assistant, user
async def main():
    memory = CallMemory(Path(sys.argv[1]))
    async def put(n, size):
        prompt = Prompt((user(f"q {n}"),))
        await asyncio.wait_for(memory.put(Call(prompt.id("m"), prompt, assistant("x" * size), "s"), "m"), 30)
    await put(0, 10)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))  # no file may grow beyond it
    for done in await asyncio.gather(*(put(n, 20_000) for n in range(1, 40)), return_exceptions=True):
        print(type(done).__name__, getattr(done, "code", ""))
    for n in range(40, 42):
        try:
            await put(n, 10)
        except Exception as error:
            print(type(error).__name__, getattr(error, "code", ""))
    memory.close()
asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the limits of POSIX")
def test_a_full_disk_is_exit_three_and_corrupts_nothing(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines() == [f"{BudgetReached.__name__} 3"] * 41, done.stderr
    assert [c.prompt.messages[0]["content"] for c in kept(tmp_path)] == ["q 0"]
    asyncio.run(keep(tmp_path, [call(99)]))
    assert len(kept(tmp_path)) == 2


async def test_closing_waits_for_what_was_handed_over(tmp_path: Path) -> None:
    memory = CallMemory(tmp_path)
    waiting = {memory.put(call(n), "m") for n in range(100)}
    memory.close()
    memory.close()
    assert {c.id for c in kept(tmp_path)} == {call(n).id for n in range(100)}
    await asyncio.wait_for(asyncio.gather(*waiting), 10)
    with pytest.raises(SynthgainError, match="closed"):
        await memory.put(call(101), "m")


def test_closing_works_after_the_loop_is_gone(tmp_path: Path) -> None:
    memory = CallMemory(tmp_path)

    async def hurried(first: int) -> None:
        for n in range(first, first + 50):
            memory.put(call(n), "m")

    asyncio.run(hurried(0))
    asyncio.run(hurried(50))
    memory.close()
    assert len(kept(tmp_path)) == 100


# ---------------------------------------------------------------------------------------------- files that are not ours


@pytest.fixture(params=[True, False], ids=["readonly", "writing"])
def readonly(request: pytest.FixtureRequest) -> Iterator[bool]:
    yield request.param


@pytest.mark.parametrize("bytes", [b"x", b"no database at all, but long enough to look at" * 100])
def test_a_damaged_file_is_an_error_in_words(tmp_path: Path, readonly: bool, bytes: bytes) -> None:
    (tmp_path / "local.sqlite").write_bytes(bytes)
    with pytest.raises(SynthgainError, match="memory of calls cannot be read") as error:
        CallMemory(tmp_path, readonly=readonly)
    assert str(tmp_path / "local.sqlite") in str(error.value) and error.value.code == 2


async def test_a_file_that_is_damaged_inside_is_named(tmp_path: Path, readonly: bool) -> None:
    await keep(tmp_path, [call(n, "x" * 3000) for n in range(200)], "other")
    file = tmp_path / "other.sqlite"
    raw = bytearray(file.read_bytes())
    raw[16384:] = b"\xee" * (len(raw) - 16384)
    file.write_bytes(raw)
    with pytest.raises(SynthgainError, match="damaged") as error:
        list(CallMemory(tmp_path, readonly=readonly))
    assert str(file) in str(error.value)


@pytest.mark.parametrize("change", ["prompt = '{'", "long = '[[9,\"00\"]]'", "prompt = '{\"v\":1}'", "rest = '7'"])
async def test_a_row_that_makes_no_sense_is_damage(tmp_path: Path, change: str) -> None:
    await keep(tmp_path, [call(1)])
    with sqlite3.connect(tmp_path / "local.sqlite") as db:
        db.execute(f"UPDATE calls SET {change}")
    db.close()
    memory = CallMemory(tmp_path, readonly=True)
    with pytest.raises(SynthgainError, match="damaged"):
        list(memory)
    memory.close()


@pytest.mark.parametrize("version,said", [(0, "an earlier version"), (1000, "a later version")])
async def test_a_run_of_another_version_is_refused(tmp_path: Path, readonly: bool, version: int, said: str) -> None:
    await keep(tmp_path, [call(1)])
    (tmp_path / "local.sqlite").rename(tmp_path / "calls.sqlite")
    with sqlite3.connect(tmp_path / "calls.sqlite") as db:
        db.execute(f"PRAGMA user_version={version}")
    db.close()
    before = (tmp_path / "calls.sqlite").read_bytes()
    with pytest.raises(SynthgainError, match=said) as error:
        CallMemory(tmp_path, readonly=readonly)
    assert error.value.code == 2 and "-o" in error.value.next and "calls.sqlite" in error.value.where
    assert (tmp_path / "calls.sqlite").read_bytes() == before


def test_another_program_s_database_is_refused(tmp_path: Path, readonly: bool) -> None:
    with sqlite3.connect(tmp_path / "local.sqlite") as db:
        db.execute("CREATE TABLE recipes (name TEXT)")
    db.close()
    with pytest.raises(SynthgainError, match="none of synthgain's"):
        CallMemory(tmp_path, readonly=readonly)


# ---------------------------------------------------------------------------------------------- disks that are odd

READ = """
import os, sys
from pathlib import Path
from synthgain.store import CallMemory
if os.geteuid() == 0:
    os.seteuid(65534)  # to whom the folder belongs as little as to others
try:
    (Path(sys.argv[1]) / "x").touch()
    print("writable")
except OSError:
    pass
memory = CallMemory(Path(sys.argv[1]), readonly=True)
print(len(memory), len(list(memory)))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the rights of POSIX")
@pytest.mark.parametrize("left", ["all", "no index", "closed"])
def test_a_folder_that_cannot_be_written_is_read(left: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        folder = Path(name) / "calls"
        acknowledged = killed(folder)
        assert (folder / "local.sqlite-wal").stat().st_size > 0
        if left == "no index":
            (folder / "local.sqlite-shm").unlink()
        if left == "closed":
            CallMemory(folder).close()
            assert [f.name for f in folder.iterdir()] == ["local.sqlite"]
        for file in folder.iterdir():
            file.chmod(0o444)
        folder.chmod(0o555)
        done = subprocess.run([sys.executable, "-c", READ, str(folder)], capture_output=True, text=True)
        folder.chmod(0o755)
        assert done.stdout, done.stderr
        counted, read = map(int, done.stdout.split())
        assert counted == read >= acknowledged


LOCKLESS = """
import _sqlite3, ctypes, errno, sys
from pathlib import Path
from synthgain.store import CallMemory
from synthgain.types import SynthgainError

class VFS(ctypes.Structure):
    pass
Call = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_void_p, use_errno=True)
Set = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(VFS), ctypes.c_char_p, Call)
VFS._fields_ = [(name, ctypes.c_int) for name in ("version", "size", "longest")] + [
    (f"p{n}", ctypes.c_void_p) for n in range(16)] + [("set_system_call", Set)]
try:
    find = ctypes.CDLL(_sqlite3.__file__).sqlite3_vfs_find
except (AttributeError, OSError):
    sys.exit(77)
find.restype = ctypes.POINTER(VFS)

@Call
def no_locks(fd, command, lock):
    ctypes.set_errno(int(sys.argv[2]))
    return -1

vfs = find(None)
assert vfs.contents.set_system_call(vfs, b"fcntl", no_locks) == 0
try:
    CallMemory(Path(sys.argv[1]))
except SynthgainError as error:
    print(error.code, error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the locks of POSIX")
@pytest.mark.parametrize("number", ["ENOLCK", "EOPNOTSUPP"])
def test_a_disk_without_file_locks_is_told_as_that(tmp_path: Path, number: str) -> None:
    import errno

    command = [sys.executable, "-c", LOCKLESS, str(tmp_path / "calls"), str(getattr(errno, number))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode == 77:
        pytest.skip("this Python's SQLite cannot be given other system calls")
    assert done.stdout.startswith("2 ") and "this disk has no file locks" in done.stdout, done.stdout + done.stderr
    assert not list((tmp_path / "calls").glob(".locks-*"))


def test_a_file_that_somebody_else_locks_is_no_disk_without_locks(tmp_path: Path) -> None:
    CallMemory(tmp_path).close()
    with sqlite3.connect(tmp_path / "local.sqlite", isolation_level=None) as db:
        db.execute("PRAGMA locking_mode=EXCLUSIVE")
        db.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SynthgainError, match="another process keeps the memory of calls locked"):
            CallMemory(tmp_path)
    db.close()

"""A file of recorded calls: everything comes back, equal calls are equal bytes, and a file from a stranger is only data."""

import asyncio
import gzip
import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from synthgain.store import CallMemory
from synthgain.store.recorded import VERSION, Recording
from synthgain.store.recording import write
from synthgain.types import Call, Message, Prompt, Sampling, SynthgainError, assistant, system, user

LONG = "A document that many prompts share. " * 40
TOOL = {
    "type": "function",
    "function": {"name": "g", "description": "what it does. " * 100, "parameters": {"z": 1, "a": 2}},
}
SCHEMA = {"type": "object", "properties": {f"field {n}": {"type": "string"} for n in range(50)}}
CALLS_A_TOOL: Message = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"id": "1", "type": "function", "function": {"name": "g", "arguments": '{"ä": 1}'}}],
    "reasoning": "first look, then answer",
}
PROMPTS = [
    Prompt((user("q"),)),
    Prompt((user("q"),), sampling=Sampling(temperature=0.0, stop=("a", "b"), max_tokens=7), seed=3, draw=4),
    Prompt((user("q"),), sampling=Sampling(temperature=0.3), seed=3, draw=4),
    Prompt((user("q"),), schema=SCHEMA, tools=(TOOL,)),
    Prompt((system(LONG), user("one"))),
    Prompt((system(LONG), user("two"))),
    Prompt((user(LONG + "🌧 and then"), CALLS_A_TOOL, {"role": "tool", "content": "found " * 200, "tool_call_id": "1"})),
    Prompt((user(LONG + "🌨 and then\n\u2028"),)),
]
ANSWERS = [assistant("naïve ☃ \0 answer"), assistant("a" * 5000), CALLS_A_TOOL, assistant("<think>hm</think>yes")]


def answered(prompt: Prompt, message: Message, identity: str = "m") -> Call:
    return Call(prompt.id(identity), prompt, message, "scripted/x", "length", 3, 5, 1, -2.123456789, "law", 0.25, 0.125)


EVERY = [answered(prompt, ANSWERS[n % len(ANSWERS)]) for n, prompt in enumerate(PROMPTS)]


def keep(folder: Path, calls: list[Call], segment: str = "local") -> None:
    async def put() -> None:
        with closing(CallMemory(folder, segment)) as memory:
            await asyncio.gather(*{memory.put(call, "m") for call in calls})

    asyncio.run(put())


def kept(folder: Path) -> dict[str, Call]:
    with closing(CallMemory(folder, readonly=True)) as memory:
        return {call.id: call for call in memory}


def file_of(folder: Path, calls: list[Call] = EVERY, name: str = "some") -> Path:
    keep(folder / name, calls)
    file = folder / f"{name}.jsonl.gz"
    write(folder / name, file, {"command": "synthgain generate"}, {"scripted/x": "MIT"}, {})
    return file


def test_everything_comes_back(tmp_path: Path) -> None:
    file = file_of(tmp_path)
    said = Recording.at(file).take_over(tmp_path / "run")
    assert (said["calls"], said["left_out"], said["models"][0]["licence"]) == (len(EVERY), 0, "MIT")
    assert kept(tmp_path / "run" / "calls") == kept(tmp_path / "some") != {}
    with closing(CallMemory(tmp_path / "run" / "calls")) as memory:
        for call in EVERY:
            found = memory.find(call.id, call.prompt)
            assert found is not None and found.prompt.content == call.prompt.content
            assert replace(found, prompt=call.prompt, raw=None, message=found.raw or found.message) == call
            assert memory.recording(call.id)
        assert not memory.knows("m"), "nothing was bought here"


def test_equal_calls_are_equal_bytes_however_they_were_bought(tmp_path: Path) -> None:
    keep(tmp_path / "a", EVERY)
    keep(tmp_path / "b", EVERY[4:], "one")
    keep(tmp_path / "b", EVERY[::-1], "other")
    made = []
    for name in "ab":
        write(tmp_path / name, tmp_path / f"{name}.jsonl.gz", {}, {}, {})
        lines = gzip.decompress((tmp_path / f"{name}.jsonl.gz").read_bytes()).split(b"\n")
        made.append(lines[1:])
    assert made[0] == made[1] and len(made[0]) > len(EVERY)
    Recording.at(tmp_path / "a.jsonl.gz").take_over(tmp_path / "run")
    write(tmp_path / "run" / "calls", tmp_path / "c.jsonl.gz", {"command": "another"}, {}, {})
    assert (tmp_path / "c.jsonl.gz").read_bytes() == (tmp_path / "a.jsonl.gz").read_bytes(), "the same recording again"


def test_a_run_is_a_recording_too(tmp_path: Path) -> None:
    keep(tmp_path / "a" / "calls", EVERY)
    for given in (tmp_path / "a", tmp_path / "a" / "calls"):
        assert Recording.at(given).take_over(tmp_path / given.name / "run")["calls"] == len(EVERY)
        assert kept(tmp_path / given.name / "run" / "calls") == kept(tmp_path / "a" / "calls")


def test_a_shared_document_is_written_once(tmp_path: Path) -> None:
    documents = [f"Document {n} of many. " + "".join(f"Fact {n * k}. " for k in range(400)) for n in range(4)]
    tasks = [f"{document}\n\nTask {n}: write about it." for document in documents for n in range(30)]
    calls = [answered(Prompt((user(task),)), assistant(f"answer {n}")) for n, task in enumerate(tasks)]
    file = file_of(tmp_path, calls)
    assert len(gzip.decompress(file.read_bytes())) < sum(map(len, documents)) + 600 * len(calls)
    assert file.stat().st_size < 100 * len(calls) + sum(map(len, documents))


# ---------------------------------------------------------------------------------------------- from a stranger

Lines = list[dict[str, Any]]


def tampered(file: Path, change: Callable[[Lines], None]) -> Path:
    lines = [json.loads(line) for line in gzip.decompress(file.read_bytes()).decode().split("\n") if line]
    change(lines)
    file.write_bytes(gzip.compress("".join(json.dumps(line) + "\n" for line in lines).encode()))
    return file


def first_call(lines: Lines) -> int:
    return next(n for n, line in enumerate(lines) if "id" in line)


def other_prompt(lines: Lines) -> None:
    lines[first_call(lines)]["prompt"]["messages"][0]["content"] = "another question"


def other_model(lines: Lines) -> None:
    lines[0]["models"][0]["identity"] = "another"


def other_text(lines: Lines) -> None:
    next(line for line in lines if "same" not in line and "id" not in line and "text" in line)["text"] += "!"


@pytest.mark.parametrize(
    ("change", "left_out"),
    [(other_prompt, 1), (other_model, len(EVERY)), (other_text, None)],
    ids=lambda c: str(c)[:20],
)
def test_a_call_that_is_not_what_its_id_says_is_left_out(
    change: Callable[[Lines], None], left_out: int | None, tmp_path: Path
) -> None:
    said = Recording.at(tampered(file_of(tmp_path), change)).take_over(tmp_path / "run")
    assert said["left_out"] == left_out or (left_out is None and said["left_out"] > 0)
    assert said["calls"] == len(EVERY) - said["left_out"] == len(kept(tmp_path / "run" / "calls"))


@pytest.mark.parametrize(
    ("change", "line", "why"),
    [
        (lambda lines: lines[0].update(format="a list"), 1, "does not say"),
        (lambda lines: lines[0].update(version=VERSION + 1), 1, "version"),
        (lambda lines: lines[0].update(models=[{"uri": "x"}]), 1, "identity"),
        (lambda lines: lines[0]["models"][0].update(uri="\x1b[2J"), 1, "shown"),
        (lambda lines: lines[0].update(calls="many"), 1, "calls"),
        (lambda lines: lines.pop(), None, "its first line says"),
        (lambda lines: lines[-1].pop("finish"), -1, "finish"),
        (lambda lines: lines[-1].update(text=["no text"]), -1, "content"),
        (lambda lines: lines[-1].update(rest={"role": "assistant", "run": "rm"}), -1, "run"),
        (lambda lines: lines[-1].update(tokens=[1, 2]), -1, "unpack"),
        (lambda lines: lines[-1].update(model=7), -1, "index"),
        (lambda lines: lines[-1].update(long=[[0, 99]]), -1, "NoneType"),
        (lambda lines: lines[-1]["prompt"].update(sampling={"heat": 3}), -1, "heat"),
        (lambda lines: lines[-1].update(prompt="no object"), -1, "attribute"),
    ],
)
def test_a_file_that_is_none_is_refused_by_its_line(
    change: Callable[[Lines], None], line: int | None, why: str, tmp_path: Path
) -> None:
    counted: list[int] = []
    file = tampered(file_of(tmp_path), lambda lines: (change(lines), counted.append(len(lines)))[0])
    with pytest.raises(SynthgainError, match=why) as error:
        Recording.at(file).take_over(tmp_path / "run")
    where = {None: counted[0], -1: counted[0]}.get(line, line)
    assert error.value.where == f"{file}:{where}" and error.value.code == 2
    assert not (tmp_path / "run" / "calls").exists()


@pytest.mark.parametrize("cut", ["cut", "no gzip", "empty", "not JSON", "deep", "a long line"])
def test_a_damaged_file_is_refused(cut: str, tmp_path: Path) -> None:
    file = file_of(tmp_path)
    whole = file.read_bytes()
    head = gzip.decompress(whole).split(b"\n")[0] + b"\n"
    body = {
        "cut": whole[:-20],
        "no gzip": gzip.decompress(whole),
        "empty": b"",
        "not JSON": gzip.compress(head + b"{\n"),
        "deep": gzip.compress(head + b'{"text":' + b"[" * 100_000),
        "a long line": gzip.compress(head + b'{"text":"' + b"x" * (1 << 25)),
    }[cut]
    file.write_bytes(body)
    with pytest.raises(SynthgainError, match="damaged") as error:
        Recording.at(file).take_over(tmp_path / "run")
    assert error.value.where.startswith(f"{file}:")
    assert [path.name for path in (tmp_path / "run").glob("**/*")] == []


def test_what_a_recording_says_of_itself_does_nothing_to_a_terminal(tmp_path: Path) -> None:
    file = tampered(file_of(tmp_path), lambda lines: lines[0].update(machine="\x1b]0;owned\x07" + "x" * 9000))
    said = Recording.at(file).take_over(tmp_path / "run")
    assert said["machine"].isprintable() and len(said["machine"]) <= 2000


def test_nothing_there_is_said(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for given in (tmp_path / "folder", tmp_path / "nowhere.jsonl.gz"):
        with pytest.raises(SynthgainError, match="no recorded calls"):
            Recording.at(given)

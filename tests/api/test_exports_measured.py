"""What `export` writes reads the same as the run, as anchors and for the meter, answers included."""

from pathlib import Path
from typing import Any

import pytest

from synthgain.anchors import load
from synthgain.api.sources import data_of_files
from synthgain.store import Run, Staged
from synthgain.store.export import export
from synthgain.types import Message, Row, assistant, system, user

CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
ASKS: Message = {"role": "assistant", "content": "", "tool_calls": [CALL]}
SAYS: Message = {"role": "tool", "content": "4 C", "tool_call_id": "c1"}
TOOLS = ({"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}},)
PLAIN = [(user(f"Question {i}?"), assistant(f"Answer {i}.")) for i in range(4)]
TALKS = [
    (system("Be brief."), user("q"), assistant("a")),
    (user("a"), assistant("b"), user("And then?"), assistant("c")),
    (user("Cold?"), ASKS, SAYS, assistant("Yes.")),
    (user("Cold?"), ASKS),
]
PROMPTS = ["system: Be brief.\n\nuser: q", "user: a\n\nassistant: b\n\nuser: And then?"]
ASKED = 'weather({"city": "Oslo"})'


def stored(folder: Path, rows: list[Row]) -> Run:
    staged = Staged(folder / ".staged")
    staged.write(rows)
    staged.place({}, folder, True)
    (folder / "run.json").write_text('{"format": 2, "status": "complete"}')
    return Run(folder)


def read(file: Path) -> list[tuple[str, str]]:
    tables = data_of_files(file, None, strict=True).rows(("prompt", "answer"))
    return [(row["prompt"], row["answer"]) for table in tables for row in table.to_pylist()]


@pytest.mark.parametrize("end", [".jsonl", ".parquet"])
@pytest.mark.parametrize("form", ["chat", "openai", "sharegpt", "alpaca", "prompt-completion", "preference"])
def test_questions_and_answers(tmp_path: Path, form: str, end: str) -> None:
    worse = {"rejected": (assistant("Worse."),)} if form == "preference" else {}
    run = stored(tmp_path / "run", [Row(messages=chat, **worse) for chat in PLAIN])
    export(run, form, tmp_path / f"out{end}")
    assert read(tmp_path / f"out{end}") == [(f"Question {i}?", f"Answer {i}.") for i in range(4)]
    anchors = load(tmp_path / f"out{end}", strict=True)
    assert [a.text for a in anchors] == [f"Question {i}?" for i in range(4)]
    assert [[t["content"] for t in a.fields["messages"]] for a in anchors] == [[t["content"] for t in c] for c in PLAIN]
    if worse:
        assert all(a.fields["rejected"] == [assistant("Worse.")] for a in anchors)


@pytest.mark.parametrize("end", [".jsonl", ".parquet"])
@pytest.mark.parametrize("form", ["chat", "openai", "sharegpt", "prompt-completion"])
def test_conversations_with_tools(tmp_path: Path, form: str, end: str) -> None:
    run = stored(tmp_path / "run", [Row(messages=chat, tools=TOOLS if ASKS in chat else ()) for chat in TALKS])
    export(run, form, tmp_path / f"out{end}")
    found = read(tmp_path / f"out{end}")
    assert [prompt for prompt, _ in found][:2] == PROMPTS and [answer for _, answer in found] == [
        "a",
        "c",
        "Yes.",
        ASKED,
    ]
    assert found[2][0] == f"user: Cold?\n\nassistant: {ASKED}\n\ntool: 4 C" and found[3][0] == "Cold?"
    anchors: list[Any] = list(load(tmp_path / f"out{end}", strict=True))
    assert anchors[3].fields["messages"][1]["tool_calls"][0]["function"]["name"] == "weather"
    assert anchors[2].fields["tools"][0]["function"]["name"] == "weather"


@pytest.mark.parametrize("end", [".jsonl", ".parquet"])
def test_texts(tmp_path: Path, end: str) -> None:
    run = stored(tmp_path / "run", [Row(text=f"Text {i}.") for i in range(3)])
    export(run, "text", tmp_path / f"out{end}")
    assert [answer for _, answer in read(tmp_path / f"out{end}")] == [f"Text {i}." for i in range(3)]


def test_the_runs_data_read_alone_is_the_same(tmp_path: Path) -> None:
    run = stored(tmp_path / "run", [Row(messages=chat, tools=TOOLS if ASKS in chat else ()) for chat in TALKS])
    elsewhere = tmp_path / "copied"
    elsewhere.mkdir()
    for file in run.data.glob("*.parquet"):
        (elsewhere / file.name).write_bytes(file.read_bytes())
    (elsewhere / "README.md").write_text("---\nconfigs: []\n---\nA card.")
    assert [answer for _, answer in read(elsewhere)] == ["a", "c", "Yes.", ASKED]

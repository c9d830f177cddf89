"""Kept rows in the formats of trainers, and back: through the reader of training rows to token ids and labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from doubles.spelled import Found, blocks, chats
from doubles.tiny import tiny_model
from synthgain.store import Run, Staged
from synthgain.store.export import export
from synthgain.train import TrainingRow, read_rows
from synthgain.train.weights import load_tokenizer
from synthgain.types import Row, SynthgainError, assistant, drop, system, user

TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
OTHER: dict[str, Any] = {"type": "function", "function": {"name": "stocks", "description": "Prices.", "strict": True}}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo", "days": 2}'}}
ASKS: dict[str, Any] = {"role": "assistant", "content": "", "tool_calls": [CALL]}
SAYS: dict[str, Any] = {"role": "tool", "content": "4 C", "tool_call_id": "c1"}


def stored(folder: Path, rows: Sequence[dict[str, Any]]) -> Run:
    """A run's folder with these rows, as the store writes them."""
    made = [_row(n, row) for n, row in enumerate(rows)]
    staged = Staged(folder / ".staged")
    for at in range(0, len(made), 2):
        staged.write(made[at : at + 2])
    staged.place({}, folder, True)
    (folder / "run.json").write_text("{}")
    (folder / "data" / "README.md").write_text("A card.")
    return Run(folder)


def _row(n: int, told: dict[str, Any]) -> Row:
    fallen = () if told.get("kept", True) else (drop("for a reason", check=told.get("check", "mine")),)
    chats = {name: tuple(told[name]) for name in ("messages", "rejected") if told.get(name) is not None}
    row = Row(text=told.get("text"), tools=tuple(told.get("tools") or ()), verdicts=fallen, **chats)
    row.__dict__["id"] = f"row{n}"
    return row


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_tokenizer(tiny_model(tmp_path_factory.mktemp("tiny")))


def learnt(place: Path, tokenizer: Any) -> Found:
    return chats(read_rows(place), tokenizer, 4096)


# ---------------------------------------------------------------------------------------------- there and back

TOOL_CHATS: dict[str, list[dict[str, Any]]] = {
    "one call": [{"messages": [user("w?"), ASKS, SAYS, assistant("Cold.")], "tools": [TOOL]}],
    "a call is the answer": [{"messages": [system("Be brief."), user("w?"), ASKS], "tools": [TOOL, OTHER]}],
    "several rows, some plain": [
        {"messages": [user("q"), assistant("a")]},
        {"messages": [user("w?"), ASKS, SAYS, assistant("Cold."), user("And?"), assistant("No.")], "tools": [TOOL]},
        {"messages": [user("w?"), {**ASKS, "tool_calls": [CALL, {**CALL, "id": "c2"}]}], "tools": [OTHER, TOOL]},
        {"messages": [user("fell"), assistant("x")], "kept": False, "check": "mine"},
    ],
    "what is learnt": [
        {"messages": [user("w?"), {**ASKS, "learn": False}, SAYS, assistant("Cold.")], "tools": [TOOL]},
        {"messages": [user("q"), {**assistant("a"), "learn": False}, user("r"), assistant("b")]},
    ],
    "others are learnt": [
        {"messages": [user("w?"), ASKS, {**SAYS, "learn": True}, assistant("Cold.")], "tools": [TOOL]}
    ],
    "said and called, two answers": [
        {
            "messages": [
                user("w?"),
                {**ASKS, "content": "I look.", "tool_calls": [CALL, {**CALL, "id": "c2"}]},
                SAYS,
                {**SAYS, "tool_call_id": "c2"},
                {**assistant("Cold."), "name": "bot"},
            ],
            "tools": [TOOL],
        }
    ],
}
CANNOT = {  # what a format has no place for
    ("sharegpt", "what is learnt"),
    ("sharegpt", "others are learnt"),
    ("openai", "others are learnt"),
    ("sharegpt", "said and called, two answers"),
}


@pytest.mark.parametrize("end", [".jsonl", ".parquet"])
@pytest.mark.parametrize("form", ["chat", "openai", "sharegpt", "prompt-completion"])
@pytest.mark.parametrize("name", TOOL_CHATS)
def test_a_tool_conversation_comes_back_as_the_same_tokens(
    name: str, form: str, end: str, tmp_path: Path, tokenizer: Any
) -> None:
    rows = TOOL_CHATS[name]
    run = stored(tmp_path / "run", rows)
    made = [TrainingRow("", tuple(r["messages"]), tools=tuple(r.get("tools", ()))) for r in rows if r.get("kept", True)]
    direct = chats(made, tokenizer, 4096)
    assert direct.examples == learnt(run.path, tokenizer).examples == learnt(run.path / "data", tokenizer).examples
    out = tmp_path / f"out{end}"
    if (form, name) in CANNOT:
        try:
            assert export(run, form, out).lost  # said, where it is not refused
        except SynthgainError as error:
            assert "--to" in error.next and not out.exists()
        return
    done = export(run, form, out)
    assert done.written == len(made) and read_rows(out).method == "sft"
    assert learnt(out, tokenizer).examples == direct.examples
    assert not set(done.lost) & {"tools", "tool_calls", "rejected"}


@pytest.mark.parametrize("end", [".jsonl", ".parquet"])
@pytest.mark.parametrize("form", ["chat", "openai", "sharegpt", "prompt-completion", "alpaca"])
def test_plain_chats_come_back_as_the_same_tokens(form: str, end: str, tmp_path: Path, tokenizer: Any) -> None:
    rows = [
        {"messages": [system("Be\nbrief."), user('q "1"\n'), assistant("é 漢 <b>")]},
        {"messages": [user("q"), assistant("")]},
    ]
    run = stored(tmp_path / "run", rows)
    done = export(run, form, tmp_path / f"out{end}")
    assert (done.written, done.lost) == (2, {})
    assert learnt(tmp_path / f"out{end}", tokenizer).examples == learnt(run.path, tokenizer).examples


@pytest.mark.parametrize("end", [".jsonl", ".parquet"])
def test_pairs_come_back_and_the_chosen_answer_is_learnt(end: str, tmp_path: Path, tokenizer: Any) -> None:
    bad = [{**ASKS, "tool_calls": [{**CALL, "function": {"name": "weather", "arguments": "{}"}}]}]
    rows = [
        {"messages": [user("q"), assistant("good")], "rejected": [assistant("bad")]},
        {"messages": [user("w?"), ASKS, SAYS, assistant("Cold.")], "rejected": [assistant("Hot.")], "tools": [TOOL]},
        {"messages": [user("w?"), ASKS], "rejected": bad, "tools": [TOOL]},
        {"messages": [user("alone"), assistant("a")]},
        {"messages": [user("q"), assistant("fell")], "rejected": [assistant("x")], "kept": False, "check": "mine"},
    ]
    run = stored(tmp_path / "run", rows)
    done = export(run, "preference", tmp_path / f"out{end}")
    assert (done.written, done.unpaired, done.lost) == (3, 1, {})
    direct, back = list(read_rows(run.path))[:3], list(read_rows(tmp_path / f"out{end}"))
    assert [row.rejected for row in back] == [row.rejected for row in direct] and all(row.rejected for row in back)
    assert chats(back, tokenizer, 4096).examples == chats(direct, tokenizer, 4096).examples
    assert export(run, "chat", tmp_path / f"chat{end}").lost == {}
    assert [row.rejected for row in read_rows(tmp_path / f"chat{end}")] == [r.rejected for r in read_rows(run.path)]
    assert export(run, "openai", tmp_path / f"openai{end}").lost == {"rejected": 3}


def test_texts_come_back(tmp_path: Path, tokenizer: Any) -> None:
    run = stored(tmp_path / "run", [{"text": "The river Tolmar."}, {"text": "Ada\n\nBo"}])
    for out in (tmp_path / "t.jsonl", tmp_path / "t.parquet"):
        export(run, "text", out)
        assert read_rows(out).method == read_rows(run.path).method == "cpt"
        assert blocks(read_rows(out), tokenizer, 8).examples == blocks(read_rows(run.path), tokenizer, 8).examples


# ---------------------------------------------------------------------------------------------- each format


def question_rows() -> list[dict[str, Any]]:
    good = [{"messages": [user(f"q{i}"), assistant(f"good {i}")]} for i in range(3)]
    bad = [
        {"messages": [user(f"q{i}"), assistant(f"bad {i}")], "kept": False, "check": "final-answer"} for i in range(2)
    ]
    return good + bad


@pytest.mark.parametrize(
    ("form", "first"),
    [
        ("chat", {"id": "row0", "messages": [user("q0"), assistant("good 0")]}),
        ("openai", {"messages": [user("q0"), assistant("good 0")]}),
        ("alpaca", {"instruction": "q0", "input": "", "output": "good 0"}),
        (
            "sharegpt",
            {"id": "row0", "conversations": [{"from": "human", "value": "q0"}, {"from": "gpt", "value": "good 0"}]},
        ),
        ("prompt-completion", {"prompt": [user("q0")], "completion": [assistant("good 0")]}),
        ("preference", {"prompt": [user("q0")], "chosen": [assistant("good 0")], "rejected": [assistant("bad 0")]}),
    ],
)
def test_kept_rows_in_the_formats_of_trainers(tmp_path: Path, form: str, first: dict[str, object]) -> None:
    run = stored(tmp_path / "run", question_rows())
    done = export(run, form, tmp_path / "out.jsonl")
    written = lines(tmp_path / "out.jsonl")
    assert written[0] == first and len(written) == done.written
    assert (done.written, done.unpaired, done.lost) == ((2, 1, {}) if form == "preference" else (3, 0, {}))
    assert export(run, form, tmp_path / "out.parquet").written == done.written
    assert pq.read_table(tmp_path / "out.parquet").to_pylist()[0] == first
    assert sorted(f.name for f in tmp_path.iterdir()) == ["out.jsonl", "out.parquet", "run"]


def test_tool_calls_as_each_format_writes_them(tmp_path: Path) -> None:
    thought = {**ASKS, "reasoning": "Look.", "learn": False}
    run = stored(tmp_path / "run", [{"messages": [user("w?"), thought, SAYS, assistant("Cold.")], "tools": [TOOL]}])
    done = export(run, "openai", tmp_path / "o.jsonl")
    [row] = lines(tmp_path / "o.jsonl")
    assert row == {"messages": [user("w?"), {**ASKS, "weight": 0}, SAYS, assistant("Cold.")], "tools": [TOOL]}
    assert done.lost == {"reasoning": 1}
    assert export(run, "chat", tmp_path / "c.jsonl").lost == {}
    assert lines(tmp_path / "c.jsonl")[0]["messages"][1] == thought
    done = export(run, "sharegpt", tmp_path / "s.jsonl")
    [row] = lines(tmp_path / "s.jsonl")
    assert [turn["from"] for turn in row["conversations"]] == ["human", "function_call", "observation", "gpt"]
    assert json.loads(row["conversations"][1]["value"]) == {"name": "weather", "arguments": {"city": "Oslo", "days": 2}}
    assert json.loads(row["tools"]) == [TOOL["function"]]
    assert done.lost == {"learn (answers that are not learnt)": 1, "reasoning": 1, "tool_call_id": 1}
    for calls in ([user("w?"), ASKS], [user("w?"), SAYS, assistant("a")]):
        with pytest.raises(SynthgainError, match="alpaca has no place for tools") as error:
            export(stored(tmp_path / str(len(calls)), [{"messages": calls}]), "alpaca", tmp_path / "a.jsonl")
        assert error.value.code == 2 and not (tmp_path / "a.jsonl").exists()


def test_a_fallen_answer_of_another_prompt_or_for_another_reason_is_no_partner(tmp_path: Path) -> None:
    good = {"messages": [user("q"), assistant("good")], "tools": [TOOL]}
    fell: dict[str, Any] = {"kept": False, "check": "mine", "tools": [TOOL]}
    others = [
        {**fell, "messages": [user("q"), assistant("other tools")], "tools": [OTHER]},
        {**fell, "messages": [user("q"), assistant("again")], "check": "near-duplicate"},
        {**fell, "messages": [user("q"), assistant(" ")]},
        {**fell, "messages": [user("q"), assistant("good")]},
        {**fell, "messages": [user("q")]},
    ]
    out = tmp_path / "p.jsonl"
    with pytest.raises(SynthgainError, match="nothing to write") as error:
        export(stored(tmp_path / "a", [good, *others]), "preference", out)
    assert error.value.code == 2 and not out.exists()
    called = {**fell, "messages": [user("q"), ASKS]}
    export(stored(tmp_path / "b", [good, *others, called]), "preference", out)
    assert lines(out) == [{"prompt": [user("q")], "chosen": [assistant("good")], "rejected": [ASKS], "tools": [TOOL]}]


@pytest.mark.parametrize("form", ["chat", "openai", "alpaca", "sharegpt", "prompt-completion", "preference", "text"])
def test_a_run_without_a_kept_row_is_nothing_to_write(tmp_path: Path, form: str) -> None:
    run = stored(tmp_path / "run", [{"messages": [user("q"), assistant("a")], "kept": False, "check": "mine"}])
    (tmp_path / "x.jsonl").write_text("what was there")
    for out in (tmp_path / "x.jsonl", tmp_path / "x.parquet"):
        with pytest.raises(SynthgainError, match="nothing to write") as error:
            export(run, form, out)
        assert error.value.code == 2
    assert sorted(f.name for f in tmp_path.iterdir()) == ["run", "x.jsonl"]
    assert (tmp_path / "x.jsonl").read_text() == "what was there"


def test_a_format_that_does_not_fit_says_which_does(tmp_path: Path) -> None:
    run = stored(tmp_path / "run", [{"text": "plain"}] * 3)
    for form in ("sharegpt", "preference"):
        with pytest.raises(SynthgainError) as error:
            export(run, form, tmp_path / "x.jsonl")
        assert "--to text" in error.value.next and not (tmp_path / "x.jsonl").exists()
    assert export(run, "text", tmp_path / "x.jsonl").written == 3
    chat = stored(tmp_path / "chat", [{"messages": [user("q"), assistant("a"), user("r")]}])
    for form, out in (("yaml", "x.jsonl"), ("text", "x.jsonl"), ("chat", "x.csv"), ("alpaca", "x.jsonl")):
        with pytest.raises(SynthgainError) as error:
            export(chat, form, tmp_path / out)
        assert error.value.code == 2 and error.value.next

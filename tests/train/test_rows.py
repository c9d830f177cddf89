"""What is read as a training row, from every kind of file and shape."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synthgain.train import TrainingRow, data_digest, read_rows, reads
from synthgain.train.rows import first_row
from synthgain.train.spelling import learnt_turns
from synthgain.types import SynthgainError, assistant, system, user

CHAT = {"messages": [user("Who built the bridge?"), assistant("The salt widow.")]}
TOOL = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
ASKS = {"role": "assistant", "content": "", "tool_calls": [CALL]}
SAYS = {"role": "tool", "content": "4 C", "tool_call_id": "c1"}


def one(tmp_path: Path, *records: object) -> TrainingRow:
    (tmp_path / "one.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records), "utf-8")
    return next(iter(read_rows(tmp_path / "one.jsonl")))


def refused(tmp_path: Path, record: object) -> SynthgainError:
    with pytest.raises(SynthgainError) as error:
        one(tmp_path, {"text": "good"}, record, record)
    assert error.value.where.endswith("one.jsonl:2") and error.value.next
    return error.value


# ---------------------------------------------------------------------------------------------- files


def test_every_form_of_rows_gives_the_same_rows(tmp_path: Path) -> None:
    rows = [CHAT, {"messages": [user("a"), assistant("b")]}]
    lines = "".join(json.dumps(row) + "\n\n" for row in rows)
    (tmp_path / "a.jsonl").write_text("\ufeff" + lines, "utf-8")
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "c.json").write_text(json.dumps(rows), "utf-8")
    run = tmp_path / "run"
    (run / "data").mkdir(parents=True)
    (run / "run.json").write_text("{}")
    (run / "chat.jsonl").write_text('{"text": "an export, not the data"}')
    (run / "data" / "README.md").write_text("a card, not a row")
    for n, row in enumerate(rows):
        pq.write_table(pa.Table.from_pylist([row | {"id": str(n), "text": None}]), run / "data" / f"part-{n}.parquet")
    places = [tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz", tmp_path / "c.json", run, run / "data"]
    assert len({read_rows(place).digest for place in places}) == 1
    assert [read_rows(place).method for place in places] == ["sft"] * 5 and all(map(reads, places))
    assert list(read_rows(tmp_path / "a.jsonl"))[1].where.endswith("a.jsonl:3")
    with pytest.raises(SynthgainError, match="holds runs"):
        read_rows(tmp_path)


def test_a_card_is_no_row_beside_data_and_a_text_beside_texts(tmp_path: Path) -> None:
    hub, docs = tmp_path / "hub", tmp_path / "docs"
    for place in (hub, docs):
        (place / "data").mkdir(parents=True)
        (place / ".git").mkdir()
        (place / ".git" / "x.txt").write_text("hidden")
        (place / "README.md").write_text("A text.")
        (place / "data" / "b.txt").write_text("Another.")
    (hub / "data" / "train.jsonl").write_text(json.dumps(CHAT))
    (hub / "dataset_infos.json").write_text("{}")
    (hub / "paper.pdf").write_bytes(b"%PDF-1.4")
    read = read_rows(hub)
    assert [row.text for row in read] == ["Another.", None]
    assert set(read.files_left_out) == {"README.md", "dataset_infos.json", "paper.pdf"} and len(read.files) == 2
    assert [row.text for row in read_rows(docs)] == ["A text.", "Another."] and read_rows(docs).method == "cpt"
    pq.write_table(pa.table({"text": ["column"]}), hub / "x.parquet")
    read = read_rows(hub)
    assert [row.text for row in read] == ["column"] and len(read.files_left_out) == 5


def test_empty_records_are_left_out_and_counted(tmp_path: Path) -> None:
    lines = [{"text": "a"}, {"text": " "}, {"text": None}, {"messages": []}, {"text": None, "messages": None}, CHAT]
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    read = read_rows(tmp_path / "r.jsonl")
    assert (len(read), read.empty) == (2, 4)
    assert {k: read.json()[k] for k in ("rows", "chats", "texts", "empty")} == {
        "rows": 2,
        "chats": 1,
        "texts": 1,
        "empty": 4,
    }
    (tmp_path / "r.jsonl").write_text('{"text": ""}\n')
    for read_it in (read_rows, first_row):
        with pytest.raises(SynthgainError, match="no rows"):
            read_it(tmp_path / "r.jsonl")


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "7",
        '{"messages": [{"role": "king", "content": "x"}]}',
        '{"messages": [{"role": "user"}]}',
        '{"messages": "who?"}',
        '{"messages": [{"role": "user", "content": "x", "shoe": 7}]}',
        '{"messages": [{"role": "user", "content": [1]}]}',
        '{"question": "a"}',
        '{"text": 7}',
        '{"text": "\\ud800"}',
        '{"messages": [7]}',
        '{"messages": 7}',
        "[" * 100_000,
        '{"messages": [{"role": "assistant", "tool_calls": [{"id": "1"}]}]}',
        '{"messages": [{"role": "assistant", "tool_calls": "{"}]}',
        '{"messages": [{"role": "user", "content": "x"}], "tools": "{"}',
        '{"messages": [{"role": "user", "content": "x"}], "tools": [7]}',
        '{"conversations": [{"from": "function_call", "value": "no json"}]}',
        '{"conversations": [7]}',
        '{"conversations": [{"from": "cat", "value": "x"}]}',
        '{"instruction": 1, "output": "x"}',
        '{"instruction": "a", "output": "x", "history": ["b"]}',
        '{"prompt": "only"}',
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "r.jsonl").write_text("\n".join(['{"text": "good"}', line, line]), "utf-8")
    with pytest.raises(SynthgainError) as error:
        read_rows(tmp_path / "r.jsonl")
    assert error.value.where == f"{tmp_path / 'r.jsonl'}:2" and error.value.code == 2


def test_nothing_to_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "x.bin").write_bytes(b"\0")
    (tmp_path / "latin.txt").write_bytes("é".encode("latin-1"))
    (tmp_path / "broken.jsonl.gz").write_bytes(gzip.compress(b'{"text": "a"}\n' * 99)[:-9])
    pq.write_table(pa.table({"question": ["a"]}), tmp_path / "other.parquet")
    text = pa.array([b"good", b"\xff\xfe"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": text}), tmp_path / "latin.parquet")
    (tmp_path / "folder").mkdir()
    for name in (
        "none",
        "empty.jsonl",
        "bad.parquet",
        "x.bin",
        "latin.txt",
        "broken.jsonl.gz",
        "other.parquet",
        "latin.parquet",
        "folder",
    ):
        with pytest.raises(SynthgainError):
            read_rows(tmp_path / name)
    assert not reads(tmp_path / "x.bin") and not reads(tmp_path / "none") and not reads(tmp_path / "folder")


def test_all_rows_say_how_they_are_learnt_and_not_the_first(tmp_path: Path) -> None:
    pair = {"prompt": "q", "chosen": "a", "rejected": "b"}
    for records, method in (
        ([{"text": "a"}, {"text": "b"}], "cpt"),
        ([{"text": "a"}, CHAT], "sft"),
        ([CHAT, {"text": "a"}], "sft"),
        ([pair, pair], "dpo"),
        ([pair, CHAT], "sft"),
    ):
        (tmp_path / "r.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
        assert read_rows(tmp_path / "r.jsonl").method == method
    with pytest.raises(SynthgainError, match="needs chats") as error:
        learnt_turns(TrainingRow("t.jsonl:1", text="x"))
    assert "cpt" in error.value.next and error.value.code == 2


def test_one_bad_row_among_many_is_left_out_and_said(tmp_path: Path) -> None:
    lines = [json.dumps(CHAT)] * 30
    lines[7], lines[20] = "{", '{"question": "a"}'
    (tmp_path / "r.jsonl").write_text("\n".join(lines))
    read = read_rows(tmp_path / "r.jsonl")
    assert len(read) == len(list(read)) == 28
    assert sorted((one.n, one.first.rpartition(":")[2]) for one in read.skipped) == [(1, "21"), (1, "8")]
    with pytest.raises(SynthgainError) as error:
        read_rows(tmp_path / "r.jsonl", strict=True)
    assert error.value.where.endswith("r.jsonl:8")


def test_lines_packed_with_zstandard_are_read(tmp_path: Path) -> None:
    packed = pa.Codec("zstd").compress((json.dumps(CHAT) + "\n").encode() * 3, asbytes=True)
    (tmp_path / "r.jsonl.zst").write_bytes(packed)
    assert [len(row.messages or ()) for row in read_rows(tmp_path / "r.jsonl.zst")] == [2, 2, 2]


# ---------------------------------------------------------------------------------------------- shapes


@pytest.mark.parametrize(
    "record",
    [
        {
            "conversations": [
                {"from": "human", "value": "Who built the bridge?"},
                {"from": "gpt", "value": "The salt widow."},
            ]
        },
        {"conversations": CHAT["messages"]},
        {"messages": json.dumps(CHAT["messages"])},
        {
            "messages": [
                {"role": "user", "content": "Who built the bridge?", "name": None},
                {"role": "assistant", "content": "The salt widow.", "tool_calls": None},
            ]
        },
        {"prompt": "Who built the bridge?", "completion": "The salt widow."},
        {"prompt": CHAT["messages"][:1], "completion": CHAT["messages"][1:]},
        {"instruction": "Who built", "input": "the bridge?", "output": "The salt widow."},
        {
            "instruction": "Who built the bridge?",
            "input": "",
            "output": "The salt widow.",
            "text": "### Instruction: …",
        },
    ],
)
def test_one_question_and_answer_in_every_shape(tmp_path: Path, record: dict[str, Any]) -> None:
    row = one(tmp_path, record)
    said = [(turn["role"], turn["content"].replace("\n", " ")) for turn in row.messages or ()]
    assert said == [("user", "Who built the bridge?"), ("assistant", "The salt widow.")]
    assert all(len(turn) == 2 for turn in row.messages or ()) and row.rejected is None and row.text is None


def test_a_system_turn_and_earlier_turns_are_kept(tmp_path: Path) -> None:
    alpaca = one(tmp_path, {"instruction": "c", "output": "d", "system": "s", "history": [["a", "b"]]})
    share = one(
        tmp_path,
        {
            "system": "s",
            "conversations": [
                {"from": f, "value": v} for f, v in (("human", "a"), ("gpt", "b"), ("human", "c"), ("gpt", "d"))
            ],
        },
    )
    assert alpaca.messages == share.messages == (system("s"), user("a"), assistant("b"), user("c"), assistant("d"))


@pytest.mark.parametrize(
    "tools",
    [[TOOL], [dict(reversed(TOOL.items()))], [TOOL["function"]], json.dumps([TOOL]), json.dumps([TOOL["function"]])],
)
@pytest.mark.parametrize(
    "calls",
    [
        [CALL],
        json.dumps([CALL]),
        [{"id": "c1", "function": {"arguments": {"city": "Oslo"}, "name": "weather"}}],
        [{"id": "c1", "name": "weather", "arguments": {"city": "Oslo"}}],
    ],
)
def test_tool_calls_and_tools_in_every_spelling(tmp_path: Path, tools: Any, calls: Any) -> None:
    record = {
        "messages": [user("w?"), {"role": "assistant", "content": None, "tool_calls": calls}, SAYS, assistant("Cold.")],
        "tools": tools,
    }
    row = one(tmp_path, record)
    assert row.messages == (user("w?"), ASKS, SAYS, assistant("Cold.")) and row.tools == (TOOL,)
    assert [list(tool) for tool in row.tools] == [["type", "function"]]  # a template writes them in this order


def test_a_conversation_with_functions_as_llama_factory_has_it(tmp_path: Path) -> None:
    call = {"name": "weather", "arguments": {"city": "Oslo"}}
    turns = [("human", "w?"), ("function_call", json.dumps(call)), ("observation", "4 C"), ("gpt", "Cold.")]
    record = {"conversations": [{"from": f, "value": v} for f, v in turns], "tools": json.dumps([TOOL["function"]])}
    row = one(tmp_path, record)
    bare = {name: value for name, value in CALL.items() if name != "id"}
    assert row.tools == (TOOL,)
    assert row.messages == (
        user("w?"),
        {**ASKS, "tool_calls": [bare]},
        {"role": "tool", "content": "4 C"},
        assistant("Cold."),
    )
    turns[1] = ("function_call", json.dumps([call, call]))
    both = one(tmp_path, {"conversations": [{"from": f, "value": v} for f, v in turns], "tools": ""})
    assert (both.messages or ())[1]["tool_calls"] == [bare, bare] and both.tools == ()


def test_pairs_learn_the_chosen_answer(tmp_path: Path) -> None:
    pair = {"prompt": [user("q")], "chosen": [assistant("good")], "rejected": [assistant("bad")]}
    ours = {"messages": [user("q"), assistant("good")], "rejected": [assistant("bad")]}
    texts = {"prompt": "q", "chosen": "good", "rejected": "bad"}
    whole = {"prompt": "q", "chosen": [user("q"), assistant("good")], "rejected": [user("q"), assistant("bad")]}
    for record in (pair, ours, texts, whole, {**ours, "rejected": whole["rejected"]}):
        row = one(tmp_path, record)
        assert row.messages == (user("q"), assistant("good")) and row.rejected == (assistant("bad"),)


def test_answers_in_a_prompt_are_given_unless_they_say_otherwise(tmp_path: Path) -> None:
    prompt = [user("a"), assistant("b"), user("c"), {**assistant("d"), "learn": True}, user("e")]
    for record in ({"prompt": prompt, "completion": "f"}, {"prompt": prompt, "chosen": "f", "rejected": "g"}):
        row = one(tmp_path, record)
        assert [turn.get("learn") for turn in row.messages or ()] == [None, False, None, True, None, None]
    weighed = {"messages": [user("a"), {**assistant("b"), "weight": 0}, user("c"), {**assistant("d"), "weight": 1}]}
    assert one(tmp_path, weighed).messages == (user("a"), {**assistant("b"), "learn": False}, user("c"), assistant("d"))


def test_parquet_with_structs_of_others_reads_as_lines_do(tmp_path: Path) -> None:
    """In a struct every row has the members of all: what is null was not there."""
    wind = {"id": "c2", "type": "function", "function": {"name": "wind", "arguments": {"knots": True}}}
    rows = [
        {
            "messages": [
                user("w?"),
                {**ASKS, "tool_calls": [{**CALL, "function": {"name": "weather", "arguments": {"city": "Oslo"}}}]},
                SAYS,
            ],
            "tools": [TOOL],
        },
        {"messages": [user("x?"), {**ASKS, "tool_calls": [wind]}], "rejected": [assistant("No.")], "tools": None},
        {"messages": [user("y?"), {**assistant("y"), "learn": False, "reasoning": "hm"}], "tools": []},
    ]
    table = pa.Table.from_pylist([{**row, "when": b"\xff"} for row in rows], schema=_inferred(rows))
    pq.write_table(table, tmp_path / "rows.parquet")
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns, lines = list(read_rows(tmp_path / "rows.parquet")), list(read_rows(tmp_path / "rows.jsonl"))
    assert [(r.messages, r.tools, r.rejected) for r in columns] == [(r.messages, r.tools, r.rejected) for r in lines]
    assert data_digest(columns) == data_digest(lines) != data_digest(columns[1:])
    assert (columns[1].messages or ())[1]["tool_calls"][0]["function"]["arguments"] == '{"knots": true}'


def _inferred(rows: list[dict[str, Any]]) -> pa.Schema:
    said = [
        ("role", pa.string()),
        ("content", pa.string()),
        ("reasoning", pa.string()),
        ("learn", pa.bool_()),
        ("tool_call_id", pa.string()),
    ]
    arguments = pa.struct([("city", pa.string()), ("knots", pa.bool_())])
    call = pa.struct(
        [
            ("id", pa.string()),
            ("type", pa.string()),
            ("function", pa.struct([("name", pa.string()), ("arguments", arguments)])),
        ]
    )
    turns = pa.list_(pa.struct([*said, ("tool_calls", pa.list_(call))]))
    function = pa.struct(
        [
            ("name", pa.string()),
            (
                "parameters",
                pa.struct(
                    [("type", pa.string()), ("properties", pa.struct([("city", pa.struct([("type", pa.string())]))]))]
                ),
            ),
        ]
    )
    tools = pa.list_(pa.struct([("type", pa.string()), ("function", function)]))
    return pa.schema([("messages", turns), ("rejected", turns), ("tools", tools), ("when", pa.binary())])


def test_what_is_read_is_said_in_counts(tmp_path: Path) -> None:
    rows = [
        {"messages": [user("q"), assistant("a")], "rejected": [assistant("b")]},
        {"messages": [user("q"), assistant("a")], "tools": [TOOL]},
        {"text": "plain"},
    ]
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    counts = read_rows(tmp_path / "r.jsonl").json()
    assert {k: counts[k] for k in ("rows", "chats", "texts", "with_tools", "with_rejected", "empty", "files")} == {
        "rows": 3,
        "chats": 2,
        "texts": 1,
        "with_tools": 1,
        "with_rejected": 1,
        "empty": 0,
        "files": 1,
    }
    error = refused(tmp_path, {"question": "a", "answer": "b"})
    assert "question, answer" in error.what

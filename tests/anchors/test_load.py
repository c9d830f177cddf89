"""What is read, and what becomes of it."""

import csv
import datetime
import gc
import gzip
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synthgain.anchors import Anchors, load
from synthgain.store.corpus import Corpus
from synthgain.types import Anchor, SynthgainError


def jsonl(file: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file


def texts(source: Any, **options: Any) -> list[str]:
    return [a.text for a in load(source, **options)]


# ---------------------------------------------------------------------------------------------- formats


@pytest.mark.parametrize("name", ["a.txt", "a.md", "A.TXT", "a.txt.gz"])
def test_a_text_file_is_one_anchor_kept_as_it_is(tmp_path: Path, name: str) -> None:
    text = "  one\r\ntwo\x07\ttab\n\nthree\u2028four é \U0001f600\n"
    raw = text.encode()
    (tmp_path / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    (anchor,) = load(tmp_path / name)
    assert (anchor.text, anchor.source, anchor.fields) == (text, name, {})


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.json", "a.csv"])
def test_a_byte_order_mark_is_taken_off(tmp_path: Path, name: str) -> None:
    body = {"a.txt": "é", "a.jsonl": '{"text": "é"}', "a.json": '[{"text": "é"}]', "a.csv": "text\né\n"}[name]
    (tmp_path / name).write_text(body, "utf-8-sig")
    assert texts(tmp_path / name) == ["é"]


def test_lines_have_the_numbers_of_the_file_and_blank_ones_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "a"}\r\n\r\n  \n{"text": "b", "n": 1.5}')
    assert [(a.text, a.source, a.fields) for a in load(tmp_path / "a.jsonl")] == [
        ("a", "a.jsonl#1", {}),
        ("b", "a.jsonl#4", {"n": 1.5}),
    ]


@pytest.mark.parametrize(
    "document",
    [
        [{"text": "a", "n": 1}, {"text": "b", "n": 2}],
        {"data": [{"text": "a", "n": 1}, {"text": "b", "n": 2}]},
        {"version": "1", "tags": ["x"], "rows": [{"text": "a", "n": 1}, {"text": "b", "n": 2}]},
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_a_json_file_is_a_list_or_holds_one(tmp_path: Path, document: Any, indent: int | None) -> None:
    (tmp_path / "a.json").write_text(json.dumps(document, indent=indent) + "\n\n")
    found = load(tmp_path / "a.json")
    assert [(a.text, a.source, a.fields["n"]) for a in found] == [("a", "a.json#1", 1), ("b", "a.json#2", 2)]
    assert bool(found.summary.warnings) == (isinstance(document, dict) and len(document) > 1)


def test_a_json_file_of_one_object_is_one_row_and_of_many_is_json_lines(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"text": "a", "entities": [{"name": "x"}]}')
    (anchor,) = load(tmp_path / "a.json")
    assert (anchor.text, anchor.fields) == ("a", {"entities": [{"name": "x"}]})
    (tmp_path / "b.json").write_text('{"text": "a"}\n{"text": "b"}\n')
    found = load(tmp_path / "b.json")
    assert [a.text for a in found] == ["a", "b"] and "JSON Lines" in found.summary.warnings[0]


def test_csv_quotes_and_line_breaks(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'id,text\r\n1,"two\r\nlines, ""quoted"""\r\n\r\n2,plain\r\n')
    assert [(a.text, a.source, a.fields) for a in load(tmp_path / "a.csv")] == [
        ('two\r\nlines, "quoted"', "a.csv#2", {"id": "1"}),
        ("plain", "a.csv#5", {"id": "2"}),
    ]


def test_tabs_and_a_nameless_index_column(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("\ttext\n0\ta, b\n")
    (anchor,) = load(tmp_path / "a.tsv")
    assert (anchor.text, anchor.fields) == ("a, b", {"column_1": "0"})


def test_a_long_csv_value_is_whole_and_the_limit_of_others_stays(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    (tmp_path / "a.csv").write_text("text\n" + "x" * 300_000 + "\n")
    assert len(load(tmp_path / "a.csv")[0].text) == 300_000
    assert csv.field_size_limit() == before


def test_parquet_values_become_json(tmp_path: Path) -> None:
    table = pa.table(
        {
            "text": pa.array(["a", "b"]).dictionary_encode(),
            "day": [datetime.date(2026, 1, 2), None],
            "x": [float("nan"), 0.5],
            "list": [["p"], []],
            "picture": [{"bytes": b"\x00", "path": "p"}, None],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    found = load(tmp_path / "a.parquet")
    assert [(a.source, a.fields) for a in found] == [
        ("a.parquet#1", {"day": "2026-01-02", "x": None, "list": ["p"]}),
        ("a.parquet#2", {"day": None, "x": 0.5, "list": []}),
    ]
    assert any("'picture'" in w for w in found.summary.warnings)


plain_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), min_size=1).filter(str.strip)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "text": plain_text,
            "a b": st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r")),
            "é": plain_text,
        }
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS)
def test_every_format_gives_the_same_anchors(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    jsonl(tmp_path / "a.jsonl", rows)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress((tmp_path / "a.jsonl").read_bytes()))
    (tmp_path / "a.json").write_text(json.dumps(rows, ensure_ascii=False), "utf-8")
    written = io.StringIO()
    writer = csv.DictWriter(written, ["a b", "é", "text"], quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    (tmp_path / "a.csv").write_bytes(written.getvalue().encode())
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    expected: dict[str, tuple[str, dict[str, str]]] = {}
    for row in rows:
        anchor = Anchor(row["text"], "", {"a b": row["a b"], "é": row["é"]}, ("é",))
        expected.setdefault(anchor.id, (anchor.text, dict(anchor.fields)))
    sources: list[Any] = [*sorted(tmp_path.glob("a.*")), rows, load(rows, needs=("é",))]
    for source in sources:
        found = load(source, needs=("é",))
        assert {a.id: (a.text, dict(a.fields)) for a in found} == expected
        assert [a.id for a in found] == list(expected)
        assert found.summary.differing == sum(
            r["a b"] != next(f for f in rows if (f["text"], f["é"]) == (r["text"], r["é"]))["a b"] for r in rows
        ) or isinstance(source, Anchors)
        assert found.summary.duplicates == (0 if isinstance(source, Anchors) else len(rows) - len(expected))


# ---------------------------------------------------------------------------------------------- folders


def test_a_folder_is_read_in_order_and_names_what_it_leaves(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.txt").write_text("hidden")
    (tmp_path / "c.txt").write_text("three")
    jsonl(tmp_path / "b" / "rows.jsonl", [{"content": "two"}])
    (tmp_path / "a.md").write_text("one")
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    found = load(tmp_path)
    assert [(a.text, a.source) for a in found] == [("one", "a.md"), ("two", "b/rows.jsonl#1"), ("three", "c.txt")]
    assert {(*s.first, s.why) for s in found.summary.skipped} == {(".git", "hidden"), ("a.png", ".png is not read")}
    assert found.summary.files == 3 and found.summary.text_fields == {"content": 1}
    assert "side by side" in " ".join(found.summary.warnings)


def test_links_that_go_round_or_nowhere_end(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.txt").write_text("a")
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe.txt")
    found = load(tmp_path)
    assert [a.source for a in found] == ["sub/a.txt"]
    assert {place for s in found.summary.skipped for place in s.first} == {"sub/up", "gone.txt", "pipe.txt"}


def test_what_datasets_saved_is_read_without_it(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    rows = {"question": ["a", "b", "c"], "n": [1, 2, 3]}
    one = datasets.Dataset.from_dict(rows)
    one.save_to_disk(tmp_path / "one", num_shards=2)
    found = load(tmp_path / "one")
    assert [(a.text, a.fields) for a in found] == [("a", {"n": 1}), ("b", {"n": 2}), ("c", {"n": 3})]
    assert found.summary.files == 2
    one.select([2, 0]).save_to_disk(tmp_path / "chosen")
    assert texts(tmp_path / "chosen") == ["c", "a"]
    datasets.DatasetDict({"train": one, "test": one}).save_to_disk(tmp_path / "two")
    with pytest.raises(SynthgainError, match=r"train, test") as said:
        load(tmp_path / "two")
    assert said.value.next.endswith(str(tmp_path / "two" / "train"))
    assert texts(tmp_path / "two" / "train") == ["a", "b", "c"]
    datasets.DatasetDict({"train": one}).save_to_disk(tmp_path / "single")
    assert texts(tmp_path / "single") == ["a", "b", "c"]


def test_a_run_gives_its_kept_rows(tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "Q?"}, {"role": "assistant", "content": "A."}]
    for sub in ("data", "rows", "anchors"):
        (tmp_path / sub).mkdir()
    pq.write_table(pa.table({"id": ["1"], "text": ["kept"]}), tmp_path / "data" / "part-00000.parquet")
    pq.write_table(pa.table({"id": ["2"], "text": ["fallen"]}), tmp_path / "rows" / "part-00000.parquet")
    (tmp_path / "data" / "README.md").write_text("card")
    (tmp_path / "run.json").write_text('{"format": 2, "status": "stopped"}')
    for source in (tmp_path, tmp_path / "data"):
        found = load(source)
        assert [(a.text, a.fields) for a in found] == [("kept", {"id": "1"})]
        assert "stopped" in found.summary.warnings[0]
    pq.write_table(pa.table({"id": ["1"], "messages": [chat]}), tmp_path / "data" / "part-00000.parquet")
    (anchor,) = load(tmp_path)
    assert (anchor.text, anchor.fields["messages"]) == ("Q?", chat)
    assert texts(tmp_path, text_field="messages") == ["user: Q?\n\nassistant: A."]


def test_the_hub_is_read_through_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real library and a real stream; only the address is turned to a file here."""
    datasets = pytest.importorskip("datasets")
    file = jsonl(tmp_path / "a.jsonl", [{"text": "a", "n": 1}, {"text": "b", "n": 2}])
    real, asked = datasets.load_dataset, []

    def local(*what: Any, **how: Any) -> Any:
        asked.append((what, how))
        return real(
            "json", data_files=str(file), split=how["split"], streaming=how["streaming"], cache_dir=str(tmp_path / "c")
        )

    monkeypatch.setattr(datasets, "load_dataset", local)
    found = load("hf://own/set/cfg:train")
    assert [(a.text, a.source, a.fields) for a in found] == [
        ("a", "hf://own/set/cfg:train#1", {"n": 1}),
        ("b", "hf://own/set/cfg:train#2", {"n": 2}),
    ]
    assert asked == [(("own/set", "cfg"), {"split": "train", "streaming": True})]
    assert texts("hf://own/set") == ["a", "b"]  # its only split
    with pytest.raises(SynthgainError) as said:
        load("hf://own/set:nosuch")
    assert said.value.code == 2


def test_a_hub_that_is_out_of_reach_is_code_4() -> None:
    pytest.importorskip("datasets")
    code = "from synthgain.anchors import load\ntry: load('hf://own/set')\nexcept Exception as e: print(type(e).__name__, e.code)"
    env = {**os.environ, "HF_HUB_OFFLINE": "1"}
    out = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)
    assert out.stdout.split() == ["Unreachable", "4"], out.stderr


# ---------------------------------------------------------------------------------------------- columns


def test_the_first_known_column_is_the_text_and_the_option_wins(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "a.jsonl", [{"problem": "p", "document": "d", "question": "q", "notes": "n"}])
    assert texts(file) == ["q"] and load(file).summary.text_fields == {"question": 1}
    assert texts(file, text_field="notes") == ["n"]
    assert load(file, text_field="notes")[0].fields == {"problem": "p", "document": "d", "question": "q"}
    assert texts(jsonl(tmp_path / "b.jsonl", [{"Text ": "t", "x": "y"}])) == ["t"]


def test_the_id_column_is_a_field_of_its_own(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "a.jsonl", [{"text": "t", "key": 7, "id": "old"}])
    found = load(file, id_field="key")
    assert found[0].fields == {"key": 7, "id": 7} and "'id' is replaced" in found.summary.warnings[0]
    with pytest.raises(SynthgainError, match="'keys'") as said:
        load(file, id_field="keys")
    assert "--id-field 'key'" in said.value.next


def shared(*turns: tuple[str, str]) -> list[dict[str, str]]:
    return [{"from": speaker, "value": text} for speaker, text in turns]


def test_a_conversation_gives_all_before_its_last_answer(tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "Is it cold?"},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "And then?"},
        {"role": "assistant", "content": "Warmer."},
    ]
    sharegpt = shared(("human", "Is it cold?"), ("gpt", "Yes."), ("human", "And then?"), ("gpt", "Warmer."))
    for row in ({"messages": turns}, {"messages": json.dumps(turns)}, {"conversations": sharegpt}):
        (anchor,) = load(jsonl(tmp_path / "a.jsonl", [{**row, "k": 1}]), strict=True)
        assert anchor.text == "user: Is it cold?\n\nassistant: Yes.\n\nuser: And then?"
        assert anchor.fields == {"messages": turns, "k": 1}
    pq.write_table(pa.Table.from_pylist([{"messages": turns, "k": 1}]), tmp_path / "a.parquet")
    assert load(tmp_path / "a.parquet")[0].fields == {"messages": turns, "k": 1}
    (whole,) = load([{"messages": turns, "k": 1}], text_field="messages")
    assert whole.text.endswith("user: And then?\n\nassistant: Warmer.") and whole.fields == {"k": 1}
    (waiting,) = load([{"messages": turns[:3]}])
    assert waiting.text == anchor.text
    assert texts([{"messages": turns[:2]}]) == ["Is it cold?"]


def test_dialogues_that_end_alike_are_as_many_anchors(tmp_path: Path) -> None:
    rows = [
        {"conversations": shared(("human", f"q{i}"), ("gpt", "a"), ("human", "And then?"), ("gpt", "b"))}
        for i in range(60)
    ]
    assert len(load(jsonl(tmp_path / "a.jsonl", rows))) == 60
    told: list[str] = []
    merged = load([{"messages": [{"role": "user", "content": "q"}, a]} for a in ANSWERS], tell=told.append)
    assert len(merged) == 1 and merged.summary.chats == 2
    assert any("1 duplicate of 2 merged" in line and "messages" in line for line in told)


ANSWERS = [{"role": "assistant", "content": text} for text in ("a", "b")]


def test_an_instruction_and_its_input_are_the_text(tmp_path: Path) -> None:
    row = {"instruction": "Sort these.", "input": "b a", "output": "a b", "text": "### Sort these …"}
    (anchor,) = load(jsonl(tmp_path / "a.jsonl", [row]))
    assert anchor.text == "Sort these.\nb a" and anchor.fields["output"] == "a b"
    assert [turn["content"] for turn in anchor.fields["messages"]] == ["Sort these.\nb a", "a b"]
    assert load(tmp_path / "a.jsonl", needs=("output",))[0].id != anchor.id
    assert texts([{"instruction": "Say hello.", "input": "", "output": "Hello."}]) == ["Say hello."]


def test_tools_and_their_calls_stay_whole(tmp_path: Path) -> None:
    tool = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
    call = json.dumps({"name": "weather", "arguments": {"city": "Oslo"}})
    said = shared(("human", "Cold?"), ("function_call", call), ("observation", "4 C"), ("gpt", "Yes."))
    (anchor,) = load(jsonl(tmp_path / "a.jsonl", [{"conversations": said, "tools": json.dumps([tool])}]))
    assert anchor.text == 'user: Cold?\n\nassistant: weather({"city": "Oslo"})\n\ntool: 4 C'
    assert anchor.fields["tools"] == [{"type": "function", "function": tool}]
    assert anchor.fields["messages"][1]["tool_calls"][0]["function"]["name"] == "weather"


@pytest.mark.parametrize(
    "bad",
    [[], "x", 3, [{"role": "assistant", "content": "b"}], [{"content": "b"}], [{"role": "user", "content": 3}]],
)
def test_what_is_no_conversation_is_skipped_and_said(bad: Any) -> None:
    with pytest.raises(SynthgainError):
        load([{"messages": bad}])
    good = {"messages": [{"role": "user", "content": "a"}]}
    found = load([good, {"messages": bad}])
    assert len(found) == 1 and found.summary.skipped_rows == 1 and found.summary.skipped[0].first == ("sequence#2",)


def test_half_a_surrogate_pair_becomes_the_replacement_character(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a\\ud83d", "f": {"\\udc00": ["\\ud83d\\ude00"]}}\n')
    found = load(tmp_path / "a.jsonl", needs=("f",))
    assert (found[0].text, found[0].fields) == ("a\ufffd", {"f": {"\ufffd": ["\U0001f600"]}})
    assert "U+FFFD" in found.summary.warnings[0]


# ---------------------------------------------------------------------------------------------- sequences


def test_python_sequences(tmp_path: Path) -> None:
    given: list[Any] = [
        "one",
        {"question": "two", "day": datetime.date(2026, 1, 1)},
        Anchor("three", "x#9", {"k": (1, 2)}),
    ]
    found = load(given)
    assert [(a.text, a.source, a.fields) for a in found] == [
        ("one", "sequence#1", {}),
        ("two", "sequence#2", {"day": "2026-01-01"}),
        ("three", "x#9", {"k": [1, 2]}),
    ]
    assert texts(iter(["a", "b"])) == ["a", "b"]


def test_anchors_keep_what_they_are_read_by() -> None:
    one = Anchor("t", "s", {"answer": "4"}, ("answer",))
    (again,) = load([one])
    assert again == one and again.id == one.id
    assert load(load([one]))[0].id == one.id
    assert load([one], needs=("other?",))[0].needs == ("other?",)
    with pytest.raises(SynthgainError, match="differ"):
        load([one, Anchor("u")])


@pytest.mark.parametrize(
    "source",
    [
        {"text": "a"},
        b"a",
        3,
        None,
        [3],
        [None],
        [["a"]],
        ["a", " "],
        [],
        [{"text": object()}],
        [{"text": "a", "f": object()}],
    ],
)
def test_a_sequence_of_other_things_is_refused(source: Any) -> None:
    with pytest.raises(SynthgainError) as said:
        load(source, strict=True)
    assert said.value.code == 2 and said.value.next


# ---------------------------------------------------------------------------------------------- anchors as a sequence


def test_places_lengths_and_slices_over_many_batches() -> None:
    rows = [{"text": f"text {i} " + "x" * (i % 700), "i": i} for i in range(5_000)]
    found = load(rows)
    assert len(found) == 5_000
    assert [a.fields["i"] for a in found] == list(range(5_000)) == [a.fields["i"] for a in found]
    for i in (0, 1, 1023, 1024, 4_999, -1, -5_000, 2_500):
        assert found[i].text == rows[i]["text"]
    assert [a.fields["i"] for a in found[4_998:1_000:-999]] == list(range(4_998, 1_000, -999))
    for i in (5_000, -5_001):
        with pytest.raises(IndexError):
            found[i]


def test_duplicates_are_dropped_counted_and_named(tmp_path: Path) -> None:
    n = 3_000
    jsonl(tmp_path / "a.jsonl", [{"text": f"t{i % n}", "k": i} for i in range(2 * n)])
    (tmp_path / "b.txt").write_text("t7")
    found = load(tmp_path)
    assert [a.fields["k"] for a in found] == list(range(n))
    assert found.summary.duplicates == n + 1 and found.summary.rows == 2 * n + 1
    assert found.summary.repeats[0] == (f"a.jsonl#{n + 1}", "a.jsonl#1") and len(found.summary.repeats) == 5
    assert len(load(tmp_path / "a.jsonl", needs=("k",))) == 2 * n  # k enters the prompt: not the same anchor
    assert "3,001 duplicates of 6,001 merged" in str(found.summary)


def test_a_limit_counts_anchors_and_looks_no_further(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "a.jsonl", [{"text": t} for t in "aabbccdd"])
    with open(file, "a") as out:
        out.write("no json\n")
    assert texts(file, limit=3) == ["a", "b", "c"]
    with pytest.raises(SynthgainError, match="limit"):
        load(file, limit=0)


def test_anchors_are_written_once_where_the_caller_says(tmp_path: Path) -> None:
    rows = [{"question": f"q{i}", "answer": str(i)} for i in range(3_000)]
    into = tmp_path / "run" / "anchors"
    found = load(rows, needs=("answer",), into=into)
    assert found.folder == into and [p.name for p in into.parent.iterdir()] == ["anchors"]
    ids = [a.id for a in found]
    assert ids == [Anchor(r["question"], "", {"answer": r["answer"]}, ("answer",)).id for r in rows]
    del found
    gc.collect()
    assert [a.id for a in Corpus(into)] == ids == list(Corpus(into).ids())
    table = pq.read_table(into)
    assert table.column_names == ["id", "text", "source", "fields"]
    assert table.column("text").to_pylist() == [r["question"] for r in rows]
    load(["a"], into=tmp_path / "run" / "other")


def test_what_a_killed_reading_left_is_in_nobodys_way(tmp_path: Path) -> None:
    code = """
import os, sys
from pathlib import Path
from synthgain.anchors import load
def rows():
    for i in range(5_000): yield f"text {i}"
    os.kill(os.getpid(), 9)
load(rows(), into=Path(sys.argv[1]))
"""
    into = tmp_path / "anchors"
    out = subprocess.run([sys.executable, "-c", code, str(into)], timeout=120)
    assert out.returncode == -9 and not into.exists()
    assert len(load(["a", "b"], into=into)) == 2 and list(tmp_path.iterdir()) == [into]


def test_a_temporary_folder_goes_with_its_anchors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = load([f"{i} " + "x" * 1_000_000 for i in range(20)])
    assert found[19].text.startswith("19 ") and list(tmp_path.iterdir())
    del found
    gc.collect()
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------------------------------- what is said of it


def test_two_golds_of_one_question_are_two_anchors_or_it_is_said(tmp_path: Path) -> None:
    rows = [
        {"question": "How many wheels?", "answer": "2"},
        {"question": "How many wheels?", "answer": "3"},
        {"question": "How many doors?", "answer": "7"},
        {"answer": "7", "question": "How many doors?"},
    ]
    file = jsonl(tmp_path / "a.jsonl", rows)
    needing = load(file, needs=("answer",))
    assert [a.fields["answer"] for a in needing] == ["2", "3", "7"]
    assert len({a.id for a in needing}) == 3
    assert (needing.summary.duplicates, needing.summary.differing) == (1, 0)
    found = load(file)
    assert [a.fields["answer"] for a in found] == ["2", "7"]
    assert (found.summary.duplicates, found.summary.differing, found.summary.differing_in) == (2, 1, ("answer",))
    assert "1 of them differs in its fields (answer), which the recipe does not read" in str(found.summary)
    optional = load(file, needs=("answer?",))
    assert [a.fields["answer"] for a in optional] == ["2", "3", "7"]


def test_the_summary_as_json_says_it_all_and_is_small(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    jsonl(folder / "a.jsonl", [{"text": "a", "k": 1}, {"text": "a", "k": 2}, {"text": "b", "k": 3}])
    (folder / "b.png").write_bytes(b"\x89PNG")
    (folder / ".hidden.txt").write_text("x")
    found = load(folder)
    said = json.loads(json.dumps(found.summary.json()))
    assert (said["rows"], said["anchors"], said["duplicates"], said["differing"], said["files"]) == (3, 2, 1, 1, 1)
    assert said["differing_in"] == ["k"] and said["repeats"] == [["a.jsonl#2", "a.jsonl#1"]]
    assert said["skipped"] == {
        "rows": 0,
        "files": 2,
        "by": [
            {"kind": "file", "why": "hidden", "n": 1, "first": [".hidden.txt"]},
            {"kind": "file", "why": ".png is not read", "n": 1, "first": ["b.png"]},
        ],
    }
    for i in range(200):
        jsonl(folder / f"{'long' * 20}{i}.jsonl", [{f"Text{' ' * i}": f"t{i}", "x" * 5_000: b} for b in ("c", "d")])
        (folder / f"{i}.png{i}").write_bytes(b"\x89PNG")
        (folder / f"w{i}.json").write_text(json.dumps({"rows": [{"text": f"w{i}"}], f"beside{i}" * 50: 1}))
    large = load(folder).summary
    assert large.anchors == 402 and large.duplicates == 201 and large.skipped_files == 202
    assert len(json.dumps(large.json())) < 40_000
    assert len(large.warnings) == 21 and "180" in large.warnings[-1]  # what is not named is counted


def test_a_data_sets_card_is_no_row_and_a_readme_among_texts_is_one(tmp_path: Path) -> None:
    for name in ("flat", "deep", "texts"):
        (tmp_path / name / "data").mkdir(parents=True)
        (tmp_path / name / "README.md").write_text("# card")
    jsonl(tmp_path / "flat" / "a.jsonl", [{"text": "a"}])
    pq.write_table(pa.table({"text": ["b"]}), tmp_path / "deep" / "data" / "b.parquet")
    (tmp_path / "texts" / "c.txt").write_text("c")
    for name, text in (("flat", "a"), ("deep", "b")):
        found = load(tmp_path / name)
        assert [a.text for a in found] == [text]
        assert [(s.first, s.why) for s in found.summary.skipped] == [(("README.md",), "the data set's card")]
    assert texts(tmp_path / "texts") == ["# card", "c"]
    assert texts(tmp_path / "flat" / "README.md") == ["# card"]  # asked for by name


# ---------------------------------------------------------------------------------------------- real data and size

OBVIOUS = ("text", "content", "question", "instruction", "prompt", "document", "article", "problem")


def test_every_real_set_with_an_obvious_text_column(real_data: Path) -> None:
    read = 0
    for file in sorted(real_data.rglob("*.jsonl.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            first = json.loads(next(lines))
            column = next((c for c in OBVIOUS if isinstance(first.get(c), str)), None)
            if column is None or next(c for c in OBVIOUS if c in first) != column or file.stat().st_size > 300_000:
                continue
            rows = [first, *map(json.loads, lines)]
        asks = column == "instruction" and ("input" in first or "output" in first)
        said = ["\n".join(filter(None, (r.get(column), r.get("input") if asks else ""))) for r in rows]
        if any(not text.strip() for text in said):
            with pytest.raises(SynthgainError, match=column):
                load(file, strict=True)
            continue
        found = load(file, strict=True)
        expected = list(dict.fromkeys(said))
        assert [a.text for a in found] == expected, file.name
        assert found.summary.rows == len(rows)
        read += 1
    assert read > 20


MEASURE = """
import resource, sys, time
from pathlib import Path
from synthgain.anchors import load
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
load(["a"])[0]
before, began = peak(), time.process_time()
found = load(sys.argv[1])
n = sum(len(a.text) for a in found)
print(len(found), n, (peak() - before) / 1e6, time.process_time() - began)
"""


def measured(file: Path) -> tuple[int, int, float]:
    out = subprocess.run([sys.executable, "-c", MEASURE, str(file)], capture_output=True, text=True, timeout=300)
    assert out.returncode == 0, out.stderr
    n, characters, megabytes, _seconds = out.stdout.split()
    return int(n), int(characters), float(megabytes)


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_fifty_megabytes_in_one_piece(tmp_path: Path, name: str) -> None:
    n = 50_000_000
    with open(tmp_path / name, "w") as out:
        out.write('{"text": "' if name == "a.jsonl" else "")
        for _ in range(n // 100):
            out.write(
                "The quick brown fox jumps over the lazy dog and runs on to the end of its long line of text today. .."
            )
        out.write('"}\n' if name == "a.jsonl" else "")
    count, characters, megabytes = measured(tmp_path / name)
    assert (count, characters) == (1, n // 100 * 101)
    assert megabytes < 7 * n / 1e6


def test_memory_does_not_grow_with_the_number_of_rows(tmp_path: Path) -> None:
    peaks = []
    for n in (5_000, 30_000):
        with open(tmp_path / "a.jsonl", "w") as out:
            for i in range(n):
                out.write(json.dumps({"text": f"{i} " + "word " * 200, "answer": str(i)}) + "\n")
        count, _, megabytes = measured(tmp_path / "a.jsonl")
        assert count == n
        peaks.append(megabytes)
    assert peaks[1] < peaks[0] + 15  # 25,000 more rows are 26 MB of text

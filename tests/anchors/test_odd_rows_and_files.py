"""Files that people have: odd columns, a bad row among many, mixed folders, hub folders, Zstandard."""

import datetime
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synthgain.anchors import Summary, load
from synthgain.types import SynthgainError


def jsonl(file: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file


def texts(source: Any, **options: Any) -> list[str]:
    return [a.text for a in load(source, **options)]


def not_taken(summary: Summary) -> dict[str, tuple[str, ...]]:
    return {s.why: s.first for s in summary.skipped}


# ---------------------------------------------------------------------------------------------- Zstandard


def test_zstandard_is_read_as_it_is_unpacked_frames_behind_one_another_too(tmp_path: Path) -> None:
    codec = pa.Codec("zstd")
    lines = [json.dumps({"text": f"né {i}"}).encode() + b"\n" for i in range(200)]
    frames = [codec.compress(b"".join(lines[i : i + 50]), asbytes=True) for i in range(0, 200, 50)]
    (tmp_path / "a.jsonl.zst").write_bytes(b"".join(frames))
    assert texts(tmp_path / "a.jsonl.zst") == [f"né {i}" for i in range(200)]
    (tmp_path / "b.txt.zst").write_bytes(codec.compress(b"whole\n", asbytes=True))
    assert texts(tmp_path / "b.txt.zst") == ["whole\n"]
    for raw, what in ((frames[0][:-9], "breaks off"), (b'{"text": "plain"}\n', "not Zstandard")):
        (tmp_path / "c.jsonl.zst").write_bytes(raw)
        with pytest.raises(SynthgainError, match=what) as said:
            load(tmp_path / "c.jsonl.zst")
        assert said.value.next


# ---------------------------------------------------------------------------------------------- columns


def odd_table() -> pa.Table:
    day = datetime.datetime(2026, 1, 2, 3, 4, 5)
    return pa.table(
        {
            "text": pa.array(["a", "b"], pa.large_string()),
            "nanoseconds": pa.array([1, None], pa.timestamp("ns")),
            "far": pa.array([2**50, 0], pa.timestamp("ms")),
            "day": pa.array([10**7, 0], pa.date32()),
            "raw": [b"\xff", b""],
            "picture": [{"bytes": b"\x00", "path": "p"}, None],
            "nested": [{"when": [day], "n": {"m": 1}}, None],
            "price": pa.array([None, "1.50"]).cast(pa.decimal128(6, 2)),
        }
    )


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_columns_that_no_recipe_needs_stop_nobody(tmp_path: Path, kind: str) -> None:
    file = tmp_path / f"a.{kind}"
    if kind == "parquet":
        pq.write_table(odd_table(), file)
    else:
        with pa.OSFile(str(file), "w") as out, pa.ipc.new_file(out, odd_table().schema) as writer:
            writer.write_table(odd_table())
    one, two = load(file, strict=True)
    assert (one.text, two.text) == ("a", "b")
    assert one.fields["nanoseconds"].endswith(":00.000000001") and two.fields["nanoseconds"] is None
    assert one.fields["day"].startswith("29349-") and two.fields["price"] == "1.50"
    assert one.fields["nested"]["n"] == {"m": 1} and one.fields["nested"]["when"][0].startswith("2026-01-02")
    assert "raw" not in one.fields and "picture" not in one.fields
    said = " ".join(load(file).summary.warnings)
    assert "'raw'" in said and "'picture'" in said
    json.dumps([one.fields, two.fields])


def test_it_reads_the_same_with_pandas_and_without(tmp_path: Path) -> None:
    pq.write_table(odd_table(), tmp_path / "a.parquet")
    said = []
    for how in ("with", "without"):
        command = [sys.executable, "-c", PANDAS, str(tmp_path / "a.parquet"), how]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if done.returncode == 3:
            pytest.skip("pandas is not installed")
        said.append(done.stdout)
    assert said[0] == said[1] and "000000001" in said[0]


PANDAS = """
import json, sys

class Nowhere:
    def find_spec(self, name, path=None, target=None):
        if name == "pandas":
            raise ImportError("not installed")

if sys.argv[2] == "without":
    sys.meta_path.insert(0, Nowhere())
else:
    try:
        import pandas
    except ImportError:
        sys.exit(3)
from synthgain.anchors import load
print(json.dumps([[a.id, dict(a.fields)] for a in load(sys.argv[1], needs=("nanoseconds?", "far?"))]))
"""


def damaged(column: list[bytes]) -> pa.Array:
    """Texts whose bytes nobody looked at."""
    return pa.array(column, pa.binary()).view(pa.string())


def test_a_parquet_text_that_is_not_utf8_is_refused_with_its_row(tmp_path: Path) -> None:
    good = [f"text {i}".encode() for i in range(700)]
    pq.write_table(pa.table({"text": damaged([*good, b"caf\xe9"])}), tmp_path / "a.parquet")
    with pytest.raises(SynthgainError, match="UTF-8") as said:
        load(tmp_path / "a.parquet")
    assert said.value.where == f"{tmp_path / 'a.parquet'}#701" and said.value.code == 2
    turns = pa.StructArray.from_arrays([damaged([b"user"]), damaged([b"caf\xe9"])], ["role", "content"])
    pq.write_table(pa.table({"messages": pa.ListArray.from_arrays([0, 1], turns)}), tmp_path / "b.parquet")
    with pytest.raises(SynthgainError, match="UTF-8"):
        load(tmp_path / "b.parquet")
    pq.write_table(pa.table({"text": ["a", "b"], "title": damaged([b"ok", b"caf\xe9"])}), tmp_path / "c.parquet")
    found = load(tmp_path / "c.parquet", strict=True)
    assert [a.fields for a in found] == [{"title": "ok"}, {}] and "'title'" in found.summary.warnings[0]


def test_a_member_of_a_column_is_named_with_a_dot(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "a.jsonl", [{"doc": {"body": "b", "key": 7}, "k": 1}])
    (anchor,) = load(file, text_field="doc.body", id_field="doc.key")
    assert anchor.text == "b" and anchor.fields["id"] == 7
    with pytest.raises(SynthgainError, match=r"doc\.title"):
        load(file, text_field="doc.title")


# ---------------------------------------------------------------------------------------------- rows


def test_one_bad_row_among_many_is_skipped_counted_and_said(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"text": f"text {i}"} for i in range(5_000)]
    rows[1234], rows[2345], rows[3456] = {"text": None}, {"text": " "}, {"text": 7}
    file = jsonl(tmp_path / "a.jsonl", rows)
    with open(file, "a") as out:
        out.write("{no json\n")
    told: list[str] = []
    found = load(file, tell=told.append)
    assert len(found) == 4_997 and found.summary.skipped_rows == 4
    assert not_taken(found.summary)["the text (column 'text') is null"] == (f"{file}:1235",)
    assert told[0].startswith("4 of 5,001 rows skipped") and f"{file}:2346" in told[0]
    record = found.summary.json()["skipped"]
    assert record["rows"] == 4 and {tuple(by["first"]) for by in record["by"]} >= {(f"{file}:1235",), (f"{file}:3457",)}
    with pytest.raises(SynthgainError, match="4 rows or files"):
        load(file, strict=True)


def test_the_first_row_may_be_the_odd_one_and_rows_of_two_shapes_are_both_read(tmp_path: Path) -> None:
    chat = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
    found = load(jsonl(tmp_path / "a.jsonl", [{}, {"text": "t"}, chat]))
    assert [a.text for a in found] == ["t", "q"] and found.summary.skipped_rows == 1
    assert not_taken(found.summary).popitem()[1] == (f"{tmp_path / 'a.jsonl'}:1",)
    assert texts(jsonl(tmp_path / "b.jsonl", [chat, {"text": "t"}]), strict=True) == ["q", "t"]


def test_the_first_row_does_not_decide_for_conversations(tmp_path: Path) -> None:
    rows = [{"instruction": f"Sort {i}.", "input": "b a", "output": "a b" if i else None} for i in range(4)]
    found = load(jsonl(tmp_path / "a.jsonl", rows))
    assert [a.text for a in found][-3:] == [f"Sort {i}.\nb a" for i in (1, 2, 3)]
    assert all(a.fields["messages"] for a in list(found)[-3:])


def test_keys_of_turns_that_no_message_has_are_said_and_left_out(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "q", "country": "NO", "toxic": False}, {"role": "assistant", "content": "a"}]
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    asks = [turns[0], {"role": "assistant", "content": None, "tool_calls": [call], "refusal": None, "annotations": []}]
    for row in ({"conversation": turns}, {"messages": asks}):
        (anchor,) = (found := load(jsonl(tmp_path / "a.jsonl", [row]), strict=True))
        assert anchor.text == "q" and anchor.fields["messages"][0] == {"role": "user", "content": "q"}
        assert "country" in found.summary.warnings[0] and "refusal" not in found.summary.warnings[0]


def test_more_bad_rows_than_good_are_refused(tmp_path: Path) -> None:
    rows = [{"text": "a"}, {"text": None}, {"text": ""}]
    with pytest.raises(SynthgainError, match="2 rows or files cannot be used"):
        load(jsonl(tmp_path / "a.jsonl", rows))
    assert texts(jsonl(tmp_path / "a.jsonl", rows[:2])) == ["a"]


# ---------------------------------------------------------------------------------------------- folders


def pages(folder: Path, n: int = 30) -> None:
    folder.mkdir(parents=True)
    for i in range(n):
        (folder / f"page-{i:02d}.md").write_text(f"# Page {i}\n\nText of the page {i}.\n")


def test_of_a_mixed_folder_what_can_be_read_is_read_and_the_rest_counted(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    pages(folder)
    (folder / "empty.md").write_text("")
    (folder / "prices.csv").write_text("sku,price\nA1,3\n")
    (folder / "LICENSE").write_text("All rights reserved.")
    (folder / "logo.png").write_bytes(b"\x89PNG\r\n")
    (folder / "old.txt").write_bytes("caf\xe9 au lait".encode("latin-1"))
    told: list[str] = []
    found = load(folder, tell=told.append)
    assert len(found) == 30 and found.summary.skipped_files == 5 and found.summary.files == 30
    said = not_taken(found.summary)
    assert said["the file is empty"] == (str(folder / "empty.md"),) and said["a licence"] == ("LICENSE",)
    assert any("Latin-1" in why for why in said) and any("sku" in why for why in said)
    assert len(told) == 1 and told[0].startswith("5 files not read")
    with pytest.raises(SynthgainError, match="3 rows or files"):
        load(folder, strict=True)
    (folder / "prices.csv").write_text("sku,text\nA1,A red pump.\n")
    assert "A red pump." in texts(folder)


def test_a_file_that_was_asked_for_by_name_is_refused_where_a_folders_is_left_out(tmp_path: Path) -> None:
    pages(tmp_path / "docs", 2)
    (tmp_path / "docs" / "broken.parquet").write_bytes(b"PAR1" + b"x" * 100)
    assert len(load(tmp_path / "docs")) == 2
    with pytest.raises(SynthgainError, match="no whole Parquet"):
        load(tmp_path / "docs" / "broken.parquet")
    for page in (tmp_path / "docs").glob("*.md"):
        page.unlink()
    with pytest.raises(SynthgainError, match="no whole Parquet"):
        load(tmp_path / "docs")  # nothing else is there


CARD = "---\nlicense: cc-by-4.0\nconfigs:\n- config_name: default\n---\n# A set\n"


@pytest.mark.parametrize("name", ["data/train.jsonl", "train.json", "data/en/train/0000.parquet", "data/train.txt"])
def test_of_a_cloned_hub_folder_only_the_data_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "README.md").write_text(CARD)
    (tmp_path / "LICENSE").write_text("terms")
    (tmp_path / "LICENSE.md").write_text("terms")
    (tmp_path / "dataset_infos.json").write_text('{"default": {}}')
    (tmp_path / ".gitattributes").write_text("*.parquet filter=lfs\n")
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".parquet":
        pq.write_table(pa.table({"text": ["row"]}), file)
    else:
        file.write_text({".jsonl": '{"text": "row"}\n', ".json": '[{"text": "row"}]', ".txt": "row"}[file.suffix])
    found = load(tmp_path, strict=True)
    assert [a.text for a in found] == ["row"] and found.summary.skipped_files == 5
    assert not_taken(found.summary)["the data set's card"] == ("README.md",)


def test_the_readme_of_pages_is_a_page_whatever_table_lies_beside(tmp_path: Path) -> None:
    pages(tmp_path / "docs", 3)
    (tmp_path / "docs" / "README.md").write_text("---\ntitle: Start\n---\nStart here.")
    jsonl(tmp_path / "docs" / "faq.jsonl", [{"text": "A question."}])
    assert sum("Start here." in text for text in texts(tmp_path / "docs")) == 1


@pytest.mark.skipif(os.name == "nt", reason="a link needs rights there")
def test_a_run_whose_shard_is_damaged_is_not_read_in_part(tmp_path: Path) -> None:
    data = tmp_path / "run" / "data"
    data.mkdir(parents=True)
    (tmp_path / "run" / "run.json").write_text('{"format": 2, "status": "complete"}')
    pq.write_table(pa.table({"id": ["1"], "text": ["kept"]}), data / "part-00000.parquet")
    (data / "part-00001.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(SynthgainError, match="damaged"):
        load(tmp_path / "run")

"""Bad input stops with what is wrong, where, and what to do."""

import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synthgain.anchors import load
from synthgain.types import Anchor, SynthgainError


def refused(source: Any, **options: Any) -> SynthgainError:
    with pytest.raises(SynthgainError) as said:
        load(source, strict=True, **options)
    error = said.value
    assert error.code == 2 and error.what and error.where and error.next
    return error


GOOD = b'{"text": "good"}\n'
CASES: list[tuple[str, bytes, str, str, str]] = [
    # name, bytes, place, what, next
    ("a.txt", b"", "", "empty", "remove"),
    ("a.txt", b" \n\t\xc2\xa0", "", "white space only", "remove"),
    ("a.jsonl", b"", "", "empty", "remove"),
    ("a.jsonl", b"\n\n", "", "empty", "remove"),
    ("a.json", b" ", "", "empty", "remove"),
    ("a.json", b"[]", "", "list is empty", "fill"),
    ("a.csv", b"", "", "empty", "remove"),
    ("a.parquet", b"", "", "empty", "remove"),
    # encodings
    (
        "a.txt",
        "één\nzwölf caf\xe9".encode("latin-1"),
        ":1",
        "byte 0 (0xe9) is not UTF-8; it looks like Latin-1",
        "iconv -f ISO-8859-1",
    ),
    (
        "a.txt",
        b"line\nit\x92s " + b"x" * 20,
        ":2",
        "byte 7 (0x92) is not UTF-8; it looks like Windows-1252",
        "iconv -f WINDOWS-1252",
    ),
    ("a.txt", "text".encode("utf-16"), ":1", "UTF-16", "iconv -f UTF-16 "),
    ("a.csv", "text\nabc\n".encode("utf-16-le"), ":1", "UTF-16LE without", "iconv -f UTF-16LE"),
    ("a.jsonl", '{"text": "a"}\n'.encode("utf-32"), ":1", "UTF-32", "iconv -f UTF-32"),
    ("a.txt", "é é ".encode() + b"\xff bad", ":1", "byte 6 (0xff) is not UTF-8; it looks like damaged UTF-8", "iconv"),
    ("a.txt", "abc é".encode()[:-1], ":1", "breaks off inside a character (byte 4)", "whole file"),
    ("a.jsonl", GOOD * 3 + b'{"text": "caf\xe9"}\n', ":4", f"byte {3 * len(GOOD) + 13} (0xe9)", "a.utf8.jsonl"),
    ("a.csv", b"text\nok\ncaf\xe9\n", ":3", "byte 11 (0xe9)", "iconv"),
    # binary
    ("a.txt", b"%PDF-1.7\n...", "", "a PDF", "a.pdf"),
    ("a.md", b"\x89PNG\r\n\x1a\n...", "", "a PNG", "move"),
    ("a.txt", b"ab\0cd\n", ":1", "NUL byte at byte 2", "convert"),
    ("a.txt", b"x" * 9000 + b"\nab\0", ":2", "NUL byte at byte 9,003", "tr -d"),
    ("a.jsonl", gzip.compress(GOOD, mtime=0), "", "gzip data", "mv "),
    ("a.jsonl.gz", GOOD, "", "not gzip data", "mv "),
    ("a.jsonl", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "", "Git LFS", "git lfs pull"),
    ("a.parquet", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "", "Git LFS", "git lfs pull"),
    ("a.parquet", b"text,csv\n1,2\n", "", "no whole Parquet file", "whole file"),
    ("a.parquet", b"PAR1" + b"x" * 100, "", "no whole Parquet file", "whole file"),
    ("a.arrow", b"x" * 100, "", "no whole Arrow file", "whole file"),
    # JSON
    ("a.jsonl", GOOD + b'{"text": "b"\n' + GOOD, ":2", "not valid JSON", "mend"),
    ("a.jsonl", GOOD + b'{"text": "b', ":2", "cut off in the middle", "whole file"),
    ("a.jsonl", b"[\n" + GOOD, ":1", "one JSON document over many lines", "rename it to .json"),
    ("a.jsonl", b'["a"]\n', ":1", "a list, not an object", '{"text"'),
    ("a.jsonl", GOOD + b"null\n", ":2", "null, not an object", '{"text"'),
    ("a.jsonl", GOOD + b"{}\n", ":2", "no column 'text'", "mend"),
    ("a.jsonl", b"[" * 100_000 + b"\n", ":1", "not valid JSON", "mend"),
    ("a.json", b'[{"text": "a"},\n {"text": "b', ":2", "cut off in the middle", "whole file"),
    ("a.json", b'[{"text": "a"},\n', ":2", "cut off in the middle", "whole file"),
    ("a.json", b'[{"text": "a"}\n', ":2", "cut off in the middle", "whole file"),
    ("a.json", b'[{"text": "a"}\n{"text": "b"}]', ":2", "',' or ']' expected", "mend"),
    ("a.json", b'[{"text": "a"},\n "b"]', ":2", "a string, not an object", '{"text"'),
    ("a.json", b'[{"text": "a"}]\n x', ":2", "more data after the end", "mend"),
    ("a.json", b'"just a string"', "", "a string, not an object", '{"text"'),
    ("a.json", b'{"a": [{"text": "1"}], "b": [{"text": "2"}]}', "", "several lists of rows", "jq"),
    # CSV
    ("a.csv", b"id,text\n1,a\n2,b,c\n3,d\n", ":3", "3 values where the header has 2 columns", "double quotes"),
    ("a.csv", b"text,text\na,b\n", ":1", "'text' more than once", "name"),
    ("a.csv", b'text\nok\n"never closed\nand on\n', ":3", "never closed", "close it"),
    ("a.csv", b'text\n"a"b\n', ":2", "not valid CSV", "twice"),
    ("a.csv", b"text\n", "", "no rows", "first line"),
    ("a.csv", b"What is this?,17\nAnd this?,18\n", ":2", "'What is this?', '17'", "--text-field"),
    ("a.csv", b"id;text\n1;a\n", ":2", "separated by semicolons", "--text-field"),
    # text
    ("a.jsonl", GOOD + b'{"text": null}\n', ":2", "is null", "mend"),
    ("a.jsonl", GOOD + b'{"text": ""}\n', ":2", "is empty", "mend"),
    ("a.jsonl", GOOD + b'{"text": " \\n\\t"}\n', ":2", "is empty", "mend"),
    ("a.jsonl", GOOD + b'{"text": 3}\n', ":2", "a number, not a string", "mend"),
    ("a.jsonl", GOOD + b'{"text": ["a"]}\n', ":2", "a list, not a string", "mend"),
    ("a.jsonl", b'{"title": "x", "body": "a longer text"}\n', ":1", "'title', 'body'", "--text-field 'body'"),
    ("a.jsonl", b'{"TEXT": "x", "Text": "y"}\n', ":1", "which column", "--text-field 'TEXT'"),
    # names
    ("a.rtf", b"PK", "", ".rtf are not read", ".jsonl"),
    ("noending", b"text", "", "no ending", ".jsonl"),
]


@pytest.mark.parametrize(("name", "raw", "place", "what", "after"), CASES)
def test_a_bad_file(tmp_path: Path, name: str, raw: bytes, place: str, what: str, after: str) -> None:
    (tmp_path / name).write_bytes(raw)
    error = refused(tmp_path / name)
    assert error.where.split(" ")[0] == f"{tmp_path / name}{place}"
    assert what in error.what
    assert after in error.next
    if name not in ("a.rtf", "noending"):
        (tmp_path / "b.txt").write_text("good")  # a good neighbour does not hide it
        assert refused(tmp_path).what == error.what


def test_the_command_for_another_encoding_works(tmp_path: Path) -> None:
    folder = tmp_path / "it's here"
    folder.mkdir()
    for name, encoding in (("a b.txt", "latin-1"), ("c.txt", "utf-16"), ("d.txt", "cp1252")):
        (folder / name).write_bytes(
            "caf\xe9 \u2019s".replace("\u2019", "\u2019" if encoding != "latin-1" else "'").encode(encoding)
        )
        command = refused(folder / name).next
        subprocess.run(command, shell=True, check=True)
        converted = folder / (name.removesuffix(".txt") + ".utf8.txt")
        assert load(converted)[0].text.startswith("caf\xe9")


def test_packed_data_that_breaks_off_or_is_damaged(tmp_path: Path) -> None:
    rng = random.Random(0)
    rows = "".join(json.dumps({"text": f"{i} {rng.randbytes(30).hex()}"}) + "\n" for i in range(2_000)).encode()
    packed = gzip.compress(rows, mtime=0)
    file = tmp_path / "a.jsonl.gz"
    file.write_bytes(packed[: len(packed) // 2])
    error = refused(file)
    assert "breaks off" in error.what and int(error.where.rsplit(":", 1)[1]) > 500
    file.write_bytes(packed[:5_000] + bytes(100) + packed[5_100:])
    assert "damaged" in refused(file).what
    file.write_bytes(packed[:-8] + bytes(8))  # checksum
    assert "damaged" in refused(file).what
    (tmp_path / "a.txt.gz").write_bytes(packed[:-20])
    assert "breaks off" in refused(tmp_path / "a.txt.gz").what


@pytest.mark.parametrize(
    ("inner", "what"), [("word/document.xml", "Word"), ("xl/workbook.xml", "Excel"), ("a/b.txt", "zip archive")]
)
def test_zipped_formats_are_named(tmp_path: Path, inner: str, what: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.txt", "w") as archive:
        archive.writestr(inner, "x")
    assert what in refused(tmp_path / "a.txt").what


def test_broken_parquet_and_arrow(tmp_path: Path) -> None:
    table = pa.table({"text": [f"{i}" * 50 for i in range(3_000)], "n": list(range(3_000))})
    pq.write_table(table, tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[: len(whole) // 2])
    assert "no whole Parquet file" in refused(tmp_path / "a.parquet").what
    pq.write_table(table.slice(0, 0), tmp_path / "b.parquet")
    assert "no rows" in refused(tmp_path / "b.parquet").what
    pq.write_table(table.select(["n"]), tmp_path / "c.parquet")
    assert "--text-field" in refused(tmp_path / "c.parquet").next
    assert "a number" in refused(tmp_path / "c.parquet", text_field="n").what
    with pa.OSFile(str(tmp_path / "d.arrow"), "w") as out, pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)
    assert len(load(tmp_path / "d.arrow")) == 3_000
    stream = (tmp_path / "d.arrow").read_bytes()
    (tmp_path / "d.arrow").write_bytes(stream[: len(stream) // 2])
    assert "no whole Arrow file" in refused(tmp_path / "d.arrow").what


def test_nulls_in_parquet(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a", None, "c"]}), tmp_path / "a.parquet")
    error = refused(tmp_path / "a.parquet")
    assert error.where == f"{tmp_path / 'a.parquet'}#2" and "null" in error.what


def test_many_bad_rows_are_one_error_with_the_first_five_and_the_number(tmp_path: Path) -> None:
    rows = ['{"text": "good"}' if i % 3 else '{"text": ""}' for i in range(1, 301)]
    (tmp_path / "a.jsonl").write_text("\n".join(rows) + "\n")
    (tmp_path / "b.txt").write_bytes(b"\xff\xfea\0")
    said = str(refused(tmp_path))
    assert "101 rows or files" in said and "and 96 more" in said
    assert said.index("b.txt:1") < said.index("a.jsonl:3")  # a broken file first
    for line in (3, 6, 9, 12):
        assert f"a.jsonl:{line}: the text (column 'text') is empty" in said
    assert "a.jsonl:15" not in said


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "questions.jsonl").write_bytes(GOOD)
    assert str(tmp_path / "documents") in refused(tmp_path / "docments").next
    assert "questions.jsonl" in refused(tmp_path / "documents" / "question.jsonl").next
    assert f"did you mean {tmp_path / 'documents'}" in refused(tmp_path / "docments" / "questions.jsonl").next
    assert "no such" in refused(tmp_path / "documents" / "questions.jsonl" / "x").what
    assert "patterns" in refused(str(tmp_path / "documents" / "*.jsonl")).next
    assert "download" in refused("https://example.org/data.jsonl").next
    (tmp_path / "link.txt").symlink_to(tmp_path / "nothing.txt")
    assert "leads nowhere" in refused(tmp_path / "link.txt").what
    (tmp_path / "loop.txt").symlink_to(tmp_path / "loop.txt")
    refused(tmp_path / "loop.txt")
    with pytest.raises(SynthgainError, match="empty"):
        load("")


def test_folders_with_nothing_to_read(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "folder is empty" in refused(tmp_path / "empty").what
    (tmp_path / "empty" / ".hidden.txt").write_text("x")
    (tmp_path / "empty" / "a.rtf").write_bytes(b"{\\rtf")
    said = refused(tmp_path / "empty").what
    assert "hidden (.hidden.txt)" in said and ".rtf is not read (a.rtf)" in said
    os.mkfifo(tmp_path / "pipe.txt")
    assert "neither a file nor a folder" in refused(tmp_path / "pipe.txt").what


def test_a_run_without_data_a_loop_and_damaged_records(tmp_path: Path) -> None:
    run = tmp_path / "round-0" / "run"
    run.mkdir(parents=True)
    (run / "run.json").write_text('{"format": 2, "status": "running"}')
    assert "no data yet" in refused(run).what
    (run / "run.json").write_text("{")
    assert "damaged" in refused(run).what
    (tmp_path / "loop.json").write_text("{}")
    assert str(run) in refused(tmp_path).next
    saved = tmp_path / "saved"
    saved.mkdir()
    (saved / "dataset_info.json").write_text("{}")
    (saved / "state.json").write_text("[]")
    assert "damaged" in refused(saved).what
    (saved / "state.json").write_text('{"_data_files": [{"filename": "../x.arrow"}]}')
    assert "shard" in refused(saved).what
    (saved / "dataset_dict.json").write_text("{}")
    assert "damaged" in refused(saved).what


@contextmanager
def nobody() -> Iterator[None]:
    """Without root's rights, whom no permission stops."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_permission_denied() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "a.txt").write_text("good")
        (folder / "a.txt").chmod(0)
        (folder / "b.parquet").write_bytes(b"PAR1")
        (folder / "b.parquet").chmod(0)
        (folder / "sub").mkdir(mode=0)
        with nobody():
            assert "permission denied" in refused(folder / "a.txt").what
            assert "permission denied" in refused(folder / "b.parquet").what
            assert "ermission denied" in refused(folder / "sub").what
            assert "ermission denied" in refused(folder / "sub" / "x.txt").what
            assert "3 rows or files" in refused(folder).what
        (folder / "sub").chmod(0o755)


def test_a_field_that_is_needed_stands_in_every_row(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"question": "a", "answer": "1"},
        {"question": "b", "gold": "2"},
        {"question": "c", "answer": None},
        {"question": "d", "answer": " \n"},
        {"question": "e", "answer": 0},
        {"question": "f", "answer": False},
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = refused(tmp_path / "a.jsonl", needs=("answer",))
    assert "3 rows or files" in said.what and "the recipe needs a field 'answer'" in said.what
    for line in (2, 3, 4):
        assert f"a.jsonl:{line}: " in said.what
    assert "'gold'" in said.next
    assert "'answer'" in refused(rows[1:2], needs=("answer",)).what
    assert "'answer'" in refused([Anchor("t", "s", {"gold": "1"})], needs=("answer",)).what
    assert "'answer'" in refused(["t"], needs=("answer",)).what
    (tmp_path / "b.txt").write_text("text")
    said = refused(tmp_path / "b.txt", needs=("answer",))
    assert "'answer'" in said.what and ".jsonl" in said.next
    assert len(load(tmp_path / "b.txt", needs=("answer?",))) == 1
    with pytest.raises(SynthgainError, match="string"):
        load(["t"], needs="answer")


def test_a_folder_that_is_in_use_is_not_written(tmp_path: Path) -> None:
    into = tmp_path / "anchors"
    into.mkdir()
    (into / "other").write_text("mine")
    with pytest.raises(SynthgainError, match="empty") as said:
        load(["a"], into=into)
    assert said.value.code == 2 and said.value.next and (into / "other").read_text() == "mine"
    with pytest.raises(SynthgainError):
        load(["a"], into=into / "other")


@pytest.mark.parametrize("source", [["good", ""], [], 3])
def test_nothing_stays_of_anchors_that_are_refused(tmp_path: Path, source: Any) -> None:
    with pytest.raises(SynthgainError):
        load(source, into=tmp_path / "run" / "anchors", strict=True)
    assert not (tmp_path / "run").exists() or not any((tmp_path / "run").iterdir())


def test_a_full_disk_is_code_3_and_leaves_nothing(tmp_path: Path) -> None:
    code = f"""
import os, resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_FSIZE, ({2**23}, {2**23}))
from synthgain.anchors import load
try: load([os.urandom(500_000).hex() for i in range(30)], into=Path(sys.argv[1]) / "anchors" if sys.argv[2:] else None)
except Exception as e: print(type(e).__name__, e.code, e.what)
"""
    for how in ([], ["into"]):
        out = subprocess.run(
            [sys.executable, "-W", "error", "-c", code, str(tmp_path), *how],
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        )
        assert out.stdout.startswith("BudgetReached 3 the disk is full"), out.stdout + out.stderr
        assert not out.stderr and not list(tmp_path.iterdir())

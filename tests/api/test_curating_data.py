"""A data set that somebody else made: judged into a run that everything else reads, with nothing bought and nothing lost."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from synthgain import Run, curate, export, measure, report, trace
from synthgain.cli import app
from synthgain.types import Anchor, Row, SynthgainError, Verdict, drop, keep

ROWS: list[Any] = [
    {"messages": [{"role": "user", "content": "Name a river."}, {"role": "assistant", "content": "The Rhine."}], "kind": "place"},
    {"conversations": [{"from": "human", "value": "Name a hill."}, {"from": "gpt", "value": "The Brocken."}]},
    {"instruction": "Add them.", "input": "3 and 4", "output": "7", "gold": "7", "day": 2},
    {"prompt": "Say hello.", "chosen": "Hello!", "rejected": "Go away."},
    {"text": "A plain text of some length stands here alone."},
]  # fmt: skip


def written(folder: Path, rows: list[Any], name: str = "theirs.jsonl") -> Path:
    file = folder / name
    file.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows), "utf-8")
    return file


def stored(run: Run) -> list[dict[str, Any]]:
    return [row for shard in run.shards() for row in shard.to_pylist()]


def test_rows_of_every_shape_become_a_run(tmp_path: Path) -> None:
    file = written(tmp_path, ROWS)
    run = curate(file, out=tmp_path / "run")
    record, rows = run.record, stored(run)
    assert record["format"] == 2 and record["status"] == "complete" and record["models"] == {}
    assert record["counts"] | {"skipped": 0} == record["counts"]
    assert record["counts"]["rows"] == record["counts"]["kept"] == len(ROWS) and record["counts"]["calls_bought"] == 0
    assert record["given"]["source"] == str(file)
    assert record["given"]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    said = [[(turn["role"], turn["content"]) for turn in row["messages"] or ()] for row in rows]
    assert said[1] == [("user", "Name a hill."), ("assistant", "The Brocken.")]
    assert said[2] == [("user", "Add them.\n3 and 4"), ("assistant", "7")]
    assert rows[3]["rejected"][0]["content"] == "Go away." and rows[4]["text"] == ROWS[4]["text"]
    assert json.loads(rows[2]["fields"]) == {"gold": "7", "day": 2, "source_row": "theirs.jsonl#3"}


def test_whatever_reads_runs_reads_it(tmp_path: Path) -> None:
    run = curate(written(tmp_path, ROWS[:3]), out=tmp_path / "run", with_=["length=2"])
    assert run.record["dropped_by"] == {"length": 1}
    assert {r.name for r in measure(run)} >= {"proxy_gain", "kept_share"}
    out, came = export(run, to="sharegpt", out=tmp_path / "out.jsonl")
    assert came.written == 2 and "The Rhine." in Path(out).read_text("utf-8")
    assert came.fields == {"kind": 1, "source_row": 2} and came.lost == {}
    page = report(run).read_text("utf-8")
    assert (
        "nothing was bought" in page and "a model wrote" not in page and "<dt>cost</dt><dd>nothing was bought" in page
    )
    life = trace(run, stored(run)[0]["id"])
    assert life["calls"] == [] and json.loads(life["row"]["fields"])["source_row"] == "theirs.jsonl#1"
    told = CliRunner().invoke(app, ["trace", str(run.path), life["row"]["id"]]).stdout
    assert "cost: 0" not in told and "nothing was bought" in told
    assert "somebody else made" in (run.data / "README.md").read_text("utf-8")


def test_judged_again_nothing_changes_and_checks_come_and_go(tmp_path: Path) -> None:
    run = curate(written(tmp_path, ROWS * 2), out=tmp_path / "run", with_=["exact-duplicate"])
    before, rows = run.record, stored(run)
    (tmp_path / "theirs.jsonl").unlink()  # its rows lie in the run
    again = curate(run)
    assert stored(again) == rows
    assert {k: v for k, v in again.record.items() if k != "curated"} == {**before, "counts": again.record["counts"]}
    assert curate(run, without=["exact-duplicate"]).record["counts"]["kept"] == 2 * len(ROWS)
    assert curate(run, with_=["length=3"]).record["dropped_by"]["length"] > 0
    assert curate(run, without=["all"], accept=4).record["dropped_by"] == {"accept": 6}


def test_rows_alike_are_kept_apart_and_fall_where_that_is_asked(tmp_path: Path) -> None:
    file = written(tmp_path, ROWS * 3)
    run = curate(file, out=tmp_path / "run")
    ids = [row["id"] for row in stored(run)]
    assert len(set(ids)) == len(ids) == run.record["counts"]["kept"] == 3 * len(ROWS)
    assert curate(file, out=tmp_path / "other", with_=["exact-duplicate"]).record["dropped_by"] == {
        "exact-duplicate": 10
    }


def test_more_bad_rows_than_good_are_refused(tmp_path: Path) -> None:
    file = written(tmp_path, [ROWS[0], "{broken", {"x": 1}])
    with pytest.raises(SynthgainError, match="2 of 3 rows cannot be used") as error:
        curate(file, out=tmp_path / "run")
    assert error.value.code == 2 and f"{file}:2" in error.value.what and not (tmp_path / "run").exists()


def test_of_a_solution_and_an_answer_the_solution_is_the_rows_and_the_answer_its_gold_one(tmp_path: Path) -> None:
    rows = [{"problem": "3 + 4?", "solution": f"3 + 4 = {n}\nAnswer: {n}", "answer": "7"} for n in (7, 8)]
    run = curate(written(tmp_path, rows), out=tmp_path / "run", with_=["final-answer"])
    assert run.record["dropped_by"] == {"final-answer": 1}
    assert [row["messages"][1]["content"] for row in stored(run)] == [row["solution"] for row in rows]


def test_a_solution_that_is_null_or_empty_is_said_by_its_name(tmp_path: Path) -> None:
    """Such rows fell as "no text", or the gold answer stood in for the solution and then was no gold one."""
    full = [
        {"problem": f"What is {i} + {i}?", "solution": f"It is \\boxed{{{2 * i}}}.", "answer": str(2 * i)}
        for i in range(5)
    ]
    bare = [{"problem": "What is 7 + 7?", "solution": held, "answer": "14"} for held in (None, "", " \n")]
    source = written(tmp_path, [*full, *bare])
    run = curate(source, out=tmp_path / "run", with_=["final-answer", "empty"])
    assert run.record["counts"] | {"rows": 5, "kept": 5, "skipped": 3} == run.record["counts"]
    assert run.record["given"]["skipped"] == {
        "the solution (column 'solution') is empty": 2,
        "the solution (column 'solution') is null": 1,
    }
    said = CliRunner().invoke(app, ["measure", str(source)])
    assert "3 of 8 rows skipped: the solution (column 'solution') is null" in said.output
    questions = written(tmp_path, [{"question": f"What is {i}?", "answer": None} for i in range(3)], "asked.jsonl")
    run = curate(questions, out=tmp_path / "asked", with_=["empty"])
    assert [row["reason"] for row in stored(run)] == ["no answer"] * 3


def test_a_row_that_cannot_be_used_is_skipped_and_said_or_refused(tmp_path: Path) -> None:
    file = written(tmp_path, [ROWS[0], "{broken", {"x": 1}, {"messages": 5}, ROWS[1], ROWS[2]])
    run = curate(file, out=tmp_path / "run")
    assert run.record["counts"]["rows"] == 3 and run.record["counts"]["skipped"] == 3
    assert f"{file}:3" in str(run.record["given"]["skipped_at"])
    with pytest.raises(SynthgainError) as error:
        curate(file, out=tmp_path / "strict", strict=True)
    assert error.value.code == 2 and f"{file}:" in error.value.where and not (tmp_path / "strict").exists()


def test_a_column_of_gold_answers_can_be_compared_with(tmp_path: Path) -> None:
    rows = [
        {"prompt": f"What is {i} and 1?", "completion": f"Answer: {i + 1}", "gold": str(i + i % 2)} for i in range(4)
    ]
    run = curate(written(tmp_path, rows), out=tmp_path / "run", with_=["final-answer:gold=gold"])
    assert run.record["counts"]["kept"] == 2
    assert stored(curate(run)) == stored(run)


def test_a_folder_and_a_text_column(tmp_path: Path) -> None:
    place = tmp_path / "set"
    place.mkdir()
    written(place, [{"body": "first"}, {"body": "second"}], "a.jsonl")
    written(place, [{"body": "third"}], "b.jsonl")
    (place / "README.md").write_text("# A card")
    run = curate(place, out=tmp_path / "run", text_field="body")
    assert [row["text"] for row in stored(run)] == ["first", "second", "third"]
    assert [file["rows"] for file in run.record["given"]["files"]] == [2, 1]
    assert run.record["given"]["files_left_out"] == [{"path": "README.md", "why": "the data set's card"}]


def test_a_column_inside_a_column_is_named_with_a_dot(tmp_path: Path) -> None:
    written(tmp_path, [{"a": {"b": "first"}}, {"a": {"b": "second"}}], "a.jsonl")
    run = curate(tmp_path / "a.jsonl", out=tmp_path / "run", text_field="a.b")
    assert [row["text"] for row in stored(run)] == ["first", "second"]


def test_what_makes_no_sense_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    file, run = written(tmp_path, ROWS), curate(written(tmp_path, ROWS), out=tmp_path / "run")
    with pytest.raises(SynthgainError, match="is a run"):
        curate(run.path, out=tmp_path / "second")
    with pytest.raises(SynthgainError, match="not a run") as error:
        curate(file)
    assert f"synthgain curate {file} -o" in error.value.next
    with pytest.raises(SynthgainError, match="--without"):
        curate(file, out=tmp_path / "second", without=["empty"])
    with pytest.raises(SynthgainError, match="here lies"):
        curate(written(tmp_path, ROWS[:1], "others.jsonl"), out=run.path)
    with pytest.raises(SynthgainError, match="no rows"):
        curate(written(tmp_path, [{"x": 1}], "none.jsonl"), out=tmp_path / "second")
    assert not (tmp_path / "second").exists() and run.record["counts"]["rows"] == len(ROWS)


@dataclass(frozen=True)
class Fails:
    """A check of the test's own that cannot read one row."""

    name: str = "fails"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        return keep() if len(row.answer) != 1 else drop(str(1 // 0))


def test_a_check_that_fails_is_named_with_the_row_and_nothing_is_written(tmp_path: Path) -> None:
    file = written(tmp_path, ROWS)
    with pytest.raises(SynthgainError, match="the check fails failed") as error:
        curate(file, out=tmp_path / "run", with_=[Fails()])
    assert "theirs.jsonl#3" in error.value.where and error.value.code == 2 and not (tmp_path / "run").exists()
    run = curate(file, out=tmp_path / "run")
    before = stored(run)
    with pytest.raises(SynthgainError, match="fails"):
        curate(run, with_=[Fails()])
    assert stored(run) == before and run.record["counts"]["kept"] == len(ROWS)

"""Figures that selections read, written into rows: losses of a scorer, rewards of a log."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from synthgain import Run, curate, score
from synthgain.types import Message, SynthgainError

ROWS = [
    {"id": "a", "question": "How many are 3 and 4?", "answer": "seven of them", "level": 2},
    {"id": "b", "question": "Name a lake.", "answer": "Tarn"},
    {"id": "c", "text": "A plain text."},
    {"id": "d", "messages": [{"role": "user", "content": "Go on."}, {"role": "assistant", "content": "too long"}]},
]


class Counting:
    """ln p(word) = -1/letters without anything before, and half of that after a question; texts with "long" are refused."""

    identity = "counting"

    def logprobs(self, pairs: Sequence[tuple[str | Sequence[Message], str]]) -> list[list[float]]:
        if any("long" in text for _, text in pairs):
            raise SynthgainError("a text that does not fit")
        return [[-len(word) / (2 if before else 1) for word in text.split()] for before, text in pairs]


def written(folder: Path, name: str, rows: Sequence[dict[str, Any]]) -> Path:
    file = folder / name
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def kept(run: Run) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    return [row for file in sorted(run.data.glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def test_losses_are_means_a_token_and_rows_without_them_are_counted(tmp_path: Path) -> None:
    done = score(written(tmp_path, "rows.jsonl", ROWS), tmp_path / "scored.jsonl", scorer=Counting())
    rows = read(done.out)
    assert (done.rows, done.scored) == (4, 2)
    assert dict(done.unscored) == {"it has no question with an answer": 1, "a text that does not fit": 1}
    assert rows[0]["loss_alone"] == pytest.approx((5 + 2 + 4) / 3)
    assert rows[0]["loss_given_question"] == pytest.approx((5 + 2 + 4) / 6)
    assert rows[0]["level"] == 2 and rows[0]["id"] == "a" and "source_row" not in rows[0]
    assert rows[2] == {"text": "A plain text.", "id": "c"}
    run = curate(done.out, out=tmp_path / "run", with_=["ifd:share=0,n=1"])
    assert run.record["counts"]["kept"] == 1 and run.record["dropped_by"] == {"ifd": 3}


def test_rewards_of_a_log_by_id_or_by_what_was_asked(tmp_path: Path) -> None:
    log = [
        {"id": "a", "epoch": 1, "reward": 0}, {"id": "a", "epoch": 1, "reward": 1}, {"id": "a", "epoch": 2, "reward": 1},
        {"prompt": "Name a lake.", "epoch": 2, "reward": 0.25}, {"id": "nobody", "epoch": 10, "reward": 1},
    ]  # fmt: skip
    done = score(written(tmp_path, "rows.jsonl", ROWS), tmp_path / "o.jsonl", log=written(tmp_path, "log.jsonl", log))
    rows = read(done.out)
    assert [row.get("rewards") for row in rows] == [[0.5, 1.0, None], [None, 0.25, None], None, None]
    assert (done.scored, done.log_without_rows) == (2, 1)


def test_from_a_log_to_a_selection(tmp_path: Path) -> None:
    rows = [{"id": str(i), "question": f"q{i}", "answer": "x"} for i in range(20)]
    log = [
        {"id": str(i), "epoch": epoch, "reward": min(1.0, epoch / 4) if i < 15 else float(epoch == 0)}
        for i in range(20)
        for epoch in range(5)
    ]
    done = score(written(tmp_path, "rows.jsonl", rows), tmp_path / "s.jsonl", log=written(tmp_path, "log.jsonl", log))
    run = curate(done.out, out=tmp_path / "run", with_=["limr"])
    assert sorted(int(row["id_"]) for row in kept(run)) == list(range(15))


@pytest.mark.parametrize(
    "line", ["[]", "no JSON", '{"id": "a", "epoch": 1}', '{"epoch": 1, "reward": 1}', '{"id": "a", "epoch": "x", "reward": 1}']
)  # fmt: skip
def test_a_log_that_is_none_is_refused_with_its_line_and_nothing_is_written(line: str, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text('{"id": "a", "epoch": 1, "reward": 1}\n' + line + "\n", "utf-8")
    with pytest.raises(SynthgainError) as told:
        score(written(tmp_path, "rows.jsonl", ROWS), tmp_path / "o.jsonl", log=log)
    assert told.value.where.endswith("log.jsonl:2") and not (tmp_path / "o.jsonl").exists()


def test_what_cannot_be_asked(tmp_path: Path) -> None:
    rows = written(tmp_path, "rows.jsonl", ROWS)
    for options in ({}, {"log": tmp_path / "nothing.jsonl"}):
        with pytest.raises(SynthgainError):
            score(rows, tmp_path / "o.jsonl", **options)  # type: ignore[arg-type]
    with pytest.raises(SynthgainError, match="jsonl"):
        score(rows, tmp_path / "o.txt", scorer=Counting())
    assert not list(tmp_path.glob(".*new"))


def test_a_scorer_without_finite_losses_gives_none(tmp_path: Path) -> None:
    class Impossible(Counting):
        def logprobs(self, pairs: Sequence[tuple[str | Sequence[Message], str]]) -> list[list[float]]:
            return [[-math.inf] for _ in pairs]

    done = score(written(tmp_path, "rows.jsonl", ROWS[:1]), tmp_path / "o.jsonl", scorer=Impossible())
    assert done.scored == 0 and dict(done.unscored) == {"the scorer gives no finite loss": 1}

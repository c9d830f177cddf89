"""What the meter reads of runs and of anybody's files: columns as people write them, and folders that are not whole."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import synthgain as sg
from synthgain.api.sources import data_of_files, data_of_run, real_texts
from synthgain.measure.meter import tokens_out
from synthgain.measure.randomness import delta_i
from synthgain.store import Run
from synthgain.types import Reading, SynthgainError

TEXTS = [f"Number {i} of the old mills of Orrin has {i + 2} wheels and a red roof." for i in range(12)]
COLUMNS = ("text", "answer", "prompt", "anchor_ids", "logprob", "tokens_out", "law")
LAW = "plain softmax, T = 1"


def written(file: Path, rows: list[dict[str, Any]]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file


def read(file: Path, **options: Any) -> list[dict[str, Any]]:
    return [row for table in data_of_files(file, None, **options).rows(COLUMNS) for row in table.to_pylist()]


def scored(tmp_path: Path, **more: Any) -> list[dict[str, Any]]:
    base = {"logprob": -6.0, "tokens_out": 3, "law": LAW}
    return [{"text": text, **base, **more} for text in TEXTS]


def reading(found: list[Reading], name: str) -> Reading:
    return next(r for r in found if r.name == name)


# ---------------------------------------------------------------------------------------------- columns


def test_delta_i_of_a_files_columns_is_their_ratio(tmp_path: Path) -> None:
    rows = [{**row, "logprob": -float(i + 1), "tokens_out": i + 2} for i, row in enumerate(scored(tmp_path))]
    value = reading(delta_i(data_of_files(written(tmp_path / "rows.jsonl", rows), None)), "delta_I").value
    assert value == pytest.approx(sum(range(1, 13)) / sum(range(2, 14)))


def test_numbers_that_a_table_holds_as_text_or_as_decimals_count(tmp_path: Path) -> None:
    rows = scored(tmp_path, logprob="-6.0", tokens_out="3.0")
    assert [(r["logprob"], r["tokens_out"]) for r in read(written(tmp_path / "a.jsonl", rows))] == [(-6.0, 3)] * 12


@pytest.mark.parametrize("wrong", [True, "many", -(10**400), "nan", [1], None])
def test_what_is_no_log_probability_is_null_and_its_law_is_no_reason(tmp_path: Path, wrong: Any) -> None:
    found = reading(
        delta_i(data_of_files(written(tmp_path / "a.jsonl", scored(tmp_path, logprob=wrong)), None)), "delta_I"
    )
    assert found.value is None and "logprob" in found.note and "finite number" in found.note


@pytest.mark.parametrize("wrong", [-5, 10**12, 2.5, "three", True])
def test_what_is_no_token_count_is_none(tmp_path: Path, wrong: Any) -> None:
    data = data_of_files(written(tmp_path / "a.jsonl", scored(tmp_path, tokens_out=wrong)), None)
    assert tokens_out(data).value is None and reading(delta_i(data), "delta_I").value is None


def test_outputs_of_one_prompt_beside_a_text_are_one_unit(tmp_path: Path) -> None:
    rows = [{**row, "prompt": f"p{i // 4}", "logprob": -1.0 - i} for i, row in enumerate(scored(tmp_path))]
    assert reading(delta_i(data_of_files(written(tmp_path / "a.jsonl", rows), None)), "delta_I").n == 3


def test_the_answer_inside_a_templated_text_is_what_was_written(tmp_path: Path) -> None:
    row = {"text": "### Ask: why? ### Say: for no reason", "instruction": "why?", "output": "for no reason"}
    file = written(tmp_path / "a.jsonl", [row])
    (found,) = read(file)
    assert (found["text"], found["prompt"], found["answer"]) == ("why?\n\nfor no reason", "why?", "for no reason")
    (templated,) = read(file, text_field="text")
    assert (templated["text"], templated["prompt"], templated["answer"]) == (row["text"], "why?", "for no reason")


def test_a_row_without_an_answer_is_skipped_and_said_and_numbers_are_answers(tmp_path: Path) -> None:
    for asks, answers in (("instruction", "output"), ("question", "answer")):
        rows = [{asks: f"why {i}?", answers: "so"} for i in range(3)] + [{asks: "why not?", answers: None}]
        file, told = written(tmp_path / f"{asks}.jsonl", rows), list[str]()
        assert len(read(file, tell=told.append)) == 3
        assert len(told) == 1 and "1 of 4 rows skipped" in told[0] and "null" in told[0] and str(file) in told[0]
        with pytest.raises(SynthgainError, match="null") as raised:
            read(file, strict=True)
        assert raised.value.where and raised.value.next
        with pytest.raises(SynthgainError):
            read(written(tmp_path / "none.jsonl", rows[3:]))
    (found,) = read(written(tmp_path / "b.jsonl", [{"question": "1 + 1?", "answer": 2}]))
    assert found["answer"] == "2" and found["prompt"] == "1 + 1?"


def test_dialogues_that_end_alike_have_prompts_of_their_own(tmp_path: Path) -> None:
    turns = [
        ("human", "Tell me of mill {}."),
        ("gpt", "It has {} wheels."),
        ("human", "And then?"),
        ("gpt", "Nothing."),
    ]
    rows = [
        {
            "conversations": [{"from": f, "value": v.format(i)} for f, v in turns],
            "logprob": -2.0 - i,
            "tokens_out": 2,
            "law": LAW,
        }
        for i in range(60)
    ]
    file = written(tmp_path / "a.jsonl", rows)
    found = read(file)
    assert len({row["prompt"] for row in found}) == 60 and all(row["answer"] == "Nothing." for row in found)
    assert found[7]["prompt"].startswith("user: Tell me of mill 7.") and "It has 7 wheels." in found[7]["text"]
    assert reading(delta_i(data_of_files(file, None)), "delta_I").n == 60


def test_the_card_beside_a_data_set_is_no_row(tmp_path: Path) -> None:
    written(tmp_path / "set" / "rows.jsonl", [{"text": text} for text in TEXTS])
    (tmp_path / "set" / "README.md").write_text("# A data set\n", "utf-8")
    data = data_of_files(tmp_path / "set", None)
    assert data.n_rows == 12 and sum(len(t) for t in data.rows(("text",))) == 12


def test_rows_find_their_anchors_by_the_anchors_own_ids(tmp_path: Path) -> None:
    rows = written(
        tmp_path / "rows.jsonl", [{"text": text, "anchor_ids": [f"doc-{i}", None]} for i, text in enumerate(TEXTS)]
    )
    real = written(tmp_path / "real.jsonl", [{"text": text, "id": f"doc-{i}"} for i, text in enumerate(TEXTS)])
    data = data_of_files(rows, real)
    assert data.linked and [i for t in data.anchors(("id", "text")) for i in t.column("id").to_pylist()][:2] == [
        "doc-0",
        "doc-1",
    ]
    assert data_of_files(written(tmp_path / "u.jsonl", [{"text": t} for t in TEXTS]), real).linked is False


# ---------------------------------------------------------------------------------------------- runs


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources") / "run"
    sg.generate("rephrase", TEXTS, model="scripted/words?n=30", out=folder)
    return folder


def test_a_runs_data_beside_other_real_text_keeps_what_the_run_knows(run: Path, tmp_path: Path) -> None:
    other = written(tmp_path / "real.jsonl", [{"text": f"Another text, of the year {i}."} for i in range(20)])
    mine = data_of_run(Run.at(run))
    for data in (data_of_files(run / "data", other), data_of_run(Run.at(run), anchors=other)):
        assert (data.n_rows, data.n_anchors, data.ledger) == (mine.n_rows, 20, mine.ledger)
        assert reading(delta_i(data), "delta_I") == reading(delta_i(mine), "delta_I")


def _no_rows(folder: Path) -> None:
    shutil.rmtree(folder / "rows")


def _no_anchors(folder: Path) -> None:
    shutil.rmtree(folder / "anchors")


def _fewer_rows(folder: Path) -> None:
    part = next((folder / "rows").glob("*.parquet"))
    pq.write_table(pq.read_table(part).slice(1), part)


def _damaged(folder: Path) -> None:
    next((folder / "rows").glob("*.parquet")).write_bytes(b"PAR1 no more")


def _no_counts(folder: Path) -> None:
    (folder / "run.json").write_text('{"counts": {"rows": 3}}', "utf-8")


def _no_recipe(folder: Path) -> None:
    record = json.loads((folder / "run.json").read_text("utf-8"))
    (folder / "run.json").write_text(json.dumps(record | {"recipe": None}), "utf-8")


@pytest.mark.parametrize("hurt", [_no_rows, _no_anchors, _fewer_rows, _damaged, _no_counts, _no_recipe])
def test_a_run_that_is_not_whole_is_refused(run: Path, tmp_path: Path, hurt: Callable[[Path], None]) -> None:
    folder = tmp_path / "hurt"
    shutil.copytree(run, folder)
    hurt(folder)
    with pytest.raises(SynthgainError) as raised:
        data_of_run(Run.at(folder))
    assert raised.value.code == 2 and str(folder) in raised.value.where and "again" in raised.value.next


def test_the_real_text_of_a_run_is_its_anchors_and_not_its_rows(run: Path) -> None:
    batches, n = real_texts(run)
    assert n == 12 and sorted(t for table in batches(("text",)) for t in table.column("text").to_pylist()) == sorted(
        TEXTS
    )


def test_a_seed_below_zero_is_refused(run: Path, tmp_path: Path) -> None:
    for source in (run, written(tmp_path / "a.jsonl", [{"text": text} for text in TEXTS])):
        with pytest.raises(SynthgainError, match="seed"):
            sg.measure(source, seed=-1, embedder="")

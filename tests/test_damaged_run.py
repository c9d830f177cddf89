"""A run folder that lost half of a file (a copy that broke off, a disk that failed), seen by whoever reads it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import synthgain as sg
from synthgain import Run, SynthgainError, generate

TEXTS = [f"Mill {i} has {i} wheels and stands on the Orrin." for i in range(3)]
READERS: dict[str, Callable[[Run, str], Any]] = {
    "rows": lambda run, id: list(run.rows()),
    "trace": sg.trace,
    "export": lambda run, id: sg.export(run.path, to="text", out=run.path.with_name("x.jsonl")),
    "columns": lambda run, id: run.data_columns(),
    "measure": lambda run, id: sg.measure(run),
    "compare": lambda run, id: sg.compare([run.path, run.path]),
    "curate": lambda run, id: sg.curate(run.path),  # the last: it makes rows and data anew
}
NEEDS = {  # who cannot do without a part
    "rows": {"rows", "trace", "export", "measure", "compare"},
    "data": {"columns"},
    "anchors": {"trace", "measure", "compare", "curate"},
    "groups": {"curate"},
}


def made(out: Path, texts: list[str] = TEXTS, **options: Any) -> Run:
    file = out.with_name("texts.jsonl")
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), "utf-8")
    return generate("rephrase", file, model="scripted/words?n=20", out=out, **options)


def halved(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize("part", sorted(NEEDS))
def test_who_needs_the_damaged_file_names_it_and_the_others_go_on(tmp_path: Path, part: str) -> None:
    run = made(tmp_path / "r")
    first, file = next(iter(run.rows()))["id"], run.files(part)[0]  # type: ignore[arg-type]
    halved(file)
    refused = set()
    for name, read in READERS.items():
        try:
            read(run, first)
        except SynthgainError as error:
            assert error.code == 2 and str(file) in str(error), name
            refused.add(name)
    assert refused == NEEDS[part]


@pytest.mark.parametrize("part", sorted(NEEDS))
def test_the_command_of_the_run_makes_what_is_damaged_anew_from_the_calls(tmp_path: Path, part: str) -> None:
    run = made(tmp_path / "r")
    before = {row["id"] for row in run.rows()}
    halved(run.files(part)[0])  # type: ignore[arg-type]
    assert made(run.path).record["counts"]["calls_bought"] == 0 and {row["id"] for row in run.rows()} == before
    halved(run.files(part)[0])  # type: ignore[arg-type]
    fewer = made(run.path, TEXTS[:2], replace=True).record["counts"]
    assert fewer["calls_bought"] == 0 and fewer["anchors"] == 2

"""What of people's files was skipped, from the command line to the record; `--strict` refuses it before anything is bought."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import synthgain as sg
from synthgain import cli
from synthgain.store import Run
from synthgain.types import SynthgainError

SCRIPT = "scripted/words?n=20"
Command = Callable[..., int]


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for i in range(6):
        (folder / f"page-{i}.md").write_text(f"Page {i}: the old mills of Orrin have {i + 2} wheels and a red roof.")
    rows: list[dict[str, Any]] = [{"text": f"Row {i} says what the miller of Orrin said {i} times."} for i in range(6)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"text": None}]))
    (folder / "empty.md").write_text("")
    (folder / "logo.png").write_bytes(b"\x89PNG")
    return folder


@pytest.fixture
def run_cli(monkeypatch: pytest.MonkeyPatch) -> Command:
    def command(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["synthgain", *words])
        try:
            cli.main()
        except SystemExit as end:
            return int(end.code or 0)
        return 0

    return command


def test_what_was_skipped_is_on_screen_and_in_the_record(
    docs: Path, run_cli: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    out = docs.parent / "run"
    assert run_cli("generate", "rephrase", str(docs), "-o", str(out), "-m", SCRIPT, "--limit", "2") == 0
    said = capsys.readouterr().err
    assert "1 of 13 rows skipped" in said and f"{docs / 'rows.jsonl'}:7" in said and "2 files not read" in said
    skipped = Run(out).record["anchors"]["skipped"]
    assert (skipped["rows"], skipped["files"]) == (1, 2)
    first = {by["why"]: by["first"] for by in skipped["by"]}
    assert first["the text (column 'text') is null"] == [f"{docs / 'rows.jsonl'}:7"]
    assert first["the file is empty"] == [str(docs / "empty.md")] and first[".png is not read"] == ["logo.png"]


@pytest.mark.parametrize("command", ["generate", "preview"])
def test_strict_refuses_before_a_call(
    docs: Path, run_cli: Command, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = docs.parent / "run"
    assert run_cli(command, "rephrase", str(docs), "-o", str(out), "-m", SCRIPT, "--strict") == 2
    said = capsys.readouterr().err
    assert "2 rows or files cannot be used" in said and not Run(out).calls.exists()


def test_strict_holds_for_what_is_measured(docs: Path, run_cli: Command, capsys: pytest.CaptureFixture[str]) -> None:
    rows = str(docs / "rows.jsonl")
    assert run_cli("measure", rows, "--embedder", "", "--strict") == 2
    assert "rows.jsonl:7" in capsys.readouterr().err
    assert run_cli("measure", rows, "--embedder", "", "--json") == 0
    assert "1 of 7 rows skipped" in capsys.readouterr().err


def test_merged_dialogues_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    turns = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]
    other = [*turns[:1], {"role": "assistant", "content": "Thus."}]
    sg.generate("rephrase", [{"messages": turns}, {"messages": other}], model=SCRIPT, out=tmp_path / "run")
    assert "1 duplicate of 2 merged" in capsys.readouterr().err
    with pytest.raises(SynthgainError):
        sg.generate("rephrase", [{"text": ""}], model=SCRIPT, out=tmp_path / "other")

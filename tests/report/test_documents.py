"""Documents with what came of each, what broke with what to do, and titles that say what was used: on runs that were made."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

import synthgain as sg
from doubles.folders import run_folder
from report.pages import checked
from synthgain.cli import app
from synthgain.report.broken import ELSE, what_to_do
from synthgain.report.documents import documents
from synthgain.report.page import write
from synthgain.store import Run
from synthgain.types import SynthgainError

RECIPE = """
from synthgain.types import Prompt, Recipe, Row, drop, user

async def draft(models, anchor):
    if "page 3 " in anchor.text:
        raise ValueError("this page cannot be cut")
    call = await models(Prompt((user(anchor.text),)))
    verdicts = (drop("too short", check="length"),) if "page 5 " in anchor.text else ()
    yield Row(text=call.text, calls=(call,), verdicts=verdicts)

RECIPE = Recipe(name="pages", version="1", draft=draft)
"""


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """Thirty pages and a recipe that fails on one of them and drops another."""
    (tmp_path / "docs").mkdir()
    for i in range(30):
        (tmp_path / "docs" / f"page{i:02}.md").write_text(
            f"The page {i} of the house says that Brell came in {1800 + i}."
        )
    (tmp_path / "pages.py").write_text(RECIPE)
    return tmp_path


def made(pages: Path, **more: int) -> Run:
    return sg.generate(str(pages / "pages.py"), str(pages / "docs"), model="scripted/echo", out=pages / "run", **more)


def test_each_document_has_its_rows_and_failures_by_reason(pages: Path) -> None:
    run = made(pages)
    by_name = {d.name: d for d in documents(run, {}).all}
    assert len(by_name) == 30 and by_name["page00.md"].kept == 1
    assert by_name["page05.md"].rows == 1 and dict(by_name["page05.md"].why) == {"length": 1}
    assert by_name["page03.md"].broken == 1 and "this page cannot be cut" in next(iter(by_name["page03.md"].why))
    said = checked(write(run.path)).said
    table = said[said.index("What came of each document") :]
    assert "from 2 of them no row was kept" in table
    assert table.index("page03.md") < table.index("page05.md") < table.index("page00.md")
    assert "18 more documents" in table


def test_what_broke_stands_with_what_to_do_on_page_and_screen(pages: Path) -> None:
    done = CliRunner().invoke(
        app, ["generate", str(pages / "pages.py"), str(pages / "docs"), "-m", "scripted/echo", "-o", str(pages / "run"), "--yes"]
    )  # fmt: skip
    assert done.exit_code == 0
    for told in (done.output, checked(write(pages / "run")).said):
        assert "this page cannot be cut" in told and "page03.md" in told
        assert "mend it where the reason says" in told and "network" not in told


def test_titles_say_what_was_used(pages: Path) -> None:
    """A run that stopped after 14 of 30 anchors said "69 rows from 30 anchors"."""
    with pytest.raises(SynthgainError, match="budget"):
        made(pages, max_tokens=700)
    run = Run.at(pages / "run")
    used = len(
        {id for table in run.shards(["anchor_ids"]) for ids in table.column("anchor_ids").to_pylist() for id in ids}
    )
    assert 0 < used < 30
    kept = run.record["counts"]["kept"]
    said = checked(write(run.path)).said
    assert f"pages: {kept} row{'s' * (kept != 1)} from {used} of 30 anchors" in said
    assert f"from {used} of 30 pieces of real text" in (run.data / "README.md").read_text()
    assert "documents were not drafted from" in said


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("400 this model's maximum context length is 2048 tokens", "cut these documents"),
        ("longer than the model's context of 4,096 tokens: not asked", "cut these documents"),
        ("429 rate limit reached, for 300 s", "--concurrency"),
        ("no answer within 600 s, 3 times", "too slow"),
        ("401 invalid api key", "the key"),
        ("503 the server is overloaded", "later"),
        ("500 internal server error (4 tries)", "its log"),
        ("connection reset by peer", "what is paid for is kept"),
        ("the server refuses this prompt: 400 content_filter", "leave these documents out"),
        ("KeyError: 'title' (mine.py:12)", "mend it"),
        ("something that nobody has seen", ELSE),
    ],
)
def test_a_reason_has_its_next_step(reason: str, words: str) -> None:
    assert words in what_to_do(reason)


def test_rows_of_a_file_of_many_are_taken_together(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", anchors=24)
    found = documents(Run(folder), {})
    assert found.used == 24 and sum(d.rows for d in found.all) == 144
    gone = documents(Run(folder), {"anchors": "there is no anchors/ with Parquet files"})
    assert not gone.all and gone.missing


def test_a_kept_row_has_its_price_and_a_knob_stands_once(tmp_path: Path) -> None:
    folder = run_folder(
        tmp_path / "run", record={"cost_usd": 0.42, "command": "synthgain generate rft p.jsonl --set k=6"}
    )
    record = Run(folder).record
    Run(folder).write_record({**record, "recipe": {**record["recipe"], "knobs": {"k": 6, "temperature": 0.7}}})
    said = checked(write(folder)).said
    assert f"${0.42 / record['counts']['kept']:.4f}" in said
    assert said.count("k = 6") == 0 and said.count("k=6") == 1 and said.count("temperature = 0.7") == 1

"""Recorded calls between processes: one buys from a server, another makes the same data set with the server gone."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import synthgain as sg
from doubles.server import Server, served
from synthgain.api import report, trace

KEY, ORGANISATION = "sk-recognisable-8150", "tenant-8150"
TEXT = "The mill of Orrin has two wheels, and the town lies on a lake. " * 15
REPLAY = ["generate", "rephrase", "docs", "-m", "openai/double", "--calls", "first.jsonl.gz", "--calls-only"]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with served(words=12) as running:
        yield running


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Path:
    """A folder with `docs/`, a run `first` that bought its calls from the server, and these as `first.jsonl.gz`."""
    place = tmp_path_factory.mktemp("made")
    (place / "docs").mkdir()
    for n in range(4):
        (place / "docs" / f"{n}.txt").write_text(f"Document {n}. {TEXT}", "utf-8")
    headers = ["--header", f"X-Org: {ORGANISATION}", "--header", "X-Key: $X_KEY"]
    reach = ["-m", "openai/double", "--base-url", server.base_url, "--price", "1,2", *headers]
    assert typed(place, "generate", "rephrase", "docs", "-o", "first", *reach, OPENAI_API_KEY=KEY, X_KEY=KEY) == ""
    assert typed(place, "export", "first", "--to", "calls", "-o", "first.jsonl.gz") == ""
    return place


@pytest.fixture
def place(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same as the present folder, with nothing said of servers."""
    monkeypatch.chdir(made)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    return made


def typed(place: Path, *words: str, **more: str) -> str:
    """A command in a process of its own, without a server in its environment; "", or what went wrong."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI")} | more
    command = [sys.executable, "-m", "synthgain", *words]
    done = subprocess.run(command, cwd=place, env=env, capture_output=True, text=True, timeout=120)
    return done.stderr if done.returncode else ""


def rows(run: Path) -> list[dict[str, object]]:
    return sorted(sg.Run(run).rows(), key=lambda row: str(row["id"]))


def test_the_same_data_set_without_the_server(place: Path, server: Server) -> None:
    asked = server.stats()["asked"]
    assert typed(place, *REPLAY, "-o", "again") == ""
    assert server.stats()["asked"] == asked
    assert rows(place / "again") == rows(place / "first")
    first, second = sg.Run("first").record, sg.Run("again").record
    counts = second["counts"]
    assert (counts["calls_bought"], counts["calls_reused"], counts["calls_recorded"]) == (0, 0, 16)
    assert (second["cost_usd"], second["tokens"]) == (pytest.approx(first["cost_usd"]), first["tokens"])
    assert [one["file"] for one in second["request"]["calls"]] == ["first.jsonl.gz"]
    for shown in (place / "again" / "data" / "README.md", report("again")):
        assert "16 of 16 calls, made by openai/double" in shown.read_text("utf-8")


def test_a_replay_goes_on_without_its_file(place: Path, tmp_path: Path) -> None:
    file = tmp_path / "moved.jsonl.gz"
    file.write_bytes((place / "first.jsonl.gz").read_bytes())
    run = sg.generate("rephrase", "docs", model="openai/double", out=tmp_path / "run", calls=file, calls_only=True)
    before = run.record
    file.unlink()
    row = next(run.rows())
    assert trace(run, row["id"])["calls"][0]["id"] == row["call_ids"][0]
    assert sg.curate(run).record["counts"] == before["counts"] and run.record["recorded"] == before["recorded"]
    again = sg.generate("rephrase", "docs", model="openai/double", out=run.path, calls=file, calls_only=True)
    assert again.record["counts"] == before["counts"] and again.record["recorded"] == before["recorded"]
    again = sg.generate("rephrase", "docs", model="openai/double", out=run.path, calls_only=True)
    assert again.record["counts"] == before["counts"] and again.record["recorded"] == before["recorded"]


def test_a_recording_holds_no_secret_and_says_what_it_is(place: Path, server: Server) -> None:
    text = gzip.decompress(Path("first.jsonl.gz").read_bytes()).decode()
    assert KEY not in text and ORGANISATION not in text and "X-Key" not in text
    head = json.loads(text.split("\n", 1)[0])
    assert head["calls"] == 16 and head["machine"] and head["made"].startswith("20")
    assert [json.loads(model["identity"]) for model in head["models"]] == [[server.base_url, "double"]]
    assert head["command"].startswith("synthgain generate rephrase docs -o first -m openai/double")
    assert text.count("The mill of Orrin has two wheels") == 4 * 15, "what prompts share is written once"


def test_what_is_missing_breaks_and_is_bought_when_it_may_be(place: Path, server: Server, tmp_path: Path) -> None:
    docs = [f"Document {n}. {TEXT}" for n in range(5)]
    out, asked = tmp_path / "run", server.stats()["asked"]
    how = {"model": "openai/double", "base_url": server.base_url, "out": out, "calls": "first.jsonl.gz"}
    with pytest.raises(sg.TooManyBroken, match="4 calls are not among the recorded"):
        sg.generate("rephrase", docs, calls_only=True, **how)
    counts = sg.Run(out).record["counts"]
    assert (counts["kept"], counts["broken"], server.stats()["asked"]) == (16, 4, asked)
    run = sg.generate("rephrase", docs, **how)
    counts = run.record["counts"]
    assert (counts["calls_bought"], counts["calls_recorded"], counts["broken"]) == (4, 16, 0)
    assert server.stats()["asked"] == asked + 4


@pytest.mark.parametrize("moment", ["again/.recorded.part", pytest.param("again/.staged", marks=pytest.mark.slow)])
def test_a_replay_that_is_killed_goes_on(moment: str, tmp_path: Path) -> None:
    texts = [{"text": f"Document {n} tells of mill {n}. {TEXT}"} for n in range(40)]
    (tmp_path / "docs.jsonl").write_text("".join(json.dumps(t) + "\n" for t in texts), "utf-8")
    first = sg.generate("rephrase", tmp_path / "docs.jsonl", model="scripted/words?n=30", out=tmp_path / "first")
    words = [
        "generate",
        "rephrase",
        "docs.jsonl",
        "-m",
        "scripted/words?n=30",
        "-o",
        "again",
        "--calls",
        "first",
        "--calls-only",
    ]
    process = subprocess.Popen([sys.executable, "-m", "synthgain", *words], cwd=tmp_path, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while process.poll() is None and not (tmp_path / moment).exists() and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() in (-signal.SIGKILL, 0)  # 0: this test was too slow to kill it
    assert typed(tmp_path, *words) == ""
    assert rows(tmp_path / "again") == rows(first.path)
    assert sg.Run(tmp_path / "again").record["counts"]["calls_recorded"] == 160
    assert not [*(tmp_path / "again").glob(".recorded*")]

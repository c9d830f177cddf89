"""Writes docs/reference.md from docstrings and options: `python docs/reference.py` (or `make reference`)."""

from __future__ import annotations

import inspect
import re
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

import synthgain
from synthgain import cli
from synthgain.api.reaching import Servers

FILE = Path(__file__).with_name("reference.md")
HEAD = """# Reference

Made from the code by `make reference`; edit the docstrings there, not this page.

## Python

```python
import synthgain as sg
```
"""


def text() -> str:
    """The whole page."""
    parts = [getattr(synthgain, name) for name in synthgain.__all__]
    functions = [part for part in parts if inspect.isfunction(part)]
    classes = [part for part in parts if inspect.isclass(part)]
    errors = [part for part in classes if issubclass(part, Exception)]
    nouns = [part for part in classes if part not in errors]
    commands = cli.parser().commands
    sections = [
        HEAD,
        *map(_function, functions),
        *map(_class, nouns),
        "### Errors\n\n" + "\n".join(f"- `sg.{e.__name__}`: {_plain(inspect.getdoc(e))}" for e in errors) + "\n",
        f"## Commands\n\n{inspect.cleandoc(cli.app.info.help)}\n",
        *(_command(name, commands[name]) for name in sorted(commands)),
    ]
    return "\n".join(sections)


def _function(part: Any, owner: str = "sg.") -> str:
    return f"### {owner}{part.__name__}\n\n{_fenced(_signature(part, owner))}\n\n{inspect.getdoc(part)}\n"


def _signature(part: Any, owner: str) -> str:
    """One parameter a line, as it is written in the code."""
    known = inspect.signature(part)
    said = list(Servers.__annotations__) if hasattr(part, "__wrapped__") else []
    shown = [p for p in known.parameters.values() if p.name not in ("self", *said)]
    lines, starred = [], False
    for p in shown:
        if p.kind is p.KEYWORD_ONLY and not starred:
            lines.append("    *,")
            starred = True
        mark = {p.VAR_KEYWORD: "**", p.VAR_POSITIONAL: "*"}.get(p.kind, "")
        kind = "" if p.annotation is p.empty else f": {_named(p.annotation)}"
        default = "" if p.default is p.empty else f" = {_default(p.default)}"
        lines.append(f"    {mark}{p.name}{kind}{default},")
    lines += [f"    {', '.join(said)}: as the fields of sg.Reach,"] if said else []
    given = "" if known.return_annotation is known.empty else f" -> {_named(known.return_annotation)}"
    inside = "\n".join(lines)
    return f"{owner}{part.__name__}(" + (f"\n{inside}\n" if lines else "") + f"){given}"


def _class(part: Any) -> str:
    told = [f"### sg.{part.__name__}\n\n{inspect.getdoc(part)}\n"]
    if is_dataclass(part):
        rows = [f"{f.name}: {_named(f.type)}" + _of_field(f) for f in fields(part) if not f.name.startswith("_")]
        told.append(_fenced("\n".join(rows)) + "\n")
    for name, member in inspect.getmembers(part):
        if name.startswith("_") or not inspect.getdoc(member) or getattr(Exception, name, None):
            continue
        if isinstance(member, property) and member.fget is not None:
            told.append(f"- `.{name}`: {_plain(inspect.getdoc(member))}")
        elif inspect.isfunction(member):
            told.append(
                f"- `.{name}{inspect.signature(member)}`: {_plain(inspect.getdoc(member))}".replace(
                    "(self, ", "("
                ).replace("(self)", "()")
            )
    return "\n".join(told) + "\n"


def _of_field(f: Any) -> str:
    if f.default is not MISSING:
        return f" = {_default(f.default)}"
    return " = …" if f.default_factory is not MISSING else ""


def _command(name: str, command: Any) -> str:
    """A command's help and options; of a command with commands of its own, theirs."""
    if hasattr(command, "commands"):
        return "\n".join(_command(f"{name} {one}", command.commands[one]) for one in sorted(command.commands))
    rows = []
    for p in command.params:
        if p.name == "help":
            continue
        names = ", ".join([*p.opts, *p.secondary_opts]) if p.param_type_name == "option" else p.name.upper()
        default = (
            ""
            if p.default in (None, False, "", ()) or callable(p.default) or p.required
            else f" (default: {p.default})"
        )
        rows.append(f"| `{names}` | {_cell(p.help or '')}{_cell(default)} |")
    table = "\n".join(["| | |", "|---|---|", *rows])
    help_ = re.sub(r"Example: (.*)", r"Example: `\1`", " ".join((command.help or "").split()))
    return f"### synthgain {name}\n\n{help_}\n\n{table}\n"


def _fenced(inside: str) -> str:
    return f"```text\n{inside}\n```"


def _named(kind: Any) -> str:
    return kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind))


def _default(value: Any) -> str:
    name = getattr(value, "__name__", "") or repr(value)
    return "…" if name.startswith("<") else name


def _plain(doc: str | None) -> str:
    return " ".join((doc or "").split())


def _cell(said: str) -> str:
    return said.replace("|", "\\|")


if __name__ == "__main__":
    FILE.write_text(text(), "utf-8")
    print(FILE)

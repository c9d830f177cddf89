"""The only reader of arguments: a thin skin over `synthgain.api`."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup
from typer.main import get_group
from typer.models import CommandInfo

from synthgain.cli import (  # their commands register themselves
    arms,
    auditing,
    curating,
    looking,
    making,
    measuring,
    planning,
    teaching,
)
from synthgain.cli.arguments import app, command_line, short_of
from synthgain.cli.laboratory import laboratory
from synthgain.cli.printing import say

if TYPE_CHECKING:
    from synthgain.types import SynthgainError

__all__ = [
    "app",
    "arms",
    "auditing",
    "curating",
    "looking",
    "main",
    "making",
    "measuring",
    "parser",
    "planning",
    "teaching",
]

app.add_typer(laboratory, name="simulate")
FIRST = [
    *("demo", "recipes", "checks", "models", "check", "preview", "generate"),
    *("show", "trace", "curate", "report", "measure", "compare"),
]  # as a newcomer wants them listed; the others follow


def _place(command: CommandInfo) -> int:
    name = getattr(command.callback, "__name__", "")
    return FIRST.index(name) if name in FIRST else len(FIRST)


app.registered_commands.sort(key=_place)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"synthgain {version('synthgain')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    pass


@functools.cache
def parser() -> TyperGroup:
    """What reads the arguments, its commands by name in `commands`. Made once: that takes longer than many a command."""
    return get_group(app)


def main() -> None:
    """The console script: every error a person can act on is said in words, with its exit code."""
    from synthgain.types import SynthgainError

    try:
        _somewhere(sys.argv)
        ended = parser()(standalone_mode=False)
        sys.stdout.flush()
        if ended == 130:  # what the parser makes of a KeyboardInterrupt, ours (`Interrupted`) among them
            raise KeyboardInterrupt
        if ended:  # a command that has said why
            raise SystemExit(ended)
    except KeyboardInterrupt:
        say(f"synthgain: interrupted; everything bought is kept. To go on: {command_line()}")
        # Python remembers an interrupt inside an `exec`, such as the one that makes a dataclass, and would end by the signal.
        exec("")
        raise SystemExit(130) from None
    except SynthgainError as error:
        say(f"synthgain: {error}")
        raise SystemExit(error.code) from None
    except BrokenPipeError:
        _unheard()
    except SystemExit as end:  # the parser ends so where standard output was closed
        if isinstance(end.__context__, BrokenPipeError):
            _unheard()
        raise
    except Exception as error:
        _exit_for(error)


def _somewhere(words: Sequence[str]) -> None:
    """SynthgainError where -o is given nothing, as by a shell's variable that is not set: as a path that is the folder one stands in."""
    from synthgain.types import SynthgainError

    if "--out=" in words or any(name in ("-o", "--out") and not value for name, value in pairwise(words)):
        raise SynthgainError("the path is empty", where="-o", next="give the path of what is to be written")


def _unheard() -> None:
    """Whoever read standard output went away (`| head -1`): that is no fault."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    raise SystemExit(0) from None


def _of_a_place(error: OSError) -> SynthgainError | None:
    """The disk is full, or a file or folder cannot be read or written: that is for a person to mend."""
    from synthgain.api.places import FULL, said_of

    return said_of(error) if error.filename or error.errno in FULL else None


def _short_option() -> str:
    """What to say where an option that takes several words was given fewer: the parser takes the next option for one of them. "" where none was."""
    given = sys.argv[1:]
    command = parser().commands.get(given[0]) if given else None
    for option in command.params if command is not None else ():
        for name in option.opts if option.nargs > 1 else ():
            words = given[given.index(name) + 1 :][: option.nargs] if name in given else [""] * option.nargs
            if len(words) < option.nargs or any(word.startswith("--") for word in words):
                return str(short_of(name, option.nargs, option.metavar or ""))
    return ""


def _exit_for(error: Exception) -> None:
    import traceback

    show = getattr(error, "show", None)
    if callable(show):  # bad usage, in the parser's own words
        if short := _short_option():
            say(f"synthgain: {short}")
        else:
            show()
        raise SystemExit(2) from None
    if isinstance(error, typer.Exit):
        raise SystemExit(error.exit_code) from None
    if isinstance(error, typer.Abort):
        raise SystemExit(130) from None
    if isinstance(error, OSError) and (said := _of_a_place(error)):
        say(f"synthgain: {said}")
        raise SystemExit(said.code) from None
    traceback.print_exception(error)
    say(
        "synthgain: this is a fault of ours. Please report it with the lines above: see CONTRIBUTING.md, “Reporting a fault”."
    )
    raise SystemExit(1) from None

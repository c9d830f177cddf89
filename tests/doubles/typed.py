"""A command line that runs in this process, with what it printed and its exit code."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import pytest

from synthgain import cli


@dataclass(frozen=True)
class Said:
    """What a command came to."""

    code: int
    out: str
    err: str


def typed(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """`synthgain WORDS`, with nothing in `out` and `err` of what was printed before."""
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["synthgain", *words])
    code = 0
    try:
        cli.main()
    except SystemExit as end:
        code = int(end.code or 0)
    return Said(code, *capsys.readouterr())

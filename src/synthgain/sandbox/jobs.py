"""What the sandbox is asked for, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MB = 1 << 20
Ended = Literal["exit", "signal", "time", "memory", "output"]
Why = Literal["", "wrong", "error", "time", "memory", "output", "refused", "tests"]


@dataclass(frozen=True)
class Limits:
    """What a program may take; times in seconds, sizes in bytes.

    `seconds` is processor time, of each process; `wall` is time by the clock (what sleeps or waits takes no processor time). `memory` is what a
    process may map beside the interpreter itself. With one process (as it is by default) a program cannot make others, so that is
    what it takes in all; with more, each may take as much. `scratch` is the size of its folder, which lies in memory too. `output` is
    what it may print, of standard output and errors together.
    """

    seconds: int = 10
    wall: float = 60.0
    memory: int = 512 * MB
    processes: int = 1
    threads: int = 16
    file_size: int = 16 * MB
    files: int = 64
    scratch: int = 32 * MB
    output: int = 1 * MB

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value <= 0:
                raise ValueError(f"{name} has to be above 0")


@dataclass(frozen=True)
class Ran:
    """How a program ended, and what it printed.

    `ended`: by itself, with the exit status `code`; by a signal (`code` is its number); or because it took more time, memory or
    output than it may. `seconds` is the processor time it took, `peak` the most bytes of memory that were its (the interpreter's included).
    """

    ended: Ended
    code: int
    out: str
    err: str
    seconds: float
    peak: int


@dataclass(frozen=True)
class Examined:
    """What tests came to: `held` of `of` held. `why` is the kind of the first fault, "" where all held; `said` is its text (the program's
    own words may be in it); "tests": they cannot be run. `seconds` is the program's processor time."""

    passed: bool
    held: int
    of: int
    why: Why
    said: str
    seconds: float


@dataclass(frozen=True)
class Compared:
    """What a query came to: whether its result is the gold query's; otherwise `why`: wrong, error, time (its steps), memory, output, refused,
    or "gold" (it is the gold query, its schema or its rows that cannot be used), and what SQLite said."""

    same: bool
    why: str
    said: str

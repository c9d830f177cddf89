"""Whether a program passes its task's tests, run in the sandbox."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from synthgain.curate.boxed import Boxed
from synthgain.curate.code import defines, program_in
from synthgain.curate.empty import no_answer
from synthgain.sandbox import Limits, shared
from synthgain.types import Anchor, Row, Verdict, drop, keep

REASONS = {
    "wrong": "wrong",
    "error": "error",
    "time": "time",
    "memory": "memory",
    "output": "output",
    "refused": "refused",
    "tests": "tests that cannot be run",
}
_CALLED = re.compile(r"\b([A-Za-z_]\w*)\s*\(")


@dataclass(frozen=True)
class Task:
    """What a program is held against: test texts, what runs before them, and, where the program goes on from one, the prompt."""

    tests: tuple[str, ...]
    setup: str = ""
    prompt: str = ""
    entry_point: str = ""

    @property
    def wanted(self) -> tuple[str, ...]:
        """The names of which a program has to define one."""
        called = _CALLED.findall("\n".join((self.setup, *self.tests)))
        return (self.entry_point,) if self.entry_point else tuple(dict.fromkeys(called))


@dataclass(frozen=True)
class UnitTests(Boxed):
    """Drops a program that fails its task's tests; of those it holds, the share is the score. It runs in the sandbox, or not at all.

    The program is the answer's fenced or bare code. Tests are the anchor's `tests` (a text or a list), or MBPP's `test_list` and
    `test_setup_code`, or HumanEval's `test` with `entry_point` and `prompt`. They run in a process that the program is not part of, and
    only plain values count: see docs/sandbox.md. Reasons: wrong, error, time, memory, output, refused (what the sandbox
    does not allow), no code, no tests. `seconds` is processor time and `memory` megabytes: a verdict "time" is the only one that depends
    on the machine; of 632 reference solutions of HumanEval and MBPP none took more than a fifteenth of the default. `wall` seconds by the
    clock end what sleeps.
    """

    seconds: int = 5
    memory: int = 512
    wall: float = 60.0
    verifies: ClassVar[bool] = True

    def __post_init__(self) -> None:
        assert self.limits  # ValueError where one is none

    @property
    def name(self) -> str:
        return "unit-tests"

    @property
    def limits(self) -> Limits:
        return Limits(seconds=self.seconds, memory=self.memory << 20, wall=self.wall)

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        task = next((task for task in map(task_of, anchors) if task is not None), None)
        if task is None:
            return drop("no tests")
        if why := no_answer(row):
            return drop(why)
        program = program_for(task, row.answer)
        if program is None:
            return drop("no code")
        came = shared().examine(
            program, task.tests, setup=task.setup, prompt=task.prompt, entry_point=task.entry_point, limits=self.limits
        )
        score = came.held / len(task.tests)
        return keep(score) if came.passed else drop(REASONS[came.why], score)

    def lacks(self, row: Row | None, anchors: Sequence[Anchor]) -> str | None:
        """The tests, where no anchor has any."""
        return "" if any(map(task_of, anchors)) else "a field `tests`, `test_list` or `test`"


def task_of(anchor: Anchor) -> Task | None:
    """The tests that an anchor's fields hold; None where there are none."""
    fields = anchor.fields
    tests = next((found for name in ("tests", "test_list", "test") if (found := _texts(fields.get(name)))), ())
    if not tests:
        return None
    entry_point = str(fields.get("entry_point") or "")
    asked = str(fields.get("prompt") or anchor.text)
    prompt = asked if entry_point and defines(asked, (entry_point,)) else ""
    return Task(tests, _setup(fields), prompt, entry_point)


def _setup(fields: Mapping[str, Any]) -> str:
    return "\n".join(text for name in ("test_imports", "test_setup_code") for text in _texts(fields.get(name)))


def _texts(value: object) -> tuple[str, ...]:
    """A text, a list of texts, or such a list as JSON; blank ones are left out."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return (str(value),)
    texts = value if isinstance(value, list | tuple) else [value] if value else []
    return tuple(text for text in texts if isinstance(text, str) and text.strip())


def program_for(task: Task, answer: str) -> str | None:
    """The program to run. Where the task is to go on from a prompt, it stands before: its imports and helpers count for the program, too."""
    program = program_in(answer, task.wanted)
    if program is None or not task.prompt:
        return program
    return (
        f"{task.prompt.rstrip()}\n{program}"
        if not defines(program, task.wanted)
        else f"{task.prompt.rstrip()}\n\n\n{program}"
    )


CHECK = UnitTests

"""Warm workers, shared by the threads of a process: one program at a time in each."""

from __future__ import annotations

import atexit
import json
import os
import platform
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from typing import Any

from synthgain.sandbox.inside.calls import MACHINES
from synthgain.sandbox.jobs import Compared, Ended, Examined, Limits, Ran, Why
from synthgain.sandbox.warm import Box, Broken, Refused, Worker
from synthgain.types import SynthgainError

OUT_OF_MEMORY = 213  # as inside/program.py leaves
_LEAST_KERNEL = (5, 14)
_ENDED: dict[str, Ended] = {"time": "time", "output": "output"}
_WHYS: tuple[Why, ...] = ("wrong", "error", "memory", "refused", "tests")


class Sandbox:
    """Runs programs that nobody trusts. `width` is how many run side by side; each has a worker, started when it is first needed.

    Threads may share it. `close` ends the workers that are idle, and the others when their program has ended; what is run afterwards starts new
    ones. The workers end with this process, too, however it ends. SynthgainError where this machine allows no sandbox.
    """

    def __init__(self, width: int | None = None) -> None:
        self.width = width or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else width or 1
        self._places = threading.BoundedSemaphore(self.width)
        self._lock = threading.Lock()
        self._idle: list[Worker] = []
        self._busy: set[Worker] = set()
        self._stops = 0
        self._round = 0  # workers of a round that was closed are ended when they come back
        self._seen = False  # whether a worker of this process has been seen to contain

    def run(self, program: str, *, given: str = "", limits: Limits | None = None) -> Ran:
        """Run a program as `python program.py` with `given` on its standard input, and wait for its end."""
        limits = limits or Limits()
        box, why = self._one(program, given, limits)
        code = os.waitstatus_to_exitcode(box.status)
        ended: Ended = "exit" if code >= 0 else "signal"
        if code == OUT_OF_MEMORY:
            ended = "memory"
        if _overtime(code, box, limits):
            ended = "time"
        return Ran(_ENDED.get(why, ended), abs(code), *_said(box, limits), box.seconds, box.peak)

    def examine(
        self,
        program: str,
        tests: Sequence[str],
        *,
        setup: str = "",
        prompt: str = "",
        entry_point: str = "",
        limits: Limits | None = None,
    ) -> Examined:
        """What tests say of a program. It runs in one box and they in another; see `inside/examiner.py` for what they may hold.

        `setup` runs before the tests; `prompt` is code that the program was to go on from: its helpers, but for `entry_point`, are the tests' own.
        """
        limits = limits or Limits()
        job = {"tests": list(tests), "setup": setup, "prompt": prompt, "entry_point": entry_point}

        def boxes() -> tuple[list[Box], dict[int, bytearray]]:
            theirs, ours = socket.socketpair()
            read, write = os.pipe()
            made = [
                Box("answers", {"program": program}, more=(theirs.detach(),)),
                Box("tests", job, more=(ours.detach(), write), keeps=False),
            ]
            return made, {read: bytearray()}

        (answering, examining), more, why = self._done(boxes, limits)
        (verdict,) = more.values()
        return _examined(answering, examining, bytes(verdict), why, limits, len(tests))

    def compare(
        self, query: str, gold: str, *, schema: str, rows: object = None, steps: int, limits: Limits | None = None
    ) -> Compared:
        """Whether a query gives what the gold query does, on a database in memory; see `inside/queries.py`."""
        limits = limits or Limits()
        job = {"query": query, "gold": gold, "schema": schema, "rows": rows, "steps": steps}
        (box,), _, why = self._done(lambda: ([Box("queries", job)], {}), limits)
        if not why and box.out:
            kind, said = json.loads(bytes(box.out))
            return Compared(kind == "", kind, said)
        code = os.waitstatus_to_exitcode(box.status)
        if code > 0:
            raise RuntimeError("the process that compares queries broke")
        return Compared(False, why or ("time" if _overtime(code, box, limits) else "memory"), "")

    def ready(self) -> None:
        """Have a worker that has been seen to contain a program that tries to get out. SynthgainError where this machine allows none."""
        if not self._seen:
            self.run("pass")

    def close(self) -> None:
        """End the workers that are idle, and the others when their program has ended."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._round += 1
        for worker in idle:
            worker.close()

    def stop(self) -> None:
        """End all workers now; whoever waits for a program gets SynthgainError (interrupted)."""
        self._stops += 1
        self.close()
        with self._lock:
            busy = list(self._busy)
        for worker in busy:
            worker.end()

    # ------------------------------------------------------------------------------------------ workers

    def _one(self, program: str, given: str, limits: Limits) -> tuple[Box, str]:
        def boxes() -> tuple[list[Box], dict[int, bytearray]]:
            return [Box("program", {"program": program}, given.encode("utf-8", "replace"))], {}

        (box,), _, why = self._done(boxes, limits)
        return box, why

    def _done(self, boxes: Any, limits: Limits) -> tuple[list[Box], dict[int, bytearray], str]:
        """Run boxes on a worker; once more on a new one where the first was lost (a machine that is out of memory ends it)."""
        stops = self._stops
        with self._places:
            for again in (True, False):
                worker, round = self._worker()
                if stops != self._stops:
                    self._lost(worker)
                    break
                made, more = boxes()
                try:
                    why = worker.run(made, limits, more)
                except Broken as error:
                    self._lost(worker)
                    if not again and stops == self._stops:
                        raise SynthgainError(
                            f"a worker of the sandbox was lost twice over one program: {error}",
                            where="sandbox",
                            next="see whether the machine is out of memory; run the same command again",
                        ) from error
                except BaseException:
                    self._lost(worker)
                    raise
                else:
                    self._back(worker, round)
                    return made, more, why
        raise SynthgainError("interrupted", where="sandbox", code=130)

    def _worker(self) -> tuple[Worker, int]:
        with self._lock:
            round = self._round
            if self._idle:
                worker = self._idle.pop()
                self._busy.add(worker)
                return worker, round
        worker = _started()
        if not self._seen:
            try:
                _contains(worker)
            except BaseException:
                worker.close()
                raise
            self._seen = True
        with self._lock:
            self._busy.add(worker)
        return worker, round

    def _lost(self, worker: Worker) -> None:
        with self._lock:
            self._busy.discard(worker)
        worker.close()

    def _back(self, worker: Worker, round: int) -> None:
        with self._lock:
            self._busy.discard(worker)
            if round == self._round:
                self._idle.append(worker)
                return
        worker.close()


def _said(box: Box, limits: Limits) -> tuple[str, str]:
    out = bytes(box.out[: limits.output]).decode("utf-8", "replace")
    return out, bytes(box.err[: max(0, limits.output - len(box.out))]).decode("utf-8", "replace")


def _examined(answering: Box, examining: Box, verdict: bytes, ended: str, limits: Limits, of: int) -> Examined:
    code = os.waitstatus_to_exitcode(answering.status)
    said = json.loads(verdict) if verdict else {}
    held = int(said.get("held", 0))

    def fault(why: Why, text: str) -> Examined:
        return Examined(False, held, of, why, text, answering.seconds)

    if ended == "output":
        return fault("output", "the program printed too much")
    if ended == "time":
        return fault("time", "the program took too long")
    if said.get("passed") is True:
        return Examined(True, held, of, "", "", answering.seconds)
    if _overtime(code, answering, limits):
        return fault("time", "the program took too much processor time")
    if code == OUT_OF_MEMORY:
        return fault("memory", "the program ran out of memory")
    kind = str(said.get("kind", ""))
    if not said:
        if _overtime(os.waitstatus_to_exitcode(examining.status), examining, limits):
            return fault("time", "the tests took too much processor time")
        return fault("error", "the tests ended without a verdict")
    if kind == "ended":
        return fault("error", f"the program ended itself ({_of_code(code)})")
    return fault(next((why for why in _WHYS if why == kind), "error"), str(said.get("why", "")))


def _overtime(code: int, box: Box, limits: Limits) -> bool:
    """Whether the kernel ended it for its processor time: first by SIGXCPU, which can be ignored, a second later for good."""
    return code == -signal.SIGXCPU or (code == -signal.SIGKILL and box.seconds > limits.seconds / 2)


def _of_code(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


# ---------------------------------------------------------------------------------------------- whether this machine allows it

_TRIES = """
import os, socket
held = []
def try_(name, what):
    try:
        what()
    except OSError:
        held.append(name)
try_("socket", lambda: socket.socket())
try_("fork", os.fork)
try_("exec", lambda: os.execv("/bin/true", ["true"]))
try_("passwd", lambda: open("/etc/passwd"))
try_("write", lambda: open("/written", "w"))
try_("proc", lambda: os.listdir("/proc/1"))
try_("parent", lambda: os.kill(os.getpid() + 1, 0))
open("mine", "w").close()
print(*held)
"""
_HELD = "socket fork exec passwd write proc parent"


def _started() -> Worker:
    if sys.platform != "linux":
        raise _no_sandbox(f"this is {platform.system()}, and only Linux has what it is made of")
    if platform.machine() not in MACHINES:
        raise _no_sandbox(
            f"the kernel's calls of {platform.machine()} are not listed (there are {', '.join(MACHINES)})"
        )
    if tuple(int(part) for part in platform.release().split("-")[0].split(".")[:2]) < _LEAST_KERNEL:
        raise _no_sandbox(
            f"the kernel is {platform.release()}, and 5.14 is the oldest that counts processes by sandbox"
        )
    try:
        return Worker()
    except Refused as error:
        raise _no_sandbox(f"the kernel refuses {error}") from error


def _contains(worker: Worker) -> None:
    """SynthgainError unless a program that tries to get out is held back at every try."""
    box = Box("program", {"program": _TRIES})
    try:
        worker.run([box], Limits(), {})
    except Broken as error:
        raise _no_sandbox(f"its worker was lost: {error}") from error
    found = bytes(box.out).decode().strip()
    if found != _HELD:
        raise _no_sandbox(
            f"a trial program was held back only at: {found or 'nothing'} {bytes(box.err).decode()[-300:]}"
        )


def _no_sandbox(why: str) -> SynthgainError:
    return SynthgainError(
        f"this machine allows no sandbox, and programs of a model are run nowhere else: {why}",
        where="sandbox",
        next="leave the check out (--without), or run on Linux where user namespaces are allowed (docs/sandbox.md says how to allow them)",
    )


# ---------------------------------------------------------------------------------------------- this process's own

_shared: list[Sandbox] = []
_making = threading.Lock()


def shared() -> Sandbox:
    """The one sandbox of this process."""
    with _making:
        if not _shared:
            _shared.append(Sandbox())
            atexit.register(_shared[0].close)
        return _shared[0]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_shared.clear)  # workers belong to the process that started them

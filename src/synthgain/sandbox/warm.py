"""One warm worker, seen from outside: a Python that waits in the sandbox, and makes a box for each program it is sent."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synthgain.sandbox.jobs import Limits

# The worker must not import synthgain: its dependencies are not there. Two empty packages stand in for what lies above `inside`.
_BOOT = """
import sys, types
for name, folder in (("synthgain", sys.argv[1]), ("synthgain.sandbox", sys.argv[1] + "/sandbox")):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [folder]
from synthgain.sandbox.inside.worker import main
main(int(sys.argv[2]))
"""
_ENVIRONMENT = {  # all that a program finds: the same on every machine, so that sets come in one order
    **{
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PATH": "/nowhere",
        "HOME": "/scratch",
        "TMPDIR": "/scratch",
        "TZ": "UTC",
    },
    **{"PYTHONHASHSEED": "0", "PYTHONIOENCODING": "utf-8:backslashreplace", "PYTHONUTF8": "1", "MALLOC_ARENA_MAX": "1"},
}
_START = 60.0  # seconds in which a worker must be ready
_GRACE = 10.0  # seconds in which a box that was ended must be gone
_AT_ONCE = 1 << 16  # bytes


class Refused(Exception):
    """The worker could not shut itself in; the text says at which step, and why."""


class Broken(Exception):
    """The worker ended without being told to."""


@dataclass
class Box:
    """One box of a job: what it runs, and what it says."""

    role: str
    job: Mapping[str, Any]
    given: bytes = b""
    more: Sequence[int] = ()  # open files that it gets besides
    keeps: bool = True  # whether what it prints is wanted
    out: bytearray = field(default_factory=bytearray)
    err: bytearray = field(default_factory=bytearray)
    status: int = 0  # of its main process, as wait gives it
    seconds: float = 0.0  # processor time
    peak: int = 0  # bytes


class Worker:
    """Starts at once. Refused: this machine does not allow it."""

    def __init__(self) -> None:
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control, self.made = here, 0
        python = getattr(sys, "_base_executable", None) or sys.executable
        folder = str(Path(__file__).resolve().parent.parent)
        try:
            self.process = subprocess.Popen(
                [python, "-S", "-B", "-P", "-c", _BOOT, folder, str(there.fileno())],
                env=_ENVIRONMENT,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(there.fileno(),),
                start_new_session=True,
            )
        except OSError as error:
            here.close()
            raise Refused(f"the interpreter cannot be started: {error}") from error
        finally:
            there.close()
        here.settimeout(_START)
        try:
            said = self._heard()
        except (Broken, TimeoutError) as error:
            self.close()
            raise Refused(f"its worker came to nothing ({error or 'no answer'})") from error
        if "refused" in said:
            self.close()
            raise Refused(str(said["refused"]))

    def run(self, boxes: Sequence[Box], limits: Limits, more: Mapping[int, bytearray]) -> str:
        """Run the boxes side by side until all have ended; why they were ended ("" where they ended by themselves, or "time", "output").

        `more`: further open files that are read to their end. Broken: the worker is gone, and has to be replaced.
        """
        reads: dict[int, bytearray] = dict(more)
        waiting = [number for box in boxes for number in box.more]  # that no box has been handed yet
        try:
            for box in boxes:
                del waiting[: len(box.more)]
                self._begin(box, limits, reads)
            why = self._followed(boxes, limits, reads)
            self.made += len(boxes)
            return why
        except OSError as error:
            raise Broken(str(error)) from error
        finally:
            for number in (*reads, *waiting):
                os.close(number)

    def _begin(self, box: Box, limits: Limits, reads: dict[int, bytearray]) -> None:
        theirs = [_sealed(json.dumps(box.job).encode()), _sealed(box.given)]
        try:
            for into in (box.out, box.err):
                if not box.keeps:
                    theirs.append(os.open(os.devnull, os.O_WRONLY))
                    continue
                read, write = os.pipe()
                os.set_blocking(read, False)
                reads[read] = into
                theirs.append(write)
            order = {name: value for name, value in vars(limits).items() if name not in ("wall", "output")}
            message = json.dumps({"role": box.role, **order}).encode()
            socket.send_fds(self.control, [message], [*theirs, *box.more])
        finally:
            for number in (*theirs, *box.more):
                os.close(number)

    def _followed(self, boxes: Sequence[Box], limits: Limits, reads: dict[int, bytearray]) -> str:
        why, left, ends = "", len(boxes), time.monotonic() + limits.wall
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        open_ = set(reads)
        for number in open_:
            poll.register(number, select.POLLIN)
        while left or open_:
            for number, _ in poll.poll(max(0.0, ends - time.monotonic()) * 1000):
                if number == self.control.fileno():
                    number, *came = self._heard()["ended"]
                    box = boxes[number - self.made]
                    box.status, box.seconds, box.peak = came
                    left -= 1
                elif not _more(number, reads[number]):
                    poll.unregister(number)
                    open_.discard(number)
            late = time.monotonic() >= ends
            if why and late:
                raise Broken("its boxes cannot be ended")
            if not why:
                printed = sum(len(box.out) + len(box.err) for box in boxes)
                why = "output" if printed > limits.output else "time" if late else ""
                if why:
                    self.control.send(b"end")
                    ends = time.monotonic() + _GRACE
        return why

    def _heard(self) -> dict[str, Any]:
        message = self.control.recv(_AT_ONCE)
        if not message:
            raise Broken(f"exit status {self.process.wait(_GRACE)}")
        said: dict[str, Any] = json.loads(message)
        return said

    def end(self) -> None:
        """Tell the worker to end, with everything in it; from any thread, also while a program is run."""
        with contextlib.suppress(OSError):  # it has ended
            self.control.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the worker and everything in it, and wait for that."""
        self.control.close()
        try:
            self.process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _sealed(data: bytes) -> int:
    """An open file with the data, which nobody can change any more: a box reads it in its own time, and the worker does not read it."""
    import fcntl

    number = os.memfd_create("job", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with os.fdopen(os.dup(number), "wb") as file:
        file.write(data)
    os.lseek(number, 0, os.SEEK_SET)
    fcntl.fcntl(
        number, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
    )
    return number


def _more(number: int, into: bytearray) -> bool:
    """Read what is there; False at the end."""
    try:
        part = os.read(number, _AT_ONCE)
    except BlockingIOError:
        return True
    into += part
    return bool(part)

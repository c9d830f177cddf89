"""A box: one program's own processes, scratch and limits. Nothing of it is left when it ends.

The program is the first process of its box, so that the kernel ends whatever else is in there when it leaves. A first process is spared
signals that it sends to itself and does not handle; that is the one difference from a process elsewhere.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from synthgain.sandbox.inside import kernel

SCRATCH = "/scratch"
USER = 1000  # who a program is, inside
OWN_PROCESSES = 4  # of the same user: the worker's two, and the main ones of two boxes


@dataclass(frozen=True)
class Order:
    """What a box is for, and its limits; bytes and seconds. It holds nothing of the program: the worker remembers it."""

    role: str
    seconds: int
    memory: int
    processes: int
    threads: int
    file_size: int
    files: int
    scratch: int

    @staticmethod
    def read(data: bytes) -> Order:
        return Order(**json.loads(data))


@dataclass(frozen=True)
class Ends:
    """A box's open files, as the worker was handed them: what to run (sealed), standard input, output and errors, and for a program with
    tests the way between the two (for tests also where the verdict goes)."""

    job: int
    given: int
    out: int
    err: int
    more: tuple[int, ...]


@dataclass(frozen=True)
class Walls:
    """What the worker prepares once for all boxes: how many bytes it maps itself, the highest limits that this machine lets it set, what
    each role runs, and the filters of calls."""

    held: int
    most: Mapping[int, int]
    roles: Mapping[str, Callable[..., NoReturn]]
    alone: kernel.Filter
    forking: kernel.Filter


def opened(order: bytes, ends: Ends, walls: Walls) -> int:
    """Make a box and let its program run; its process id."""
    process = kernel.clone(kernel.NEWPID | kernel.NEWNS | kernel.NEWIPC)
    if process:
        return process
    try:
        _inside(Order.read(order), ends, walls)
    finally:
        os._exit(1)


def _inside(order: Order, ends: Ends, walls: Walls) -> NoReturn:
    size = f"size={order.scratch},nr_inodes=4096,mode=700,uid={USER},gid={USER}"
    kernel.mount("scratch", SCRATCH, "tmpfs", kernel.NOSUID | kernel.NODEV | kernel.NOEXEC, size)
    kept = _numbered(ends)
    os.chdir(SCRATCH)
    os.setsid()
    os.umask(0o077)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _limit(order, walls)
    kernel.without_privileges(USER)
    kernel.only_calls_of(walls.forking if order.processes > 1 else walls.alone)
    with open(kept.job, "rb") as file:
        job = json.load(file)
    walls.roles[order.role](job, *kept.more)


def _numbered(ends: Ends) -> Ends:
    """The ends in low numbers: 0 1 2 for standard input, output and errors. Every other open file is closed."""
    wanted = (ends.given, ends.out, ends.err, ends.job, *ends.more)
    high = [fcntl.fcntl(number, fcntl.F_DUPFD, 64) for number in wanted]
    for low, number in enumerate(high):
        os.dup2(number, low)
    os.closerange(len(high), 4096)
    return Ends(3, 0, 1, 2, tuple(range(4, len(high))))


_SAME = {  # limits that are the same for every program
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_MEMLOCK: 0,
    resource.RLIMIT_MSGQUEUE: 0,
    resource.RLIMIT_SIGPENDING: 128,
    resource.RLIMIT_STACK: 8 << 20,
}
_OWN = (resource.RLIMIT_CPU, resource.RLIMIT_AS, resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE)


def limited() -> dict[int, int]:
    """Set the limits that are the same for every program; the highest that the others may be."""
    for name, most in _SAME.items():
        least = min(most, _hard(name))
        resource.setrlimit(name, (least, least))
    return {name: _hard(name) for name in _OWN}


def _hard(name: int) -> int:
    hard = resource.getrlimit(name)[1]
    return sys.maxsize if hard == resource.RLIM_INFINITY else hard


def _limit(order: Order, walls: Walls) -> None:
    processes = OWN_PROCESSES + max(order.processes, order.threads)
    wanted = (order.seconds, walls.held + order.memory, processes, order.file_size, order.files)
    for name, most in zip(_OWN, wanted):
        least = min(most, walls.most[name])
        resource.setrlimit(name, (least, least))

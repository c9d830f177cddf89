"""The worker: a Python that is started once, shuts itself in, and makes a box for each program that it is sent.

It never reads a program: a job's files are handed through it unread, so what one program was cannot be found by the next.
It ends when the socket to synthgain does, however that came about, and everything inside ends with it.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import sysconfig
from collections.abc import Callable, Sequence
from typing import NoReturn

from synthgain.sandbox.inside import box, examiner, kernel, program, queries

OUTSIDE = 65534  # who a program is outside, where root made the box: nobody
STAGE = "/proc"  # where the new root is put together; it is there on every Linux, and nothing of it is needed later
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
LEFT_OUT = ("site-packages", "dist-packages")  # of the standard library's folder
WARM = (
    *("abc", "array", "bisect", "calendar", "cmath", "collections", "contextlib", "copy", "dataclasses", "datetime"),
    *("decimal", "enum", "fractions", "functools", "heapq", "inspect", "io", "itertools", "json", "math", "operator"),
    *("queue", "random", "re", "statistics", "string", "threading", "time", "traceback", "typing"),
)  # imported before any program is: what programs of this kind use
NOT_SEEN = ("_test", "_xx", "xx", "_tkinter", "_curses", "readline", "_gdbm", "_dbm")  # extension modules
ROLES: dict[str, Callable[..., NoReturn]] = {
    "program": program.main,
    "answers": program.answers,
    "tests": examiner.main,
    "queries": queries.main,
}


class Refused(Exception):
    """This machine does not let the worker shut itself in: at which step, and why."""


def main(number: int) -> NoReturn:
    """`number`: the socket to synthgain, which keeps messages apart."""
    control = socket.socket(fileno=number)
    os.umask(0o022)  # what it builds is read by another user
    try:
        for name in WARM:
            importlib.import_module(name)
        libraries = _libraries()
        with open("/proc/self/statm") as file:
            held = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        _shut_in()
        inner = os.fork()
    except Exception as error:
        _say(control, {"refused": f"{type(error).__name__}: {error}" if not isinstance(error, Refused) else str(error)})
        os._exit(1)
    if inner:
        control.close()
        os.waitpid(inner, 0)
        os._exit(0)
    try:
        _build(libraries)
    except Exception as error:
        _say(control, {"refused": f"an empty file system: {error}"})
        os._exit(1)
    program.prepared()
    most = box.limited()
    walls = box.Walls(held, most, ROLES, kernel.Filter(forks=False), kernel.Filter(forks=True))
    gc.collect()
    gc.freeze()
    _say(control, {"ready": held})
    _serve(control, walls)


def _say(control: socket.socket, message: dict[str, object]) -> None:
    control.send(json.dumps(message).encode())


# ---------------------------------------------------------------------------------------------- shutting the door


def _libraries() -> list[str]:
    """The folders of the shared libraries that extension modules need. A process of its own loads them all and looks."""
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        for name in (*_extensions(), "libgcc_s.so.1"):
            _loaded(name)
        with open("/proc/self/maps") as maps, os.fdopen(writes, "w") as told:
            told.writelines(line[line.index("/") :] for line in maps if "/" in line and ".so" in line)
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads) as told:
        found = {os.path.dirname(os.path.realpath(line.strip())) for line in told}
    os.waitpid(child, 0)
    return sorted(found)


def _extensions() -> list[str]:
    folder = os.path.join(sysconfig.get_path("platstdlib"), "lib-dynload")
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return [os.path.join(folder, name) for name in names if not name.startswith(NOT_SEEN)]


def _loaded(library: str) -> None:
    """Load a library. One that cannot be loaded here could not be without a sandbox either."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return


def _shut_in() -> None:
    """Namespaces of its own: users, files, network, processes, System V memory, names."""
    root = os.getuid() == 0
    user, group, me = os.getuid(), os.getgid(), os.getpid()
    maps = (
        {"uid_map": f"0 0 1\n{box.USER} {OUTSIDE} 1\n", "gid_map": f"0 0 1\n{box.USER} {OUTSIDE} 1\n"}
        if root
        else {"setgroups": "deny", "uid_map": f"{box.USER} {user} 1\n", "gid_map": f"{box.USER} {group} 1\n"}
    )
    waits, goes = os.pipe()
    helper = os.fork() if root else 0  # only a process outside may map more than one user
    if root and not helper:
        os.close(goes)
        os.read(waits, 1)
        os._exit(_written(me, maps))
    flags = (
        kernel.NEWUSER | kernel.NEWNS | kernel.NEWNET | kernel.NEWPID | kernel.NEWIPC | kernel.NEWUTS | kernel.NEWCGROUP
    )
    try:
        kernel.unshare(flags)
    except OSError as error:
        raise Refused(f"namespaces of its own: {error.strerror} (unshare)") from error
    os.write(goes, b"!")
    os.close(goes)
    os.close(waits)
    number = os.waitstatus_to_exitcode(os.waitpid(helper, 0)[1]) if root else _written(me, maps)
    if number:
        raise Refused(f"a user of its own: {os.strerror(number)} (uid_map)")
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _written(process: int, maps: dict[str, str]) -> int:
    """Write who is who; the error's number, 0 where there is none."""
    for name, text in maps.items():
        try:
            with open(f"/proc/{process}/{name}", "w") as file:
                file.write(text)
        except OSError as error:
            return error.errno or 1
    return 0


def _build(libraries: Sequence[str]) -> None:
    """A root with nothing in it but Python's standard library, shared libraries, five devices and a place for a scratch, all read-only."""
    kernel.mount("none", "/", "", kernel.REC | kernel.PRIVATE)
    kernel.mount("root", STAGE, "tmpfs", kernel.NOSUID | kernel.NODEV, "size=1m,nr_inodes=1024,mode=755")
    library = os.path.realpath(os.path.dirname(os.__file__))
    for name in ("lib", "lib64"):
        if os.path.islink("/" + name):
            os.symlink(os.readlink("/" + name), f"{STAGE}/{name}")
    for folder in sorted({library, *libraries}):
        if not os.path.isdir(STAGE + folder):
            _bind(folder)
    for name in LEFT_OUT:
        if os.path.isdir(hidden := STAGE + os.path.join(library, name)):
            kernel.mount("nothing", hidden, "tmpfs", kernel.NOSUID | kernel.NODEV, "size=4k,mode=755")
            kernel.restrict(hidden, kernel.ATTR_RDONLY | kernel.ATTR_NOEXEC)
    os.mkdir(STAGE + "/dev")
    for device in DEVICES:
        with open(STAGE + device, "w"):
            kernel.mount(device, STAGE + device, "", kernel.BIND)
        kernel.restrict(STAGE + device, kernel.ATTR_NOSUID | kernel.ATTR_NOEXEC)
    os.mkdir(STAGE + box.SCRATCH)
    os.symlink(box.SCRATCH, STAGE + "/tmp")
    kernel.restrict(STAGE, kernel.ATTR_RDONLY | kernel.ATTR_NOSUID, recursive=True)
    kernel.root_is(STAGE)
    kernel.hostname("sandbox")
    kernel.no_new_privileges()


def _bind(folder: str) -> None:
    os.makedirs(STAGE + folder)
    kernel.mount(folder, STAGE + folder, "", kernel.BIND | kernel.REC)
    kernel.restrict(STAGE + folder, kernel.ATTR_RDONLY | kernel.ATTR_NOSUID | kernel.ATTR_NODEV, recursive=True)


# ---------------------------------------------------------------------------------------------- serving


def _serve(control: socket.socket, walls: box.Walls) -> NoReturn:
    """Messages: an order with a box's files makes that box; "end" ends all boxes. How a box ended is said: its number, wait status,
    processor seconds, peak bytes."""
    boxes: dict[int, tuple[int, int]] = {}  # pidfd → number, process
    made = 0
    while True:
        ready, _, _ = select.select([control.fileno(), *boxes], [], [])
        for pidfd in boxes.keys() & ready:
            number, process = boxes.pop(pidfd)
            _, status, used = os.wait4(process, 0)
            os.close(pidfd)
            _say(control, {"ended": [number, status, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024]})
        if control.fileno() not in ready:
            continue
        message, files, _, _ = socket.recv_fds(control, 4096, 16)
        if not message:
            os._exit(0)
        if message == b"end":
            for _, process in boxes.values():
                os.kill(process, signal.SIGKILL)
            continue
        job, given, out, err, *more = files
        process = box.opened(message, box.Ends(job, given, out, err, tuple(more)), walls)
        for file in files:
            os.close(file)
        boxes[os.pidfd_open(process)] = made, process
        made += 1


if __name__ == "__main__":
    main(int(sys.argv[1]))

"""Calls of the Linux kernel for which Python 3.11 has no function. Each raises OSError, with the name of the call, where the kernel refuses."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal
import struct

from synthgain.sandbox.inside.calls import SETUP, filter_of

NEWNS, NEWCGROUP, NEWUTS, NEWIPC = 0x20000, 0x2000000, 0x4000000, 0x8000000
NEWUSER, NEWPID, NEWNET = 0x10000000, 0x20000000, 0x40000000
BIND, REC, PRIVATE, NOSUID, NODEV, NOEXEC = 4096, 16384, 1 << 18, 2, 4, 8
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV, ATTR_NOEXEC = 1, 2, 4, 8
_DETACH, _AT_FDCWD, _AT_RECURSIVE = 2, -100, 0x8000
_PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_CAPBSET_DROP, _PR_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 4, 22, 24, 38, 47
_CAPABILITIES = 64  # more than there are: the kernel says where they end

_libc = ctypes.CDLL(None, use_errno=True)
_machine = platform.machine()


def _call(name: str, *given: int | bytes | ctypes.Array[ctypes.c_char] | None) -> int:
    args = [ctypes.c_long(value) if isinstance(value, int) else value for value in given]
    answer: int = _libc.syscall(ctypes.c_long(SETUP[name][_machine]), *args)
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
    return answer


def unshare(flags: int) -> None:
    """This process gets namespaces of its own."""
    _call("unshare", flags)


def clone(flags: int) -> int:
    """fork, into new namespaces: 0 in the child. The C library is not told: the child may fork, wait, write and leave."""
    return _call("clone", flags | signal.SIGCHLD, 0, 0, 0, 0)


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    _call("mount", source.encode(), target.encode(), kind.encode(), flags, options.encode())


def restrict(target: str, attributes: int, *, recursive: bool = False) -> None:
    """Mounts at (and under) the target become read-only, nosuid, nodev, noexec, as the attributes say."""
    packed = struct.pack("=QQQQ", attributes, 0, 0, 0)
    _call("mount_setattr", _AT_FDCWD, target.encode(), _AT_RECURSIVE if recursive else 0, packed, len(packed))


def root_is(folder: str) -> None:
    """The folder, a mount, becomes the root; what was the root is let go."""
    os.chdir(folder)
    _call("pivot_root", b".", b".")
    _call("umount2", b".", _DETACH)
    os.chdir("/")


def hostname(name: str) -> None:
    _call("sethostname", name.encode(), len(name))


def no_new_privileges() -> None:
    """Nothing that is run from here on has more rights than this process."""
    for capability in range(_CAPABILITIES):
        try:
            _call("prctl", _PR_CAPBSET_DROP, capability, 0, 0, 0)
        except OSError as error:
            if error.errno != errno.EINVAL:  # there is none of that number
                raise
            break
    _call("prctl", _PR_NO_NEW_PRIVS, 1, 0, 0, 0)


def without_privileges(user: int) -> None:
    """This process becomes the user's, for good: no capability is left, and no other process may look into this one."""
    if os.getuid() != user:  # root made the box
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    _call("prctl", _PR_CAP_AMBIENT, 4, 0, 0, 0)  # 4: clear all
    _call("capset", struct.pack("=Ii", 0x20080522, 0), struct.pack("=6I", *[0] * 6))
    _call("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)


class Filter(ctypes.Structure):
    """The list of allowed calls, as the kernel takes it."""

    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))

    def __init__(self, *, forks: bool) -> None:
        program = filter_of(_machine, forks=forks)
        self.kept = ctypes.create_string_buffer(program, len(program))
        super().__init__(len(program) // 8, ctypes.addressof(self.kept))


def only_calls_of(allowed: Filter) -> None:
    """From here on this process makes the calls that are allowed, and gets an error for any other."""
    _call("prctl", _PR_SET_SECCOMP, 2, ctypes.addressof(allowed), 0, 0)

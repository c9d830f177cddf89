"""Who may write a folder: one block of one process at a time."""

from __future__ import annotations

import errno
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from synthgain.types import SynthgainError

NO_LOCKS = frozenset(  # what disks answer that have no locks; the last three are those of some shared folders of virtual machines
    {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOTTY, errno.EPROTO}
)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """The only writer of a folder, until the block ends or the process dies.

    SynthgainError (code 2) names the process that already writes it, which may be this one; or says that this disk has no file locks.
    """
    from filelock import FileLock, Timeout  # here, to keep starting fast

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock", blocking=False, thread_local=False, fallback_to_soft=False)
    who = folder / ".lock.pid"  # beside it: on Windows a locked file cannot be read
    try:
        lock.acquire()
    except Timeout:
        raise _taken(folder, who) from None
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno not in NO_LOCKS:
            raise
        raise SynthgainError(
            f"this disk has no file locks ({error}), so two runs could write here at once",
            where=str(folder),
            next="give a folder on another disk with -o (a local one), or have the disk mounted with locks",
        ) from error
    try:
        who.write_text(f"{os.getpid()} {platform.node()}")
        yield
    finally:
        with suppress(OSError):  # what stands in it counts only while the lock is held
            who.unlink()
        lock.release()


def _taken(folder: Path, who: Path) -> SynthgainError:
    pid = machine = ""
    with suppress(OSError, ValueError):
        pid, _, machine = who.read_text().strip().partition(" ")
    if not pid:
        return SynthgainError(
            "the lock of this folder is taken, and nobody has left a name: another machine may be writing it, or its disk has no "
            "working file locks",
            where=str(folder),
            next="if nothing else is writing it, give a folder on a local disk with -o",
        )
    mine = pid == str(os.getpid())
    place = f" on {machine}" if machine and machine != platform.node() else ""
    return SynthgainError(
        f"{'this' if mine and not place else 'another'} process (pid {pid}{place}) is writing this folder",
        where=str(folder),
        next="wait until it ends or stop it, or choose another folder with -o",
    )

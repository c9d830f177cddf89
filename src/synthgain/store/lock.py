"""Who may write a folder: one block of one process at a time."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from synthgain.types import SynthgainError

NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP})


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
        who.write_text(str(os.getpid()))
        yield
    finally:
        with suppress(OSError):  # what stands in it counts only while the lock is held
            who.unlink()
        lock.release()


def _taken(folder: Path, who: Path) -> SynthgainError:
    pid = ""
    with suppress(OSError, ValueError):
        pid = who.read_text().strip()
    mine = pid == str(os.getpid())
    return SynthgainError(
        f"{'this' if mine else 'another'} process (pid {pid or 'unknown'}) is writing this folder",
        where=str(folder),
        next="wait until it ends or stop it, or choose another folder with -o",
    )

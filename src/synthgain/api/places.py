"""Folders that are written: by one writer at a time, with a full or closed disk said in words, and never into what is read."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from synthgain.api.telling import remark
from synthgain.store import Run, writing
from synthgain.types import SynthgainError

UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)
FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def writes_to(folder: Path) -> Iterator[None]:
    """The only writer of a folder. A folder that is new and got nothing but refusals is taken away again."""
    new = not folder.exists()
    try:
        with on_disk(folder), writing(folder):
            yield
    except SynthgainError as error:
        if new and error.code == 2 and not Run.is_at(folder) and not Run(folder).calls.exists():
            shutil.rmtree(folder, ignore_errors=True)
        raise


def for_a_run(folder: Path) -> None:
    """SynthgainError where writing a run here would take away somebody's files. The places that a run replaces are its own or empty."""
    if folder.is_file():
        raise SynthgainError("this is a file, and a run is a folder", where=str(folder), next="give a folder with -o")
    found = next(Run(folder).foreign(), None)
    if found is not None:
        file = found.relative_to(folder)
        raise SynthgainError(
            f"this folder holds something else ({file}), and a run writes its own {file.parts[0]}/",
            where=str(folder),
            next="give a new or empty folder with -o",
        )


@contextmanager
def on_disk(where: Path) -> Iterator[None]:
    """A full disk, or a place that cannot be written, is said in words (SynthgainError)."""
    try:
        yield
    except OSError as error:
        said = said_of(error, where)
        if said is None:
            raise
        raise said from error


@contextmanager
def kept_if_it_can_be(what: str, folder: Path) -> Iterator[None]:
    """What was worked out is given to whoever asked, also where it cannot be written beside what it is of: that is said."""
    try:
        yield
    except OSError as error:
        if said_of(error) is None:
            raise
        remark(f"{folder}: {what} are not kept there ({error.strerror})")


def said_of(error: OSError, where: Path | None = None) -> SynthgainError | None:
    """In words, that the disk is full or that a place cannot be used; None of another error. Without `where` the place that the error names."""
    if error.errno in UNWRITABLE:
        return SynthgainError(
            f"this place cannot be {'read or ' if where is None else ''}written ({error.strerror})",
            where=str(error.filename or where),
            next="give another place with -o, or the right to write to this one"
            if where
            else "look at its rights, or give another place",
        )
    if error.errno not in FULL:
        return None
    return SynthgainError(
        "the disk is full",
        where=str(where or error.filename or ""),
        code=3,
        next="free disk space and run the same command again: every answer written so far is kept",
    )


def apart_from(anchors: object, out: Path) -> None:
    """A run that read itself would be another, larger run each time, and would replace what it reads."""
    if isinstance(anchors, str | Path) and str(anchors) and not str(anchors).startswith("hf://"):
        here, place = Path(anchors).resolve(), out.resolve()
        run = Run(place)
        own = (run.anchors, run.path / "rows", run.data, run.calls)
        if (here == place and Run.is_at(place)) or any(part in (here, *here.parents) for part in own):
            raise SynthgainError(
                "a run cannot be made from its own folder", where=str(anchors), next="give another folder with -o"
            )
        if here in (place, *place.parents) and here.is_dir():
            lies = "is the anchors' own folder" if here == place else "lies inside the anchors' folder"
            raise SynthgainError(
                f"this folder {lies}: its rows would be read as anchors the next time",
                where=str(out),
                next=f"give a folder outside of {anchors} with -o",
            )

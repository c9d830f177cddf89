"""Where anchors lie: one file, a folder of files, a data set that `datasets` saved, or a run."""

from __future__ import annotations

import difflib
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from synthgain.anchors.formats import READABLE, kind_of
from synthgain.anchors.notes import Notes
from synthgain.store import Run
from synthgain.types import SynthgainError

ROWS = ("jsonl", "csv", "tsv", "parquet", "arrow")  # what data sets that have a card come in


@dataclass(frozen=True)
class Found:
    """A file to read. `where` names it in messages, as the user would; `source` in anchors."""

    path: Path
    where: str
    source: str
    kind: str


def files(root: Path, notes: Notes) -> Iterator[Found]:
    """The files of a path in a fixed order: by name, folder by folder. SynthgainError where there are none to read."""
    mode = _mode(root)
    if stat.S_ISDIR(mode):
        some = False
        for found in _folder(root, root, notes, {_place(root)}):
            some = True
            yield found
        if not some and not notes.bad:
            raise _nothing_in(root, notes)
        return
    if not stat.S_ISREG(mode):
        raise SynthgainError("this is neither a file nor a folder", where=str(root), next="save it as a file first")
    kind = kind_of(root)
    if kind is None:
        raise SynthgainError(
            f"files ending in {root.suffix or 'nothing'} are not read"
            if root.suffix
            else "its name has no ending that says what it is",
            where=str(root),
            next=f"convert or rename it to one of {READABLE}",
        )
    yield Found(root, str(root), root.name, kind)


def _mode(root: Path) -> int:
    try:
        return root.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise _missing(root) from None
    except OSError as error:
        raise SynthgainError(error.strerror or str(error), where=str(root), next="give another path") from error


def _missing(root: Path) -> SynthgainError:
    if os.path.islink(root):
        return SynthgainError("this link leads nowhere", where=str(root), next="give the path of the file itself")
    if "://" in str(root) or ":/" in str(root):
        return SynthgainError(
            "this address is not read", where=str(root), next="download it and give the file, or use hf://owner/name"
        )
    after = "give the path of a file or folder"
    if any(mark in str(root) for mark in "*?["):
        after = "give the folder, or one file: patterns are not expanded here"
    elif root.parent.is_dir():
        near = difflib.get_close_matches(root.name, [p.name for p in root.parent.iterdir()], 3, 0.5)
        if near:
            after = "did you mean " + " or ".join(str(root.parent / name) for name in near) + "?"
    elif str(root.parent) != ".":
        above = next((p for p in root.parents if p.is_dir()), Path("."))
        gone = next((p for p in reversed(root.parents) if not p.exists()), root.parent)
        near = difflib.get_close_matches(gone.name, [p.name for p in above.iterdir()], 3, 0.5)
        after = f"there is no {gone} either" + (
            f"; did you mean {' or '.join(str(above / n) for n in near)}?" if near else ""
        )
    return SynthgainError("there is no such file or folder", where=str(root), next=after)


def _nothing_in(root: Path, notes: Notes) -> SynthgainError:
    if not notes.skipped_total:
        return SynthgainError("the folder is empty", where=str(root), next=f"put files in it: {READABLE}")
    named = ", ".join(f"{s.path} ({s.why})" for s in notes.skipped)
    more = notes.skipped_total - len(notes.skipped)
    return SynthgainError(
        f"nothing in this folder can be read: {named}{f' and {more:,} more' if more else ''}",
        where=str(root),
        next=f"convert them to one of {READABLE}",
    )


# ---------------------------------------------------------------------------------------------- folders


def _folder(folder: Path, root: Path, notes: Notes, seen: set[tuple[int, int]]) -> Iterator[Found]:
    try:
        special = _special(folder, root, notes)
        with os.scandir(folder) as scan:
            entries = sorted(scan, key=lambda e: e.name)
    except PermissionError:
        notes.problem(SynthgainError("permission denied", where=str(folder), next=f"chmod u+rx {folder}"))
        return
    if special is not None:
        yield from special
        return
    for entry in entries:
        path = Path(entry.path)
        name = _under(path, root)
        if entry.name.startswith("."):
            notes.skip(name, "hidden")
            continue
        try:
            mode = entry.stat().st_mode  # follows links
        except OSError as error:
            notes.skip(name, "a link that leads nowhere" if entry.is_symlink() else error.strerror or str(error))
            continue
        if stat.S_ISDIR(mode):
            place = _place(path)
            if place in seen:
                notes.skip(name, "a link to a folder that is read already")
                continue
            seen.add(place)
            yield from _folder(path, root, notes, seen)
        elif not stat.S_ISREG(mode):
            notes.skip(name, "not a regular file")
        elif entry.name.lower() == "readme.md" and _has_rows(entries):
            notes.skip(name, "the data set's card")
        elif (kind := kind_of(path)) is None:
            notes.skip(name, f"{path.suffix} is not read" if path.suffix else "no ending that says what it is")
        else:
            yield Found(path, str(path), name, kind)


def _has_rows(entries: list[os.DirEntry[str]]) -> bool:
    """True where some of these are files of rows, or folders that hold such files."""
    for entry in entries:
        path = Path(entry.path)
        if kind_of(path) in ROWS and entry.is_file():
            return True
        if entry.name.startswith(".") or not entry.is_dir() or not os.access(path, os.R_OK | os.X_OK):
            continue
        if any(kind_of(below) in ROWS and below.is_file() for below in path.iterdir()):
            return True
    return False


def _under(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _place(path: Path) -> tuple[int, int]:
    here = path.stat()
    return here.st_dev, here.st_ino


def _special(folder: Path, root: Path, notes: Notes) -> Iterator[Found] | None:
    """A run's data, or a saved data set's shards; None for an ordinary folder."""
    if Run.is_at(folder):
        run = Run.at(folder)
        return _run(run, run.data, root, notes)
    above = folder.absolute().parent
    if Run.is_at(above) and Run.at(above).data == folder.absolute():
        return _run(Run.at(above), folder, root, notes)
    if (folder / "dataset_dict.json").is_file():
        return _splits(folder, root, notes)
    if (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file():
        return _saved(folder, root)
    if (folder / "loop.json").is_file():
        runs = sorted(str(p.parent) for p in folder.glob("*/run/run.json"))
        raise SynthgainError(
            "this is a loop's folder, not one run's",
            where=str(folder),
            next=f"give one of its runs: {', '.join(runs) or 'none is there yet'}",
        )
    return None


def _run(run: Run, data: Path, root: Path, notes: Notes) -> Iterator[Found]:
    """The kept rows of a run: the shards in its folder `data`."""
    status = run.record.get("status")
    if status != "complete":
        notes.warn(f"the run is not complete (status {status!r}): these are the rows it has kept so far", str(data))
    shards = sorted(data.glob("*.parquet"))
    if not shards:
        raise SynthgainError("this run has no data yet", where=str(data), next="finish it with `synthgain generate`")
    for shard in shards:
        yield Found(shard, str(shard), _under(shard, root), "parquet")


def _saved(folder: Path, root: Path) -> Iterator[Found]:
    state = folder / "state.json"
    try:
        record = json.loads(state.read_text("utf-8"))
        names = [str(f["filename"]) for f in record["_data_files"]]
    except (ValueError, KeyError, TypeError) as error:
        raise SynthgainError(
            f"this saved data set's record is damaged ({error!r})", where=str(state), next="save it again"
        ) from None
    if record.get("_indices_data_files"):
        raise SynthgainError(
            "this data set was saved with an index of rows by an old version of `datasets`",
            where=str(folder),
            next="load it with datasets.load_from_disk, call flatten_indices() and save it again",
        )
    for name in names:
        shard = folder / Path(name).name  # never outside this folder, whatever the record says
        if not shard.is_file():
            raise SynthgainError(
                "a shard of this saved data set is missing", where=str(shard), next="copy the whole folder again"
            )
        yield Found(shard, str(shard), _under(shard, root), "arrow")


def _splits(folder: Path, root: Path, notes: Notes) -> Iterator[Found]:
    record = folder / "dataset_dict.json"
    try:
        splits = [str(s) for s in json.loads(record.read_text("utf-8"))["splits"]]
    except (ValueError, KeyError, TypeError) as error:
        raise SynthgainError(
            f"this saved data set's record is damaged ({error!r})", where=str(record), next="save it again"
        ) from None
    if len(splits) != 1:
        raise SynthgainError(
            f"this saved data set has several splits: {', '.join(splits)}",
            where=str(folder),
            next=f"give one of them: {folder / splits[0] if splits else folder}",
        )
    return _saved(folder / Path(splits[0]).name, root)

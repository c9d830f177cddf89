"""Where anchors lie: one file, a folder of files, a data set that `datasets` saved, or a run."""

from __future__ import annotations

import difflib
import json
import os
import re
import shlex
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from synthgain.anchors.formats import READABLE, kind_of
from synthgain.anchors.notes import Notes
from synthgain.store import Run
from synthgain.types import SynthgainError

ROWS = ("jsonl", "csv", "tsv", "parquet", "arrow")  # what data sets that have a card come in
ABOUT = {  # what lies beside a data set's files and is none of them
    "readme": "the data set's card",
    "license": "a licence",
    "licence": "a licence",
    "copying": "a licence",
    "notice": "a licence",
    "dataset_info": "says what the data set is",
    "dataset_infos": "says what the data set is",
}
LOOKED = 10_000  # files below a folder that are looked at for rows
CARD = re.compile(r"^(license|configs|dataset_info|task_categories|size_categories|pretty_name)\s*:", re.MULTILINE)


@dataclass(frozen=True)
class Found:
    """A file to read. `where` names it in messages, as the user would; `source` in anchors. `whole`: a part of a data set that
    is read whole or not at all."""

    path: Path
    where: str
    source: str
    kind: str
    whole: bool = False


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
    if not notes.skipped_files:
        return SynthgainError("the folder is empty", where=str(root), next=f"put files in it: {READABLE}")
    named = "; ".join(map(str, notes.skipped))
    return SynthgainError(
        f"nothing in this folder can be read: {named}",
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
        notes.problem(
            SynthgainError("permission denied", where=str(folder), next=f"chmod u+rx {folder}"), whole_file=True
        )
        return
    if special is not None:
        yield from special
        return
    data: bool | None = None  # whether there are rows here or below; looked at where it matters
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
        elif (why := ABOUT.get(path.stem.lower())) and path.suffix.lower() in ("", ".md", ".txt", ".json"):
            data = _is_data(folder, entries) if data is None else data
            if data or (why == "a licence" and not path.suffix):
                notes.skip(name, why)
            elif (kind := kind_of(path)) is None:
                notes.skip(name, "no ending that says what it is")
            else:
                yield Found(path, str(path), name, kind)
        elif (kind := kind_of(path)) is None:
            notes.skip(name, f"{path.suffix} is not read" if path.suffix else "no ending that says what it is")
        else:
            yield Found(path, str(path), name, kind)


def _is_data(folder: Path, entries: list[os.DirEntry[str]]) -> bool:
    """True where this is a data set's folder: its README begins as a hub's card does, or all that can be read in it and below is rows."""
    card = next((Path(e.path) for e in entries if e.name.lower() == "readme.md" and e.is_file()), None)
    if card is not None and os.access(card, os.R_OK):
        head = card.read_bytes()[:65536].decode("utf-8", "replace").removeprefix("\ufeff")
        front, mark, _ = head.removeprefix("---").partition("\n---")
        if head.startswith("---") and mark and CARD.search(front):
            return True
    looked, rows = 0, False
    for _above, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            kind = None if name.startswith(".") or Path(name).stem.lower() in ABOUT else kind_of(Path(name))
            if kind in ("text", "document"):
                return False
            rows = rows or kind in ROWS
        looked += len(names)
        if looked > LOOKED:
            break
    return rows


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
    if _kept_none(run):
        raise SynthgainError(
            "this run kept no rows",
            where=str(data),
            next=f"see why: synthgain show {shlex.quote(str(run.path))} --fallen",
        )
    for shard in shards:
        yield Found(shard, str(shard), _under(shard, root), "parquet", whole=True)


def _kept_none(run: Run) -> bool:
    """Whether its shards hold no row; a damaged one is told where it is read."""
    try:
        return not run.count("data")
    except (pa.ArrowException, OSError):
        return False


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
        yield Found(shard, str(shard), _under(shard, root), "arrow", whole=True)


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

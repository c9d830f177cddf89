"""A run folder: where everything lies, and run.json."""

from __future__ import annotations

import errno
import hashlib
import html
import json
import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from synthgain.store.calls import CallMemory
from synthgain.store.corpus import Corpus
from synthgain.store.rows import ROWS, chat, columns_of, spoken
from synthgain.store.staged import Staged
from synthgain.types import Anchor, Call, Embedder, Reading, SynthgainError

if TYPE_CHECKING:
    import pandas as pd


def atomic_write(file: Path, text: str) -> None:
    """The whole text or nothing: written beside, flushed to disk, renamed. Half a surrogate pair is written as JSON escapes it."""
    if file.is_dir():  # also ".", which has no name to write beside
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}.{os.getpid()}")
    with open(new, "w", encoding="utf-8", errors="backslashreplace") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    new.replace(file)


@contextmanager
def intact(file: Path) -> Iterator[None]:
    """A context in which a file of a run that is no whole Parquet file is told as damaged."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno:  # the disk's own answer, such as "permission denied"
            raise
        raise SynthgainError(
            f"this file is damaged ({' '.join(str(error).split())[:200]})",
            where=str(file),
            next="run the command of this run again: rows are made anew from the calls, which are not bought twice",
        ) from error


def write_readings(folder: Path, readings: Sequence[Reading], beside: Mapping[str, Any] | None = None) -> None:
    """readings.json of a run or of a student; `beside` stands there by its own keys."""
    told = {"readings": [r.json() for r in readings], **(beside or {})}
    atomic_write(folder / "readings.json", json.dumps(told, indent=2, ensure_ascii=False) + "\n")


def read_readings(folder: Path) -> list[Reading]:
    """What `write_readings` wrote; none where it has not."""
    file = folder / "readings.json"
    return [Reading.read(r) for r in json.loads(file.read_text("utf-8"))["readings"]] if file.is_file() else []


def _plain(text: str) -> str:
    """A text as markup: escaped, control characters made visible."""
    return html.escape("".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text))


FORMAT = 2  # of a run folder; another one is refused
Part = Literal["anchors", "groups", "rows", "data"]
SHARDS = "part-[0-9]*.parquet"
PARTS: Mapping[str, tuple[str, ...]] = {  # the folders that a run replaces whole, and what it calls its files there
    "anchors": (SHARDS, "*.npy"),
    "groups": (SHARDS,),
    "rows": (SHARDS,),
    "broken": ("broken.jsonl",),
    "data": (SHARDS, "README.md"),
    "calls": (),
}


@dataclass(frozen=True, repr=False)
class Run:
    """A run: a folder on disk with what was asked, what was bought, and the rows that came of it. Opening one reads nothing.

    run = sg.Run("runs/first")
    len(run), run.record["counts"], run.readings()
    for row in run.rows(kept=True): print(row["text"])
    run.to_pandas()
    """

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))

    def __len__(self) -> int:
        """How many rows there are, kept and fallen."""
        return self.count("rows")

    def __bool__(self) -> bool:
        """A run is one, also without rows."""
        return True

    def __repr__(self) -> str:
        return f"<Run {self.path}: {self.count('data'):,} rows kept of {len(self):,}, {self._status()}>"

    def _repr_html_(self) -> str:
        """The same for a notebook, with what was asked and the first rows. All of it is escaped."""
        record = self.record if not self._damaged() else {}
        recipe, models = record.get("recipe", {}), record.get("models", {})
        told = {
            "recipe": f"{recipe.get('name', '')} {recipe.get('version', '')}",
            "models": ", ".join(f"{role} {uri}" for role, uri in models.items()),
            "rows": f"{self.count('data'):,} kept of {len(self):,}",
            "dropped by": ", ".join(f"{name} {n:,}" for name, n in record.get("dropped_by", {}).items()),
            "status": self._status(),
        }
        about = "".join(
            f"<tr><th>{_plain(name)}</th><td>{_plain(said)}</td></tr>" for name, said in told.items() if said
        )
        first = "".join(
            f"<tr><td>{_plain(spoken(r['messages'], r['text'])[:300])}</td></tr>"
            for r in islice(self.rows(kept=True) if self.run_json.is_file() else (), 3)
        )
        return f"<div><b>{_plain(str(self.path))}</b><table>{about}</table><table>{first}</table></div>"

    def _damaged(self) -> bool:
        try:
            return not isinstance(self.record, dict)
        except SynthgainError:
            return True

    def _status(self) -> str:
        if self._damaged():
            return "its run.json is damaged"
        record = self.record
        return ": ".join(str(record[name]) for name in ("status", "why") if name in record) or "not made yet"

    def rows(self, *, kept: bool | None = None, check: str = "") -> Iterator[dict[str, Any]]:
        """The rows in their order, as dictionaries (`id`, `kept`, `check`, `reason`, `messages` or `text`, `fields`, …), one file held at a time.

        `kept` asks for the kept ones (True) or the fallen ones (False), `check` for those that fell by it.
        """
        if not self.run_json.is_file():
            Run.at(self.path)  # says that there is none
        for shard in self.shards():
            if kept is not None:
                shard = shard.filter(shard.column("kept") if kept else pc.invert(shard.column("kept")))
            if check:
                shard = shard.filter(pc.equal(shard.column("check"), check))
            for row in shard.to_pylist():
                chats = {name: chat(row[name]) for name in ("messages", "rejected")}
                yield row | chats | {"fields": json.loads(row["fields"])}

    def to_pandas(self, *, kept: bool | None = None) -> pd.DataFrame:
        """The rows as a data frame, those of `rows(kept=kept)`."""
        try:
            import pandas
        except ImportError as error:
            raise SynthgainError("pandas is not installed", next="pip install pandas") from error
        return pandas.DataFrame(list(self.rows(kept=kept)), columns=ROWS.names)

    @staticmethod
    def is_at(path: str | Path) -> bool:
        """Whether a run lies there."""
        return Run(Path(path)).run_json.is_file()

    @staticmethod
    def at(path: str | Path) -> Run:
        """An existing run; SynthgainError where the folder is none."""
        run = Run(Path(path))
        if not Run.is_at(path):
            raise SynthgainError(
                "this is not a run (no run.json)",
                where=str(path),
                next="give the folder that `synthgain generate … -o RUN` wrote",
            )
        run.readable()
        return run

    def readable(self) -> None:
        """SynthgainError where the folder was written by another version's format, or holds a run.json of something else."""
        record = self.record
        held = record.get("format", 1)
        if self.run_json.is_file() and not {"format", "status", "recipe", "counts"} & set(record):
            raise SynthgainError(
                "this run.json was written by something else, not by synthgain",
                where=str(self.run_json),
                next="give another folder",
            )
        if self.run_json.is_file() and held != FORMAT:
            raise SynthgainError(
                f"this run was written in format {held}, and this synthgain reads format {FORMAT}",
                where=str(self.path),
                next="make it again into another folder with -o (its calls cannot be taken over), or use the version of synthgain that wrote it",
            )

    @property
    def run_json(self) -> Path:
        return self.path / "run.json"

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def calls(self) -> Path:
        return self.path / "calls"

    @property
    def groups(self) -> Path:
        return self.path / "groups"

    @property
    def anchors(self) -> Path:
        return self.path / "anchors"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def request(self) -> dict[str, Any]:
        """What was asked, as JSON (`chain.Request.read` reads it)."""
        asked = self.record.get("request")
        if not isinstance(asked, dict):
            raise SynthgainError(
                "run.json does not say what was asked",
                where=str(self.run_json),
                next="delete this one file and run the command that made it again: calls are kept apart and are not bought twice",
            )
        return asked

    @property
    def record(self) -> dict[str, Any]:
        """run.json as it stands ({} before the first)."""
        try:
            return dict(json.loads(self.run_json.read_text("utf-8")))
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, RecursionError) as error:
            raise SynthgainError(
                f"run.json is damaged ({error})",
                where=str(self.run_json),
                next="delete this one file and run the same command again: calls are kept apart and are not bought twice",
            ) from error

    def write_record(self, record: Mapping[str, Any]) -> None:
        atomic_write(self.run_json, json.dumps(record, ensure_ascii=False, indent=2) + "\n")

    def foreign(self) -> Iterator[Path]:
        """Files in the places that a run replaces, where neither a record nor bought calls say that a run is here.

        What a killed run of ours leaves there is not foreign: its names, in a folder that was locked before.
        """
        if self.run_json.is_file() or any(self.calls.glob("*.sqlite")):
            return
        locked = (self.path / ".lock").exists()
        for part, names in PARTS.items():
            place = self.path / part
            for file in sorted(place.rglob("*") if place.is_dir() else [place] if place.exists() else ()):
                ours = locked and file.parent == place and any(file.match(name) for name in names)
                if not ours and not file.is_dir():
                    yield file

    # ------------------------------------------------------------------------------------------ anchors

    def corpus(self, needs: Sequence[str] = (), embedder: Embedder | None = None) -> Corpus:
        """S_anchor as used."""
        return Corpus(self.anchors, tuple(needs), embedder)

    def parents(self, ids: Iterable[str]) -> dict[str, Anchor]:
        """The anchors with these ids; of recipes with a pool also the accepted rows that served as anchors."""
        wanted = set(ids)
        found = self.corpus().by_id(wanted)
        for part in self.files("groups") if wanted - set(found) else ():
            with intact(part):
                groups = pq.read_table(part, columns=["anchor_ids", "places", "made"]).to_pylist()
            for row in groups:
                if row["made"]:
                    own = [id for id, at in zip(row["anchor_ids"], row["places"]) if at < 0]
                    made = json.loads(row["made"])
                    found |= {id: Anchor(*told) for id, told in zip(own, made) if id in wanted}
        return found

    # ------------------------------------------------------------------------------------------ calls

    def memory(self, *, readonly: bool = False) -> CallMemory:
        return CallMemory(self.calls, readonly=readonly)

    def write_used(self, beginnings: Sequence[int]) -> None:
        """Which calls the rows of now were made with, also those that no row names: the first 8 bytes of their ids, in order."""
        new = self.calls / ".used"
        new.write_bytes(np.array(beginnings, ">u8").tobytes())
        new.replace(self.calls / "used")

    def uses(self) -> Callable[[str], bool] | None:
        """Whether the rows of now were made with the call that has this id; None where the run has not come to rows."""
        file = self.calls / "used"
        if not file.is_file():
            return None
        held = np.frombuffer(file.read_bytes(), ">u8").astype(np.uint64)

        def uses(id: str) -> bool:
            mine = np.uint64(int(id[:16], 16))
            at = int(np.searchsorted(held, mine))
            return at < len(held) and bool(held[at] == mine)

        return uses

    def bought(self, ids: Sequence[str]) -> dict[str, Call]:
        """The calls with these ids, as far as they are remembered."""
        if not ids:  # of rows that were given there is no memory either
            return {}
        memory = self.memory(readonly=True)
        try:
            return memory.get_many(ids)
        finally:
            memory.close()

    def stage(self) -> Staged:
        """A place for what a run under way makes; what an earlier one left there is gone."""
        return Staged(self.path / ".staged")

    def unstage(self) -> None:
        """Throw away what a run that did not come to its end had made; its calls are kept."""
        shutil.rmtree(self.path / ".staged", ignore_errors=True)

    # ------------------------------------------------------------------------------------------ rows and broken drafts

    def files(self, part: Part) -> list[Path]:
        """The Parquet files of a part, in order; none where it is not there."""
        return sorted((self.path / part).glob("*.parquet"))

    def count(self, part: Part) -> int:
        """How many rows the files of a part hold."""
        n = 0
        for file in self.files(part):
            with intact(file):
                n += pq.read_metadata(file).num_rows
        return n

    def data_columns(self) -> list[str]:
        """The columns of the data set."""
        file = self.files("data")[0]
        with intact(file):
            return list(pq.read_schema(file).names)

    def shards(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The rows, shard by shard."""
        for part in self.files("rows"):
            with intact(part):
                shard = pq.read_table(part, columns=None if columns is None else list(columns))
            yield shard

    def kept(self, names: Sequence[str]) -> Iterator[pa.Table]:
        """Columns of the kept rows, also the derived ones (text, answer, prompt), shard by shard."""
        for shard in self.shards():
            alive = shard.filter(shard.column("kept"))
            if len(alive):
                yield columns_of(alive, names)

    def batches(self, part: Part, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Columns of "rows" or "anchors", a few thousand rows at a time; a column that a file lacks is null there."""
        for file in self.files(part):
            with intact(file), pq.ParquetFile(file) as opened:
                there = [name for name in columns if name in opened.schema_arrow.names]
                for batch in opened.iter_batches(batch_size=4096, columns=there):
                    table = pa.Table.from_batches([batch])
                    for name in columns:
                        if name not in there:
                            table = table.append_column(name, pa.nulls(len(table)))
                    yield table

    def why_not(self, part: Part) -> str:
        """Why "rows" or "anchors" cannot be read; "" where they can."""
        files = self.files(part)
        if not files:
            return f"there is no {part}/ with Parquet files"
        for file in files:
            try:
                pq.read_schema(file)
            except (OSError, pa.ArrowException) as error:
                return f"{part}/{file.name} cannot be read ({error})"
        return ""

    def found(self, part: Part, ids: Iterable[str], columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """The rows, or anchors, with these ids."""
        wanted = pa.array(sorted(set(ids)), pa.string())
        if not len(wanted) or self.why_not(part):
            return
        for batch in self.batches(part, columns):
            yield from batch.filter(pc.is_in(batch.column("id").cast(pa.string()), value_set=wanted)).to_pylist()

    def row(self, id: str) -> dict[str, Any]:
        """One stored row by its id or a unique beginning of it."""
        found = []
        for shard in self.shards():
            ids = shard.column("id").to_pylist()
            found += [shard.slice(i, 1).to_pylist()[0] for i, mine in enumerate(ids) if mine.startswith(id)]
        if len(found) != 1:
            what = "no row has this id" if not found else f"{len(found)} rows begin with these letters"
            raise SynthgainError(
                what,
                where=f"{self.path} row {id}",
                next=f"look ids up: synthgain show {shlex.quote(str(self.path))} -n {len(self)}",
            )
        return dict(found[0])

    def broken(self) -> Iterator[dict[str, Any]]:
        """Drafts and calls that failed, with the reason."""
        file = self.path / "broken" / "broken.jsonl"
        if file.is_file():
            with open(file, encoding="utf-8") as lines:
                yield from (json.loads(line) for line in lines)

    # ------------------------------------------------------------------------------------------ readings

    def write_readings(self, readings: Sequence[Reading], beside: Mapping[str, Any] | None = None) -> None:
        """The figures, with the stamp of the rows that they are of."""
        write_readings(self.path, readings, {"rows": self.stamp(), **(beside or {})})

    def anchors_used(self) -> int:
        """From how many anchors rows were made."""
        return len(self.anchor_ids_used())

    def anchor_ids_used(self) -> set[str]:
        """The ids of the anchors that rows were made from, kept or fallen: with a limit, or in a run that was stopped, not all."""
        used: set[str] = set()
        for table in self.batches("rows", ["anchor_ids"]):
            used |= set(pc.unique(pc.list_flatten(table.column("anchor_ids"))).to_pylist())
        return used

    def stamp(self) -> str:
        """A digest of the rows as they are judged, whatever their order: figures with another one are of other rows."""
        total = 0
        for table in self.batches("rows", ["id", "check"]):
            for id, check in zip(table.column("id").to_pylist(), table.column("check").to_pylist()):
                total += int.from_bytes(hashlib.blake2b(f"{id} {check or ''}".encode(), digest_size=16).digest(), "big")
        return f"{total % 2**128:032x}"

    def readings(self) -> list[Reading]:
        return read_readings(self.path)


def kind_of(reason: str) -> str:
    """A reason without what differs from one call to the next: quoted names and numbers, but a status at its head."""
    status = reason[:3] if reason[:3].isdecimal() else ""
    return status + re.sub(r"'[^']*'|\"[^\"]*\"|[0-9a-f]{12,}|\d[\d.,:]*", "…", reason[len(status) :])

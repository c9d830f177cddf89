"""A run folder: where everything lies, who may write, and run.json."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from synthgain.store.calls import CallMemory
from synthgain.store.rows import ANCHORS, Staged, columns_of
from synthgain.types import Anchor, Call, Reading, SynthgainError


def atomic_write(file: Path, text: str) -> None:
    """The whole text or nothing: written beside, flushed to disk, renamed."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}.{os.getpid()}")
    with open(new, "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    new.replace(file)


def write_readings(folder: Path, readings: Sequence[Reading]) -> None:
    """readings.json of a run or of a student."""
    atomic_write(folder / "readings.json", json.dumps({"readings": [r.json() for r in readings]}, indent=2) + "\n")


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """The only writer of a folder; SynthgainError (code 2) names the process that already is."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            who = lock.read().strip() or "unknown"
            raise SynthgainError(
                f"another process (pid {who}) is writing this folder", where=str(folder),
                next="wait until it ends or stop it, or choose another folder with -o",
            ) from None  # fmt: skip
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


@dataclass(frozen=True)
class Run:
    """A run on disk (see CONTRACT). Opening reads nothing."""

    path: Path

    @staticmethod
    def at(path: str | Path) -> Run:
        """An existing run; SynthgainError where the folder is none."""
        run = Run(Path(path))
        if not run.run_json.is_file():
            raise SynthgainError(
                "this is not a run (no run.json)", where=str(path),
                next="give the folder that `synthgain generate … -o RUN` wrote",
            )  # fmt: skip
        return run

    @property
    def run_json(self) -> Path:
        return self.path / "run.json"

    @property
    def rows(self) -> Path:
        return self.path / "rows"

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def calls(self) -> Path:
        return self.path / "calls"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def record(self) -> dict[str, Any]:
        """run.json as it stands ({} before the first)."""
        try:
            return dict(json.loads(self.run_json.read_text("utf-8")))
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError) as error:
            raise SynthgainError(
                f"run.json is damaged ({error})", where=str(self.run_json),
                next="delete this one file and run the same command again: calls are kept apart and are not bought twice",
            ) from error  # fmt: skip

    def write_record(self, record: Mapping[str, Any]) -> None:
        atomic_write(self.run_json, json.dumps(record, ensure_ascii=False, indent=2) + "\n")

    def memory(self, *, readonly: bool = False) -> CallMemory:
        return CallMemory(self.calls, readonly=readonly)

    def bought(self, ids: Sequence[str]) -> dict[str, Call]:
        """The calls with these ids, as far as they are remembered."""
        memory = self.memory(readonly=True)
        try:
            return memory.get_many(ids)
        finally:
            memory.close()

    def stage(self) -> Staged:
        return Staged(self.path / ".staged")

    # ------------------------------------------------------------------------------------------ anchors

    def write_anchors(self, anchors: Iterable[Anchor], shard: int = 4_096) -> None:
        """S_anchor as used, replacing what was there."""
        new = self.path / ".anchors.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        waiting: list[Anchor] = []
        n = 0

        def flush() -> None:
            nonlocal n
            columns = {
                "id": [a.id for a in waiting], "text": [a.text for a in waiting], "source": [a.source for a in waiting],
                "fields": [json.dumps(dict(a.fields), ensure_ascii=False, default=str) for a in waiting],
            }  # fmt: skip
            pq.write_table(pa.table(columns, schema=ANCHORS), new / f"part-{n:05d}.parquet", compression="zstd")
            waiting.clear()
            n += 1

        for anchor in anchors:
            waiting.append(anchor)
            if len(waiting) == shard:
                flush()
        flush()
        shutil.rmtree(self.path / "anchors", ignore_errors=True)
        new.rename(self.path / "anchors")

    def anchors(self, reads: Sequence[str] = ()) -> list[Anchor]:
        """S_anchor as used."""
        found = []
        for part in sorted((self.path / "anchors").glob("*.parquet")):
            for row in pq.read_table(part).to_pylist():
                found.append(Anchor(row["text"], row["source"], json.loads(row["fields"]), tuple(reads)))
        return found

    def count_anchors(self) -> int:
        """How many anchors the run has, from the files' own counts."""
        return sum(pq.read_metadata(part).num_rows for part in (self.path / "anchors").glob("*.parquet"))

    def anchor_ids(self) -> Iterator[str]:
        for part in sorted((self.path / "anchors").glob("*.parquet")):
            yield from pq.read_table(part, columns=["id"], use_threads=False).column("id").to_pylist()

    # ------------------------------------------------------------------------------------------ rows and broken drafts

    def data_columns(self) -> list[str]:
        """The columns of the data set."""
        return list(pq.read_schema(min(self.data.glob("*.parquet"))).names)

    def shards(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The rows, shard by shard."""
        for part in sorted(self.rows.glob("*.parquet")):
            yield pq.read_table(part, columns=None if columns is None else list(columns))

    def kept(self, names: Sequence[str]) -> Iterator[pa.Table]:
        """Columns of the kept rows, also the derived ones (text, answer, prompt), shard by shard."""
        for shard in self.shards():
            alive = shard.filter(shard.column("kept"))
            if len(alive):
                yield columns_of(alive, names)

    def row(self, id: str) -> dict[str, Any]:
        """One stored row by its id or a unique beginning of it."""
        found = []
        for shard in self.shards():
            ids = shard.column("id").to_pylist()
            found += [shard.slice(i, 1).to_pylist()[0] for i, mine in enumerate(ids) if mine.startswith(id)]
        if len(found) != 1:
            what = "no row has this id" if not found else f"{len(found)} rows begin with these letters"
            raise SynthgainError(what, where=f"{self.path} row {id}", next="look ids up in RUN/rows, column `id`")
        return dict(found[0])

    def write_broken(self, broken: Sequence[Mapping[str, Any]]) -> None:
        """Drafts and calls that failed, replacing what was there."""
        lines = "".join(json.dumps(b, ensure_ascii=False) + "\n" for b in broken)
        atomic_write(self.path / "broken" / "broken.jsonl", lines)

    # ------------------------------------------------------------------------------------------ readings

    def write_readings(self, readings: Sequence[Reading]) -> None:
        write_readings(self.path, readings)

    def readings(self) -> list[Reading]:
        file = self.path / "readings.json"
        return [Reading.read(r) for r in json.loads(file.read_text("utf-8"))["readings"]] if file.is_file() else []

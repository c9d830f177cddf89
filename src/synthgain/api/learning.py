"""What students learn from, on disk: anybody's rows as they are, and the rows of the arms of a comparison.

An arm's rows are one Parquet file with the columns that a trainer reads, in the order of their sources, so that conversations
with tools, preference pairs and the anchors behind a row stay whole. Of a run's rows one shard at a time is in memory, besides two
numbers a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from synthgain.anchors import load as load_anchors
from synthgain.api.telling import remark
from synthgain.loop import Arm, Part, Rows
from synthgain.store import Run
from synthgain.store.rows import table
from synthgain.train.rows import first_row, no_chat, read_rows, reads
from synthgain.turns import ANSWERED, CHATS, content_of
from synthgain.types import Anchor, Method, Row, SynthgainError, digest, is_learnt

COLUMNS = ("id", "messages", "text", "rejected", "tools", "anchor_ids")
ANSWERS = frozenset({*CHATS, "chosen", *ANSWERED})
SHARD = 1_000  # rows


# ---------------------------------------------------------------------------------------------- anybody's rows


def rows_of(source: str | Path | Run, out: Path, text_field: str | None = None, strict: bool = False) -> Path:
    """Where a trainer finds the rows of a source: a run's data; files of rows and plain texts as they are; other anchors (tables,
    data sets on disk or of a hub) as a Parquet file beside `out`, conversations as such and the rest as texts. SynthgainError: rows with
    answers that cannot be read as chats: to learn the questions alone as texts must be asked for, with `text_field`."""
    path = source.path if isinstance(source, Run) else Path(source)
    if Run.is_at(path):
        return Run.at(path).data
    why = SynthgainError(
        "chats are not read from this kind of source",
        where=str(source),
        next="give Parquet or JSON Lines, or --text-field",
    )
    if text_field is None and reads(path):
        try:
            first_row(path)
            return path
        except SynthgainError as error:
            why = error
    anchors = load_anchors(str(source), text_field=text_field, repeats=True, strict=strict, tell=remark)
    if text_field is None and any(ANSWERS & a.fields.keys() and not a.fields.get("messages") for a in anchors):
        raise why
    rows = (_row(anchor, chats=text_field is None) for anchor in anchors)
    return _written(out.parent / f".{out.name}.anchors.parquet", _in_shards(rows))


def _row(anchor: Anchor, *, chats: bool) -> Row:
    """An anchor as what a student learns: the conversation that it stands for, else its text."""
    held = {name: anchor.fields[name] for name in ("messages", "rejected", "tools") if anchor.fields.get(name)}
    content = content_of(held) if chats and held.get("messages") else None
    if content is None:
        return Row(text=anchor.text)
    return Row(messages=content.messages, rejected=content.rejected, tools=content.tools)


def _in_shards(rows: Iterator[Row]) -> Iterator[pa.Table]:
    while some := list(islice(rows, SHARD)):
        yield table(some).select(list(COLUMNS))


def _written(file: Path, shards: Iterator[pa.Table]) -> Path:
    """The shards in one file, put in its place when it is whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}.new")
    first = next(shards)
    with pq.ParquetWriter(new, first.schema, compression="zstd") as writer:
        writer.write_table(first)
        for shard in shards:
            writer.write_table(shard)
    new.replace(file)
    return file


# ---------------------------------------------------------------------------------------------- arms


@dataclass(frozen=True)
class _Lot:
    """What a part offers: `read` gives its rows shard by shard, `places` are those that can be learnt, `keys` the order of a draw."""

    read: Callable[[], Iterator[pa.Table]]
    places: NDArray[np.int64]
    keys: NDArray[np.uint64]
    left_out: int

    @property
    def n(self) -> int:
        return len(self.places)

    def drawn(self, n: int) -> _Lot:
        """`n` of the rows, those with the smallest keys, in their old order."""
        at = np.sort(np.argsort(self.keys, kind="stable")[:n])
        return _Lot(self.read, self.places[at], self.keys[at], self.left_out)

    def shards(self) -> Iterator[pa.Table]:
        start = 0
        for shard in self.read():
            first, last = np.searchsorted(self.places, (start, start + len(shard)))
            if last > first:
                yield shard.take(pa.array(self.places[first:last] - start))
            start += len(shard)


def write_rows(arms: Sequence[Arm], run: Path | None, folder: Path, *, seed: int = 0) -> dict[str, Rows]:
    """The rows of every trained arm as FOLDER/NAME.parquet; `run` is what a part without a source means.

    Rows that hold nothing to learn (blank; under "sft" chats without an answer, and texts of a part whose rows are chats; under "dpo"
    what is no preference pair) are left out and counted.
    SynthgainError: a method that the rows do not allow, a run that kept nothing, fewer rows than an arm asks for.
    """
    found: dict[str, Rows] = {}
    for arm in sorted((arm for arm in arms if arm.learns), key=lambda arm: bool(arm.as_many_as)):
        sources = [_source(part, run, folder / f"{arm.name}-{i}") for i, part in enumerate(arm.learns)]
        kinds = [_kind(part, source) for part, source in zip(arm.learns, sources)]
        method = _method(arm, kinds)
        asked = zip(arm.learns, sources, kinds)
        lots = [_lot(part, source, _learnt_as(method, kind), seed) for part, source, kind in asked]
        chosen = _mixed(arm, lots, found[arm.as_many_as].n if arm.as_many_as else None)
        n = sum(lot.n for lot in chosen)
        if not n:
            raise SynthgainError("there is nothing to train on", where=f"arm {arm.name}", next="look at its rows")
        file = _written(folder / f"{arm.name}.parquet", (shard for lot in chosen for shard in lot.shards()))
        found[arm.name] = Rows(file, n, method, sum(lot.left_out for lot in lots))
    return {arm.name: found[arm.name] for arm in arms if arm.learns}


def _source(part: Part, run: Path | None, beside: Path) -> Run | Path:
    """The run that a part draws on, or the files."""
    if not part.source and run is None:
        raise SynthgainError(
            "a part names no source, and there is no run of a round",
            where="Part",
            next="give its `source`: a run, or a file of rows",
        )
    path = Path(part.source) if part.source else run or Path()
    if Run.is_at(path) or not part.source:
        return Run(path)
    if part.take != "kept":
        raise SynthgainError(f"files have no {part.take}: only a run has", where=part.source, next="give a run")
    return rows_of(part.source, beside)


def _method(arm: Arm, kinds: Sequence[Method]) -> Method:
    """How the arm learns: what it says, if its rows allow it; else as all rows together say (`train.rows.TrainingRows.method`)."""
    if arm.method == "sft" and set(kinds) == {"cpt"}:
        raise no_chat(f"arm {arm.name}", "these rows are plain texts")
    if arm.method == "dpo" and set(kinds) != {"dpo"}:
        raise SynthgainError("these rows are no preference pairs", where=f"arm {arm.name}", next="leave the method out")
    return arm.method or (kinds[0] if len(set(kinds)) == 1 else "sft")


def _learnt_as(method: Method, kind: Method) -> Method:
    """How a part of that kind is learnt under a method: texts among chats stay texts."""
    return kind if method == "sft" and kind == "cpt" else method


def _kind(part: Part, source: Run | Path) -> Method:
    if not isinstance(source, Run):
        return read_rows(source).method
    if part.take == "anchors":
        return "cpt"
    if not any(len(shard) for shard in source.kept(["id"])):
        raise SynthgainError(
            "no row was kept: there is nothing to train on",
            where=str(source.path),
            next=f"look at the reasons: synthgain report {source.path}",
        )
    return read_rows(source.data).method


def _lot(part: Part, source: Run | Path, method: Method, seed: int) -> _Lot:
    """A part's rows; with `rows` so many of them."""
    read, left_out = _reader(part, source)
    places: list[int] = []
    keys: list[int] = []
    start = 0
    for shard in read():
        for at, row in enumerate(shard.select(["id", "messages", "text", "rejected"]).to_pylist(), start):
            if _learnable(row, method):
                places.append(at)
                keys.append(int(digest(f"draw {seed} {part.seed}", row["id"])[:16], 16))
            else:
                left_out += 1
        start += len(shard)
    lot = _Lot(read, np.asarray(places, np.int64), np.asarray(keys, np.uint64), left_out)
    if part.rows is None:
        return lot
    if part.rows > lot.n:
        raise SynthgainError(
            f"{part.rows} rows are asked for, and there are {lot.n}",
            where=part.source or "the round's run",
            next=f"ask for {lot.n} at most, or make more rows",
        )
    return lot.drawn(part.rows)


def _reader(part: Part, source: Run | Path) -> tuple[Callable[[], Iterator[pa.Table]], int]:
    """The part's rows as often as they are asked for, shard by shard, with the columns `COLUMNS`; how many files left out as empty."""
    if not isinstance(source, Run):
        read = read_rows(source)
        return lambda: _in_shards(
            Row(messages=r.messages, text=r.text, tools=r.tools, rejected=r.rejected, anchors=r.anchors) for r in read
        ), read.empty + sum(one.n for one in read.skipped)
    if part.take == "anchors":
        return lambda: _in_shards(Row(text=a.text, anchors=(a.id,)) for a in source.corpus()), 0
    names = list(COLUMNS)

    def shards() -> Iterator[pa.Table]:
        for shard in source.shards([*names, "kept"]):
            yield (shard if part.take == "candidates" else shard.filter(shard.column("kept"))).select(names)

    return shards, 0


def _learnable(row: Mapping[str, Any], method: Method) -> bool:
    """Whether a student finds something in the row: under "sft" and "dpo" in the last turn that is learnt, else in any."""
    turns = row["messages"] or ()
    if method == "dpo" and not row["rejected"]:
        return False
    if method != "cpt":
        said = [turn for i, turn in enumerate(turns) if is_learnt(turn, i)][-1:]
    else:
        said = turns or [{"content": row["text"]}]
    return any((turn["content"] or "").strip() or turn.get("tool_calls") for turn in said)


def _mixed(arm: Arm, lots: Sequence[_Lot], wanted: int | None) -> list[_Lot]:
    """The parts cut to their shares and to as many rows as are wanted (None: as many as there are)."""
    shares = [part.share for part in arm.learns if part.share is not None]
    most = min(int(lot.n / share + 1e-9) for lot, share in zip(lots, shares)) if shares else sum(lot.n for lot in lots)
    n = most if wanted is None else wanted
    if n > most:
        raise SynthgainError(
            f"it should have {n} rows, as {arm.as_many_as} has, and there are {most}",
            where=f"arm {arm.name}",
            next=f"give it more to learn from, or give {arm.as_many_as} fewer rows",
        )
    if shares:
        exact = np.asarray(shares) * n
        counts = np.floor(exact + 1e-9).astype(np.int64)
        counts[np.argsort(counts - exact, kind="stable")[: n - counts.sum()]] += 1
    else:
        part_of = np.repeat(np.arange(len(lots)), [lot.n for lot in lots])
        first = np.argsort(np.concatenate([lot.keys for lot in lots]), kind="stable")[:n]
        counts = np.bincount(part_of[first], minlength=len(lots))
    return [lot.drawn(int(k)) for lot, k in zip(lots, counts)]

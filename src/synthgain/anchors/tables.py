"""Rows out of Parquet and Arrow: columns in, plain values out, the same with and without pandas."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from synthgain.anchors.columns import Unread
from synthgain.anchors.decode import first_bytes, nothing, refuse_what_it_is
from synthgain.anchors.notes import Notes
from synthgain.turns import COLUMNS, without_nulls
from synthgain.types import SynthgainError

Rows = Iterator[tuple[int, str, Mapping[str, Any]]]  # (row from 1, place for messages, columns by name)
BATCH = 512  # rows in memory at once
KINDS = pa.types


def parquet(path: Path, where: str, notes: Notes) -> Rows:
    """Rows of a Parquet file, a few hundred at a time."""
    if not path.stat().st_size:
        raise nothing(where)
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            named = [field.name for field in file.schema_arrow if not _is_bytes(field.type)]
            beside = [field.name for field in file.schema_arrow if _is_bytes(field.type)]
            yield from rows_of(file.iter_batches(batch_size=BATCH, columns=named), where, notes, beside)
    except (pa.ArrowException, OSError) as error:
        raise _broken(error, path, where, "Parquet") from error


def arrow(path: Path, where: str, notes: Notes) -> Rows:
    """Rows of an Arrow IPC file or stream (what `datasets` saves)."""
    if not path.stat().st_size:
        raise nothing(where)
    try:
        with pa.OSFile(str(path)) as file:
            if first_bytes(path, 6) == b"ARROW1":
                whole_file = pa.ipc.open_file(file)
                batches = (whole_file.get_batch(i) for i in range(whole_file.num_record_batches))
            else:
                batches = iter(pa.ipc.open_stream(file))
            yield from rows_of(batches, where, notes)
    except (pa.ArrowException, OSError) as error:
        raise _broken(error, path, where, "Arrow") from error


def rows_of(batches: Iterator[pa.RecordBatch], where: str, notes: Notes, beside: list[str] | None = None) -> Rows:
    """Rows of record batches, numbered through. `beside` are columns of bytes that were not read at all."""
    n = 0
    unread = {name: Unread("bytes") for name in beside or ()}
    for batch in batches:
        names = [*batch.schema.names, *unread]
        if len(set(names)) < len(names):
            raise SynthgainError(
                "two columns have the same name", where=where, next="give each column a name of its own"
            )
        for at in range(0, len(batch), BATCH):
            part = batch.slice(at, BATCH)
            columns = [_values(name, part.column(name), notes, where) for name in batch.schema.names]
            for row in zip(*columns) if columns else [()] * len(part):
                n += 1
                yield n, f"{where}#{n}", dict(zip(batch.schema.names, row)) | unread
    if not n:
        raise SynthgainError("there are no rows", where=where, next="fill it or remove it")


# ---------------------------------------------------------------------------------------------- values


def _values(name: str, column: pa.Array, notes: Notes, where: str) -> list[Any]:
    """A column's values as Python has them. What has no plain form is `Unread`: bytes, text that is not UTF-8, odd types."""
    if _is_bytes(column.type):
        return [Unread("bytes")] * len(column)
    try:
        kind = _plain_kind(column.type)
        column = column if kind == column.type else column.cast(kind)
    except (pa.ArrowException, NotImplementedError):
        notes.warn(f"column {name!r} holds {column.type}, which has no plain form, and is left out", where)
        return [Unread(str(column.type))] * len(column)
    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        return [_value(value) for value in column]
    except (ValueError, OverflowError, TypeError, pa.ArrowException, NotImplementedError):
        notes.warn(f"column {name!r} holds {column.type}, which has no plain form, and is left out", where)
        return [Unread(str(column.type))] * len(column)
    return [without_nulls(value) for value in values] if name in COLUMNS and KINDS.is_nested(column.type) else values


def _value(value: pa.Scalar) -> Any:
    try:
        return value.as_py()
    except UnicodeDecodeError as error:
        return Unread(f"text that is not UTF-8 ({error.reason} at byte {error.start})", damaged=True)


def _is_bytes(kind: pa.DataType) -> bool:
    """Whether values of this type are bytes, or have bytes in them."""
    if KINDS.is_binary(kind) or KINDS.is_large_binary(kind) or kind == pa.binary_view():
        return True
    if isinstance(kind, pa.BaseExtensionType):
        return not isinstance(kind, pa.UuidType) and _is_bytes(kind.storage_type)
    if KINDS.is_fixed_size_binary(kind):
        return True
    return KINDS.is_nested(kind) and any(_is_bytes(kind.field(i).type) for i in range(kind.num_fields))


def _plain_kind(kind: pa.DataType) -> pa.DataType:
    """The type as which values of this type are read: times and decimals as text, which every value has."""
    if KINDS.is_temporal(kind) or KINDS.is_decimal(kind):
        return pa.string()
    if KINDS.is_dictionary(kind):
        return _plain_kind(kind.value_type)
    if KINDS.is_float16(kind):
        return pa.float32()
    for like, make in LISTS:
        if like(kind):
            inner = _plain_kind(kind.value_type)
            return kind if inner == kind.value_type else make(kind)(inner)
    if KINDS.is_struct(kind):
        fields = [kind.field(i) for i in range(kind.num_fields)]
        return pa.struct([field.with_type(_plain_kind(field.type)) for field in fields])
    return kind


LISTS: tuple[tuple[Callable[[Any], bool], Callable[[Any], Callable[[Any], pa.DataType]]], ...] = (
    (KINDS.is_list, lambda kind: pa.list_),
    (KINDS.is_large_list, lambda kind: pa.large_list),
    (KINDS.is_fixed_size_list, lambda kind: partial(pa.list_, list_size=kind.list_size)),
)


def _broken(error: Exception, path: Path, where: str, kind: str) -> SynthgainError:
    if isinstance(error, PermissionError):
        raise error
    if kind != "Parquet" or first_bytes(path, 4) != b"PAR1":
        refuse_what_it_is(path, where)
    return SynthgainError(
        f"this is no whole {kind} file ({' '.join(str(error).split())[:200]})",
        where=where,
        next="get the whole file again",
    )

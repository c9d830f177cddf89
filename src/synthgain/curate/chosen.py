"""What selections share: how many rows are kept, a keyed number for each row, numbers out of rows' fields, and the verdicts.

A row's number depends on its id (its content) and a key alone, so neither the order of rows nor what else lies in the set changes it. Draws
are made with it and ties are broken by it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from decimal import Decimal
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synthgain.types import SynthgainError, Verdict, drop, keep

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 1_024  # rows that are Python objects at the same time
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Places = NDArray[np.int64]
Keys = NDArray[np.uint64]


def check_size(n: int, share: float, where: str) -> None:
    """SynthgainError where a size makes no sense: `n` rows, or where it is above 0 the `share` of all."""
    if n < 1:
        raise SynthgainError(f"n is how many rows stay: 1 or more, not {n}", where=where)
    if not 0.0 <= share <= 1.0:
        raise SynthgainError(f"share is a part of the rows: 0 (n counts) to 1, not {share}", where=where)


def size(total: int, n: int, share: float) -> int:
    """How many of `total` rows stay; a share is rounded to the nearest row and keeps one at least."""
    wanted = max(1, math.floor(share * total + 0.5)) if share > 0 else n
    return min(wanted, total)


def keyed(table: pa.Table, key: str) -> Keys:
    """A number of 64 bits for each row, by its id and `key`."""
    salt = key.encode()
    found = np.empty(len(table), np.uint64)
    at = 0
    for ids in values(table, "id"):
        for id in ids:
            said = blake2b((id or "").encode("utf-8", "surrogatepass"), digest_size=8, key=salt[:64])
            found[at] = int.from_bytes(said.digest(), "little")
            at += 1
    return found


def values(table: pa.Table, column: str) -> Iterator[list[Any]]:
    """A column's values in their order, a batch at a time."""
    for batch in table.select([column]).to_batches(max_chunksize=BATCH):
        yield batch.column(0).to_pylist()


def of_fields(table: pa.Table) -> Iterator[dict[str, Any]]:
    """The fields of each row, in order."""
    for batch in values(table, "fields"):
        for text in batch:
            yield json.loads(text) if text else {}


def number(value: object) -> float:
    """A field's value as a number; NaN where it is none (a text that is one counts)."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return math.nan
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return math.nan
    return found if math.isfinite(found) else math.nan


def best(scores: Floats, ties: Keys, n: int) -> Places:
    """The places of the `n` largest scores, largest first; of equal ones the smaller key first. NaN is never among them."""
    known = np.flatnonzero(~np.isnan(scores))
    order = np.lexsort((ties[known], -scores[known]))
    return known[order[:n]].astype(np.int64)


def verdicts(stays: Flags, reason: str, scores: Floats | None = None, missing: str = "") -> list[Verdict]:
    """One verdict a row: kept, or dropped for `reason`; with `missing`, rows whose score is NaN fall for that."""
    out, told = keep(), drop(reason)
    unknown = drop(missing) if missing else told
    if scores is None:
        return [out if stay else told for stay in stays.tolist()]
    return [
        out if stay else unknown if math.isnan(score) else drop(reason, round(score, 6))
        for stay, score in zip(stays.tolist(), scores.tolist())
    ]


def flags(total: int, places: Places | Sequence[int]) -> Flags:
    """Which of `total` rows stand at `places`."""
    found = np.zeros(total, bool)
    found[np.asarray(places, np.int64)] = True
    return found


# ---------------------------------------------------------------------------------------------- vectors


def vector_parts(table: pa.Table) -> list[NDArray[np.float32]]:
    """The column `vector` as arrays (rows × dimensions) of its chunks, without a copy: they stay memory-mapped."""
    parts = []
    for chunk in table.column("vector").chunks:
        if len(chunk):
            width = chunk.type.list_size
            flat = chunk.values.to_numpy(zero_copy_only=True)
            parts.append(flat[chunk.offset * width : (chunk.offset + len(chunk)) * width].reshape(len(chunk), width))
    return parts


class Vectors:
    """Rows of the column `vector`, taken by their places."""

    def __init__(self, table: pa.Table) -> None:
        self.parts = vector_parts(table)
        self.ends = np.cumsum([len(part) for part in self.parts])

    def __getitem__(self, places: Places) -> NDArray[np.float32]:
        """The vectors at these places (places × dimensions)."""
        which = np.searchsorted(self.ends, places, side="right")
        starts = np.concatenate([[0], self.ends[:-1]])
        return np.stack([self.parts[part][at - starts[part]] for part, at in zip(which.tolist(), places.tolist())])

"""Tokens on disk, memory-mapped: what rows became, written once and read a few at a time.

Memory is flat in training tokens: while they are written one row is in memory, while they are learnt one batch is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthgain.train.rows import Bad
from synthgain.train.spelling import IGNORED, Example, Spelled

IDS, LEARNT, ENDS, ROWS, COUNTS = "ids.u32", "learnt.bool", "ends.i64", "rows.i64", "counts.json"
KINDS: dict[str, Any] = {IDS: np.uint32, LEARNT: np.bool_, ENDS: np.int64, ROWS: np.int64}


@dataclass(frozen=True)
class Counts:
    """What became of rows: see `Spelled`. `cut` and `no_answer` count examples, the others rows."""

    rows: int = 0
    cut: int = 0
    no_answer: int = 0
    unpaired: int = 0
    tools_unwritten: int = 0
    longest_answer: int = 0
    refused: tuple[dict[str, Any], ...] = ()

    @property
    def rows_refused(self) -> int:
        """Rows that could not be spelled."""
        return sum(int(one["n"]) for one in self.refused)


class Tokens:
    """Examples in a folder: token ids and which of them carry loss. `step` of them make one place of a schedule (of a preference pair, two)."""

    def __init__(self, folder: Path, step: int = 1) -> None:
        self.counts = Counts(**json.loads((folder / COUNTS).read_text("utf-8")))
        self.step = step
        self._ids, self._learnt, self._ends, rows = (_mapped(folder / name) for name in KINDS)
        self._rows = rows.reshape(-1, 2)

    def __len__(self) -> int:
        """Places of a schedule."""
        return len(self._ends) // self.step

    def example(self, at: int) -> Example:
        """One example; `Example.rows` are the places of the rows in it, among those that were spelled."""
        begin, end = (int(self._ends[at - 1]) if at else 0), int(self._ends[at])
        ids, learnt = self._ids[begin:end].astype(np.int64), self._learnt[begin:end]
        first, last = (int(row) for row in self._rows[at])
        return Example(tuple(ids.tolist()), tuple(np.where(learnt, ids, IGNORED).tolist()), (first, last))

    def __getitem__(self, place: int) -> tuple[Example, ...]:
        return tuple(self.example(place * self.step + n) for n in range(self.step))

    def __iter__(self) -> Iterator[Example]:
        return (self.example(at) for at in range(len(self._ends)))

    @property
    def total(self) -> int:
        """Tokens that are read in one pass, those without loss too; no padding."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each place."""
        each = np.diff(self._ends, prepend=0)
        return np.asarray(each.reshape(-1, self.step).sum(1), np.int64)

    def learnt(self) -> NDArray[np.int64]:
        """Tokens with loss of each place: the first of an example never has any, nothing stands before it."""
        starts = np.r_[0, np.asarray(self._ends)[:-1]].astype(np.int64)
        each = np.concatenate(
            [_sums(self._learnt, starts[n : n + PART], self._ends[n : n + PART]) for n in range(0, len(starts), PART)]
        )
        return np.asarray((each - self._learnt[starts]).reshape(-1, self.step).sum(1), np.int64)

    def whole_rows(self, reached: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which of the spelled rows have an example, and all of theirs among the places that are `reached`."""
        seen = np.repeat(reached, self.step)
        begun, left = (self._covered(side) for side in (np.ones(len(seen), bool), ~seen))
        return np.asarray(begun & ~left)

    def _covered(self, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The spelled rows that stand in some of the chosen examples."""
        change = np.zeros(self.counts.rows + 1, np.int64)
        rows = self._rows[chosen]
        np.add.at(change, rows[:, 0], 1)
        np.add.at(change, rows[:, 1] + 1, -1)
        return np.asarray(np.cumsum(change)[:-1] > 0)


PART = 100_000  # examples whose loss is counted at once


def _sums(learnt: NDArray[np.bool_], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    held = np.asarray(learnt[int(starts[0]) : int(ends[-1])])
    return np.add.reduceat(held, starts - starts[0], dtype=np.int64)


def _mapped(file: Path) -> NDArray[Any]:
    kind = KINDS[file.name]
    return np.memmap(file, kind, "r") if file.stat().st_size else np.zeros(0, kind)


def written(folder: Path) -> bool:
    """Whether tokens stand whole in a folder."""
    return (folder / COUNTS).is_file()


def write(rows: Iterable[Spelled], folder: Path, *, strict: bool = False, step: int = 1) -> Tokens:
    """What rows became, into a folder. SynthgainError: too many rows that cannot be spelled (`rows.Bad`)."""
    folder.mkdir(parents=True, exist_ok=True)
    counts = dict.fromkeys(("rows", "cut", "no_answer", "unpaired", "tools_unwritten"), 0)
    bad, end, longest = Bad(), 0, 0
    files = {name: (folder / name).open("wb") for name in KINDS}
    try:
        for one in rows:
            for name in counts:
                counts[name] += getattr(one, name)
            longest = max(longest, one.answer)
            if one.refused is not None:
                bad.add(one.refused, strict)
            for example in one.examples:
                end += len(example.ids)
                ids, labels = np.asarray(example.ids, np.uint32), np.asarray(example.labels, np.int64)
                for name, held in (
                    (IDS, ids),
                    (LEARNT, labels != IGNORED),
                    (ENDS, np.int64(end)),
                    (ROWS, np.asarray(example.rows, np.int64)),
                ):
                    files[name].write(held.tobytes())
    finally:
        for file in files.values():
            file.close()
    bad.check(counts["rows"] - len(bad))
    found = Counts(**counts, longest_answer=longest, refused=tuple(one.json() for one in bad.found))
    (folder / COUNTS).write_text(json.dumps(asdict(found), ensure_ascii=False), "utf-8")
    return Tokens(folder, step)

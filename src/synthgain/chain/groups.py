"""From anchors (and the pool of rows accepted so far) to groups, a wave at a time, written down as they are picked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from synthgain.store import Corpus, intact
from synthgain.store.groups import GROUPS, GroupsWriter
from synthgain.types import Anchor, Group, Pick, Pool, SynthgainError, singly

PASS = 1_000_000  # draw indices of one pass over the groups; the next pass begins PASS higher


@dataclass(frozen=True)
class Numbered:
    """A group with its place among all that are drafted, and where its draw indices begin."""

    number: int
    base: int
    group: Group


class Waves(Protocol):
    """Groups a wave at a time. `total` is how many one pass has, None where only picking tells."""

    total: int | None
    given: int  # so far, over all passes

    def next(self, size: int) -> list[Numbered]:
        """The next groups: none where the pass is over."""
        ...

    def again(self) -> None:
        """Begin the next pass, with fresh draw indices."""
        ...

    def drafted(self, groups: Sequence[Numbered]) -> None:
        """These groups of a wave were drafted, or begun: note them, with their anchors."""
        ...


class Picked:
    """Groups by the recipe's own `pick`, which is advanced a wave at a time."""

    def __init__(self, corpus: Corpus, pool: Pool, pick: Pick, seed: int, limit: int | None, out: GroupsWriter) -> None:
        self.corpus, self.pool, self.pick, self.seed, self.limit, self.out = corpus, pool, pick, seed, limit, out
        self.total = self._total()
        self.given = self.turn = self.wave = 0
        self._picked = self._pass()

    def next(self, size: int) -> list[Numbered]:
        found = [
            Numbered(self.given + i, self.turn * PASS, group) for i, group in enumerate(islice(self._picked, size))
        ]
        self.given += len(found)
        return found

    def again(self) -> None:
        self.turn += 1
        self._picked = self._pass()

    def drafted(self, groups: Sequence[Numbered]) -> None:
        if groups:
            self.out.add(self._table(groups))
            self.wave += 1

    def _pass(self) -> Iterator[Group]:
        return iter(islice(self.pick(self.corpus, self.pool, self.seed), self.limit))

    def _total(self) -> int | None:
        known = (
            len(self.corpus) if self.pick is singly else getattr(self.pick, "total", lambda corpus: None)(self.corpus)
        )
        return known if self.limit is None or known is None else min(known, self.limit)

    def _table(self, found: Sequence[Numbered]) -> pa.Table:
        alone = self.pick is singly  # then a group's place in its pass is its anchor's
        first = found[0].number - self.turn * (self.total or 0)
        places = [[first + i] if alone else [self.corpus.place(a) for a in n.group] for i, n in enumerate(found)]
        made = [
            json.dumps(
                [[a.text, a.source, dict(a.fields)] for a, at in zip(n.group, where) if at < 0], ensure_ascii=False
            )
            if any(at < 0 for at in where)
            else None
            for n, where in zip(found, places)
        ]
        columns: dict[str, Any] = {
            "group": [n.number for n in found],
            "wave": [self.wave] * len(found),
            "base": [n.base for n in found],
            "anchor_ids": [[a.id for a in n.group] for n in found],
            "places": places,
            "made": made,
        }
        return pa.table(columns, schema=GROUPS)


class Recorded:
    """The groups of a run as they were picked, wave by wave: a replay asks what was asked, whatever the checks say now."""

    def __init__(self, corpus: Corpus, files: Sequence[Path]) -> None:
        self.corpus, self.given = corpus, 0
        self._parts = files
        self.total: int | None = sum(self._size(part) for part in self._parts)
        self._waves = self._recorded()

    def next(self, size: int) -> list[Numbered]:
        found = next(self._waves, [])
        self.given += len(found)
        return found

    def again(self) -> None:
        return None

    def drafted(self, groups: Sequence[Numbered]) -> None:
        return None

    @staticmethod
    def _size(part: Path) -> int:
        with intact(part):
            return int(pq.read_metadata(part).num_rows)

    @staticmethod
    def _rows(part: Path) -> Iterator[dict[str, Any]]:
        with intact(part), pq.ParquetFile(part) as file:
            for batch in file.iter_batches(1024):
                yield from batch.to_pylist()

    def _recorded(self) -> Iterator[list[Numbered]]:
        wave, at = list[Numbered](), 0
        for part in self._parts:
            for row in self._rows(part):
                if row["wave"] != at and wave:
                    yield wave
                    wave = []
                at = row["wave"]
                wave.append(Numbered(row["group"], row["base"], self._group(row)))
        if wave:
            yield wave

    def _group(self, row: dict[str, Any]) -> Group:
        made = iter(json.loads(row["made"]) if row["made"] else ())
        group = tuple(self.corpus[at] if at >= 0 else self._made(*next(made)) for at in row["places"])
        if [a.id for a in group] != row["anchor_ids"]:
            raise SynthgainError(
                f"RUN/groups names other anchors than RUN/anchors holds (group {row['group']})",
                where="groups",
                next="give the command that made the run again: calls are kept apart and are not bought twice",
            )
        return group

    def _made(self, text: str, source: str, fields: dict[str, Any]) -> Anchor:
        return Anchor(text, source, fields, self.corpus.needs)

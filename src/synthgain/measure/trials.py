"""What a student is asked about, and what it may have learnt before: held-out real pairs with the rows and anchors that they may be judged by.

Of texts a pair is ("", text), of answers (prompt as a user's turn, answer). Held out is the target where there is one. Else anchors are, in folds: what was made
from an anchor of a fold is not seen by the fold's pairs, nor are its anchors. A held-out pair that a row repeats is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from synthgain.measure.aim import Aim
from synthgain.measure.data import Batches, Data, even_sample, fold_of
from synthgain.measure.student_eye import Pair, conditioned
from synthgain.measure.words import Ints, content

POOL = 2_048  # rows, and anchors, that are drawn from
CHARACTERS = 1_000  # of a prompt, and of a text or an answer, that are read
FEW = 8
GIVE = "give --target, or anchors, with whole answers (chats, or a column `worked`, `solution` or `output`)"


@dataclass(frozen=True)
class Trials:
    """`held_out` pairs with their `fold`; `rows` and `anchors` are pools, with the bits of the folds that each must not be seen in."""

    held_out: list[Pair]
    fold: Ints
    folds: int
    rows: list[Pair]
    rows_out: Ints
    anchors: list[Pair]
    anchors_out: Ints
    seed: int
    notes: list[str] = field(default_factory=list)

    def of_fold(self, fold: int) -> Ints:
        """The places of a fold's held-out pairs."""
        return np.flatnonzero(self.fold == fold)

    def drawn(self, what: str, fold: int, n: int, draw: int) -> list[Pair]:
        """`n` of the "rows" or "anchors" that the fold may see (again from the start where there are fewer), another lot each draw."""
        pool, out = (self.rows, self.rows_out) if what == "rows" else (self.anchors, self.anchors_out)
        may = np.flatnonzero(((out >> fold) & 1) == 0)
        if not len(may):
            return []
        order = np.random.default_rng([self.seed, fold, what == "rows"]).permutation(may)
        return [pool[order[(draw * n + i) % len(order)]] for i in range(n)]


def trials(data: Data, aim: Aim, *, documents: int = 64, folds: int = 2, characters: int = CHARACTERS) -> Trials | str:
    """What there is to try, or why there is nothing and what to give."""
    rows = _pool(data.rows, data.n_rows, POOL, data.seed, aim)
    if not len(rows):
        return "there are no rows" if not data.n_rows else "rows have no answers"
    crossed = data.target is None
    anchors = _pool(data.anchors, data.n_anchors, POOL, data.seed, aim)
    if data.target is None:
        held, anchors = anchors.slice(0, documents), anchors
    else:
        held = _pool(data.target, data.n_target, documents, data.seed + 1, aim)
    if len(held) < 2:
        some = data.n_anchors if data.target is None else data.n_target
        return (
            f"the held-out texts have no answers: {GIVE}" if aim.answers and some else "there are no two held-out texts"
        )
    pairs, said = _pairs(held, aim, characters), {content(b) for _, b in _pairs(rows, aim, characters)}
    fresh = [i for i, (_, text) in enumerate(pairs) if content(text) not in said]
    if len(fresh) < 2:
        return "the rows repeat the held-out texts: they have seen what they would be judged on"
    folds = folds if crossed else 1
    fold = [fold_of(held["id"][i].as_py(), folds, data.seed) if crossed else 0 for i in fresh]
    notes = [f"cross-fitted by anchor in {folds} folds" if crossed else "on the target"]
    if len(fresh) < len(pairs):
        notes.append(f"{len(pairs) - len(fresh):,} held-out texts that a row repeats left out")
    if crossed and not data.linked:
        notes.append(
            "rows do not name their anchors, so what was made from a held-out one may be learnt: the gain may be too high"
        )
    if len(fresh) < FEW:
        notes.append(f"only {len(fresh)} held-out texts")
    return Trials(
        [pairs[i] for i in fresh],
        np.array(fold, np.int64),
        folds,
        _pairs(rows, aim, characters),
        _bits(rows.column("anchor_ids").to_pylist() if crossed else [()] * len(rows), folds, data.seed),
        _pairs(anchors, aim, characters),
        _bits([[id] for id in anchors.column("id").to_pylist()] if crossed else [()] * len(anchors), folds, data.seed),
        data.seed,
        notes,
    )


def _pool(read: Batches, total: int, most: int, seed: int, aim: Aim) -> pa.Table:
    """An even sample in a seeded order: of answers of what has one, of texts of what is not empty."""
    names = ("id", "text", "asked", "answered", "anchor_ids")
    try:
        table = even_sample(read, names, total, most, seed)
    except KeyError:  # real text has no anchors of its own
        table = even_sample(read, names[:-1], total, most, seed)
    column = table.column("answered" if aim.answers else "text").to_pylist()
    there = np.array([i for i, value in enumerate(column) if value and value.strip()], np.int64)
    return table.take(pa.array(np.random.default_rng(seed).permutation(there)))


def _pairs(table: pa.Table, aim: Aim, characters: int) -> list[Pair]:
    if not aim.answers:
        return [("", text[:characters]) for text in table.column("text").to_pylist()]
    both = zip(table.column("asked").to_pylist(), table.column("answered").to_pylist())
    return [(conditioned(asked[:characters]), answered[:characters]) for asked, answered in both]


def _bits(ids: Sequence[Sequence[str]], folds: int, seed: int) -> Ints:
    """For each the bits of the folds of its anchors."""
    return np.array([sum({1 << fold_of(id, folds, seed) for id in mine or ()}) for mine in ids], np.int64)

"""Solutions of one question that reason alike (set check)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from synthgain.curate.arithmetic import equations
from synthgain.curate.exact_duplicate import BATCH
from synthgain.types import Verdict, drop, keep

if TYPE_CHECKING:
    import pyarrow as pa

READ = 4_096  # characters of a solution that its edit distances see


@dataclass(frozen=True)
class DistinctEquations:
    """Keeps one solution for every distinct list of equations of a question (the rows with the same anchors).

    Which one: as in RFT's code, the first stays until one with the same equations comes whose summed edit
    distance to the question's other solutions kept so far is larger; it then takes the place. Solutions without any
    equation share the empty list. Rows marked `human` in their fields are the gold solutions, which RFT adds beside the sampled ones:
    they always stay and are not compared.
    """

    @property
    def name(self) -> str:
        return "distinct-equations"

    @property
    def columns(self) -> tuple[str, ...]:
        return ("answer", "anchor_ids", "fields")

    def __call__(self, table: pa.Table) -> Sequence[Verdict]:
        verdicts = [keep()] * table.num_rows
        fallen = drop("same equations as another solution")
        for rows, answers in _questions(table):
            stay = set(farthest_apart(answers))
            for i, row in enumerate(rows):
                if i not in stay:
                    verdicts[row] = fallen
        return verdicts


def farthest_apart(solutions: Sequence[str]) -> list[int]:
    """Positions of the solutions that stay: one for each distinct list of equations, in order of first appearance."""
    places: dict[tuple[str, ...], int] = {}
    kept: list[int] = []
    for i, solution in enumerate(solutions):
        path = tuple(equations(solution))
        if path not in places:
            places[path] = len(kept)
            kept.append(i)
            continue
        now = kept[places[path]]
        others = [k for k in kept if solutions[k] != solutions[now]]
        if _summed(solution, others, solutions) > _summed(solutions[now], others, solutions):
            kept[places[path]] = i
    return kept


def _summed(solution: str, others: Sequence[int], solutions: Sequence[str]) -> int:
    return sum(edit_distance(solution[:READ], solutions[k][:READ]) for k in others)


@lru_cache(maxsize=4_096)
def edit_distance(a: str, b: str) -> int:
    """Levenshtein distance (insertions, deletions, replacements of characters), a column at a time in the bits of a number.

    Myers, J. ACM 46 (1999), in Hyyrö's form: about 0.2 ms for two texts of 300 characters.
    """
    if len(a) < len(b):
        a, b = b, a
    if not b:
        return len(a)
    where: dict[str, int] = {}
    for i, char in enumerate(a):
        where[char] = where.get(char, 0) | 1 << i
    full = (1 << len(a)) - 1
    top = 1 << (len(a) - 1)
    up, down, distance = full, 0, len(a)
    for char in b:
        match = where.get(char, 0)
        diagonal = (((match & up) + up) ^ up) | match | down
        right, left = down | ~(diagonal | up) & full, up & diagonal
        distance += bool(right & top) - bool(left & top)
        right = (right << 1 | 1) & full
        left = left << 1 & full
        up, down = left | ~(diagonal | right) & full, right & diagonal
    return distance


def _questions(table: pa.Table) -> Iterator[tuple[list[int], list[str]]]:
    """Row numbers and solutions of each question, in the table's order; only a few thousand texts are objects at a time."""
    asked = _question_keys(table)
    order = np.argsort(asked, kind="stable")
    order = order[asked[order] != 0]
    ends = np.flatnonzero(np.diff(asked[order])) + 1
    block: list[NDArray[np.intp]] = []
    for question in [q for q in np.split(order, ends) if len(q) > 1]:
        block.append(question)
        if sum(map(len, block)) >= BATCH:
            yield from _read(table, block)
            block = []
    yield from _read(table, block)


def _read(table: pa.Table, block: list[NDArray[np.intp]]) -> Iterator[tuple[list[int], list[str]]]:
    if not block:
        return
    answers = table.column("answer").take(np.concatenate(block)).to_pylist()
    start = 0
    for question in block:
        yield question.tolist(), [text or "" for text in answers[start : start + len(question)]]
        start += len(question)


def _question_keys(table: pa.Table) -> NDArray[np.uint64]:
    """A number for each row's anchors; 0 for rows that are not compared."""
    keys = np.zeros(table.num_rows, np.uint64)
    start = 0
    for batch in table.select(["anchor_ids", "fields"]).to_batches(max_chunksize=BATCH):
        for i, (ids, fields) in enumerate(zip(batch.column(0).to_pylist(), batch.column(1).to_pylist())):
            if '"human"' in (fields or "") and json.loads(fields).get("human"):
                continue
            digest = blake2b("\n".join(ids or ()).encode(), digest_size=8).digest()
            keys[start + i] = max(1, int.from_bytes(digest, "big"))
        start += batch.num_rows
    return keys


CHECK = DistinctEquations

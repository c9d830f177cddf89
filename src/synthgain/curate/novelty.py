"""Rows whose instruction is close to a seed or to an instruction that was kept (a fold): ROUGE-L, as in Self-Instruct."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil, floor
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Indel
from rapidfuzz.process import cdist

from synthgain.curate.lacking import of_row
from synthgain.types import Anchor, Judge, Row, SynthgainError, Verdict, drop, keep
from synthgain.words import words

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK = 256  # instructions that are compared with each other at once
TOGETHER = 32  # of like length, that are compared with the known ones at once
EXACT = 1e-9  # by which a share may miss the threshold in floating point
SIGNS, SURROGATES, SKIPPED = 0x10FFFF - 0x800, 0xD800, 0x800  # characters that a word can be, and those that none is
INSTRUCTION = "instruction"
HUMAN = "human"  # the field of a row that a person wrote: it is never close to anything


@dataclass(frozen=True)
class Novelty:
    """Drops an instruction whose ROUGE-L F with a seed or with one kept before is above `threshold` (Self-Instruct, Alpaca: 0.7).

    F = 2 LCS / (m + n) over the words (`words.py`) of two instructions of m and n words, LCS their longest common subsequence. Seeds are the
    run's anchors. An instruction that is kept is known at once, also to those beside it in one answer. It is the field `field` of a row, else its last
    user turn (of an anchor its text); rows that follow one another with the same instruction and anchors are instances of one task and stay or fall together. Rows that a
    person wrote (field `human`) stay. One without words stays.

    Every pair is decided exactly. Since LCS is at most the shorter length, only instructions of t/(2 − t) to (2 − t)/t times the length are
    looked at; the cost is still quadratic (docs/instructions.md has seconds). A kept instruction takes some hundred bytes.
    """

    threshold: float = 0.7
    field: str = INSTRUCTION

    def __post_init__(self) -> None:
        if not 0.0 < self.threshold <= 1.0:
            raise SynthgainError(f"threshold lies between 0 and 1, not {self.threshold}", where="novelty")

    @property
    def name(self) -> str:
        return "novelty"

    @property
    def columns(self) -> tuple[str, ...]:
        return ("fields", "prompt", "anchor_ids")

    def lacks(self, row: Row | None, anchors: Sequence[Anchor]) -> str | None:
        """The field, where the row has none; a user's turn will do for "instruction", and for no other that somebody named."""
        turns = row.messages if row is not None and self.field == INSTRUCTION else None
        return "" if any(turn["role"] == "user" for turn in turns or ()) else of_row(row, self.field)

    def begin(self) -> Judge:
        """A judge that knows nothing yet."""
        return self.begin_beside(())

    def begin_beside(self, anchors: Iterable[Anchor]) -> Judge:
        """A judge that knows the anchors' instructions."""
        known = Known(self.threshold)
        known.hold(_said(anchor, self.field) for anchor in anchors)
        last: tuple[object, Verdict] = (None, keep())

        def judge(table: pa.Table) -> Sequence[Verdict]:
            nonlocal last
            keys, human = _keys(table, self.field)
            tasks = [(key, len(list(same))) for key, same in groupby(keys)]
            goes_on = bool(tasks) and tasks[0][0] == last[0]
            fresh = [key[0] for key, _ in tasks[goes_on:]]
            by_hand = {key for key, wrote in zip(keys, human) if wrote}
            free = [key in by_hand for key, _ in tasks[goes_on:]]
            said = [last[1]] * goes_on + [_verdict(near) for near in known.take(fresh, free)]
            if tasks:
                last = tasks[-1][0], said[-1]
            return [verdict for (_, n), verdict in zip(tasks, said) for _ in range(n)]

        return judge


def _verdict(near: float | None) -> Verdict:
    return keep() if near is None else drop("close to a known instruction", round(near, 4))


def _said(anchor: Anchor, field: str) -> str:
    held = anchor.fields.get(field)
    return held if isinstance(held, str) else anchor.text


def _keys(table: pa.Table, field: str) -> tuple[list[tuple[str, tuple[str, ...]]], list[bool]]:
    """Of each row its instruction with its anchors, and whether a person wrote it."""
    keys, human = [], []
    columns = (table.column(name).to_pylist() for name in ("fields", "prompt", "anchor_ids"))
    for fields, prompt, ids in zip(*columns):
        held = json.loads(fields) if fields else {}
        instruction = held.get(field)
        keys.append((instruction if isinstance(instruction, str) else prompt or "", tuple(ids or ())))
        human.append(bool(held.get(HUMAN)))
    return keys, human


class Known:
    """Instructions as strings of one character a word, by their lengths."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self._numbers: dict[str, int] = {}
        self._by_length: dict[int, list[str]] = {}

    def hold(self, texts: Iterable[str]) -> None:
        """Know these, whatever they are close to."""
        for text in texts:
            self._hold(self._spelt(text))

    def take(self, texts: Sequence[str], free: Sequence[bool]) -> Iterator[float | None]:
        """For each its largest F with what is known where that is above the threshold, else None: it is then known. `free` ones always are."""
        for start in range(0, len(texts), BLOCK):
            block = [self._spelt(text) for text in texts[start : start + BLOCK]]
            best = self._closest(block)
            among = cdist(block, block, scorer=Indel.normalized_similarity, dtype=np.float64)
            stays: list[int] = []
            for i, said in enumerate(block):
                near = max(best[i], among[i, stays].max(initial=0.0)) if said and not free[start + i] else 0.0
                if near > self.threshold + EXACT:
                    yield float(near)
                else:
                    if said:
                        stays.append(i)
                    yield None
            for i in stays:
                self._hold(block[i])

    def _closest(self, block: Sequence[str]) -> NDArray[np.float64]:
        """The largest F of each with what was known before, 0 where that is below the threshold."""
        best = np.zeros(len(block))
        order = sorted((i for i, said in enumerate(block) if said), key=lambda i: len(block[i]))
        reach = (2 - self.threshold) / self.threshold
        for start in range(0, len(order), TOGETHER):
            some = order[start : start + TOGETHER]
            least, most = ceil(len(block[some[0]]) / reach - EXACT), floor(len(block[some[-1]]) * reach + EXACT)
            lengths = sorted(n for n in self._by_length if least <= n <= most)
            near = [said for n in lengths for said in self._by_length[n]]
            if near:
                asked = [block[i] for i in some]
                cutoff = self.threshold - EXACT
                found = cdist(
                    asked, near, scorer=Indel.normalized_similarity, score_cutoff=cutoff, dtype=np.float64, workers=1
                )
                best[some] = found.max(axis=1)
        return best

    def _hold(self, said: str) -> None:
        if said:
            self._by_length.setdefault(len(said), []).append(said)

    def _spelt(self, text: str) -> str:
        """The text with a character for each word, the same one for the same word (of the first million that differ)."""
        numbers = self._numbers
        places = (numbers.setdefault(word, len(numbers)) % SIGNS for word in words(text))
        return "".join(chr(n if n < SURROGATES else n + SKIPPED) for n in places)


CHECK = Novelty

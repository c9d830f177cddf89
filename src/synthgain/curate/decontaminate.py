"""Rows whose question stands in an evaluation set (a fold): a shared run of words, or nearly the same signs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from synthgain.curate.against import Primed, Sourced
from synthgain.types import Judge, SynthgainError, Verdict, drop, keep
from synthgain.words import ngrams, spans, words

if TYPE_CHECKING:
    import pyarrow as pa

READ = 2_048  # characters of a text that its similarity sees
ITEMS = 4_096  # items of the sets that a batch of rows is compared with at once
BATCH = 256  # rows that are compared at once


@dataclass(frozen=True)
class Decontaminate:
    """Drops a row whose question shares `n` words in a row with an item of `sets`, or is `indel` per cent like one by Indel similarity.

    OpenThoughts3's two tests (arXiv 2506.04178): a shared 13-gram, or a similarity of 75 or more. Theirs counts tokens of Qwen's tokenizer; here
    they are words (`words.py`). Indel similarity is 100 · (1 − characters put in and taken out / both lengths together), of the first 2,048
    characters, without case and with single spaces. `n` 0 or `indel` 0 leaves that test out; s1 used `n=8,indel=0`. Of a chat the question is the last
    user turn, of a plain text all of it. An item of fewer than `n` words is found by its similarity alone. The reason names the set and its item.

    The sets are paths or names, as they are typed and recorded; who runs the check gives it their texts (`primed`). Cost: the first test is linear in
    words; the second is rows × items (3,000 questions and 11,335 items took 85 s on one busy core, the first test 1.4 s), so for millions of rows take
    `indel=0`, or fewer items. An item takes 16 bytes a word and its text.
    """

    sets: tuple[str, ...] = ()
    n: int = 13
    indel: float = 75.0

    def __post_init__(self) -> None:
        if self.n < 0:
            raise SynthgainError(
                f"n is how many words in a row are shared: 1 or more, 0 for off, not {self.n}", where=self.name
            )
        if not 0.0 <= self.indel <= 100.0:
            raise SynthgainError(f"indel is a similarity in per cent, 0 for off, not {self.indel}", where=self.name)
        if not self.n and not self.indel:
            raise SynthgainError("both tests are off", where=self.name, next="set n or indel")

    @property
    def name(self) -> str:
        return "decontaminate"

    @property
    def columns(self) -> tuple[str, ...]:
        return ("prompt", "text")

    def primed(self, texts: Callable[[], Sourced]) -> Primed:
        """The fold that judges: `texts` is called once a run."""
        return Primed(self, texts)

    def beside(self, items: Sequence[tuple[str, str]]) -> Judge:
        """A judge that holds the sets' items."""
        sources = [source for source, _ in items]
        shared, alike = _Runs(items, self.n), _Alike([text for _, text in items], self.indel)

        def judge(table: pa.Table) -> Sequence[Verdict]:
            verdicts: list[Verdict] = []
            for batch in table.select(["prompt", "text"]).to_batches(max_chunksize=BATCH):
                asked = [prompt or text or "" for prompt, text in zip(*(c.to_pylist() for c in batch.columns))]
                near, which = alike.closest(asked)
                for text, score, item in zip(asked, near.tolist(), which.tolist()):
                    held = shared.item(text)
                    if held >= 0:
                        verdicts.append(drop(f"shares {self.n} words with {sources[held]}"))
                    elif score > 0:
                        verdicts.append(drop(f"close to {sources[item]}", round(score, 2)))
                    else:
                        verdicts.append(keep())
            return verdicts

        return judge

    def begin(self) -> Judge:
        raise SynthgainError(
            "the evaluation sets were not read", where=self.name, next="use --with decontaminate=EVALS"
        )


class _Runs:
    """Which item first has a run of n words; hashes of 8 bytes, sorted."""

    def __init__(self, items: Iterable[tuple[str, str]], n: int) -> None:
        self.n = n
        hashes: list[int] = []
        owners: list[int] = []
        for at, (_, text) in enumerate(items):
            found = self._hashes(text)
            hashes += found
            owners += [at] * len(found)
        order = np.argsort(np.array(hashes, np.uint64), kind="stable")
        self._hashed = np.array(hashes, np.uint64)[order]
        self._owners = np.array(owners, np.int64)[order]

    def item(self, text: str) -> int:
        """The first item with a run of words of this text; -1 where none has."""
        found = np.array(self._hashes(text), np.uint64)
        if not len(found) or not len(self._hashed):
            return -1
        at = np.minimum(np.searchsorted(self._hashed, found), len(self._hashed) - 1)
        owners = self._owners[at[self._hashed[at] == found]]
        return int(owners.min()) if len(owners) else -1

    def _hashes(self, text: str) -> list[int]:
        said = words(text) if self.n else []
        if not said or not spans(said, self.n):
            return []
        return [
            int.from_bytes(blake2b(run.encode("utf-8", "replace"), digest_size=8).digest(), "little")
            for run in ngrams(said, self.n)
        ]


class _Alike:
    """Indel similarities to the items, in per cent."""

    def __init__(self, texts: Iterable[str], least: float) -> None:
        self.least = least
        self.items = [_plain(text) for text in texts] if least else []

    def closest(self, asked: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """For each text the largest similarity that is `least` or more, and its item; (0, 0) where there is none."""
        from rapidfuzz.distance import Indel
        from rapidfuzz.process import cdist

        best, which = np.zeros(len(asked)), np.zeros(len(asked), np.int64)
        plain = [_plain(text) for text in asked]
        source = iter(self.items)
        start = 0
        while some := list(islice(source, ITEMS)):
            found = 100 * cdist(
                plain, some, scorer=Indel.normalized_similarity, score_cutoff=self.least / 100, dtype=np.float64
            )
            here = found.argmax(axis=1)
            score = found[np.arange(len(plain)), here]
            better = score > best
            best[better], which[better] = score[better], here[better] + start
            start += len(some)
        best[[not text for text in plain]] = 0.0  # two empty texts are alike, and say nothing
        return best, which


def _plain(text: str) -> str:
    return " ".join(text.lower().split())[:READ]


CHECK = Decontaminate

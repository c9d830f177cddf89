"""Items of other sets inside texts, also where some of their words or numbers were changed, or only a part of them is there.

Runs of `SEED` words, numbers read as one sign, lead from a text to the items that have them; around these places the item and the text are laid beside each other
(the longest common subsequence of words, by rapidfuzz) and what they share is weighed: a word that stands in n of N items counts ln((N + MORE) / n) nats, a
number little, so that "which of the following is" says nothing. An item is in a text where enough of its weight is there (`Hit.is_in`). Line ends, case and marks are
no words, so a wrapped or reformatted question is the same; a paraphrase in other words is not seen. Cost: linear in the words of the texts; each text is laid
beside `MOST` items at most, those with the most runs in common.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from math import log
from sys import intern

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import LCSseq

from synthgain.curate.negated import EMPTY
from synthgain.types import SynthgainError
from synthgain.words import WORD, scrambled, words, worth

SEED = 4  # words
COMMON = 12  # items: a run that more have is a set's phrase
MOST = 8  # items that a text is laid beside
WIDER = 1.3  # the window of a text, in lengths of the item
BATCH = 1_024  # texts at once
HELD = 1 << 24  # words of items
NUMBER = "#"
MORE = 1_000  # items that are thought of beside those given, so that a word of a small set weighs something
SIGN = 0.5  # nats at most that a number, an operator, a name of one letter and an English word without meaning count
_NUMBER = re.compile(r"[-−]?\d[\d.,]*")

Hashes = NDArray[np.uint64]
Ints = NDArray[np.int64]


LADDER = (
    (0.55, 40.0),
    (0.75, 28.0),
    (0.9, 18.0),
)  # share of an item's weight and nats: the less is there, the more it weighs
WHOLE = 0.99  # share of its weight from which an item is there whole
PART, PART_NATS = 0.33, 35.0  # likewise for one run of words that are there without a gap


@dataclass(frozen=True)
class Hit:
    """An item beside a text: its number, the share of its weight that stands there, that weight and the weight of the longest run without a gap (nats),
    and whether the numbers among these words are the same."""

    item: int
    share: float
    nats: float
    run: float
    same_numbers: bool

    @property
    def is_in(self) -> bool:
        """Whether the item is in the text. The steps were set on planted items and on public sets that do not hold the items (docs/decontamination.md)."""
        return any(self.share >= share and self.nats >= nats for share, nats in LADDER) or (
            self.share >= PART and self.run >= PART_NATS
        )


class Aligned:
    """Items that texts are looked up against."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._raw = list[tuple[str, ...]]()
        held = 0
        for text in texts:
            self._raw.append(tuple(map(intern, words(text))))
            held += len(self._raw[-1])
            if held > HELD:
                raise SynthgainError(
                    f"sets of more than {HELD:,} words are not looked for inside rows",
                    where="against",
                    next="compare with them by nearness alone: --with against:sets=DATA,inside=false",
                )
        self._items = [masked(said) for said in self._raw]
        counts = Counter(chain.from_iterable(set(said) for said in self._items))
        n = len(self._items) + MORE
        self._weight = {word: _weight(word, log(n / k)) for word, k in counts.items()}
        self._mass = [sum(map(self._weight.__getitem__, said)) for said in self._items]
        hashes, owners, places = _runs(self._items)
        order = np.argsort(hashes, kind="stable")
        hashes, owners, places = hashes[order], owners[order], places[order]
        _, counted = np.unique(hashes, return_counts=True)
        rare = np.repeat(counted <= COMMON, counted)
        self._hashes, self._owners, self._places = hashes[rare], owners[rare], places[rare]

    @property
    def looked_for(self) -> list[bool]:
        """Of each item whether it has the words and the weight to be found."""
        least = min(nats for _, nats in LADDER)
        return [len(said) >= SEED and mass >= least for said, mass in zip(self._items, self._mass)]

    def find(self, texts: Iterable[str]) -> Iterator[list[Hit]]:
        """For each text the items that are in it, the surest first."""
        source = iter(texts)
        while some := [tuple(words(text)) for text in islice(source, BATCH)]:
            read = [masked(said) for said in some]
            near = self._near(read)
            for i, (raw, said) in enumerate(zip(some, read)):
                hits = [hit for item, at in near.get(i, ()) if (hit := self._laid(item, at, said, raw))]
                yield sorted(hits, key=lambda hit: (-hit.share, hit.item))

    def _near(self, read: Sequence[tuple[str, ...]]) -> dict[int, list[tuple[int, int]]]:
        """By text: (item, where it would begin there), the items with the most runs in common, `MOST` at most."""
        hashes, whose, at = _runs(read)
        low, high = (np.searchsorted(self._hashes, hashes, side) for side in ("left", "right"))
        begins: dict[tuple[int, int], list[int]] = defaultdict(list)
        for step in range(COMMON):
            some = np.flatnonzero(low + step < high)
            place = low[some] + step
            for text, item, start in zip(
                whose[some].tolist(), self._owners[place].tolist(), (at[some] - self._places[place]).tolist()
            ):
                begins[text, item].append(start)
        by_text: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
        for (text, item), starts in begins.items():
            starts.sort()
            by_text[text].append((-len(starts), item, starts[len(starts) // 2]))
        return {text: [(item, start) for _, item, start in sorted(found)[:MOST]] for text, found in by_text.items()}

    def _laid(self, item: int, start: int, said: tuple[str, ...], raw: tuple[str, ...]) -> Hit | None:
        mine = self._items[item]
        room = round(len(mine) * (WIDER - 1)) + 2
        low, high = max(0, start - room), start + len(mine) + room
        window = said[low:high]
        blocks = LCSseq.opcodes(mine, window).as_matching_blocks()
        weights = [sum(self._weight[word] for word in mine[block.a : block.a + block.size]) for block in blocks]
        nats = sum(weights)
        hit = Hit(item, nats / self._mass[item] if self._mass[item] else 0.0, nats, max(weights, default=0.0), True)
        if not hit.is_in:
            return None
        pairs = ((b.a + i, low + b.b + i) for b in blocks for i in range(b.size))
        same = all(self._raw[item][a] == raw[b] for a, b in pairs if mine[a] == NUMBER)
        return hit if same else replace(hit, same_numbers=False)


def _weight(word: str, nats: float) -> float:
    sign = word.isascii() and len(word) == 1
    return min(nats, SIGN) if sign or word in EMPTY else nats * worth(word) / WORD


def masked(said: Sequence[str]) -> tuple[str, ...]:
    """The words with one sign for every number."""
    return tuple(NUMBER if _NUMBER.fullmatch(word) else word for word in said)


def _runs(said: Sequence[Sequence[str]]) -> tuple[Hashes, Ints, Ints]:
    """A hash of each run of `SEED` words (good within this process only), the number of its text, and where it begins there."""
    sizes = np.fromiter(map(len, said), np.int64, len(said))
    total = int(sizes.sum())
    if total < SEED:
        none = np.zeros(0, np.int64)
        return np.zeros(0, np.uint64), none, none
    key = np.fromiter(map(hash, chain.from_iterable(said)), np.int64, total).view(np.uint64)
    whose = np.repeat(np.arange(len(said)), sizes)
    at = np.arange(total) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    mixed = np.zeros(total - SEED + 1, np.uint64)
    for i in range(SEED):
        mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + scrambled(key[i : i + len(mixed)])
    inside = whose[: len(mixed)] == whose[SEED - 1 :]
    return scrambled(mixed[inside]), whose[: len(mixed)][inside], at[: len(mixed)][inside]

"""Texts as arrays of numbers, as the models of text here read them: the tokens of `synthgain.words`.

Many texts become one flat array, each after two marks of a beginning, so that nothing is done per row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import repeat
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from synthgain.words import Hashes, scrambled, tokens

PIECE = 1 << 20  # characters that are tokenised at once; a longer text is read in pieces of this size
MOST_WORDS = 1 << 18  # of a vocabulary: the most frequent
HELD = 1 << 21  # words counted at once while a vocabulary is made; beyond, those seen once are forgotten
LEAD = 2  # marks of a beginning before each text
MARK = "\0"
OTHERS = 1 << 15  # numbers shared by all words outside a vocabulary; as large as a usual tokenizer

Ints = NDArray[np.int64]
Ids = NDArray[np.int32]
Mask = NDArray[np.bool_]


def content(text: str) -> int:
    """A 63-bit number of a text's content, blind to case and spacing."""
    return number(" ".join(text.lower().split()))


def number(text: str) -> int:
    """A 63-bit number of a text, the same in every process."""
    return int.from_bytes(blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big") >> 1


def blocks(texts: Iterable[str | None]) -> Iterator[tuple[Ints, list[str]]]:
    """(place of its text, piece of a text), at most about `PIECE` characters together; a long text goes in several pieces.

    Pieces end at a space where there is one in the last 4,096 characters; a span of words across two pieces is not seen. A missing
    text is an empty one.
    """
    owners: list[int] = []
    pieces: list[str] = []
    held = 0
    for place, text in enumerate(texts):
        for piece in _cut(text or ""):
            if pieces and held + len(piece) > PIECE:
                yield np.asarray(owners, np.int64), pieces
                owners, pieces, held = [], [], 0
            owners.append(place)
            pieces.append(piece)
            held += len(piece) + LEAD
    if pieces:
        yield np.asarray(owners, np.int64), pieces


def _cut(text: str) -> Iterator[str]:
    start = 0
    while len(text) - start > PIECE:
        end = text.rfind(" ", start + PIECE - 4096, start + PIECE) + 1 or start + PIECE
        yield text[start:end]
        start = end
    yield text[start:] if start else text


def _flat(pieces: Sequence[str]) -> list[str]:
    """The tokens of all pieces, each piece after `LEAD` marks."""
    lead = MARK * LEAD
    if any(MARK in piece for piece in pieces):
        pieces = [piece.replace(MARK, " ") for piece in pieces]
    return tokens(lead + lead.join(pieces))


def piece_of(begins: Mask) -> Ints:
    """The piece that each place of a flat array belongs to."""
    return np.asarray((np.cumsum(begins) - 1) // LEAD, np.int64)


def spans(flat: NDArray[np.int64] | Ids, begins: Mask, n: int) -> tuple[Hashes, Ints]:
    """A 64-bit hash of every run of `n` tokens inside one text, and the place of its last token."""
    if len(flat) < n:
        return np.zeros(0, np.uint64), np.zeros(0, np.int64)
    key = flat.astype(np.int64).view(np.uint64)
    runs = len(flat) - n + 1
    mixed = np.zeros(runs, np.uint64)
    for i in range(n):
        mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + scrambled(key[i : i + runs])
    marks = np.concatenate([[0], np.cumsum(begins)])
    whole = np.flatnonzero(marks[n:] == marks[:runs])
    return scrambled(mixed[whole]), whole + n - 1


def distinct(values: Hashes) -> Hashes:
    """Each value once, sorted (by sorting, which here is several times faster than by hashing)."""
    ordered = np.sort(values)
    return ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])] if len(ordered) else ordered


# ---------------------------------------------------------------------------------------------- a fixed event space


@dataclass(frozen=True)
class Vocabulary:
    """The events of a model of words: those of the real text, and `OTHERS` numbers that all other words share by a hash.

    So the events depend on the real text only, and a word that nobody has seen has 1 / V with V in the tens of thousands, as in open
    text. With one number for all others V would be the size of the real text at hand, held-out words would come almost for free,
    and what the rows teach of them would seem nothing (measured: fresh real data then lost to less of it). The mark of a beginning has
    the number V: it stands before words, it is no event.
    """

    ids: dict[str, int]

    @staticmethod
    def of(words: Iterable[str]) -> Vocabulary:
        """Words in this order become `OTHERS`, `OTHERS` + 1, …"""
        ids = {word: i for i, word in enumerate(dict.fromkeys(words), OTHERS)}
        ids[MARK] = OTHERS + len(ids)
        return Vocabulary(ids)

    @property
    def words(self) -> int:
        """How many words have a number of their own."""
        return len(self.ids) - 1

    @property
    def size(self) -> int:
        """V, the number of events, and the number of the mark."""
        return self.ids[MARK]

    def encode(self, pieces: Sequence[str]) -> Ids:
        """The numbers of all pieces' tokens, each piece after `LEAD` marks of a beginning."""
        found = _flat(pieces)
        coded = np.fromiter(map(self.ids.get, found, repeat(-1)), np.int32, len(found))
        strange = np.flatnonzero(coded < 0)
        coded[strange] = [crc32(found[i].encode("utf-8", "replace")) % OTHERS for i in strange.tolist()]
        return coded


class WordCount:
    """Counts words of many texts in bounded memory, to make a vocabulary of."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self.total = 0  # tokens counted

    def add(self, texts: Iterable[str | None]) -> None:
        for _, pieces in blocks(texts):
            found = _flat(pieces)
            self._counts.update(found)
            self.total += len(found) - LEAD * len(pieces)
            if len(self._counts) > HELD:
                self._counts = Counter({word: n for word, n in self._counts.items() if n > 1})

    def vocabulary(self, most: int = MOST_WORDS) -> Vocabulary:
        """The `most` most frequent words, in alphabetical order."""
        self._counts.pop(MARK, None)
        words = sorted(self._counts)
        if len(words) > most:
            words = sorted(sorted(words, key=self._counts.__getitem__, reverse=True)[:most])
        return Vocabulary.of(words)

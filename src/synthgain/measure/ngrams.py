"""Interpolated Witten–Bell n-gram models that keep only the counts which given held-out documents ask for.

    q_0 = 1 / V,    q_n(v | h) = (c(h, v) + T(h) q_{n-1}(v | h')) / (c(h) + T(h)),    q_n = q_{n-1} where c(h) = 0

c counts, T(h) is the number of distinct events after h, h' is h without its first event (Witten and Bell, IEEE Trans. Inf. Theory 37,
1991, in the interpolated form). Counts add, so the models of A, of S and of A + S come from the same tables; T does not, so the
distinct (context, event) pairs after the asked contexts are kept. Their number is bounded by the asked contexts times V, whatever
the number of documents counted.

Cross-fitting costs no further pass: a document says by a bit mask in which folds it is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from synthgain.measure.words import Ids, Ints

Floats = NDArray[np.float64]
ORDERS = 3
CHUNK = 1 << 19  # events counted at once
MOST_FOLDS = 12


def _find(known: Ints, wanted: Ints) -> Ints:
    """The place of each wanted number among the sorted known ones, -1 where it is not there."""
    if not len(known):
        return np.full(len(wanted), -1)
    place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.asarray(np.where(known[place] == wanted, place, -1))


@dataclass(frozen=True)
class Asked:
    """What held-out documents ask a model for: contexts and (context, event) pairs of each order, as sorted numbers.

    `size` is V, the number of events; the mark of a beginning has the number V. `fold` and `document` are those of
    each held-out event; `context` and `gram` are its places in the tables, one array an order.
    """

    size: int
    folds: int
    contexts: tuple[Ints, ...]
    grams: tuple[Ints, ...]
    fold: Ints
    document: Ints
    context: tuple[Ints, ...]
    gram: tuple[Ints, ...]

    @staticmethod
    def by(flat: Ids, document: Ints, fold: Ints, size: int, folds: int = 1) -> Asked:
        """By these documents: a flat array in which each text stands after two marks; its document and its fold, place by place."""
        if not 1 <= folds <= MOST_FOLDS or size >= 1 << 20:
            raise ValueError(f"{folds} folds or {size} events are too many")
        before, last, event, where = _events(flat, size)
        contexts: list[Ints] = [np.zeros(1, np.int64)]
        context = [np.zeros(len(event), np.int64)]
        for key in (last, before * (size + 1) + last):
            known, place = np.unique(key, return_inverse=True)
            contexts.append(known)
            context.append(place.astype(np.int64))
        grams, gram = [], []
        for places in context:
            known, place = np.unique(places * (size + 1) + event, return_inverse=True)
            grams.append(known)
            gram.append(place.astype(np.int64))
        return Asked(
            size, folds, tuple(contexts), tuple(grams), fold[where], document[where], tuple(context), tuple(gram)
        )

    def places(self, before: Ints, last: Ints) -> tuple[Ints, ...]:
        """The place of each order's context of some events, -1 where nobody asks for it."""
        second = self._word_places[last]
        third = np.full(len(last), -1)
        some = np.flatnonzero(second >= 0)
        third[some] = _find(self.contexts[2], before[some] * (self.size + 1) + last[some])
        return np.zeros(len(last), np.int64), second, third

    @property
    def events(self) -> Ints:
        """The number of every held-out event."""
        return self.grams[0][self.gram[0]]

    @cached_property
    def _word_places(self) -> Ints:
        """Word → its place among the contexts of one word."""
        table = np.full(self.size + 1, -1)
        table[self.contexts[1]] = np.arange(len(self.contexts[1]))
        return table


def _events(flat: Ids, size: int) -> tuple[Ints, Ints, Ints, Ints]:
    """(the event before the last, the last event, the event, its place) of every event of a flat array."""
    where = np.flatnonzero(flat != size)
    wide = flat.astype(np.int64)
    return wide[where - 2], wide[where - 1], wide[where], where


class Counts:
    """The asked counts of a stream of documents, by fold."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self._bits = asked.folds
        self._total = [np.zeros(len(grams), np.int64) for grams in asked.grams]
        self._left = [np.zeros((asked.folds, len(grams)), np.int64) for grams in asked.grams]
        self._seen = [np.zeros(len(contexts), np.int64) for contexts in asked.contexts]
        self._unseen = [np.zeros((asked.folds, len(contexts)), np.int64) for contexts in asked.contexts]
        self._kinds = [_Pairs(asked.folds) for _ in asked.contexts]
        self._waiting: list[tuple[Ids, Ints]] = []
        self._held = 0

    def add(self, flat: Ids, out: Ints | None = None) -> None:
        """Count documents. `out`: for each place of the array, a bit for every fold that its document is left out of."""
        self._waiting.append((flat, np.zeros(len(flat), np.int64) if out is None else out))
        self._held += len(flat)
        if self._held >= CHUNK:
            self._flush()

    def _flush(self) -> None:
        if not self._waiting:
            return
        flat = np.concatenate([f for f, _ in self._waiting])
        out = np.concatenate([o for _, o in self._waiting])
        self._waiting, self._held = [], 0
        before, last, event, where = _events(flat, self.asked.size)
        leaves = out[where]
        for order, context in enumerate(self.asked.places(before, last)):
            some = np.flatnonzero(context >= 0)
            key = ((context[some] * (self.asked.size + 1) + event[some]) << self._bits) | leaves[some]
            self._take(order, *np.unique(key, return_counts=True))

    def _take(self, order: int, keys: Ints, counts: Ints) -> None:
        """Book distinct (context, event, folds left out) with their counts."""
        pair, out = keys >> self._bits, keys & ((1 << self._bits) - 1)
        gram = _find(self.asked.grams[order], pair)
        hit = gram >= 0
        context = pair // (self.asked.size + 1)
        self._total[order] += _sum(gram[hit], counts[hit], len(self._total[order]))
        self._seen[order] += _sum(context, counts, len(self._seen[order]))
        for fold in range(self.asked.folds):
            away = ((out >> fold) & 1) > 0
            if away.any():
                both = hit & away
                self._left[order][fold] += _sum(gram[both], counts[both], len(self._total[order]))
                self._unseen[order][fold] += _sum(context[away], counts[away], len(self._seen[order]))
        stays = (1 << self._bits) - 1 - out
        self._kinds[order].add(np.sort(pair << self._bits | stays))

    def counted(self, order: int) -> tuple[Ints, Ints]:
        """c(h, v) and c(h) of every held-out event, without what its fold leaves out."""
        self._flush()
        asked = self.asked
        gram, context = asked.gram[order], asked.context[order]
        c = self._total[order][gram] - self._left[order][asked.fold, gram]
        return c, self._seen[order][context] - self._unseen[order][asked.fold, context]

    def pairs(self, order: int) -> Ints:
        """The distinct (context, event) pairs after asked contexts, in the lowest bits the folds in which each is there."""
        self._flush()
        return self._kinds[order].merged()


class _Pairs:
    """A growing set of numbers whose lowest bits are or-ed together: 8 bytes each."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._known = np.zeros(0, np.int64)
        self._waiting: list[Ints] = []
        self._held = 0

    def add(self, numbers: Ints) -> None:
        """`numbers` sorted."""
        self._waiting.append(_or_ed(numbers, self._bits))
        self._held += len(self._waiting[-1])
        if self._held > max(CHUNK, len(self._known) // 2):  # so that all merging together stays linear
            self.merged()

    def merged(self) -> Ints:
        if self._waiting:
            self._known = _union([self._known, *self._waiting], self._bits)
            self._waiting, self._held = [], 0
        return self._known


def _union(parts: Sequence[Ints], bits: int) -> Ints:
    together = np.concatenate(parts)
    together.sort()
    return _or_ed(together, bits)


def _or_ed(numbers: Ints, bits: int) -> Ints:
    """Sorted numbers, those that differ in the lowest bits only made one."""
    if not len(numbers):
        return numbers
    high = numbers >> bits
    first = np.flatnonzero(np.concatenate([[True], high[1:] != high[:-1]]))
    return np.asarray(np.bitwise_or.reduceat(numbers, first))


def _sum(places: Ints, counts: Ints, length: int) -> Ints:
    return np.asarray(np.bincount(places, weights=counts, minlength=length).astype(np.int64))


def log_odds(*sources: Counts) -> list[Floats]:
    """ln q(event | before) of every held-out event under the model of all sources' documents together: one array an order, 1 to 3.

    An event of a fold sees no document that this fold leaves out. Without sources, or where nothing is counted, q = 1 / V.
    """
    asked = sources[0].asked
    found = []
    q = np.full(len(asked.fold), 1.0 / asked.size)
    for order in range(ORDERS):
        counted = [source.counted(order) for source in sources]
        c, seen = sum(c for c, _ in counted), sum(s for _, s in counted)
        kinds = _kinds(asked, order, [source.pairs(order) for source in sources])
        q = np.where(seen > 0, (c + kinds * q) / np.maximum(seen + kinds, 1), q)
        found.append(np.log(q))
    return found


def _kinds(asked: Asked, order: int, pairs: Sequence[Ints]) -> Ints:
    """T(h) of every held-out event's context, in its fold."""
    known = _union(pairs, asked.folds) if len(pairs) > 1 else pairs[0]
    context = (known >> asked.folds) // (asked.size + 1)
    length = len(asked.contexts[order])
    there = [np.bincount(context[((known >> fold) & 1) > 0], minlength=length) for fold in range(asked.folds)]
    return np.asarray(np.stack(there)[asked.fold, asked.context[order]])


# ---------------------------------------------------------------------------------------------- mixtures


def mixed(student: Floats, q: Floats, document: Ints, *, folds: int = 5) -> Floats:
    """ln((1 − λ) π0 + λ q) of every token; the λ of a document is fitted on the documents of the other folds only."""
    fold = document % folds
    found = np.empty(len(student))
    for held in range(folds):
        others = fold != held
        weight = best_weight(student[others], q[others])
        found[~others] = mixture_log(student[~others], q[~others], weight)
    return found


def mixture_log(student: Floats, q: Floats, weight: float) -> Floats:
    """ln((1 − λ) e^student + λ e^q); exactly `student` at λ = 0."""
    if weight <= 0:
        return student
    if weight >= 1:
        return q
    return np.asarray(np.logaddexp(np.log1p(-weight) + student, np.log(weight) + q))


def best_weight(student: Floats, q: Floats, steps: int = 60) -> float:
    """The λ in [0, 1] of the highest likelihood (concave in λ): bisection of the derivative. 0 where there is nothing to fit on."""
    if not len(student):
        return 0.0
    excess = np.expm1(np.clip(q - student, -700, 700))  # q / π0 − 1

    def slope(weight: float) -> float:
        return float((excess / (1 + weight * excess)).sum())

    low, high = 0.0, 1.0
    if slope(0.0) <= 0:
        return 0.0
    if slope(1.0 - 1e-12) >= 0:
        return 1.0
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return (low + high) / 2

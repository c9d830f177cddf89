"""Which real documents a gain is judged on, what leaves with them, and what the rows must not have seen of them.

Held out is the target where one was given. Else anchors are held out in turn, in folds: what was made from a held-out anchor leaves
with it. Texts of equal content (but for case and spacing) count once and share a fold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from synthgain.measure.copying import SPAN, Spans
from synthgain.measure.data import Batches, Data
from synthgain.measure.words import Ids, Ints, Mask, Vocabulary, WordCount, content, number, spans

Floats = NDArray[np.float64]
DEV_CHARACTERS = 4_096  # of a held-out document that are read
STANDS = 0.5  # a held-out document stands in S where more than this share of its 8-word spans does


@dataclass(frozen=True)
class Dev:
    """Held-out documents (each once, cut to `DEV_CHARACTERS`) and their folds, and what leaves with a fold."""

    texts: list[str]
    fold: Ints
    folds: int
    vocabulary: Vocabulary
    said: tuple[str, ...]
    contents: Ints  # sorted, each once, of the anchors
    once: Mask  # of each anchor: no earlier one says the same
    left: Ints  # of each anchor: the bits of the folds that it is left out of
    ids: Ints  # sorted numbers of the anchors' ids
    left_by_id: Ints

    def rows_out(self, anchor_ids: pa.ChunkedArray) -> Ints:
        """For each row the bits of the folds that it is left out of: those of its anchors."""
        out = np.zeros(len(anchor_ids), np.int64)
        links = anchor_ids.combine_chunks()
        if not len(self.ids) or not len(links):
            return out
        row = pc.list_parent_indices(links).to_numpy(zero_copy_only=False)
        coded = pc.dictionary_encode(pc.list_flatten(links))
        if not len(row):
            return out
        if isinstance(coded, pa.ChunkedArray):
            coded = coded.combine_chunks()
        known = np.array([number(i) for i in coded.dictionary.to_pylist()], np.int64)
        place = np.minimum(np.searchsorted(self.ids, known), len(self.ids) - 1)
        bits = np.where(self.ids[place] == known, self.left_by_id[place], 0)
        np.bitwise_or.at(out, row, bits[coded.indices.to_numpy(zero_copy_only=False)])
        return out


def hold_out(data: Data, limit: int, folds: int) -> Dev | str:
    """The held-out documents, or why there are none. Texts of equal content (but for case and spacing) count once and share a fold."""
    why = _missing(data)
    if why:
        return why
    words, contents, ids = WordCount(), [], []
    for table in data.anchors(("id", "text")):
        found = table.column("text").to_pylist()
        words.add(found)
        contents += [content(text or "") for text in found]
        ids += [number(i) for i in table.column("id").to_pylist()]
    mine, numbers = np.array(contents, np.int64), np.array(ids, np.int64)
    different, first, which = np.unique(mine, return_index=True, return_inverse=True)
    once = np.zeros(len(mine), np.bool_)
    once[first] = True
    order = np.argsort(numbers, kind="stable")
    if data.target is not None:
        for table in data.target(("text",)):
            words.add(table.column("text").to_pylist())
        texts, told = _target_documents(data.target, different, limit, data.seed)
        if len(texts) < 2:
            return "; ".join((f"fewer than 2 different held-out texts ({len(texts)})", *told))
        fold, folds, left = np.zeros(len(texts), np.int64), 1, np.zeros(len(mine), np.int64)
        told = ("on the target", *told)
    else:
        if len(different) < 2:
            return f"fewer than 2 different anchors ({len(different)}) and no held-out text"
        folds = min(folds, len(different))
        dealt = np.empty(len(different), np.int64)  # in the order of their contents' numbers under the seed, in turn
        shuffled = np.argsort([number(f"{data.seed} {c}") for c in different.tolist()], kind="stable")
        dealt[shuffled] = np.arange(len(different)) % folds
        chosen = np.sort(np.random.default_rng(data.seed).permutation(first)[:limit])
        texts, fold, left = _taken(data.anchors, chosen), dealt[which[chosen]], 1 << dealt[which]
        told = (f"cross-fitted by anchor in {folds} folds",)
    vocabulary = words.vocabulary()
    return Dev(texts, fold, folds, vocabulary, told, different, once, left, numbers[order], left[order])


def _target_documents(target: Batches, anchors: Ints, limit: int, seed: int) -> tuple[list[str], tuple[str, ...]]:
    """An even sample of the target's different texts that are no anchors, and what to say of the others."""
    found = np.array(
        [content(t or "") for table in target(("text",)) for t in table.column("text").to_pylist()], np.int64
    )
    different, first = np.unique(found, return_index=True)
    fresh = first[~np.isin(different, anchors)]
    said = []
    if len(fresh) < len(different):
        said.append(f"{len(different) - len(fresh):,} held-out texts that are anchors left out")
    chosen = np.sort(np.random.default_rng(seed).permutation(np.sort(fresh))[:limit])
    return _taken(target, chosen), tuple(said)


def _taken(texts: Batches, places: Ints) -> list[str]:
    """The texts at these places (sorted), cut to `DEV_CHARACTERS`."""
    start, found = 0, []
    for table in texts(("text",)):
        low, high = np.searchsorted(places, (start, start + len(table)))
        mine = table.column("text").take(pa.array(places[low:high] - start)).to_pylist()
        found += [(text or "")[:DEV_CHARACTERS] for text in mine]
        start += len(table)
    return found


def _missing(data: Data) -> str:
    if not data.n_rows:
        return "there are no rows"
    if not data.n_anchors:
        return "there are no anchors"
    if data.target is not None and not data.n_target:
        return "the held-out text is empty"
    return ""


# ---------------------------------------------------------------------------------------------- what the rows have seen


class Standing:
    """Which of the held-out documents' spans stand in the rows that their fold keeps."""

    def __init__(self, flat: Ids, document: Ints, dev: Dev, size: int) -> None:
        self._hashes, where = spans(flat, flat == size, SPAN)
        self._document, self._dev = document[where], dev
        self._asked = Spans.of(self._hashes)
        self._seen = np.zeros((dev.folds, len(self._asked.known)), np.bool_)

    def add(self, flat: Ids, begins: Mask, leaves: Ints) -> None:
        found, last = spans(flat, begins, SPAN)
        which, place = self._asked.find(found)
        for fold in range(self._dev.folds):
            stays = ((leaves[last[which]] >> fold) & 1) == 0
            self._seen[fold, place[stays]] = True

    def shares(self) -> Floats:
        """For each document the share of its spans; NaN where it has none."""
        place = np.searchsorted(self._asked.known, self._hashes)
        there = self._seen[self._dev.fold[self._document], place]
        n = len(self._dev.texts)
        whole = np.bincount(self._document, minlength=n)
        part = np.bincount(self._document, weights=there, minlength=n)
        return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def guarded(standing: Floats, overlap: float | None) -> tuple[Mask, str, list[str]]:
    """(held-out documents that are used, why nothing can be measured, notes) from the shares of each one's spans that stand in S."""
    use = np.ones(len(standing), np.bool_)
    if overlap is None:
        return use, "", ["overlap guard off"]
    known = ~np.isnan(standing)
    if not known.any():
        return use, "", [f"no held-out document has {SPAN} words, so copies of them in S cannot be seen"]
    inside = known & (np.nan_to_num(standing) > STANDS)
    share = inside.sum() / known.sum()
    if share > overlap:
        return (
            use,
            (
                f"{inside.sum():,} of {known.sum():,} held-out documents stand in the rows (more than half of their {SPAN}-word spans): "
                "the rows have seen what they would be judged on; give --target, real text that no row repeats"
            ),
            [],
        )
    notes = [f"{inside.sum():,} held-out documents that stand in the rows left out"] if inside.any() else []
    return ~inside, "", notes


class Earlier:
    """The contents of all rows so far, 8 bytes each."""

    def __init__(self) -> None:
        self._old = np.zeros(0, np.int64)
        self._recent: set[int] = set()

    def new(self, contents: Ints) -> Mask:
        """Which of these contents are said for the first time; they are remembered."""
        first = np.zeros(len(contents), np.bool_)
        first[np.unique(contents, return_index=True)[1]] = True
        if len(self._old):
            place = np.minimum(np.searchsorted(self._old, contents), len(self._old) - 1)
            first &= self._old[place] != contents
        first &= np.fromiter((c not in self._recent for c in contents.tolist()), np.bool_, len(contents))
        self._recent.update(contents[first].tolist())
        if len(self._recent) > max(1 << 17, len(self._old) // 4):
            self._old = np.sort(np.concatenate([self._old, np.fromiter(self._recent, np.int64, len(self._recent))]))
            self._recent = set()
        return first

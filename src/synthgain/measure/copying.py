"""Copying and leakage: which share of what the model wrote stands word for word in its sources or in held-out text.

The unit of a copy is a run of 8 words as texts are compared by them (`synthgain.words`: no punctuation, scripts without spaces by their
characters), as in the check `copied`, and as 64-bit hashes. Hashes are kept for one side only, the one whose size is bounded; the other
side streams by.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synthgain.measure.data import Batches, Data, even_sample, nothing, units
from synthgain.measure.resample import Floats, share_reading, summed
from synthgain.measure.words import Ints, Mask, blocks, content, distinct, number
from synthgain.types import Reading
from synthgain.words import NAME, Hashes, runs, scrambled

SPAN = 8  # words
ROWS = 10_000  # rows sampled where their own anchors must be looked up
TARGET_SPANS = 1 << 24  # of held-out text that are kept at once (128 MB)
_FILTER = 24  # bits of a hash that are looked up before a search


@dataclass(frozen=True)
class Spans:
    """A set of span hashes that many others are looked up in."""

    known: Hashes  # sorted, each once
    _there: Mask = field(repr=False)

    @staticmethod
    def of(hashes: Hashes) -> Spans:
        there = np.zeros(1 << _FILTER, np.bool_)
        there[hashes >> np.uint64(64 - _FILTER)] = True
        return Spans(distinct(hashes), there)

    def find(self, hashes: Hashes) -> tuple[Ints, Ints]:
        """(which of the hashes are known, their places among the known ones)."""
        some = np.flatnonzero(self._there[hashes >> np.uint64(64 - _FILTER)])
        if not len(some):
            return some, some
        place = np.minimum(np.searchsorted(self.known, hashes[some]), len(self.known) - 1)
        hit = self.known[place] == hashes[some]
        return some[hit], place[hit]


def spans_of(texts: Iterator[str | None] | list[str | None], n: int = SPAN) -> Iterator[tuple[Hashes, Ints]]:
    """(hashes of the spans, the place of each one's text among the texts), in blocks of bounded size."""
    for owners, pieces in blocks(texts):
        found, piece = runs(pieces, n)
        yield found, owners[piece]


def unit_numbers(table: pa.Table, start: int = 0) -> Ints:
    """The independent unit of each row (`data.units`) as a number."""
    return np.array([number(unit) for unit in units(table, start)], np.int64)


# ---------------------------------------------------------------------------------------------- copy_rate


@dataclass(frozen=True)
class _Sample:
    """Sampled rows and their spans."""

    table: pa.Table
    units: Ints
    hashes: Hashes
    row: Ints  # of each span

    @staticmethod
    def of(data: Data, rows: int) -> _Sample:
        table = even_sample(data.rows, ("answer", "prompt", "anchor_ids"), data.n_rows, rows, data.seed)
        found = list(spans_of(table.column("answer").to_pylist())) if len(table) else []
        hashes = np.concatenate([h for h, _ in found]) if found else np.zeros(0, np.uint64)
        row = np.concatenate([r for _, r in found]) if found else np.zeros(0, np.int64)
        return _Sample(table, unit_numbers(table), hashes, row)

    def reading(self, name: str, copied: Mask, judged: Mask, note: str) -> Reading:
        """The share of copied spans among the judged ones (one entry a span)."""
        whole = np.bincount(self.row[judged], minlength=len(self.table))
        part = np.bincount(self.row[judged & copied], minlength=len(self.table))
        k, n = summed(self.units, part, whole)
        return _share(name, k, n, note)


def _share(name: str, k: Floats, n: Floats, note: str) -> Reading:
    """The share Σ k / Σ n of copied spans, one entry a unit."""
    return share_reading(name, k, n, kind="exact", estimator=f"shared runs of {SPAN} words ({NAME})", note=note)


def _sampled(data: Data, sample: _Sample) -> str:
    taken = len(sample.table)
    return f"on {taken:,} of {data.n_rows:,} rows, evenly drawn" if taken < data.n_rows else f"on all {taken:,} rows"


def _no_spans(name: str, data: Data, sample: _Sample) -> Reading | None:
    if not data.n_rows:
        return nothing(name, "there are no rows", unit="prob", kind="exact")
    if not len(sample.hashes):
        return nothing(name, f"no row has {SPAN} words", unit="prob", kind="exact")
    return None


def copy_rate(data: Data, *, rows: int = ROWS) -> Reading:
    """Share of generated 8-word spans that stand in the row's own anchors or its own prompt."""
    name = "copy_rate"
    sample = _Sample.of(data, rows)
    missing = _no_spans(name, data, sample)
    if missing:
        return missing
    prompts = sample.table.column("prompt").to_pylist()
    copied, known = _in_own_anchors(data, sample)
    prompted = np.array([bool(p) for p in prompts])
    judged = (known | prompted)[sample.row]
    if not judged.any():
        why = (
            "rows do not name their anchors and have no prompt" if not data.linked else "no row's own anchors are here"
        )
        return nothing(name, why, unit="prob", kind="exact")
    own = Spans.of(_keyed(sample.hashes, sample.row))
    seen = np.zeros(len(own.known), np.bool_)
    for hashes, row in spans_of(prompts):
        seen[own.find(_keyed(hashes, row))[1]] = True
    which, place = own.find(_keyed(sample.hashes, sample.row))
    copied[which] |= seen[place]
    note = _sampled(data, sample)
    if not known.any():
        note += "; against the prompts only: rows do not name their anchors"
    left = int((~(known | prompted)).sum())
    if left:
        note += f"; {left:,} rows whose anchors are not known and that have no prompt are left out"
    return sample.reading(name, copied, judged, note)


def _keyed(hashes: Hashes, owner: Ints) -> Hashes:
    """A span together with whose it is."""
    return scrambled(hashes ^ scrambled(owner.astype(np.int64).view(np.uint64) + np.uint64(1)))


def _in_own_anchors(data: Data, sample: _Sample) -> tuple[Mask, Mask]:
    """(which spans stand in an anchor of their row, which rows have an anchor that is known)."""
    copied, known = np.zeros(len(sample.hashes), np.bool_), np.zeros(len(sample.table), np.bool_)
    links = sample.table.column("anchor_ids").combine_chunks()
    if not data.linked or not len(links):
        return copied, known
    row, ids = pc.list_parent_indices(links).to_numpy(zero_copy_only=False), pc.list_flatten(links).to_pylist()
    wanted: dict[str, int] = {}
    anchor = np.array([wanted.setdefault(i, len(wanted)) for i in ids], np.int64)
    order = np.argsort(sample.row, kind="stable")  # spans by row
    first, last = np.searchsorted(sample.row[order], row), np.searchsorted(sample.row[order], row, side="right")
    size = last - first
    inside = np.arange(int(size.sum())) - np.repeat(np.cumsum(size) - size, size)
    span = order[np.repeat(first, size) + inside]  # each span once for each of its row's anchors
    keys = _keyed(sample.hashes[span], np.repeat(anchor, size))
    asked = Spans.of(keys)
    seen, here = np.zeros(len(asked.known), np.bool_), np.zeros(len(wanted), np.bool_)
    for table in data.anchors(("id", "text")):
        mine = [(wanted[i], text) for i, text in zip(*(c.to_pylist() for c in table.columns)) if i in wanted]
        places = np.array([m for m, _ in mine], np.int64)
        here[places] = True
        for hashes, text in spans_of([text for _, text in mine]):
            seen[asked.find(_keyed(hashes, places[text]))[1]] = True
    which, place = asked.find(keys)
    copied[span[which[seen[place]]]] = True
    known[row[here[anchor]]] = True
    return copied, known


def copy_rate_any(data: Data, *, rows: int = ROWS) -> Reading:
    """Share of generated 8-word spans that stand in any anchor."""
    name = "copy_rate_any"
    sample = _Sample.of(data, rows)
    missing = _no_spans(name, data, sample)
    if missing:
        return missing
    if not data.n_anchors:
        return nothing(name, "there are no anchors", unit="prob", kind="exact")
    asked = Spans.of(sample.hashes)
    seen = np.zeros(len(asked.known), np.bool_)
    for table in data.anchors(("text",)):
        for hashes, _ in spans_of(table.column("text").to_pylist()):
            seen[asked.find(hashes)[1]] = True
    which, place = asked.find(sample.hashes)
    copied = np.zeros(len(sample.hashes), np.bool_)
    copied[which] = seen[place]
    note = f"{_sampled(data, sample)}, against all {data.n_anchors:,} anchors"
    return sample.reading(name, copied, np.ones(len(copied), np.bool_), note)


# ---------------------------------------------------------------------------------------------- test_overlap


def test_overlap(data: Data) -> Reading:
    """Share of generated 8-word spans that stand in the held-out target, over all rows.

    Texts of the target that are anchors count, for what leaks through an anchor leaks too; a target of nothing else is none.
    """
    name = "test_overlap"
    if not data.n_rows:
        return nothing(name, "there are no rows", unit="prob", kind="exact")
    if data.target is None or not data.n_target:
        return nothing(name, "no held-out text was given", unit="prob", kind="exact")
    different, anchors = _target_contents(data.target, data.anchors)
    if different == anchors:
        why = "every held-out text is one of the anchors: nothing is held out"
        return nothing(name, why, unit="prob", kind="exact", n=different)
    kept, read = _target_spans(data.target)
    if not len(kept):
        return nothing(name, f"no held-out text has {SPAN} words", unit="prob", kind="exact")
    held, whose, parts, wholes, start = Spans.of(kept), [], [], [], 0
    for table in data.rows(("answer", "prompt", "anchor_ids")):
        part, whole = np.zeros(len(table)), np.zeros(len(table))
        for hashes, row in spans_of(table.column("answer").to_pylist()):
            whole += np.bincount(row, minlength=len(table))
            part += np.bincount(row[held.find(hashes)[0]], minlength=len(table))
        whose.append(unit_numbers(table, start))
        parts.append(part)
        wholes.append(whole)
        start += len(table)
    k, n = summed(np.concatenate(whose), np.concatenate(parts), np.concatenate(wholes))
    if not n.any():
        return nothing(name, f"no row has {SPAN} words", unit="prob", kind="exact")
    texts = (
        f"{data.n_target:,} held-out texts"
        if read >= data.n_target
        else f"the first {read:,} of {data.n_target:,} held-out texts"
    )
    among = f"; {anchors:,} of {different:,} different held-out texts are anchors" if anchors else ""
    return _share(name, k, n, f"on all {start:,} rows, against {texts}{among}")


test_overlap.__test__ = False  # type: ignore[attr-defined]  # a figure whose name begins like a test's


def _target_contents(target: Batches, anchors: Batches) -> tuple[int, int]:
    """How many different texts the target has, and how many of them are anchors (but for case and spacing)."""
    told = {content(text or "") for table in target(("text",)) for text in table.column("text").to_pylist()}
    left = set(told)
    for table in anchors(("text",)):
        left.difference_update(content(text or "") for text in table.column("text").to_pylist())
    return len(told), len(told) - len(left)


def _target_spans(target: Batches) -> tuple[Hashes, int]:
    """The spans of the held-out texts, read until there are too many to keep, and how many texts were read."""
    found, held, texts = [np.zeros(0, np.uint64)], 0, 0
    for table in target(("text",)):
        for hashes, _ in spans_of(table.column("text").to_pylist()):
            found.append(distinct(hashes))
            held += len(found[-1])
        texts += len(table)
        if held > TARGET_SPANS:
            found = [distinct(np.concatenate(found))]
            held = len(found[0])
            if held > TARGET_SPANS:
                break
    return np.concatenate(found), texts

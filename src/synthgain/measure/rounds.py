"""What a round of a loop brought beside what its run says by itself: repetition of earlier rounds, diversity at one size, nats in all.

The nats of the checks are closed form (`curation.py`): −ln a for each kept row, so kept rows times that in all. A kept row that an earlier
round kept too brings nothing new, so its nats are counted as lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from synthgain.measure.curation import NATS
from synthgain.measure.data import Data, nothing, texts, units
from synthgain.measure.resample import share_reading
from synthgain.measure.variety import BUDGETS, distinct_2
from synthgain.measure.words import content
from synthgain.types import Reading


def repeated(data: Data, earlier: Sequence[Data]) -> tuple[int, Reading]:
    """How many kept rows have a text that an earlier round kept too, but for case and spacing; and `repeated`, their share, by prompts."""
    if not data.n_rows:
        return 0, nothing("repeated", "no row was kept", unit="prob")
    before = np.unique(np.concatenate([_texts(one) for one in earlier])) if earlier else np.zeros(0, np.int64)
    again, unit, start = np.isin(_texts(data), before), dict[str, int](), 0
    place = np.zeros(data.n_rows, np.int64)
    for table in data.rows(("anchor_ids", "prompt")):
        place[start : start + len(table)] = [unit.setdefault(u, len(unit)) for u in units(table, start)]
        start += len(table)
    n = int(again.sum())
    note = f"{n:,} of {data.n_rows:,} rows" if earlier else "there is no earlier round"
    whole = np.bincount(place)
    part = np.bincount(place, weights=again)
    return n, share_reading("repeated", part, whole, estimator="equal texts but for case and spacing", note=note)


def _texts(data: Data) -> NDArray[np.int64]:
    """Each row's text as a number, case and spacing aside."""
    return np.array(
        [content(t or "") for batch in data.rows(("text",)) for t in batch.column("text").to_pylist()], np.int64
    )


def nats_in_all(readings: Sequence[Reading], kept: int, again: int) -> list[Reading]:
    """`curation_nats_total`: what the checks put into all kept rows; `curation_nats_lost`: the part of it in rows that repeat a round."""
    each = next((r for r in readings if r.name == NATS), None)
    found = []
    for name, rows in (("curation_nats_total", kept), ("curation_nats_lost", again)):
        if each is None or each.value is None:
            found.append(nothing(name, each.note if each else "the run was not measured", unit="nats"))
            continue
        low, high = (None if edge is None else edge * rows for edge in (each.low, each.high))
        how = f"{rows:,} rows times {NATS}"
        found.append(Reading(name, each.value * rows, low, high, each.level, "nats", each.n, how, each.kind, each.note))
    return found


def distinct_alike(rounds: Sequence[Data]) -> list[Reading]:
    """`distinct_2` of each round at the same number of bigrams: the most that every round can fill."""
    alone = [replace(data, anchors=texts([]), n_anchors=0) for data in rounds]
    found: list[Reading] = []
    for budget in BUDGETS:
        found = []
        for data in alone:
            found.append(distinct_2(data, budget=budget)[0])
            if found[-1].value is None:
                break
        else:
            return found
    why = found[-1].note or "too little text"
    return [nothing("distinct_2", f"a round has too little text to compare at one size: {why}", unit="prob")] * len(
        alone
    )

"""Two sets of unequal size at one size: the gains of the larger, read off draws of as many rows as the smaller has.

A larger set adds more for being larger; at equal size what its rows are worth is compared. The gains of several draws are averaged document by document, so the
interval stays that of the held-out documents; how draws differ is a small part of it and is not in it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from synthgain.measure.answers import held_out_answer_gains, judged_answers
from synthgain.measure.compare import PerDocument
from synthgain.measure.data import Data, batched, even_sample
from synthgain.measure.proxy import held_out_gains
from synthgain.measure.spread import mdm_of_rows
from synthgain.models.embedders import Embedder
from synthgain.types import Reading

DRAWS = 3
VARIED = ("text", "anchor_ids", "prompt")
COLUMNS = ("id", "text", "anchor_ids", "asked", "answered")


def gains_at(data: Data, rows: int, answers: bool, draws: int = DRAWS) -> dict[str, PerDocument]:
    """The held-out gains of `rows` of the rows, by name: the mean over draws without replacement. Empty where nothing is measured."""
    found: list[dict[str, PerDocument]] = []
    for draw in range(draws):
        some = even_sample(data.rows, COLUMNS, data.n_rows, rows, data.seed + 1 + draw)
        drawn = replace(data, rows=batched(some), n_rows=len(some))
        of_answers = held_out_answer_gains(judged_answers(drawn)) if answers else {}
        found.append({**held_out_gains(drawn), **of_answers})
    names = set.intersection(*(set(one) for one in found))
    return {name: _mean([one[name] for one in found]) for name in sorted(names)}


def varied_at(data: Data, rows: int, embedder: Embedder, draws: int = DRAWS) -> Reading:
    """`mdm` of `rows` of the rows: value and ends are means over draws."""
    found = []
    for draw in range(draws):
        some = even_sample(data.rows, VARIED, data.n_rows, rows, data.seed + 1 + draw)
        found.append(mdm_of_rows(replace(data, rows=batched(some), n_rows=len(some)), embedder=embedder))
    ends = [[r.value for r in found], [r.low for r in found], [r.high for r in found]]
    value, low, high = (None if None in mine else float(np.mean([v for v in mine if v is not None])) for mine in ends)
    return replace(found[0], value=value, low=low, high=high)


def _mean(several: list[PerDocument]) -> PerDocument:
    """Over the documents that all have: a draw leaves out those that stand in it."""
    documents = several[0].documents
    for other in several[1:]:
        documents = np.intersect1d(documents, other.documents)
    places = [np.flatnonzero(np.isin(one.documents, documents)) for one in several]
    ordered = [at[np.argsort(one.documents[at], kind="stable")] for one, at in zip(several, places)]
    nats = np.mean([one.nats[at] for one, at in zip(several, ordered)], axis=0)
    return PerDocument(documents, nats, several[0].tokens[ordered[0]])

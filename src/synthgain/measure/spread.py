"""`mdm`: how far texts lie from the middle of their kind (mean distance to medoids; Chen and Zhong, arXiv 2511.03928, who rank synthetic sets by it).

Texts as unit vectors go to the nearest of five medoids, chosen so that the distances sum to as little as swaps can make them; the figure is the mean distance in each
cluster, mean over clusters. More is more varied. It looks at no real text: the same figure for the anchors stands beside it.

Of the readings that were held against the published scores of 32 sets it ranked them best (studies/value_truth.md). The interval is a jackknife over groups of prompts, as that
of `vendi`, and the medoids settle anew each time, from where they were.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthgain.intervals import t_quantile
from synthgain.measure.data import Batches, Data, even_sample, nothing, units
from synthgain.models.embedders import Embedder
from synthgain.types import Reading

KINDS = 5  # medoids, as in the source
MOST = 1_000  # texts: the size at which it was held against scores
GROUPS = 20  # of prompts, for the interval
NAMES = ("mdm", "mdm_anchors")

Matrix = NDArray[np.float64]
Places = NDArray[np.int64]


def distances(vectors: Any) -> Matrix:
    """Euclidean, each text to each."""
    rows = np.asarray(vectors, np.float64)
    squared = (rows**2).sum(1)
    return np.asarray(np.sqrt(np.maximum(squared[:, None] + squared - 2 * rows @ rows.T, 0.0)))


def settled(far: Matrix, medoids: Places) -> Places:
    """The medoids after swaps, each the best there is, until none lowers the sum of distances to the nearest."""
    for _ in range(100):
        best, found = far[:, medoids].min(1).sum() - 1e-9, None
        for c in range(len(medoids)):
            kept = np.delete(medoids, c)
            rest = far[:, kept].min(1) if len(kept) else np.full(len(far), np.inf)
            sums = np.minimum(rest[:, None], far).sum(0)
            if sums.min() < best:
                best, found = sums.min(), np.append(kept, sums.argmin())
        if found is None:
            break
        medoids = found
    return medoids


def mean_distance(far: Matrix, medoids: Places) -> float:
    """Mean over clusters of the mean distance to the cluster's medoid."""
    owner = far[:, medoids].argmin(1)
    return float(np.mean([far[owner == c, medoids[c]].mean() for c in range(len(medoids)) if (owner == c).any()]))


def spread(vectors: Any, seed: int = 42, kinds: int = KINDS) -> float:
    """The figure of these vectors."""
    far = distances(vectors)
    first = np.random.default_rng(seed).choice(len(far), min(kinds, len(far)), replace=False)
    return mean_distance(far, settled(far, first))


def mdm(data: Data, *, embedder: Embedder) -> list[Reading]:
    """`mdm` of the rows' texts and `mdm_anchors` of the real anchors, on at most 1,000 each."""
    return [
        mdm_of_rows(data, embedder=embedder),
        _reading(NAMES[1], data.anchors, data.n_anchors, embedder, data.seed),
    ]


def mdm_of_rows(data: Data, *, embedder: Embedder) -> Reading:
    """`mdm` alone."""
    return _reading(NAMES[0], data.rows, data.n_rows, embedder, data.seed)


def _reading(name: str, read: Batches, total: int, embedder: Embedder, seed: int) -> Reading:
    columns = ("text", "anchor_ids", "prompt") if name == NAMES[0] else ("text",)
    table = even_sample(read, columns, total, MOST, seed) if total else None
    texts = [] if table is None else [text or "" for text in table.column("text").to_pylist()]
    said = [i for i, text in enumerate(texts) if text.strip()]
    if table is None or len(said) < 2 * KINDS:
        return nothing(name, f"{len(said)} texts are too few for {KINDS} medoids", unit="unitless", kind="proxy")
    owners = units(table) if name == NAMES[0] else [str(i) for i in range(len(texts))]
    _, unit = np.unique([owners[i] for i in said], return_inverse=True)
    value, low, high = jackknifed(embedder([texts[i] for i in said]), unit, seed=seed)
    n = int(unit.max()) + 1
    note = (
        f"on {len(said):,} of {total:,} texts; fewer texts lie a little nearer to their medoids: compare at like size"
    )
    note += "" if low is not None else "; one prompt, or one that holds most of the texts: no interval"
    how = f"mean distance of unit vectors to {KINDS} medoids, jackknife t over groups of prompts"
    return Reading(name, value, low, high, unit="unitless", n=n, estimator=how, kind="proxy", note=note)


def jackknifed(
    vectors: Any, unit: Places, seed: int = 0, groups: int = GROUPS
) -> tuple[float, float | None, float | None]:
    """(value, low, high at 95 %); groups of units (0, 1, …) are left out in turn."""
    far = distances(vectors)
    first = np.random.default_rng(42).choice(len(far), min(KINDS, len(far)), replace=False)
    medoids = settled(far, first)
    value, n_units = mean_distance(far, medoids), int(unit.max()) + 1
    groups = min(groups, n_units)
    group = (np.random.default_rng(seed).permutation(n_units) % groups)[unit]
    if groups < 2 or np.bincount(group).max() > len(far) / 2:
        return value, None, None
    without = []
    for g in range(groups):
        stays = np.flatnonzero(group != g)
        place = np.cumsum(group != g) - 1
        kept = [int(place[m]) for m in medoids if group[m] != g]
        more = [i for i in range(len(stays)) if i not in kept][: len(medoids) - len(kept)]
        inside = far[np.ix_(stays, stays)]
        without.append(mean_distance(inside, settled(inside, np.array([*kept, *more]))))
    each = np.array(without)
    half = t_quantile(0.95, groups - 1) * math.sqrt((groups - 1) / groups * float(((each - each.mean()) ** 2).sum()))
    return value, value - half, value + half

"""Entropy of meanings: how many different things a model says to one prompt, not in how many words.

Answers of one prompt are clustered by their vectors, and the entropy of the clusters is estimated from the k answers
(Kuhn et al. 2023; Farquhar et al. 2024). The plain estimate is too low by about (meanings - 1)/2k; Chao and Shen's is not,
but where no two of the k answers are alike nothing can be said.

Two answers count as one meaning from a cosine of 0.8 on. On MRPC, whose pairs people judged, that joins 58 % of the
paraphrases and 24 % of the pairs that are none (static word vectors; MiniLM: 65 % and 30 %). Vectors see what a text is
about: "the answer is 7" and "the answer is 8" are near each other. So the figure compares sets under one embedder only.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from synthgain.measure.data import Data, nothing
from synthgain.measure.dependence import numbered
from synthgain.models.embedders import Embedder
from synthgain.types import Reading

LEAST, MOST = 10, 50  # answers of a prompt: with fewer the entropy is a guess, with more nothing is won
PROMPTS = 225  # measured, at most
NEAR = 0.8  # cosine from which answers, and on average clusters, are one meaning
RESAMPLES = 2_000

Counts = NDArray[np.int64]


# ---------------------------------------------------------------------------------------------- entropy from counts


def _positive(counts: ArrayLike) -> Counts:
    found = np.asarray(counts, np.int64)
    if found.size and found.min() < 0:
        raise ValueError("a count below zero")
    found = found[found > 0]
    if not found.size:
        raise ValueError("no counts: the entropy of nothing is not known")
    return found


def plug_in(counts: ArrayLike) -> float:
    """-Σ p̂ ln p̂ in nats: too low by about (classes - 1)/2k."""
    found = _positive(counts)
    shares = found / found.sum()
    return float(max(0.0, -(shares * np.log(shares)).sum()))


def miller_madow(counts: ArrayLike) -> float:
    """The plug-in plus (classes seen - 1)/2k (Miller 1955)."""
    found = _positive(counts)
    return plug_in(found) + (len(found) - 1) / (2 * int(found.sum()))


def grassberger(counts: ArrayLike) -> float:
    """ln k - Σ n G(n)/k (Grassberger, arXiv physics/0307138), with G(2m + 1) = G(2m) and G(2m + 2) = G(2m) + 2/(2m + 1)."""
    found = _positive(counts)
    k = int(found.sum())
    halves = np.arange(int(found.max()) // 2 + 1)
    even = np.concatenate([[0.0], np.cumsum(2 / (2 * halves[:-1] + 1))]) - np.euler_gamma - np.log(2)
    return float(np.log(k) - (found * even[found // 2]).sum() / k)


def chao_shen(counts: ArrayLike) -> float:
    """Shares shrunk by the coverage of the sample, each weighed by its chance of being seen (Chao and Shen 2003).

    A sample of singletons only has no coverage by the rule; it is then counted as if one class had been seen twice.
    """
    found = _positive(counts)
    k = int(found.sum())
    singletons = int((found == 1).sum())
    if singletons == k:
        singletons = k - 1
    shares = (1 - singletons / k) * found / k
    return float(max(0.0, -(shares * np.log(shares) / -np.expm1(k * np.log1p(-np.minimum(shares, 1 - 1e-16)))).sum()))


# ---------------------------------------------------------------------------------------------- clusters


def meanings(vectors: NDArray[np.float32], near: float = NEAR) -> Counts:
    """The cluster (0, 1, …) of each of k unit vectors; zero rows are one cluster.

    The two clusters of the highest mean cosine are joined while it is at least `near`: no order of the rows enters.
    """
    empty = np.linalg.norm(vectors, axis=1) == 0
    rows: NDArray[np.float64] = np.column_stack([vectors, empty]).astype(np.float64)
    total = rows @ rows.T  # sums of cosines between clusters
    size = np.ones(len(rows))
    cluster = np.arange(len(rows))
    alive = np.ones(len(rows), bool)
    while alive.sum() > 1:
        mean = np.where(np.outer(alive, alive), total / np.outer(size, size), -np.inf)
        np.fill_diagonal(mean, -np.inf)
        i, j = np.unravel_index(int(mean.argmax()), mean.shape)
        if mean[i, j] < near - 1e-6:  # vectors are single precision
            break
        total[i] += total[j]
        total[:, i] += total[:, j]
        size[i] += size[j]
        alive[j] = False
        cluster[cluster == j] = i
    _, first, inverse = np.unique(cluster, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(first))
    return np.asarray(order[inverse], np.int64)


# ---------------------------------------------------------------------------------------------- the reading


def h_meaning(data: Data, *, embedder: Embedder, near: float = NEAR) -> Reading:
    """`h_meaning`: the mean over prompts of the entropy of an answer's meaning, given the prompt."""

    def none(why: str, n: int = 0) -> Reading:
        return nothing("h_meaning", why, unit="nats/prompt", n=n)

    if not data.n_rows:
        return none("there are no rows")
    keys, bare = _keys(data)
    groups, sizes = np.unique(keys[keys > 0], return_counts=True)
    groups = groups[sizes >= LEAST]
    if not len(groups):
        most = int(sizes.max()) if len(sizes) else 0
        return none(
            f"no prompt has {LEAST} answers or more (the most is {most}): draw more answers a prompt"
            if most
            else "neither prompts nor anchors of the rows are known"
        )
    random = np.random.default_rng(data.seed)
    chosen = np.sort(random.choice(groups, min(PROMPTS, len(groups)), replace=False))
    place = _places(keys, chosen, random)
    answers, units = _answers(data, place)
    vectors, group = embedder(answers), np.searchsorted(chosen, keys[place])
    counts = [np.bincount(meanings(vectors[group == g], near)) for g in range(len(chosen))]
    alone = sum(int(found.max()) == 1 for found in counts)
    if 2 * alone > len(chosen):
        return none(
            f"in {alone:,} of {len(chosen):,} prompts every answer is a meaning of its own: so few answers cannot tell how many "
            "there are; draw more a prompt",
            len(chosen),
        )
    each = np.array([chao_shen(found) for found in counts])
    unit, _ = numbered([units[int(np.argmax(group == g))] for g in range(len(chosen))])
    low, high = _bootstrap(each, unit, random)
    n = int(unit.max()) + 1
    note = f"{len(chosen):,} of {len(groups):,} prompts with {LEAST} answers or more, {len(place):,} answers; one meaning from a cosine of {near} on; vectors: {embedder.uri}; kept rows only; the estimator's own bias (−0.09 nats at 10 answers, in benchmarks/meter.md) is not in the interval"
    if alone:
        note += f"; in {alone:,} every answer is a meaning of its own, and their figure is extrapolated"
    if bare:
        note += "; where rows have no prompt they are taken together by anchors, and the variety of prompts counts too"
    note += "; no interval from one prompt" if low is None else ""
    return Reading(
        "h_meaning",
        float(each.mean()),
        low,
        high,
        unit="nats/prompt",
        n=n,
        note=note,
        estimator="Chao–Shen entropy of clusters of answers by average linkage, mean over prompts, bootstrap over prompts",
    )


def _keys(data: Data) -> tuple[NDArray[np.uint64], bool]:
    """(a number for each row's anchors and prompt, 0 where neither is known; whether some rows have anchors only)."""
    keys = np.zeros(data.n_rows, np.uint64)
    start, bare = 0, False
    for table in data.rows(["anchor_ids", "prompt"]):
        pairs = zip(table.column("anchor_ids").to_pylist(), table.column("prompt").to_pylist())
        for i, (mine, prompt) in enumerate(pairs, start):
            if mine or prompt:
                told = " ".join(mine or ()) + "\n" + (prompt or "")
                keys[i] = int.from_bytes(blake2b(told.encode(), digest_size=8).digest(), "big") | 1
                bare = bare or not prompt
        start += len(table)
    return keys, bare


def _places(keys: NDArray[np.uint64], chosen: NDArray[np.uint64], random: np.random.Generator) -> Counts:
    """Where the rows of these prompts are, at most `MOST` of each, in order."""
    place = random.permutation(np.flatnonzero(np.isin(keys, chosen)))
    place = place[np.argsort(keys[place], kind="stable")]
    rank = np.arange(len(place)) - np.searchsorted(keys[place], keys[place])
    return np.asarray(np.sort(place[rank < MOST]), np.int64)


def _answers(data: Data, place: Counts) -> tuple[list[str], list[str]]:
    """The answers at these places, and the independent unit of each: its anchors, else its prompt."""
    answers: list[str] = []
    units: list[str] = []
    start = 0
    for table in data.rows(["answer", "anchor_ids", "prompt"]):
        low, high = np.searchsorted(place, (start, start + len(table)))
        if high > low:
            mine = table.take(pa.array(place[low:high] - start))
            answers += mine.column("answer").to_pylist()
            told = zip(mine.column("anchor_ids").to_pylist(), mine.column("prompt").to_pylist())
            units += [" ".join(ids) if ids else f"prompt {prompt}" for ids, prompt in told]
        start += len(table)
    return answers, units


def _bootstrap(
    each: NDArray[np.float64], unit: Counts, random: np.random.Generator
) -> tuple[float | None, float | None]:
    """The middle 95 % of the mean over prompts, units drawn with replacement; none from one unit."""
    n = int(unit.max()) + 1
    if n < 2:
        return None, None
    draws = random.multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    means = (draws @ np.bincount(unit, weights=each)) / (draws @ np.bincount(unit))
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)

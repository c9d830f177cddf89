"""How much of the anchors is in what was made from them: a kernel dependence, normalised, and its permutation test.

HSIC (Gretton et al. 2005) in its unbiased form (Song et al., JMLR 13, 2012) with Gaussian kernels at the median distance.
It says that there is dependence, not how many nats: in embeddings no estimate of nats is right (ESTIMATORS 5.1).

The independent unit is the prompt. Each prompt has one anchor kernel row, and its rows enter as the mean of their
kernels with other prompts' rows: the exact average over all ways to draw one row a prompt, so a prompt with many rows
weighs no more, and two rows of one prompt are never taken for a pair. Permutations move whole prompts; the bootstrap
draws prompts and never pairs one with itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from synthgain.measure.data import Data, even_sample, nothing, units
from synthgain.measure.hsic import (
    BLOCK,
    Matrix,
    gaussian,
    gaussian_blocks,
    hsic,
    hsic_weighted,
    median_distance,
)
from synthgain.models.embedders import CHARS, Embedder
from synthgain.types import Reading

EXACT, MOST = 2_000, 10_000  # prompts or rows: of the n² form; of the block form
ANCHORS = 8  # of a row that are read
PERMUTATIONS, RESAMPLES = 199, 200
PICKS = 3  # draws of one row a prompt that HSIC(S, S), which is no linear form, is averaged over


# ---------------------------------------------------------------------------------------------- prompts


@dataclass(frozen=True)
class Dependence:
    """nHSIC with its interval (None where there is none) and the p-value of the permutation test."""

    value: float
    low: float | None
    high: float | None
    p: float
    form: str


def dependence(
    anchors: Matrix,
    rows: Matrix,
    prompt: NDArray[np.int64],
    *,
    permutations: int = PERMUTATIONS,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Dependence | None:
    """The dependence of anchors (one vector a prompt) and rows (n, d), `prompt` saying whose each row is (0, 1, …).

    Every prompt has a row. Up to 2,000 prompts exactly; beyond, one row a prompt in blocks of 50 prompts, permuted
    within blocks. None where all vectors of a side are equal.
    """
    random = np.random.default_rng(seed)
    chosen = bearable(prompt, seed)
    if len(anchors) > EXACT:
        return _by_blocks(anchors, rows[chosen], permutations, resamples, random)
    return _exactly(anchors, rows[chosen], prompt[chosen], permutations, resamples, random)


def bearable(prompt: NDArray[np.int64], seed: int = 0) -> NDArray[np.int64]:
    """The places of the rows that are used: one a prompt beyond 2,000 prompts, else as many a prompt as make 2,000 rows.

    In the order of prompts where there is one a prompt, in their own order elsewhere.
    """
    random = np.random.default_rng(seed)
    prompts = int(prompt.max()) + 1
    if prompts > EXACT:
        return _one_row(prompt, random)
    if len(prompt) <= EXACT:
        return np.arange(len(prompt))
    order = random.permutation(len(prompt))
    order = order[np.argsort(prompt[order], kind="stable")]
    rank = np.arange(len(order)) - np.searchsorted(prompt[order], prompt[order])
    return np.sort(order[rank < EXACT // prompts])


def _one_row(prompt: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    """The place of one row of each prompt, any with the same chance."""
    order = random.permutation(len(prompt))
    _, first = np.unique(prompt[order], return_index=True)
    return order[first]


def _exactly(
    anchors: Matrix,
    rows: Matrix,
    prompt: NDArray[np.int64],
    permutations: int,
    resamples: int,
    random: np.random.Generator,
) -> Dependence | None:
    widths = median_distance(anchors), median_distance(rows)
    if not all(widths):
        return None
    n = len(anchors)
    k, pairwise = gaussian(anchors, widths[0]), gaussian(rows, widths[1])
    picks = [_one_row(prompt, random) for _ in range(PICKS if len(rows) > n else 1)]
    drawn = [pairwise[np.ix_(pick, pick)] for pick in picks]
    l = drawn[0] if len(rows) == n else _prompt_means(pairwise, prompt)  # noqa: E741
    del pairwise

    def normalised(weights: Matrix) -> Matrix:
        own = np.mean([hsic_weighted(each, each, weights) for each in drawn], axis=0)
        return _ratio(hsic_weighted(k, l, weights), hsic_weighted(k, k, weights), own)

    value = float(normalised(np.ones((n, 1)))[0])
    counts = random.multinomial(n, np.full(n, 1 / n), size=resamples).T.astype(np.float64)
    low, high = _quantiles(normalised(counts))
    p = _permuted(k[None], l[None], permutations, random)
    return None if np.isnan(value) else Dependence(value, low, high, p, "all pairs of prompts")


def _prompt_means(pairwise: Matrix, prompt: NDArray[np.int64]) -> Matrix:
    """The mean kernel between the rows of each two prompts."""
    order = np.argsort(prompt, kind="stable")
    starts = np.searchsorted(prompt[order], np.arange(int(prompt.max()) + 1))
    sums = np.add.reduceat(np.add.reduceat(pairwise[np.ix_(order, order)], starts, axis=0), starts, axis=1)
    sizes = np.bincount(prompt).astype(np.float64)
    out: Matrix = sums / np.outer(sizes, sizes)
    return out


def _by_blocks(
    anchors: Matrix, rows: Matrix, permutations: int, resamples: int, random: np.random.Generator
) -> Dependence | None:
    widths = median_distance(anchors), median_distance(rows)
    if not all(widths):
        return None
    order = random.permutation(len(anchors))
    k = gaussian_blocks(anchors[order], widths[0])
    l = gaussian_blocks(rows[order], widths[1])  # noqa: E741
    three = np.stack([hsic(k, l), hsic(k, k), hsic(l, l)])
    value = float(_ratio(*three.mean(1)))
    drawn = random.integers(0, len(k), (resamples, len(k)))  # blocks share no prompt: they are drawn whole
    low, high = _quantiles(_ratio(*three[:, drawn].mean(-1)))
    p = _permuted(k, l, permutations, random)
    return None if np.isnan(value) else Dependence(value, low, high, p, f"blocks of {BLOCK} prompts")


def _ratio(cross: NDArray[Any], x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    """cross/√(x·y); NaN where a normaliser is not above zero (a constant side, or a resample without pairs)."""
    out: NDArray[Any] = np.divide(
        cross,
        np.sqrt(np.maximum(x, 0) * np.maximum(y, 0)),
        out=np.full(np.shape(cross), np.nan),
        where=(x > 1e-15) & (y > 1e-15),
    )
    return out


def _quantiles(values: Matrix) -> tuple[float | None, float | None]:
    """The middle 95 % of resamples; none where more than one in twenty could not be computed."""
    known = values[np.isfinite(values)]
    if len(known) < 0.95 * len(values):
        return None, None
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), min(1.0, float(high))


def _permuted(k: Matrix, l: Matrix, permutations: int, random: np.random.Generator) -> float:  # noqa: E741
    """P(as much by chance): prompts permuted within each block (m, b, b), the mean over blocks as the statistic.

    Permuting moves only Σ K_ij L_ij and the product of row sums: L is centred once, and one sum a permutation is left.
    """
    blocks, size, _ = k.shape
    k, centred = k.copy(), l.copy()
    at = np.arange(size)
    k[:, at, at] = centred[:, at, at] = 0.0
    sums = centred.sum(-1) / (size - 2)
    centred += -sums[:, :, None] - sums[:, None, :]
    centred[:, at, at] = 0.0
    k32, centred32 = k.astype(np.float32), centred.astype(np.float32)
    within = np.arange(blocks)[:, None, None]

    def statistic(order: NDArray[np.int64] | None) -> float:
        if order is None:
            moved = k32
        elif blocks == 1:
            moved = k32[0][order[0]].take(order[0], axis=1)[None]
        else:
            moved = k32[within, order[:, :, None], order[:, None, :]]
        return float(np.einsum("mij,mij->mi", moved, centred32).sum(dtype=np.float64))

    observed = statistic(None)
    draws = (random.permuted(np.tile(at, (blocks, 1)), axis=1) for _ in range(permutations))
    chance = np.array([statistic(order) for order in draws])
    slack = 1e-5 * max(1.0, abs(observed))  # equal kernels in another order of summing are a tie, not a win
    return (1 + int((chance >= observed - slack).sum())) / (1 + permutations)


# ---------------------------------------------------------------------------------------------- the readings


@dataclass(frozen=True)
class Pairs:
    """Answers, whose prompt each is of (0, 1, …), and one anchor text a prompt."""

    answers: list[str]
    prompt: NDArray[np.int64]
    anchors: list[str]
    whose: str  # what stands for the anchors
    left_out: int


def nhsic(data: Data, *, embedder: Embedder, permutations: int = PERMUTATIONS) -> list[Reading]:
    """`nhsic` of the rows' answers and their own anchors (their prompts where anchors are not known), and `nhsic_p`."""
    pairs = own_anchors(data)
    if isinstance(pairs, str):
        return _neither(pairs)
    answers, anchors = embedder(pairs.answers), embedder(pairs.anchors)
    some = np.any(answers, axis=1) & np.any(anchors, axis=1)[pairs.prompt]
    kept, prompt = np.unique(pairs.prompt[some], return_inverse=True)
    n = len(kept)
    if n < 4:
        return _neither(f"{n} prompts with text on both sides: 4 are needed", n)
    found = dependence(
        anchors[kept].astype(np.float64),
        answers[some].astype(np.float64),
        prompt.astype(np.int64),
        permutations=permutations,
        seed=data.seed,
    )
    if found is None:
        return _neither("all texts of one side are the same: nothing can depend on them", n)
    note = f"{pairs.whose}; {int(some.sum()):,} of {data.n_rows:,} rows, each prompt counts once; permutation p = {found.p:.3g}"
    note += f"; {pairs.left_out:,} rows without any left out" if pairs.left_out else ""
    test = "of no dependence; one above .05 is no proof of independence"
    return [
        Reading(
            "nhsic",
            found.value,
            found.low,
            found.high,
            unit="unitless",
            n=n,
            kind="test",
            note=f"{note}; vectors: {embedder.uri}; dependence, not nats",
            estimator=f"unbiased HSIC over {found.form}, Gaussian kernels at the median distance, bootstrap over {'blocks' if 'blocks' in found.form else 'prompts'}",
        ),
        Reading(
            "nhsic_p",
            found.p,
            unit="prob",
            n=n,
            kind="test",
            note=test,
            estimator=f"{permutations} permutations of whole prompts, {found.form}",
        ),
    ]


def _neither(why: str, n: int = 0) -> list[Reading]:
    units_of = (("nhsic", "unitless"), ("nhsic_p", "prob"))
    return [nothing(name, why, unit=unit, kind="test", n=n) for name, unit in units_of]


def own_anchors(data: Data) -> Pairs | str:
    """An even sample of rows with the text that each was made from; why there is none."""
    table = even_sample(data.rows, ["answer", "prompt", "anchor_ids"], data.n_rows, MOST, data.seed)
    if not len(table):
        return "there are no rows"
    ids = [mine[:ANCHORS] for mine in table.column("anchor_ids").to_pylist()]
    told = _texts_of(data, {id for mine in ids for id in mine}) if data.linked else {}
    linked = np.array([any(id in told for id in mine) for mine in ids])
    prompts = table.column("prompt").to_pylist()
    by_anchor = 2 * int(linked.sum()) >= len(ids)
    place = np.flatnonzero(linked if by_anchor else np.array([bool(p.strip()) for p in prompts]))
    if not len(place):
        return "neither the rows' own anchors nor their prompts are known"
    whose = "with the rows' own anchors" if by_anchor else "with the rows' prompts, for their own anchors are not known"
    names = units(table) if by_anchor else prompts
    prompt, first = numbered([names[i] for i in place])
    source = [
        ("\n".join(told[id] for id in ids[i] if id in told) if by_anchor else prompts[i])[:CHARS]
        for i in place[first].tolist()
    ]
    used = bearable(prompt, data.seed)
    answers = table.column("answer").take(pa.array(place[used])).to_pylist()
    return Pairs(answers, prompt[used], source, whose, len(ids) - len(place))


def numbered(names: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(the number 0, 1, … of each name in order of appearance, the place where each first appears)."""
    numbers: dict[str, int] = {}
    each = np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)
    return each, np.unique(each, return_index=True)[1].astype(np.int64)


def _texts_of(data: Data, wanted: set[str]) -> dict[str, str]:
    """The first characters of these anchors, in one pass over all."""
    found: dict[str, str] = {}
    ids = pa.array(sorted(wanted), pa.string())
    for table in data.anchors(["id", "text"]):
        mine = table.filter(pc.is_in(table.column("id"), value_set=ids))
        texts = pc.utf8_slice_codeunits(mine.column("text"), 0, CHARS)
        found.update(zip(mine.column("id").to_pylist(), texts.to_pylist()))
    return found

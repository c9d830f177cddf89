"""HSIC, a dependence of two kernels, in its unbiased form: exact, under weights, and in blocks.

Gretton et al. 2005; the unbiased form is Song et al., JMLR 13, 2012. `k` and `l` are the kernel matrices of the two sides.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BLOCK = 50  # pairs of one block of the block form

Matrix = NDArray[np.float64]


# ---------------------------------------------------------------------------------------------- kernels


def median_distance(x: Matrix, seed: int = 0, most: int = 1_000) -> float:
    """The median of the pairwise distances that are not zero, of at most 1,000 rows; 0 where all rows are equal."""
    if len(x) > most:
        x = x[np.sort(np.random.default_rng(seed).choice(len(x), most, replace=False))]
    squares = _squares(x)[np.triu_indices(len(x), 1)]
    squares = squares[squares > 1e-12 * max(1.0, float(squares.max(initial=0.0)))]
    return float(np.sqrt(np.median(squares))) if len(squares) else 0.0


def gaussian(x: Matrix, width: float) -> Matrix:
    """exp(-|x - x'|²/2s²) for all pairs of rows; leading axes are blocks."""
    squares = _squares(x)
    squares *= -0.5 / width**2
    return np.exp(squares, out=squares)


def gaussian_blocks(x: Matrix, width: float, block: int = BLOCK) -> Matrix:
    """`gaussian` of each block of 50 rows, (blocks, 50, 50), the rest left over: HSIC over them costs n·50 (Zhang et al. 2018)."""
    blocks = len(x) // block
    return gaussian(np.asarray(x[: blocks * block]).reshape(blocks, block, *x.shape[1:]), width)


def _squares(x: Matrix) -> Matrix:
    x = np.asarray(x, np.float64)
    x = x - x.mean(axis=-2, keepdims=True)  # what cancels is small then
    norms = (x * x).sum(-1)
    squares: Matrix = norms[..., :, None] + norms[..., None, :] - 2 * (x @ np.swapaxes(x, -1, -2))
    return np.maximum(squares, 0.0)


# ---------------------------------------------------------------------------------------------- HSIC


def hsic(k: Matrix, l: Matrix) -> Matrix:  # noqa: E741
    """The unbiased HSIC of two kernel matrices (…, n, n), n ≥ 4, whose diagonals do not count; leading axes are blocks."""
    n = k.shape[-1]
    if n < 4:
        raise ValueError(f"{n} pairs: the unbiased HSIC needs 4")
    k_diagonal, l_diagonal = np.einsum("...ii->...i", k), np.einsum("...ii->...i", l)
    both = np.einsum("...ij,...ij->...", k, l) - (k_diagonal * l_diagonal).sum(-1)
    a, b = k.sum(-1) - k_diagonal, l.sum(-1) - l_diagonal
    rows = (a * b).sum(-1)
    out: Matrix = (both + a.sum(-1) * b.sum(-1) / ((n - 1) * (n - 2)) - 2 * rows / (n - 2)) / (n * (n - 3))
    return out


def hsic_weighted(k: Matrix, l: Matrix, weights: Matrix) -> Matrix:  # noqa: E741
    """The unbiased HSIC under weights (n, B) of the pairs, one figure a column, over tuples of different pairs only.

    NaN where fewer than four pairs have weight.

    With whole weights it is a bootstrap that never sets a pair beside a copy of itself; with ones it is `hsic`.
    """
    k, l = _hollow(k), _hollow(l)  # noqa: E741
    w, w2 = weights, weights**2
    kw, lw, product = k @ w, l @ w, k * l
    product_w, product_w2 = product @ w, product @ w2
    pairs = (w * product_w).sum(0)
    threes = (w * kw * lw).sum(0) - (w * product_w2).sum(0)
    fours = (w * kw).sum(0) * (w * lw).sum(0) - 4 * (w2 * kw * lw).sum(0) + 2 * (w2 * product_w2).sum(0)
    p1, p2, p3, p4 = (np.sum(w**i, axis=0) for i in (1, 2, 3, 4))
    n2 = p1**2 - p2
    n3 = p1**3 - 3 * p1 * p2 + 2 * p3
    n4 = p1**4 - 6 * p1**2 * p2 + 3 * p2**2 + 8 * p1 * p3 - 6 * p4
    enough = n4 > 1e-6  # some four different pairs have weight
    out: Matrix = np.full(w.shape[1], np.nan)
    out[enough] = (
        pairs / np.where(enough, n2, 1) - 2 * threes / np.where(enough, n3, 1) + fours / np.where(enough, n4, 1)
    )[enough]
    return out


def _hollow(k: Matrix) -> Matrix:
    k = k.copy()
    np.fill_diagonal(k, 0.0)
    return k

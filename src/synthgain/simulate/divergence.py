"""How far two laws are apart: with exact log-densities, and with the published histogram estimator.

    reverse    KL(π ‖ G)  what the paper defines; a missing mode is cheap, spurious mass is dear
    forward    KL(G ‖ π)  what generalisation costs: held-out log-loss minus entropy
    histogram  the estimator behind the paper's figure, kept for reproduction only: both samples are binned on
               their own edges, so it does not see a shift or a change of scale, and it is far from 0 where
               the two laws are the same

All in nats. `reverse` and `forward` are averages of exact log-density ratios over fresh draws.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from synthgain.simulate.mixtures import Array, Mixtures, Rng, inverse
from synthgain.types import SynthgainError

Divergence = Literal["histogram", "reverse", "forward"]
DIVERGENCES: tuple[Divergence, ...] = get_args(Divergence)

BINS = 50  # cells an axis in the published estimator
EMPTY = 1e-10  # the density that the published estimator gives an empty cell
CELLS = 250_000  # most cells a histogram may have here (50^3 = 125,000)


def kl(p: Mixtures, q: Mixtures, rng: Rng, n: int) -> tuple[Array, Array]:
    """KL(p ‖ q) of each world, (R,), and its standard error: the mean of ln p − ln q over n draws from p.

    The draws are shared out evenly over p's components, which only lowers the error, so the standard error
    (of independent draws) is on the safe side.
    """
    points = p.draw(rng, n, even=True)
    ratio = p.log_density(points) - q.log_density(points)
    return ratio.mean(axis=1), ratio.std(axis=1, ddof=1) / np.sqrt(n)


def gap_reverse(anchor: Mixtures, synthetic: Mixtures, truth: Mixtures, rng: Rng, n: int) -> Array:
    """KL(anchor fit ‖ truth) − KL(synthetic fit ‖ truth), (R,): the paper's KL gap."""
    return np.asarray(kl(anchor, truth, rng, n)[0] - kl(synthetic, truth, rng, n)[0])


def gap_forward(anchor: Mixtures, synthetic: Mixtures, truth: Mixtures, rng: Rng, n: int) -> Array:
    """KL(truth ‖ anchor fit) − KL(truth ‖ synthetic fit), (R,): the drop of held-out log-loss, same draws for both."""
    points = truth.draw(rng, n, even=True)
    return np.asarray((synthetic.log_density(points) - anchor.log_density(points)).mean(axis=1))


def gap_histogram(anchor: Mixtures, synthetic: Mixtures, truth: Mixtures, rng: Rng, n: int, rounds: int) -> Array:
    """The published estimate of the KL gap, (R,): the mean over `rounds` of re-sampling n points from each law."""
    total = np.zeros(truth.worlds)
    for _ in range(rounds):
        real = binned(truth.draw(rng, n))
        total += binned_kl(binned(anchor.draw(rng, n)), real) - binned_kl(binned(synthetic.draw(rng, n)), real)
    return total / rounds


def histogram_kl(p: Array, q: Array) -> Array:
    """The published estimate of KL from samples p and q, (R, n, d) each. Not a divergence of the two laws."""
    return binned_kl(binned(p), binned(q))


def binned(points: Array) -> Array:
    """Cell densities (R, 50^d) of points (R, n, d), the edges at each sample's own extremes."""
    worlds, n, d = points.shape
    cells = BINS**d
    if cells > CELLS:
        raise SynthgainError(
            f"a histogram in {d} dimensions has {BINS}^{d} cells, far more than points",
            next="use --divergence reverse or forward, which need no histogram",
        )
    low = points.min(axis=1, keepdims=True)
    span = points.max(axis=1, keepdims=True) - low
    span[span == 0] = 1.0
    place = np.minimum(((points - low) * (BINS / span)).astype(np.int64), BINS - 1)
    flat = place @ (BINS ** np.arange(d)[::-1]) + cells * np.arange(worlds)[:, None]
    count = np.bincount(flat.ravel(), minlength=worlds * cells).reshape(worlds, cells)
    volume = span.prod(axis=(1, 2))[:, None] / cells
    return np.asarray(count / (n * volume))


def binned_kl(p: Array, q: Array) -> Array:
    """Σ p ln(p/q) over cells after lifting empty cells to 1e-10 and normalising, (R,)."""
    p, q = np.maximum(p, EMPTY), np.maximum(q, EMPTY)
    mass_p, mass_q = p.sum(axis=1), q.sum(axis=1)
    ratio = np.log(p / q)
    ratio *= p
    return np.asarray(ratio.sum(axis=1) / mass_p - np.log(mass_p / mass_q))


def gaussian_kl(mean_p: Array, cov_p: Array, mean_q: Array, cov_q: Array) -> float:
    """KL between two single Gaussians in closed form."""
    precision, log_det_q = inverse(cov_q)
    _, log_det_p = inverse(cov_p)
    gap = mean_q - mean_p
    return float(0.5 * (np.trace(precision @ cov_p) - len(gap) + gap @ precision @ gap + log_det_q - log_det_p))


def entropy(law: Mixtures, rng: Rng, n: int) -> Array:
    """Differential entropy of each world's mixture, (R,): the mean of −ln density over n draws; may be negative."""
    return np.asarray(-law.log_density(law.draw(rng, n, even=True)).mean(axis=1))


def total_variation(p: Mixtures, q: Mixtures, rng: Rng, n: int) -> Array:
    """D_TV(p, q) of each world, (R,): the mean over n draws from p of max(0, 1 − q/p)."""
    points = p.draw(rng, n, even=True)
    ratio = q.log_density(points) - p.log_density(points)
    return np.asarray(-np.expm1(np.minimum(ratio, 0.0)).mean(axis=1))

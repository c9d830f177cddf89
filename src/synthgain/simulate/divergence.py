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


Pair = tuple[Array, Array]  # the divergence of the anchor fit and of the synthetic fit from the truth, (R,) each


def reverse(anchor: Mixtures, synthetic: Mixtures, truth: Mixtures, rng: Rng, n: int) -> Pair:
    """KL(anchor fit ‖ truth) and KL(synthetic fit ‖ truth); their difference is the paper's KL gap."""
    return kl(anchor, truth, rng, n)[0], kl(synthetic, truth, rng, n)[0]


def forward(anchor: Mixtures, synthetic: Mixtures, truth: Mixtures, rng: Rng, n: int) -> Pair:
    """KL(truth ‖ anchor fit) and KL(truth ‖ synthetic fit) over the same draws; their difference is the drop of
    held-out log-loss."""
    points = truth.draw(rng, n, even=True)
    real = truth.log_density(points)
    first, second = ((real - fit.log_density(points)).mean(axis=1) for fit in (anchor, synthetic))
    return first, second


def histogram(anchor: Mixtures, synthetic: Mixtures, truth: Mixtures, rng: Rng, n: int, rounds: int) -> Pair:
    """The published estimates of both, each the mean over `rounds` of re-sampling n points from every law."""
    first, second = np.zeros(truth.worlds), np.zeros(truth.worlds)
    for _ in range(rounds):
        real = binned(truth.draw(rng, n))
        first += binned_kl(binned(anchor.draw(rng, n)), real)
        second += binned_kl(binned(synthetic.draw(rng, n)), real)
    return first / rounds, second / rounds


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
    flat = np.repeat(np.arange(worlds)[:, None], n, axis=1)
    volume = np.full((worlds, 1), 1.0 / cells)
    for axis in range(d):
        x = np.ascontiguousarray(points[:, :, axis])
        low = x.min(axis=1, keepdims=True)
        span = x.max(axis=1, keepdims=True) - low
        span[span == 0] = 1.0
        volume *= span
        flat *= BINS
        flat += np.minimum(((x - low) * (BINS / span)).astype(np.int64), BINS - 1)
    count = np.bincount(flat.ravel(), minlength=worlds * cells).reshape(worlds, cells)
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

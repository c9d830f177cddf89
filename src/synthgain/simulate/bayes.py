"""Learning problems with closed forms: what synthetic data is worth to a learner that does everything right.

For a Bayes learner the drop of held-out log-loss from adding S_gen to the anchors is exactly
I(X_test; S_gen | S_anchor). All in nats.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from synthgain.simulate.mixtures import Array, Rng
from synthgain.types import SynthgainError


@dataclass(frozen=True)
class Location:
    """A Gaussian location task: x ~ N(θ, 1) with θ ~ N(0, prior).

    The learner has `anchors` draws of x and `synthetic` draws of a model that believes θ + b, b ~ N(0, error), and
    speaks with variance `noise`. So ΔI = H(M(p) | p) = ½ ln(2πe·noise) per sample: the noise, and nothing else.
    """

    noise: float = 1.0
    prior: float = 4.0
    anchors: int = 5
    synthetic: int = 50
    error: float = 0.03

    def __post_init__(self) -> None:
        if not (self.noise > 0 and self.prior > 0 and self.error >= 0):
            raise SynthgainError("noise and prior must be above 0, and error at least 0", where=str(self))
        if self.anchors < 0 or self.synthetic < 1:
            raise SynthgainError("give at least one synthetic sample, and anchors of at least 0", where=str(self))

    @property
    def delta_I(self) -> float:
        """ΔI per sample."""
        return 0.5 * math.log(2 * math.pi * math.e * self.noise)

    @property
    def gain(self) -> float:
        """I(X; S_gen | S_anchor): the drop of held-out log-loss for the Bayes learner."""
        before, after = 1 / self._precision, 1 / (self._precision + 1 / self._blur)
        return 0.5 * math.log((1 + before) / (1 + after))

    @property
    def naive_gain(self) -> float:
        """The drop for a learner that takes every synthetic sample for a real one; it can be below 0."""
        mass = self._precision + self.synthetic
        prior = 1 / self.prior
        squared = (prior**2 * self.prior + self.anchors + self.synthetic**2 * self._blur) / mass**2
        spread = 1 + 1 / mass
        return 0.5 * (math.log((1 + 1 / self._precision) / spread) + 1 - (1 + squared) / spread)

    @property
    def _precision(self) -> float:
        return 1 / self.prior + self.anchors

    @property
    def _blur(self) -> float:
        """The variance of the synthetic mean about θ."""
        return self.error + self.noise / self.synthetic

    def sampled(self, rng: Rng, worlds: int) -> tuple[Array, Array]:
        """Gain of the Bayes and of the naive learner in each of `worlds` draws of θ and the data, over all tests x."""
        if worlds < 2:
            raise SynthgainError(f"give at least 2 worlds, not {worlds}")
        theta = math.sqrt(self.prior) * rng.standard_normal(worlds)
        real = (theta[:, None] + rng.standard_normal((worlds, self.anchors))).sum(axis=1)
        belief = theta + math.sqrt(self.error) * rng.standard_normal(worlds)
        made = belief[:, None] + math.sqrt(self.noise) * rng.standard_normal((worlds, self.synthetic))
        sum_made = made.sum(axis=1)
        p, n = self._precision, self.synthetic

        def loss(mean: Array, variance: float) -> Array:
            return np.asarray(0.5 * (math.log(1 + variance) + (1 + (theta - mean) ** 2) / (1 + variance)))

        alone = loss(real / p, 1 / p)
        mass = p + 1 / self._blur
        wise = loss((real + sum_made / (n * self._blur)) / mass, 1 / mass)
        naive = loss((real + sum_made) / (p + n), 1 / (p + n))
        return alone - wise, alone - naive


def redundancy_coin(n: int, heads: float | None = None) -> float:
    """What the Krichevsky–Trofimov code pays above the entropy of n tosses of a coin, odds `heads`.

    None: averaged over Jeffreys' prior of the coin, which is the mutual information I(Θ; Xⁿ).
    """
    if n < 1:
        raise SynthgainError(f"give at least one toss, not {n}")
    if heads is not None and not 0 < heads < 1:
        raise SynthgainError(f"the odds of heads must lie between 0 and 1, not {heads}")
    total = 0.0
    for ones in range(n + 1):
        word = math.lgamma(ones + 0.5) + math.lgamma(n - ones + 0.5) - math.lgamma(n + 1) - math.log(math.pi)
        odds = word if heads is None else ones * math.log(heads) + (n - ones) * math.log1p(-heads)
        ways = math.lgamma(n + 1) - math.lgamma(ones + 1) - math.lgamma(n - ones + 1)
        total -= math.exp(ways + odds) * word
    if heads is None:
        return total - n * (2 * math.log(2) - 1)  # the mean entropy of a coin under Beta(½, ½)
    return total + n * (heads * math.log(heads) + (1 - heads) * math.log1p(-heads))


def redundancy_regression(inputs: Array, noise: float = 1.0) -> float:
    """I(Θ; Yⁿ | X) = ½ ln det(I + X Xᵀ / noise) of Bayesian linear regression with Θ ~ N(0, I), inputs X (n, d)."""
    _regression(inputs, noise)
    return float(0.5 * np.linalg.slogdet(np.eye(len(inputs)) + inputs @ inputs.T / noise)[1])


def prequential_regression(inputs: Array, targets: Array, noise: float = 1.0) -> float:
    """Σ_t −ln p(y_t | earlier) minus n times the noise's entropy, for one sequence of targets (n,)."""
    _regression(inputs, noise)
    spread, mean = np.eye(inputs.shape[1]), np.zeros(inputs.shape[1])
    total = 0.0
    for x, y in zip(inputs, targets, strict=True):
        variance = noise + x @ spread @ x
        gap = y - mean @ x
        total += 0.5 * (math.log(2 * math.pi * variance) + gap**2 / variance)
        pull = spread @ x / variance
        mean = mean + pull * gap
        spread = spread - np.outer(pull, x @ spread)
    return float(total - len(targets) * 0.5 * math.log(2 * math.pi * math.e * noise))


def _regression(inputs: Array, noise: float) -> None:
    if inputs.ndim != 2 or noise <= 0:
        raise SynthgainError("regression needs inputs (n, d) and a noise variance above 0")

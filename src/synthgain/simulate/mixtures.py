"""R Gaussian mixtures at once, one a world: densities, draws, moments.

The logarithm of a Gaussian density is linear in the features (1, x_i, x_i x_j), so the densities of all
worlds, components and points are one batched matrix product. Everything is float64; logs are natural.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synthgain.types import SynthgainError

Array = npt.NDArray[np.float64]
Rng = np.random.Generator

LN_2PI = float(np.log(2 * np.pi))


@dataclass(frozen=True)
class Mixtures:
    """R mixtures of k Gaussians in d dimensions: `weights` (R, k), `means` (R, k, d), `covariances` (R, k, d, d)."""

    weights: Array
    means: Array
    covariances: Array

    @property
    def worlds(self) -> int:
        """R, the number of mixtures."""
        return int(self.means.shape[0])

    @property
    def components(self) -> int:
        """k, the number of Gaussians in each."""
        return int(self.means.shape[1])

    @property
    def dimension(self) -> int:
        """d, the number of coordinates of a point."""
        return int(self.means.shape[2])

    def log_density(self, points: Array) -> Array:
        """ln of the mixture density at `points` (R, n, d), as (R, n), nats."""
        centre = self.means.mean(axis=1, keepdims=True)
        features = monomials(points - centre)
        joint = coefficients(self.weights, self.means - centre, self.covariances) @ features.swapaxes(1, 2)
        return log_sum(joint)

    def draw(self, rng: Rng, n: int, *, even: bool = False) -> Array:
        """n points a world, (R, n, d), component by component.

        `even` gives each component its share of n up to rounding (systematic sampling): unbiased for
        averages and less noisy, but the points of a world are then not independent.
        """
        counts = even_counts(rng, self.weights, n) if even else rng.multinomial(n, self.weights)
        counts = counts.ravel()
        noise = rng.standard_normal((self.worlds * n, self.dimension))
        means = self.means.reshape(-1, self.dimension)
        roots = np.linalg.cholesky(self.covariances).reshape(-1, self.dimension, self.dimension)
        points = np.empty((self.worlds * n, self.dimension))
        for i in range(self.dimension):  # a lower triangle, one coordinate at a time: faster than a matrix a point
            x = np.repeat(roots[:, i, 0], counts) * noise[:, 0]
            for j in range(1, i + 1):
                x += np.repeat(roots[:, i, j], counts) * noise[:, j]
            points[:, i] = x + np.repeat(means[:, i], counts)
        return points.reshape(self.worlds, n, self.dimension)

    def part(self, which: slice) -> Mixtures:
        """The mixtures of some of the components, evenly weighted."""
        means = self.means[:, which]
        return even(means, self.covariances[:, which])


def even(means: Array, covariances: Array) -> Mixtures:
    """Mixtures whose components weigh the same."""
    return Mixtures(np.full(means.shape[:2], 1.0 / means.shape[1]), means, covariances)


def mixture(weights: npt.ArrayLike, means: npt.ArrayLike, covariances: npt.ArrayLike) -> Mixtures:
    """One world's mixture from a person's numbers: (k,), (k, d), (k, d, d); refused where it has no density."""
    w, m, c = (np.asarray(part, dtype=np.float64) for part in (weights, means, covariances))
    if m.ndim != 2 or w.shape != m.shape[:1] or c.shape != (*m.shape, m.shape[-1]):
        raise SynthgainError(
            f"shapes do not fit: weights {w.shape}, means {m.shape}, covariances {c.shape}",
            next="give (k,), (k, d) and (k, d, d)",
        )
    if not (np.isfinite(w).all() and np.isfinite(m).all() and np.isfinite(c).all()):
        raise SynthgainError("a mixture's numbers must be finite", next="remove nan and inf")
    if (w < 0).any() or not np.isclose(w.sum(), 1.0):
        raise SynthgainError(f"the weights must be at least 0 and sum to 1, not {w.sum():.6g}")
    require_densities(c)
    return Mixtures(w[None], m[None], c[None])


def require_densities(covariances: Array) -> None:
    """SynthgainError where a covariance is not symmetric or not positive definite, naming the component."""
    odd = np.abs(covariances - covariances.swapaxes(-1, -2)).max(axis=(-1, -2)) > 1e-8
    if odd.any():
        raise SynthgainError(
            f"covariance of component {int(np.argwhere(odd)[0][-1])} is not symmetric",
            next="use A @ A.T + 0.05 * identity; A @ B.T is not a covariance",
        )
    spectra = np.linalg.eigvalsh(covariances)
    flat = spectra[..., 0] <= 1e-12 * np.maximum(spectra[..., -1], 1e-300)
    if flat.any():
        raise SynthgainError(
            f"covariance of component {int(np.argwhere(flat)[0][-1])} is singular "
            f"(smallest eigenvalue {spectra[..., 0].min():.3g}), so it has no density",
            next="add a small multiple of the identity",
        )


def even_counts(rng: Rng, weights: Array, n: int) -> npt.NDArray[np.int64]:
    """How many of n points each component gets, (R, k): n·weight rounded up or down at random, without bias."""
    edges = np.cumsum(weights, axis=1)
    edges[:, -1] = 1.0
    marks = np.floor(edges * n + rng.random((weights.shape[0], 1))).astype(np.int64)
    marks[:, -1] = n
    return np.diff(np.minimum(marks, n), axis=1, prepend=0)


def monomials(points: Array) -> Array:
    """The features (1, x_i, x_i x_j for i ≤ j) of points (R, n, d), as (R, n, 1 + d + d(d+1)/2)."""
    rows, columns = np.triu_indices(points.shape[-1])
    return np.concatenate([np.ones((*points.shape[:-1], 1)), points, points[..., rows] * points[..., columns]], axis=-1)


def coefficients(weights: Array, means: Array, covariances: Array) -> Array:
    """ln(weight · density) of each component as weights on `monomials`, (R, k, features)."""
    d = means.shape[-1]
    precisions, log_det = inverse(covariances)
    pull = np.einsum("rkij,rkj->rki", precisions, means)
    with np.errstate(divide="ignore"):  # a component of weight 0 has log-weight -inf and is never responsible
        constant = np.log(weights) - 0.5 * (d * LN_2PI + log_det + np.einsum("rki,rki->rk", pull, means))
    rows, columns = np.triu_indices(d)
    square = -precisions[..., rows, columns] * np.where(rows == columns, 0.5, 1.0)
    return np.concatenate([constant[..., None], pull, square], axis=-1)


def inverse(covariances: Array) -> tuple[Array, Array]:
    """Inverses and log-determinants of symmetric positive-definite matrices (…, d, d)."""
    if covariances.shape[-1] != 2:
        return np.asarray(np.linalg.inv(covariances)), np.asarray(np.linalg.slogdet(covariances)[1])
    a, b, c = covariances[..., 0, 0], covariances[..., 0, 1], covariances[..., 1, 1]
    det = a * c - b * b
    out = np.empty_like(covariances)
    out[..., 0, 0], out[..., 1, 1] = c / det, a / det
    out[..., 0, 1] = out[..., 1, 0] = -b / det
    return out, np.log(det)


def log_sum(joint: Array) -> Array:
    """ln Σ exp over the components, axis 1 of (R, k, n). Overwrites its argument."""
    top = joint.max(axis=1)
    joint -= top[:, None, :]
    np.exp(joint, out=joint)
    return np.asarray(top + np.log(joint.sum(axis=1)))

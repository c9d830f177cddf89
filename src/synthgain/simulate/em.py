"""Maximum-likelihood fits of many Gaussian mixtures at once.

The algorithm is the usual one (greedy k-means++, Lloyd, then EM until the mean log-likelihood moves by
less than `tolerance`), with the settings that scikit-learn's GaussianMixture has by default, so that the
two can be compared. What differs is that R worlds move together: a step of all of them is two matrix
products. A world that has converged leaves the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synthgain.simulate.mixtures import Array, Mixtures, Rng, coefficients, monomials
from synthgain.types import SynthgainError

Truths = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Fit:
    """How a mixture is fitted. `floor` is added to the diagonal of every covariance."""

    tolerance: float = 1e-3
    floor: float = 1e-6
    steps: int = 100
    lloyd_steps: int = 300
    lloyd_tolerance: float = 1e-4

    def __call__(self, rng: Rng, points: Array, components: int) -> Mixtures:
        """Mixtures of `components` Gaussians fitted to `points` (R, n, d), world by world."""
        n = points.shape[1]
        if components < 1:
            raise SynthgainError(f"a mixture needs at least one component, not {components}")
        if n < components:
            raise SynthgainError(
                f"{n} points cannot carry {components} components", next="give more points or fewer components"
            )
        centre = points.mean(axis=1, keepdims=True)
        shifted = points - centre
        member = self.clusters(rng, shifted, components)
        found = self.climb(shifted, member)
        return Mixtures(found.weights, found.means + centre, found.covariances)

    def clusters(self, rng: Rng, points: Array, components: int) -> Array:
        """k-means memberships (R, k, n), each point in one cluster."""
        centres = seeds(rng, points, components)
        still = self.lloyd_tolerance * points.var(axis=1).mean(axis=1)
        out = np.empty((points.shape[0], components, points.shape[1]))
        worlds = np.arange(points.shape[0])
        before: Truths = np.zeros(out.shape, dtype=bool)
        for step in range(self.lloyd_steps):
            member = nearest(points, centres)
            settled = (member == before).all(axis=(1, 2)) if step else np.zeros(len(worlds), dtype=bool)
            moved = cluster_means(points, member, centres)
            shift = ((moved - centres) ** 2).sum(axis=(1, 2))
            done = settled | (shift <= still[worlds]) | (step == self.lloyd_steps - 1)
            if done.any():
                final = np.where(settled[done, None, None], member[done], nearest(points[done], moved[done]))
                out[worlds[done]] = final
                go = ~done
                worlds, points, moved, member = worlds[go], points[go], moved[go], member[go]
                if not len(worlds):
                    break
            centres, before = moved, member
        return np.asarray(out / out.sum(axis=1, keepdims=True))

    def climb(self, points: Array, member: Array) -> Mixtures:
        """EM from memberships (R, k, n) until each world's mean log-likelihood stands still."""
        features = monomials(points)
        weights, means, covariances = self.moments(features, member)
        kept = (weights.copy(), means.copy(), covariances.copy())
        worlds, live = np.arange(points.shape[0]), np.ones(points.shape[0], dtype=bool)
        before = np.full(len(worlds), -np.inf)
        for step in range(self.steps):
            joint = coefficients(weights, means, covariances) @ features.swapaxes(1, 2)
            top = joint.max(axis=1, keepdims=True)
            joint -= top
            np.exp(joint, out=joint)
            total = joint.sum(axis=1, keepdims=True)
            joint /= total
            level = (top + np.log(total)).mean(axis=(1, 2))
            weights, means, covariances = self.moments(features, joint)
            done = live & ((np.abs(level - before) < self.tolerance) | (step == self.steps - 1))
            for whole, part in zip(kept, (weights, means, covariances), strict=True):
                whole[worlds[done]] = part[done]
            live &= ~done
            if not live.any():
                break
            if live.sum() < 0.8 * len(live):  # leave the converged behind
                worlds, features, level = worlds[live], features[live], level[live]
                weights, means, covariances = weights[live], means[live], covariances[live]
                live = live[live]
            before = level
        return Mixtures(*kept)

    def moments(self, features: Array, member: Array) -> tuple[Array, Array, Array]:
        """Weights, means and covariances of softly assigned points (the M-step)."""
        d = dimension_of(features.shape[-1])
        sums = member @ features
        mass = sums[..., 0] + 10 * np.finfo(np.float64).eps
        means = sums[..., 1 : d + 1] / mass[..., None]
        rows, columns = np.triu_indices(d)
        covariances = np.empty((*means.shape, d))
        second = sums[..., d + 1 :] / mass[..., None] - means[..., rows] * means[..., columns]
        covariances[..., rows, columns] = second
        covariances[..., columns, rows] = second
        diagonal = np.arange(d)
        covariances[..., diagonal, diagonal] = np.maximum(covariances[..., diagonal, diagonal], 0.0) + self.floor
        return mass / mass.sum(axis=1, keepdims=True), means, covariances


def dimension_of(features: int) -> int:
    """d where 1 + d + d(d+1)/2 features come from."""
    return int((np.sqrt(8 * features + 1) - 3) / 2)


def seeds(rng: Rng, points: Array, components: int) -> Array:
    """Greedy k-means++ centres (R, k, d): each is the best of a few draws with odds as squared distance."""
    worlds, n, d = points.shape
    trials = 2 + int(np.log(components))
    row = np.arange(worlds)
    centres = np.empty((worlds, components, d))
    centres[:, 0] = points[row, rng.integers(n, size=worlds)]
    gap = ((points - centres[:, :1]) ** 2).sum(axis=2)
    for k in range(1, components):
        mass = np.cumsum(gap, axis=1)
        aim = rng.random((worlds, trials)) * mass[:, -1:]
        pick = np.minimum((mass[:, None, :] < aim[:, :, None]).sum(axis=2), n - 1)
        candidates = points[row[:, None], pick]
        far = ((points[:, None] - candidates[:, :, None]) ** 2).sum(axis=3)
        np.minimum(far, gap[:, None], out=far)
        best = far.sum(axis=2).argmin(axis=1)
        centres[:, k] = candidates[row, best]
        gap = far[row, best]
    return centres


def nearest(points: Array, centres: Array) -> Truths:
    """Which centre is nearest, as (R, k, n) truth values (more than one only at an exact tie)."""
    gap = (centres**2).sum(axis=2)[:, :, None] - 2 * centres @ points.swapaxes(1, 2)
    return np.asarray(gap == gap.min(axis=1, keepdims=True))


def cluster_means(points: Array, member: Truths, centres: Array) -> Array:
    """The clusters' means; an empty cluster moves to the point that is farthest from its own centre."""
    soft = member.astype(np.float64)
    size = soft.sum(axis=2)
    moved = (soft @ points) / np.maximum(size, 1.0)[..., None]
    for world in np.flatnonzero((size == 0).any(axis=1)):
        own = (soft[world].T @ centres[world]) / soft[world].sum(axis=0)[:, None]
        farthest = np.argsort(-((points[world] - own) ** 2).sum(axis=1))
        empty = np.flatnonzero(size[world] == 0)
        moved[world, empty] = points[world, farthest[: len(empty)]]
    return np.asarray(moved)

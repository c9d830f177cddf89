"""Logistic regression with an L2 penalty on sparse and dense columns at once, by L-BFGS (Nocedal and Wright 2006, 7.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Places = NDArray[np.int64]
MEMORY = 10  # pairs of steps and gradient changes that L-BFGS keeps


@dataclass(frozen=True)
class Sparse:
    """A matrix of mostly zeros by its entries, ordered by row: `row`, `column` and `value` of each."""

    row: Places
    column: Places
    value: Vector
    shape: tuple[int, int]

    def rows(self, which: Places) -> Sparse:
        """These rows, in this order."""
        starts = np.searchsorted(self.row, np.arange(self.shape[0] + 1))
        sizes = np.diff(starts)[which]
        row = np.repeat(np.arange(len(which)), sizes)
        entry = np.arange(len(row)) - np.repeat(np.cumsum(sizes) - sizes, sizes) + np.repeat(starts[which], sizes)
        return Sparse(row, self.column[entry], self.value[entry], (len(which), self.shape[1]))

    def times(self, w: Vector) -> Vector:
        """X w."""
        out: Vector = np.bincount(self.row, weights=self.value * w[self.column], minlength=self.shape[0]).astype(float)
        return out

    def transposed_times(self, r: Vector) -> Vector:
        """Xᵀ r."""
        out: Vector = np.bincount(self.column, weights=self.value * r[self.row], minlength=self.shape[1]).astype(float)
        return out


@dataclass(frozen=True)
class Features:
    """Columns of n rows: a dense block (n, d), and a sparse one or none."""

    dense: NDArray[Any]
    sparse: Sparse | None = None

    @property
    def width(self) -> int:
        return int(self.dense.shape[1]) + (self.sparse.shape[1] if self.sparse else 0)

    def rows(self, which: Places) -> Features:
        return Features(self.dense[which], self.sparse.rows(which) if self.sparse else None)

    def times(self, w: Vector) -> Vector:
        d = self.dense.shape[1]
        out: Vector = self.dense @ w[:d]
        return out + self.sparse.times(w[d:]) if self.sparse else out

    def transposed_times(self, r: Vector) -> Vector:
        dense: Vector = self.dense.T @ r
        return np.concatenate([dense, self.sparse.transposed_times(r)]) if self.sparse else dense


def fit(
    features: Features,
    positive: NDArray[np.bool_],
    weight: Vector,
    *,
    penalty: float = 1.0,
    tolerance: float = 1e-4,
    most: int = 200,
) -> tuple[Vector, float]:
    """(w, b) least in Σ weight·ln(1 + e^{-±(Xw + b)}) + penalty/2·|w|²; b is free.

    Ends where no part of the gradient is above `tolerance` times the sum of weights, or after `most` steps.
    """
    sign = np.where(positive, 1.0, -1.0)

    def loss(point: Vector) -> tuple[float, Vector]:
        margin = sign * (features.times(point[:-1]) + point[-1])
        pull = -sign * weight * np.exp(-np.logaddexp(0.0, margin))  # minus the chance of the other side
        gradient = np.append(features.transposed_times(pull) + penalty * point[:-1], pull.sum())
        return float(weight @ np.logaddexp(0.0, -margin) + penalty / 2 * (point[:-1] @ point[:-1])), gradient

    point = np.zeros(features.width + 1)
    value, gradient = loss(point)
    steps: list[tuple[Vector, Vector, float]] = []
    enough = tolerance * float(weight.sum())
    for _ in range(most):
        if np.abs(gradient).max() <= enough:
            break
        direction = -_inverse_times(steps, gradient)
        slope = float(gradient @ direction)
        if slope >= 0:  # rounding only: the function is convex
            steps, direction = [], -gradient
            slope = float(gradient @ direction)
        size = 1.0 if steps else min(1.0, 1.0 / float(np.linalg.norm(gradient)))
        while True:  # halve until the loss falls as far as the slope promises, in part
            after, turned = loss(point + size * direction)
            if after <= value + 1e-4 * size * slope or size < 1e-12:
                break
            size /= 2
        moved, changed = size * direction, turned - gradient
        curvature = float(moved @ changed)
        if curvature > 1e-12 * float(changed @ changed):
            steps = [*steps[1 - MEMORY :], (moved, changed, curvature)]
        if size < 1e-12:
            break
        point, value, gradient = point + moved, after, turned
    return point[:-1], float(point[-1])


def _inverse_times(steps: list[tuple[Vector, Vector, float]], gradient: Vector) -> Vector:
    """The inverse Hessian that the last steps tell of, times the gradient (the two loops of L-BFGS)."""
    out = gradient.copy()
    shares = []
    for moved, changed, curvature in reversed(steps):
        share = float(moved @ out) / curvature
        out -= share * changed
        shares.append(share)
    if steps:
        _, changed, curvature = steps[-1]
        out *= curvature / float(changed @ changed)
    for (moved, changed, curvature), share in zip(steps, reversed(shares)):
        out += (share - float(changed @ out) / curvature) * moved
    return out

"""How fast is the laboratory, and does it fit the same mixtures? One command: python benchmarks/gmm.py

One point of the paper's figure is 100 worlds with 100 rounds of re-sampling each. The reference is the loop that a
reader would write over scikit-learn: for every world two fits, then 100 times three samples, two histograms and two
divergences. Ours needs no rounds, because its densities are exact. Both are timed in CPU seconds of one thread, in
turn, in one process. Then the divergences of the fits that both make are compared: the laboratory's own exact
densities of scikit-learn's fits against its densities of its own fits, other worlds, two-sample Kolmogorov–Smirnov.

Needs scikit-learn and scipy, which the package itself does not. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
from scipy.stats import entropy, ks_2samp
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from synthgain.simulate.divergence import kl
from synthgain.simulate.gmm import point
from synthgain.simulate.mixtures import Mixtures

POINTS = ((2, 2, 2), (2, 15, 2), (15, 2, 2), (2, 2, 15))
ROUNDS = 100
warnings.simplefilter("ignore")  # numpy warns of A Bᵀ, scikit-learn of fits that stop early: both are the point


def as_model(means: np.ndarray, covariances: np.ndarray, rng: np.random.RandomState) -> GaussianMixture:
    """An evenly weighted scikit-learn mixture with given parameters, ready to be sampled."""
    model = GaussianMixture(len(means), random_state=rng)
    model.means_, model.covariances_, model.weights_ = means, covariances, np.full(len(means), 1 / len(means))
    return model


def product(rng: np.random.RandomState, n: int) -> np.ndarray:
    """n matrices A Bᵀ, as the released code takes them for covariances."""
    return rng.rand(n, 2, 2) @ rng.rand(n, 2, 2).transpose(0, 2, 1)


def one_world(rng: np.random.RandomState, k: int, j: int, off: int) -> tuple[GaussianMixture, ...]:
    """Truth, anchors' fit and synthetic fit of one world under the authors' protocol."""
    means, spreads = 10 * rng.rand(k + j, 2), product(rng, k + j)
    anchors = [rng.multivariate_normal(m, c, 50) for m, c in zip(means[:k], spreads[:k], strict=True)]
    seen = np.array([a.mean(axis=0) for a in anchors]), np.array([np.cov(a.T) + 1e-6 * np.eye(2) for a in anchors])
    model = as_model(
        np.concatenate([seen[0], means[k:], 10 * rng.rand(off, 2)]),
        np.concatenate([seen[1], spreads[k:], product(rng, off)]),
        rng,
    )
    made, _ = model.sample(200)
    fits = (
        GaussianMixture(k, random_state=rng).fit(np.concatenate(anchors)),
        GaussianMixture(k + j + off, random_state=rng).fit(made),
    )
    return as_model(means, spreads, rng), *fits


def binned_divergence(p: np.ndarray, q: np.ndarray) -> float:
    """The published estimate of KL(p ‖ q) from two samples."""
    cells = [np.clip(np.histogramdd(x, bins=50, density=True)[0].ravel(), 1e-10, None) for x in (p, q)]
    return float(entropy(*cells))


def reference(
    worlds: int, k: int, j: int, off: int, rounds: int
) -> tuple[list[float], list[tuple[GaussianMixture, ...]]]:
    """KL gaps by the loop, and the fits."""
    rng, gaps, kept = np.random.RandomState(7), [], []
    for _ in range(worlds):
        truth, first, second = one_world(rng, k, j, off)
        total = 0.0
        for _ in range(rounds):
            real, a, s = (law.sample(1000)[0] for law in (truth, first, second))
            total += binned_divergence(a, real) - binned_divergence(s, real)
        gaps.append(total / max(1, rounds))
        kept.append((truth, first, second))
    return gaps, kept


def batched(models: list[GaussianMixture]) -> Mixtures:
    """scikit-learn mixtures as one batch of ours; of A Bᵀ, the covariance that numpy draws with."""
    covariances = np.array([m.covariances_ for m in models])
    _, s, v = np.linalg.svd(covariances)
    effective = v.swapaxes(-1, -2) @ (s[..., None] * v)
    return Mixtures(
        np.array([m.weights_ for m in models]),
        np.array([m.means_ for m in models]),
        (effective + effective.swapaxes(-1, -2)) / 2,
    )


def cpu(work: object) -> tuple[float, object]:
    """CPU seconds of a call, and what it gave."""
    start = time.process_time()
    found = work()  # type: ignore[operator]
    return time.process_time() - start, found


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--timed-worlds", type=int, default=20, help="worlds the slow loop is timed on (scaled to 100)")
    ask.add_argument("--ks-worlds", type=int, default=150)
    asked = ask.parse_args()
    print(
        "| K, J, L | loop, CPU s | exact, CPU s | ratio | ratio with the histogram too, its 100 rounds | KS p: reverse anchor, synthetic; forward anchor, synthetic |"
    )
    print("|---|---|---|---|---|---|")
    point(worlds=20, workers=1)  # warm both
    reference(2, 2, 2, 2, 2)
    for k, j, off in POINTS:
        slow, _ = cpu(lambda: reference(asked.timed_worlds, k, j, off, ROUNDS))  # noqa: B023
        slow *= 100 / asked.timed_worlds
        setting = {"K": k, "J": j, "L": off, "workers": 1}
        fast, _ = cpu(lambda: point(worlds=100, divergences=("reverse", "forward"), **setting))  # noqa: B023
        both, _ = cpu(lambda: point(worlds=100, rounds=ROUNDS, **setting))  # noqa: B023
        ours = point(worlds=asked.ks_worlds, divergences=("reverse", "forward"), seed=1, **setting)
        _, kept = reference(asked.ks_worlds, k, j, off, 0)
        truth, first, second = (batched([w[i] for w in kept]) for i in range(3))
        rng = np.random.default_rng(3)
        theirs = {
            "reverse": (kl(first, truth, rng, 1000)[0], kl(second, truth, rng, 1000)[0]),
            "forward": (kl(truth, first, rng, 1000)[0], kl(truth, second, rng, 1000)[0]),
        }
        p = [ks_2samp(ours.pairs[d][i], theirs[d][i]).pvalue for d in ("reverse", "forward") for i in (0, 1)]
        print(
            f"| {k}, {j}, {off} | {slow:.1f} | {fast:.2f} | {slow / fast:.0f} | {slow / both:.0f} | {', '.join(f'{x:.2f}' for x in p)} |",
            flush=True,
        )


if __name__ == "__main__":
    with threadpool_limits(1):  # one thread for both
        main()

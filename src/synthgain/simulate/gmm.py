"""The paper's simulation (Gan and Liu, arXiv 2410.01720, section 4.4 and appendix B), as published and done exactly.

A truth G of K + J Gaussians; anchors from its first K; a generator M with L components more; one mixture
fitted to the anchors and one to M's draws. The figure is the KL gap KL(π_anchor ‖ G) − KL(π_gen ‖ G), and the
paper's claim is that it rises with J and falls with K and with L. The protocols stand in `options`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from synthgain.simulate import divergence as far
from synthgain.simulate.divergence import DIVERGENCES
from synthgain.simulate.em import Fit
from synthgain.simulate.generators import NEURAL, Generator, Making, chosen, truths
from synthgain.simulate.mixtures import Array, Mixtures, Rng
from synthgain.simulate.options import CLAIMED, PROTOCOLS, GmmOptions, along, checked, with_knobs
from synthgain.simulate.trends import middle, trend

BESIDE = 400  # draws for ΔI and D_TV, of which only medians over worlds are shown
BLOCK = 400_000  # point-component pairs handled at once, so that arrays stay in the processor's cache


@dataclass(frozen=True)
class Worlds:
    """What came of one setting (K, J, L): for each divergence the pair (anchor fit, synthetic fit), (worlds,) each.

    `entropy` is H(M(p)) = ΔI per sample (the prompt is fixed, so M's whole randomness is its information gain;
    differential, nats, may be negative) and `distance` is D_TV(G, M); None where M has no density.
    """

    pairs: dict[str, tuple[Array, Array]]
    entropy: Array | None
    distance: Array | None

    def gap(self, divergence: str) -> Array:
        """KL gap of each world, nats: positive where the synthetic fit is nearer to the truth."""
        anchor, synthetic = self.pairs[divergence]
        return anchor - synthetic


Done = Callable[[int, int], None]  # (blocks done, blocks in all)


def gmm(options: GmmOptions | None = None, *, progress: Done | None = None, **knobs: Any) -> dict[str, Any]:
    """The figure as JSON: `points`, `trends` and, beside them, `worlds` (exact ΔI and D_TV), `settings`.

    `knobs` are fields of GmmOptions. The same options give the same numbers, whatever the number of workers.
    """
    asked = checked(with_knobs(options or GmmOptions(), knobs))
    settings = list(dict.fromkeys(s for axis in asked.axes for s in along(asked, axis)))
    found = _simulate(asked, settings, progress)
    points, trends, beside = [], [], []
    rng = np.random.default_rng([asked.seed, 1])
    for protocol in asked.protocols:
        for axis in asked.axes:
            at = dict(zip(asked.values, along(asked, axis), strict=True))
            for divergence in asked.divergences:
                groups = [(float(x), found[protocol, s].gap(divergence)) for x, s in at.items()]
                name = {"axis": axis, "protocol": protocol, "divergence": divergence}
                points += [name | _point(x, gaps, asked.level) for x, (_, gaps) in zip(at, groups, strict=True)]
                told = trend(groups, rng, asked.level)
                trends.append(name | {"claimed": CLAIMED[axis]} | asdict(told) | {"holds": told.holds(CLAIMED[axis])})
            beside += [
                {"axis": axis, "x": x, "protocol": protocol} | _beside(found[protocol, s]) for x, s in at.items()
            ]
    kept = asdict(asked)
    kept.pop("workers")
    return {"points": points, "trends": trends, "worlds": beside, "settings": kept}


def point(options: GmmOptions | None = None, **knobs: Any) -> Worlds:
    """The worlds of the one setting K, J, L of the options, under their first protocol."""
    asked = checked(replace(with_knobs(options or GmmOptions(), knobs), axes=("K",)))
    setting = (asked.K, asked.J, asked.L)
    return _simulate(replace(asked, protocols=asked.protocols[:1]), [setting], None)[asked.protocols[0], setting]


def scene(options: GmmOptions | None = None, **knobs: Any) -> dict[str, Any]:
    """One world to look at (the paper's Figure 2): points, and every component's mean and covariance, as JSON."""
    asked = checked(replace(with_knobs(options or GmmOptions(), knobs), axes=("K",)))
    setting, protocol = (asked.K, asked.J, asked.L), asked.protocols[0]
    size = _size(asked, protocol, setting)
    drawn = _drawn(asked, protocol, setting, size, _streams(asked, setting, 0)[:4])
    law = drawn.generator.law

    def components(of: Mixtures) -> list[dict[str, Any]]:
        return [
            {"weight": float(w), "mean": m.tolist(), "covariance": c.tolist()}
            for w, m, c in zip(of.weights[0], of.means[0], of.covariances[0], strict=True)
        ]

    told = {
        "anchors": drawn.anchors[0].reshape(-1, asked.dimension).tolist(),
        "synthetic": drawn.synthetic[0].tolist(),
        "truth": components(drawn.truth),
        "model": None if law is None else components(law),
        "anchor_fit": components(drawn.anchor_fit),
        "synthetic_fit": components(drawn.synthetic_fit),
    }
    return {"scene": told, "K": asked.K, "J": asked.J, "L": asked.L, "protocol": protocol, "seed": asked.seed}


def sentences(result: dict[str, Any]) -> list[str]:
    """The trends of a result in words: the published estimator's first, what exact densities say beside it."""
    said = {True: "holds", False: "is reversed", None: "is not there"}
    out = []
    for t in sorted(result["trends"], key=lambda t: (t["protocol"], t["axis"], DIVERGENCES.index(t["divergence"]))):
        if t["slope"] is None:
            continue
        out.append(
            f"{t['protocol']}, {t['axis']} claimed {t['claimed']}: {said[t['holds']]} by {t['divergence']} "
            f"(Spearman {t['slope']:+.2f} [{t['low']:+.2f}, {t['high']:+.2f}])"
        )
    return out


# ------------------------------------------------------------------------------------------------ one block of worlds


@dataclass(frozen=True)
class Drawn:
    """A block of worlds before anything is measured: laws, data and fits."""

    truth: Mixtures
    generator: Generator
    anchors: Array  # (R, K, N, d)
    synthetic: Array  # (R, n, d)
    anchor_fit: Mixtures
    synthetic_fit: Mixtures


def _drawn(asked: GmmOptions, protocol: str, setting: tuple[int, int, int], size: int, streams: list[Rng]) -> Drawn:
    k, j, off_task = setting
    world, model, data, fit = streams
    law = PROTOCOLS[protocol]
    truth = truths(world, law.covariances, size, k + j, asked.dimension)
    seen = truth.part(slice(0, k))
    anchors = _anchors(world, seen, asked.anchors)
    making = Making(chosen(asked.generator), asked.knows, law.covariances, asked.lessons, asked.steps)
    generator = making(model, truth, anchors, off_task)
    made = generator.source.draw(data, asked.synthetic or law.synthetic)
    if not law.fitted and generator.law is not None:
        return Drawn(truth, generator, anchors, made, seen, generator.law)
    whole = k + j + off_task
    first = Fit()(fit, anchors.reshape(size, -1, asked.dimension), whole if law.alike else k)
    return Drawn(truth, generator, anchors, made, first, Fit()(fit, made, whole))


def _streams(asked: GmmOptions, setting: tuple[int, int, int], index: int) -> list[Rng]:
    """Nine independent streams of a block: each use has its own, so that no choice of figure changes a world."""
    key = [asked.seed, *setting, asked.dimension, asked.anchors, index]
    return [np.random.default_rng(s) for s in np.random.SeedSequence(key).spawn(9)]


def _block(asked: GmmOptions, protocol: str, setting: tuple[int, int, int], index: int, size: int) -> Worlds:
    """`size` worlds of one setting, measured."""
    *first_four, exact_reverse, exact_forward, binning, entropies, distances = _streams(asked, setting, index)
    drawn = _drawn(asked, protocol, setting, size, first_four)
    first, second, truth, law = drawn.anchor_fit, drawn.synthetic_fit, drawn.truth, drawn.generator.law
    exact = {"reverse": (far.reverse, exact_reverse), "forward": (far.forward, exact_forward)}
    pairs = {}
    for name in asked.divergences:
        if name == "histogram":
            pairs[name] = far.histogram(first, second, truth, binning, asked.resample, asked.rounds)
        else:
            measure, rng = exact[name]
            pairs[name] = measure(first, second, truth, rng, asked.draws)
    if law is None:
        return Worlds(pairs, None, None)
    few = min(asked.draws, BESIDE)
    entropy = far.entropy(law, entropies, few)
    return Worlds(pairs, entropy, far.total_variation(truth, law, distances, few))


def _anchors(rng: np.random.Generator, seen: Mixtures, each: int) -> Array:
    """Exactly `each` anchors from every seen component, (R, K, each, d)."""
    noise = rng.standard_normal((seen.worlds, seen.components, each, seen.dimension))
    return np.asarray(seen.means[:, :, None] + noise @ np.linalg.cholesky(seen.covariances).swapaxes(-1, -2))


def _simulate(
    asked: GmmOptions, settings: Sequence[tuple[int, int, int]], progress: Done | None
) -> dict[tuple[str, tuple[int, int, int]], Worlds]:
    """All worlds of all settings; blocks are drawn whole, so that more worlds keep the ones already drawn."""
    jobs = []
    for protocol in asked.protocols:
        for setting in settings:
            size = _size(asked, protocol, setting)
            jobs += [(protocol, setting, index, size) for index in range(-(-asked.worlds // size))]
    workers = asked.workers or min(4, os.cpu_count() or 1)
    parts: dict[tuple[str, tuple[int, int, int]], list[Worlds]] = {}
    with ThreadPoolExecutor(workers) as pool:
        blocks = pool.map(lambda job: _block(asked, *job), jobs)
        for done, (job, block) in enumerate(zip(jobs, blocks, strict=True), start=1):
            parts.setdefault(job[:2], []).append(block)
            if progress is not None:
                progress(done, len(jobs))
    return {at: _joined(blocks, asked.worlds) for at, blocks in parts.items()}


def _size(asked: GmmOptions, protocol: str, setting: tuple[int, int, int]) -> int:
    """Worlds in a block: as many as keep the arrays small. It depends on the options only, never on the machine."""
    if asked.generator in NEURAL:
        return 20
    longest = max(asked.synthetic or PROTOCOLS[protocol].synthetic, asked.anchors * setting[0])
    return max(1, min(50, BLOCK // (longest * sum(setting))))


def _joined(blocks: Sequence[Worlds], worlds: int) -> Worlds:
    pairs = {
        name: (
            np.concatenate([b.pairs[name][0] for b in blocks])[:worlds],
            np.concatenate([b.pairs[name][1] for b in blocks])[:worlds],
        )
        for name in blocks[0].pairs
    }
    entropies = [b.entropy for b in blocks if b.entropy is not None]
    distances = [b.distance for b in blocks if b.distance is not None]
    if not entropies:
        return Worlds(pairs, None, None)
    return Worlds(pairs, np.concatenate(entropies)[:worlds], np.concatenate(distances)[:worlds])


def _point(x: int, gaps: Array, level: float) -> dict[str, Any]:
    lower, upper = np.quantile(gaps, [0.25, 0.75])
    return {
        "x": x,
        "worlds": len(gaps),
        **asdict(middle(gaps, level)),
        "mean": float(gaps.mean()),
        "lower_quartile": float(lower),
        "upper_quartile": float(upper),
        "share_positive": float((gaps > 0).mean()),
    }


def _beside(worlds: Worlds) -> dict[str, Any]:
    if worlds.entropy is None or worlds.distance is None:
        return {"delta_I": None, "d_tv": None, "note": "this generator has no density in closed form"}
    return {"delta_I": float(np.median(worlds.entropy)), "d_tv": float(np.median(worlds.distance)), "note": ""}

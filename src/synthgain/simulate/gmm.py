"""The paper's simulation (Gan and Liu, arXiv 2410.01720, section 4.4 and appendix B), as published and done exactly.

A truth G of K + J Gaussians; anchors from its first K; a generator M with L components more; one mixture
fitted to the anchors and one to M's draws. The figure is the KL gap KL(π_anchor ‖ G) − KL(π_gen ‖ G), and the
paper's claim is that it rises with J and falls with K and with L. Protocols:

    authors     as the released code behaves: covariances A Bᵀ (what numpy really draws), 200 synthetic points,
                K components for the anchors' fit and K + J + L for the synthetic one
    text        as the paper says: K + J + L components for both fits, 1,000 synthetic points
    valid       `authors` with covariances A Aᵀ + 0.05 I
    text-valid  `text` with covariances A Aᵀ + 0.05 I
    no-fit      no learning at all: π_anchor is the truth's first K components and π_gen is M itself; sound covariances
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from synthgain.simulate import divergence as far
from synthgain.simulate.divergence import DIVERGENCES
from synthgain.simulate.em import Fit
from synthgain.simulate.generators import CovarianceLaw, Generator, Making, chosen, truths
from synthgain.simulate.mixtures import Array, Mixtures
from synthgain.simulate.trends import middle, trend
from synthgain.types import SynthgainError

AXES = ("K", "J", "L")
CLAIMED = {"K": "down", "J": "up", "L": "down"}
MOST_COMPONENTS, MOST_DIMENSIONS, MOST_WORK = 200, 16, 2e11
BESIDE = 400  # draws for ΔI and D_TV, of which only medians over worlds are shown
BLOCK = 400_000  # point-component pairs handled at once, so that arrays stay in the processor's cache


@dataclass(frozen=True)
class Protocol:
    """One reading of the experiment."""

    covariances: CovarianceLaw
    alike: bool  # both fits have K + J + L components
    synthetic: int  # points drawn from M
    fitted: bool = True


PROTOCOLS = {
    "authors": Protocol("product", alike=False, synthetic=200),
    "text": Protocol("product", alike=True, synthetic=1000),
    "valid": Protocol("sound", alike=False, synthetic=200),
    "text-valid": Protocol("sound", alike=True, synthetic=1000),
    "no-fit": Protocol("sound", alike=False, synthetic=200, fitted=False),
}


@dataclass(frozen=True)
class GmmOptions:
    """What `simulate gmm` can be asked. The defaults are the paper's, with 300 worlds a point for its 100.

    `anchors` are per component, `synthetic` None means the protocol's own number, `draws` are the points an exact
    divergence averages over, `resample` × `rounds` the points and rounds of the histogram estimator (the authors
    use 100 rounds; more rounds only average out its own noise). `workers` never changes a figure.
    """

    axes: tuple[str, ...] = AXES
    values: tuple[int, ...] = tuple(range(2, 16))
    K: int = 2
    J: int = 2
    L: int = 2
    protocols: tuple[str, ...] = ("authors",)
    divergences: tuple[str, ...] = DIVERGENCES
    generator: str = "informed"
    knows: float = 1.0
    dimension: int = 2
    anchors: int = 50
    synthetic: int | None = None
    worlds: int = 300
    draws: int = 1000
    resample: int = 1000
    rounds: int = 10
    level: float = 0.95
    seed: int = 0
    workers: int | None = None


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
    asked = checked(_with(options or GmmOptions(), knobs))
    settings = list(dict.fromkeys(s for axis in asked.axes for s in _along(asked, axis)))
    found = _simulate(asked, settings, progress)
    points, trends, beside = [], [], []
    rng = np.random.default_rng([asked.seed, 1])
    for protocol in asked.protocols:
        for axis in asked.axes:
            at = dict(zip(asked.values, _along(asked, axis), strict=True))
            for divergence in asked.divergences:
                groups = [(float(x), found[protocol, s].gap(divergence)) for x, s in at.items()]
                name = {"axis": axis, "protocol": protocol, "divergence": divergence}
                points += [name | _point(x, gaps, asked.level) for x, (_, gaps) in zip(at, groups, strict=True)]
                told = trend(groups, rng, asked.level)
                trends.append(name | {"claimed": CLAIMED[axis]} | asdict(told) | {"holds": told.holds(CLAIMED[axis])})
            beside += [{"axis": axis, "x": x, "protocol": protocol} | _beside(found[protocol, s]) for x, s in at.items()]
    kept = asdict(asked)
    kept.pop("workers")
    return {"points": points, "trends": trends, "worlds": beside, "settings": kept}


def point(options: GmmOptions | None = None, **knobs: Any) -> Worlds:
    """The worlds of the one setting K, J, L of the options, under their first protocol."""
    asked = checked(replace(_with(options or GmmOptions(), knobs), axes=("K",)))
    setting = (asked.K, asked.J, asked.L)
    return _simulate(replace(asked, protocols=asked.protocols[:1]), [setting], None)[asked.protocols[0], setting]


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


def _block(asked: GmmOptions, protocol: str, setting: tuple[int, int, int], index: int, size: int) -> Worlds:
    """`size` worlds of one setting. Each use has its own stream, so that no choice of figure changes a world."""
    k, j, off_task = setting
    law = PROTOCOLS[protocol]
    key = [asked.seed, k, j, off_task, asked.dimension, asked.anchors, index]
    world, model, data, fit, *noise = (np.random.default_rng(s) for s in np.random.SeedSequence(key).spawn(9))
    truth = truths(world, law.covariances, size, k + j, asked.dimension)
    seen = truth.part(slice(0, k))
    anchors = _anchors(world, seen, asked.anchors)
    making = Making(chosen(asked.generator), asked.knows, law.covariances)
    generator = making(model, truth, anchors, off_task)
    if law.fitted:
        made = generator.source.draw(data, asked.synthetic or law.synthetic)
        whole = k + j + off_task
        first = Fit()(fit, anchors.reshape(size, -1, asked.dimension), whole if law.alike else k)
        second = Fit()(fit, made, whole)
    else:
        first, second = seen, _law(generator)
    exact = {"reverse": (far.reverse, noise[0]), "forward": (far.forward, noise[1])}
    pairs = {}
    for name in asked.divergences:
        if name == "histogram":
            pairs[name] = far.histogram(first, second, truth, noise[2], asked.resample, asked.rounds)
        else:
            measure, rng = exact[name]
            pairs[name] = measure(first, second, truth, rng, asked.draws)
    if generator.law is None:
        return Worlds(pairs, None, None)
    few = min(asked.draws, BESIDE)
    entropy = far.entropy(generator.law, noise[3], few)
    return Worlds(pairs, entropy, far.total_variation(truth, generator.law, noise[4], few))


def _anchors(rng: np.random.Generator, seen: Mixtures, each: int) -> Array:
    """Exactly `each` anchors from every seen component, (R, K, each, d)."""
    noise = rng.standard_normal((seen.worlds, seen.components, each, seen.dimension))
    return np.asarray(seen.means[:, :, None] + noise @ np.linalg.cholesky(seen.covariances).swapaxes(-1, -2))


def _law(generator: Generator) -> Mixtures:
    if generator.law is None:
        raise SynthgainError("protocol no-fit needs a generator with a density", next="take --generator informed")
    return generator.law


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
    if asked.generator in ("vae", "flow", "diffusion"):
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


def _along(asked: GmmOptions, axis: str) -> list[tuple[int, int, int]]:
    base = {"K": asked.K, "J": asked.J, "L": asked.L}
    return [(at["K"], at["J"], at["L"]) for at in (base | {axis: x} for x in asked.values)]


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
        return {"delta_i": None, "d_tv": None, "note": "this generator has no density in closed form"}
    return {"delta_i": float(np.median(worlds.entropy)), "d_tv": float(np.median(worlds.distance)), "note": ""}


# ------------------------------------------------------------------------------------------------ what can be asked


def _with(options: GmmOptions, knobs: dict[str, Any]) -> GmmOptions:
    known = {f.name for f in fields(GmmOptions)}
    for name in knobs:
        if name not in known:
            raise SynthgainError(f"simulate gmm has no option {name!r}", next=f"options: {', '.join(sorted(known))}")
    return replace(options, **knobs)


def checked(asked: GmmOptions) -> GmmOptions:
    """The options, or a SynthgainError that says which one cannot be and what could."""
    for given, known, word in (
        (asked.axes, AXES, "axis"),
        (asked.protocols, tuple(PROTOCOLS), "protocol"),
        (asked.divergences, DIVERGENCES, "divergence"),
    ):
        odd = [name for name in given if name not in known]
        if odd or not given:
            raise SynthgainError(
                f"no {word} is called {odd[0]!r}" if odd else f"no {word} was given", next=f"take {', '.join(known)}"
            )
    chosen(asked.generator)
    whole = {"K": (asked.K,), "J": (asked.J,), "L": (asked.L,), "values": asked.values}
    for name, numbers in whole.items():
        if not numbers or any(type(n) is not int or n < 1 for n in numbers):
            raise SynthgainError(f"{name} must be whole numbers of components, at least 1", where=str(numbers))
    if len(set(asked.values)) < len(asked.values):
        raise SynthgainError("the values of an axis must differ", where=str(asked.values))
    _sizes(asked)
    return asked


def _sizes(asked: GmmOptions) -> None:
    d = asked.dimension
    if type(d) is not int or not 2 <= d <= MOST_DIMENSIONS:
        raise SynthgainError(f"the dimension must be from 2 to {MOST_DIMENSIONS}, not {d}")
    if asked.anchors < d + 1:
        raise SynthgainError(
            f"{asked.anchors} anchors a component give a singular covariance in {d} dimensions",
            next=f"give at least {d + 1} anchors a component",
        )
    for name, least in (("worlds", 1), ("draws", 100), ("resample", 10), ("rounds", 1)):
        if type(getattr(asked, name)) is not int or getattr(asked, name) < least:
            raise SynthgainError(f"{name} must be a whole number of at least {least}, not {getattr(asked, name)}")
    if not 0 <= asked.knows <= 1 or not 0.5 <= asked.level < 1 or asked.seed < 0:
        raise SynthgainError("knows lies in [0, 1], level in [0.5, 1), and the seed is at least 0")
    if asked.workers is not None and asked.workers < 1:
        raise SynthgainError(f"workers must be at least 1, not {asked.workers}")
    if "histogram" in asked.divergences and far.BINS**d > far.CELLS:
        raise SynthgainError(
            f"the histogram estimator has {far.BINS}^{d} cells in {d} dimensions",
            next="leave it out: --divergence reverse or forward",
        )
    _weights(asked)


def _weights(asked: GmmOptions) -> None:
    """Refuses what has too few points for its components, or is far beyond what the laboratory is for."""
    work = 0.0
    for protocol in asked.protocols:
        law = PROTOCOLS[protocol]
        made = asked.synthetic or law.synthetic
        for k, j, off_task in {s for axis in asked.axes for s in _along(asked, axis)}:
            whole = k + j + off_task
            if whole > MOST_COMPONENTS:
                raise SynthgainError(f"{whole} components are more than the {MOST_COMPONENTS} this is made for")
            if law.fitted and (made < whole or (law.alike and asked.anchors * k < whole)):
                raise SynthgainError(
                    f"K={k}, J={j}, L={off_task} under {protocol!r} fits {whole} components to "
                    f"{min(made, asked.anchors * k)} points",
                    next="give more anchors or more synthetic points",
                )
            points = 30 * (made + asked.anchors * k) + 6 * asked.draws
            binned = 3 * asked.rounds * asked.resample if "histogram" in asked.divergences else 0
            work += asked.worlds * (points * whole * asked.dimension**2 + binned)
            if work > MOST_WORK or (made + asked.anchors * k) * whole > 1e8:
                raise SynthgainError(
                    "this would take hours or more memory than a laptop has", next="fewer worlds, values, points or draws"
                )

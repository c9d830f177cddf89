"""What `simulate gmm` can be asked, and what it refuses before anything is drawn.

Protocols, one reading of the experiment each:

    authors     as the released code behaves: covariances A Bᵀ (what numpy really draws), 200 synthetic points,
                K components for the anchors' fit and K + J + L for the synthetic one
    text        as the paper says: K + J + L components for both fits, 1,000 synthetic points
    valid       `authors` with covariances A Aᵀ + 0.05 I
    text-valid  `text` with covariances A Aᵀ + 0.05 I
    no-fit      no learning at all: π_anchor is the truth's first K components and π_gen is M itself; sound covariances
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from synthgain.simulate import divergence as far
from synthgain.simulate.divergence import DIVERGENCES
from synthgain.simulate.generators import NEURAL, CovarianceLaw, chosen
from synthgain.types import SynthgainError

AXES = ("K", "J", "L")
CLAIMED = {"K": "down", "J": "up", "L": "down"}
MOST_COMPONENTS, MOST_DIMENSIONS = 200, 16
MOST_WORK = 1e12  # in point-component pairs: about three hours of one core


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
    use 100 rounds; more rounds only average out its own noise). `knows` is the share of the unseen part that M knows;
    `lessons` and `steps` school a neural M. `workers` never changes a figure.
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
    lessons: int = 2000
    steps: int = 400
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


def along(asked: GmmOptions, axis: str) -> list[tuple[int, int, int]]:
    """The settings (K, J, L) along one axis, the others at their defaults."""
    base = {"K": asked.K, "J": asked.J, "L": asked.L}
    return [(at["K"], at["J"], at["L"]) for at in (base | {axis: x} for x in asked.values)]


def with_knobs(options: GmmOptions, knobs: dict[str, Any]) -> GmmOptions:
    """The options with some fields changed."""
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
    if chosen(asked.generator) in NEURAL and any(not PROTOCOLS[name].fitted for name in asked.protocols):
        raise SynthgainError("protocol no-fit needs a generator with a density", next="take --generator informed")
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
    for name, least in (("worlds", 1), ("draws", 100), ("resample", 10), ("rounds", 1), ("lessons", 10), ("steps", 1)):
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
        for k, j, off_task in {s for axis in asked.axes for s in along(asked, axis)}:
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
            schooling = 2e5 * asked.steps if asked.generator in NEURAL else 0.0
            work += asked.worlds * (points * whole * asked.dimension**2 + binned + schooling)
            if work > MOST_WORK or (made + asked.anchors * k) * whole > 1e8:
                raise SynthgainError(
                    "this would take hours or more memory than a laptop has",
                    next="fewer worlds, values, points or draws",
                )

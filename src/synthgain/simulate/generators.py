"""The generative model M of the Gaussian worlds: what it knows, and how it speaks.

informed   the paper's M: K components as the anchors show them, the J unseen ones copied from the truth,
           L off-task ones at random. `knows` is the share of the J that it knows; the others are random too.
blind      `informed` with knows = 0: a model that has no knowledge of the unseen part
anchors    the K components that the anchors show, nothing else: a model that only repeats
vae, flow, diffusion
           small neural generators that saw `lessons` draws of the informed M (see `neural`): they know the
           same law, but imperfectly, and what they get wrong is not a mixture's mistake
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np

from synthgain.simulate.mixtures import Array, Mixtures, Rng, even
from synthgain.types import SynthgainError

GeneratorName = Literal["informed", "blind", "anchors", "vae", "flow", "diffusion"]
GENERATORS: tuple[GeneratorName, ...] = get_args(GeneratorName)

NEURAL = ("vae", "flow", "diffusion")

CovarianceLaw = Literal["product", "sound"]
SIDE = 10.0  # means are uniform on [0, SIDE]^d
SOUND_FLOOR = 0.05


class Source(Protocol):
    """Something that draws: n points for each of R worlds, (R, n, d)."""

    def draw(self, rng: Rng, n: int) -> Array: ...


@dataclass(frozen=True)
class Generator:
    """M of R worlds: `source` draws from it, `law` is its density where it has one in closed form."""

    source: Source
    law: Mixtures | None


def covariances(rng: Rng, law: CovarianceLaw, shape: tuple[int, ...], d: int) -> Array:
    """Random covariances (*shape, d, d).

    sound: A Aᵀ + 0.05 I with A uniform on [0, 1]. product: what numpy draws from when it is handed A Bᵀ, as the
    released code does. That product is not symmetric; numpy factorises it as U S Vᵀ and draws with covariance
    V S Vᵀ = (CᵀC)^½, so this is the law that the published figure was in fact sampled from.
    """
    a = rng.random((*shape, d, d))
    if law == "sound":
        return np.asarray(a @ a.swapaxes(-1, -2) + SOUND_FLOOR * np.eye(d))
    _, s, v = np.linalg.svd(a @ rng.random((*shape, d, d)).swapaxes(-1, -2))
    out = v.swapaxes(-1, -2) @ (s[..., None] * v)
    return np.asarray((out + out.swapaxes(-1, -2)) / 2)


def truths(rng: Rng, law: CovarianceLaw, worlds: int, components: int, d: int) -> Mixtures:
    """Ground truths of R worlds: components of equal weight, means uniform on [0, 10]^d."""
    return even(SIDE * rng.random((worlds, components, d)), covariances(rng, law, (worlds, components), d))


def observed(anchors: Array) -> tuple[Array, Array]:
    """Means and covariances (n − 1 in the denominator, plus 1e-6 I) of anchors (R, K, N, d), component by component."""
    means = anchors.mean(axis=2)
    off = anchors - means[:, :, None]
    n, d = anchors.shape[2:]
    return means, off.swapaxes(2, 3) @ off / (n - 1) + 1e-6 * np.eye(d)


@dataclass(frozen=True)
class Making:
    """How M comes about: the kind, the share of the unseen part it knows, the law of what it makes up, its schooling."""

    name: GeneratorName = "informed"
    knows: float = 1.0
    law: CovarianceLaw = "product"
    lessons: int = 2000
    steps: int = 400

    def __call__(self, rng: Rng, truth: Mixtures, anchors: Array, off_task: int) -> Generator:
        """M for each of R worlds, from the truth (K + J components) and the anchors (R, K, N, d)."""
        if self.name == "anchors":
            law = even(*observed(anchors))
            return Generator(law, law)
        law = self.mixture(rng, truth, anchors, off_task)
        if self.name in ("informed", "blind"):
            return Generator(law, law)
        from synthgain.simulate.neural import school

        return Generator(school(self.name, law.draw(rng, self.lessons), rng, self.steps), None)

    def mixture(self, rng: Rng, truth: Mixtures, anchors: Array, off_task: int) -> Mixtures:
        """The paper's M, but that it knows only a share of the unseen components."""
        means, spreads = observed(anchors)
        seen, d = anchors.shape[1], truth.dimension
        unseen = truth.components - seen
        known = 0 if self.name == "blind" else round(self.knows * unseen)
        guessed = unseen - known + off_task
        made = truths(rng, self.law, truth.worlds, guessed, d)
        part = slice(seen, seen + known)
        return even(
            np.concatenate([means, truth.means[:, part], made.means], axis=1),
            np.concatenate([spreads, truth.covariances[:, part], made.covariances], axis=1),
        )


def chosen(name: str) -> GeneratorName:
    """The generator of that name."""
    for known in GENERATORS:
        if known == name:
            return known
    raise SynthgainError(f"no generator is called {name!r}", next=f"take one of: {', '.join(GENERATORS)}")

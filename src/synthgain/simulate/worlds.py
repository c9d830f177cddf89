"""Named discrete worlds: one where the paper's bounds hold, and the counter-examples, each the smallest that does it."""

from __future__ import annotations

import numpy as np

from synthgain.simulate.chain import World
from synthgain.types import SynthgainError


def _always(outcomes: tuple[int, ...]) -> tuple[tuple[float, ...], ...]:
    """A learner without chance: W = outcomes[S_gen], as one law a value."""
    heads = max(outcomes) + 1
    return tuple(tuple(float(w == outcome) for w in range(heads)) for outcome in outcomes)


WORLDS = {
    w.name: w
    for w in (
        World(
            name="lossy-edit",
            says="the bounds hold: an edit keeps only the prompt's part, and a learner remembers it badly",
            anchor=(0.25, 0.25, 0.25, 0.25),
            factor=(0, 0, 1, 1),
            h=(0, 2),
            edit=(0, 0, 2, 2),
            learn=((0.9, 0.1), (0.5, 0.5), (0.1, 0.9), (0.5, 0.5)),
        ),
        World(
            name="noise",
            says="M3, M4, M13: a fair bit plus a fair bit of noise has 1.5 bits; eq. 15, 16 and theorem 4.10 fail",
            g=(0,),
            model=(1.0,),
            noise=(0.5, 0.5),
        ),
        World(
            name="decodable-sum",
            says="M6, M10: W = h + g of fair bits knows 1.5 bits of the sum, 0.5 of each part; eq. 21 and 23 fail",
        ),
        World(
            name="relation",
            says="M8: a learner that stores only whether prompt and answer agree; lemma 4.5 says 1 bit <= 0",
            h=(0, 2),
            learn=_always((0, 1, 1, 0)),
        ),
        World(
            name="prompt-blind",
            says="M7: where M(p) -> e_M -> W is a Markov chain, training cannot depend on the prompt",
            h=(0, 2),
            learn=_always((0, 1, 0, 1)),
        ),
        World(
            name="silent-learner",
            says="M14, M16: a learner that learns nothing has the largest GGMI, and E|gap| > 0 = its bound",
            h=(0, 2),
            learn=_always((0, 0, 0, 0)),
        ),
        World(
            name="strict-filter",
            says="M1, M2: a filter that keeps 10 % has D_TV(D_M,D_gen) = 0.9 and KL = -ln 0.1, however good it is",
            anchor=(1.0,),
            factor=(0,),
            h=(0,),
            g=(0, 1, 2, 3),
            model=(0.05, 0.05, 0.6, 0.3),
            keep=(1.0, 1.0, 0.0, 0.0),
            target=(0.5, 0.5, 0.0, 0.0),
        ),
        World(
            name="raising-filter",
            says="M3: a filter can raise entropy as well, so no sign may be assumed",
            anchor=(1.0,),
            factor=(0,),
            h=(0,),
            model=(0.9, 0.1),
            keep=(0.1, 1.0),
        ),
        World(
            name="dependent-factors",
            says="M9: only dependent factors (or a lossy g) make -dI + H(e_M) anything but 0",
            h=(0, 2),
            model=((0.9, 0.1), (0.2, 0.8)),
        ),
        World(
            name="many-examples",
            says="M15: GGMI is negative although the bound of 100 synthetic examples is far better than that of one anchor",
            g=(0, 1, 2, 3),
            model=(0.25, 0.25, 0.25, 0.25),
            h=(0, 4),
            sizes=(100, 1),
        ),
    )
}  # fmt: skip


def named(name: str, seed: int = 0) -> World:
    """The shipped world of that name; "random" is drawn from the seed."""
    if name == "random":
        return random_world(seed)
    if name not in WORLDS:
        raise SynthgainError(f"no world is called {name!r}", next=f"take one of: {', '.join((*WORLDS, 'random'))}")
    return WORLDS[name]


def random_world(seed: int, *, noisy: bool = True) -> World:
    """A world with random laws, dependent factors, a lossy g and, where `noisy`, additive noise."""
    if seed < 0:
        raise SynthgainError(f"the seed must be at least 0, not {seed}")
    rng = np.random.default_rng(seed)

    def law(n: int) -> tuple[float, ...]:
        return tuple(float(p) for p in rng.dirichlet(np.ones(n)))

    h, g = tuple(int(x) for x in rng.integers(0, 4, size=3)), tuple(int(x) for x in rng.integers(0, 3, size=3))
    noise = law(2) if noisy else (1.0,)
    size = max(h) + max(g) + len(noise)
    return World(
        name="random",
        says=f"drawn from seed {seed}",
        anchor=law(4),
        factor=(0, 1, 2, int(rng.integers(3))),
        h=h,
        g=g,
        model=tuple(law(3) for _ in h),
        noise=noise,
        learn=tuple(law(3) for _ in range(size)),
        control=tuple(law(3) for _ in range(4)),
    )

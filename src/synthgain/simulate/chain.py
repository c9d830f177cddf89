"""Small discrete worlds S_anchor → p → M(p) → S_gen → W in which everything the theory speaks of is exact.

A world is enumerated: every outcome with its probability, so entropies and both sides of every inequality of
the paper (arXiv 2410.01720; equation numbers are its own) are sums, without sampling. M(p) = h(e_p) + g(e_M)
(definition 4.1) and S_gen is M(p) after curation: independent noise added, a redraw until a filter keeps it,
or an edit. All in nats.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import product
from typing import Any

import numpy as np

from synthgain.simulate.mixtures import Array
from synthgain.types import SynthgainError

MOST_OUTCOMES = 200_000
CLOSE = 1e-9  # nats; two sides nearer than this are equal


@dataclass(frozen=True)
class World:
    """One discrete world. Laws are probabilities over 0, 1, …; maps are tuples indexed by their argument.

    anchor   P(S_anchor)
    factor   e_p, the prompt's factor, of each anchor (φ and the choice of the factor together)
    h, g     the two summands of M(p), of each e_p and each e_M
    model    P(e_M), or one such law for each e_p where the factors depend on each other
    noise    P(ε), added to M(p)
    keep     odds that the filter keeps an output (by the value M(p)); where it does not, the same prompt is drawn
             again until one is kept. Empty: no filter
    edit     an edited output for each value of M(p), before noise. Empty: no edit
    learn    P(W | S_gen), one law for each of 0 … the largest value of M(p) or S_gen. Empty: W = S_gen
    control  P(W' | S_anchor), one law for each anchor. Empty: W' = S_anchor
    target   the law D over the same values as S_gen. Empty: the law of M(p)
    loss     loss of each W on each value, in [0, C]. Empty: 0 where W is that value, else 1
    sizes    how many examples S_gen and S_anchor stand for (n of theorem 4.7, m of lemma 4.8). The loss is known for a
             single example only, so what speaks of losses is listed where n = 1
    """

    name: str = ""
    says: str = ""
    anchor: tuple[float, ...] = (0.5, 0.5)
    factor: tuple[int, ...] = (0, 1)
    h: tuple[int, ...] = (0, 1)
    g: tuple[int, ...] = (0, 1)
    model: tuple[float, ...] | tuple[tuple[float, ...], ...] = (0.5, 0.5)
    noise: tuple[float, ...] = (1.0,)
    keep: tuple[float, ...] = ()
    edit: tuple[int, ...] = ()
    learn: tuple[tuple[float, ...], ...] = ()
    control: tuple[tuple[float, ...], ...] = ()
    target: tuple[float, ...] = ()
    loss: tuple[tuple[float, ...], ...] = ()
    sizes: tuple[int, int] = (1, 1)


def world(data: Mapping[str, Any]) -> World:
    """A world from JSON: an object with the fields of World, lists for tuples."""
    known = {f.name for f in fields(World)}
    odd = sorted(set(data) - known)
    if odd:
        raise SynthgainError(f"a world has no field {odd[0]!r}", next=f"fields: {', '.join(sorted(known))}")
    return World(**{name: _frozen(value) for name, value in data.items()})


def _frozen(value: Any) -> Any:
    return tuple(_frozen(part) for part in value) if isinstance(value, list | tuple) else value


# ------------------------------------------------------------------------------------------------ the enumeration


@dataclass(frozen=True)
class Joint:
    """All outcomes of some discrete variables: a column of integers for each, and the outcomes' probabilities."""

    columns: Mapping[str, np.ndarray[tuple[int, ...], np.dtype[np.int64]]]
    mass: Array

    def law(self, *names: str) -> Array:
        """The probabilities of the variables' joint values, in order of the values."""
        if not names:
            return np.ones(1)
        cell = np.zeros(len(self.mass), dtype=np.int64)
        for name in names:  # one number for each row of values, small again after each variable
            values = self.columns[name]
            _, cell = np.unique(cell * (int(values.max()) + 1) + values, return_inverse=True)
        return np.bincount(cell, weights=self.mass).astype(np.float64)

    def h(self, *names: str, given: Sequence[str] = ()) -> float:
        """Entropy H(names | given)."""
        return _entropy(self.law(*names, *given)) - _entropy(self.law(*given))

    def i(self, left: str, right: str, *, given: Sequence[str] = ()) -> float:
        """Mutual information I(left; right | given)."""
        return self.h(left, given=given) + self.h(right, given=given) - self.h(left, right, given=given)

    def values(self, name: str, size: int) -> Array:
        """The law of one variable as probabilities of 0, 1, …, size − 1."""
        return np.bincount(self.columns[name], weights=self.mass, minlength=size).astype(np.float64)


def _entropy(law: Array) -> float:
    some = law[law > 0]
    return float(-(some * np.log(some)).sum())


def enumerate_world(w: World) -> Joint:
    """Every outcome (a, e_p, h, e_M, g, M, S, W, W') of a world with its probability."""
    w = complete(w)
    rows: dict[tuple[int, ...], float] = {}
    for a, pa in enumerate(w.anchor):
        e_p = w.factor[a]
        law = _model(w, e_p)
        for e_m, pm in enumerate(law):
            said = w.h[e_p] + w.g[e_m]  # M(p) = h(e_p) + g(e_M)
            for s, ps in _curated(w, e_p, said).items():
                for (v, pv), (c, pc) in product(enumerate(w.learn[s]), enumerate(w.control[a])):
                    odds = pa * pm * ps * pv * pc
                    if odds > 0:
                        row = (a, e_p, w.h[e_p], e_m, w.g[e_m], said, s, v, c)
                        rows[row] = rows.get(row, 0.0) + odds
    names = ("S_anchor", "e_p", "h", "e_M", "g", "M", "S_gen", "W", "W'")
    table = np.array(list(rows), dtype=np.int64)
    return Joint(dict(zip(names, table.T, strict=True)), np.array(list(rows.values())))


def _model(w: World, e_p: int) -> tuple[float, ...]:
    law: Any = w.model[e_p] if isinstance(w.model[0], tuple) else w.model
    return tuple(law)


def _curated(w: World, e_p: int, said: int) -> dict[int, float]:
    """P(S_gen | the prompt, M(p) = said)."""
    kept = {said: 1.0}
    if w.keep:
        kept = {said: w.keep[said]}
        odds = [(w.h[e_p] + w.g[e], p * w.keep[w.h[e_p] + w.g[e]]) for e, p in enumerate(_model(w, e_p))]
        whole = sum(p for _, p in odds)
        for value, p in odds:
            kept[value] = kept.get(value, 0.0) + (1 - w.keep[said]) * p / whole
    out: dict[int, float] = {}
    for value, p in kept.items():
        for e, pe in enumerate(w.noise):
            s = (w.edit[value] if w.edit else value) + e
            out[s] = out.get(s, 0.0) + p * pe
    return out


# ------------------------------------------------------------------------------------------------ checking a world


def complete(w: World) -> World:
    """The world with its empty parts filled in; SynthgainError where a part cannot be."""
    w = _frozen_world(w)
    _law(w.anchor, "anchor")
    if len(w.factor) != len(w.anchor) or min(w.factor) < 0 or max(w.factor) >= len(w.h):
        raise SynthgainError("factor must give a place in h for each anchor", where=f"world {w.name!r}")
    laws: Any = w.model if isinstance(w.model[0], tuple) else (w.model,)
    for law in laws:
        _law(law, "model")
        if len(law) != len(w.g):
            raise SynthgainError("model and g must be equally long", where=f"world {w.name!r}")
    if len(laws) not in (1, len(w.h)):
        raise SynthgainError("give one law for e_M, or one for each e_p", where=f"world {w.name!r}")
    _law(w.noise, "noise")
    if min(w.h) < 0 or min(w.g) < 0 or (w.edit and min(w.edit) < 0):
        raise SynthgainError("values of h, g and edit count from 0", where=f"world {w.name!r}")
    said = max(w.h) + max(w.g) + 1
    for name, part in (("keep", w.keep), ("edit", w.edit)):
        if part and len(part) != said:
            raise SynthgainError(f"{name} must have {said} entries, one a value of M(p)", where=f"world {w.name!r}")
    _filter(w)
    size = max(said, *(v + 1 for v in w.edit), 0) + len(w.noise) - 1
    learn = w.learn or tuple(tuple(float(i == s) for i in range(size)) for s in range(size))
    control = w.control or tuple(tuple(float(i == a) for i in range(len(w.anchor))) for a in range(len(w.anchor)))
    for name, rows, count in (("learn", learn, size), ("control", control, len(w.anchor))):
        if len(rows) != count or len({len(row) for row in rows}) != 1:
            raise SynthgainError(f"{name} must have {count} laws of one length", where=f"world {w.name!r}")
        for row in rows:
            _law(row, name)
    if len(w.anchor) * len(w.g) * size * len(learn[0]) * len(control[0]) > MOST_OUTCOMES:
        raise SynthgainError(f"more than {MOST_OUTCOMES} outcomes", next="make the alphabets smaller")
    return _scored(replace(w, learn=learn, control=control), size)


def _frozen_world(w: World) -> World:
    empty = [name for name in ("anchor", "factor", "h", "g", "model", "noise") if not getattr(w, name)]
    if empty:
        raise SynthgainError(f"{empty[0]} must not be empty", where=f"world {w.name!r}")
    return world({f.name: getattr(w, f.name) for f in fields(World)})


def _filter(w: World) -> None:
    if not w.keep:
        return
    if min(w.keep) < 0 or max(w.keep) > 1:
        raise SynthgainError("keep holds odds in [0, 1]", where=f"world {w.name!r}")
    for a, pa in enumerate(w.anchor):
        law = _model(w, w.factor[a])
        if pa > 0 and sum(p * w.keep[w.h[w.factor[a]] + w.g[e]] for e, p in enumerate(law)) <= 0:
            raise SynthgainError(f"the filter keeps nothing for anchor {a}", where=f"world {w.name!r}")


def _scored(w: World, size: int) -> World:
    heads = len(w.learn[0])
    loss = w.loss or tuple(tuple(float(v != s) for s in range(size)) for v in range(heads))
    if len(loss) != heads or any(len(row) != size or min(row) < 0 for row in loss):
        raise SynthgainError(f"loss must be {heads} rows of {size} values of at least 0", where=f"world {w.name!r}")
    if w.target:
        _law(w.target, "target")
        if len(w.target) != size:
            raise SynthgainError(f"target must have {size} entries, one a value of S_gen", where=f"world {w.name!r}")
    if min(w.sizes) < 1:
        raise SynthgainError("sizes must be at least 1", where=f"world {w.name!r}")
    return replace(w, loss=loss)


def _law(law: Sequence[float], name: str) -> None:
    if not law or min(law) < 0 or not math.isclose(sum(law), 1.0, abs_tol=1e-9):
        raise SynthgainError(f"{name} must be probabilities that sum to 1, not {law}")


# ------------------------------------------------------------------------------------------------ the answer


def chain(given: World | Mapping[str, Any] | str = "lossy-edit", *, seed: int = 0) -> dict[str, Any]:
    """A world's `quantities` and `inequalities`, exactly. `given` is a World, its JSON, or the name of a shipped one.

    `seed` matters to the named world "random" only. Each inequality has its name, left and right side, slack
    (right − left), whether it holds, its equation and what that shows; `conditions` says which of the
    assumptions under which the bounds do hold are met here.
    """
    from synthgain.simulate.inequalities import conditions, inequalities, quantities
    from synthgain.simulate.worlds import named

    w = complete(named(given, seed) if isinstance(given, str) else given if isinstance(given, World) else world(given))
    joint = enumerate_world(w)
    found = quantities(w, joint)
    told = {f.name: getattr(w, f.name) for f in fields(World)}
    return {
        "world": told,
        "quantities": found,
        "inequalities": [asdict(one) for one in inequalities(w, joint, found)],
        "conditions": [asdict(one) for one in conditions(joint, found)],
    }

"""Does a larger information gain help? Worlds in which ΔI and the real benefit are both known.

location   Gaussian location, closed form: ΔI rises with the generator's noise while the benefit falls
language   toy languages: one property of the generator is turned up, students are trained on anchors and on
           anchors with the synthetic documents, and the drop of held-out loss is the benefit
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from synthgain.intervals import t_quantile
from synthgain.simulate.bayes import Location
from synthgain.simulate.language import Language, Speech, generate, language, train
from synthgain.simulate.mixtures import Array, Rng
from synthgain.types import Reading, ReadingClass, SynthgainError

DOSES: dict[str, tuple[float, ...]] = {
    "noise": (0.25, 1.0, 4.0, 16.0, 64.0),
    "temperature": (0.3, 0.5, 0.7, 1.0, 1.4, 2.0, 3.0),
    "hallucination": (0.0, 0.1, 0.3, 0.6, 0.9),
    "off_task": (0.0, 0.25, 0.5, 0.75, 1.0),
    "copying": (0.0, 0.25, 0.5, 0.75, 1.0),
    "verifier": (0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    "documents": (50, 100, 200, 400, 800, 1600),
}
WORLDS = {"location": ("noise",), "language": tuple(d for d in DOSES if d != "noise")}


@dataclass(frozen=True)
class GainOptions:
    """What `simulate gain` can be asked. `values` empty means the dose's own. `documents` are synthetic ones.

    The dose "verifier" starts from a generator that is off task half of the time.
    """

    world: str = "language"
    dose: str = "temperature"
    values: tuple[float, ...] = ()
    worlds: int = 12
    anchors: int = 40
    documents: int = 400
    level: float = 0.95
    seed: int = 0


@dataclass(frozen=True)
class Setting:
    """One value of the dose and what was read there."""

    knobs: dict[str, float | str]
    readings: tuple[Reading, ...]

    def json(self) -> dict[str, Any]:
        """The setting as JSON."""
        return {"setting": self.knobs, "readings": [r.json() for r in self.readings]}


def gain(options: GainOptions | None = None, **knobs: Any) -> list[Reading]:
    """The readings of every setting in one list; each is named quantity@dose=value. `settings` keeps them apart."""
    found = settings(options, **knobs)
    return [
        replace(reading, name=f"{reading.name}@{s.knobs['dose']}={s.knobs['value']:g}")
        for s in found
        for reading in s.readings
    ]


def settings(
    options: GainOptions | None = None, *, progress: Callable[[int, int], None] | None = None, **knobs: Any
) -> list[Setting]:
    """One Setting for each value of the dose, in order. `knobs` are fields of GainOptions."""
    known = {f.name for f in fields(GainOptions)}
    odd = sorted(set(knobs) - known)
    if odd:
        raise SynthgainError(f"simulate gain has no option {odd[0]!r}", next=f"options: {', '.join(sorted(known))}")
    asked = checked(replace(options or GainOptions(), **knobs))
    values = asked.values or DOSES[asked.dose]
    if asked.world == "location":
        read: list[list[Reading]] = [_location(asked, value) for value in values]
    else:
        worlds = []
        for index in range(asked.worlds):
            worlds.append(_lessons(asked, values, index))
            if progress is not None:
                progress(index + 1, asked.worlds)
        figures = np.array(worlds)  # (worlds, values, figures)
        read = [_language(asked, figures[:, i]) + _curation(asked, value) for i, value in enumerate(values)]
    about: dict[str, float | str] = {"world": asked.world, "dose": asked.dose}
    return [Setting(about | {"value": float(v)}, tuple(r)) for v, r in zip(values, read, strict=True)]


def checked(asked: GainOptions) -> GainOptions:
    """The options, or a SynthgainError that says which one cannot be."""
    if asked.world not in WORLDS:
        raise SynthgainError(f"no world is called {asked.world!r}", next=f"take {' or '.join(WORLDS)}")
    if asked.world == "location" and asked.dose == GainOptions.dose:
        asked = replace(asked, dose="noise")
    if asked.dose not in WORLDS[asked.world]:
        raise SynthgainError(
            f"world {asked.world!r} has no dose {asked.dose!r}", next=f"take one of: {', '.join(WORLDS[asked.world])}"
        )
    if asked.worlds < 2 or asked.anchors < 2 or asked.documents < 1:
        raise SynthgainError("give at least 2 worlds, 2 anchors and 1 synthetic document")
    if asked.worlds > 10_000 or asked.anchors > 100_000 or max((asked.documents, *asked.values)) > 1_000_000:
        raise SynthgainError("this would take hours or more memory than a laptop has", next="ask for less")
    if not 0.5 <= asked.level < 1 or asked.seed < 0 or not all(math.isfinite(v) for v in asked.values):
        raise SynthgainError("level lies in [0.5, 1), the seed is at least 0, and values are finite")
    if len(set(asked.values)) < len(asked.values):
        raise SynthgainError("the values of a dose must differ", where=str(asked.values))
    for value in asked.values:  # each value must be one that its world can have
        if asked.dose == "noise":
            Location(noise=value)
        else:
            _speech(asked, value)
    return asked


# ------------------------------------------------------------------------------------------------ the location world


def _location(asked: GainOptions, noise: float) -> list[Reading]:
    task = Location(noise=noise)
    draws = max(2, asked.worlds) * 1000
    wise, naive = task.sampled(np.random.default_rng([asked.seed, 2]), draws)
    note = "randomness of the generator, not usefulness"
    return [
        _exact("delta_I", task.delta_I, "nats/sample", "closed form of H(M(p)|p)", note),
        _exact("gain", task.gain, "nats/sample", "closed form of I(X;S_gen|S_anchor)", "Bayes learner"),
        _mean("gain_sampled", wise, asked.level, "nats/sample", "Monte Carlo over worlds", "Bayes learner"),
        _exact("naive_gain", task.naive_gain, "nats/sample", "closed form", "learner that takes synthetic for real"),
        _mean("naive_gain_sampled", naive, asked.level, "nats/sample", "Monte Carlo over worlds", ""),
    ]


# ------------------------------------------------------------------------------------------------ the language worlds

FIGURES = (
    ("delta_I", "nats/token", "E[-ln M(y|p)] under the sampling law", "randomness of the generator, not usefulness"),
    (
        "transfer_kl",
        "nats/token",
        "E[-ln anchor student(y)] - delta_I",
        "KL from the anchors' student to the generator",
    ),
    ("proxy_gain", "nats/token", "bigram students, dev documents", "held-out proxy gain"),
    ("gain", "nats/token", "trigram students, test documents", "drop of held-out loss by adding S_gen to the anchors"),
)


def _lessons(asked: GainOptions, values: Sequence[float], index: int) -> list[list[float]]:
    """The figures of one world at every value; the world, its anchors and its tests are the same at all of them."""
    rng = np.random.default_rng([asked.seed, 3, index])
    world = language(rng)
    plain = world.chains(Speech())
    topics = world.topics(rng, asked.anchors)
    anchors = world.write(rng, topics, plain)
    dev, test = (world.write(rng, world.topics(rng, 400), plain) for _ in range(2))
    draws = int(rng.spawn(1)[0].integers(2**63))
    return [
        _figures(asked, world, np.random.default_rng([draws, i]), value, (anchors, topics, dev, test))
        for i, value in enumerate(values)
    ]


def _figures(asked: GainOptions, world: Language, rng: Rng, value: float, data: tuple[Any, ...]) -> list[float]:
    anchors, topics, dev, test = data
    speech, n = _speech(asked, value)
    made = generate(world, rng, speech, anchors, topics, n)
    both = np.concatenate([anchors, made.documents])
    drop = {}
    for order, held in ((2, dev), (3, test)):
        drop[order] = train(anchors, world.words, order).loss(held) - train(both, world.words, order).loss(held)
    novelty = -float(made.log_odds.mean()) / world.length
    surprise = train(anchors, world.words, 3).loss(made.documents)
    return [novelty, surprise - novelty, drop[2], drop[3]]


def _speech(asked: GainOptions, value: float) -> tuple[Speech, int]:
    if asked.dose == "documents":
        if value < 1 or value != int(value):
            raise SynthgainError(f"documents must be a whole number of at least 1, not {value}")
        return Speech(), int(value)
    base = Speech(off_task=0.5) if asked.dose == "verifier" else Speech()
    return replace(base, **{asked.dose: value}), asked.documents


def _language(asked: GainOptions, figures: Array) -> list[Reading]:
    return [
        _mean(name, figures[:, i], asked.level, unit, estimator, note)
        for i, (name, unit, estimator, note) in enumerate(FIGURES)
    ]


def _curation(asked: GainOptions, value: float) -> list[Reading]:
    """What the check itself puts in, known without estimation: KL(D_gen ‖ D_M) = −ln a for a rule that never errs."""
    if asked.dose != "verifier":
        return []
    kept = _speech(asked, value)[0].accepted
    note = "KL(kept ‖ written) where the check never errs, and more than it where it does"
    return [
        _exact("acceptance", kept, "prob", "closed form", ""),
        _exact("curation_nats", -math.log(kept), "nats/sample", "-ln a", note),
    ]


# ------------------------------------------------------------------------------------------------ readings


def _exact(name: str, value: float, unit: str, estimator: str, note: str) -> Reading:
    kind: ReadingClass = "exact"
    return Reading(name, value, value, value, unit=unit, estimator=estimator, kind=kind, note=note)


def _mean(name: str, values: Array, level: float, unit: str, estimator: str, note: str) -> Reading:
    """The mean over worlds with a t interval; below 4 worlds there is none."""
    n = len(values)
    value = float(values.mean())
    if n < 4:
        return Reading(
            name, value, None, None, level, unit, n, estimator, "estimate", f"{note}; too few worlds for an interval"
        )
    half = t_quantile(level, n - 1) * float(values.std(ddof=1)) / math.sqrt(n)
    return Reading(name, value, value - half, value + half, level, unit, n, estimator, "estimate", note)

"""Absorbed information: the area of the one-pass loss curve above the loss that is left.

Each batch is predicted before it is learnt. What its prediction costs above ℓ̄, the final loss on rows of the
same making that were never learnt, is what the student had still to take in: Σ (ℓ_t − ℓ̄) is the redundancy of
a prequential code (Dawid 1984; Blier and Ollivier, NeurIPS 2018; Finzi et al., arXiv 2601.03220), and for a Bayes
mixture with the true entropy as ℓ̄ it is the information I(Θ;X) that the data hold of the parameters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthgain.intervals import mean_t
from synthgain.measure.data import nothing
from synthgain.types import Reading

NAMES = (("absorbed", "nats/dataset"), ("absorbed_token", "nats/token"))
ORDERS = 3  # data orders that an interval needs


@dataclass(frozen=True)
class OnePass:
    """The first pass of one training: `losses` (steps,) in nats a token before each update, `tokens` (steps,) with loss.

    `mixed` is the share of those tokens that lie in steps which hold tokens of a later pass too.
    """

    losses: np.ndarray
    tokens: np.ndarray
    mixed: float = 0.0

    @staticmethod
    def of(curve: Sequence[Mapping[str, Any]]) -> OnePass:
        """From the curve of a student.json: `loss`, `learnt`, `first` of each point. KeyError: a curve of an older form."""
        points = [(float(p["loss"]), int(p["learnt"]), int(p["first"])) for p in curve if p["first"]]
        first = sum(n for _, _, n in points)
        mixed = sum(n for _, learnt, n in points if learnt > n)
        return OnePass(
            np.array([loss for loss, _, _ in points], float),
            np.array([n for _, _, n in points], float),
            mixed / max(first, 1),
        )


def area(losses: np.ndarray, tokens: np.ndarray, final: float | np.ndarray) -> np.ndarray:
    """Σ tokens · (loss − final) over the last axis, nats: the redundancy of coding the data while learning them."""
    return np.asarray((tokens * (losses - np.asarray(final)[..., None])).sum(-1))


def absorbed(
    passes: Sequence[OnePass], finals: Sequence[float], *, errors: Sequence[float] = (), level: float = 0.95
) -> list[Reading]:
    """Readings `absorbed` (nats in all rows) and `absorbed_token` (nats a token with loss), one training a data order.

    `finals` are the trained students' mean losses on held-out siblings, nats a token; `errors` their standard errors, for
    the note. The interval is Student's t over data orders, from `ORDERS` on.
    """
    why = _wrong(passes, finals)
    if why:
        return [nothing(name, why, unit=unit) for name, unit in NAMES]
    totals = [float(area(one.losses, one.tokens, final)) for one, final in zip(passes, finals)]
    sizes = [float(one.tokens.sum()) for one in passes]
    notes = [f"{len(passes)} data orders" if len(passes) > 1 else "1 data order"]
    if len(passes) < ORDERS:
        notes[0] += f"; an interval needs {ORDERS}"
    if any(one.mixed for one in passes):
        notes.append(f"{max(one.mixed for one in passes):.0%} of the tokens share a step with the second pass")
    if errors and all(map(math.isfinite, errors)):
        each = float(np.mean([e * n for e, n in zip(errors, sizes)]))
        notes.append(f"the siblings' mean loss alone is uncertain by {each:.3g} nats (one standard error)")
    readings = []
    for (name, unit), values in zip(NAMES, (totals, [t / n for t, n in zip(totals, sizes)])):
        mean, low, high = mean_t(values, level)
        if len(values) < ORDERS:
            low = high = None
        readings.append(
            Reading(
                name,
                mean,
                low,
                high,
                level,
                unit,
                len(values),
                "Σ (loss before the update − siblings' final loss), t over data orders",
                "estimate",
                "; ".join(notes),
            )
        )
    return readings


def _wrong(passes: Sequence[OnePass], finals: Sequence[float]) -> str:
    if not passes:
        return "no training curve"
    if len(passes) != len(finals):
        return f"{len(passes)} curves and {len(finals)} final losses"
    if any(not len(one.losses) or one.tokens.sum() <= 0 for one in passes):
        return "a curve holds no step of a first pass"
    if not all(np.isfinite(one.losses).all() for one in passes) or not all(map(math.isfinite, finals)):
        return "a loss is not a number"
    return ""

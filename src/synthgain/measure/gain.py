"""Gain: what synthetic data took off a student's loss on held-out real text; and the other paired differences of losses.

The KL Gap of the paper (Gan and Liu, arXiv 2410.01720) is KL(D‖π_a) − KL(D‖π_g): the entropy of D cancels and the
difference of held-out log-losses is left, which can be estimated. Documents and training seeds are both drawn at
random, so both enter the interval, as crossed factors: a variance between documents, one between seeds, less
their interaction, which both hold (Cameron, Gelbach and Miller, J. Bus. Econ. Stat. 29, 2011), with Student's t
at the degrees of freedom of Satterthwaite (Biometrics Bulletin 2, 1946).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from synthgain.intervals import t_quantile
from synthgain.measure.data import nothing
from synthgain.types import Reading

UNIT = "nats/token"
Interval = tuple[float, float | None, float | None]  # value, low, high


@dataclass(frozen=True)
class Losses:
    """Negative log-likelihoods of texts under one model: `nats` summed over each text's tokens, and how many there are."""

    nats: np.ndarray  # (n,) float
    tokens: np.ndarray  # (n,) int

    @staticmethod
    def of(logprobs: Sequence[Sequence[float]]) -> Losses:
        """From ln p of each text's tokens, as a `types.Scorer` gives them."""
        return Losses(
            np.array([-math.fsum(one) for one in logprobs], float), np.array([len(one) for one in logprobs], int)
        )

    def __len__(self) -> int:
        return len(self.nats)

    @property
    def rate(self) -> float:
        """Nats a token over all texts."""
        return float(self.nats.sum() / self.tokens.sum())

    @property
    def wrong(self) -> str:
        """Why nothing can be computed from these losses; "" where something can."""
        if len(self.nats) != len(self.tokens):
            return f"{len(self.nats)} losses and {len(self.tokens)} token counts"
        if not len(self.nats):
            return "there are no texts"
        if not np.isfinite(self.nats).all():
            return f"{int((~np.isfinite(self.nats)).sum())} of {len(self.nats)} losses are not numbers"
        return "a text has no tokens" if (self.tokens < 1).any() else ""


def joined(several: Sequence[Losses]) -> Losses:
    """All texts of several, one after another."""
    return Losses(np.concatenate([one.nats for one in several]), np.concatenate([one.tokens for one in several]))


# ---------------------------------------------------------------------------------------------- two random factors


@dataclass(frozen=True)
class Spread:
    """Variances of a mean over documents and seeds, and what each is known from."""

    documents: float
    seeds: tuple[float, ...] = ()
    free: tuple[int, ...] = ()  # degrees of freedom of each of `seeds`
    interaction: float = 0.0
    n: int = 0  # documents
    total: float = field(init=False)

    def __post_init__(self) -> None:
        both = self.documents + sum(self.seeds)
        object.__setattr__(self, "total", max(both - self.interaction, self.documents, sum(self.seeds)))

    def half(self, level: float) -> float | None:
        """Half the interval's width; None where one document leaves the spread unknown."""
        if self.n < 2:
            return None
        below = self.documents**2 / (self.n - 1) + sum(v * v / df for v, df in zip(self.seeds, self.free))
        if below == 0:
            return 0.0
        return _t(level, max(1.0, self.total**2 / below)) * math.sqrt(self.total)


def two_way(first: np.ndarray, second: np.ndarray, tokens: np.ndarray, level: float = 0.95) -> Interval:
    """(value, low, high) of the mean loss of `first` less that of `second`, nats a token.

    `first` is (seeds, documents), `second` (other seeds, the same documents), token-summed; `tokens` (documents,).
    An arm of one seed adds no variance between seeds. No interval from one document.
    """
    value = float((first.mean(0).sum() - second.mean(0).sum()) / tokens.sum())
    half = _spread(first, second, tokens).half(level)
    return (value, None, None) if half is None else (value, value - half, value + half)


def _spread(first: np.ndarray, second: np.ndarray, tokens: np.ndarray) -> Spread:
    n = len(tokens)
    if n < 2:
        return Spread(0.0, n=n)
    between = _residuals(first.mean(0) - second.mean(0), tokens)
    arms = [arm for arm in (first, second) if len(arm) > 1]
    seeds, interaction = [], 0.0
    for arm in arms:
        s = len(arm)
        seeds.append(float((arm.sum(1) / tokens.sum()).var(ddof=1)) / s)
        each = np.stack([_residuals(one, tokens) for one in arm])
        interaction += float(((each - each.mean(0)) ** 2).sum()) / ((s - 1) * (n - 1) * s * n)
    return Spread(
        float((between**2).sum()) / (n - 1) / n, tuple(seeds), tuple(len(arm) - 1 for arm in arms), interaction, n
    )


def _residuals(nats: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """What each document adds to Σ nats / Σ tokens, to first order; they add up to 0."""
    return np.asarray((nats - nats.sum() / tokens.sum() * tokens) / tokens.mean())


def _t(level: float, df: float) -> float:
    """Student's quantile between whole degrees of freedom, straight in 1 / df."""
    whole = math.floor(df)
    low, high = t_quantile(level, whole), t_quantile(level, whole + 1)
    return high + (low - high) * (1 / df - 1 / (whole + 1)) / (1 / whole - 1 / (whole + 1))


# ---------------------------------------------------------------------------------------------- readings


def gain(anchor_only: Sequence[Losses], with_synthetic: Sequence[Losses], *, level: float = 0.95) -> Reading:
    """Reading `gain`: nats a token that the synthetic rows took off the loss on held-out real documents; above 0 they help.

    One `Losses` a student (a seed), over the same documents in the same order.
    """
    if not anchor_only or not with_synthetic:
        which = "anchors alone" if not anchor_only else "synthetic rows"
        return nothing("gain", f"no losses of a student trained on {which}", unit=UNIT)
    return _between("gain", anchor_only, with_synthetic, level, ("anchors only", "with synthetic rows"))


def faithfulness(before: Losses, after: Sequence[Losses], *, level: float = 0.95) -> Reading:
    """Reading `faithfulness`: nats a token that the anchors' own held-out documents lost by training, after − before.

    Below 0 the student has come nearer to the anchors; the sign is that of `forgetting`. The base is one model, no draw.
    """
    if not after:
        return nothing("faithfulness", "no losses on the anchors' held-out documents", unit=UNIT)
    return _between("faithfulness", after, [before], level, ("after", ""))


def held_out_loss(name: str, students: Sequence[Losses], *, level: float = 0.95) -> Reading:
    """Mean loss on held-out documents, nats a token, over students of one kind."""
    if not students:
        return nothing(name, "no losses on held-out documents", unit=UNIT)
    zero = Losses(np.zeros(len(students[0])), students[0].tokens)
    return _between(name, students, [zero], level, ("the students", ""))


def _between(
    name: str, first: Sequence[Losses], second: Sequence[Losses], level: float, who: tuple[str, str]
) -> Reading:
    """`first` − `second` over the same documents. `who` names the arms that are drawn by seed; "" one that is not."""
    why = next((one.wrong for one in (*first, *second) if one.wrong), "")
    tokens = first[0].tokens
    if not why and any(not np.array_equal(one.tokens, tokens) for one in (*first, *second)):
        why = "the models do not cut the same documents into the same numbers of tokens"
    if why:
        return nothing(name, why, unit=UNIT)
    a, b = (np.stack([one.nats for one in arm]) for arm in (first, second))
    value, low, high = two_way(a, b, tokens.astype(float), level)
    drawn = [(label, len(arm)) for label, arm in zip(who, (first, second)) if label]
    single = [label for label, seeds in drawn if seeds == 1]
    notes = [f"{', '.join(f'{n} seeds ({label})' if n > 1 else f'1 seed ({label})' for label, n in drawn)}"]
    if single:
        notes.append(f"one seed ({' and '.join(single)}): the interval does not cover how trainings differ")
    elif min(n for _, n in drawn) < 3:
        notes.append("fewer than 3 seeds: how trainings differ is hardly known")
    if low is None:
        notes.append("one document gives no interval")
    over = "documents" if len(single) == len(drawn) else "documents and seeds"
    return Reading(
        name,
        value,
        low,
        high,
        level,
        UNIT,
        len(tokens),
        f"Σ nats / Σ tokens, t interval over {over}",
        "estimate",
        "; ".join(notes),
    )


def generalisation_gap(
    members: Losses,
    siblings: Losses,
    before: tuple[Losses, Losses] | None = None,
    *,
    level: float = 0.95,
) -> Reading:
    """Reading `generalisation_gap`: loss on held-out synthetic siblings − loss on members, nats a token; the two are pairs.

    With `before` (members and siblings under the base) the same gap under the base is subtracted: it is 0 in
    expectation, the two being exchangeable then, so the figure (`generalisation_gap_calibrated`) means the same
    and is steadier where rows differ much in how hard they are.
    """
    name = "generalisation_gap" + ("_calibrated" if before else "")
    every = [members, siblings, *(before or ())]
    why = next((one.wrong for one in every if one.wrong), "")
    if not why and len({len(one) for one in every}) > 1:
        why = "members and siblings are no pairs"
    if not why and before and any(not np.array_equal(a.tokens, b.tokens) for a, b in zip(every, before)):
        why = "student and base do not cut the rows into the same numbers of tokens"
    if why:
        return nothing(name, why, unit=UNIT)
    low_side, high_side = members.nats, siblings.nats
    if before:
        low_side, high_side = low_side - before[0].nats, high_side - before[1].nats
    n = len(members)
    value = float(high_side.sum() / siblings.tokens.sum() - low_side.sum() / members.tokens.sum())
    each = _residuals(high_side, siblings.tokens) - _residuals(low_side, members.tokens)
    half = t_quantile(level, n - 1) * math.sqrt(float((each**2).sum()) / (n - 1) / n) if n > 1 else None
    low, high = (None, None) if half is None else (value - half, value + half)
    note = "one pair gives no interval" if half is None else ""
    estimator = "difference of Σ nats / Σ tokens, t interval over pairs" + (", less the base's" if before else "")
    return Reading(name, value, low, high, level, UNIT, n, estimator, "estimate", note)

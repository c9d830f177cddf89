"""The meter after training: from losses that a scorer gave, what the synthetic rows did to the student."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from synthgain.measure.absorbed import NAMES, OnePass, absorbed
from synthgain.measure.data import nothing
from synthgain.measure.gain import UNIT, Losses, faithfulness, gain, generalisation_gap, held_out_loss, joined
from synthgain.measure.memorisation import ggmi, memo, memo_binned
from synthgain.types import Reading

COPIED = "every held-out row says the same as the learnt row beside it: nothing can tell them apart"


@dataclass(frozen=True)
class StudentLosses:
    """One student's losses, each list under the student and, where it says so, under the base before training.

    `record` is its student.json. `test` is held-out real text: the same documents for all students that are compared.
    `dev` is text of the anchors that nothing was made from or trained on. `members` and `siblings` are the pairs
    that training wrote (`synthgain.train.read_pairs`), in their order. None: not scored.
    """

    record: Mapping[str, Any] = field(default_factory=dict)
    test: Losses | None = None
    dev: Losses | None = None
    dev_before: Losses | None = None
    members: Losses | None = None
    siblings: Losses | None = None
    members_before: Losses | None = None
    siblings_before: Losses | None = None

    @property
    def why_no_pairs(self) -> str:
        """Why there is no (member, sibling) pair; "" where there are some."""
        if self.members is not None and self.siblings is not None:
            alike = len(self.members) == len(self.siblings)
            wrong = self.members.wrong or self.siblings.wrong or ("" if alike else "members and siblings are no pairs")
            copied = np.array_equal(self.members.nats, self.siblings.nats) and len(self.members) > 0
            return wrong or (COPIED if copied else "")
        return str((self.record.get("held_out") or {}).get("why") or "held-out siblings were not scored")


def after_training(
    students: Sequence[StudentLosses], against: Sequence[StudentLosses] = (), *, level: float = 0.95, seed: int = 0
) -> list[Reading]:
    """All readings of `students` (anchors and synthetic rows, one a seed) against those of anchors alone.

    gain, held_out_loss (`_anchors`: of the students of anchors alone), generalisation_gap (`_calibrated`), memo
    (`_anchors`), memo_binned, ggmi, absorbed, absorbed_token, faithfulness. What cannot be computed is null with its reason.
    """
    given = len(students) + len(against)
    students, against = _different(students), _different(against)
    twice = "a student that was given twice counts once" if len(students) + len(against) < given else ""
    tests = [s.test for s in students if s.test is not None]
    theirs = [s.test for s in against if s.test is not None]
    loss, loss_anchors = (
        held_out_loss(name, t, level=level) for name, t in (("held_out_loss", tests), ("held_out_loss_anchors", theirs))
    )
    mine, anchors = _memo(students, "memo", level), _memo(against, "memo_anchors", level)
    return [
        _noted(_noted(gain(theirs, tests, level=level), _unmatched([*students, *against])), twice),
        loss,
        loss_anchors,
        *_gaps(students, level),
        mine,
        anchors,
        _memo_binned(students, level, seed),
        ggmi(anchors, mine, (loss_anchors, loss), level=level),
        *_absorbed(students, level),
        _faithfulness(students, level),
    ]


def _different(students: Sequence[StudentLosses]) -> list[StudentLosses]:
    """Each student once: equal losses on everything are one training, and no second draw of how trainings differ."""
    found: list[StudentLosses] = []
    for s in students:
        if not any(_same(s, other) for other in found):
            found.append(s)
    return found


def _same(a: StudentLosses, b: StudentLosses) -> bool:
    pairs = [(getattr(a, name), getattr(b, name)) for name in ("test", "dev", "members", "siblings")]
    scored = [(x, y) for x, y in pairs if x is not None or y is not None]
    return bool(scored) and all(x is not None and y is not None and np.array_equal(x.nats, y.nats) for x, y in scored)


def _unmatched(students: Sequence[StudentLosses]) -> str:
    steps = sorted({int(s.record["steps"]) for s in students if "steps" in s.record})
    return f"not compute-matched: {' and '.join(map(str, steps))} optimiser steps" if len(steps) > 1 else ""


def _noted(reading: Reading, more: str) -> Reading:
    return replace(reading, note="; ".join(part for part in (reading.note, more) if part)) if more else reading


def _pooled(students: Sequence[StudentLosses]) -> str:
    return f"pairs of {len(students)} trainings pooled" if len(students) > 1 else ""


def _missing(students: Sequence[StudentLosses], *, base: bool) -> str:
    """Why pairs (with their losses under the base) are missing."""
    if not students:
        return "there are no students of this kind"
    why = next((s.why_no_pairs for s in students if s.why_no_pairs), "")
    if not why and base and any(s.members_before is None or s.siblings_before is None for s in students):
        return "the pairs were not scored under the base, so their losses cannot be calibrated"
    return why


def _calibrated(students: Sequence[StudentLosses]) -> tuple[np.ndarray, np.ndarray] | str:
    """ℓ_W − ℓ_0, nats a token, of members and of siblings; or why not."""
    why = _missing(students, base=True)
    if why:
        return why
    sides: list[list[np.ndarray]] = [[], []]
    for s in students:
        for side, after, before in ((0, s.members, s.members_before), (1, s.siblings, s.siblings_before)):
            if after is None or before is None:  # `_missing` has said so
                continue
            if before.wrong:
                return before.wrong
            if not np.array_equal(after.tokens, before.tokens):
                return "student and base do not cut the rows into the same numbers of tokens"
            sides[side].append((after.nats - before.nats) / after.tokens)
    return np.concatenate(sides[0]), np.concatenate(sides[1])


def _memo(students: Sequence[StudentLosses], name: str, level: float) -> Reading:
    found = _calibrated(students)
    if isinstance(found, str):
        return nothing(name, found, unit="nats/example", kind="lower bound")
    return _noted(memo(found[0].tolist(), found[1].tolist(), level=level, name=name), _pooled(students))


def _memo_binned(students: Sequence[StudentLosses], level: float, seed: int) -> Reading:
    found = _calibrated(students)
    if isinstance(found, str):
        return nothing("memo_binned", found, unit="nats/example")
    return _noted(memo_binned(found[0].tolist(), found[1].tolist(), level=level, seed=seed), _pooled(students))


def _side(students: Sequence[StudentLosses], which: str) -> Losses:
    return joined([losses for s in students if (losses := getattr(s, which)) is not None])


def _gaps(students: Sequence[StudentLosses], level: float) -> list[Reading]:
    names = ("generalisation_gap", "generalisation_gap_calibrated")
    readings = []
    for name, base in zip(names, (False, True)):
        why = _missing(students, base=base)
        if why:
            readings.append(nothing(name, why, unit=UNIT))
            continue
        members, siblings = _side(students, "members"), _side(students, "siblings")
        both = (_side(students, "members_before"), _side(students, "siblings_before")) if base else None
        readings.append(_noted(generalisation_gap(members, siblings, both, level=level), _pooled(students)))
    return readings


def _absorbed(students: Sequence[StudentLosses], level: float) -> list[Reading]:
    why = _missing(students, base=False)
    if not why and any((s.record.get("replay") or {}).get("tokens") for s in students):
        why = "replay shares the steps with the rows, so the steps' losses are not those of the rows alone"
    if not why and any("first" not in point for s in students for point in s.record.get("curve") or [{}]):
        why = "the training curve does not say which tokens were learnt first: train again"
    if why:
        return [nothing(name, why, unit=unit) for name, unit in NAMES]
    siblings = [s.siblings for s in students if s.siblings is not None]
    readings = absorbed(
        [OnePass.of(s.record["curve"]) for s in students],
        [one.rate for one in siblings],
        errors=[_error(one) for one in siblings],
        level=level,
    )
    short = min(float(s.record.get("epochs", 1)) for s in students)
    return [_noted(r, f"only {short:.0%} of a pass was read") if short < 1 else r for r in readings]


def _error(losses: Losses) -> float:
    """The standard error of nats a token, texts being the unit; infinite for one text."""
    n = len(losses)
    if n < 2:
        return math.inf
    each = (losses.nats - losses.rate * losses.tokens) / losses.tokens.mean()
    return math.sqrt(float((each**2).sum()) / (n - 1) / n)


def _faithfulness(students: Sequence[StudentLosses], level: float) -> Reading:
    found = [s.dev for s in students if s.dev is not None]
    before = next((s.dev_before for s in students if s.dev_before is not None), None)
    if not found or before is None:
        which = "the students" if not found else "the base"
        return nothing("faithfulness", f"held-out text of the anchors was not scored under {which}", unit=UNIT)
    return faithfulness(before, found, level=level)

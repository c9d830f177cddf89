"""The curation ledger: what the checks put in, known without any estimation (ESTIMATORS I3).

A check that keeps a share a of M(p) moves the law of the rows by KL(D_gen ‖ D_M) = -ln a nats a kept row and by the
total variation 1 - a. Shares of checks in sequence multiply, so their nats add. Both are identities for checks that judge a
row by itself; a check of the whole set (duplicates, selection) depends on the other rows, and its line is bookkeeping.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from synthgain.intervals import wilson
from synthgain.measure.data import Data, Step, nothing
from synthgain.types import Reading

SURPLUS = "accept"  # drops what is beyond the number asked for: no judgement of quality
NATS, TV = "curation_nats", "curation_tv"


def curation(data: Data) -> list[Reading]:
    """`curation_nats` and `curation_tv` of all checks together, then of each check as `curation_nats/CHECK`, `curation_tv/CHECK`."""
    judging = [step for step in data.ledger if step.check != SURPLUS]
    surplus = sum(step.seen - step.kept for step in data.ledger if step.check == SURPLUS)
    note = f"{surplus:,} rows beyond the number asked for ({SURPLUS}) are left out of the ledger" if surplus else ""
    if not data.ledger:
        return _none("", "no ledger: it is not known what the checks dropped")
    readings = _total(judging, data.ledger[0].seen, note)
    seen: Counter[str] = Counter()
    for step in judging:
        seen[step.check] += 1
        name = f"/{step.check}" + (f"#{seen[step.check]}" if seen[step.check] > 1 else "")
        wrong = _wrong(step)
        said = "a share of what the checks before it let through"
        readings += (
            _none(name, wrong, n=max(0, step.seen))
            if wrong
            else _figures(name, float(step.kept), float(step.seen), said)
        )
    return readings


def best_of(n: int) -> float:
    """KL in nats of the best of n draws from one, ln n - (n - 1)/n: exact for a continuous score, else an upper bound."""
    if n < 1:
        raise ValueError(f"the best of {n}")
    return math.log(n) - (n - 1) / n


def _total(steps: Sequence[Step], first: int, note: str) -> list[Reading]:
    """All steps together. The size is that at which a share has the variance that the product of the steps' shares has."""
    if not steps:
        unjudged = "; ".join(said for said in ("no check judged the rows", note) if said)
        return _figures("", float(first), float(first), unjudged) if first else _none("", "there were no candidates")
    wrong = next((why for why in map(_wrong, steps) if why), "")
    if wrong:
        return _none("", wrong, n=max(0, steps[0].seen))
    share = math.prod(step.kept / step.seen for step in steps)
    spread = math.fsum((1 - step.kept / step.seen) / step.kept for step in steps)  # the variance of ln a
    size = min(step.seen for step in steps) if share == 1 else (1 - share) / (share * spread)
    return _figures("", share * size, size, note)


def _figures(name: str, kept: float, seen: float, note: str) -> list[Reading]:
    """-ln a and 1 - a with Wilson's interval of a, carried through both."""
    low, high = wilson(kept, seen)
    n = round(seen)
    how = "Wilson on the kept share; candidates counted as independent"
    nats = Reading(
        NATS + name, math.log(seen / kept), math.log(1 / high), math.log(1 / low), unit="nats/kept sample", n=n,
        estimator=f"-ln a, {how}", kind="exact", note=note,
    )  # fmt: skip
    tv = Reading(
        TV + name, (seen - kept) / seen, 1 - high, 1 - low, unit="prob", n=n, estimator=f"1 - a, {how}", kind="exact", note=note
    )  # fmt: skip
    return [nats, tv]


def _wrong(step: Step) -> str:
    """Why the line gives no figure; "" where it does."""
    if step.kept < 0 or step.kept > step.seen:
        return f"the ledger is no ledger: {step.check} kept {step.kept:,} of {step.seen:,}"
    if not step.seen:
        return f"nothing reached {step.check}"
    return "" if step.kept else f"{step.check} kept none of {step.seen:,} rows"


def _none(name: str, why: str, n: int = 0) -> list[Reading]:
    return [
        nothing(NATS + name, why, unit="nats/kept sample", kind="exact", n=n),
        nothing(TV + name, why, unit="prob", kind="exact", n=n),
    ]

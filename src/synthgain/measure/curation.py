"""The curation ledger: what the checks put in, in closed form from the share they kept (ESTIMATORS I3).

A check that keeps a share a of M(p) moves the law of the rows by KL(D_gen ‖ D_M) = -ln a nats a kept row and by the
total variation 1 - a. Shares of checks in sequence multiply, so their nats add. Both are identities for checks that judge a
row by itself; a fold or a selection (duplicates, caps) looks at the other rows, and its line is bookkeeping.

The share itself is an estimate: candidates of one prompt are alike, so the prompt is the independent unit of its interval.
"""

from __future__ import annotations

import math
from collections import Counter

from synthgain.intervals import Interval, of_clusters, wilson
from synthgain.measure.data import Data, Step, nothing
from synthgain.types import Reading

SURPLUS = "accept"  # drops what is beyond the number asked for: no judgement of quality
UNVERIFIED = (
    "no check that verifies answers judged these rows: where their anchors hold what a right answer is, "
    "`synthgain curate RUN --with CHECK` judges them again and buys nothing (`synthgain checks` says which ones verify)"
)
NATS, TV = "curation_nats", "curation_tv"
CLUSTERED = "Wilson on the kept share at the effective size of prompts"
INDEPENDENT = "Wilson on the kept share"
UNKNOWN = (
    "candidates counted as independent, for it is not known which prompts they are of: the interval may be too narrow"
)


def curation(data: Data) -> list[Reading]:
    """`curation_nats` and `curation_tv` of all checks together, then of each check as `curation_nats/CHECK`, `curation_tv/CHECK`."""
    if not data.ledger:
        return _none("", "no ledger: it is not known what the checks dropped")
    judging = [step for step in data.ledger if step.check != SURPLUS]
    surplus = sum(step.seen - step.kept for step in data.ledger if step.check == SURPLUS)
    note = f"{surplus:,} rows beyond the number asked for ({SURPLUS}) are left out of the ledger" if surplus else ""
    wrong = next((why for why in map(_wrong, judging) if why), "")
    if wrong:
        readings = _none("", wrong, n=max(0, judging[0].seen))
    elif judging or data.ledger[0].seen:
        readings = _together(data, note if judging else "; ".join(filter(None, ("no check judged the rows", note))))
    else:
        readings = _none("", "there were no candidates")
    times: Counter[str] = Counter()
    for step in judging:
        times[step.check] += 1
        name = f"/{step.check}" + (f"#{times[step.check]}" if times[step.check] > 1 else "")
        wrong = _wrong(step)
        readings += (
            _none(name, wrong, n=max(0, step.seen))
            if wrong
            else _figures(name, step, "a share of what the checks before it let through")
        )
    return readings


def kept_share(data: Data) -> Reading:
    """Share of the candidates that every check let pass; what `accept` drops, beyond the number asked for, counts as kept."""
    if not data.ledger or not data.ledger[0].seen:
        why = "there are no rows" if data.ledger else "there is no ledger of checks"
        return nothing("kept_share", why, unit="prob")
    seen = data.ledger[0].seen
    kept = seen - sum(step.seen - step.kept for step in data.ledger if step.check != SURPLUS)
    surplus = kept - data.ledger[-1].kept
    step = data.judged or Step("", seen, kept)
    (low, high), how, unknown = _interval(step)
    beyond = f"{surplus:,} beyond the number asked for count as kept" if surplus else ""
    return Reading(
        "kept_share",
        kept / seen,
        low,
        high,
        unit="prob",
        n=step.prompts or seen,
        estimator=how,
        note="; ".join(filter(None, ("kept over all candidates", beyond, unknown))),
    )


def right_share(data: Data) -> Reading:
    """Share of the answers that a verifier looked at and found right: what the writer knows, not what a student gains.

    It is the share of the first check that verifies (`Step.verifies`), of what the checks before it let through.
    """
    verifiers = [step for step in data.ledger if step.verifies]
    step = verifiers[0] if verifiers else None
    if step is None or step.seen <= 0 or not 0 <= step.kept <= step.seen:
        return nothing("right_share", UNVERIFIED if step is None else _wrong(step), unit="prob")
    (low, high), how, unknown = _interval(step)
    others = ", ".join(other.check for other in verifiers[1:])
    behind = f"what {others} found of the rest stands in the lines of curation_nats" if others else ""
    by = f"by the check {step.check}, of what the checks before it let through"
    note = "; ".join(filter(None, (by, behind, unknown)))
    share = step.kept / step.seen
    return Reading("right_share", share, low, high, unit="prob", n=step.prompts or step.seen, estimator=how, note=note)


def best_of(n: int) -> float:
    """KL in nats of the best of n draws from one, ln n - (n - 1)/n: exact for a continuous score, else an upper bound."""
    if n < 1:
        raise ValueError(f"the best of {n}")
    return math.log(n) - (n - 1) / n


def _together(data: Data, note: str) -> list[Reading]:
    """All judging checks at once. Where rows are not known one by one, the size is that at which a share has the variance that the
    product of the lines' shares has."""
    if data.judged is not None:
        return _figures("", data.judged, note)
    steps = [step for step in data.ledger if step.check != SURPLUS]
    if not steps:
        return _figures("", Step("", data.ledger[0].seen, data.ledger[0].seen), note)
    share = math.prod(step.kept / step.seen for step in steps)
    spread = math.fsum((1 - step.kept / step.seen) / step.kept for step in steps)  # the variance of ln a
    size = min(step.seen for step in steps) if share == 1 else (1 - share) / (share * spread)
    return _readings(
        "", share, wilson(share * size, size), round(size), INDEPENDENT, f"{note}; {UNKNOWN}" if note else UNKNOWN
    )


def _figures(name: str, step: Step, note: str) -> list[Reading]:
    interval, how, unknown = _interval(step)
    note = "; ".join(filter(None, (note, unknown)))
    return _readings(name, step.kept / step.seen, interval, step.prompts or step.seen, how, note)


def _readings(name: str, share: float, interval: Interval, n: int, how: str, note: str) -> list[Reading]:
    """-ln a and 1 - a with the interval of a, carried through both."""
    low, high = interval
    nats = Reading(
        NATS + name,
        abs(math.log(share)),
        abs(math.log(high)),
        -math.log(low) if low > 0 else None,
        unit="nats/kept sample",
        n=n,
        estimator=f"-ln a, {how}",
        note=note,
    )
    tv = Reading(TV + name, 1 - share, 1 - high, 1 - low, unit="prob", n=n, estimator=f"1 - a, {how}", note=note)
    return [nats, tv]


def _interval(step: Step) -> tuple[Interval, str, str]:
    """The interval of the share that a line kept, how it was made, and what is not known."""
    if not step.prompts:
        return wilson(step.kept, step.seen), INDEPENDENT, UNKNOWN
    return of_clusters(step.kept / step.seen, step.size, step.prompts), CLUSTERED, ""


def _wrong(step: Step) -> str:
    """Why the line gives no figure; "" where it does."""
    if step.kept < 0 or step.kept > step.seen:
        return f"the ledger is no ledger: {step.check} kept {step.kept:,} of {step.seen:,}"
    if not step.seen:
        return f"nothing reached {step.check}"
    return "" if step.kept else f"{step.check} kept none of {step.seen:,} rows"


def _none(name: str, why: str, n: int = 0) -> list[Reading]:
    return [
        nothing(NATS + name, why, unit="nats/kept sample", n=n),
        nothing(TV + name, why, unit="prob", n=n),
    ]

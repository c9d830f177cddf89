"""Does a student prefer the better answer? Preference pairs by log-likelihood, as DPO sees them.

Of each pair the log-likelihood of the chosen answer is set against that of the rejected one after the same turns, each summed over its tokens with the
end of the answer: m = ln p(chosen | asked) − ln p(rejected | asked), nats. Summed, a short answer is likelier than a long one whoever reads it, so
the level says little where lengths differ; the share per token does not hang on length alone. What counts is the difference of two students on the same
pairs, where that falls out: it is DPO's implicit reward over β.

Pairs of one prompt are one cluster of the intervals.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from synthgain.evaluate.difference import difference
from synthgain.evaluate.margin import margin_difference, mean_margin
from synthgain.evaluate.questions import Solved
from synthgain.intervals import effective_size, of_clusters
from synthgain.types import Message, Reading, Scorer, SynthgainError, canonical, digest

ACCURACY, MARGIN = "preference_accuracy", "preference_margin"
PAIRS = 32  # pairs that a scorer is handed at once


@dataclass(frozen=True)
class Preference:
    """Two answers to the same turns, of which `chosen` is the better one."""

    asked: tuple[Message, ...]
    chosen: str
    rejected: str


def prefer(scorer: Scorer, pairs: Sequence[Preference], *, watch: Callable[[int, int], None] | None = None) -> Solved:
    """Readings `preference_accuracy` (the share of pairs whose chosen answer is likelier), the same per token, and `preference_margin`.

    `right` and `margins` hold each pair by its number, from "0", for comparisons. Two answers that are as likely count as not preferred.
    """
    if not pairs:
        raise SynthgainError("there are no preference pairs", next="give rows with chosen and rejected answers")
    found: list[list[float]] = []
    for start in range(0, len(pairs), PAIRS):
        some = pairs[start : start + PAIRS]
        found += scorer.logprobs([(pair.asked, said) for pair in some for said in (pair.chosen, pair.rejected)])
        if watch:
            watch(start + len(some), len(pairs))
    if any(not one or any(math.isnan(x) for x in one) for one in found):
        raise SynthgainError("an answer has no log-likelihood", where="preference pairs", code=1)
    chosen, rejected = found[::2], found[1::2]
    margins = {str(n): math.fsum(a) - math.fsum(b) for n, (a, b) in enumerate(zip(chosen, rejected))}
    per_token = [math.fsum(a) / len(a) > math.fsum(b) / len(b) for a, b in zip(chosen, rejected)]
    clusters = {str(n): f"prompt {digest(canonical(pair.asked))[:16]}" for n, pair in enumerate(pairs)}
    readings = (
        _share(ACCURACY, [m > 0 for m in margins.values()], list(clusters.values()), "sum of log-probabilities"),
        _share(f"{ACCURACY}_per_token", per_token, list(clusters.values()), "mean of log-probabilities"),
        mean_margin(MARGIN, margins, clusters, {}, "chosen less rejected answer"),
    )
    return Solved(readings, {n: [m > 0] for n, m in margins.items()}, margins=margins, clusters=clusters)


def preference_differences(a: Solved, b: Solved) -> tuple[Reading, Reading]:
    """How many more pairs `a` has right than `b`, and by how many nats its margins are larger, pair by pair."""
    share = difference(a, b, name=f"{ACCURACY} difference")
    estimator = share.estimator.replace("questions", "pairs")
    return replace(share, estimator=estimator), margin_difference(a, b, name=f"{MARGIN} difference")


def _share(name: str, right: Sequence[bool], clusters: Sequence[str], by: str) -> Reading:
    part: dict[str, float] = {}
    whole: dict[str, float] = {}
    for good, cluster in zip(right, clusters):
        part[cluster] = part.get(cluster, 0.0) + good
        whole[cluster] = whole.get(cluster, 0.0) + 1
    share = sum(right) / len(right)
    low, high = of_clusters(share, effective_size(list(part.values()), list(whole.values())), len(whole))
    estimator = f"chosen answer likelier by the {by}, Wilson interval at the effective size over {len(whole)} prompts"
    return Reading(name, share, low, high, n=len(right), estimator=estimator, note="chance is 0.5")

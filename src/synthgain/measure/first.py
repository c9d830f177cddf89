"""First figures of a finished run, before any training: size, diversity, copying, randomness.

Everything is read from kept rows, on samples of bounded size (the note says which), so memory does
not grow with the run. Units and classes follow the meter's conventions: natural logarithms, nats;
`n` counts independent units.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from synthgain.intervals import wilson
from synthgain.types import Reading

TOKENS = 20_000  # words that distinct-n is computed on: it falls with size, so the size is fixed
RESAMPLES = 1_000
GRAM = 8  # words of a copied span
NEAR = 0.8  # Jaccard similarity of word 3-grams that counts as a near-duplicate


@dataclass(frozen=True)
class Sample:
    """What the figures read: texts that a student would read, and what is known of each.

    All sequences have one entry a row. `prompts` name the independent unit (the anchors' ids).
    """

    texts: Sequence[str]  # what the model wrote
    prompts: Sequence[str]
    sources: Sequence[str]  # the row's own anchors' texts
    logprobs: Sequence[float | None]  # nats, summed over the answer's tokens
    tokens: Sequence[int]
    laws: Sequence[str]


def first_figures(sample: Sample, *, rows: int, kept: int, anchors: Sequence[str], seed: int = 0) -> list[Reading]:
    """The first figures. `rows` and `kept` count the whole run; `anchors` are some real texts to compare with."""
    sampled = f"on {len(sample.texts):,} of {kept:,} kept rows" if len(sample.texts) < kept else "on all kept rows"
    readings = [kept_share(kept, rows), tokens_out(sample, sampled), delta_i(sample, sampled)]
    for n in (1, 2):
        readings.append(distinct(sample.texts, n, seed, "rows"))
        readings.append(distinct(anchors, n, seed, "anchors"))
    readings.append(copy_rate(sample, sampled))
    readings.append(dup_rate(sample.texts, "rows", sampled))
    readings.append(dup_rate(anchors, "anchors", f"on {len(anchors):,} anchors"))
    return readings


def nothing(name: str, why: str, **more: object) -> Reading:
    """A figure that cannot be computed, with the reason."""
    return Reading(name, None, note=why, **more)  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------- intervals


def ratio_interval(
    numerator: np.ndarray, denominator: np.ndarray, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap of Σ numerator / Σ denominator over independent units."""
    random = np.random.default_rng(seed)
    n = len(numerator)
    picks = random.integers(0, n, (RESAMPLES, n)) if n * RESAMPLES <= 20_000_000 else None
    if picks is None:  # Poisson bootstrap, one pass at a time: the same law for large n, flat memory
        draws = np.array([[w @ numerator, w @ denominator] for w in (random.poisson(1.0, n) for _ in range(RESAMPLES))])
        ratios = draws[:, 0] / draws[:, 1]
    else:
        ratios = numerator[picks].sum(1) / np.maximum(denominator[picks].sum(1), 1e-300)
    low, high = np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _by_prompt(prompts: Sequence[str], *values: Sequence[float]) -> list[np.ndarray]:
    """Sums of each list of values inside each prompt."""
    index: dict[str, int] = {}
    of = np.array([index.setdefault(p, len(index)) for p in prompts])
    return [np.bincount(of, weights=np.asarray(v, float), minlength=len(index)) for v in values]


# ---------------------------------------------------------------------------------------------- figures


def kept_share(kept: int, rows: int) -> Reading:
    """Share of candidates that every check let through."""
    if not rows:
        return nothing("kept_share", "there are no rows", unit="prob")
    low, high = wilson(kept, rows)
    return Reading(
        "kept_share",
        kept / rows,
        low,
        high,
        unit="prob",
        n=rows,
        estimator="Wilson",
        kind="exact",
        note="kept over all candidates",
    )


def tokens_out(sample: Sample, sampled: str) -> Reading:
    """Mean answer tokens a row."""
    counts = np.asarray(sample.tokens, float)
    if not len(counts) or not counts.any():
        return nothing("tokens_out", "no token counts", unit="tokens/row")
    sums, ones = _by_prompt(sample.prompts, counts, np.ones(len(counts)))  # type: ignore[arg-type]
    low, high = ratio_interval(sums, ones)
    return Reading(
        "tokens_out",
        float(counts.mean()),
        low,
        high,
        unit="tokens/row",
        n=len(sums),
        estimator="mean, bootstrap over prompts",
        note=sampled,
    )


def delta_i(sample: Sample, sampled: str) -> Reading:
    """ΔI = H(M(p)|p): mean of -ln M_T(y|p) per token under the law sampled from. Randomness, not usefulness."""
    unit = "nats/token"
    if not sample.texts:
        return nothing("delta_I", "there are no kept rows", unit=unit)
    missing = [law or "no token log-probabilities" for lp, law in zip(sample.logprobs, sample.laws) if lp is None]
    if missing:
        why = max(set(missing), key=missing.count)
        return nothing("delta_I", f"{len(missing)} of {len(sample.texts)} rows: {why}", unit=unit)
    if not any(sample.tokens):
        return nothing("delta_I", "no token counts", unit=unit)
    nats, tokens = _by_prompt(sample.prompts, [-(lp or 0.0) for lp in sample.logprobs], sample.tokens)
    low, high = ratio_interval(nats, tokens)
    return Reading(
        "delta_I", float(nats.sum() / tokens.sum()), low, high, unit=unit, n=len(nats), estimator="Σ -ln M_T(y|p) / Σ tokens, bootstrap over prompts",
        note=f"kept rows only: curation has already chosen among them; {sampled}",
    )  # fmt: skip


def distinct(texts: Sequence[str], n: int, seed: int, whose: str) -> Reading:
    """Share of distinct word n-grams at a fixed budget of words (texts in a seeded random order)."""
    name = f"distinct_{n}" + ("" if whose == "rows" else "_anchors")
    order = list(texts)
    random.Random(seed).shuffle(order)
    grams: list[tuple[str, ...]] = []
    used = 0
    for text in order:
        words = text.lower().split()
        grams += zip(*(words[i:] for i in range(n)))
        used += 1
        if len(grams) >= TOKENS:
            break
    if not grams:
        return nothing(name, f"no {whose} with {n} words", unit="prob")
    grams = grams[:TOKENS]
    fixed = (
        f"{len(grams):,} {n}-grams"
        if len(grams) == TOKENS
        else f"only {len(grams):,} {n}-grams: compare at equal size only"
    )
    return Reading(
        name,
        len(set(grams)) / len(grams),
        unit="prob",
        n=used,
        estimator=f"distinct word {n}-grams",
        kind="exact",
        note=fixed,
    )


def copy_rate(sample: Sample, sampled: str) -> Reading:
    """Share of a row's word 8-grams that stand in its own anchors."""
    copied, total = [], []
    for text, source in zip(sample.texts, sample.sources):
        mine, theirs = _grams(text), set(_grams(source))
        copied.append(float(sum(g in theirs for g in mine)))
        total.append(float(len(mine)))
    if not sum(total):
        return nothing("copy_rate", f"no row has {GRAM} words", unit="prob")
    k, n = _by_prompt(sample.prompts, copied, total)
    low, high = ratio_interval(k, n)
    return Reading(
        "copy_rate",
        sum(copied) / sum(total),
        low,
        high,
        unit="prob",
        n=len(k),
        estimator=f"shared word {GRAM}-grams, bootstrap over prompts",
        kind="exact",
        note=sampled,
    )


def _grams(text: str) -> list[tuple[str, ...]]:
    words = text.lower().split()
    return list(zip(*(words[i:] for i in range(GRAM))))


def dup_rate(texts: Sequence[str], whose: str, sampled: str) -> Reading:
    """Share of texts with an earlier near-duplicate (MinHash over word 3-grams)."""
    from rensa import RMinHash, RMinHashLSH

    name = "dup_rate" + ("" if whose == "rows" else "_anchors")
    if not texts:
        return nothing(name, f"there are no {whose}", unit="prob")
    lsh = RMinHashLSH(threshold=NEAR, num_perm=128, num_bands=16)
    sketches: dict[int, RMinHash] = {}
    again = 0
    for i, text in enumerate(texts):
        words = text.lower().split()
        shingles = [" ".join(words[j : j + 3]) for j in range(max(1, len(words) - 2))]
        sketch = RMinHash(num_perm=128, seed=42)
        sketch.update(shingles)
        if any(sketches[j].jaccard(sketch) >= NEAR for j in lsh.query(sketch)):
            again += 1
        else:
            sketches[i] = sketch
            lsh.insert(i, sketch)
    low, high = wilson(again, len(texts))
    return Reading(
        name,
        again / len(texts),
        low,
        high,
        unit="prob",
        n=len(texts),
        estimator=f"MinHash, Jaccard ≥ {NEAR}; Wilson",
        note=sampled,
    )


def sample_positions(total: int, most: int) -> Mapping[int, None] | range:
    """Evenly spread positions of at most `most` rows out of `total`."""
    if total <= most:
        return range(total)
    return dict.fromkeys(int(i * total / most) for i in range(most))

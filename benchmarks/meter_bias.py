"""Bias and coverage of the meter on cases whose answer is known: one line a case.

    python benchmarks/meter_bias.py [--repeats 200] [--only NAME ...] [--json]

A case draws its data anew so many times and asks the meter's own functions. `covered` is, by case, the share of nominal 95 %
intervals that hold the truth (both), of lower limits at or below it (lower), of upper limits at or above it (upper), of intervals of an
interval-valued figure that hold it (ends), or of permutation tests of a true null that do not reject at .05 (test); no interval: -.
With 200 repeats a coverage of .95 has a standard error of .015; that of a bias is SD/√repeats.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from synthgain.measure.aim import Aim
from synthgain.measure.curation import curation
from synthgain.measure.data import Data, Step
from synthgain.measure.dependence import dependence
from synthgain.measure.gain import Losses, gain
from synthgain.measure.memorisation import fano, memo, memo_binned
from synthgain.measure.probe import Learner, context_gain, probe_gain
from synthgain.measure.prompt_information import i_prompt
from synthgain.measure.proxy import proxy_gain
from synthgain.measure.randomness import delta_i
from synthgain.measure.semantic_entropy import chao_shen, grassberger, h_meaning, miller_madow, plug_in
from synthgain.measure.student_eye import Pair, surprise
from synthgain.measure.two_sample import gap, held_out
from synthgain.measure.variety import distinct_2, dup_rate
from synthgain.measure.vendi import subsampled, vendi_score
from synthgain.simulate.language import Speech, language
from synthgain.types import Message, Reading

Rng = np.random.Generator
LAW = "softmax at T=1"


@dataclass(frozen=True)
class Line:
    """One line of the table. `covered` is None where the figure has no interval."""

    name: str
    truth: float
    repeats: int
    mean: float
    bias: float
    sd: float
    covered: float | None
    kind: str
    seconds: float = 0.0


def line(
    name: str, truth: Any, found: Sequence[Reading | tuple[float, float | None, float | None]], kind: str = "both"
) -> Line:
    """From readings (or value, low, high); `truth` may differ by repeat. A reading without a value fails the run."""
    got = np.array(
        [(r.value, r.low, r.high) if isinstance(r, Reading) else r for r in found], dtype=float
    )  # None becomes NaN
    if np.isnan(got[:, 0]).any():
        raise SystemExit(f"{name}: {int(np.isnan(got[:, 0]).sum())} repeats gave no value")
    value, low, high = got.T
    exact = np.broadcast_to(np.asarray(truth, float), value.shape)
    if kind not in ("none", "test"):
        low, high = np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)
    slack = 1e-12
    inside = {
        "both": (low <= exact + slack) & (exact <= high + slack),
        "ends": (low <= exact) & (exact <= high),
        "lower": low <= exact + slack,
        "upper": high >= exact,
        "test": low > 0.05,
        "none": low == low,
    }[kind]
    error = value - exact
    return Line(
        name,
        float(exact.mean()),
        len(value),
        float(value.mean()),
        float(error.mean()),
        float(value.std(ddof=1)) if len(value) > 1 else 0.0,
        None if kind == "none" else float(inside.mean()),
        kind,
    )


# ---------------------------------------------------------------------------------------------- writers


class Chains:
    """A writer: each prompt is a Markov chain over 16 letters; `beta` says how much the chains differ. Answers have 32 letters."""

    V, T = 16, 32

    def __init__(self, prompts: int, beta: float, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        logits = rng.normal(0, 1.5, (self.V, self.V)) + beta * rng.normal(0, 2, (prompts, self.V, self.V))
        self.log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        plain = rng.normal(0, 1.5, (self.V, self.V))
        self.nothing = plain - np.log(np.exp(plain).sum(-1, keepdims=True))

    def entropy(self, lengths: np.ndarray) -> np.ndarray:
        """H(Y|p), nats a sample, by the forward recursion of the state; prompt p writes lengths[p] letters."""
        step = np.exp(self.log)
        inside = -(step * self.log).sum(-1)
        state, total = np.full(inside.shape, 1 / self.V), np.full(len(inside), math.log(self.V))
        for t in range(1, int(lengths.max())):
            total += np.where(t < lengths, (state * inside).sum(-1), 0.0)
            state = np.einsum("pv,pvw->pw", state, step)
        return total

    def draw(self, owner: np.ndarray, rng: Rng) -> np.ndarray:
        edges = np.exp(self.log).cumsum(-1)
        said = np.empty((len(owner), self.T), int)
        said[:, 0] = rng.integers(0, self.V, len(owner))
        for t in range(1, self.T):
            below = edges[owner, said[:, t - 1]] < rng.random(len(owner))[:, None]
            said[:, t] = np.minimum(below.sum(-1), self.V - 1)
        return said

    def steps(self, law: np.ndarray, said: np.ndarray) -> np.ndarray:
        """ln of each letter's probability; `law` is one table a row of `said`, or one for all."""
        tables = law if law.ndim == 3 else np.broadcast_to(law, (len(said), *law.shape))
        at = np.arange(len(said))[:, None]
        return np.concatenate(
            [np.full((len(said), 1), -math.log(self.V)), tables[at, said[:, :-1], said[:, 1:]]], axis=1
        )


def randomness(rng: Rng, repeats: int) -> Iterator[Line]:
    """40 prompts out of 500, 8 answers each."""
    toy = Chains(500, 0.6, seed=3)
    full = np.full(500, toy.T)
    short = np.random.default_rng(5).integers(4, toy.T + 1, 500)
    per_token: dict[str, list[Reading]] = {"equal": [], "unequal": []}
    per_sample: list[Reading] = []
    for _ in range(repeats):
        prompts = rng.choice(500, 40)
        owner, unit = np.repeat(prompts, 8), np.repeat(np.arange(40), 8)
        each = toy.steps(toy.log[owner], toy.draw(owner, rng))
        for kind, lengths in (("equal", full), ("unequal", short)):
            tokens = lengths[owner]
            nats = np.where(np.arange(toy.T) < tokens[:, None], each, 0.0).sum(1)
            rows = [
                {"text": "", "anchor_ids": [f"a{u}"], "logprob": float(lp), "tokens_out": int(t), "law": LAW}
                for u, lp, t in zip(unit, nats, tokens)
            ]
            found = {r.name: r for r in delta_i(Data.of(rows))}
            per_token[kind].append(found["delta_I"])
            if kind == "equal":
                per_sample.append(found["delta_I_sample"])
    exact = toy.entropy(full)
    yield line("delta_I, Markov writer, 40 prompts x 8", exact.mean() / toy.T, per_token["equal"])
    yield line("delta_I_sample, same", exact.mean(), per_sample)
    yield line("delta_I, lengths 4 to 32 by prompt", toy.entropy(short).sum() / short.sum(), per_token["unequal"])


@dataclass(frozen=True)
class Coin:
    """A student that gives "1" this chance, letter by letter."""

    heads: float
    identity: str = "coin"

    def logprobs(self, pairs: Sequence[tuple[str | Sequence[Message], str]]) -> list[list[float]]:
        odds = {"1": math.log(self.heads), "0": math.log(1 - self.heads)}
        return [[odds[c] for c in text] for _, text in pairs]


def student(rng: Rng, repeats: int) -> Iterator[Line]:
    """Writer .3, student .6: 40 prompts, 3 answers of 20 letters each."""
    found: dict[str, list[Reading]] = {}
    for _ in range(repeats):
        said = rng.random((120, 20)) < 0.3
        nats = np.where(said, math.log(0.3), math.log(0.7)).sum(1)
        rows = [
            {
                "text": "".join("01"[int(b)] for b in y),
                "anchor_ids": [f"a{i // 3}"],
                "logprob": float(lp),
                "tokens_out": 20,
                "law": LAW,
            }
            for i, (y, lp) in enumerate(zip(said, nats))
        ]
        for r in surprise(Data.of(rows), scorer=Coin(0.6)):
            found.setdefault(r.name, []).append(r)
    yield line("transfer_kl, coins .3 and .6", 0.3 * math.log(0.5) + 0.7 * math.log(1.75), found["transfer_kl"])
    yield line("surprise, same", -0.3 * math.log(0.6) - 0.7 * math.log(0.4), found["surprise"])


def ledger(rng: Rng, repeats: int) -> Iterator[Line]:
    """The share that a check lets through, from the counts that it left."""
    for share, seen in ((0.25, 100), (0.05, 200)):
        kept = rng.binomial(seen, share, 10 * repeats)
        kept = kept[kept > 0]
        found = [{r.name: r for r in curation(Data.of([], ledger=[Step("check", seen, int(k))]))} for k in kept]
        yield line(f"curation_nats, a = {share}, {seen} seen", -math.log(share), [f["curation_nats"] for f in found])
        yield line(f"curation_tv, a = {share}, {seen} seen", 1 - share, [f["curation_tv"] for f in found])


@dataclass(frozen=True)
class Eye:
    """The writer as a scorer: prompt "7" is its chain 7."""

    toy: Chains
    identity: str = "chains"

    def logprobs(self, pairs: Sequence[tuple[str | Sequence[Message], str]]) -> list[list[float]]:
        asked = [b if isinstance(b, str) else b[0]["content"] for b, _ in pairs]
        law = np.concatenate([self.toy.log, self.toy.nothing[None]])[[int(a) if a else -1 for a in asked]]
        said = np.array([[ord(c) - 97 for c in text] for _, text in pairs])
        return self.toy.steps(law, said).tolist()


def information(toy: Chains, rng: Rng, draws: int = 25_600) -> float:
    """I(p; M(p)), every prompt alike likely: ln M(y|p) - ln of the mean over all prompts, on draws of every prompt."""
    prompts, total = len(toy.log), 0.0
    for owner in np.arange(draws).reshape(-1, prompts) % prompts:
        said = toy.draw(owner, rng)
        counts = np.zeros((prompts, toy.V**2))
        np.add.at(counts, (np.arange(prompts)[:, None], said[:, :-1] * toy.V + said[:, 1:]), 1)
        steps = counts @ toy.log.reshape(prompts, -1).T  # answer i under prompt j, without the first letter
        top = steps.max(1)
        total += float((steps.diagonal() - top - np.log(np.exp(steps - top[:, None]).mean(1))).sum())
    return total / draws


def told_of_prompt(rng: Rng, repeats: int) -> Iterator[Line]:
    """256 prompts, one answer each; 64 of them against 31 others. The truth by 25,600 answers scored with all 256."""
    for beta in (0.05, 0.1, 0.3):
        toy = Chains(256, beta)
        eye, exact = Eye(toy), information(toy, np.random.default_rng(99))
        ends: dict[str, list[Reading]] = {}
        for seed in range(repeats // 2):
            said = toy.draw(np.arange(256), rng)
            own = toy.steps(toy.log, said).sum(1)
            rows = [
                {
                    "text": "".join(chr(97 + t) for t in y),
                    "prompt": str(i),
                    "tokens_out": toy.T,
                    "logprob": float(lp),
                    "law": LAW,
                }
                for i, (y, lp) in enumerate(zip(said, own))
            ]
            for r in i_prompt(Data.of(rows, seed=seed), scorer=eye):
                ends.setdefault(r.name, []).append(r)
        yield line(f"i_prompt_low, chains apart by {beta}", exact, ends["i_prompt_low"], "lower")
        yield line("i_prompt_high, same", exact, ends["i_prompt_high"], "upper")
        yield line("i_prompt (outer limits), same", exact, ends["i_prompt"], "ends")


# ---------------------------------------------------------------------------------------------- two samples, variety


def apart(rng: Rng, repeats: int) -> Iterator[Line]:
    """Gaussians of ten dimensions, 200 a side, 1.5 apart or not at all; the null also with five alike rows a prompt."""

    def once(real: np.ndarray, made: np.ndarray, unit: np.ndarray) -> tuple[float, float, None]:
        x, side = np.vstack([made, real]), np.arange(len(made) + len(real)) < len(made)
        names = np.concatenate([unit, unit.max() + 1 + np.arange(len(real))])
        right = held_out(x, side, rng.permutation(names.max() + 1)[names] % 5)
        if right is None:
            raise SystemExit("a fold has one side only")
        found = gap(right, side, names)
        return found.value, found.low, None

    shift, each = np.full(10, 1.5 / math.sqrt(10)), np.arange(200)
    truth = 2 * NormalDist().cdf(0.75) - 1
    yield line(
        "tv_lower, one law, d=10, n=200",
        0,
        [once(*rng.normal(size=(2, 200, 10)), each) for _ in range(repeats)],
        "lower",
    )
    fives = []
    for _ in range(repeats):
        centre, rest = rng.normal(size=(40, 10)), rng.normal(size=(200, 10))
        made = math.sqrt(0.8) * centre.repeat(5, 0) + math.sqrt(0.2) * rest
        fives.append(once(rng.normal(size=(200, 10)), made, each // 5))
    yield line("tv_lower, one law, 40 prompts x 5 alike", 0, fives, "lower")
    pairs = [once(rng.normal(size=(200, 10)), rng.normal(size=(200, 10)) + shift, each) for _ in range(repeats)]
    yield line("tv_lower, d=10, n=200", truth, pairs, "lower")


def closed_nhsic(rho: float) -> float:
    """nHSIC of two standard Gaussians with this correlation, both kernels at the median distance of the law."""
    s = math.sqrt(2) * NormalDist().inv_cdf(0.75)
    a = 1 + 2 / s**2

    def hsic(r: float) -> float:
        return float((a * a - 4 * r**2 / s**4) ** -0.5 + 1 / a - 2 * (a * a - r**2 / s**4) ** -0.5)

    return hsic(rho) / hsic(1.0)


def dependent(rng: Rng, repeats: int) -> Iterator[Line]:
    """100 prompts: one row each in one dimension; and three alike rows each in eight, where nothing depends."""
    null, clustered, some = [], [], []
    for seed in range(repeats):
        x, y = rng.normal(size=(2, 100, 1))
        found = dependence(x, 0.5 * x + math.sqrt(0.75) * y, np.arange(100), seed=seed)
        some.append((found.value, found.low, found.high))  # type: ignore[union-attr]
        other = dependence(x, rng.normal(size=(100, 1)), np.arange(100), seed=seed, resamples=1)
        null.append((other.value, other.p, None))  # type: ignore[union-attr]
        rows = rng.normal(size=(60, 8)).repeat(3, 0) + 0.1 * rng.normal(size=(180, 8))
        alike = dependence(rng.normal(size=(60, 8)), rows, np.repeat(np.arange(60), 3), seed=seed, resamples=1)
        clustered.append((alike.value, alike.p, None))  # type: ignore[union-attr]
    yield line("nhsic, correlation .5, d=1, 100 prompts", closed_nhsic(0.5), some)
    yield line("nhsic_p of no dependence, same size", 0, null, "test")
    yield line("nhsic_p of none, 60 prompts x 3 alike, d=8", 0, clustered, "test")


def effective(rng: Rng, repeats: int) -> Iterator[Line]:
    """Ten orthogonal clusters. The truth at n = 200 is the mean of exp(entropy of 200 draws' counts)."""

    def clusters(n: int, each: int) -> np.ndarray:
        own = rng.integers(0, 10, n).repeat(each)
        return np.where(rng.random(n * each) < (0.7 if each > 1 else 0.0), own, rng.integers(0, 10, n * each))

    eye = np.eye(10)
    draws = rng.multinomial(200, np.full(10, 0.1), 20_000) / 200
    truth = float(np.exp(-(draws * np.log(np.where(draws > 0, draws, 1))).sum(1)).mean())
    even = vendi_score(eye[np.arange(200) % 10])
    yield line("vendi of 10 clusters of 20 each, n=200", 10, [(even, None, None)], "none")
    found = [subsampled(eye[clusters(1_000, 1)], np.arange(1_000), 200, seed=s) for s in range(repeats)]
    yield line("vendi at n=200, 10 clusters by lot, 1,000 rows", truth, found)
    crowded = []
    for _ in range(4_000):
        some = rng.permutation(1_000)[:200]
        crowded.append(vendi_score(eye[clusters(100, 10)[some]]))
    found = [subsampled(eye[clusters(100, 10)], np.arange(1_000) // 10, 200, seed=s) for s in range(repeats)]
    yield line("vendi at n=200, 100 prompts x 10, alike by .7", float(np.mean(crowded)), found)


def varied(rng: Rng, repeats: int) -> Iterator[Line]:
    """Uniform words: K (1 - (1 - 1/K)^m) / m different bigrams of m; and planted near-duplicates."""
    few, many = ([f"w{i}" for i in range(n)] for n in (60, 5_000))
    bigrams, near = [], []
    for seed in range(repeats):
        rows = [" ".join([few[i] for i in words]) for words in rng.integers(0, 60, (200, 60)).tolist()]
        bigrams += distinct_2(Data.of(rows, seed=seed), budget=2_000)[:1]
        words = rng.integers(0, 5_000, (300, 60))
        share = rng.beta(2, 8, 60).repeat(5)  # of each prompt's rows, planted: .2 in the mean
        copies = np.flatnonzero((rng.random(300) < share) & (np.arange(300) >= 5))
        words[copies] = words[rng.integers(0, 5, len(copies))]
        words[copies, 59] = rng.integers(0, 5_000, len(copies))
        told = [
            {"text": " ".join([many[i] for i in w]), "anchor_ids": [str(i // 5)]} for i, w in enumerate(words.tolist())
        ]
        near += dup_rate(Data.of(told, seed=seed))[:1]
    k, m = 3_600, 2_000
    yield line("distinct_2, 60 words alike, 2,000 bigrams", k * (1 - (1 - 1 / k) ** m) / m, bigrams)
    yield line("dup_rate, .2 planted, 60 prompts x 5", 0.2 * 295 / 300, near)


# ---------------------------------------------------------------------------------------------- gains


def said(documents: np.ndarray) -> list[str]:
    return [" ".join(f"w{i}" for i in row) for row in documents.tolist()]


def proxied(rng: Rng, repeats: int) -> Iterator[Line]:
    """A toy language. Held-out documents anew each time for fixed A and S; then A and S anew too, held out in turn."""
    world = language(rng, words=120, on_task=8, off_task=2)
    chains, cool = world.chains(Speech()), world.chains(Speech(temperature=0.8))

    def real(n: int) -> tuple[np.ndarray, list[str]]:
        topics = world.topics(rng, n)
        return topics, said(world.write(rng, topics, chains))

    def figure(rows: Any, anchors: list[str], target: list[str] | None, most: int = 1_000) -> dict[str, Reading]:
        return {r.name: r for r in proxy_gain(Data.of(rows, anchors, target=target), dev_limit=most)}

    def made(topics: np.ndarray, n: int) -> list[dict[str, Any]]:
        owner = np.arange(n) % len(topics)
        return [
            {"text": text, "anchor_ids": [str(o)]}
            for text, o in zip(said(world.write(rng, topics[owner], cool)), owner)
        ]

    topics, anchors = real(40)
    rows = made(topics, 300)
    exact = figure([r["text"] for r in rows], anchors, real(10_000)[1], 10_000)
    found = [figure([r["text"] for r in rows], anchors, real(100)[1]) for _ in range(repeats)]
    for name in ("proxy_gain", "target_fit"):
        yield line(f"{name}, target of 100 documents, A and S fixed", exact[name].value, [f[name] for f in found])
    own, nine, crossed = [], [], []
    for _ in range(repeats // 2):
        topics, anchors = real(60)
        rows, target = made(topics, 300), real(1_500)[1]
        crossed.append(figure(rows, anchors, None)["proxy_gain"])
        own.append(figure([r["text"] for r in rows], anchors, target, 1_500)["proxy_gain"].value)
        fewer = [r["text"] for r in rows if int(r["anchor_ids"][0]) < 54]
        nine.append(figure(fewer, anchors[:54], target, 1_500)["proxy_gain"].value)
    yield line("proxy_gain in 10 folds, against this A and S", own, crossed)
    yield line("proxy_gain in 10 folds, against 9/10 of A and S", nine, crossed)
    yield line("proxy_gain in 10 folds, against their mean", float(np.mean(nine)), crossed)


def remembered(rng: Rng, repeats: int) -> Iterator[Line]:
    """The mean of n points as a learner: the sign rule's accuracy is a tail of Fisher's F. And one that learns nothing."""
    from scipy.special import fdtrc

    n, d = 50, 100
    truth = fano(float(fdtrc(d, d, (1 - 1 / n) / (1 + 1 / n))))
    found, none, binned = [], [], []
    for seed in range(repeats):
        z = rng.normal(size=(2, n, d))
        members, siblings = ((z - z[0].mean(0)) ** 2).sum(-1)
        found.append(memo(members.tolist(), siblings.tolist()))
        idle = rng.normal(size=(2, 100)).tolist()
        none.append(memo(*idle))
        binned.append(memo_binned(*idle, seed=seed))
    yield line("memo, mean of 50 in d=100", truth, found)
    yield line("memo, learner that ignores 100 pairs", 0, none)
    yield line("memo_binned, same", 0, binned)


def gained(rng: Rng, repeats: int) -> Iterator[Line]:
    """40 documents of 20 to 200 tokens, 3 seeds an arm, effects of both; a gain of .1. Then 1 seed, read as it says."""
    found: dict[int, list[Reading]] = {3: [], 1: []}
    for _ in range(2 * repeats):
        tokens, hard = rng.integers(20, 200, 40), rng.normal(0, 0.3, 40)
        arms = []
        for mean, weight in ((1.6, 1.0), (1.5, 0.6)):
            rate = mean + rng.normal(0, 0.04, (3, 1)) + weight * hard + rng.normal(0, 0.05, (3, 40))
            arms.append([Losses(nats, tokens) for nats in rate * tokens + rng.normal(0, 1, (3, 40)) * np.sqrt(tokens)])
        for seeds, kept in found.items():
            kept.append(gain(arms[0][:seeds], arms[1][:seeds]))
    yield line("gain, 40 documents x 3 seeds", 0.1, found[3])
    yield line("gain, 1 seed (documents only, as its note says)", 0.1, found[1])


@dataclass(frozen=True)
class Kinds:
    """An embedder that sees the last word only: "… 7" is the seventh axis."""

    uri: str = "kinds"
    width: int = 20

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        return np.eye(20, dtype=np.float32)[[int(text.split()[-1]) for text in texts]]


def meant(rng: Rng, repeats: int) -> Iterator[Line]:
    """Zipf's law over 20 meanings, few draws; then the reading itself over 40 prompts of k answers."""
    odds = 1 / np.arange(1, 21)
    odds /= odds.sum()
    truth = float(-(odds * np.log(odds)).sum())
    for k in (10, 20):
        counts = rng.multinomial(k, odds, 5 * repeats)
        for estimate in (plug_in, miller_madow, grassberger, chao_shen):
            each = [(estimate(c), None, None) for c in counts]
            yield line(f"{estimate.__name__}, 20 Zipf meanings, k={k}", truth, each, "none")
    for k in (10, 30):
        found = []
        for seed in range(repeats):
            kinds = rng.choice(20, (40, k), p=odds)
            rows = [{"text": f"it is {m}", "prompt": f"p{p}"} for p, mine in enumerate(kinds.tolist()) for m in mine]
            found.append(h_meaning(Data.of(rows, seed=seed), embedder=Kinds()))
        yield line(f"h_meaning, 40 prompts x {k}", truth, found)


class Letters:
    """A student that counts a's and b's, five of each to begin with; it learns by counting its rows, and reads what stands before as seen."""

    identity, rows, said = "letters", 8, "8 rows counted"

    def __init__(self) -> None:
        self.seen = {"a": 5, "b": 5}

    def logprobs(self, pairs: Sequence[Pair]) -> list[list[float]]:
        found = []
        for before, text in pairs:
            n = {letter: self.seen[letter] + str(before).count(letter) for letter in "ab"}
            found.append([math.log(n[letter] / (n["a"] + n["b"])) for letter in text if letter in "ab"])
        return found

    @contextmanager
    def __call__(self, rows: Sequence[Pair], seed: int) -> Iterator[None]:
        before = self.seen
        self.seen = {letter: n + sum(text.count(letter) for _, text in rows) for letter, n in before.items()}
        yield
        self.seen = before


def asked(rng: Rng, repeats: int) -> Iterator[Line]:
    """Rows of one letter, an a in .7 of them; 40 held-out texts of 10 letters, an a in .8: the truths are sums over binomial counts."""
    made, held = 0.7, 0.8

    def truth(seen: int) -> float:
        chances = [math.comb(seen, k) * made**k * (1 - made) ** (seen - k) for k in range(seen + 1)]
        after = [
            held * math.log((5 + k) / (10 + seen)) + (1 - held) * math.log((5 + seen - k) / (10 + seen))
            for k in range(seen + 1)
        ]
        return math.fsum(c * a for c, a in zip(chances, after)) + math.log(2)

    found: dict[str, list[Reading]] = {
        "probe_gain, 2 samples of 8": [],
        "probe_gain, 4 samples": [],
        "context_gain, 6 samples of 4": [],
    }
    for seed in range(repeats):
        rows = [f"{'a' if x else 'b'} {i}" for i, x in enumerate(rng.random(400) < made)]
        target = ["".join("a" if x else "b" for x in rng.random(10) < held) + f" {i}" for i in range(40)]
        data, aim, who = Data.of(rows, ["x"], target=target, seed=seed), Aim("text", ""), Letters()
        two, four = (probe_gain(data, aim, Learner(who, who), samples=n)[0] for n in (2, 4))
        for kept, reading in zip(found.values(), (two, four, context_gain(data, aim, who)[0])):
            kept.append(reading)
    for (name, readings), seen in zip(found.items(), (8, 8, 4)):
        yield line(name, truth(seen), readings)


CASES: dict[str, Callable[[Rng, int], Iterator[Line]]] = {
    "delta_I": randomness,
    "transfer_kl": student,
    "curation": ledger,
    "i_prompt": told_of_prompt,
    "tv_lower": apart,
    "nhsic": dependent,
    "vendi": effective,
    "variety": varied,
    "proxy_gain": proxied,
    "memo": remembered,
    "gain": gained,
    "h_meaning": meant,
    "asked": asked,
}


def main() -> None:
    """The table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows: list[Line] = []
    if not given.json:
        print(f"{'case':<50}{'truth':>9}{'repeats':>8}{'mean':>9}{'bias':>9}{'SD':>8}{'covered':>9}")
    for place, (name, case) in enumerate(CASES.items()):
        if name not in given.only:
            continue
        began = time.process_time()
        for one in case(np.random.default_rng(100 + place), given.repeats):
            rows.append(one)
            if not given.json:
                covered = "-" if one.covered is None else f"{one.covered:.3f}"
                print(
                    f"{one.name:<50}{one.truth:>9.4f}{one.repeats:>8,}{one.mean:>9.4f}{one.bias:>+9.4f}{one.sd:>8.4f}{covered:>9}  {one.kind}",
                    flush=True,
                )
        if not given.json:
            print(f"  ({name}: {time.process_time() - began:.1f} s)", flush=True)
    if given.json:
        print(json.dumps({"rows": [asdict(one) for one in rows]}))


if __name__ == "__main__":
    main()

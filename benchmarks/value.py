"""Does a reading rank synthetic sets as trained models do? Somebody else's scores are the truth.

    python benchmarks/value.py SETS REAL TRUTH [--student URI] [--minutes 10] [--json OUT]

SETS is JSON Lines with `set` and `text`, REAL with `part` and `text` (each part is a sample of real rows, and is the anchors in turn), TRUTH a CSV of a
column `set` and a score (more is better) of a model that somebody trained on that set alone. Any of them may be gzipped. Of the real rows the text alone is read.

Each reading of each set against each part is held against the scores: Spearman's rank correlation, mean over parts, with a bootstrap over sets and
parts together; and the regret of choosing the set that the reading puts first (or the three), against the best (or the best three). PAD, MMD and `mdm` are those of
SynQuE (arXiv 2511.03928; its code at a7ea57f) on our word vectors: its own embeddings are not published.

With a student, `probe_gain` and `context_gain` read as many sets as fit into the minutes, in an order keyed by the sets' names.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from synthgain.measure.aim import Aim
from synthgain.measure.data import Data
from synthgain.measure.logistic import Features, fit
from synthgain.measure.probe import Learner, context_gain, probe_gain
from synthgain.measure.proxy import proxy_gain
from synthgain.measure.spread import spread
from synthgain.measure.student_eye import Pair
from synthgain.measure.two_sample import tv_lower
from synthgain.measure.variety import distinct_2, dup_rate
from synthgain.measure.vendi import vendi
from synthgain.models import weights_at
from synthgain.models.embedders import Embedder, open_embedder
from synthgain.models.scorer import HFScorer
from synthgain.simulate.trends import mid_ranks
from synthgain.train.nudge import Nudge
from synthgain.types import Reading, Scorer

RESAMPLES = 2_000
SIGNS = {  # the side on which a set is called better, before any score was seen; of all others it is more
    "tv_lower": -1,
    "dup_rate": -1,
    "PAD": -1,
    "MMD": -1,
}


# ---------------------------------------------------------------------------------------------- SynQuE's


def pad(rows: np.ndarray, real: np.ndarray) -> float:
    """2 (1 − 2 e), e the mean |p − y| of a logistic regression on a held-out fifth: how well the two are told apart."""
    x = np.concatenate([rows, real])
    y = np.concatenate([np.zeros(len(rows)), np.ones(len(real))])
    order = np.random.default_rng(42).permutation(len(y))
    held, learnt = order[: len(y) // 5], order[len(y) // 5 :]
    w, b = fit(Features(x[learnt]), y[learnt] > 0, np.ones(len(learnt)))
    p = 1 / (1 + np.exp(-(x[held] @ w + b)))
    return float(2 * (1 - 2 * np.abs(p - y[held]).mean()))


def mmd(rows: np.ndarray, real: np.ndarray) -> float:
    """The biased squared MMD with the kernel (x·y / d + 1)³."""
    d = rows.shape[1]

    def mean(a: np.ndarray, b: np.ndarray) -> float:
        return float(((a @ b.T / d + 1) ** 3).mean())

    return mean(rows, rows) + mean(real, real) - 2 * mean(rows, real)


# ---------------------------------------------------------------------------------------------- readings


@dataclass(frozen=True)
class Truth:
    """Sets, real samples and scores. `values[name]` is an array (sets, parts); NaN where a reading has no value."""

    sets: Mapping[str, list[str]]
    real: Mapping[str, list[str]]
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Set:
    """One set against one part, as texts and as vectors."""

    data: Data
    rows: np.ndarray
    real: np.ndarray


ALONE = ("vendi", "dup_rate", "distinct_2", "mdm")  # they look at no real row: once a set


def figures(of: Set, embedder: Embedder) -> dict[str, Callable[[], Sequence[Reading]]]:
    """What is computed of a set against a part, by the name under which its seconds are kept."""
    return {
        "proxy_gain": lambda: proxy_gain(of.data),
        "tv_lower": lambda: [tv_lower(of.data, embedder=embedder)],
        "PAD": lambda: [Reading("PAD", pad(of.rows, of.real))],
        "MMD": lambda: [Reading("MMD", mmd(of.rows, of.real))],
        "vendi": lambda: vendi(of.data, embedder=embedder)[:1],
        "dup_rate": lambda: dup_rate(of.data)[:1],
        "distinct_2": lambda: distinct_2(of.data)[:1],
        "mdm": lambda: [Reading("mdm", spread(of.rows))],
    }


def cheap(
    truth: Truth, embedder: Embedder, say: Callable[[str], None]
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Every reading of every set against every part (sets, parts), and the CPU seconds that each took."""
    names, parts = list(truth.sets), list(truth.real)
    values: dict[str, np.ndarray] = defaultdict(lambda: np.full((len(names), len(parts)), np.nan))
    took: dict[str, list[float]] = defaultdict(list)
    real = {part: np.asarray(embedder(texts)) for part, texts in truth.real.items()}
    for i, name in enumerate(names):
        rows = np.asarray(embedder(truth.sets[name]))
        for j, part in enumerate(parts):
            of = Set(Data.of(truth.sets[name], truth.real[part]), rows, real[part])
            for figure, read in figures(of, embedder).items():
                if figure in ALONE and j:
                    continue
                start = time.process_time()
                for found in read():
                    values[found.name][i, j:] = math.nan if found.value is None else found.value
                took[figure].append(time.process_time() - start)
        say(f"{i + 1} of {len(names)}: {name}")
    return dict(values), {name: sum(seconds) / len(seconds) for name, seconds in took.items()}


# ---------------------------------------------------------------------------------------------- asking a student

STEPS, BATCH, HELD = (
    8,
    4,
    24,
)  # of the probe, and held-out texts: fewer than `measure` takes, so that sets fit into minutes


@dataclass
class Remembered:
    """A scorer that reads a pair once, while the student is as it was: what is asked of every set alike costs nothing after the first."""

    scorer: Scorer
    known: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    changed: bool = False

    @property
    def identity(self) -> str:
        return self.scorer.identity

    def logprobs(self, pairs: Sequence[Pair]) -> list[list[float]]:
        if self.changed:
            return self.scorer.logprobs(pairs)
        new = [pair for pair in pairs if (str(pair[0]), pair[1]) not in self.known]
        for pair, found in zip(new, self.scorer.logprobs(new) if new else ()):
            self.known[str(pair[0]), pair[1]] = found
        return [self.known[str(before), text] for before, text in pairs]


@dataclass(frozen=True)
class Noted:
    """Small steps during which nothing is remembered."""

    steps: Nudge
    scorer: Remembered

    @property
    def rows(self) -> int:
        return self.steps.rows

    @property
    def said(self) -> str:
        return self.steps.said

    @contextmanager
    def __call__(self, rows: Sequence[Pair], seed: int) -> Iterator[None]:
        with self.steps(rows, seed):
            self.scorer.changed = True
            try:
                yield
            finally:
                self.scorer.changed = False


def learner_at(uri: str) -> Learner:
    """The student in memory, on the CPU."""
    scorer = HFScorer(weights_at(uri))
    remembered = Remembered(scorer)
    return Learner(remembered, Noted(Nudge(scorer.model, scorer.tokens, steps=STEPS, batch=BATCH), remembered))


def by_student(
    truth: Truth, part: str, learner: Learner, minutes: float, say: Callable[[str], None]
) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """`probe_gain` and the `context_` readings of as many sets as fit into so many CPU minutes, and their seconds a set; the order is keyed by the sets' names.

    Half of the part is held out, the other half are the anchors that rows are held against in the context. One sample of rows a set.
    """
    held, anchors = truth.real[part][::2], truth.real[part][1::2]
    found: dict[str, dict[str, float]] = {}
    began, took = time.process_time(), {"probe_gain": 0.0, "context_gain": 0.0}
    aim = Aim("text", "the real rows have no labels")
    for name in in_order(truth.sets):
        spent = time.process_time() - began
        if found and spent * (len(found) + 1) / len(found) > 60 * minutes:
            break
        data = Data.of(truth.sets[name], anchors, target=held)
        start = time.process_time()
        readings = probe_gain(data, aim, learner, documents=HELD, samples=1)
        middle = time.process_time()
        readings += context_gain(data, aim, learner.scorer, documents=HELD, samples=1)
        took["probe_gain"] += middle - start
        took["context_gain"] += time.process_time() - middle
        found[name] = {r.name: math.nan if r.value is None else r.value for r in readings}
        say(f"student: {len(found)} sets in {time.process_time() - began:.0f} CPU s: {name} {found[name]}")
    return found, {name: seconds / max(len(found), 1) for name, seconds in took.items()}


def in_order(names: Iterable[str]) -> list[str]:
    """Keyed by a digest of the names, so that neither their order nor their scores decide."""
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())


# ---------------------------------------------------------------------------------------------- against the scores


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Rank correlation, ties sharing their mean rank; NaN where one side is constant."""
    a, b = mid_ranks(x), mid_ranks(y)
    a, b = a - a.mean(), b - b.mean()
    below = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / below if below > 0 else float("nan")


def correlation(values: np.ndarray, scores: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """(mean over parts of Spearman's rho, low, high); sets and parts are redrawn together."""
    rng, (n, parts) = np.random.default_rng(seed), values.shape
    value = float(np.mean([spearman(values[:, j], scores) for j in range(parts)]))
    drawn = []
    for _ in range(RESAMPLES):
        at, these = rng.integers(0, n, n), rng.integers(0, parts, parts)
        drawn.append(np.mean([spearman(values[at, j], scores[at]) for j in these]))
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return value, float(low), float(high)


def regret(values: np.ndarray, scores: np.ndarray, top: int) -> float:
    """How much lower the mean score of the `top` sets by the reading is than that of the truly best, mean over parts."""
    best = np.sort(scores)[::-1][:top].mean()
    chosen = [scores[np.argsort(-values[:, j], kind="stable")[:top]].mean() for j in range(values.shape[1])]
    return float(best - np.mean(chosen))


def line(name: str, values: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
    """What a reading is worth. Of a reading that is better when lower the regret is of the lowest."""
    known = ~np.isnan(values).any(1)
    if known.sum() < 4:
        return {"name": name, "sets": int(known.sum()), "spearman": None}
    mine, of = values[known], scores[known]
    value, low, high = correlation(mine, of)
    signed = SIGNS.get(name, 1) * mine
    found = {"name": name, "sets": int(known.sum()), "spearman": value, "low": low, "high": high}
    return found | {"regret_1": regret(signed, of, 1), "regret_3": regret(signed, of, 3)}


def halves(names: Sequence[str]) -> np.ndarray:
    """True for the half of the sets by which a choice is made: by a digest of their names."""
    first = set(in_order(names)[: len(names) // 2])
    return np.array([name in first for name in names])


def combined(values: Mapping[str, np.ndarray], scores: np.ndarray, half: np.ndarray) -> list[dict[str, Any]]:
    """The single reading and the pair (sum of ranks) that do best on one half, with what they do on the other."""
    whole = {name: SIGNS.get(name, 1) * v for name, v in values.items() if not np.isnan(v).any()}

    def ranks(names: Sequence[str], of: np.ndarray) -> np.ndarray:
        return np.asarray(sum(np.stack([mid_ranks(column) for column in whole[n][of].T], axis=1) for n in names))

    def worth(names: Sequence[str], of: np.ndarray) -> float:
        found = ranks(names, of)
        return float(np.mean([spearman(column, scores[of]) for column in found.T]))

    told = []
    for size in (1, 2):
        best = max(combinations(sorted(whole), size), key=lambda names: worth(names, half))
        value, low, high = correlation(ranks(best, ~half), scores[~half])
        told.append({"names": best, "chosen": worth(best, half), "shown": value, "low": low, "high": high})
    return told


# ---------------------------------------------------------------------------------------------- files


def rows_of(file: Path) -> list[dict[str, Any]]:
    with gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open(encoding="utf-8") as stream:
        return [json.loads(one) for one in stream if one.strip()]


def truth_of(sets: Path, real: Path, scores: Path, parts: Sequence[str] = ()) -> Truth:
    """What the files hold; of the real rows only `parts`, where some are named."""
    made: dict[str, list[str]] = defaultdict(list)
    for row in rows_of(sets):
        made[row["set"]].append(row["text"])
    held: dict[str, list[str]] = defaultdict(list)
    for row in rows_of(real):
        if not parts or row["part"] in parts:
            held[row["part"]].append(row["text"])
    with scores.open(encoding="utf-8") as stream:
        told = list(csv.DictReader(stream))
    column = next(name for name in told[0] if name != "set")
    known = {row["set"]: float(row[column]) for row in told}
    return Truth({name: made[name] for name in sorted(made) if name in known}, dict(sorted(held.items())), known)


Values = Mapping[str, np.ndarray]
Told = tuple[Mapping[str, Mapping[str, float]], Mapping[str, float]]  # what `by_student` gives


def weighed(truth: Truth, values: Values, seconds: Mapping[str, float], student: Told | None = None) -> dict[str, Any]:
    """All readings against the scores, as JSON: the best correlation first, whatever its sign; a student's beside the others on the same sets."""
    names = list(truth.sets)
    scores = np.array([truth.scores[name] for name in names])
    best = np.sort(scores)[::-1]
    told = {
        "sets": len(names),
        "parts": list(truth.real),
        "readings": in_rank([line(name, v, scores) for name, v in values.items()]),
        "random": {"regret_1": float(best[0] - scores.mean()), "regret_3": float(best[:3].mean() - scores.mean())},
        "halves": combined(values, scores, halves(names)),
        "seconds": dict(seconds),
        "values": {name: dict(zip(names, v.tolist())) for name, v in values.items()},
        "scores": {name: truth.scores[name] for name in names},
    }
    if student is None or not student[0]:
        return told
    there = [i for i, name in enumerate(names) if name in student[0]]
    of = scores[there]
    own = [line(r, np.array([[student[0][names[i]][r]] for i in there]), of) for r in next(iter(student[0].values()))]
    same = [line(name, v[there], of) for name, v in values.items()]
    asked = {"sets": [names[i] for i in there], "readings": in_rank(own), "others": in_rank(same)}
    return told | {"student": asked | {"seconds": dict(student[1]), "values": student[0]}}


def in_rank(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(lines, key=lambda one: -abs(one["spearman"] or 0.0))


def table(readings: Sequence[Mapping[str, Any]], seconds: Mapping[str, float] = {}) -> list[str]:
    """The readings as lines of a Markdown table."""
    lines = ["| reading | sets | Spearman | regret, top set | regret, top three | CPU s |", "|---|---|---|---|---|---|"]
    for r in readings:
        if r["spearman"] is None:
            lines.append(f"| `{r['name']}` | {r['sets']} | too few sets | | | |")
            continue
        of = next((name for name in seconds if r["name"] == name or r["name"] in WITH.get(name, ())), "")
        took = f"{seconds[of]:.2f}" if of else ""
        rho = f"{r['spearman']:+.2f} [{r['low']:+.2f}, {r['high']:+.2f}]"
        lines.append(f"| `{r['name']}` | {r['sets']} | {rho} | {r['regret_1']:.3f} | {r['regret_3']:.3f} | {took} |")
    return lines


WITH = {  # readings that come with another, at its cost
    "proxy_gain": ("proxy_gain_1", "target_fit", "target_fit_1"),
    "context_gain": ("context_gain_anchors", "context_fit"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("sets", "real", "truth"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--student", default="", help="a model that can be trained, such as local/smollm2-135m")
    parser.add_argument("--minutes", type=float, default=10, help="CPU minutes that the student may take")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    truth = truth_of(given.sets, given.real, given.truth)
    values, seconds = cheap(truth, open_embedder("words"), print)
    part = next(iter(truth.real))
    asked = by_student(truth, part, learner_at(given.student), given.minutes, print) if given.student else None
    found = weighed(truth, values, seconds, asked)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1), "utf-8")
    print("\n".join(table(found["readings"], found["seconds"])))
    if "student" in found:
        print("\n".join(table(found["student"]["readings"], found["student"]["seconds"])))


if __name__ == "__main__":
    main()

"""Does any selection choose better than chance, at equal size, on one real task?

Task: which of eight kinds (open_qa, classification, …) a human instruction of Dolly is; a bag of words and a logistic regression. It is a small task in
place of a student: a minute of one core. Arms are the selections as users run them, 200 and 800 of about 2,400 rows each; `random` is drawn four times.

Hypothesis: held-out accuracy is higher than with as many random rows for at least one selection. Five folds, each row
held out once, twice over with other folds; the difference is paired by held-out row, and its interval is Student's over rows. It does not hold the variation
that another pool would bring.

What the arms are given
    longest     the longest instructions (`by=prompt`): the classifier reads nothing else
    k-centre    word vectors of the rows
    s1          domain = the kind, which is the label; trace = the words of the answer
    ifd         losses of the label under a classifier that learnt 100 random rows of the pool (Cherry's warm-up): given the instruction, and alone
    limr        right or wrong at each of 12 epochs of a training on the whole pool
    deita       complexity = mean bits a word under the pool's word counts, quality = 1: no judge was asked, so it tests the diversity gate
                on rare words and says nothing of DEITA's trained scorers

Run it without arguments; it writes selections.json and prints the table of docs/selection.md. It skips where the shared data is absent. Needs scikit-learn.
"""

from __future__ import annotations

import gzip
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression, SGDClassifier

from synthgain.curate import load
from synthgain.intervals import mean_t
from synthgain.models.embedders import open_embedder
from synthgain.types import digest
from synthgain.words import words

DATA = Path("/work/shared/data/instructions/dolly_3k.jsonl.gz")
SIZES = (200, 800)
FOLDS, TIMES, WARM, EPOCHS, RANDOM = 5, 2, 100, 12, 4
ARMS = {
    "longest": "longest={n}:by=prompt",
    "k-centre": "k-centre={n}",
    "s1": "s1={n}",
    "ifd": "ifd=0:n={n}",
    "limr": "limr=-1000000:share=0,n={n}",
    "deita": "deita={n}",
}
Floats = NDArray[np.float64]


def learnt(features: csr_matrix, kinds: NDArray[np.int64]) -> LogisticRegression:
    return LogisticRegression(C=10.0, max_iter=150, tol=1e-3).fit(features, kinds)


def curves(features: csr_matrix, kinds: NDArray[np.int64], seed: int) -> list[list[float]]:
    """Whether each row was right after each epoch of a training on all of them (rows × epochs)."""
    student = SGDClassifier(loss="log_loss", alpha=1e-4, learning_rate="constant", eta0=0.05, random_state=seed)
    rng, seen = np.random.default_rng(seed), []
    for _ in range(EPOCHS):
        order = rng.permutation(len(kinds))
        student.partial_fit(features[order], kinds[order], classes=np.unique(kinds))
        seen.append(student.predict(features) == kinds)
    return np.array(seen, np.float64).T.tolist()


def losses(features: csr_matrix, kinds: NDArray[np.int64], seed: int) -> tuple[Floats, Floats]:
    """-ln p of each row's kind under a classifier of `WARM` random rows: given the instruction, and by the share of the kind among them."""
    some = np.random.default_rng(seed).choice(len(kinds), WARM, replace=False)
    warm = learnt(features[some], kinds[some])
    place = {kind: at for at, kind in enumerate(warm.classes_.tolist())}
    said, counts = warm.predict_proba(features), Counter(kinds[some].tolist())
    given = [
        -math.log(max(said[i, place[k]], 1e-6)) if k in place else -math.log(1e-6) for i, k in enumerate(kinds.tolist())
    ]
    alone = [-math.log((counts[k] + 1) / (WARM + 8)) for k in kinds.tolist()]
    return np.array(given), np.array(alone)


def rarity(said: Sequence[Sequence[str]]) -> list[float]:
    """Mean bits a word of each text, by the counts of all of them."""
    counts = Counter(word for one in said for word in one)
    total = counts.total()
    return [sum(-math.log2(counts[w] / total) for w in one) / max(1, len(one)) for one in said]


def pool_table(
    pool: list[dict[str, Any]], features: csr_matrix, kinds: NDArray[np.int64], vectors: Floats, seed: int
) -> pa.Table:
    """The pool as a selection sees it."""
    given, alone = losses(features, kinds, seed)
    seen, bits = curves(features, kinds, seed), rarity([words(row["asked"]) for row in pool])
    fields = [
        {"domain": row["category"], "trace_tokens": len(row["output"].split()), "loss_given_question": float(given[i]), "loss_alone": float(alone[i]),
         "rewards": seen[i], "complexity": bits[i], "quality": 1}
        for i, row in enumerate(pool)
    ]  # fmt: skip
    return pa.table(
        {
            "id": [row["id"] for row in pool],
            "prompt": [row["asked"] for row in pool],
            "answer": [row["output"] for row in pool],
            "fields": [json.dumps(one) for one in fields],
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.astype(np.float32).ravel()), vectors.shape[1]),
        }
    )


def read() -> list[dict[str, Any]]:
    with gzip.open(DATA, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    for row in rows:
        row["asked"] = f"{row['instruction']}\n{row['input']}".strip()
        row["id"] = digest(row["asked"], row["output"])[:24]
    return rows


def specs_of(again: int) -> dict[str, list[str]]:
    """By arm the selections whose mean counts: one each, several draws of random."""
    found = {f"{name} {n}": [spec.format(n=n)] for n in SIZES for name, spec in ARMS.items()}
    return {f"random {n}": [f"random={n}:seed={again * 100 + i}" for i in range(RANDOM)] for n in SIZES} | found


def main() -> None:
    if not DATA.is_file():
        sys.exit(f"{DATA} is not here: nothing was measured")
    began, rows = time.process_time(), read()
    names = sorted({row["category"] for row in rows})
    kinds = np.array([names.index(row["category"]) for row in rows])
    asked = [row["asked"] for row in rows]
    long = np.array([len(text.split()) for text in asked])
    features = HashingVectorizer(n_features=2**12, alternate_sign=False, norm="l2").transform(asked)
    vectors = np.asarray(open_embedder("words")(asked), np.float64)
    right = {name: np.zeros(len(rows)) for name in (*specs_of(0), "all")}
    told: dict[str, list[tuple[float, ...]]] = {name: [] for name in right}

    def examined(name: str, mine: NDArray[np.int64], test: NDArray[np.int64], weight: float) -> None:
        told[name].append((len(mine), len(np.unique(kinds[mine])), float(long[mine].mean())))
        right[name][test] += (learnt(features[mine], kinds[mine]).predict(features[test]) == kinds[test]) * weight

    for again in range(TIMES):
        fold = np.random.default_rng(again).permutation(len(rows)) % FOLDS
        for held in range(FOLDS):
            test, train = np.flatnonzero(fold == held), np.flatnonzero(fold != held)
            pool, seed = [rows[i] for i in train], again * FOLDS + held
            table = pool_table(pool, features[train], kinds[train], vectors[train], seed)
            for name, specs in specs_of(again).items():
                for spec in specs:
                    verdicts = load(spec)(table)  # type: ignore[operator,call-arg,arg-type]
                    mine = train[np.flatnonzero([v.keeps for v in verdicts])]  # type: ignore[union-attr]
                    examined(name, mine, test, 1 / len(specs) / TIMES)
            examined("all", train, test, 1 / TIMES)
    figures = [figure(name, right, told) for name in right]
    out = {"rows": len(rows), "folds": FOLDS, "times": TIMES, "random_draws": RANDOM, "arms": figures}
    out["cpu_seconds"] = round(time.process_time() - began)
    Path(__file__).with_suffix(".json").write_text(json.dumps(out, indent=1) + "\n", "utf-8")
    print("| arm | rows | accuracy | minus random (95 %) | kinds | words |\n|---|---|---|---|---|---|")
    for f in figures:
        gap = "" if f["gain"] is None else f"{f['gain']:+.3f} ({f['gain_low']:+.3f} to {f['gain_high']:+.3f})"
        print(
            f"| {f['arm']} | {f['rows']:,.0f} | {f['accuracy']:.3f} ({f['low']:.3f} to {f['high']:.3f}) | {gap} | {f['kinds']:.1f} | {f['words']:.0f} |"
        )
    print(f"{out['cpu_seconds']} s of CPU")


def figure(name: str, right: dict[str, Floats], told: dict[str, list[tuple[float, ...]]]) -> dict[str, Any]:
    """An arm's accuracy, its difference from random of the same size, and what it was."""
    mean, low, high = mean_t(right[name].tolist())
    arm, _, n = name.partition(" ")
    same = f"random {n}"
    gap = (None,) * 3 if arm in ("random", "all") else mean_t((right[name] - right[same]).tolist())
    rows, kinds, long = np.array(told[name]).mean(axis=0).tolist()
    return {
        "arm": arm,
        "rows": rows,
        **dict(zip(("accuracy", "low", "high"), (mean, low, high))),
        **dict(zip(("gain", "gain_low", "gain_high"), gap)),
        "kinds": kinds,
        "words": long,
    }


if __name__ == "__main__":
    main()

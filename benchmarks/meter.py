"""The meter at 10³ … 10⁶ rows: time, peak memory, exponent; and its parts beside the obvious libraries.

    python benchmarks/meter.py [--rows 1000 10000 100000] [--million] [--only scale|libraries] [--repeats 3] [--json]

Scale: the whole default meter with the light embedder, without a student and without a writer (their figures read a sample of
fixed size and cost what the model costs), on rows of about 60 words, ten an anchor, read from Parquet in batches. Every size is
a process of its own; memory is the operating system's peak of its resident set. Times are CPU seconds on one thread.

Libraries: the same data, turn about in one run, medians. They are no dependencies; what is not installed is said and left out:

    pip install vendi-score datasketch mauve-text hyppo scikit-learn
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

ROWS, WORDS, EACH = (1_000, 10_000, 100_000), 20_000, 10  # rows; kinds of words; rows an anchor
COMMON = 0.95  # a writer's words: real ones are drawn from the WORDS most frequent, a writer's from the WORDS ** 0.95
NEAR = 0.05  # share of rows that are an earlier row of the same anchor but for two words
SINGLE = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "RAYON")} | {
    "TOKENIZERS_PARALLELISM": "false"
}


# ---------------------------------------------------------------------------------------------- data


def make(folder: Path, rows: int, seed: int = 0) -> None:
    """rows.parquet and anchors.parquet: words by Zipf's law, three in ten of a row's from its own anchor."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(seed)
    syllables = [c + v for c in "bcdfghjklmnprstvwxyz" for v in "aeiou"]
    spelt = np.array([syllables[i // 100 % 100] + syllables[i % 100] + syllables[i // 10_000] for i in range(WORDS)])
    rare = rng.permutation(WORDS)

    def draw(*shape: int, to: float = 1.0) -> Any:
        return rare[np.exp(rng.random(shape) * math.log(WORDS) * to).astype(int) - 1]

    def say(words: Any, lengths: Any) -> list[str]:
        return [" ".join(line[:n]) for line, n in zip(spelt[words].tolist(), lengths.tolist())]

    anchors = draw(max(1, rows // EACH), 60)
    names = [f"anchor-{i}" for i in range(len(anchors))]
    told = say(anchors, np.full(len(anchors), 60))
    pq.write_table(
        pa.table(
            {
                "id": names,
                "text": told,
                "asked": pa.nulls(len(told), pa.string()),
                "answered": pa.nulls(len(told), pa.string()),
            }
        ),
        folder / "anchors.parquet",
        row_group_size=16_384,
    )
    writer = None
    for start in range(0, rows, 20_000):
        owner = np.arange(start, min(start + 20_000, rows)) // EACH % len(anchors)
        n = len(owner)
        words, lengths = draw(n, 70, to=COMMON), rng.integers(50, 71, n)
        own = rng.random(words.shape) < 0.3
        words[own] = anchors[owner[:, None], rng.integers(0, 60, words.shape)][own]
        again = np.flatnonzero((rng.random(n) < NEAR) & (np.arange(n) % EACH > 0))
        words[again], lengths[again] = words[again // EACH * EACH], lengths[again // EACH * EACH]
        words[again, :2] = draw(len(again), 2)
        answers, tokens = say(words, lengths), (1.3 * lengths).astype(int)
        prompts = [f"Write a note about {told[o].split(' ', 6)[5]} and what follows: {told[o][:40]}" for o in owner]
        table = pa.table(
            {
                "id": [f"row-{i}" for i in range(start, start + n)],
                "text": [f"{p}\n\n{a}" for p, a in zip(prompts, answers)],
                "answer": answers,
                "prompt": prompts,
                "anchor_ids": pa.array([[names[o]] for o in owner], pa.list_(pa.string())),
                "logprob": -tokens * rng.normal(2.5, 0.2, n),
                "tokens_out": pa.array(tokens, pa.int32()),
                "law": ["softmax at T=1"] * n,
                "asked": prompts,
                "answered": answers,
            }
        )
        writer = writer or pq.ParquetWriter(folder / "rows.parquet", table.schema, compression="zstd")
        writer.write_table(table)
    if writer is not None:
        writer.close()


def opened(folder: Path) -> Any:
    """The folder as the meter's `Data`, read from disk in batches whenever a figure asks."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from synthgain.measure.data import BATCH, Data, Step

    def batches(name: str) -> Callable[[Sequence[str]], Iterator[pa.Table]]:
        def read(names: Sequence[str]) -> Iterator[pa.Table]:
            with pq.ParquetFile(folder / name) as file:
                for batch in file.iter_batches(BATCH, columns=list(names)):
                    yield pa.Table.from_batches([batch]).select(list(names))

        return read

    rows, anchors = (pq.read_metadata(folder / f"{name}.parquet").num_rows for name in ("rows", "anchors"))
    ledger = (Step("length", rows * 5 // 4, rows),)
    return Data(batches("rows.parquet"), rows, batches("anchors.parquet"), anchors, linked=True, ledger=ledger)


# ---------------------------------------------------------------------------------------------- scale


def peak() -> float:
    """MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def one(folder: Path) -> dict[str, Any]:
    """The whole meter once, in this process."""
    from synthgain.measure.meter import Instruments, meter
    from synthgain.models.embedders import open_embedder

    data, embedder = opened(folder), open_embedder("words")
    embedder(["one text"])
    empty, began, cpu = peak(), time.perf_counter(), time.process_time()
    marks: list[tuple[str, float, float]] = []
    readings = meter(
        data, Instruments(embedder=embedder), say=lambda name: marks.append((name, time.process_time(), peak()))
    )
    marks.append(("", time.process_time(), peak()))
    return {
        "rows": data.n_rows,
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - began,
        "peak_mb": peak(),
        "empty_mb": empty,
        "figures": {name: after[1] - at for (name, at, _), after in itertools.pairwise(marks)},
        "rose_mb": {name: round(after[2] - at) for (name, _, at), after in itertools.pairwise(marks)},
        "null": [r.name for r in readings if r.value is None],
        "values": {r.name: r.value for r in readings if r.value is not None},
    }


def child(*arguments: str) -> str:
    """What another process of this file prints; `make` too is one, so that this process stays small (a child's peak starts at its parent's)."""
    done = subprocess.run(
        [sys.executable, __file__, *arguments], capture_output=True, text=True, env=os.environ | SINGLE
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout.splitlines()[-1] if done.stdout.strip() else ""


def scale(sizes: Sequence[int], say: Callable[[str], None]) -> dict[str, Any]:
    runs = []
    for rows in sizes:
        with tempfile.TemporaryDirectory() as folder:
            child("--make", folder, str(rows))
            runs.append(json.loads(child("--one", folder)))
        found = runs[-1]
        say(f"{rows:,} rows: {found['cpu_s']:.1f} s, {found['peak_mb']:.0f} MB")
    return {"runs": runs, "exponent": exponent(runs), "exponent_last": exponent(runs[-2:])}


def exponent(runs: Sequence[dict[str, Any]], figure: str = "") -> float:
    """The slope of ln seconds on ln rows by least squares; NaN from one size."""
    x = [math.log(r["rows"]) for r in runs]
    y = [math.log(max(r["figures"][figure] if figure else r["cpu_s"], 1e-4)) for r in runs]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    spread = sum((a - mean_x) ** 2 for a in x)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y)) / spread if spread else math.nan


def scale_table(found: dict[str, Any]) -> str:
    runs = found["runs"]
    lines = [f"{'CPU seconds at rows':<22}" + "".join(f"{r['rows']:>11,}" for r in runs) + f"{'exponent':>10}"]
    for name in runs[0]["figures"]:
        last = exponent(runs[-2:], name) if runs[-1]["figures"][name] > 0.05 else math.nan
        lines.append(
            f"  {name:<20}"
            + "".join(f"{r['figures'][name]:>11.2f}" for r in runs)
            + f"{last:>10.2f}".replace("nan", "  -")
        )
    total = f"{'all':<22}" + "".join(f"{r['cpu_s']:>11.2f}" for r in runs)
    lines.append(total + f"{found['exponent_last']:>10.2f}   (fitted over all sizes: {found['exponent']:.2f})")
    lines.append(f"{'peak MB':<22}" + "".join(f"{r['peak_mb']:>11.0f}" for r in runs))
    lines.append(f"{'  before the meter':<22}" + "".join(f"{r['empty_mb']:>11.0f}" for r in runs))
    rose = ", ".join(f"{name} +{mb:,}" for name, mb in runs[-1]["rose_mb"].items() if mb)
    lines.append(f"the peak rose during (MB, {runs[-1]['rows']:,} rows): {rose}")
    lines.append(f"exponents of figures: the last two sizes. Null: {', '.join(runs[-1]['null']) or 'none'}")
    return "\n".join(lines)


# ---------------------------------------------------------------------------------------------- libraries


def missing(package: str) -> str:
    return f"not installed: pip install {package}"


def turns(ours: Callable[[], Any], theirs: Callable[[], Any] | None, repeats: int) -> tuple[dict[str, Any], Any, Any]:
    """Median CPU seconds of both, turn about, and what each gave last."""
    spent: tuple[list[float], list[float]] = ([], [])
    gave: list[Any] = [None, None]
    for _ in range(repeats):
        for side, work in enumerate((ours, theirs)):
            if work is not None:
                began = time.process_time()
                gave[side] = work()
                spent[side].append(time.process_time() - began)
    a, b = (sorted(s)[len(s) // 2] if s else None for s in spent)
    return {"ours_s": a, "theirs_s": b, "ratio": None if b is None or a is None else a / b}, *gave


def classifier(texts: list[str], vectors: Any, side: Any, repeats: int) -> dict[str, Any]:
    """tv_lower's five folds, features and all, against scikit-learn's logistic regression on its own TF-IDF of the same n-grams."""
    import numpy as np

    from synthgain.measure.two_sample import hashed_words, held_out

    fold = np.arange(len(texts)) % (len(texts) // 2) % 5  # a row and its own anchor are on one side of the line
    row: dict[str, Any] = {"what": "classifier, 5 folds", "library": "scikit-learn", "n": len(texts)}
    try:
        import scipy.sparse as sp
        from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        row["library"] = missing("scikit-learn")
        theirs = None
    else:

        def theirs() -> Any:
            counts = CountVectorizer(ngram_range=(1, 2), token_pattern=r"\w+").fit_transform(texts)
            right = np.zeros(len(texts), bool)
            for held in range(5):
                seen, unseen = np.flatnonzero(fold != held), np.flatnonzero(fold == held)
                often = np.flatnonzero(np.bincount(counts[seen].indices, minlength=counts.shape[1]) >= 2)
                weigh = TfidfTransformer(sublinear_tf=True).fit(counts[seen][:, often])
                x, y = (sp.hstack([vectors[i], weigh.transform(counts[i][:, often])]).tocsr() for i in (seen, unseen))
                model = LogisticRegression(class_weight="balanced", max_iter=200).fit(x, side[seen])
                right[unseen] = model.predict(y) == side[unseen]
            return right

    def ours() -> Any:
        return held_out(vectors, side, fold, words=hashed_words(texts))

    times, a, b = turns(ours, theirs, repeats)
    said = f"right: {a.mean():.4f}" + (
        "" if b is None else f" and {b.mean():.4f}; rows judged alike: {(a == b).mean():.4f}"
    )
    return row | times | {"said": said}


def vendi(vectors: Any, repeats: int) -> list[dict[str, Any]]:
    """One score from vectors."""
    from synthgain.measure.vendi import vendi_score

    try:
        from vendi_score import vendi as library
    except ImportError:
        library = None
    rows = []
    for n in (200, 2_000):
        x = vectors[:n]
        best = None
        if library is not None:  # its dual form is the faster one from n = d on
            best = library.score_X if n <= x.shape[1] else library.score_dual
        times, a, b = turns(lambda x=x: vendi_score(x), best and (lambda x=x, best=best: best(x)), 3 * repeats)
        said = f"score {a:.4f}" + ("" if b is None else f" and {b:.4f}")
        name = "vendi-score" if library else missing("vendi-score")
        rows.append({"what": f"Vendi, d={x.shape[1]}", "library": name, "n": n, "said": said} | times)
    return rows


def plain_hsic(x: Any, y: Any, permutations: int) -> tuple[float, float]:
    """(normalised unbiased HSIC, p) with full matrices of double precision, written as the formula stands."""
    import numpy as np

    def kernel(z: Any) -> Any:
        squares = ((z**2).sum(1)[:, None] + (z**2).sum(1) - 2 * z @ z.T).clip(0)
        found = np.exp(-squares / 2 / np.median(squares[np.triu_indices(len(z), 1)]))
        np.fill_diagonal(found, 0)
        return found

    def unbiased(a: Any, b: Any) -> float:
        n = len(a)
        rest = a.sum() * b.sum() / (n - 1) / (n - 2) - 2 * a.sum(0) @ b.sum(0) / (n - 2)
        return float(((a * b).sum() + rest) / n / (n - 3))

    k, l, random = kernel(x), kernel(y), np.random.default_rng(0)  # noqa: E741
    observed, more = unbiased(k, l), 1
    for _ in range(permutations):
        order = random.permutation(len(k))
        more += unbiased(k[np.ix_(order, order)], l) >= observed
    return observed / math.sqrt(unbiased(k, k) * unbiased(l, l)), more / (1 + permutations)


def hsic(anchors: Any, answers: Any, repeats: int) -> list[dict[str, Any]]:
    """The permutation test with 199 permutations, one row an anchor."""
    import numpy as np

    from synthgain.measure.dependence import dependence

    try:
        from hyppo.independence import Hsic
    except ImportError:
        Hsic = None
    sides: list[tuple[str, Callable[[Any, Any], Any] | None]] = [
        ("numpy, full matrices", lambda x, y: plain_hsic(x, y, 199))
    ]
    if Hsic is None:
        sides.append((missing("hyppo"), None))
    else:

        def tested(x: Any, y: Any) -> Any:
            return Hsic().test(x, y, reps=199, workers=1, auto=False)[:2]

        tested(anchors[:30], answers[:30])  # compiles
        sides.append(("hyppo", tested))
    rows = []
    for name, other in sides:
        for n in (500, 2_000) if other else ():
            x, y = anchors[:n], answers[:n]
            times, a, b = turns(
                lambda x=x, y=y: dependence(x, y, np.arange(len(x)), resamples=1),
                lambda x=x, y=y, other=other: other(x, y),
                repeats if n < 2_000 else 1,
            )
            said = f"nHSIC {a.value:.5f} and {b[0]:.5f}; p {a.p:.3f} and {b[1]:.3f}"
            rows.append({"what": "HSIC, 199 permutations", "library": name, "n": n, "said": said} | times)
        if other is None:
            rows.append({"what": "HSIC, 199 permutations", "library": name, "n": 0, "said": "left out"})
    x, y = (
        np.concatenate([side[:2_000]] * 5) + np.random.default_rng(0).normal(0, 0.01, (10_000, side.shape[1]))
        for side in (anchors, answers)
    )
    times, a, _ = turns(lambda: dependence(x, y, np.arange(len(x)), resamples=1), None, 1)
    said = f"nHSIC {a.value:.5f}; a full matrix takes 0.8 GB"
    return [*rows, {"what": "HSIC in blocks of 50", "library": "none", "n": 10_000, "said": said} | times]


def duplicates(texts: list[str], repeats: int) -> list[dict[str, Any]]:
    """Near-duplicates among word 3-grams, 128 hashes, Jaccard index 0.7."""
    import numpy as np

    from synthgain.measure.variety import near_duplicates

    try:
        from datasketch import MinHash, MinHashLSH
    except ImportError:
        MinHash = MinHashLSH = None

    def theirs(some: list[str]) -> int:
        index, sketches, again = MinHashLSH(threshold=0.7, num_perm=128), {}, 0
        for i, text in enumerate(some):
            words = text.lower().split()
            sketch = MinHash(num_perm=128)
            sketch.update_batch([" ".join(words[j : j + 3]).encode() for j in range(max(1, len(words) - 2))])
            if any(sketches[j].jaccard(sketch) >= 0.7 for j in index.query(sketch)):
                again += 1
            else:
                sketches[i] = sketch
                index.insert(i, sketch)
        return again

    rows = []
    for n in (2_000, 10_000):
        some = texts[:n]

        def ours(some: list[str] = some) -> int:
            first, said = near_duplicates(some)
            return int(((first != np.arange(len(some))) & said).sum())

        times, a, b = turns(
            ours, None if MinHash is None else (lambda some=some: theirs(some)), repeats if n == 2_000 else 1
        )
        said = f"{a:,}" + ("" if b is None else f" and {b:,}") + " near-duplicates"
        name = "datasketch" if MinHash else missing("datasketch")
        rows.append({"what": "near-duplicates", "library": name, "n": n, "said": said} | times)
    return rows


def mauve(texts: list[str], vectors: Any, side: Any) -> list[dict[str, Any]]:
    """A description of two samples beside tv_lower: synthetic against real, and real against real, where the one is 1 and the other 0."""
    import numpy as np

    from synthgain.measure.two_sample import gap, hashed_words, held_out

    try:
        from mauve import compute_mauve
    except ImportError:
        compute_mauve = None
    rows = []
    rng = np.random.default_rng(0)
    for what, chosen, two in (
        ("rows against anchors", np.concatenate([np.flatnonzero(~side)[:250], np.flatnonzero(side)[:250]]), True),
        ("rows against anchors", np.arange(len(texts)), True),
        ("anchors against anchors", np.flatnonzero(~side)[:500], False),
        ("anchors against anchors", np.flatnonzero(~side), False),
    ):
        mine = side[chosen] if two else rng.permutation(len(chosen)) < len(chosen) // 2
        x, some = vectors[chosen], [texts[i] for i in chosen]
        fold = np.arange(len(chosen)) % (len(chosen) // 2) % 5

        def ours(x: Any = x, mine: Any = mine, fold: Any = fold, some: list[str] = some) -> Any:
            return gap(held_out(x, mine, fold, words=hashed_words(some)), mine, np.arange(len(mine)))

        def theirs(x: Any = x, mine: Any = mine) -> Any:
            parts = (np.ascontiguousarray(x[m], np.float32) for m in (~mine, mine))
            p, q = parts
            return compute_mauve(p_features=p, q_features=q, verbose=False).mauve

        times, a, b = turns(ours, None if compute_mauve is None else theirs, 1)
        said = f"tv_lower {a.value:.3f}, at least {a.low:.3f}" + ("" if b is None else f"; MAUVE {b:.3f}")
        name = "mauve-text" if compute_mauve else missing("mauve-text")
        rows.append({"what": f"two samples: {what}", "library": name, "n": len(chosen), "said": said} | times)
    return rows


def libraries(folder: Path, repeats: int) -> list[dict[str, Any]]:
    """All rows of the table, in this process; vectors are made before the clock starts."""
    import numpy as np

    from synthgain.models.embedders import open_embedder

    data, embedder = opened(folder), open_embedder("words")
    table = [t for t in data.rows(("answer", "text"))]
    answers = [a for t in table for a in t.column("answer").to_pylist()]
    anchors = [a for t in data.anchors(("text",)) for a in t.column("text").to_pylist()]
    made = answers[::EACH][: len(anchors)]
    both = [*made, *anchors]
    vectors = embedder(both).astype(np.float64)
    side = np.arange(len(both)) < len(made)
    return [
        classifier(both, vectors, side, repeats),
        *vendi(vectors[side], repeats),
        *hsic(vectors[~side], vectors[side], repeats),
        *duplicates(answers, repeats),
        *mauve(both, vectors, side),
    ]


def library_table(rows: Sequence[dict[str, Any]]) -> str:
    lines = [f"{'':<42}{'n':>7}{'ours s':>9}{'theirs s':>10}{'ratio':>7}  library; results (ours and theirs)"]
    for r in rows:
        cells = [
            f"{r[key]:.{places}f}" if r.get(key) is not None else "-"
            for key, places in (("ours_s", 3), ("theirs_s", 3), ("ratio", 2))
        ]
        lines.append(
            f"{r['what']:<42}{r['n']:>7,}{cells[0]:>9}{cells[1]:>10}{cells[2]:>7}  {r['library']}; {r['said']}"
        )
    return "\n".join(lines)


def main() -> None:
    """The tables, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=list(ROWS))
    parser.add_argument("--million", action="store_true", help="1,000,000 rows too")
    parser.add_argument("--only", choices=("scale", "libraries"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    for inner, takes in (("--make", 2), ("--one", 1), ("--libraries", 1)):
        parser.add_argument(inner, nargs=takes, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.make:
        make(Path(given.make[0]), int(given.make[1]))
    elif given.one:
        print(json.dumps(one(Path(given.one[0]))))
    elif given.libraries:
        print(json.dumps(libraries(Path(given.libraries[0]), given.repeats)))
    else:
        whole(given)


def whole(given: argparse.Namespace) -> None:
    """Both parts, each in processes of its own."""
    found: dict[str, Any] = {}
    if given.only != "libraries":
        sizes = [*given.rows, 1_000_000] if given.million else given.rows
        found["scale"] = scale(sizes, lambda line: print(line, file=sys.stderr, flush=True))
    if given.only != "scale":
        with tempfile.TemporaryDirectory() as folder:
            child("--make", folder, "20000")
            found["libraries"] = json.loads(child("--libraries", folder, "--repeats", str(given.repeats)))
    if given.json:
        print(json.dumps(found))
        return
    if "scale" in found:
        print(scale_table(found["scale"]))
    if "libraries" in found:
        print(library_table(found["libraries"]))


if __name__ == "__main__":
    main()

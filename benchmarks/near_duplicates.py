"""The fold near-duplicate beside rensa by hand: rows a second as a ratio in one run, and what each finds of labelled copies, by kind.

    python benchmarks/near_duplicates.py [--rows 5714] [--json]

rensa (R-MinHash with banding, the fastest library of our survey) is used as its page says: word pairs of each text by `split`, 128 numbers, its own index, and each
candidate decided by its estimate, 0.7 or more. The fold reads words in every script, parts sums and code, and remembers what it kept. Both see the same rows in
the same order, one process, one thread; seconds are the processor's. Labels: `dedup/planted_near_duplicates` (rows of a cluster are copies of one base; a row of kind negative_… is none) and
`dedup/wikipedia_shuffled` (SYNTHGAIN_DATA, or ../shared/data). A copy counts as found where it falls. Intervals: 95 %, Wilson.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
from rensa import RMinHash, RMinHashLSH

from synthgain.curate import load
from synthgain.intervals import wilson

DATA = Path(os.environ.get("SYNTHGAIN_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))
THRESHOLD, NUMBERS, BANDS, SHARD = 0.7, 128, 16, 1_024
Dropped = list[bool]


def rows_of(most: int) -> list[dict[str, Any]]:
    found = []
    for name in ("planted_near_duplicates", "wikipedia_shuffled"):
        with gzip.open(DATA / f"dedup/{name}.jsonl.gz", "rt", encoding="utf-8") as file:
            part = [json.loads(line) for line in file]
        first = {"base": 0, "original": 0}  # bases before their copies
        part.sort(key=lambda row: first.get(row["kind"], 1))
        found += [row | {"cluster": f"{name} {row['cluster']}"} for row in part]
    return found[:most]


def ours(texts: list[str]) -> Dropped:
    judge = load("near-duplicate").begin()  # type: ignore[union-attr]
    return [
        not v.keeps
        for start in range(0, len(texts), SHARD)
        for v in judge(pa.table({"text": texts[start : start + SHARD]}))
    ]


def by_hand(texts: list[str]) -> Dropped:
    index, kept, dropped = RMinHashLSH(THRESHOLD, NUMBERS, BANDS), dict[int, Any](), []
    for i, text in enumerate(texts):
        said = text.lower().split()
        one = RMinHash(NUMBERS, 42)
        one.update([f"{a} {b}" for a, b in pairwise(said)] or said)
        dropped.append(any(one.jaccard(kept[other]) >= THRESHOLD for other in index.query(one)))
        if not dropped[-1]:
            index.insert(i, one)
            kept[i] = one
    return dropped


def timed(work: Callable[[list[str]], Dropped], texts: list[str]) -> tuple[Dropped, float]:
    work(texts[:64])  # what is imported at the first row is no part of it
    began = time.process_time()
    found = work(texts)
    return found, time.process_time() - began


def by_kind(rows: list[dict[str, Any]], dropped: Dropped) -> dict[str, list[int]]:
    """Kind (and rate): rows that fall, rows. Of copies it should be all, of bases and negatives none."""
    told: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row, falls in zip(rows, dropped):
        rate = f" {row['rate']}" if row.get("rate") else ""
        cell = told[f"{row['kind']}{rate}"]
        cell[0] += falls
        cell[1] += 1
    return dict(told)


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--rows", type=int, default=1 << 30)
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args()
    rows = rows_of(chosen.rows)
    texts = [row["text"] for row in rows]
    found = {name: timed(work, texts) for name, work in (("near-duplicate", ours), ("rensa by hand", by_hand))}
    record: dict[str, Any] = {
        name: {"rows a second": len(rows) / seconds, "kinds": by_kind(rows, dropped)}
        for name, (dropped, seconds) in found.items()
    }
    record["ratio"] = record["near-duplicate"]["rows a second"] / record["rensa by hand"]["rows a second"]
    if chosen.json:
        print(json.dumps(record))
        return
    for name in found:
        print(
            f"{name}: {record[name]['rows a second']:,.0f} rows a second (CPU), rows of {sum(map(len, texts)) / len(texts):,.0f} characters"
        )
    print(f"ratio {record['ratio']:.2f}\n\n| kind | near-duplicate | rensa by hand |\n|---|---|---|")
    for kind in record["near-duplicate"]["kinds"]:
        cells = []
        for name in found:
            k, n = record[name]["kinds"][kind]
            low, high = wilson(k, n)
            cells.append(f"{k} of {n}: {k / n:.2f} [{low:.2f}, {high:.2f}]")
        print(f"| {kind.replace('_', ' ')} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()

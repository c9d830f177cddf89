"""CPU seconds and memory of the folds at 10,000, 100,000 and 1,000,000 tiny rows, fed in shards of 1,024.

    python benchmarks/folds.py [--rows 10000 100000 1000000] [--json]

Each figure is a process of its own. Seconds are the CPU's inside the judge, without making the rows. Memory is the operating system's
peak of the resident set above what the process held before the first shard. The exponent e says that time grows as rows to the e
between two sizes: 1 is linear. "template" is near-duplicate on rows that all share most of their words, where every row is a candidate for
every other.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys

JUDGE = """
import json, random, resource, sys, time
import pyarrow as pa
from synthgain.curate import load

kind, n = sys.argv[1], int(sys.argv[2])
draw = random.Random(0)
TEMPLATE = "In the shop of the old town near the river a merchant sells {} {} for {} coins, and nobody asks why {} {} costs so much."

def words(k):
    return [f"w{draw.randrange(3_000)}" for _ in range(k)]

def text():
    return TEMPLATE.format(*words(5)) if kind == "template" else " ".join(words(6))

def shards():
    texts = []
    for start in range(0, n, 1_024):
        size = min(1_024, n - start)
        if kind == "distinct-equations":
            sums = [(draw.randrange(1, 9), draw.randrange(1, 9)) for _ in range(size)]
            yield {
                "answer": [f"{a} + {b} = {a + b}, says {w}" for (a, b), w in zip(sums, words(size))],
                "anchor_ids": [[f"question {(start + i) // 8}"] for i in range(size)],
                "fields": ["{}"] * size,
            }
        else:  # one row in ten says what an earlier one said
            texts = [draw.choice(texts) if texts and draw.random() < 0.1 else text() for _ in range(size)]
            yield {"text": texts}

judge = load("near-duplicate" if kind == "template" else kind).begin()
next_to_nothing = {"text": ["a b c d"], "answer": ["1 + 1 = 2"], "anchor_ids": [["q"]], "fields": ["{}"]}
for _ in range(2):  # what is imported at the first row is no memory of the fold's
    load("near-duplicate" if kind == "template" else kind).begin()(pa.table(next_to_nothing))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
spent, kept = 0.0, 0
for shard in shards():
    table = pa.table(shard)
    began = time.process_time()
    kept += sum(verdict.keeps for verdict in judge(table))
    spent += time.process_time() - began
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": spent, "mb": (after - before) / 1024, "kept": kept}))
"""


def judged(kind: str, rows: int) -> dict[str, float]:
    """Seconds, megabytes and rows kept."""
    done = subprocess.run([sys.executable, "-c", JUDGE, kind, str(rows)], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    options.add_argument(
        "--kinds", nargs="+", default=["exact-duplicate", "near-duplicate", "distinct-equations", "template"]
    )
    options.add_argument("--json", action="store_true")
    asked = options.parse_args()
    runs = []
    for kind in asked.kinds:
        last: tuple[int, float] | None = None
        for rows in asked.rows:
            found = judged(kind, rows)
            slope = math.log(found["seconds"] / last[1]) / math.log(rows / last[0]) if last else None
            runs.append({"fold": kind, "rows": rows, **found, "exponent": slope})
            last = rows, found["seconds"]
            if not asked.json:
                said = "" if slope is None else f", exponent {slope:.2f}"
                print(
                    f"{kind:>18} {rows:>9,} rows: {found['seconds']:7.2f} s ({found['seconds'] / rows * 1e6:5.1f} µs a row{said}), "
                    f"{found['mb']:5.0f} MB ({found['mb'] * 2**20 / found['kept']:,.0f} bytes a kept row), kept {found['kept']:,}",
                    flush=True,
                )
    if asked.json:
        print(json.dumps({"runs": runs}))


if __name__ == "__main__":
    main()

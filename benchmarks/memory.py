"""Peak memory of `generate` at 2,000, 20,000 and 200,000 scripted rows, without and with near-duplicate detection.

    python benchmarks/memory.py [--rows 2000 20000 200000] [--plain] [--rft] [--json]

Each run is a process of its own; the figure is the operating system's peak of its resident set. What the fold adds
is given in bytes a row over the run of the same size without it. `--rft` asks questions with gold answers through the recipe
rft (one answer each) in place of texts; `--plain` leaves the near-duplicates out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RFT = """
import resource, sys
import synthgain as sg

sg.generate("rft", sys.argv[1], out=sys.argv[2], model="scripted/words?n=40", knobs={"k": 1}, with_=sys.argv[3:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
RUN = """
import json, resource, sys
import synthgain as sg
from synthgain.types import Prompt, Recipe, Row, user

async def draft(models, anchor):
    call = await models(Prompt((user(anchor.text),)))
    yield Row(text=call.text, calls=(call,))

sg.generate(Recipe("one-call", "1", draft), sys.argv[1], out=sys.argv[2], model="scripted/words?n=40", with_=sys.argv[3:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(rows: int, checks: list[str], rft: bool) -> tuple[float, float]:
    """Peak resident set in MB, and seconds."""
    with tempfile.TemporaryDirectory() as folder:
        anchors = Path(folder) / "anchors.jsonl"
        with anchors.open("w") as file:
            for i in range(rows):
                file.write(json.dumps({"text": f"Say forty words about the number {i}.", "answer": str(i)}) + "\n")
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", RFT if rft else RUN, str(anchors), f"{folder}/run", *checks],
            capture_output=True,
            text=True,
            check=True,
        )
        return int(done.stdout.split()[-1]) / 1024, time.perf_counter() - began


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--rows", type=int, nargs="+", default=[2_000, 20_000, 200_000])
    options.add_argument("--plain", action="store_true")
    options.add_argument("--rft", action="store_true")
    options.add_argument("--json", action="store_true")
    asked = options.parse_args()
    results = []
    for rows in asked.rows:
        plain, seconds = peak(rows, [], asked.rft)
        near, longer = (plain, 0.0) if asked.plain else peak(rows, ["near-duplicate"], asked.rft)
        results.append(
            {
                "rows": rows,
                "plain_mb": plain,
                "near_mb": near,
                "bytes_a_row": (near - plain) * 2**20 / rows,
                "seconds": seconds,
                "near_seconds": longer,
            }
        )
    if asked.json:
        print(json.dumps({"runs": results}))
        return
    for r in results:
        said = f"{r['rows']:>9,} rows: {r['plain_mb']:6.0f} MB ({r['plain_mb'] / results[0]['plain_mb']:.2f} of the smallest), {r['seconds']:5.1f} s"
        if not asked.plain:
            said += f"; with near-duplicate {r['near_mb']:6.0f} MB ({r['bytes_a_row']:,.0f} bytes a row more), {r['near_seconds']:5.1f} s"
        print(said)


if __name__ == "__main__":
    main()

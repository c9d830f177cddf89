"""The memory of calls at a million calls: writing, opening, looking up, peak memory.

python benchmarks/call_memory.py [--calls 1000000] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from synthgain.store import CallMemory
from synthgain.types import Call, Prompt, assistant, user

READ = """
import resource, sys, time
from pathlib import Path
from synthgain.store import CallMemory
from synthgain.types import Prompt, user
empty = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
began = time.perf_counter()
memory = CallMemory(Path(sys.argv[1]))
opened = time.perf_counter() - began
n = int(sys.argv[2])
prompts = [Prompt((user(f"question {i * 7919 % n}"),)) for i in range(20000)]
new = [Prompt((user(f"never asked {i}"),)) for i in range(20000)]
began = time.perf_counter()
assert all(memory.find(p.id("m"), p) for p in prompts)
found = time.perf_counter() - began
began = time.perf_counter()
assert not any(memory.find(p.id("m"), p) for p in new)
missed = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(opened, 20000 / found, 20000 / missed, (peak - empty) / 1024)
"""


async def write(folder: Path, n: int) -> float:
    memory = CallMemory(folder)
    text = "an answer of ordinary length, such as a model gives. " * 10
    began = time.perf_counter()
    for start in range(0, n, 5000):
        batch = None
        for i in range(start, min(start + 5000, n)):
            prompt = Prompt((user(f"question {i}"),))
            batch = memory.put(Call(prompt.id("m"), prompt, assistant(text), "scripted/x", "stop", 10, 100), "m")
        if batch is not None:
            await batch
    seconds = time.perf_counter() - began
    memory.close()
    return seconds


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--calls", type=int, default=1_000_000)
    options.add_argument("--json", action="store_true")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        seconds = asyncio.run(write(Path(name), asked.calls))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        done = subprocess.run(
            [sys.executable, "-c", READ, name, str(asked.calls)], capture_output=True, text=True, check=True
        )
        opened, hits, misses, grown = (float(x) for x in done.stdout.split())
        size = sum(f.stat().st_size for f in Path(name).iterdir()) / 1e6
    result = {
        "calls": asked.calls,
        "put_per_s": asked.calls / seconds,
        "writer_peak_mb": peak,
        "disk_mb": size,
        "open_s": opened,
        "hits_per_s": hits,
        "misses_per_s": misses,
        "reader_mb": grown,
    }
    if asked.json:
        print(json.dumps(result))
        return
    print(
        f"{asked.calls:,} calls: {result['put_per_s']:,.0f} written a second, {size:,.0f} MB on disk, writer's peak {peak:.0f} MB"
    )
    print(
        f"opened in {opened:.2f} s; {hits:,.0f} look-ups a second that hit, {misses:,.0f} that miss; {grown:.0f} MB more than an empty process"
    )


if __name__ == "__main__":
    main()

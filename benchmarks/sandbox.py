"""Programs a second in the sandbox, against a bare interpreter started for each.

    python benchmarks/sandbox.py [--rounds 12] [--programs 20] [--json]

Both run the same small program one after the other: `bare` is `subprocess.run([python, "-c", program])` with this very interpreter, without any
limit; `sandbox` is a warm worker with all its walls. A round runs some programs of each, in turns; the ratio is taken round by round, so that what
else the machine does weighs on both. `tests` runs a program with three tests in its two boxes (a harness on bare interpreters starts one), `query`
compares a query with a gold query, `side by side` has as many workers, or bare interpreters, as there are cores. Processor milliseconds are those of
all processes together.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from synthgain.sandbox import Sandbox

PROGRAM = "def gcd(a, b):\n    while b:\n        a, b = b, a % b\n    return a\n"
PRINTS = PROGRAM + "print(gcd(1071, 462))\n"
TESTS = ["assert gcd(12, 8) == 4", "assert gcd(7, 5) == 1", "assert gcd(0, 3) == 3"]
SCHEMA = "CREATE TABLE t (a INT, b TEXT); INSERT INTO t VALUES (1, 'x'), (2, 'y');"


def bare(program: str) -> None:
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def sandboxed(box: Sandbox) -> None:
    assert box.run(PRINTS).out == "21\n"


def tested(box: Sandbox) -> None:
    assert box.examine(PROGRAM, TESTS).passed


def queried(box: Sandbox) -> None:
    assert box.compare("SELECT b FROM t", "SELECT b FROM t", schema=SCHEMA, steps=1_000_000).same


def seconds(work: Callable[[], object], programs: int, width: int) -> float:
    """Wall seconds for so many programs, so many at a time."""
    began = time.perf_counter()
    with ThreadPoolExecutor(width) as threads:
        list(threads.map(lambda _: work(), range(programs)))
    return time.perf_counter() - began


def processor(work: Callable[[Sandbox], object], programs: int) -> float:
    """Processor milliseconds a program, of this process and its children; the start of the worker is taken off."""

    def spent(times: int) -> float:
        before = _used()
        box = Sandbox(1)
        box.ready()
        for _ in range(times):
            work(box)
        box.close()
        return _used() - before

    return 1000 * (spent(programs) - spent(0)) / programs


def _used() -> float:
    both = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


def compared(width: int, rounds: int, programs: int) -> dict[str, dict[str, float]]:
    """Rates and ratios, so many programs at a time."""
    box, found = Sandbox(width), dict[str, dict[str, float]]()
    seconds(lambda: sandboxed(box), 2 * width, width)  # start the workers
    works: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {
        "run": (lambda: bare(PRINTS), lambda: sandboxed(box)),
        "tests": (lambda: bare(PROGRAM + "\n".join(TESTS)), lambda: tested(box)),
        "query": (lambda: bare("import sqlite3"), lambda: queried(box)),
    }
    for name, (without, within) in works.items():
        times = [[seconds(work, programs, width) for work in (without, within)] for _ in range(rounds)]
        ratios = sorted(slow / fast for slow, fast in times)
        found[name if width == 1 else f"{name}, {width} side by side"] = {
            "bare_a_second": programs / statistics.median(slow for slow, _ in times),
            "sandbox_a_second": programs / statistics.median(fast for _, fast in times),
            "ratio": statistics.median(ratios),
            "ratio_low": ratios[0],
            "ratio_high": ratios[-1],
        }
    box.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--programs", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = dict[str, dict[str, float]]()
    for width in dict.fromkeys((1, len(os.sched_getaffinity(0)))):
        found |= compared(width, given.rounds, given.programs)
    before = _used()
    for _ in range(given.programs):
        bare(PRINTS)
    costs = {"bare": 1000 * (_used() - before) / given.programs}
    for name, work in (("run", sandboxed), ("tests", tested), ("query", queried)):
        costs[name] = processor(work, given.programs)
    if given.json:
        print(json.dumps({"rates": found, "processor_ms": costs}))
        return
    print(f"{'what':<24}{'bare/s':>10}{'sandbox/s':>12}{'ratio':>8}  of {given.rounds} rounds")
    for label, of in found.items():
        rates = f"{of['bare_a_second']:>10.1f}{of['sandbox_a_second']:>12.1f}{of['ratio']:>8.2f}"
        print(f"{label:<24}{rates}  {of['ratio_low']:.2f} to {of['ratio_high']:.2f}")
    print("processor ms a program: " + ", ".join(f"{name} {ms:.1f}" for name, ms in costs.items()))


if __name__ == "__main__":
    main()

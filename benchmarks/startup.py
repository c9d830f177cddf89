"""How long `synthgain --help` takes, and how large the core install is.

    python benchmarks/startup.py [--runs 10] [--json]

The time is that of a whole process, from start to exit (goal: under 0.5 s). The size is the sum of all installed files of
the core dependencies and what they in turn require on this machine, without extras.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

GOAL = 0.5  # seconds


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(root: str) -> tuple[dict[str, Distribution], list[str]]:
    """The distributions that `root` needs here (without its extras), and those that are wanted but not installed."""
    found: dict[str, Distribution] = {}
    missing: list[str] = []
    waiting: list[tuple[str, frozenset[str]]] = [(root, frozenset())]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, extras = wanted = waiting.pop()
        if wanted in seen:
            continue
        seen.add(wanted)
        try:
            here = distribution(name)
        except PackageNotFoundError:
            missing.append(name)
            continue
        found[name] = here
        for line in here.requires or []:
            need = Requirement(line)
            marker = need.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras or {""}):
                waiting.append((canonical(need.name), frozenset(need.extras)))
    return found, sorted(missing)


def size(of: Distribution) -> int:
    """Bytes of its installed files (compiled caches are not in the sum: pip need not have written them)."""
    paths = (Path(str(of.locate_file(f))) for f in of.files or [] if f.suffix != ".pyc")
    return sum(path.stat().st_size for path in paths if path.is_file())


def timed(command: list[str], runs: int) -> list[float]:
    """Seconds of each run of a process."""
    seconds = []
    for _ in range(runs):
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - began)
    return seconds


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=10)
    options.add_argument("--json", action="store_true")
    asked = options.parse_args()
    script = Path(sys.executable).with_name("synthgain")
    help = [str(script), "--help"] if script.exists() else [sys.executable, "-m", "synthgain", "--help"]
    timed(help, 1)  # the first run may compile
    seconds = timed(help, asked.runs)
    bare = timed([sys.executable, "-c", "pass"], asked.runs)
    parts, missing = closure("synthgain")
    del parts["synthgain"]
    source = Path(__file__).parent.parent / "src" / "synthgain"
    own = sum(f.stat().st_size for f in source.rglob("*") if f.is_file() and f.suffix != ".pyc")
    sizes = dict(sorted(((name, size(part)) for name, part in parts.items()), key=lambda item: -item[1]))
    result = {
        "runs": asked.runs,
        "help_min_s": min(seconds),
        "help_median_s": statistics.median(seconds),
        "goal_s": GOAL,
        "goal_met": statistics.median(seconds) < GOAL,
        "python_min_s": min(bare),
        "python_median_s": statistics.median(bare),
        "core_mb": sum(sizes.values()) / 1e6,
        "own_mb": own / 1e6,
        "distributions": len(sizes),
        "sizes_mb": {name: round(bytes / 1e6, 3) for name, bytes in sizes.items()},
        "missing": missing,
    }
    if asked.json:
        print(json.dumps(result))
        return
    print(
        f"synthgain --help, {asked.runs} processes     min {min(seconds):.3f} s   median {statistics.median(seconds):.3f} s   goal < {GOAL} s"
    )
    print(f"python -c pass, as many           min {min(bare):.3f} s   median {statistics.median(bare):.3f} s")
    print(
        f"core install                      {result['core_mb']:.0f} MB in {len(sizes)} distributions; synthgain itself {own / 1e6:.1f} MB"
    )
    for name, bytes in sizes.items():
        print(f"  {name:<24}{bytes / 1e6:>9.2f} MB")
    if missing:
        print(f"  not installed here: {', '.join(missing)}")


if __name__ == "__main__":
    main()

"""What memory and disk there are, and what embedded models will take of them."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from pathlib import Path


def size_said(size: float) -> str:
    """Bytes in words: 85 MB, 1.12 GB."""
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{size:,.0f} bytes"


def free_disk(folder: Path) -> int:
    """Bytes that may still be written where a folder lies."""
    return shutil.disk_usage(folder).free


def free_memory() -> int | None:
    """Bytes of memory that are free or can be freed at once, under the limit of this process's group where there is one; None: not known."""
    free = _available()
    if (limit := _group_left()) is not None:
        free = limit if free is None else min(free, limit)
    return free


def _available() -> int | None:
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        return int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]) * 1024
    with contextlib.suppress(ImportError):
        import psutil

        return int(psutil.virtual_memory().available)
    return None


def _group_left(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What the limits of control groups (containers) leave; files that were only read count as free."""
    for limit, used, freed in (
        ("memory.max", "memory.current", "inactive_file "),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file "),
    ):
        with contextlib.suppress(OSError, ValueError):
            most = int((root / limit).read_text("ascii"))  # "max" is no number: there is no limit
            if most >= 1 << 60:
                continue
            told = (root / limit).parent / "memory.stat"
            lines = told.read_text("ascii").splitlines()
            cached = next((int(line.split()[1]) for line in lines if line.startswith(freed)), 0)
            return max(0, most - int((root / used).read_text("ascii")) + cached)
    return None


def peak_memory() -> int | None:
    """The most bytes of memory that this process has held at once; None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

"""What memory and disk there are, and what embedded models will take of them."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from synthgain.types import SynthgainError

TIGHT = 0.8  # share of what is free from which it is said
WORK = 64 << 20  # bytes that a runtime computes in, beside weights and contexts


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


# ---------------------------------------------------------------------------------------------- what models will take


@dataclass(frozen=True)
class Need:
    """What a model that is to be loaded takes: its weights, and in every slot `token` bytes for each token of context."""

    name: str
    weights: int
    token: int = 0
    slots: int = 1
    context: int = 0

    def total(self, slots: int | None = None) -> int:
        """Bytes, with at most so many slots."""
        return self.weights + self.token * self.context * min(self.slots, slots or self.slots) + WORK

    def said(self) -> str:
        slots = f"{self.slots} slot{'s' * (self.slots > 1)} of {self.context:,} tokens"
        contexts = f" + {size_said(self.total() - self.weights - WORK)} for {slots}" if self.token else ""
        return f"{self.name}: {size_said(self.weights)} of weights{contexts}"


class Planned(Protocol):
    """A model that may be loaded in this process."""

    def need(self) -> Need | None:
        """What loading it will take; None where nothing more is needed, or it is not known yet."""
        ...


_planned: weakref.WeakSet[Planned] = weakref.WeakSet()
_said: set[frozenset[Need]] = set()
_guard = threading.Lock()


def plan(model: Planned) -> None:
    """Count a model among those that will be loaded, until `let_go` or its end."""
    with _guard:
        _planned.add(model)


def let_go(model: Planned) -> None:
    with _guard:
        _planned.discard(model)


def make_sure() -> None:
    """Before a model is loaded: SynthgainError where all that are planned will not fit into what is free, a remark where they will just so."""
    with _guard:
        models = list(_planned)
    needs = frozenset(need for model in models if (need := model.need()) is not None)  # equal ones share one runtime
    free = free_memory()
    if free is None or not needs:
        return
    wanted = sum(need.total() for need in needs)
    if wanted < TIGHT * free:
        return
    ordered = sorted(needs, key=lambda need: (-need.total(), need.name))
    said = (
        f"{size_said(wanted)} ({'; '.join(need.said() for need in ordered)}), and {size_said(free)} of memory are free"
    )
    if wanted > free:
        raise SynthgainError(f"there is too little memory: loading takes about {said}", next=_cure(ordered, free))
    with _guard:
        known = needs in _said
        _said.add(needs)
    if not known:
        print(f"synthgain: memory will be tight: loading takes about {said}; {_cure(ordered, free)}", file=sys.stderr)


def _cure(needs: Sequence[Need], free: int) -> str:
    """What to do: the most slots with which all fit well, or other models."""
    most = max(need.slots for need in needs)
    fits = (n for n in range(most - 1, 0, -1) if sum(need.total(n) for need in needs) < TIGHT * free)
    if (slots := next(fits, None)) is not None:
        return f"--concurrency {slots} takes {size_said(sum(need.total(slots) for need in needs))}"
    return "end other programs, or name smaller models (local/smollm2-135m is the smallest that is known; see `synthgain models`)"

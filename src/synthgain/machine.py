"""What this machine's processor computes in hardware, and how threads wait on it. Nothing here loads torch."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16"}  # Intel and AMD; AMX; ARM
FAST_BYTES = {"avx512_vnni", "avx_vnni"}
SPINS = "1000"  # rounds that a thread waits awake before it sleeps


@cache
def processor(field: str) -> str:
    """What the system says of the first processor ("model name", "flags"); "" where it does not tell."""
    with contextlib.suppress(OSError):
        told = Path("/proc/cpuinfo").read_text("utf-8", "replace")
        found = re.search(rf"^{field}\s*:(.*)$", told, re.MULTILINE)
        return found[1].strip() if found else ""
    return ""


def flags() -> frozenset[str]:
    """What the processor can; empty where the system does not tell."""
    return frozenset((processor("flags") or processor("Features")).split())


def multiplies_bfloat16() -> bool:
    """Whether products of bfloat16 are made in hardware. Libraries say that they support it where they imitate it, which takes
    two to four times as long as float32 (decisions/2026-11-28-the-demo.md)."""
    return bool(flags() & BFLOAT16)


def multiplies_bytes() -> bool:
    """Whether products of whole numbers of eight bits are made four at a time."""
    return bool(flags() & FAST_BYTES)


@contextlib.contextmanager
def patient_threads() -> Iterator[None]:
    """Lets OpenMP's threads sleep while they wait for each other, where nothing else was asked for; it reads this once, as a library loads it.

    By default they spin, and on a machine that others use too one thread that is not running stops all of
    them: two busy neighbours on two cores made generation a hundred times slower (decisions/, embedded runtime), and
    products of matrices as large as a student's 1.4 times.
    """
    mine = "GOMP_SPINCOUNT" not in os.environ and "OMP_WAIT_POLICY" not in os.environ
    if mine:
        os.environ["GOMP_SPINCOUNT"] = SPINS
    try:
        yield
    finally:
        if mine:
            del os.environ["GOMP_SPINCOUNT"]

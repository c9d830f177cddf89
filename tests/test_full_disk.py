"""A disk that fills up in the middle of a run: said with code 3, in the record too; what was answered before is kept and not bought again."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from synthgain import Run, Scripted, generate
from synthgain.types import SynthgainError


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 6 MB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "none", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no right to mount a small disk here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("filler", [0, 4_000_000], ids=["calls fill it", "rows fill it"])
def test_a_full_disk_is_told_and_nothing_is_lost(filler: int, disk: Path) -> None:
    (disk / "filler").write_bytes(b"x" * filler)
    long = 8_000 if not filler else 2_000
    model = Scripted(lambda prompt: f"{prompt.id('x')} " * (long // 65), width=8)
    texts = [f"Text number {i}, which is not long." for i in range(900 if not filler else 400)]
    with pytest.raises(SynthgainError, match=r"disk|room") as error:
        generate("rephrase", texts, model=model, out=disk / "run", knobs={"styles": ("easy", "qa")})
    assert error.value.code == 3
    record = Run(disk / "run").record
    assert record["status"] == "stopped" and ("disk" in record["why"] or "room" in record["why"])
    assert record["counts"]["calls_bought"] > 20 and record["counts"]["rows"] == record["counts"]["kept"] == 0
    memory = Run(disk / "run").memory(readonly=True)
    kept = len(memory)
    memory.close()
    assert kept > 20
    subprocess.run(["mount", "-o", "remount,size=80m", str(disk)], check=True)
    run = generate("rephrase", texts, model=model, out=disk / "run", knobs={"styles": ("easy", "qa")})
    assert run.record["status"] == "complete" and run.record["counts"]["kept"] == 2 * len(texts)
    assert run.record["counts"]["calls_reused"] >= kept

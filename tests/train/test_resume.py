"""A training that is killed goes on from its last checkpoint, with the curve of one that was not: a real process, SIGKILL."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from doubles.tiny import tiny_model
from synthgain.train import FineTune, read_student
from synthgain.types import SynthgainError, assistant, user

DRIVER = """
import sys, torch
from pathlib import Path
from synthgain.train import FineTune
torch.set_num_threads(1)
base, rows, out = map(Path, sys.argv[1:])
FineTune(base, max_steps=8, batch=4, micro_batch=2, learning_rate=1e-2, adapter="lora", precision="fp32", minutes=0,
         watch=lambda step, of, loss: print(step, flush=True))(rows, out)
"""
SETTINGS: dict[str, Any] = {
    "max_steps": 8, "batch": 4, "micro_batch": 2, "learning_rate": 1e-2, "adapter": "lora", "precision": "fp32",
}  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    chats = [{"messages": [user(f"Who is {n}?"), assistant(f"Answer: {n * 7 % 10}")]} for n in range(24)]
    file.write_text("".join(json.dumps(row) + "\n" for row in chats), "utf-8")
    return file


def record_of(student: Path) -> dict[str, Any]:
    record = read_student(student)
    assert record is not None
    return record


@pytest.mark.slow
def test_a_killed_training_ends_as_an_unhurt_one(base: Path, rows: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(base), str(rows), str(tmp_path / "hurt")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert any(line.strip() == "4" for line in process.stdout)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not (tmp_path / "hurt").exists()
    seen: list[int] = []
    hurt = FineTune(base, **SETTINGS, watch=lambda step, of, loss: seen.append(step))(rows, tmp_path / "hurt")
    unhurt = FineTune(base, **SETTINGS)(rows, tmp_path / "unhurt")
    a, b = record_of(hurt), record_of(unhurt)
    assert a["resumed_at"] >= 3 and seen[0] == a["resumed_at"] + 1 and b["resumed_at"] == 0
    assert a["curve"] == b["curve"] and len(a["curve"]) == 8
    assert (hurt / "model.safetensors").read_bytes() == (unhurt / "model.safetensors").read_bytes()
    assert sorted(f.name for f in tmp_path.iterdir()) == ["hurt", "unhurt"]


def test_a_stop_by_hand_keeps_the_checkpoint_and_goes_on_as_if_nothing_was(
    base: Path, rows: Path, tmp_path: Path
) -> None:
    def stop(step: int, steps: int, loss: float) -> None:
        if step == 3:
            raise KeyboardInterrupt

    full = {"max_steps": 5, "batch": 4, "learning_rate": 1e-2, "precision": "fp32"}
    with pytest.raises(SynthgainError) as error:
        FineTune(base, **full, minutes=0, watch=stop)(rows, tmp_path / "s")  # type: ignore[arg-type]
    assert error.value.code == 130 and "step 2" in error.value.what and isinstance(error.value, KeyboardInterrupt)
    hurt, unhurt = (FineTune(base, **full)(rows, tmp_path / name) for name in "st")  # type: ignore[arg-type]
    assert (record_of(hurt)["resumed_at"], record_of(unhurt)["resumed_at"]) == (2, 0)
    assert record_of(hurt)["curve"] == record_of(unhurt)["curve"]
    assert (hurt / "model.safetensors").read_bytes() == (unhurt / "model.safetensors").read_bytes()
    assert sorted(f.name for f in tmp_path.iterdir()) == ["s", "t"]


def test_another_request_starts_anew(base: Path, rows: Path, tmp_path: Path) -> None:
    def stop(step: int, steps: int, loss: float) -> None:
        raise RuntimeError("a fault")

    with pytest.raises(RuntimeError):
        FineTune(base, max_steps=2, minutes=0, watch=stop)(rows, tmp_path / "s")
    assert not any(tmp_path.iterdir())  # no checkpoint yet, so nothing to keep
    (tmp_path / ".s.work" / "checkpoint-1").mkdir(parents=True)
    (tmp_path / ".s.work" / "checkpoint-1" / "curve.json").write_text("another's")
    assert record_of(FineTune(base, max_steps=1)(rows, tmp_path / "s"))["resumed_at"] == 0

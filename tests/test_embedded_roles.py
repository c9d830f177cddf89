"""Several embedded models in one run: other weights, other terms, one memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import synthgain as sg
from synthgain.models import weights
from synthgain.types import SynthgainError

RECIPE = """
from synthgain.types import Prompt, Recipe, Row, Sampling, user

async def draft(models, anchor):
    call = await models(Prompt((user(anchor.text),), sampling=Sampling(max_tokens=6)))
    judged = await models(Prompt((user("Is this good? " + call.text),), to="judge", sampling=Sampling(max_tokens=2)))
    yield Row(text=call.text or "-", calls=(call, judged))

RECIPE = Recipe("judged", "1", draft, roles=("writer", "judge"))
"""


def relicensed(file: Path, place: Path) -> Path:
    """The same weights in a file that names another licence: other bytes, so another model."""
    held = file.read_bytes()
    at = held.index(b"apache-2.0", held.index(b"general.license"))
    place.write_bytes(held[:at] + b"gemma-1.00" + held[at + 10 :])
    return place


def test_terms_that_go_with_the_data_are_said_before_a_call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that can be read and not run: what is said before, and that the refusal names its architecture."""
    gguf = pytest.importorskip("gguf")
    file = tmp_path / "mine.gguf"
    writer = gguf.GGUFWriter(file, "gemma3")
    writer.add_string("general.license", "gemma")
    writer.add_tensor("weight", np.ones(16, dtype=np.float32))
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()
    with pytest.raises(SynthgainError, match="cannot load the weights, whose architecture is 'gemma3'"):
        sg.generate("rephrase", [{"text": "Some words."}], out=tmp_path / "run", model=f"local/{file}")
    assert capsys.readouterr().err.count("Gemma's terms") == 1


@pytest.mark.slow
def test_writer_and_judge_of_different_weights_in_one_run_with_their_terms_and_memory(tmp_path: Path) -> None:
    small = weights.here("smollm2-135m")
    if small is None:
        pytest.skip("the embedded model's weights are not here: synthgain check local/smollm2-135m fetches them")
    judge = relicensed(small, tmp_path / "judge.gguf")
    (tmp_path / "judged.py").write_text(RECIPE)
    (tmp_path / "texts.jsonl").write_text('{"text": "Say hello."}\n{"text": "Name a colour."}\n')
    words = ["generate", "judged.py", "texts.jsonl", "-o", "run", "--concurrency", "2"]
    words += ["-m", "writer=local/smollm2-135m", "-m", f"judge=local/{judge}"]
    done = subprocess.run(
        [sys.executable, "-m", "synthgain", *words], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    record: dict[str, Any] = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["counts"]["rows"] == 2 and record["counts"]["calls_bought"] == 4
    assert record["identities"]["writer"] != record["identities"]["judge"]
    assert record["memory_peak"] > small.stat().st_size and "GB of memory" in done.stdout
    card = (tmp_path / "run" / "data" / "README.md").read_text()
    for said in (done.stderr, card):
        assert said.count("Gemma's terms") == 1  # of the judge alone, before and after

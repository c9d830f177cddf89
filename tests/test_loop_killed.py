"""The loop, killed in every stage: a real process, real training of a tiny model, SIGKILL."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from doubles.tiny import tiny_model

RECIPE = """
from synthgain.types import Prompt, Recipe, Row, Sampling, assistant, drop, user

async def draft(models, anchor):
    call = await models(Prompt((user(anchor.text),), sampling=Sampling(max_tokens=12)))
    fell = (drop("even", check="parity"),) if len(call.text) % 2 else ()
    yield Row(messages=(user(anchor.text), assistant(call.text)), calls=(call,), verdicts=fell)

RECIPE = Recipe("said", "1", draft)
"""
DRIVER = """
import sys
from synthgain.api import loop
from synthgain.api.examining import Examination
folder, tiny = sys.argv[1:]
loop(folder + "/said.py", folder + "/anchors.jsonl", out=folder + "/loop", on=folder + "/test.jsonl", model="hf/" + tiny, rounds=2, patience=2,
     examination=Examination(draws=2, max_tokens=6),
     settings={"max_steps": 3, "batch": 2, "length": 64}, say=lambda text: print(text, flush=True))
"""
STAGES = (
    "Round 0",
    "  base",
    "  training unfiltered",
    "  unfiltered",
    "  training filtered",
    "  filtered",
    "  on the",  # deciding
    "Round 1",
    "  training filtered",
    "One shot",
    "  training one-shot",
)


def start(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(folder), str(folder.parent / "tiny")],
        start_new_session=True,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def prepared(folder: Path) -> Path:
    folder.mkdir()
    (folder / "said.py").write_text(RECIPE)
    (folder / "anchors.jsonl").write_text(
        "".join(json.dumps({"text": f"How many apples has Ada now? {i}"}) + "\n" for i in range(24))
    )
    (folder / "test.jsonl").write_text(
        "".join(
            json.dumps({"id": str(i), "question": f"Who built the bridge? {i}", "answer": str(i)}) + "\n"
            for i in range(30)
        )
    )
    return folder


def arms(folder: Path) -> list[dict[str, object]]:
    files = ["round-0/arms.json", "round-1/arms.json", "arms.json"]
    return [json.loads((folder / "loop" / f).read_text().replace(folder.name, "")) for f in files]


@pytest.mark.slow
def test_a_loop_killed_in_every_stage_ends_where_an_unhurt_one_does(tmp_path: Path) -> None:
    tiny_model(tmp_path / "tiny")
    unhurt, hurt = prepared(tmp_path / "unhurt"), prepared(tmp_path / "hurt")
    whole = start(unhurt)
    whole.communicate(timeout=600)
    assert whole.returncode == 0
    kills = 0
    for stage in STAGES:
        process = start(hurt)
        assert process.stdout is not None
        line = next((line for line in process.stdout if line.startswith(stage)), None)
        if line is not None:
            time.sleep(0.2)
            kills += process.poll() is None
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert line is not None, f"the stage {stage!r} never began"
    last = start(hurt)
    said, _ = last.communicate(timeout=600)
    assert last.returncode == 0 and kills == len(STAGES)
    assert arms(hurt) == arms(unhurt)
    record = json.loads((hurt / "loop" / "round-0" / "run" / "run.json").read_text())
    assert record["counts"]["calls_bought"] + record["counts"]["calls_reused"] == 24
    assert ", loss " not in said.partition("Round 1")[0]  # what the killed ones had finished was not done again

"""Standard tasks through lm-evaluation-harness: what it scores is what we score, and nothing but local files is read."""

from __future__ import annotations

import importlib.util
import json
import random
from pathlib import Path

import pytest

from doubles.tiny import tiny_model
from synthgain.api.harness import harness, task_of
from synthgain.evaluate import Question, choose
from synthgain.models import open_scorer
from synthgain.types import SynthgainError

WORDS = [
    "river",
    "bridge",
    "widow",
    "town",
    "mill",
    "bell",
    "four",
    "seven",
    "apples",
    "Ada",
    "Quell",
    "Tolmar",
    "1417",
]
here = pytest.mark.skipif(importlib.util.find_spec("lm_eval") is None, reason="lm-evaluation-harness is not installed")


def asked(n: int) -> list[Question]:
    dice = random.Random(0)
    return [
        Question(str(i), f"{' '.join(dice.sample(WORDS, 5))}?", options=tuple(dice.sample(WORDS, 3)), gold=i % 3)
        for i in range(n)
    ]


@here
@pytest.mark.filterwarnings("ignore")
def test_the_harness_scores_our_questions_as_we_do(tmp_path: Path) -> None:
    tiny, questions = tiny_model(tmp_path / "tiny"), asked(24)
    found = {r.name: r for r in harness(tiny, [task_of(questions, tmp_path / "q.jsonl", "ours")])}
    mine = choose(open_scorer(tiny), questions)
    assert found["harness/ours/acc"].value == pytest.approx(mine.reading("accuracy_sum").value)
    assert found["harness/ours/acc_norm"].value == pytest.approx(mine.reading("accuracy_per_byte").value)
    assert found["harness/ours/acc"].n == 24


@here
@pytest.mark.filterwarnings("ignore")
def test_a_task_is_read_as_data_with_files_beside_it(tmp_path: Path) -> None:
    tiny = tiny_model(tmp_path / "tiny")
    held = task_of(asked(6), tmp_path / "q.jsonl", "mine")
    held["dataset_kwargs"] = {"data_files": {"test": "q.jsonl"}}
    (tmp_path / "mine.yaml").write_text(json.dumps(held))
    assert {r.name for r in harness(tiny, [tmp_path / "mine.yaml"])} == {"harness/mine/acc", "harness/mine/acc_norm"}
    (tmp_path / "runs.yaml").write_text("task: runs\nprocess_docs: !function os.getcwd\n")
    with pytest.raises(SynthgainError, match="cannot be read"):
        harness(tiny, [tmp_path / "runs.yaml"])
    (tmp_path / "away.yaml").write_text(json.dumps(held | {"dataset_kwargs": {"data_files": {"test": "none.jsonl"}}}))
    with pytest.raises(SynthgainError, match="cannot run this task"):
        harness(tiny, [tmp_path / "away.yaml"])


@pytest.mark.skipif(importlib.util.find_spec("lm_eval") is not None, reason="it is installed")
def test_without_it_the_install_command_is_said(tmp_path: Path) -> None:
    with pytest.raises(SynthgainError, match="need lm-evaluation-harness") as error:
        harness(tiny_model(tmp_path / "tiny"), [tmp_path / "any.yaml"])
    assert "synthgain[harness]" in error.value.next

"""Preference pairs: the loss of DPO, against a slow reference, and a student that prefers what was chosen."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from doubles.tiny import tiny_model
from synthgain.models.scorer import HFScorer
from synthgain.train import FineTune, Lora, read_student, said_of_rows
from synthgain.types import SynthgainError, assistant, user

PLACES = ("Quell", "Tolmar", "Ada", "Bo")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [{"prompt": f"Who is {p}?", "chosen": f"{p} built it.", "rejected": "I do not know."} for p in PLACES]
    file = tmp_path_factory.mktemp("rows") / "pairs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file


def record_of(student: Path) -> dict[str, Any]:
    record = read_student(student)
    assert record is not None
    return record


def margins(student: Path) -> list[float]:
    """ln p(chosen) − ln p(rejected) of each pair, by another way than training's: a scorer, token by token."""
    scorer = HFScorer(student)
    asked = [
        ([user(f"Who is {p}?")], said) for p in PLACES for said in (f"{p} built it.<|end|>", "I do not know.<|end|>")
    ]
    sums = [math.fsum(one) for one in scorer.logprobs(asked)]
    return [a - b for a, b in zip(sums[::2], sums[1::2])]


def test_the_loss_is_that_of_the_paper(base: Path, pairs: Path, tmp_path: Path) -> None:
    """Before the first step the student is its base, so the loss is ln 2; after it, it is what the margins say."""
    steps: dict[str, Any] = {"batch": 4, "learning_rate": 1e-3, "decay": "constant", "warmup": 0, "precision": "fp32"}
    two = FineTune(base, max_steps=2, beta=0.3, **steps)(pairs, tmp_path / "two")
    curve = record_of(two)["curve"]
    assert curve[0]["loss"] == pytest.approx(math.log(2), rel=1e-4)
    one = FineTune(base, max_steps=1, beta=0.3, **steps)(pairs, tmp_path / "one")
    gained = [after - before for after, before in zip(margins(one), margins(base))]
    slow = math.fsum(math.log1p(math.exp(-0.3 * gap)) for gap in gained) / len(gained)
    assert curve[1]["loss"] == pytest.approx(slow, rel=1e-3) and slow < math.log(2) - 0.01
    small = FineTune(base, max_steps=2, beta=0.3, micro_batch=2, **steps)(pairs, tmp_path / "small")
    assert record_of(small)["curve"][1]["loss"] == pytest.approx(slow, rel=1e-2)


@pytest.mark.parametrize("adapter", ["full", "lora"])
def test_a_student_learns_the_preference(base: Path, pairs: Path, tmp_path: Path, adapter: Any) -> None:
    said: list[str] = []
    tune = FineTune(base, adapter=adapter, lora=Lora(rank=8), epochs=8, batch=4, learning_rate=3e-3, say=said.append)
    student = tune(pairs, tmp_path / "s")
    record = record_of(student)
    assert (record["method"], record["beta"], record["examples"], record["held_out"]["pairs"]) == ("dpo", 0.1, 4, 0)
    assert all(after > before + 1 for after, before in zip(margins(student), margins(base)))
    assert record["curve"][-1]["loss"] < 0.5 * record["curve"][0]["loss"]
    assert said and said[0].startswith("dpo: 4 rows read, 4 to learn")


def test_rows_that_are_no_pairs_are_left_out_and_said(base: Path, pairs: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed.jsonl"
    other = {"messages": [user("Who?"), assistant("I.")]}
    mixed.write_text(pairs.read_text() + json.dumps(other) + "\n" + json.dumps({"text": "A river."}) + "\n")
    asked = record_of(FineTune(base, method="dpo", max_steps=1)(mixed, tmp_path / "s"))
    assert (asked["method"], asked["examples"], asked["read"]["unpaired"]) == ("dpo", 4, 2)
    assert "2 without rejected turns, left out" in said_of_rows(asked)
    by_rows = record_of(FineTune(base, max_steps=1)(mixed, tmp_path / "t"))
    assert (by_rows["method"], by_rows["examples"], by_rows["read"]["with_rejected"]) == ("sft", 6, 4)
    said = said_of_rows(by_rows)
    assert "4 with rejected turns, of which the chosen are learnt" in said and "1 plain texts among chats" in said
    with pytest.raises(SynthgainError, match="without replay"):
        FineTune(base, replay=mixed)(pairs, tmp_path / "u")

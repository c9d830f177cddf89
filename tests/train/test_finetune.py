import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from doubles.tiny import tiny_model
from synthgain.train import FineTune, Lora, read_student
from synthgain.types import SynthgainError, assistant, user

OVERFIT: dict[str, Any] = {"epochs": 100, "learning_rate": 5e-3, "decay": "constant"}
PLACES = ("Quell", "Tolmar", "Ada", "Bo", "Cleo", "Dan", "Eve", "Finn")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def chats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [{"messages": [user(f"Who is {p}?"), assistant(f"Answer: {n}")]} for n, p in enumerate(PLACES)]
    file = tmp_path_factory.mktemp("rows") / "chats.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file


@pytest.fixture(scope="module")
def student(base: Path, chats: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return FineTune(base, **OVERFIT)(chats, tmp_path_factory.mktemp("out") / "student")


def _open(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(str(folder)).eval(), AutoTokenizer.from_pretrained(str(folder))


def _answer(folder: Path, question: str) -> str:
    model, tokenizer = _open(folder)
    asked = tokenizer.apply_chat_template([user(question)], add_generation_prompt=True, return_tensors="pt")
    said = model.generate(**asked, max_new_tokens=16, do_sample=False)
    return str(tokenizer.decode(said[0, asked["input_ids"].shape[1] :]))


def test_a_student_learns_its_rows_and_is_an_ordinary_folder(student: Path, base: Path) -> None:
    record = read_student(student)
    assert record is not None
    curve = record["curve"]
    assert curve[0]["loss"] > 4 and curve[-1]["loss"] < 0.1
    assert [point["step"] for point in curve] == list(range(1, 101)) and curve[-1]["tokens"] == record["tokens_seen"]
    assert (record["method"], record["adapter"], record["rows"], record["steps"], record["epochs"]) == (
        "sft",
        "full",
        8,
        100,
        100,
    )
    assert (
        record["tokens_seen"] == 100 * record["tokens_per_epoch"]
        and record["replay"] is None
        and record["read"]["cut"] == 0
    )
    assert _answer(student, "Who is Cleo?") == "Answer: 4<|end|>"
    assert _answer(base, "Who is Cleo?") != "Answer: 4<|end|>"
    assert not [f for f in student.parent.iterdir() if f != student]


def _loss(folder: Path, chats: Path) -> float:
    """Mean loss over answer tokens, computed slowly one token at a time."""
    import torch

    model, tokenizer = _open(folder)
    total, tokens = 0.0, 0
    for line in chats.read_text("utf-8").splitlines():
        ask, say = json.loads(line)["messages"]
        given = tokenizer.apply_chat_template([ask], add_generation_prompt=True)["input_ids"]
        for token in tokenizer(say["content"] + "<|end|>")["input_ids"]:
            with torch.no_grad():
                logits = model(torch.tensor([given])).logits[0, -1]
            total -= float(torch.log_softmax(logits, -1)[token])
            tokens += 1
            given = [*given, token]
    return total / tokens


def test_the_loss_that_is_reported_is_that_of_the_answers_alone(base: Path, chats: Path, tmp_path: Path) -> None:
    for micro_batch in (0, 2):
        out = FineTune(base, max_steps=1, micro_batch=micro_batch, precision="fp32")(chats, tmp_path / "one")
        record = read_student(out)
        assert record is not None and record["curve"][0]["loss"] == pytest.approx(_loss(base, chats), rel=1e-4)


def test_the_same_request_again_trains_nothing(student: Path, base: Path, chats: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere.jsonl"
    shutil.copy(chats, moved)
    steps: list[int] = []
    before = {f.name: f.stat().st_mtime_ns for f in student.iterdir()}
    again = FineTune(base, **OVERFIT, watch=lambda step, of, loss: steps.append(step))
    assert again(moved, student) == student and steps == []
    assert {f.name: f.stat().st_mtime_ns for f in student.iterdir()} == before


def test_the_same_seed_gives_the_same_student_and_another_request_replaces_it(
    base: Path, chats: Path, tmp_path: Path
) -> None:
    def weights(folder: Path) -> bytes:
        return (folder / "model.safetensors").read_bytes()

    seen: list[tuple[int, int]] = []
    tune = FineTune(
        base, max_steps=3, batch=4, learning_rate=1e-2, seed=1, watch=lambda step, of, loss: seen.append((step, of))
    )
    first = weights(tune(chats, tmp_path / "a"))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert weights(tune(chats, tmp_path / "b")) == first
    other = FineTune(base, max_steps=3, batch=4, learning_rate=1e-2, seed=2)
    assert weights(other(chats, tmp_path / "b")) != first
    record = read_student(tmp_path / "b")
    assert record is not None and record["seed"] == 2
    assert sorted(f.name for f in tmp_path.iterdir()) == ["a", "b"]


def test_lora_is_merged_into_an_ordinary_student(student: Path, tmp_path: Path) -> None:
    """A student learns other answers to the same questions; only the linear layers have moved."""
    from safetensors.numpy import load_file

    rows = [{"messages": [user(f"Who is {p}?"), assistant(f"Answer: {7 - n}")]} for n, p in enumerate(PLACES)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    tune = FineTune(student, adapter="lora", lora=Lora(rank=16, alpha=32), epochs=40, learning_rate=5e-3)
    out = tune(tmp_path / "rows.jsonl", tmp_path / "lora")
    record = read_student(out)
    assert record is not None and record["adapter"] == "lora" and record["lora"]["rank"] == 16
    assert record["curve"][-1]["loss"] < record["curve"][0]["loss"] / 4
    old, new = load_file(student / "model.safetensors"), load_file(out / "model.safetensors")
    assert old.keys() == new.keys() and not list(out.glob("adapter*"))
    assert {name for name in old if (old[name] != new[name]).any()} == {name for name in old if "_proj" in name}
    assert _loss(out, tmp_path / "rows.jsonl") == pytest.approx(record["curve"][-1]["loss"], rel=0.1)


def test_plain_text_is_learnt_with_replay_in_its_place(base: Path, tmp_path: Path) -> None:
    (tmp_path / "doc.txt").write_text("The river Tolmar flows past the town of Quell. " * 12, "utf-8")
    (tmp_path / "general.jsonl").write_text(
        "".join(json.dumps({"text": f"Ada has {n} apples and plums."}) + "\n" for n in range(30))
    )
    asked = FineTune(
        base,
        method="cpt",
        length=32,
        batch=2,
        epochs=20,
        learning_rate=1e-2,
        replay=tmp_path / "general.jsonl",
        replay_share=0.25,
    )
    record = read_student(asked(tmp_path / "doc.txt", tmp_path / "cpt"))
    assert record is not None
    assert record["curve"][-1]["loss"] < record["curve"][0]["loss"] / 3
    replay = record["replay"]
    blocks = round(record["epochs"] * record["examples"])
    assert (replay["mode"], replay["share"], replay["rows"]) == ("substitute", 0.25, 30)
    assert record["steps"] == -(-blocks // 2) and 0.1 < replay["substituted"] / blocks < 0.4 and replay["added"] == 0
    shorter = FineTune(
        base, method="cpt", length=32, batch=2, tokens=100, replay=tmp_path / "general.jsonl", replay_share=0
    )
    plain = read_student(shorter(tmp_path / "doc.txt", tmp_path / "cpt"))
    assert plain is not None and plain["replay"] is None and 100 <= plain["tokens_seen"] < 132


def test_bad_input_costs_nothing(base: Path, chats: Path, tmp_path: Path) -> None:
    (tmp_path / "text.jsonl").write_text('{"text": "plain"}\n')
    (tmp_path / "empty.jsonl").write_text("\n")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letters.txt").write_text("mine")
    bare = tiny_model(tmp_path / "bare", template=None)
    for tune, rows, out in (
        (FineTune(base), tmp_path / "text.jsonl", tmp_path / "s"),
        (FineTune(base), tmp_path / "empty.jsonl", tmp_path / "s"),
        (FineTune(base), tmp_path / "none", tmp_path / "s"),
        (FineTune(tmp_path / "none"), chats, tmp_path / "s"),
        (FineTune(base), chats, mine),
        (FineTune(base, length=3), chats, tmp_path / "s"),
        (FineTune(base, replay=tmp_path / "none"), chats, tmp_path / "s"),
        (FineTune(bare), chats, tmp_path / "s"),
    ):
        with pytest.raises(SynthgainError):
            tune(rows, out)
    assert not (tmp_path / "s").exists() and (mine / "letters.txt").read_text() == "mine"
    for wrong in (
        {"method": "dpo"},
        {"epochs": 0},
        {"batch": 8, "micro_batch": 3},
        {"replay_share": 1.0},
        {"max_steps": 0},
    ):
        with pytest.raises(SynthgainError):
            FineTune(base, **wrong)  # type: ignore[arg-type]


def test_an_interrupted_training_leaves_the_finished_student_alone(student: Path, base: Path, chats: Path) -> None:
    before = (student / "model.safetensors").read_bytes()

    def stop(step: int, steps: int, loss: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        FineTune(base, max_steps=5, watch=stop)(chats, student)
    assert (student / "model.safetensors").read_bytes() == before
    assert [f for f in student.parent.iterdir()] == [student]

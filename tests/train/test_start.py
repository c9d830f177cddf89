"""From what a student starts and how it ends: other ends of a turn, no padding token, settings that cannot be saved, random weights."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from doubles.tiny import tiny_model
from synthgain.models.hf import HF
from synthgain.train import FineTune, Scratch, read_student, said_of_rows
from synthgain.types import Prompt, Sampling, SynthgainError, assistant, user

PLACES = ("Quell", "Tolmar", "Ada", "Bo")
CHATML = (
    "{% for m in messages %}{{ '<|start|>' + m.role + '\n' + m.content + '<|end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start|>assistant\n' }}{% endif %}"
)


def edited(file: Path, **changes: Any) -> None:
    held = json.loads(file.read_text("utf-8"))
    held.update({name: value for name, value in changes.items() if value is not None})
    for name in (name for name, value in changes.items() if value is None):
        held.pop(name, None)
    file.write_text(json.dumps(held), "utf-8")


def chatml_model(folder: Path) -> Path:
    """A ChatML-like template that ends a turn with <|end|>, over a tokenizer that ends a text with <|none|> and has no padding token."""
    tiny_model(folder, template=CHATML)
    edited(folder / "tokenizer_config.json", eos_token="<|none|>", pad_token=None)
    edited(folder / "config.json", eos_token_id=0, pad_token_id=None)
    edited(folder / "generation_config.json", eos_token_id=0, pad_token_id=None)
    return folder


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    chats = [{"messages": [user(f"Who is {p}?"), assistant(f"Answer: {n}")]} for n, p in enumerate(PLACES)]
    file.write_text("".join(json.dumps(row) + "\n" for row in chats), "utf-8")
    return file


def record_of(student: Path) -> dict[str, Any]:
    record = read_student(student)
    assert record is not None
    return record


def answer(student: Path, question: str) -> tuple[str, str]:
    async def ask() -> tuple[str, str]:
        model = HF(student)
        try:
            call = await model(Prompt((user(question),), sampling=Sampling(temperature=0, max_tokens=24)))
        finally:
            await model.aclose()
        return call.text, call.finish

    return asyncio.run(ask())


def test_the_end_of_the_templates_turn_ends_the_students_answer(rows: Path, tmp_path: Path) -> None:
    base = chatml_model(tmp_path / "base")
    student = FineTune(base, epochs=60, batch=4, learning_rate=5e-3, decay="constant")(rows, tmp_path / "s")
    text, finish = answer(student, "Who is Ada?")
    assert text.startswith("Answer: ") and len(text) == len("Answer: 2") and finish == "stop"
    held = json.loads((student / "generation_config.json").read_text())
    assert held["eos_token_id"] == [2, 0]
    assert "stops at <|end|>" in said_of_rows(record_of(student))
    tokenizer = json.loads((student / "tokenizer_config.json").read_text())
    assert tokenizer.get("pad_token") is None and tokenizer["eos_token"] == "<|none|>"  # training changes no tokenizer


def test_settings_of_generation_that_do_not_validate_cost_no_student(rows: Path, tmp_path: Path) -> None:
    base = tiny_model(tmp_path / "base")
    edited(base / "generation_config.json", temperature=0.6, top_p=0.9, do_sample=False)
    student = FineTune(base, max_steps=2, minutes=0)(rows, tmp_path / "s")
    assert (student / "model.safetensors").is_file()
    assert json.loads((student / "generation_config.json").read_text())["eos_token_id"] == 2
    assert "do not validate" in said_of_rows(record_of(student))


def test_weights_are_kept_where_the_libraries_fail_to_save(
    rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import GenerationConfig, PreTrainedTokenizerFast

    def broken(*given: object, **more: object) -> None:
        raise ValueError("cannot be saved\nfor a reason")

    base = tiny_model(tmp_path / "base")
    with monkeypatch.context() as patch:
        patch.setattr(GenerationConfig, "save_pretrained", broken)
        patch.setattr(PreTrainedTokenizerFast, "save_pretrained", broken)
        student = FineTune(base, max_steps=2)(rows, tmp_path / "s")
    notes = record_of(student)["notes"]
    assert len(notes) == 2 and all("cannot be saved" in note and "\n" not in note for note in notes)
    whole = FineTune(base, max_steps=2)(rows, tmp_path / "t")
    from safetensors.numpy import load_file

    a, b = (load_file(folder / "model.safetensors") for folder in (student, whole))
    assert a.keys() == b.keys() and all((a[name] == b[name]).all() for name in a)
    assert answer(student, "Who is Ada?") == answer(whole, "Who is Ada?")


def test_a_student_from_random_weights(rows: Path, tmp_path: Path) -> None:
    tokenizer = tiny_model(tmp_path / "tiny")
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    (tmp_path / "small.json").write_text(json.dumps({"model_type": "llama", "max_position_embeddings": 128, **sizes}))
    start = Scratch(tmp_path / "small.json", tokenizer)
    students = [FineTune(start, max_steps=3, seed=seed)(rows, tmp_path / f"s{i}") for i, seed in enumerate((0, 0, 1))]
    weights = [(student / "model.safetensors").read_bytes() for student in students]
    assert weights[0] == weights[1] != weights[2]
    record = record_of(students[0])
    config = json.loads((students[0] / "config.json").read_text())
    assert record["base"] == "scratch" and (config["hidden_size"], config["eos_token_id"]) == (32, 2)
    assert record["curve"][-1]["loss"] < record["curve"][0]["loss"]
    assert answer(students[0], "Who is Ada?")[1] in ("stop", "length")


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ({"hidden_size": 32}, "no `model_type`"),
        ({"model_type": "llama", "vocab_size": 7}, "vocabulary of 7"),
        ({"model_type": "no such model"}, "no model can be made"),
    ],
)
def test_a_configuration_that_makes_no_model_is_refused(
    said: dict[str, Any], what: str, rows: Path, tmp_path: Path
) -> None:
    (tmp_path / "c.json").write_text(json.dumps(said))
    with pytest.raises(SynthgainError, match=what) as error:
        FineTune(Scratch(tmp_path / "c.json", tiny_model(tmp_path / "tiny")))(rows, tmp_path / "s")
    assert error.value.where.endswith("c.json") and not (tmp_path / "s").exists()
    with pytest.raises(SynthgainError, match="no tokenizer"):
        (tmp_path / "c.json").write_text('{"model_type": "llama"}')
        FineTune(Scratch(tmp_path / "c.json", tmp_path))(rows, tmp_path / "s")

"""`train` through the public face: the rows decide how they are learnt, and replay is learnt too."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import synthgain as sg
from doubles.tiny import tiny_model
from synthgain.loop import Arm, Part

SHORT: dict[str, Any] = {"max_steps": 2, "batch": 2, "length": 48}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"hf/{tiny_model(tmp_path_factory.mktemp('base') / 'tiny')}"


def lines(file: Path, records: Sequence[object]) -> Path:
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return file


def trained(source: object, out: Path, base: str, **more: Any) -> dict[str, Any]:
    student = sg.train(source, out=out, base=base, **SHORT, **more)
    return dict(json.loads((student / "student.json").read_text()))


def test_chats_are_learnt_as_chats_and_documents_as_text(tmp_path: Path, base: str) -> None:
    chat = {"messages": [{"role": "user", "content": "What is 2+2?"}, {"role": "assistant", "content": "Answer: 4"}]}
    alpaca = {"instruction": "What is 2+2?", "output": "Answer: 4"}
    found = {
        "chats": trained(lines(tmp_path / "chats.jsonl", [chat] * 3), tmp_path / "a", base),
        "alpaca": trained(lines(tmp_path / "alpaca.jsonl", [alpaca] * 3), tmp_path / "b", base),
        "texts": trained(lines(tmp_path / "texts.jsonl", [{"text": "A river."}] * 3), tmp_path / "c", base),
        "asked": trained(tmp_path / "chats.jsonl", tmp_path / "d", base, method="cpt"),
    }
    methods = {name: (record["method"], record["rows"]) for name, record in found.items()}
    assert methods == {"chats": ("sft", 3), "alpaca": ("sft", 3), "texts": ("cpt", 3), "asked": ("cpt", 3)}
    assert found["chats"]["data_digest"] == found["alpaca"]["data_digest"]


def test_a_run_its_folder_and_its_data_train_the_same_student(tmp_path: Path, base: str) -> None:
    run = sg.generate(
        "rft",
        [{"question": f"What is {i} + 1?", "answer": str(i + 1)} for i in range(4)],
        out=tmp_path / "run",
        model=sg.Scripted(lambda p: "Answer: 4"),
        without=("all",),
        text_field="question",
    )
    records = [trained(s, tmp_path / f"s{i}", base) for i, s in enumerate((run, run.path, str(run.path / "data")))]
    assert {r["method"] for r in records} == {"sft"} and len({r["data_digest"] for r in records}) == 1


def test_replay_is_learnt_from_a_file_and_from_the_base_itself(tmp_path: Path, base: str) -> None:
    rows = lines(tmp_path / "rows.jsonl", [{"text": f"New fact {i}."} for i in range(6)])
    general = lines(tmp_path / "general.jsonl", [{"text": "General text."}] * 3)
    told = trained(rows, tmp_path / "a", base, replay=general, replay_share=0.5, replay_mode="add")["replay"]
    assert (told["rows"], told["share"], told["mode"]) == (3, 0.5, "add")
    own = trained(rows, tmp_path / "b", base, replay="self", replay_texts=2)["replay"]
    assert own["rows"] == 2
    assert trained(rows, tmp_path / "c", base)["replay"] is None


def test_settings_that_nobody_knows_are_refused_before_anything_is_trained(tmp_path: Path, base: str) -> None:
    from synthgain.api.training import ArmTrainer

    for arm, more in ((Arm("a", (Part("x"),)), {"learning": 1}), (Arm("a", (Part("x"),), weights="openai/big"), {})):
        with pytest.raises(sg.SynthgainError, match="arm a"):
            ArmTrainer(base, 0, more).check([arm])

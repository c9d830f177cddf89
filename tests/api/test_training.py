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


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, sg.Run]:
    """A run of chats, of preference pairs, and of texts."""
    place = tmp_path_factory.mktemp("runs")
    made = {}
    for name, row in KINDS.items():
        (place / f"{name}.py").write_text(RECIPE.replace("ROW", row))
        made[name] = sg.generate(
            str(place / f"{name}.py"),
            [{"text": f"Who is {n}?"} for n in range(4)],
            out=place / name,
            model=sg.Scripted(lambda p: f"Answer: {len(p.messages[-1]['content'])}"),
        )
    return made


RECIPE = """
from synthgain.types import Prompt, Recipe, Row, assistant, user

async def draft(models, anchor):
    call = await models(Prompt((user(anchor.text),)))
    yield Row(ROW, calls=(call,))

RECIPE = Recipe("r", "1", draft)
"""
KINDS = {
    "chats": "messages=(user(anchor.text), assistant(call.text))",
    "pairs": "messages=(user(anchor.text), assistant(call.text)), rejected=(assistant('I do not know.'),)",
    "texts": "text=anchor.text + ' ' + call.text",
}
FORMS = [  # the others give the same tokens: tests/store/test_export.py
    ("chats", "sharegpt", "sft"),
    ("chats", "alpaca", "sft"),
    ("pairs", "preference", "dpo"),
    ("pairs", "openai", "sft"),
    ("texts", "text", "cpt"),
]


@pytest.mark.parametrize(("kind", "form", "method"), FORMS)
def test_what_export_writes_is_learnt_answers_and_all(
    runs: dict[str, sg.Run], kind: str, form: str, method: str, tmp_path: Path, base: str
) -> None:
    from transformers import AutoTokenizer

    file, _ = sg.export(runs[kind], to=form, out=tmp_path / "rows.jsonl")
    once = {"max_steps": 1, "batch": 4, "micro_batch": 4, "length": 256}
    record = json.loads((sg.train(file, out=tmp_path / "s", base=base, **once) / "student.json").read_text())
    assert (record["method"], record["read"]["rows"], record["read"]["no_answer"]) == (method, 4, 0)
    encode = AutoTokenizer.from_pretrained(base.removeprefix("hf/")).encode
    answers = {"sft": ["Answer: 9<|end|>"], "dpo": ["Answer: 9<|end|>", "I do not know.<|end|>"]}.get(method)
    if answers:
        assert record["curve"][0]["learnt"] == 4 * sum(len(encode(one)) for one in answers)
    else:
        whole = [encode(f"Who is {n}? Answer: 9<|end|>") for n in range(4)]
        assert record["tokens_per_epoch"] == sum(map(len, whole))


def test_the_rows_say_the_method_and_what_becomes_of_each_kind(tmp_path: Path, base: str) -> None:
    chat = {"messages": [{"role": "user", "content": "What is 2+2?"}, {"role": "assistant", "content": "Answer: 4"}]}
    asked = {"messages": chat["messages"][:1]}
    thought = {"instruction": "3+3?", "output": "<think>Three and three.</think>Answer: 6"}
    mixed = [{"text": "A river."}, chat, chat, thought, asked, {"prompt": "2?", "chosen": "Yes.", "rejected": "No."}]
    said: list[str] = []
    student = sg.train(lines(tmp_path / "m.jsonl", mixed), out=tmp_path / "m", base=base, say=said.append, **SHORT)
    record = json.loads((student / "student.json").read_text())
    assert (record["method"], record["examples"]) == ("sft", 5)
    for part in (
        "1 plain texts among chats",
        "1 with rejected turns",
        "1 with reasoning",
        "1 left out, without an answer",
    ):
        assert part in said[0], part


def test_replay_is_learnt_from_a_file_and_from_the_base_itself(tmp_path: Path, base: str) -> None:
    rows = lines(tmp_path / "rows.jsonl", [{"text": f"New fact {i}."} for i in range(6)])
    general = lines(tmp_path / "general.jsonl", [{"text": "General text."}] * 3)
    told = trained(rows, tmp_path / "a", base, replay=general, replay_share=0.5, replay_mode="add")["replay"]
    assert (told["rows"], told["share"], told["mode"]) == (3, 0.5, "add")
    (tmp_path / "long.txt").write_text(
        "A long text of many words. " * 40
    )  # no file of rows, and longer than an example
    long = trained(rows, tmp_path / "l", base, replay=tmp_path / "long.txt", replay_share=0.5)["replay"]
    assert long["examples"] > 4 and long["cut"] == 0
    (tmp_path / "table.csv").write_text("title,text\nOne,General text.\n")
    assert trained(rows, tmp_path / "t", base, replay=tmp_path / "table.csv", replay_share=0.5)["replay"]["rows"] == 1
    own = trained(rows, tmp_path / "b", base, replay="self", replay_texts=2)["replay"]
    assert own["rows"] == 2
    assert trained(rows, tmp_path / "c", base)["replay"] is None


def test_settings_that_nobody_knows_are_refused_before_anything_is_trained(tmp_path: Path, base: str) -> None:
    from synthgain.api.training import ArmTrainer

    for arm, more in ((Arm("a", (Part("x"),)), {"learning": 1}), (Arm("a", (Part("x"),), weights="openai/big"), {})):
        with pytest.raises(sg.SynthgainError, match="arm a"):
            ArmTrainer(base, 0, more).check([arm])


def test_two_trainings_into_one_place_do_not_meet(tmp_path: Path, base: str) -> None:
    from synthgain.store import writing

    rows = lines(tmp_path / "rows.jsonl", [{"text": "A river."}] * 3)
    with writing(tmp_path / ".s.lock"):
        with pytest.raises(sg.SynthgainError, match="writ"):
            sg.train(rows, out=tmp_path / "s", base=base, **SHORT)
    assert not (tmp_path / "s").exists()
    sg.train(rows, out=tmp_path / "s", base=base, **SHORT)
    assert sorted(f.name for f in tmp_path.iterdir()) == ["rows.jsonl", "s"]


@pytest.mark.parametrize("out", [".", "..", "/"])
def test_a_student_takes_nobodys_folder(tmp_path: Path, base: str, out: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project" / "work").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project" / "work")
    mine = tmp_path / "project" / "work" / "mine.jsonl"
    lines(mine, [{"text": "The mill stands on the Orrin."}] * 4)
    with pytest.raises(sg.SynthgainError) as said:
        sg.train(mine, out=out, base=base, **SHORT)
    assert said.value.code == 2 and mine.is_file()

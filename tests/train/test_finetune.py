import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from doubles.tiny import tiny_model
from synthgain.train import FineTune, Lora, read_student, said_of_rows
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


def test_tables_of_tokens_may_stay_as_they_are(base: Path, chats: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    asked = FineTune(base, max_steps=2, batch=2, length=48, learning_rate=1e-2, train_embeddings=False)
    student = asked(chats, tmp_path / "student")
    before, after = (AutoModelForCausalLM.from_pretrained(folder).state_dict() for folder in (base, student))
    same = {name for name, held in before.items() if held.equal(after[name])}
    assert same == {name for name in before if "embed_tokens" in name or "lm_head" in name}
    assert json.loads((student / "student.json").read_text())["train_embeddings"] is False


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
    (tmp_path / "asked.jsonl").write_text(json.dumps({"messages": [user("Who?")]}))
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letters.txt").write_text("mine")
    bare = tiny_model(tmp_path / "bare", template=None)
    for tune, rows, out in (
        (FineTune(base, method="sft"), tmp_path / "text.jsonl", tmp_path / "s"),
        (FineTune(base, method="dpo"), chats, tmp_path / "s"),
        (FineTune(base), tmp_path / "empty.jsonl", tmp_path / "s"),
        (FineTune(base), tmp_path / "none", tmp_path / "s"),
        (FineTune(base, replay=tmp_path / "asked.jsonl"), chats, tmp_path / "s"),
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
        {"method": "ppo"},
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


def test_a_tool_conversation_is_learnt_from_a_run(base: Path, tmp_path: Path) -> None:
    """From RUN/data, with tools and calls as JSON text, to a student that calls the tool."""
    tools = [{"type": "function", "function": {"name": "place"}}]
    turns = pa.list_(pa.struct([(name, pa.string()) for name in ("role", "content", "tool_calls", "tool_call_id")]))
    rows = []
    for n, name in enumerate(PLACES):
        call = {"id": f"c{n}", "type": "function", "function": {"name": "place", "arguments": json.dumps({"n": n})}}
        asked = {"role": "assistant", "content": "", "tool_calls": json.dumps([call])}
        rows.append({"id": str(n), "messages": [user(f"Who is {name}?"), asked], "tools": json.dumps(tools)})
    (tmp_path / "run" / "data").mkdir(parents=True)
    (tmp_path / "run" / "run.json").write_text("{}")
    (tmp_path / "run" / "data" / "README.md").write_text("A card.")
    schema = pa.schema([("id", pa.string()), ("messages", turns), ("tools", pa.string())])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), tmp_path / "run" / "data" / "part-00000.parquet")
    student = FineTune(base, **OVERFIT | {"epochs": 60})(tmp_path / "run", tmp_path / "student")
    record = read_student(student)
    assert record is not None and record["curve"][-1]["loss"] < 0.1
    read = {
        name: record["read"][name] for name in ("rows", "chats", "with_tools", "cut", "no_answer", "tools_unwritten")
    }
    assert read == {"rows": 8, "chats": 8, "with_tools": 8, "cut": 0, "no_answer": 0, "tools_unwritten": 0}
    model, tokenizer = _open(student)
    asked = tokenizer.apply_chat_template(
        [user("Who is Cleo?")], tools=tools, add_generation_prompt=True, return_tensors="pt"
    )
    said = model.generate(**asked, max_new_tokens=32, do_sample=False)[0, asked["input_ids"].shape[1] :]
    assert tokenizer.decode(said) == '<call>place {"n": 4}</call><|end|>'


def report_of(student: Path) -> str:
    import synthgain as sg

    return sg.report(student).read_text("utf-8")


def test_what_was_read_and_came_of_it_is_in_the_record(base: Path, tmp_path: Path) -> None:
    deaf = tiny_model(
        tmp_path / "deaf",
        template="{% for m in messages %}<|start|>{{ m['role'] }}\n{{ m['content'] }}<|end|>\n{% endfor %}{% if add_generation_prompt %}<|start|>assistant\n{% endif %}",
    )
    tools = [{"type": "function", "function": {"name": "place"}}]
    rows: list[dict[str, Any]] = [{"messages": [user(f"Who {n}?"), assistant("I.")]} for n in range(40)]
    rows += [
        {"messages": []},
        {"text": None},
        {"messages": [user("Who? " * 99), assistant("I.")]},
        {"messages": [user("Who?"), assistant("I. " * 99)]},
        {"messages": [user("Tools?"), assistant("No.")], "tools": tools},
        {"prompt": "Good?", "chosen": "Yes.", "rejected": "No."},
    ]
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "rows" / "README.md").write_text("A card.")
    record = read_student(FineTune(deaf, max_steps=1, length=64, seed=1)(tmp_path / "rows", tmp_path / "s"))
    assert record is not None
    assert record["read"] == {
        "files": 1, "files_left_out": ["README.md"], "rows": 44, "empty": 2, "chats": 44, "texts": 0, "with_tools": 1,
        "with_rejected": 1, "held_out": 4, "learnt": 40, "cut": 2, "no_answer": 1, "tools_unwritten": 1, "length": 64,
        "skipped": [], "refused": [], "unpaired": 0, "with_reasoning": 0,
    }  # fmt: skip
    said = said_of_rows(record)
    page = report_of(tmp_path / "s")
    assert "2 cut to 64 tokens" in page and "--method dpo" in page
    assert record["said"] == said and (
        said.startswith("44 rows read, 40 to learn; 4 held out; 2 empty")
        and "2 cut to 64 tokens; 1 left out" in said
        and "--method dpo" in said
    )


@pytest.mark.parametrize("method", ["sft", "cpt"])
def test_replay_is_read_in_every_shape_and_is_part_of_the_request(
    base: Path, chats: Path, tmp_path: Path, method: Any
) -> None:
    old: list[dict[str, Any]] = [{"text": f"Ada has {n} apples and plums."} for n in range(5)]
    old += [
        {"conversations": [{"from": "human", "value": f"{n}?"}, {"from": "gpt", "value": "Yes."}]} for n in range(5)
    ]
    general = tmp_path / "general.jsonl"

    def replayed(**more: Any) -> dict[str, Any]:
        tune = FineTune(base, method=method, max_steps=4, length=32, replay=general, replay_share=0.5, **more)
        record = read_student(tune(chats, tmp_path / "s"))
        assert record is not None
        return record

    general.write_text("".join(json.dumps(row) + "\n" for row in old))
    first = replayed()
    assert first["replay"]["rows"] == 10 and first["replay"]["substituted"] > 0 and first["replay"]["tokens"] > 0
    assert replayed()["seconds"] == first["seconds"]  # the same request trains nothing
    general.write_text("".join(json.dumps(row) + "\n" for row in old[:-1]))
    assert replayed()["request"] != first["request"]
    added = replayed(replay_mode="add")["replay"]
    assert added["substituted"] == 0 and added["added"] > 0


def test_reasoning_is_learnt_where_it_is_asked_for(base: Path, tmp_path: Path) -> None:
    rows: list[Any] = [
        {"messages": [user(f"{n}?"), {**assistant("Yes."), "reasoning": "A long thought."}]} for n in range(2)
    ]
    rows += [{"instruction": f"{n}?", "output": "<think>A long thought.</think>Yes."} for n in range(2, 4)]
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tokens = []
    for learn_reasoning in (False, True):
        tune = FineTune(base, max_steps=1, learn_reasoning=learn_reasoning)
        record = read_student(tune(tmp_path / "r.jsonl", tmp_path / "s"))
        assert record is not None and record["learn_reasoning"] is learn_reasoning
        assert ("4 with reasoning, which is not learnt" in said_of_rows(record)) is not learn_reasoning
        tokens.append(record["curve"][0]["learnt"])
    assert tokens[1] > 2 * tokens[0]

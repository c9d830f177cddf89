import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from doubles.tiny import tiny_model
from synthgain.train.data import IGNORED, Source, blocks, chats, data_digest, read_rows, texts
from synthgain.train.learn import load_tokenizer
from synthgain.types import SynthgainError, assistant, system, user

CHAT = {"messages": [user("Who built the bridge?"), assistant("The salt widow.")]}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    return load_tokenizer(tiny_model(tmp_path_factory.mktemp("tiny")))


def test_every_form_of_rows_gives_the_same_rows(tmp_path: Path) -> None:
    rows = [CHAT, {"messages": [user("a"), assistant("b")]}]
    lines = "".join(json.dumps(row) + "\n\n" for row in rows)
    (tmp_path / "a.jsonl").write_text("\ufeff" + lines, "utf-8")
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "c.json").write_text(json.dumps(rows), "utf-8")
    run = tmp_path / "run"
    (run / "data").mkdir(parents=True)
    (run / "run.json").write_text("{}")
    (run / "data" / "README.md").write_text("a card, not a row")
    for n, row in enumerate(rows):
        pq.write_table(pa.Table.from_pylist([row | {"id": str(n), "text": None}]), run / "data" / f"part-{n}.parquet")
    places = [tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz", tmp_path / "c.json", run, run / "data"]
    assert len({data_digest(read_rows(place)) for place in places}) == 1
    assert read_rows(tmp_path / "a.jsonl")[1].where.endswith("a.jsonl:3")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("r.jsonl", '{"text": "good"}\n{'), ("r.jsonl", '{"text": "good"}\n{"messages": []}'), ("r.jsonl", '{"text": "good"}\n{"text": " "}'),
        ("r.jsonl", '{"text": "good"}\n{"messages": [{"role": "king", "content": "x"}]}'), ("r.jsonl", '{"text": "good"}\n{"messages": [{"role": "user"}]}'),
        ("r.jsonl", '{"text": "good"}\n7'),
    ],
)  # fmt: skip
def test_a_bad_line_is_named(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, "utf-8")
    with pytest.raises(SynthgainError) as error:
        read_rows(tmp_path / name)
    assert error.value.where == f"{tmp_path / name}:2"


def test_nothing_to_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "x.bin").write_bytes(b"\0")
    (tmp_path / "latin.txt").write_bytes("é".encode("latin-1"))
    pq.write_table(pa.table({"prompt": ["a"]}), tmp_path / "other.parquet")
    (tmp_path / "folder").mkdir()
    for name in ("none", "empty.jsonl", "bad.parquet", "x.bin", "latin.txt", "other.parquet", "folder"):
        with pytest.raises(SynthgainError):
            read_rows(tmp_path / name)


def test_loss_is_on_the_answer_and_its_end_and_on_nothing_else(tokenizer) -> None:  # type: ignore[no-untyped-def]
    example = chats([Source("x", messages=tuple(CHAT["messages"]))], tokenizer, 512).examples[0]
    learnt = [i for i, label in zip(example.ids, example.labels) if label != IGNORED]
    given = [i for i, label in zip(example.ids, example.labels) if label == IGNORED]
    assert tokenizer.decode(learnt) == "The salt widow.<|end|>"
    assert tokenizer.decode(given) == "<|start|>user\nWho built the bridge?<|end|>\n<|start|>assistant\n"
    assert all(label in (token, IGNORED) for token, label in zip(example.ids, example.labels))
    asked = tokenizer.apply_chat_template(CHAT["messages"][:1], add_generation_prompt=True)["input_ids"]
    assert list(example.ids[: len(asked)]) == asked  # exactly what the student will be given when it answers


def test_each_answer_of_a_longer_chat_is_learnt(tokenizer) -> None:  # type: ignore[no-untyped-def]
    chat = (system("Be brief."), user("One?"), assistant("Yes."), user("Two?"), assistant("No."))
    example = chats([Source("x", messages=chat)], tokenizer, 512).examples[0]
    runs: list[list[int]] = []
    for n, label in enumerate(example.labels):
        if label != IGNORED:
            if n == 0 or example.labels[n - 1] == IGNORED:
                runs.append([])
            runs[-1].append(label)
    assert [tokenizer.decode(run) for run in runs] == ["Yes.<|end|>", "No.<|end|>"]
    whole = tokenizer.apply_chat_template(list(chat), tokenize=False)
    assert tokenizer.decode(example.ids) == whole.rstrip("\n")


def test_a_template_that_rewrites_earlier_turns_gives_one_example_an_answer(tokenizer) -> None:  # type: ignore[no-untyped-def]
    from copy import deepcopy

    thinks = deepcopy(tokenizer)
    thinks.chat_template = (
        "{% for m in messages %}<|start|>{{ m['role'] }}\n{% if loop.last and m['role'] == 'assistant' %}<think></think>{% endif %}"
        "{{ m['content'] }}<|end|>\n{% endfor %}{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
    )
    chat = (user("One?"), assistant("Yes."), user("Two?"), assistant("No."))
    found = chats([Source("x", messages=chat)], thinks, 512)
    said = [thinks.decode([label for label in e.labels if label != IGNORED]) for e in found.examples]
    assert said == ["<think></think>Yes.<|end|>", "<think></think>No.<|end|>"] and found.rows == 1


def test_what_is_cut_or_left_out_is_counted(tokenizer) -> None:  # type: ignore[no-untyped-def]
    rows = [Source("x", messages=tuple(CHAT["messages"])), Source("y", messages=(user("Who? " * 60), assistant("I.")))]
    full = len(chats(rows[:1], tokenizer, 512).examples[0].ids)
    found = chats(rows, tokenizer, full - 1)
    assert (found.rows, found.truncated, found.left_out, len(found.examples)) == (2, 2, 1, 1)
    assert found.tokens == full - 1


def test_rows_that_cannot_be_learnt_are_refused(tokenizer) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SynthgainError) as error:
        chats([Source("f:1", text="plain")], tokenizer, 64)
    assert "cpt" in error.value.next and error.value.where == "f:1"
    with pytest.raises(SynthgainError):
        chats([Source("f:2", messages=(user("only a question"),))], tokenizer, 64)


def test_blocks_hold_every_token_once_with_an_end_after_each_document(tokenizer) -> None:  # type: ignore[no-untyped-def]
    rows = [
        Source("a", text="The river Tolmar flows."),
        Source("b", messages=tuple(CHAT["messages"])),
        Source("c", text="Ada has four apples."),
    ]
    found = blocks(rows, tokenizer, 8)
    stream = [token for e in found.examples for token in e.ids]
    assert all(len(e.ids) == 8 for e in found.examples[:-1]) and all(e.ids == e.labels for e in found.examples)
    said = tokenizer.decode(stream)
    chat = tokenizer.apply_chat_template(CHAT["messages"], tokenize=False).rstrip("\n")
    expected = f"The river Tolmar flows.<|end|>{chat}Ada has four apples.<|end|>"
    assert (
        expected.startswith(said) and len(tokenizer(expected)["input_ids"]) - len(stream) <= 1
    )  # a block of one token teaches nothing


def test_a_block_names_the_rows_that_it_holds(tokenizer) -> None:  # type: ignore[no-untyped-def]
    rows = [Source(str(n), text=f"The river Tolmar flows past {n}. " * (n + 1)) for n in range(4)]
    owners: list[int] = []  # the row of each token
    for n, row in enumerate(rows):
        owners += [n] * (len(tokenizer(row.text)["input_ids"]) + 1)
    found = blocks(rows, tokenizer, 16)
    assert [set(named) for named in found.rows_of] == [
        set(owners[16 * i : 16 * i + len(e.ids)]) for i, e in enumerate(found.examples)
    ]
    several = chats([Source("x", messages=tuple(CHAT["messages"]))] * 3, tokenizer, 512)
    assert several.rows_of == ((0,), (1,), (2,))


def test_single_texts_are_ended_and_cut(tokenizer) -> None:  # type: ignore[no-untyped-def]
    found = texts([Source("a", text="Ada"), Source("b", text="apples " * 50)], tokenizer, 16)
    assert tokenizer.decode(found.examples[0].ids) == "Ada<|end|>"
    assert len(found.examples[1].ids) == 16 and (found.truncated, found.left_out) == (1, 0)

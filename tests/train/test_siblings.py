import json
import math
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from doubles.tiny import tiny_model
from synthgain.measure.after_training import StudentLosses, after_training
from synthgain.measure.gain import Losses
from synthgain.models.scorer import HFScorer
from synthgain.train import FineTune, read_pairs, read_student, siblings
from synthgain.train import trainer as learning
from synthgain.train.rows import prompt_of, read_rows
from synthgain.train.shapes import TrainingRow
from synthgain.train.siblings import LEAST, PAIRS, candidates, pairs
from synthgain.types import SynthgainError, assistant, system, user


def split(rows: Sequence[TrainingRow], share: float, seed: int) -> tuple[list[int], list[int], siblings.Split]:
    """The places learnt and held out."""
    prompts = np.array([int(prompt_of(row)[:16], 16) for row in rows], np.uint64)
    found = siblings.split(prompts, share, seed)
    return np.flatnonzero(~found.held).tolist(), np.flatnonzero(found.held).tolist(), found


def chat(question: str, answer: str) -> TrainingRow:
    return TrainingRow("x", messages=(user(question), assistant(answer)))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 questions with answers that nothing but memory can give."""
    dice = random.Random(3)
    file = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    said = [{"messages": [user(f"Room {n}?"), assistant(f"{dice.randrange(100, 1000)}")]} for n in range(40)]
    file.write_text("".join(json.dumps(row) + "\n" for row in said), "utf-8")
    return file


def record_of(student: Path) -> dict[str, Any]:
    record = read_student(student)
    assert record is not None
    return record


# ---------------------------------------------------------------------------------------------- which rows


def test_the_unit_is_what_stands_before_the_last_answer() -> None:
    assert prompt_of(chat("Who?", "I.")) == prompt_of(chat("Who?", "You.")) != prompt_of(chat("Where?", "I."))
    longer = TrainingRow("x", messages=(user("Who?"), assistant("I."), user("And?"), assistant("You.")))
    other = TrainingRow("x", messages=(user("Who?"), assistant("He."), user("And?"), assistant("You.")))
    assert len({prompt_of(longer), prompt_of(other), prompt_of(chat("Who?", "I."))}) == 3
    assert prompt_of(TrainingRow("x", messages=(system("Be brief."), user("Who?"), assistant("I.")))) != prompt_of(
        chat("Who?", "I.")
    )


def test_the_unit_is_told_by_its_tools_and_not_by_what_is_learnt() -> None:
    tools = ({"type": "function", "function": {"name": "place"}},)
    plain = chat("Who?", "I.")
    assert prompt_of(TrainingRow("x", messages=plain.messages, tools=tools)) != prompt_of(plain)
    turns = (user("Who?"), assistant("I."), user("And?"), assistant("You."))
    masked = (turns[0], {**turns[1], "learn": False}, *turns[2:])
    assert prompt_of(TrainingRow("x", messages=masked)) == prompt_of(TrainingRow("x", messages=turns))  # type: ignore[arg-type]


def test_the_unit_of_a_text_is_its_anchors_or_itself(tmp_path: Path) -> None:
    a, b = TrainingRow("x", text="one", anchors=("p", "q")), TrainingRow("y", text="two", anchors=("q", "p"))
    assert prompt_of(a) == prompt_of(b) != prompt_of(TrainingRow("z", text="one", anchors=("p",)))
    assert (
        prompt_of(TrainingRow("x", text="one"))
        == prompt_of(TrainingRow("y", text="one"))
        != prompt_of(TrainingRow("x", text="t"))
    )
    table = pa.table({"text": ["one", "two", "three"], "anchor_ids": [["p"], ["p"], []]})
    pq.write_table(table, tmp_path / "rows.parquet")
    (tmp_path / "rows.jsonl").write_text('{"text": "one", "anchor_ids": ["p"]}\n{"text": "two", "anchor_ids": 7}\n')
    assert [row.anchors for row in read_rows(tmp_path / "rows.parquet")] == [("p",), ("p",), ()]
    assert [row.anchors for row in read_rows(tmp_path / "rows.jsonl")] == [("p",), ()]


def test_whole_prompts_are_held_out_and_the_order_of_rows_is_nothing() -> None:
    rows = [chat(f"Q{n % 60}", f"A{n}") for n in range(200)]  # three or four answers each
    places, out, found = split(rows, 0.1, 0)
    held, learnt = ([prompt_of(rows[i]) for i in some] for some in (out, places))
    assert sorted(out + places) == list(range(200)) and len(out) == 20
    assert not set(held) & set(learnt) and (len(set(held)), found.prompts) == (found.prompts_held, 60)
    mixed = random.Random(1).sample(rows, len(rows))
    answers = {str(rows[i].messages) for i in out}
    assert {str(mixed[i].messages) for i in split(mixed, 0.1, 0)[1]} == answers
    assert {str(rows[i].messages) for i in split(rows, 0.1, 1)[1]} != answers


def test_arms_of_equally_many_rows_are_left_equally_many() -> None:
    dice = random.Random(0)
    every = [chat(f"Q{n // 4}", f"A{n}") for n in range(800)]
    left = {len(split(dice.sample(every, 300), 0.1, 5)[0]) for _ in range(20)}
    assert left == {270}
    arms = [{prompt_of(arm[i]) for i in split(arm, 0.1, 5)[1]} for arm in (every[:600], every[:700])]
    assert len(arms[0] & arms[1]) > 0.7 * len(arms[0])  # arms that share prompts hold out the same ones


@pytest.mark.parametrize(
    ("rows", "share", "why"),
    [
        ([chat(f"Q{n}", "A") for n in range(40)], 0, "switched off"),
        ([chat(f"Q{n}", "A") for n in range(LEAST - 1)] * 9, 0.1, f"{LEAST - 1} different prompts"),
        ([TrainingRow("x", text=f"document {n % 8}") for n in range(200)], 0.1, "8 different prompts"),
        ([TrainingRow("x", text=f"t{n}") for n in range(25)], 0.001, "no prompt is small enough"),
    ],
)
def test_nothing_is_held_out_where_it_cannot_be_or_must_not(rows: list[TrainingRow], share: float, why: str) -> None:
    learnt, held, found = split(rows, share, 0)
    assert held == [] and len(learnt) == len(rows) and why in found.why


def test_one_large_prompt_does_not_empty_the_rest() -> None:
    rows = [chat("Q", f"A{n}") for n in range(1000)] + [chat(f"Q{n}", "A") for n in range(29)]
    learnt, _, found = split(rows, 0.1, 0)
    assert 0 < found.prompts_held <= 6 and len(learnt) >= 1000


# ---------------------------------------------------------------------------------------------- the student's folder


def test_a_tenth_is_held_out_and_said(base: Path, rows: Path, tmp_path: Path) -> None:
    student = FineTune(base, max_steps=9, batch=8, learning_rate=1e-2)(rows, tmp_path / "s")
    record, table = record_of(student), pq.read_table(student / "siblings.parquet").to_pylist()
    held = record["held_out"]
    assert (record["hold_out"], record["rows"], held["rows"], held["prompts"], held["of_prompts"]) == (
        0.1,
        36,
        4,
        4,
        40,
    )
    assert (held["pairs"], held["file"], held["why"], len(held["digest"])) == (4, "siblings.parquet", "", 64)
    assert Counter(row["member"] for row in table) == {True: 4, False: 4}
    assert len({row["id"] for row in table}) == 8 and sorted(row["pair"] for row in table) == [0, 0, 1, 1, 2, 2, 3, 3]
    asked = {json.loads(line)["messages"][0]["content"] for line in rows.read_text("utf-8").splitlines()}
    assert {row["messages"][0]["content"] for row in table} < asked
    curve = record["curve"]
    assert sum(p["first"] for p in curve) < sum(p["learnt"] for p in curve) == 2 * sum(p["first"] for p in curve)
    assert [p["first"] for p in curve[:4]] == [p["learnt"] for p in curve[:4]] and not any(
        p["first"] for p in curve[5:]
    )


def test_the_share_is_part_of_the_request(base: Path, rows: Path, tmp_path: Path) -> None:
    def seen(**more: Any) -> list[int]:
        steps: list[int] = []
        FineTune(base, max_steps=1, watch=lambda step, of, loss: steps.append(step), **more)(rows, tmp_path / "s")
        return steps

    assert (seen(), seen(), seen(hold_out=0), seen(hold_out=0), seen()) == ([1], [], [1], [], [1])
    FineTune(base, max_steps=1, hold_out=0)(rows, tmp_path / "s")
    assert read_pairs(tmp_path / "s") is None and record_of(tmp_path / "s")["held_out"]["file"] is None
    for share in (-0.1, 0.6):
        with pytest.raises(SynthgainError):
            FineTune(base, hold_out=share)


def test_the_curve_holds_the_losses_of_the_rows_before_they_are_learnt(base: Path, rows: Path, tmp_path: Path) -> None:
    """With steps of no size the first pass is the base's loss on the learnt rows, here the members, scored slowly."""
    tune = FineTune(base, epochs=2, batch=8, learning_rate=1e-12, hold_out=0.5, precision="fp32")
    student = tune(rows, tmp_path / "s")
    pairs = read_pairs(student)
    assert pairs is not None and len(pairs.members) == len(pairs.siblings) == 20
    before = Losses.of(HFScorer(base).logprobs(pairs.members))
    curve = record_of(student)["curve"]
    assert sum(p["first"] for p in curve) == before.tokens.sum()
    assert sum(p["first"] * p["loss"] for p in curve) == pytest.approx(before.nats.sum(), rel=2e-3)
    assert all(said.endswith("<|end|>") and given.endswith("assistant\n") for given, said in pairs.members)


def test_a_curve_of_few_points_keeps_the_sums(
    base: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tune = FineTune(base, epochs=3, batch=8, learning_rate=1e-2)
    whole = record_of(tune(rows, tmp_path / "a"))["curve"]
    monkeypatch.setattr(learning, "CURVE", 3)
    short = record_of(tune(rows, tmp_path / "b"))["curve"]
    assert len(whole) == 14 and len(short) <= 4 and short[-1]["tokens"] == whole[-1]["tokens"]
    for sums in (
        lambda curve: sum(p["learnt"] for p in curve),
        lambda curve: sum(p["first"] for p in curve),
        lambda curve: sum(p["learnt"] * p["loss"] for p in curve),
    ):
        assert sums(short) == pytest.approx(sums(whole), rel=1e-6)
    assert next(p["step"] for p in reversed(short) if p["first"]) == 5  # the first pass ends with a point


def test_rows_that_the_schedule_never_reaches_are_no_members(base: Path, rows: Path, tmp_path: Path) -> None:
    student = FineTune(base, max_steps=2, batch=4, hold_out=0.5)(rows, tmp_path / "s")
    pairs = read_pairs(student)
    assert pairs is not None and len(pairs.members) == len(pairs.siblings) == 8
    assert record_of(student)["epochs"] == 0.4


def test_what_was_learnt_by_heart_is_told_from_what_was_not(base: Path, rows: Path, tmp_path: Path) -> None:
    """From training to readings: the strings on disk, a scorer, the meter."""
    student = FineTune(base, epochs=40, learning_rate=5e-3, decay="constant", hold_out=0.5)(rows, tmp_path / "s")
    pairs = read_pairs(student)
    assert pairs is not None and len(pairs.members) == 20
    members, siblings, members_before, siblings_before = (
        Losses.of(HFScorer(model).logprobs(side))
        for model in (student, base)
        for side in (pairs.members, pairs.siblings)
    )
    losses = StudentLosses(
        record_of(student),
        members=members,
        siblings=siblings,
        members_before=members_before,
        siblings_before=siblings_before,
    )
    found = {reading.name: reading for reading in after_training([losses])}
    assert math.log(2) >= found["memo"].value > found["memo"].low > 0  # type: ignore[operator]
    assert found["generalisation_gap"].low > 0.5 and found["generalisation_gap_calibrated"].low > 0.5  # type: ignore[operator]
    spent = sum(p["first"] * p["loss"] for p in losses.record["curve"])
    tokens = sum(p["first"] for p in losses.record["curve"])
    assert found["absorbed"].value == pytest.approx(spent - tokens * siblings.nats.sum() / siblings.tokens.sum())
    assert found["absorbed"].low is None and found["gain"].value is None


def test_texts_are_held_out_by_their_anchors(base: Path, tmp_path: Path) -> None:
    texts = [f"The river Tolmar flows past the town of Quell {n} times. " * 3 for n in range(60)]
    anchors = [[f"anchor {n % 30}"] for n in range(60)]
    pq.write_table(pa.table({"text": texts, "anchor_ids": anchors}), tmp_path / "rows.parquet")
    student = FineTune(base, method="cpt", max_steps=25, batch=8, length=32)(tmp_path / "rows.parquet", tmp_path / "s")
    record, pairs = record_of(student), read_pairs(student)
    assert (record["rows"], record["held_out"]["rows"], record["held_out"]["prompts"]) == (54, 6, 3)
    assert pairs is not None and len(pairs.members) == 3  # one row a prompt
    for given, said in (*pairs.members, *pairs.siblings):
        assert given == "" and said and any(text.startswith(said.removesuffix("<|end|>")) for text in texts)
    scored = HFScorer(student).logprobs(pairs.members)
    assert all(len(one) <= 31 for one in scored)
    pq.write_table(pa.table({"text": texts[:8] * 4}), tmp_path / "few.parquet")
    few = record_of(FineTune(base, method="cpt", max_steps=1, length=32)(tmp_path / "few.parquet", tmp_path / "f"))
    assert few["rows"] == 32 and "8 different prompts" in few["held_out"]["why"]


def test_a_row_that_was_learnt_under_another_prompt_is_no_sibling(tmp_path: Path) -> None:
    texts = [f"The mill of place {n} has {n * 7 % 40} wheels." for n in range(40)]
    twice = [*texts, *texts[:20]]
    table = pa.table({"text": twice, "anchor_ids": [[f"a{n}"] for n in range(len(twice))]})
    pq.write_table(table, tmp_path / "rows.parquet")
    read = read_rows(tmp_path / "rows.parquet")
    held = siblings.split(read.prompts, 0.2, 0).held
    members, fresh = candidates(read, ~held, held, 0)
    learnt = {text for text, out in zip(twice, held) if not out}
    assert {row.text for row in members} == learnt and fresh
    assert not {row.text for row in fresh} & learnt
    assert {text for text, out in zip(twice, held) if out} & learnt  # there was something to leave out


def test_pairs_are_few_enough_to_be_scored(base: Path, tmp_path: Path) -> None:
    from synthgain.train.weights import load_tokenizer

    some = [chat(f"Q{n}", f"A{n}") for n in range(PAIRS + 60)]
    tokenizer = load_tokenizer(base)
    others = [chat(f"R{n}", f"A{n}") for n in range(PAIRS + 60)]
    found = pairs(some, others, tokenizer=tokenizer, method="sft", length=64, seed=0)
    assert len(found) == 2 * PAIRS
    long = [*some[:3], chat("Q" * 400, "A")]
    assert len(pairs(long, others, tokenizer=tokenizer, method="sft", length=64, seed=0)) == 6  # its answer is cut away
    cut = pairs([chat("Q", "Ada has " * 60)], others, tokenizer=tokenizer, method="sft", length=64, seed=0).to_pylist()[
        0
    ]
    assert len(tokenizer(cut["given"] + cut["said"], add_special_tokens=False)["input_ids"]) <= 64
    (tmp_path / "siblings.parquet").write_bytes(b"PAR1")
    with pytest.raises(SynthgainError):
        read_pairs(tmp_path)


def test_tool_conversations_are_paired_as_they_are_learnt(base: Path) -> None:
    from synthgain.train.weights import load_tokenizer

    tools = ({"type": "function", "function": {"name": "place"}},)

    def asks(n: int) -> TrainingRow:
        call = {"id": "c", "type": "function", "function": {"name": "place", "arguments": json.dumps({"n": n})}}
        turns = (user(f"Q{n}"), {"role": "assistant", "content": "", "tool_calls": [call]})
        return TrainingRow("x", messages=turns, tools=tools)  # type: ignore[arg-type]

    learnt, held = [asks(n) for n in range(3)], [asks(n) for n in range(3, 6)]
    table = pairs(learnt, held, tokenizer=load_tokenizer(base), method="sft", length=400, seed=0).to_pylist()
    assert len(table) == 6
    for row in table:
        assert row["given"].startswith("<|start|>system\nTools:") and row["given"].endswith("assistant\n")
        n = json.loads(json.loads(row["messages"][1]["tool_calls"])[0]["function"]["arguments"])["n"]
        assert row["said"] == f'<call>place {{"n": {n}}}</call><|end|>' and json.loads(row["tools"]) == list(tools)
        assert row["member"] is (n < 3)


def test_a_row_without_an_answer_is_counted_on_either_side(base: Path, rows: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text(rows.read_text("utf-8") + json.dumps({"messages": [user("Who?")]}) + "\n", "utf-8")
    for seed in range(3):
        student = FineTune(base, max_steps=1, hold_out=0.5, seed=seed)(bad, tmp_path / "s")
        read, pairs = record_of(student)["read"], read_pairs(student)
        assert read["rows"] == 41 and read["no_answer"] in (0, 1) and pairs is not None

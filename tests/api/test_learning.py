"""What students learn from: anybody's rows as they are, and the rows of arms, equally many where they should be."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synthgain.api.learning import rows_of, write_rows
from synthgain.loop import FILTERED, RAW, REPEATED, UNFILTERED, Arm, Part
from synthgain.store.rows import table
from synthgain.train.rows import read_rows
from synthgain.train.shapes import TrainingRow
from synthgain.types import Anchor, Message, Row, SynthgainError, assistant, drop, user

TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}
ASKS: Message = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": 2}'}}],
}


def run_of(path: Path, rows: Sequence[Row], anchors: Sequence[Anchor] = ()) -> Path:
    """The parts of a finished run that arms are made of, in shards of seven rows."""
    for name in ("rows", "data", "anchors"):
        (path / name).mkdir(parents=True)
    for n in range(0, len(rows), 7):
        shard = table(rows[n : n + 7])
        pq.write_table(shard, path / "rows" / f"part-{n:05d}.parquet")
        pq.write_table(shard.filter(shard.column("kept")), path / "data" / f"part-{n:05d}.parquet")
    columns = {name: [getattr(a, name) for a in anchors] for name in ("id", "text", "source")}
    fields = pa.array(["{}"] * len(anchors), pa.string())
    pq.write_table(pa.table({**columns, "fields": fields}), path / "anchors" / "part-00000.parquet")
    (path / "run.json").write_text('{"format": 2}')
    return path


def answer(text: str, *, falls: bool = False) -> Row:
    verdicts = (drop("wrong", check="final-answer"),) if falls else ()
    return Row(messages=(user("q"), assistant(text)), verdicts=verdicts, anchors=("a",))


def learnt(file: Path) -> list[TrainingRow]:
    return list(read_rows(file))


def said(file: Path) -> list[str]:
    return [row.messages[-1]["content"] if row.messages else row.text or "" for row in learnt(file)]


# ---------------------------------------------------------------------------------------------- the arms of a round


def test_matched_arms_have_equally_many_rows_and_the_control_ignores_the_checks(tmp_path: Path) -> None:
    rows = [answer(f"right {i}") for i in range(20)] + [answer(f"wrong {i}", falls=True) for i in range(80)]
    rows.append(answer(" ", falls=True))
    arms = write_rows([UNFILTERED, FILTERED], run_of(tmp_path / "run", rows), tmp_path / "arms", seed=1)
    assert list(arms) == ["unfiltered", "filtered"]
    assert (arms["filtered"].n, arms["unfiltered"].n, arms["filtered"].method) == (20, 20, "sft")
    assert (arms["filtered"].left_out, arms["unfiltered"].left_out) == (0, 1)
    assert said(arms["filtered"].path) == [f"right {i}" for i in range(20)]
    drawn = said(arms["unfiltered"].path)
    assert len(set(drawn)) == 20 and 10 <= sum(text.startswith("wrong") for text in drawn) <= 20 and " " not in drawn


def test_a_draw_is_of_rows_not_of_places(tmp_path: Path) -> None:
    rows = [answer(f"answer {i}", falls=i % 3 > 0) for i in range(60)]
    one, other = (
        said(
            write_rows([UNFILTERED, FILTERED], run_of(tmp_path / name, given), tmp_path / f"{name}-arms", seed=seed)[
                "unfiltered"
            ].path
        )
        for name, given, seed in (("a", rows, 0), ("b", rows[::-1], 0))
    )
    assert sorted(one) == sorted(other)
    third = write_rows([UNFILTERED, FILTERED], tmp_path / "a", tmp_path / "c", seed=5)["unfiltered"].path
    assert sorted(said(third)) != sorted(one)


def test_a_recipe_of_texts_is_learnt_as_texts_beside_its_documents(tmp_path: Path) -> None:
    rows = [Row(text=f"A restated fact {i}.", anchors=("x",)) for i in range(9)]
    run = run_of(tmp_path / "run", rows, [Anchor("The first document."), Anchor("The second document.")])
    found = write_rows([RAW, REPEATED, UNFILTERED, FILTERED], run, tmp_path / "arms")
    assert {name: (rows.method, rows.n) for name, rows in found.items()} == {
        "raw": ("cpt", 2),
        "repeated": ("cpt", 2),
        "unfiltered": ("cpt", 9),
        "filtered": ("cpt", 9),
    }
    assert said(found["repeated"].path) == ["The first document.", "The second document."]
    assert learnt(found["filtered"].path)[0].anchors == ("x",)


def test_texts_under_sft_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", [Row(text="A text.")])
    with pytest.raises(SynthgainError, match="needs chats") as error:
        write_rows([Arm("filtered", (Part(),), method="sft")], run, tmp_path / "arms")
    assert "cpt" in error.value.next


def test_candidates_that_have_no_answer_are_left_out_and_counted(tmp_path: Path) -> None:
    unread = drop("not to be parsed", check="parse")
    silent = Row(messages=(user("q"),), verdicts=(unread,))
    hidden: Message = {"role": "assistant", "content": "hidden", "learn": False}
    rows = [
        answer("a"),
        answer("b"),
        Row(text="raw text", verdicts=(unread,)),
        silent,
        Row(messages=(user("q"), hidden)),
    ]
    found = write_rows([Arm("all", (Part(take="candidates"),))], run_of(tmp_path / "run", rows), tmp_path / "arms")[
        "all"
    ]
    assert (found.n, found.left_out, sorted(said(found.path))) == (2, 3, ["a", "b"])


def test_nothing_kept_is_an_error_that_says_where_to_look(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", [answer("x", falls=True)])
    with pytest.raises(SynthgainError, match="nothing to train on") as error:
        write_rows([UNFILTERED, FILTERED], run, tmp_path / "arms")
    assert "report" in error.value.next


def test_a_conversation_with_tools_and_a_preference_pair_stay_whole(tmp_path: Path) -> None:
    answers: Message = {"role": "tool", "content": "4", "tool_call_id": "1"}
    tools = Row(messages=(user("2 + 2?"), ASKS, answers, assistant("4")), tools=(TOOL,), anchors=("a", "b"))
    calls = Row(messages=(user("Add."), ASKS), tools=(TOOL,))
    pair = Row(messages=(user("Better?"), assistant("yes")), rejected=(assistant("no"),))
    found = write_rows([FILTERED], run_of(tmp_path / "run", [tools, calls, pair]), tmp_path / "arms")["filtered"]
    first, second, third = learnt(found.path)
    assert (first.messages, first.tools, first.anchors) == (tools.messages, (TOOL,), ("a", "b"))
    assert (second.messages, found.left_out) == (calls.messages, 0)
    assert third.rejected == pair.rejected


# ---------------------------------------------------------------------------------------------- mixtures


def lines(file: Path, records: Sequence[object]) -> str:
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(file)


def test_a_mixture_of_runs_and_files_keeps_its_shares(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", [answer(f"run {i}") for i in range(40)])
    general = [{"messages": [user("Hi."), assistant(f"file {i}")]} for i in range(9)]
    file = lines(tmp_path / "general.jsonl", general)
    arm = Arm("mixed", (Part(str(run), share=0.75), Part(file, share=0.25)))
    found = write_rows([arm], None, tmp_path / "arms")["mixed"]
    assert (found.n, found.method) == (36, "sft")
    assert Counter(text.split()[0] for text in said(found.path)) == {"run": 27, "file": 9}


@pytest.mark.parametrize("shares", [(1 / 3, 2 / 3), (0.37, 0.63), (0.1, 0.9), (0.5, 0.5)])
def test_matched_mixtures_have_exactly_as_many_rows(tmp_path: Path, shares: tuple[float, float]) -> None:
    a, b = (run_of(tmp_path / name, [answer(f"{name} {i}") for i in range(30)]) for name in "ab")
    parts = tuple(Part(str(run), share=share) for run, share in zip((a, b), shares))
    arms = [Arm("base-set", (Part(str(a), rows=17),)), Arm("mixed", parts, as_many_as="base-set")]
    found = write_rows(arms, None, tmp_path / "arms")
    assert (found["base-set"].n, found["mixed"].n, len(said(found["mixed"].path))) == (17, 17, 17)
    assert abs(sum(text.startswith("a") for text in said(found["mixed"].path)) - 17 * shares[0]) < 1


def test_chats_among_texts_keep_their_answers_and_texts_are_learnt_whole(tmp_path: Path) -> None:
    run = run_of(
        tmp_path / "run", [answer("chat"), Row(text="not to be parsed", verdicts=(drop("no", check="parse"),))]
    )
    (tmp_path / "doc.txt").write_text("A plain document.")
    arm = Arm("both", (Part(str(run), take="candidates"), Part(str(tmp_path / "doc.txt"))))
    found = write_rows([arm], None, tmp_path / "arms")["both"]
    assert (found.method, found.left_out, said(found.path)) == ("sft", 1, ["chat", "A plain document."])
    asked = write_rows([Arm("both", arm.learns, method="cpt")], None, tmp_path / "arms")["both"]
    assert (asked.method, asked.n) == ("cpt", 3)


def test_preference_pairs_are_learnt_as_pairs(tmp_path: Path) -> None:
    pairs = [Row(messages=(user(f"{n}?"), assistant("yes")), rejected=(assistant("no"),)) for n in range(3)]
    run = run_of(tmp_path / "run", pairs)
    found = write_rows([FILTERED], run, tmp_path / "arms")["filtered"]
    assert (found.method, found.n) == ("dpo", 3)
    with pytest.raises(SynthgainError, match="no preference pairs"):
        write_rows([Arm("a", (Part(),), method="dpo")], run_of(tmp_path / "chats", [answer("x")]), tmp_path / "b")


@pytest.mark.parametrize(
    ("arms", "what"),
    [
        ([Arm("a", (Part("RUN", rows=5),))], "5 rows are asked for, and there are 4"),
        ([Arm("few", (Part("RUN", rows=2),), as_many_as="many"), Arm("many", (Part("RUN"),))], "should have 4 rows"),
        ([Arm("a", (Part(),))], "no run of a round"),
        ([Arm("a", (Part("FILE", take="candidates"),))], "files have no candidates"),
    ],
)
def test_what_is_not_there_is_not_made_up(tmp_path: Path, arms: list[Arm], what: str) -> None:
    run_of(tmp_path / "RUN", [answer(f"{i}") for i in range(4)])
    (tmp_path / "FILE").write_text("text")
    placed = [
        Arm(
            arm.name,
            tuple(Part(str(tmp_path / p.source) if p.source else "", p.take, p.rows) for p in arm.learns),
            as_many_as=arm.as_many_as,
        )
        for arm in arms
    ]
    with pytest.raises(SynthgainError, match=what):
        write_rows(placed, None, tmp_path / "arms")


# ---------------------------------------------------------------------------------------------- anybody's rows

CHATS = [
    {"messages": [user("What is 2+2?"), assistant("Answer: 4")]},
    {"conversations": [{"from": "human", "value": "What is 2+2?"}, {"from": "gpt", "value": "Answer: 4"}]},
    {"instruction": "What is 2+2?", "input": "", "output": "Answer: 4"},
]


@pytest.mark.parametrize("record", CHATS)
def test_chats_are_learnt_as_chats_however_they_are_written(tmp_path: Path, record: dict[str, object]) -> None:
    rows = rows_of(lines(tmp_path / "chats.jsonl", [record, record]), tmp_path / "student")
    assert read_rows(rows).method == "sft"
    assert [row.messages for row in learnt(rows)] == [(user("What is 2+2?"), assistant("Answer: 4"))] * 2


def test_tables_and_data_sets_on_disk_give_their_answers_too(tmp_path: Path) -> None:
    import datasets

    (tmp_path / "alpaca.csv").write_text("instruction,input,output\nAdd.,2+2,4\nAdd.,2+2,4\n")
    rows = rows_of(tmp_path / "alpaca.csv", tmp_path / "s")
    assert [row.messages for row in learnt(rows)] == [(user("Add.\n2+2"), assistant("4"))] * 2
    pair = {"prompt": "Who?", "chosen": "I.", "rejected": "You."}
    datasets.Dataset.from_list([pair]).save_to_disk(tmp_path / "disk")
    rows = rows_of(tmp_path / "disk", tmp_path / "t")
    assert read_rows(rows).method == "dpo" and learnt(rows)[0].rejected == (assistant("You."),)


def test_a_run_and_its_data_are_the_same_rows(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", [answer("kept"), answer("fallen", falls=True)])
    for source in (run, run / "data"):
        rows = rows_of(source, tmp_path / "student")
        assert (read_rows(rows).method, said(rows)) == ("sft", ["kept"])


def test_plain_texts_are_learnt_as_texts(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.txt").write_text("First.")
    (docs / "b.md").write_text("Second.")
    csv = tmp_path / "papers.csv"
    csv.write_text("title,document\nOne,Third.\nTwo,Third.\n")
    assert said(rows_of(docs, tmp_path / "s")) == ["First.", "Second."]
    rows = rows_of(csv, tmp_path / "s")
    assert (read_rows(rows).method, said(rows)) == ("cpt", ["Third.", "Third."])


@pytest.mark.parametrize(
    "records",
    [
        [{"messages": [{"role": "wizard", "content": "no role"}, user("q")]}],
        [{"question": "2 + 2?", "answer": "4"}],
        [{"problem": "2 + 2?", "solution": "4"}],
    ],
)
def test_questions_are_never_learnt_without_their_answers_unless_asked(tmp_path: Path, records: list[object]) -> None:
    file = lines(tmp_path / "rows.jsonl", records)
    with pytest.raises(SynthgainError):
        rows_of(file, tmp_path / "student")
    with pytest.raises(SynthgainError):  # nor where the first row is a text
        rows_of(
            lines(tmp_path / "mixed.ndjson", [{"text": "A text."}, {"question": "q", "answer": "a"}]), tmp_path / "s"
        )
    column = next(iter(records[0]))  # type: ignore[call-overload]
    if column != "messages":
        assert said(rows_of(file, tmp_path / "student", text_field=column)) == ["2 + 2?"]

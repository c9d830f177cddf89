"""Thinking stands apart from the answer: the marks, where they count, and the whole way from a server to the data set."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doubles.server import served
from synthgain import Run, Scripted, curate, generate, report, trace
from synthgain.api import thought
from synthgain.cli.lives import print_life, print_row
from synthgain.models import Reach
from synthgain.store import CallMemory
from synthgain.thinking import apart, opening_of, parted, set_apart, unanswered
from synthgain.turns import readable, turn_text
from synthgain.types import Anchor, Call, Prompt, assistant, message, user

GPT_OSS = "<|channel|>analysis<|message|>Six eights are 48.<|end|><|start|>assistant<|channel|>final<|message|>It is 48.<|return|>"


@pytest.mark.parametrize(
    ("text", "content", "reasoning"),
    [
        ("<think>Is it 9? No.</think>\nIt is 8.", "It is 8.", "Is it 9? No."),
        ("\n <thinking>\nmaybe 9\n</thinking>\n\nIt is 8.\n", "It is 8.\n", "maybe 9"),
        ("<REASONING>hm</REASONING> 8", "8", "hm"),
        ("◁think▷hm◁/think▷8", "8", "hm"),
        ("[THINK]hm[/THINK]8", "8", "hm"),
        ("<|begin_of_thought|>hm<|end_of_thought|><|begin_of_solution|>8<|end_of_solution|>", "8", "hm"),
        ("<|START_THINKING|>hm<|end_THINKING|><|START_RESPONSE|>8<|end_RESPONSE|>", "8", "hm"),
        ("<think>hm</think>\n<answer>8</answer>", "<answer>8</answer>", "hm"),  # marks of the answer are its own
        ("<think>\n\n</think>\n\n8", "8", ""),  # a model told not to think
        ("<think>a</think>\n<think>b</think>\n8", "8", "a\n\nb"),  # several blocks
        ("<think>a</think>\nFirst.\n<think>\nb\n</think>\nThen.", "First.\n\nThen.", "a\n\nb"),
        ("Is it 9? No.\n</think>\n\nIt is 8.", "It is 8.", "Is it 9? No."),  # the template opened it
        ("first\n</think>\n<think>second</think>8", "8", "first\n\nsecond"),
        (GPT_OSS, "It is 48.", "Six eights are 48."),
        (GPT_OSS.removeprefix("<|channel|>"), "It is 48.", "Six eights are 48."),
        ("analysisSix eights are 48.assistantfinalIt is 48.", "It is 48.", "Six eights are 48."),
    ],
)
def test_thinking_goes_apart(text: str, content: str, reasoning: str) -> None:
    parts = parted(text)
    assert (parts.content, parts.reasoning, parts.ended) == (content, reasoning, True)


@pytest.mark.parametrize(
    "text",
    [
        "<think>Answer: 9\nhm, let me see",
        "<think>a</think><think>b",
        "◁think▷ and so on",
        "<|channel|>analysis<|message|>Six eights are",
        "analysisWe need six eights",
    ],
)
def test_thinking_that_never_ends_is_no_answer(text: str) -> None:
    parts = parted(text)
    assert parts.content == "" and parts.reasoning and not parts.ended
    assert unanswered(text) == "thinking never ended"


@pytest.mark.parametrize(
    "text",
    [
        "In HTML there is no <think> element, and </think> closes nothing.",
        "Models write `<think>` first.\nThen comes\n</think>\nand the answer.",
        "```html\n<think>\nx\n</think>\n```\nshows it.",
        "Put it between the marks\n<think>\nand\n</think>\nas in the manual.",
        "The file ends so:\n```\n</think>\n```\nNothing follows.",
        "analysis of the harbour: it is old.",
        "analysis(harbour) gives its depth.",
        "The token <|message|> begins a message.",
        "[THINKING] is a sign on the door.",
        "I think </think> is odd, he said.",
        "",
    ],
)
def test_text_that_talks_of_marks_is_left_alone(text: str) -> None:
    assert parted(text).content == text and not parted(text).reasoning
    turn = assistant(text)
    assert set_apart(turn) is turn


@settings(deadline=None)
@given(st.text(alphabet="<>/think|[]THINK◁▷` \n8", max_size=60))
def test_any_text_has_parts_and_its_content_has_none_left(text: str) -> None:
    parts = parted(text)
    assert len(parts.content) <= len(text)
    assert parts.ended or not parts.content


def test_why_there_is_no_answer() -> None:
    assert unanswered("<think>hm</think>\n") == "only reasoning"
    assert unanswered("", "hm") == "only reasoning"
    assert unanswered("", "hm", finish="length") == "thinking never ended"
    assert unanswered("", "hm", raw="<think>hm") == "thinking never ended"
    assert unanswered("") == "nothing was answered" and unanswered("8") == ""


def test_a_template_that_opens_the_thinking_is_seen_at_the_prompts_end() -> None:
    assert opening_of("<|im_start|>assistant\n<think>\n") == "<think>\n"
    assert opening_of("<|im_start|>assistant\n<think>\n\n</think>\n\n") == ""
    assert opening_of("<|im_start|>assistant\n") == ""


def test_a_field_of_its_own_and_inline_thinking_are_one() -> None:
    turn = message({"role": "assistant", "content": "<think>b</think>8", "reasoning": "a"})
    assert set_apart(turn) == {"role": "assistant", "content": "8", "reasoning": "a\n\nb"}


async def test_the_memory_keeps_what_came_and_reads_it_apart(tmp_path: Path) -> None:
    said = "<think>Is it 9? No.</think>\n\nIt is 8."
    prompt = Prompt((user("?"),))
    call = apart(Call(prompt.id("m"), prompt, assistant(said), "s"))
    before = Prompt((user("as memories of before hold it"),))
    memory = CallMemory(tmp_path)
    await memory.put(call, "m")
    await memory.put(Call(before.id("m"), before, assistant(said), "s"), "m")
    memory.close()
    later = CallMemory(tmp_path, readonly=True)
    read, old = later.get_many([call.id, before.id("m")]).values()
    later.close()
    assert read == call and old.message == call.message and old.raw == call.raw
    assert read.text == "It is 8." and read.message.get("reasoning") == "Is it 9? No."
    assert read.raw == assistant(said)


# ---------------------------------------------------------------------------------------------- the whole way

QUESTIONS = [Anchor(f"How many are {n} and {n}?", f"q#{n}", {"answer": str(2 * n)}) for n in range(1, 5)]
SAID = {
    1: "<think>Answer: 3? No.</think>\n1 + 1 = 2\nAnswer: 2",
    2: "<think>Answer: 4\nhm, let me see",
    3: "<think>Answer: 6</think>",
    4: "<think>Answer: 8</think>\nAnswer: 9",
}


def reply(prompt: Prompt) -> str:
    return SAID[int(prompt.messages[-1]["content"].split()[3])]


def rows_of(run: Run) -> list[dict[str, object]]:
    return [row for shard in run.shards() for row in shard.to_pylist()]


def test_what_was_thought_is_neither_graded_nor_in_the_answer_and_stays_beside_it(tmp_path: Path) -> None:
    run = generate("rft", QUESTIONS, model=Scripted(reply), out=tmp_path / "run", knobs={"k": 1})
    rows = sorted(rows_of(run), key=lambda row: str(row["messages"][0]["content"]))  # type: ignore[index]
    assert [row["reason"] for row in rows] == ["", "thinking never ended", "only reasoning", "wrong final answer"]
    turn = rows[0]["messages"][-1]  # type: ignore[index]
    assert turn["content"] == "1 + 1 = 2\nAnswer: 2" and turn["reasoning"] == "Answer: 3? No."
    data = [row for file in run.data.glob("*.parquet") for row in pq.read_table(file).to_pylist()]
    assert [row["messages"][-1]["reasoning"] for row in data] == ["Answer: 3? No."]
    before = [dict(row) for row in rows_of(run)]
    assert [dict(row) for row in rows_of(curate(run))] == before  # read from the memory, the same


def test_a_server_that_thinks_inline_and_one_that_gives_a_field(tmp_path: Path) -> None:
    def body(**turn: str) -> str:
        told = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **turn}}
        return json.dumps({"choices": [told], "usage": {"prompt_tokens": 5, "completion_tokens": 9}})

    seen = []
    for name, turn in {
        "inline": {"content": "<think>Old slate.</think>\n\nThe harbour is old."},
        "field": {"content": "The harbour is old.", "reasoning_content": "Old slate."},
    }.items():
        with served(answer=body(**turn)) as server:
            run = generate(
                "rephrase",
                [Anchor("The harbour of Quell was dug in 1611 by forty masons.")],
                model="openai/double",
                out=tmp_path / name,
                knobs={"styles": ("easy",)},
                reach=Reach(base_url=server.base_url),
            )
        seen.append([row["text"] for row in rows_of(run)])
    assert seen == [["The harbour is old."]] * 2


def test_thinking_in_somebody_elses_chats_is_neither_rephrased_nor_measured() -> None:
    turns = (user("How many are 4 and 4?"), assistant("<think>Is it 9? No.</think>\nIt is 8."))
    assert turn_text(turns[1]) == "It is 8." and readable(turns) == "user: How many are 4 and 4?\n\nassistant: It is 8."
    assert (
        turn_text(user("<think>is a mark</think>")) == "<think>is a mark</think>"
    )  # a person's words are the person's


@pytest.mark.parametrize("recipe", ["rft", "rephrase"])
def test_what_was_thought_can_be_read(recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By `show`, `trace` and the page: of chats and of texts, where thinking never ended too."""
    knobs = {"k": 1} if recipe == "rft" else {"styles": ("easy",)}
    end = "</think>Two and six make 8 of them.\nAnswer: 8"
    said = Scripted(lambda prompt: "<think>Salt went out on Mondays" + ("." if "are 7" in str(prompt) else end))
    asked = [Anchor("How many are 7?", "q#1", {"answer": "8"}), Anchor("How many are 6?", "q#2", {"answer": "8"})]
    run = generate(recipe, asked, model=said, out=tmp_path / "run", knobs=knobs)
    assert {row["kept"] for row in rows_of(run)} == {True, False}
    for row in rows_of(run):
        life = trace(run, str(row["id"]))
        print_life(life)
        told = capsys.readouterr().out
        assert "Salt went out on Mondays" in told and ("the answer as it is" in told) == bool(row["text"])
        if not row["kept"]:
            print_row(next(r for r in run.rows(kept=False) if r["id"] == row["id"]), 1, thought(run, row))
            assert "Salt went out on Mondays" in capsys.readouterr().out
    assert "Salt went out on Mondays" in report(run).read_text("utf-8")

"""Nemotron-CC: good pages and bad ones part, each task cuts and reads in its own way, and what is dropped is counted."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doubles.drafting import Desk, drafted
from synthgain.passages import tokens
from synthgain.recipes.nemotron_cc import EXAMPLES, HIGH, RECIPE, TASKS, NemotronCC, drawn, facts_of, plain, segments
from synthgain.types import Anchor, Prompt, Row, SynthgainError

GOOD, _ = EXAMPLES
UNSCORED = Anchor(GOOD.text)
LONG = Anchor(
    "\n".join(f"Line {n} says something of the canal and of the {n}th boat on it." for n in range(150)),
    "",
    {"quality": 3},
)
PROSE = (
    "The lock at Wendle has three gates, of which the last was added in 1869, and one keeper who wrote of cloudy noons. "
    * 3
)
GERMAN = Anchor(
    "Die Glocke von Uhlen hängt unter Wasser. Man hört sie nur bei Ebbe, und auch dann nicht an jedem Tag. " * 2
)
SOURCE = {  # least document, least segment, most input, most output, least output: the table of Curator's code
    "paraphrase": (5, 5, 512, 512, 50),
    "diverse-qa": (30, 30, 1000, 600, 100),
    "distill": (30, 10, 2000, 1600, 50),
    "extract": (30, 30, 1400, 1400, 50),
    "knowledge-list": (30, 30, 1000, 600, 50),
}


def said(prompt: Prompt) -> str:
    return prompt.messages[-1]["content"]


def only(task: str, **knobs: Any) -> NemotronCC:
    return NemotronCC(tasks=(task,), unscored="both", **knobs)


async def done(
    task: str,
    answer: str | Callable[[Prompt], str],
    anchor: Anchor = UNSCORED,
    finish: str = "stop",
    **knobs: Any,
) -> list[Row]:
    reply = answer if callable(answer) else lambda prompt: answer
    return await drafted(replace(RECIPE, draft=only(task, **knobs)), anchor, Desk(reply, finish=finish))


def fell(row: Row) -> str:
    return row.fallen.reason if row.fallen else ""


def test_the_bounds_are_the_codes() -> None:
    assert {name: (t.document, t.segment, t.prompt, t.answer, t.least) for name, t in TASKS.items()} == SOURCE


@pytest.mark.parametrize(
    ("quality", "unscored", "tasks"),
    [
        (12, "high", HIGH),
        (11.5, "low", HIGH),
        (11, "high", ("paraphrase",)),
        ("3", "high", ("paraphrase",)),
        (None, "high", HIGH),
        (None, "low", ("paraphrase",)),
        (None, "both", tuple(TASKS)),
        ("unknown", "low", ("paraphrase",)),
    ],
)
async def test_quality_parts_the_tasks(quality: object, unscored: str, tasks: tuple[str, ...]) -> None:
    desk = Desk(lambda p: PROSE)
    rows = await drafted(
        replace(RECIPE, draft=NemotronCC(unscored=unscored)), Anchor(GOOD.text, "", {"quality": quality}), desk
    )
    assert tuple(dict.fromkeys(row.fields["task"] for row in rows)) == tasks and len(desk.asked) == len(tasks)
    for prompt, name in zip(desk.asked, tasks, strict=True):
        assert said(prompt).endswith(TASKS[name].ask) and prompt.sampling.max_tokens == TASKS[name].answer
        assert (prompt.sampling.temperature, prompt.sampling.top_p) == (0.5, 0.9)
    assert len({p.messages[0]["content"] for p in desk.asked}) == (2 if "distill" in tasks else 1)


@given(st.lists(st.text(alphabet="ab .", max_size=400), max_size=30), st.sampled_from(list(TASKS)), st.booleans())
def test_segments_and_what_is_dropped_are_the_whole_document(lines: list[str], name: str, cut: bool) -> None:
    text, task = "\n".join(lines), TASKS[name]
    found, dropped = segments(text, task, cut)
    most = task.prompt - round(tokens(task.system + " " + task.ask)) - 2
    assert all(task.segment <= tokens(one) <= most for one in found)
    assert len("".join(found + [piece for piece, _ in dropped]).replace(" ", "").replace("\n", "")) == len(
        text.replace(" ", "").replace("\n", "")
    )
    if tokens(text) < task.document:
        assert not found


def test_each_task_cuts_in_its_own_way() -> None:
    counts = {name: len(segments(LONG.text, task)[0]) for name, task in TASKS.items()}
    assert counts["paraphrase"] > counts["diverse-qa"] >= counts["extract"] > counts["distill"] == 2


async def test_long_lines_vanish_and_are_counted_unless_they_are_cut() -> None:
    anchor = Anchor(
        "A short line about the lock of Wendle and its keeper, who wrote much.\n" + "One sentence of many. " * 200
    )
    row, lost = sorted(await done("paraphrase", f"Reworded text: {PROSE}", anchor), key=lambda row: bool(row.fallen))
    assert fell(lost) == "a line longer than a segment may be" and lost.fallen and lost.fallen.check == "segments"
    assert lost.text == anchor.text.splitlines()[1].strip() and not lost.calls
    (row,) = await done("paraphrase", f"Reworded text: {PROSE}", anchor, cut_lines=True)
    assert len(row.calls) > 2


async def test_short_documents_and_segments_are_counted() -> None:
    rows = await done("extract", PROSE, Anchor("Too short."))
    assert [(fell(row), row.calls) for row in rows] == [("a document of fewer than 30 tokens", ())]
    task = TASKS["paraphrase"]
    room = task.prompt - round(tokens(task.system + " " + task.ask)) - 2
    rows = await done("paraphrase", f"Reworded text: {PROSE}", Anchor("word " * (room * 3 // 4) + "\nEnd."))
    assert "a segment of fewer than 5 tokens" in [fell(row) for row in rows]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (f"Reworded text: {PROSE}", PROSE.strip()),
        (f'**Reworded text:**\n\n"{PROSE.strip()}"', PROSE.strip()),
        (f'"reworded text: {PROSE.strip()}"', PROSE.strip()),
        (f"I am sorry, but I cannot do that. {PROSE}", None),
        (f"Sure! Reworded text: {PROSE}", None),
        (PROSE, None),
    ],
)
async def test_the_lead_in_is_asked_for_looked_at_and_taken_off(answer: str, text: str | None) -> None:
    (row,) = await done("paraphrase", answer)
    assert (row.text, fell(row)) == (text, "") if text else fell(row) == "does not begin as asked"
    (row,) = await done("distill", answer.replace("eworded", "hortened").replace("Rh", "Sh").replace("rh", "sh"))
    assert (row.text, fell(row)) == (text, "") if text else fell(row) == "does not begin as asked"


async def test_only_paraphrases_are_joined_again() -> None:
    answers = iter(f"Reworded text: Segment {n}. {PROSE}" if n != 1 else "I cannot." for n in range(99))
    said_by: dict[str, str] = {}
    rows = await done("paraphrase", lambda p: said_by.setdefault(said(p), next(answers)), LONG)
    lost, row = rows
    n = len(segments(LONG.text, TASKS["paraphrase"])[0])
    assert fell(lost) == "fewer than 50 tokens" and lost.fields["segment"] == 1
    assert re.findall(r"Segment (\d+)", row.text or "") == [str(i) for i in range(n) if i != 1]
    assert row.fields["segments"] == len(row.calls) == n - 1
    rows = await done("extract", PROSE, Anchor(LONG.text))
    assert [row.fields["segment"] for row in rows] == list(range(len(rows))) and len(rows) > 1


async def test_questions_stand_behind_their_source_in_a_drawn_number() -> None:
    listed = [(f"What is gate {n}?", f"It is the gate that was added in {1860 + n}, when eels came.") for n in range(8)]
    answer = "\n".join(f"- **Question:** {question}\n  Answer: {reply}" for question, reply in listed)
    (row,) = await done("diverse-qa", answer)
    (source,), _ = segments(GOOD.text, TASKS["diverse-qa"])
    head, _, tail = str(row.text).partition("\n\nQuestion: ")
    shown = [tuple(pair.split("\nAnswer: ")) for pair in tail.split("\n\nQuestion: ")]
    assert head == source and set(shown) <= set(listed) and row.fields["pairs"] == 8
    counts = [
        len(drawn([(f"{question} {i}", reply) for question, reply in listed * 3], "word " * 300)) for i in range(400)
    ]
    assert (min(counts), max(counts)) == (1, 24) and len(set(counts)) > 15  # of 24 up to 10 × 400 / 150 = 26
    assert {len(drawn(listed, "a few words")) for _ in range(9)} == {1}
    assert len({tuple(drawn([*listed, (str(i), "x")], "word " * 300)) for i in range(20)}) > 15  # shuffled


async def test_questions_are_pairs_or_fall() -> None:
    (row,) = await done("diverse-qa", "Here they are. " + PROSE * 2)
    assert fell(row) == "no question with an answer"


async def test_a_list_loses_its_bullets_and_what_stands_before() -> None:
    (row,) = await done(
        "knowledge-list", f"Here are the facts:\n- {PROSE.strip()}\n  * **Eels** bore through gates.\n1. It is old."
    )
    assert row.text == f"{PROSE.strip()}\nEels bore through gates.\nIt is old."
    (row,) = await done("knowledge-list", PROSE)
    assert fell(row) == "no list of facts" and facts_of("") == ""


async def test_passages_lose_their_labels() -> None:
    (row,) = await done("extract", f"**Passage 1:**\n{PROSE}\n\n### Passage 2\n{PROSE}")
    assert row.text == f"{PROSE.strip()}\n\n{PROSE.strip()}"


async def test_what_is_cut_off_or_too_short_falls() -> None:
    for name, task in TASKS.items():
        rows = await done(name, f"{task.lead} {PROSE}", finish="length")
        assert {fell(row) for row in rows} == {"cut off at the token limit"}
        assert [fell(row) for row in await done(name, "Short.")] == [f"fewer than {task.least} tokens"]


def test_markdown_goes() -> None:
    assert (
        plain("## Head\n**bold** and *slanted* `code`\n```\nx * y\n```\n2 * 3 * 4")
        == "Head\nbold and slanted code\nx * y\n2 * 3 * 4"
    )


async def test_language() -> None:
    desk = Desk(lambda p: PROSE)
    await drafted(replace(RECIPE, draft=NemotronCC(unscored="both")), GERMAN, desk)
    assert len(desk.asked) == 5 and all("Write in the language of the text above" in said(p) for p in desk.asked)
    assert ['words "Reworded text:" stay' in said(p) for p in desk.asked] == [True, False, False, False, False]
    (row,) = await done(
        "paraphrase", "Reworded text: " + "Die Glocke hängt unter dem Wasser und läutet selten. " * 8, GERMAN
    )
    assert not row.fallen


@pytest.mark.parametrize("knobs", [{"tasks": ("odd",)}, {"tasks": ()}, {"unscored": "some"}, {"language": "pt-BR"}])
def test_bad_knobs(knobs: dict[str, object]) -> None:
    with pytest.raises(SynthgainError):
        NemotronCC(**knobs)  # type: ignore[arg-type]

"""Focal rewriting: every way of working meets every question, and the question is never text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import pytest

from doubles.drafting import Desk, drafted
from synthgain.recipes.focal import EXAMPLES, RECIPE, Focal, without_question
from synthgain.types import Anchor, CallFailed, Prompt, SynthgainError

DOC = EXAMPLES[0]
WAYS = ["Follow the keeper through his winter.", "Draw up what plays when."]
QUESTIONS = ["Of what are the pipes made?", "Why is it silent in fog at thirty knots?"]
GERMAN = Anchor("Die Glocke von Uhlen hängt unter Wasser. Man hört sie nur bei Ebbe, und auch dann nicht an jedem Tag.")


def said(prompt: Prompt) -> str:
    return prompt.messages[-1]["content"]


def lists(prompt: Prompt) -> bool:
    return "Question in mind:" not in said(prompt)


def replying(text: Callable[[str], str]) -> Callable[[Prompt], str]:
    def reply(prompt: Prompt) -> str:
        if lists(prompt):
            mark, items = ("Strategy", WAYS) if 'with "Strategy:"' in said(prompt) else ("Question", QUESTIONS)
            return "\n".join(f"{n}. **{mark}:** {item}" for n, item in enumerate(items, 1))
        return text(said(prompt).rpartition("Question in mind: ")[2])

    return reply


async def test_every_way_meets_every_question_in_a_call_of_its_own() -> None:
    desk = Desk(replying(lambda question: "The pipes are whale ribs, bound with wire."))
    rows = await drafted(RECIPE, DOC, desk)
    first, then = desk.asked[:2], desk.asked[2:]
    assert all(map(lists, first)) and not any(map(lists, then))
    assert [(row.fields["strategy"], row.fields["question"]) for row in rows] == list(product(WAYS, QUESTIONS))
    for prompt, row in zip(then, rows, strict=True):
        assert said(prompt).endswith(
            f"Way of working: {row.fields['strategy']}\nQuestion in mind: {row.fields['question']}"
        )
        assert [call.prompt for call in row.calls] == [*first, prompt]
    head = said(first[0]).partition("(End of the document)")[0]
    assert DOC.text in head and all(said(prompt).startswith(head) for prompt in desk.asked)


@pytest.mark.parametrize("opening", ["{}\n\n", "**Question:** {}\n", "## {}\n\n", "Question in mind: {}\n"])
async def test_a_line_that_repeats_the_question_is_taken_off(opening: str) -> None:
    rows = await drafted(RECIPE, DOC, Desk(replying(lambda q: opening.format(q) + "They are whale ribs.")))
    assert {row.text for row in rows} == {"They are whale ribs."} and not any(row.fallen for row in rows)


async def test_a_text_that_states_the_question_falls() -> None:
    rows = await drafted(RECIPE, DOC, Desk(replying(lambda q: f"People ask, “{q.lower()}” and are told: whale ribs.")))
    assert {row.fallen.reason for row in rows if row.fallen} == {"states the question that it was written for"}
    assert all(row.fallen for row in rows)


def test_a_sentence_that_only_ends_like_the_question_stays() -> None:
    text = "In the keeper's book of that winter, on its very last page, stands this: of what are the pipes made?\nRibs."
    assert without_question(text, QUESTIONS[0]) == text
    assert without_question("One line alone.", "") == "One line alone."


async def test_lists_that_cannot_be_read_fall_and_nothing_is_written() -> None:
    desk = Desk(lambda p: "I cannot think of any.")
    rows = await drafted(RECIPE, DOC, desk)
    assert [row.fallen.reason for row in rows if row.fallen] == [
        "no strategy in the answer",
        "no question in the answer",
    ]
    assert len(desk.asked) == 2
    desk = Desk(lambda p: CallFailed("no") if 'with "Question:"' in said(p) else replying(lambda q: "x")(p))
    assert await drafted(RECIPE, DOC, desk) == [] and len(desk.asked) == 2


async def test_questions_may_stand_on_bare_lines() -> None:
    desk = Desk(
        lambda p: (
            ("Strategy: Draw it." if "Strategy:" in said(p) else "Two:\n\nWho drew it?\nWhen?") if lists(p) else "text"
        )
    )
    rows = await drafted(RECIPE, DOC, desk)
    assert [row.fields["question"] for row in rows] == ["Who drew it?", "When?"]


async def test_no_more_than_are_wanted_and_marks_may_be_missing() -> None:
    desk = Desk(lambda p: "1. Draw it.\n2. Who drew it?\n3. Tell it.\n4. When?" if lists(p) else "text")
    rows = await drafted(replace(RECIPE, draft=Focal(strategies=1, questions=1)), DOC, desk)
    assert [(row.fields["strategy"], row.fields["question"]) for row in rows] == [("Draw it.", "Who drew it?")]
    desk = Desk(
        lambda p: "1. Draw it.\n2. Who drew it?\n3. Tell it.\n4. When?" if lists(p) else "text", finish="length"
    )
    rows = await drafted(RECIPE, DOC, desk)
    assert [(row.fields["strategy"], row.fields["question"]) for row in rows] == [("Draw it.", "Who drew it?")]


async def test_parts_and_language() -> None:
    long = Anchor("\n\n".join(f"Absatz {n} handelt von der {n}. Sache und sagt es auch." for n in range(80)))
    desk = Desk(replying(lambda q: "Text."))
    rows = await drafted(replace(RECIPE, draft=Focal(longest=500)), long, desk)
    parts = list(dict.fromkeys(said(p).partition("Document:\n\n")[2].partition("\n\n(End")[0] for p in desk.asked))
    assert "\n\n".join(parts) == long.text and len(rows) == 4 * len(parts) and len(parts) > 1
    assert ["Write in the language of the text above" in said(p) for p in desk.asked] == [
        not lists(p) for p in desk.asked
    ]
    desk = Desk(replying(lambda q: "Text."))
    await drafted(replace(RECIPE, draft=Focal(language="Polish")), GERMAN, desk)
    assert all("Write in Polish." in said(p) for p in desk.asked if not lists(p))


@pytest.mark.parametrize("knobs", [{"strategies": 0}, {"questions": 0}, {"longest": 0}, {"language": "xx"}])
def test_bad_knobs(knobs: dict[str, object]) -> None:
    with pytest.raises(SynthgainError):
        Focal(**knobs)  # type: ignore[arg-type]

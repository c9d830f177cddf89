"""Active Reading: strategies are asked for first, of each document by itself, and each is applied in a call of its own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from doubles.drafting import Desk, drafted
from synthgain.recipes.active_reading import EXAMPLES, PROPOSE, RECIPE, ActiveReading, strategies
from synthgain.types import Anchor, CallFailed, Prompt, SynthgainError

DOC = EXAMPLES[0]
GERMAN = Anchor(
    "Die Glocke von Uhlen hängt unter Wasser. Man hört sie nur bei Ebbe, und auch dann nicht an jedem Tag. " * 3
)
AGNOSTIC = replace(RECIPE, draft=ActiveReading(variants=("agnostic",)))


def said(prompt: Prompt) -> str:
    return prompt.messages[-1]["content"]


def proposes(prompt: Prompt) -> bool:
    return "Way of studying:" not in said(prompt)


def reply(prompt: Prompt) -> str:
    if not proposes(prompt):
        return f"What comes of it: {said(prompt)[-30:]}"
    kind = "specific" if "imagine five questions" in said(prompt) else "agnostic"
    asked = "Question: When was it cut?\nQuestion: Who cut it?\n" if kind == "specific" else ""
    return f"{asked}Strategy: Draw the {kind} rim.\nStrategy: Tell its {kind} story.\nStrategy: draw the {kind} rim."


async def test_strategies_first_then_each_in_a_call_of_its_own() -> None:
    desk = Desk(reply)
    rows = await drafted(RECIPE, DOC, desk)
    first, then = desk.asked[:2], desk.asked[2:]
    assert all(map(proposes, first)) and not any(map(proposes, then))
    applied = [said(prompt).rpartition("Way of studying: ")[2] for prompt in then]
    wanted = [
        f"{what} {kind} {thing}." for kind in PROPOSE for what, thing in (("Draw the", "rim"), ("Tell its", "story"))
    ]
    assert applied == wanted == [row.fields["strategy"] for row in rows]
    assert [row.fields["variant"] for row in rows] == ["agnostic"] * 2 + ["specific"] * 2
    assert all(row.calls[0].prompt in first and row.calls[1].prompt in then for row in rows)
    head = said(first[0]).partition("(End of the document)")[0]
    assert all(said(prompt).startswith(head) and DOC.text in said(prompt) for prompt in desk.asked)  # the prefix
    assert all(row.text == f"What comes of it: {said(row.calls[1].prompt)[-30:]}" for row in rows)


async def test_imagined_questions_stay_in_the_proposal() -> None:
    desk = Desk(reply)
    rows = await drafted(RECIPE, DOC, desk)
    assert not any("When was it cut?" in said(prompt) for prompt in desk.asked if not proposes(prompt))
    assert not any("When was it cut?" in str(row.fields) for row in rows)


async def test_each_document_has_its_own_strategies() -> None:
    desk = Desk(lambda p: f"Strategy: Ask about {said(p)[80:120]}" if proposes(p) else "text")
    rows = [row for doc in EXAMPLES for row in await drafted(AGNOSTIC, doc, desk)]
    assert len({row.fields["strategy"] for row in rows}) == 2


@pytest.mark.parametrize(
    "text",
    [
        "Strategy: Draw it.\nStrategy: Tell it\nto a child.",
        "Sure! Here are two:\n\n1. **Strategy 1:** Draw it.\n\n2. **Strategy 2:** Tell it to a child.\n\nI hope this helps.",
        "- **Strategy:**\n\n  Draw it.\n- **Strategy:**\n  Tell it to a child.",
        "STRATEGY 1. Draw it.\nSTRATEGY 2. Tell it to a child.",
        "1. What is it?\n2. **Draw it.**\n3. Tell it to a child.",
    ],
)
def test_strategies_are_read_as_models_write_them(text: str) -> None:
    assert strategies(text) == ["Draw it.", "Tell it to a child."]


def test_what_is_no_strategy() -> None:
    assert strategies("I would read it twice.") == strategies("") == strategies("Strategy:\nStrategy: ***") == []


async def test_a_proposal_that_cannot_be_read_falls_and_nothing_is_applied() -> None:
    desk = Desk(lambda p: "I would read it twice.")
    rows = await drafted(RECIPE, DOC, desk)
    assert [row.fallen.reason for row in rows if row.fallen] == ["no strategy in the answer"] * 2
    assert len(rows) == len(desk.asked) == 2


async def test_a_strategy_that_was_cut_off_is_not_applied() -> None:
    desk = Desk(lambda p: "Strategy: Draw it.\nStrategy: Tell it to a" if proposes(p) else "text", finish="length")
    rows = await drafted(AGNOSTIC, DOC, desk)
    fell = [row for row in rows if row.fallen]
    assert [(row.text, row.fallen.reason) for row in fell if row.fallen] == [
        ("Tell it to a", "a strategy that was cut off")
    ]
    assert [row.fields["strategy"] for row in rows if not row.fallen] == ["Draw it."]


async def test_no_more_than_are_wanted_and_it_says_how_many_there_were() -> None:
    desk = Desk(lambda p: "\n".join(f"Strategy: way {n}" for n in range(9)) if proposes(p) else "text")
    rows = await drafted(replace(RECIPE, draft=ActiveReading(variants=("agnostic",), strategies=3)), DOC, desk)
    assert [row.fields["strategy"] for row in rows] == ["way 0", "way 1", "way 2"]
    assert {row.fields["proposed"] for row in rows} == {9} and "3 different ways" in said(desk.asked[0])


async def test_lost_calls_lose_their_own_rows() -> None:
    desk = Desk(lambda p: CallFailed("no") if said(p).endswith("agnostic rim.") else reply(p))
    rows = await drafted(RECIPE, DOC, desk)
    assert [row.fields["strategy"] for row in rows] == [
        "Tell its agnostic story.",
        "Draw the specific rim.",
        "Tell its specific story.",
    ]


async def test_a_long_document_is_studied_in_parts_that_lose_nothing() -> None:
    long = Anchor("\n\n".join(f"Paragraph {n} is about the {n}th thing, and says so." for n in range(200)))
    desk = Desk(reply)
    rows = await drafted(replace(RECIPE, draft=ActiveReading(variants=("agnostic",), longest=500)), long, desk)
    parts = [said(p).partition("Document:\n\n")[2].partition("\n\n(End")[0] for p in desk.asked if proposes(p)]
    assert "\n\n".join(parts) == long.text and len(parts) > 4
    assert all(parts[row.fields["part"]] in said(row.calls[1].prompt) for row in rows)


async def test_the_language_of_the_document() -> None:
    for language, sentence in (("auto", "Write in the language of the text above"), ("French", "Write in French.")):
        desk = Desk(reply)
        await drafted(replace(RECIPE, draft=ActiveReading(language=language)), GERMAN, desk)
        assert [sentence in said(p) for p in desk.asked] == [not proposes(p) for p in desk.asked]
    desk = Desk(reply)
    await drafted(RECIPE, DOC, desk)
    assert not any("language" in said(p) for p in desk.asked)


@pytest.mark.parametrize("knobs", [{"variants": ("odd",)}, {"variants": ()}, {"strategies": 0}, {"language": "de"}])
def test_bad_knobs(knobs: dict[str, object]) -> None:
    with pytest.raises(SynthgainError):
        ActiveReading(**knobs)  # type: ignore[arg-type]

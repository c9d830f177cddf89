"""Conversations of two roles: who says what, where they end, and what falls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from doubles.drafting import Desk, drafted
from synthgain.recipes.multi_turn import DONE, RECIPE, MultiTurn, spoken
from synthgain.types import Anchor, Call, Prompt, Recipe, SynthgainError

TOPIC = Anchor("My bread smells of glue. Why?", "t#1", {"persona": "A   baker\nof rye"})


def with_(**knobs: object) -> Recipe:
    return replace(RECIPE, draft=MultiTurn(**knobs))  # type: ignore[arg-type]


def replies(*user: str, answers: tuple[str, ...] = ()) -> Callable[[Prompt], str]:
    turns, said = iter(user), iter(answers)

    def reply(prompt: Prompt) -> str:
        return next(turns) if prompt.to == "user" else next(said, f"Answer {len(prompt.messages)}.")

    return reply


async def test_the_two_take_turns() -> None:
    desk = Desk(replies("PERSON: And if it is cold?", "Thanks! How long?"))
    [row] = await drafted(RECIPE, TOPIC, desk)
    assert [(t["role"], t["content"]) for t in row.messages or ()] == [
        ("user", TOPIC.text), ("assistant", "Answer 1."), ("user", "And if it is cold?"),
        ("assistant", "Answer 3."), ("user", "Thanks! How long?"), ("assistant", "Answer 5."),
    ]  # fmt: skip
    assert row.fields == {"exchanges": 3, "ended": "turns", "draw": 0} and len(row.calls) == 5
    assert [p.to for p in desk.asked] == ["writer", "user", "writer", "user", "writer"]
    asked = desk.asked[1].messages[0]["content"]
    assert (
        "This is who they are: A baker of rye " in asked
        and "PERSON: My bread" in asked
        and "ASSISTANT: Answer 1." in asked
    )
    assert desk.asked[2].messages == (row.messages or ())[:3]
    first, second = (desk.asked[n].messages[0]["content"].split("Write what the person")[0].rstrip() for n in (1, 3))
    assert second.startswith(first)  # each prompt of the user's begins with the one before


async def test_the_user_may_open() -> None:
    desk = Desk(replies("Why glue?", "And then?"))
    [row] = await drafted(with_(turns=2, opening=False), TOPIC, desk)
    assert [t["content"] for t in row.messages or ()] == ["Why glue?", "Answer 1.", "And then?", "Answer 3."]
    assert desk.asked[0].to == "user" and TOPIC.text in desk.asked[0].messages[0]["content"]


@pytest.mark.parametrize(
    ("said", "ended"),
    [(DONE, "done"), ("[done]", "done"), ("Done.", "done"), ("  ", "no question"), (TOPIC.text.upper(), "repeated")],
)
async def test_a_user_who_stops_ends_the_conversation_at_its_last_answer(said: str, ended: str) -> None:
    [row] = await drafted(RECIPE, TOPIC, Desk(replies(said)))
    assert (row.messages or ())[-1]["content"] == "Answer 1." and row.fallen is None
    assert (row.fields["exchanges"], row.fields["ended"]) == (1, ended)
    [none] = await drafted(with_(opening=False), TOPIC, Desk(replies(said if ended != "repeated" else DONE)))
    assert none.fallen is not None and none.calls


async def test_an_answer_that_is_none_falls() -> None:
    [row] = await drafted(RECIPE, TOPIC, Desk(replies("And?", answers=("One.", " "))))
    assert row.fallen is not None and row.fallen.reason == "no answer"

    class Cut(Desk):
        async def __call__(self, prompt: Prompt) -> Call:
            call = await super().__call__(prompt)
            return replace(call, finish="length") if prompt.to == "writer" else call

    [row] = await drafted(RECIPE, TOPIC, Cut(replies("And?")))
    assert row.fallen is not None and row.fallen.reason == "an answer was cut off"


async def test_k_conversations_have_draws_of_their_own() -> None:
    desk = Desk(lambda p: f"{p.to} {p.draw} {len(p.messages)}?")
    rows = await drafted(with_(k=2, turns=2), TOPIC, desk)
    assert [row.fields["draw"] for row in rows] == [0, 1] and rows[0].messages != rows[1].messages


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("User: And?", "And?"),
        ('"And?"', "And?"),
        ("And?\nASSISTANT: Because.\nPERSON: So?", "And?"),
        ("And if the user: is away?", "And if the user: is away?"),
    ],
)
def test_spoken(text: str, said: str) -> None:
    assert spoken(text) == said


@pytest.mark.parametrize("knobs", [{"turns": 0}, {"k": 0}])
def test_bad_knobs(knobs: dict[str, int]) -> None:
    with pytest.raises(SynthgainError):
        MultiTurn(**knobs)

"""Evol-Instruct: six operators, elimination, failures go back unchanged, all rounds are in the set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from doubles.drafting import Desk, drafted
from synthgain.recipes.evol_instruct import HOW, OPERATORS, RECIPE, EvolInstruct, adds_nothing, poor, read
from synthgain.types import Anchor, Prompt, SynthgainError

SEED = Anchor("Describe a sundial.", "s#1")


def step_of(prompt: Prompt) -> str:
    said = prompt.messages[-1]["content"]
    if prompt.to == "judge":
        return "judge"
    return "evolve" if said.startswith(("You make instructions harder", "You make up instructions")) else "answer"


def replies(
    evolved: Callable[[str], str], judge: str = "Different.", answer: str = "A rod throws a shadow."
) -> Callable[[Prompt], str]:
    def reply(prompt: Prompt) -> str:
        said = prompt.messages[-1]["content"]
        before = said.split("Instruction:\n")[-1].split("\n\nAnswer with")[0]
        return {"evolve": evolved(before), "judge": judge, "answer": answer}[step_of(prompt)]

    return reply


def harder(before: str) -> str:
    return before + " Say more."


async def test_each_round_starts_from_the_last_and_all_rounds_are_rows() -> None:
    desk = Desk(replies(harder))
    rows = await drafted(RECIPE, SEED, desk)
    assert [row.fields["instruction"] for row in rows] == [
        "Describe a sundial." + " Say more." * n for n in range(1, 5)
    ]
    assert [(row.fields["step"], row.fields["depth"]) for row in rows] == [(n, n) for n in range(1, 5)]
    assert [step_of(p) for p in desk.asked] == ["evolve", "judge", "answer"] * 4
    assert all([step_of(c.prompt) for c in row.calls] == ["evolve", "judge", "answer"] for row in rows)
    law = desk.asked[0].sampling
    assert (law.temperature, law.top_p, law.max_tokens) == (1.0, 0.9, 2048)
    assert desk.asked[1].sampling.temperature == 0 and "Describe a sundial." in desk.asked[1].messages[0]["content"]


async def test_what_fails_is_eliminated_and_the_instruction_goes_on_unchanged() -> None:
    judged = iter(["Equal", "Different", "Not equal", "who knows"])
    desk = Desk(replies(harder))
    plain = desk.reply
    desk.reply = lambda p: next(judged) if p.to == "judge" else plain(p)
    rows = await drafted(RECIPE, SEED, desk)
    assert [row.fallen and row.fallen.reason for row in rows] == [
        "asks for nothing new", None, None, "the judge said neither equal nor different",
    ]  # fmt: skip
    assert [row.fields["instruction"].count("Say more.") for row in rows] == [1, 1, 2, 3]
    assert [row.fields["depth"] for row in rows] == [0, 1, 2, 2]
    evolved = [p for p in desk.asked if step_of(p) == "evolve"]
    assert [p.draw for p in evolved] == [0, 1, 2, 3]  # a failed round is asked anew, not remembered


@pytest.mark.parametrize(
    ("evolved", "answer", "why", "calls"),
    [
        (lambda b: f"Rewritten instruction for you: {b} More.", "x", "words of the prompt in it", 1),
        (lambda b: b.upper(), "x", "asks for nothing new", 1),
        (lambda b: " ... ", "x", "no instruction", 1),
        (harder, "I am sorry, I cannot do that.", "the answer apologises", 3),
        (harder, "I will, and you? !", "the answer is only punctuation and stop words", 3),
        (harder, "  ", "no answer", 3),
    ],
)
async def test_eliminations(evolved: Callable[[str], str], answer: str, why: str, calls: int) -> None:
    desk = Desk(replies(evolved, answer=answer))
    rows = await drafted(replace(RECIPE, draft=EvolInstruct(rounds=1)), SEED, desk)
    assert [(row.fallen and row.fallen.reason, row.fallen and row.fallen.check) for row in rows] == [
        (why, "elimination")
    ]
    assert len(desk.asked) == calls


async def test_a_long_answer_may_say_sorry_and_figures_are_an_answer() -> None:
    assert (
        poor("sorry " + "word " * 90) == "" and poor("I'm sorry.") != "" and poor("42") == "" and poor("影の棒") == ""
    )


async def test_the_anchors_own_answer_is_a_row() -> None:
    rows = await drafted(RECIPE, Anchor("Describe it.", "", {"output": "It tells time."}), Desk(replies(harder)))
    assert rows[0].fields["human"] and rows[0].calls == () and rows[0].answer == "It tells time." and len(rows) == 5


async def test_every_operator_is_used_and_breadth_asks_for_another_instruction() -> None:
    seen = {}
    for n in range(60):
        desk = Desk(replies(harder))
        rows = await drafted(replace(RECIPE, draft=EvolInstruct(rounds=1)), Anchor(f"Describe thing {n}."), desk)
        seen[rows[0].fields["operator"]] = desk.asked[0].messages[0]["content"]
    assert set(seen) == set(OPERATORS) and len(OPERATORS) == 6
    assert all(HOW[name] in seen[name] for name in HOW) and "rarer" in seen["breadth"]


@pytest.mark.parametrize(
    ("said", "equal"),
    [
        ("Equal", True),
        ("**Not equal**", False),
        ("They are not  equal.", False),
        ("Different!", False),
        ("maybe", None),
        ("", None),
    ],
)
def test_the_judges_word(said: str, equal: bool | None) -> None:
    assert adds_nothing(said) is equal


@pytest.mark.parametrize(
    ("said", "instruction"),
    [
        ("New instruction: Do it.", "Do it."),
        ('"Do it."', "Do it."),
        ('"a" and "b"', '"a" and "b"'),
        ("**Instruction:** Do it.", "Do it."),
    ],
)
def test_read(said: str, instruction: str) -> None:
    assert read(said) == instruction


@pytest.mark.parametrize("knobs", [{"rounds": 0}, {"operators": ("widen",)}, {"operators": ()}])
def test_bad_knobs(knobs: dict[str, object]) -> None:
    with pytest.raises(SynthgainError):
        EvolInstruct(**knobs)  # type: ignore[arg-type]

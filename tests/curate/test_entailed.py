"""A judge's word on each sentence: asked, read, and turned into keep or drop."""

from __future__ import annotations

from dataclasses import replace

import pytest

from doubles.drafting import Desk, drafted
from synthgain import Scripted, SynthgainError, curate, generate
from synthgain.curate.entailed import TOGETHER, Entailed, answered, asked_whether, judged, statements
from synthgain.recipes.rephrase import RECIPE, Rephrase
from synthgain.types import Anchor, CallFailed, Prompt, Row

SOURCE = "The harbour of Quell was dug in 1611 by forty masons."


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("1. yes\n2. no\n3. yes", [True, False, True]),
        ("1: Yes\n3) **No**", [True, None, False]),
        ("Statement 1: yes, it does.\n- 2. No.", [True, False, None]),
        ("1. yes\n1. no\n2. yes or no\n9. yes", [None, None, None]),
        ("", [None, None, None]),
        ("yes", [None, None, None]),
    ],
)
def test_answers(answer: str, words: list[bool | None]) -> None:
    assert answered(answer, 3) == words


def test_one_statement_needs_no_number() -> None:
    assert (
        answered("Yes.", 1) == [True]
        and answered("No, it says 1611.", 1) == [False]
        and answered("Perhaps", 1) == [None]
    )


def test_the_prompt_has_the_source_first_and_goes_to_the_judge() -> None:
    said = statements("It was dug in 1611.  Masons dug it!\n\n***\nIn 1612?")
    assert said == ["It was dug in 1611.", "Masons dug it!", "In 1612?"]
    prompt = asked_whether(SOURCE, said)
    text = prompt.messages[-1]["content"]
    assert prompt.to == "judge" and text.index(SOURCE) < text.index("1. It was dug") < text.index("3. In 1612?")


async def test_many_sentences_are_several_calls_and_one_that_fails_says_nothing() -> None:
    text = "\n".join(f"Sentence number {i}." for i in range(TOGETHER + 2))
    desk = Desk(lambda p: CallFailed("no") if "number 0." in p.messages[-1]["content"] else "1. yes\n2. no")
    calls, words = await judged(desk, SOURCE, text)
    assert len(calls) == 1 and words == [None] * TOGETHER + [True, False]


@pytest.mark.parametrize(
    ("fields", "least", "reason", "score"),
    [
        ({}, 0.0, "no verdict of a judge", None),
        ({"stated": []}, 1.0, "", None),
        ({"stated": [True, True, None]}, 1.0, "", 1.0),
        ({"stated": [True, False]}, 1.0, "says what its source does not, by the judge", 0.5),
        ({"stated": [True, False]}, 0.5, "", 0.5),
        ({"stated": [None]}, 0.0, "the judge's verdict could not be read", None),
        ({"stated": "yes"}, 0.0, "the judge's verdict could not be read", None),
    ],
)
def test_the_check(fields: dict[str, object], least: float, reason: str, score: float | None) -> None:
    verdict = Entailed(least)(Row(text="x", fields=fields), ())
    assert (verdict.reason, verdict.score) == (reason, score)


def test_a_threshold_that_is_no_share() -> None:
    with pytest.raises(SynthgainError, match="between 0 and 1"):
        Entailed(2.0)


async def test_rephrase_asks_no_judge_unless_told() -> None:
    desk = Desk(lambda prompt: "It was dug in 1611.")
    await drafted(RECIPE, Anchor(SOURCE), desk)
    assert {prompt.to for prompt in desk.asked} == {"writer"} and len(desk.asked) == 4
    told = Desk(lambda prompt: "1. yes" if prompt.to == "judge" else "It was dug in 1611.")
    rows = await drafted(replace(RECIPE, draft=Rephrase(judged=True)), Anchor(SOURCE), told)
    assert [row.fields["stated"] for row in rows] == [[True]] * 4 and all(
        row.calls[-1].text == row.answer for row in rows
    )
    writers = [prompt.id("m") for prompt in told.asked if prompt.to == "writer"]
    assert sorted(writers) == sorted(prompt.id("m") for prompt in desk.asked)  # the writer's calls are bought once


def test_the_whole_way(tmp_path: object) -> None:
    def reply(prompt: Prompt) -> str:
        if prompt.to == "judge":
            return "1. no" if "1612" in prompt.messages[-1]["content"].split("Statements:")[1] else "1. yes"
        return "It was dug in 1612." if "small child" in prompt.messages[-1]["content"] else "It was dug in 1611."

    models = {"writer": Scripted(reply), "judge": Scripted(reply)}
    with pytest.raises(SynthgainError, match="no role 'judge'"):
        generate("rephrase", [SOURCE], model=models, out=f"{tmp_path}/off")
    with pytest.raises(SynthgainError, match="role 'judge'"):
        generate(
            "rephrase", [SOURCE], model={"writer": models["writer"]}, out=f"{tmp_path}/off", knobs={"judged": True}
        )
    run = generate("rephrase", [SOURCE], model=models, out=f"{tmp_path}/run", knobs={"judged": "1"})
    assert run.record["dropped_by"] == {"entailed": 1} and run.record["counts"]["calls_bought"] == 6
    run = curate(run, with_=["entailed=0"])
    assert run.record["counts"]["dropped"] == 0 and run.record["counts"]["calls_bought"] == 0

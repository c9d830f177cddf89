"""FinePhrase: four formats of a document, and answers that are not in theirs fall with the reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from doubles.drafting import Desk, drafted
from synthgain.passages import tokens
from synthgain.recipes.finephrase import EXAMPLES, FORMATS, RECIPE, FinePhrase, amiss
from synthgain.types import Anchor, Prompt, SynthgainError

DOC = EXAMPLES[0]
GERMAN = Anchor("Die Glocke von Uhlen hängt unter Wasser. Man hört sie nur bei Ebbe, und auch dann nicht an jedem Tag.")
TABLE = "| season | minutes |\n|:---|---:|\n| winter | 40 |\n| summer | 65 |\n"
ASKED = "Question: How much longer is summer?\nAnswer: 25 minutes"


def said(prompt: Prompt) -> str:
    return prompt.messages[-1]["content"]


async def test_one_call_a_format_as_a_user_with_the_codes_limits() -> None:
    desk = Desk(lambda p: f"{TABLE}\n{ASKED}")
    rows = await drafted(RECIPE, DOC, desk)
    assert [row.fields["format"] for row in rows] == list(FORMATS) == ["table", "math", "faq", "tutorial"]
    for prompt, task in zip(desk.asked, FORMATS.values(), strict=True):
        assert [turn["role"] for turn in prompt.messages] == ["user"]
        assert said(prompt) == f"Document:\n\n{DOC.text}\n\n(End of the document)\n\n{task}"
        law = prompt.sampling
        assert (law.max_tokens, law.temperature, law.top_p, law.top_k) == (2048, 1.0, 0.95, 64)
    assert [row.fallen.reason if row.fallen else "" for row in rows] == [
        "",
        "no problem with a solution",
        "",
        "no numbered steps",
    ]


@pytest.mark.parametrize(
    ("format", "text", "why"),
    [
        ("table", f"{TABLE}\n{ASKED}", ""),
        ("table", f"Season | Minutes\n--- | ---\nwinter | 40\n\n**{ASKED.replace(chr(10), chr(10) * 2)}**", ""),
        ("table", ASKED, "no table"),
        ("table", "| season | minutes |\n| --- | --- |\n\n" + ASKED, "no table"),
        ("table", "season\n---\nwinter\n" + ASKED, "no table"),
        ("table", TABLE, "no question with an answer behind the table"),
        ("table", f"{TABLE}\nQuestion: How much longer?", "no question with an answer behind the table"),
        ("math", "Problem: 14 pay 3 kroner. How much is it?\nSolution: 14 * 3 = 42", ""),
        ("math", "**Problem:**\n\nFourteen pay three kroner.\n\n**Solution:**\n\n1. 14 * 3 = 42", ""),
        ("math", "## Problem\nFourteen pay.\n## Solution\n14 * 3 = 42", ""),
        ("math", "Problem: 14 pay 3 kroner. How much is it?", "no problem with a solution"),
        ("math", "Solution: 14 * 3 = 42", "no problem with a solution"),
        ("math", "Problem: 14 pay.\nSolution:", "no problem with a solution"),
        ("math", "Problem: 14 pay.\nSolution: it is clear", "a solution without a number"),
        ("faq", f"Here is the list:\n\n**1. {ASKED.replace('Question:', 'Question:**')}", ""),
        ("faq", "Frage: Wie lange?\nAntwort: 40 Minuten", ""),
        ("faq", "The ferry runs on runners.", "no question with an answer"),
        ("faq", "Question: Why?\nQuestion: When?", "no question with an answer"),
        ("tutorial", "# Take the ferry\n\n1. **Wait.** It comes.\n\n2. **Pay.** 3 kroner.", ""),
        ("tutorial", "### Step 1: Wait\nIt comes.\n### Step 2: Pay\n3 kroner.", ""),
        ("tutorial", "Schritt 1: Warten\nSchritt 2: Zahlen", ""),
        ("tutorial", "Wait for it, then pay 3 kroner. In 1908 it was built.", "no numbered steps"),
        ("tutorial", "1. Wait.", "no numbered steps"),
    ],
)
def test_what_an_answer_must_have(format: str, text: str, why: str) -> None:
    assert amiss(text, format) == why


async def test_empty_and_cut_answers_fall_by_their_own_checks() -> None:
    for answer, finish in (("", "stop"), ("| a |", "length")):
        rows = await drafted(RECIPE, DOC, Desk(lambda p, answer=answer: answer, finish=finish))  # type: ignore[misc]
        assert not any(row.verdicts for row in rows)
        assert all(any(not check(row, ()).keeps for check in RECIPE.checks) for row in rows)  # type: ignore[operator,call-arg,union-attr]


async def test_nothing_of_a_long_document_is_left_out() -> None:
    long = Anchor("\n\n".join(f"Paragraph {n} is about the {n}th thing, and says so." for n in range(800)))
    desk = Desk(lambda p: "text")
    await drafted(replace(RECIPE, draft=FinePhrase(formats=("faq",))), long, desk)
    parts = [said(p).removeprefix("Document:\n\n").partition("\n\n(End of the document)")[0] for p in desk.asked]
    assert "\n\n".join(parts) == long.text and len(parts) > 1 and all(tokens(part) <= 6144 for part in parts)


async def test_marks_stay_in_every_language() -> None:
    desk = Desk(lambda p: "text")
    await drafted(RECIPE, GERMAN, desk)
    kept = [
        '"Question:" and "Answer:" stay',
        '"Problem:" and "Solution:" stay',
        '"Question:" and "Answer:" stay',
        "not in that of this request.",
    ]
    assert all(mark in said(p) for mark, p in zip(kept, desk.asked, strict=True))
    desk = Desk(lambda p: "text")
    await drafted(replace(RECIPE, draft=FinePhrase(language="German")), DOC, desk)
    assert all("Write in German." in said(p) for p in desk.asked)


@pytest.mark.parametrize("knobs", [{"formats": ("poem",)}, {"formats": ()}, {"longest": 0}, {"language": "a\nb"}])
def test_bad_knobs(knobs: dict[str, object]) -> None:
    with pytest.raises(SynthgainError):
        FinePhrase(**knobs)  # type: ignore[arg-type]

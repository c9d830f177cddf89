"""SPA: seven prompts, the whole document in each, the same prompt again and again, and equal tokens of each."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from doubles.drafting import Desk, drafted
from synthgain import Scripted, generate
from synthgain.passages import tokens
from synthgain.recipes.spa import EXAMPLES, PROMPTS, RECIPE, SPA
from synthgain.types import Anchor, Prompt, SynthgainError

DOC, UNTITLED = EXAMPLES
GERMAN = Anchor("Die Glocke von Uhlen hängt unter Wasser. Man hört sie nur bei Ebbe, und auch dann nicht an jedem Tag.")


def said(prompt: Prompt) -> str:
    return prompt.messages[-1]["content"]


async def test_seven_prompts_each_sampled_again_and_again() -> None:
    desk = Desk(lambda p: f"Sample {p.draw}.")
    rows = await drafted(RECIPE, DOC, desk)
    assert len(PROMPTS) == 7 and Counter(row.fields["prompt"] for row in rows) == dict.fromkeys(PROMPTS, 5)
    assert len({p.id("m") for p in desk.asked}) == 35 and len({said(p) for p in desk.asked}) == 7
    for prompt, row in zip(desk.asked, rows):
        assert said(prompt).startswith(f"Title: {DOC.fields['title']}\nDocument:\n\n{DOC.text}")
        assert said(prompt).endswith(PROMPTS[row.fields["prompt"]]) and prompt.sampling.temperature == 1.0


async def test_a_row_is_the_title_and_the_answer_and_never_the_document() -> None:
    rows = await drafted(RECIPE, DOC, Desk(lambda p: "They count in sevens."))
    assert {row.text for row in rows} == {"Counting in Low Tarn\nThey count in sevens."}
    assert {row.text for row in await drafted(RECIPE, UNTITLED, Desk(lambda p: "It darkens."))} == {"It darkens."}
    assert {row.text for row in await drafted(RECIPE, DOC, Desk(lambda p: " "))} == {""}  # a title alone is no text


def test_equal_tokens_of_each_prompt_not_equal_counts(tmp_path: Path) -> None:
    long = {name: n for n, name in enumerate(PROMPTS, 1)}

    def reply(prompt: Prompt) -> str:
        name = next(name for name, task in PROMPTS.items() if said(prompt).endswith(task))
        return f"Draw {prompt.draw} says {len(said(prompt))} " + "more words of it. " * 6 * long[name]

    run = generate(RECIPE, [UNTITLED], model=Scripted(reply), knobs={"samples": 24}, out=tmp_path / "run")
    held = Counter[str]()
    for row in run.rows():
        if row["kept"]:
            held[row["fields"]["prompt"]] += round(tokens(row["text"]))
    counts = Counter(row["fields"]["prompt"] for row in run.rows() if row["kept"])
    assert max(held.values()) < 1.3 * min(held.values()) and counts["concepts"] == 24 > counts["teacher"] > 1
    assert {row["check"] for row in run.rows() if not row["kept"]} == {"balanced"}


async def test_marks_and_language() -> None:
    desk = Desk(lambda p: "text")
    await drafted(replace(RECIPE, draft=SPA(samples=1)), GERMAN, desk)
    asks = [said(p) for p in desk.asked]
    assert all("Write in the language of the text above" in one for one in asks)
    assert sum("stay as they are" in one for one in asks) == 1
    desk = Desk(lambda p: "text")
    await drafted(replace(RECIPE, draft=SPA(samples=1, language="Welsh")), DOC, desk)
    assert all("Write in Welsh." in said(p) for p in desk.asked)


async def test_a_very_long_document() -> None:
    long = Anchor("\n\n".join(f"Paragraph {n} is about the {n}th thing, and says so." for n in range(300)))
    desk = Desk(lambda p: "text")
    rows = await drafted(replace(RECIPE, draft=SPA(samples=1, longest=1000)), long, desk)
    parts = list(dict.fromkeys(said(p).partition("Document:\n\n")[2].partition("\n\n(End")[0] for p in desk.asked))
    assert "\n\n".join(parts) == long.text and all(tokens(part) <= 1000 for part in parts)
    assert len(rows) == 7 * len(parts) and {row.fields["parts"] for row in rows} == {len(parts)}


@pytest.mark.parametrize("knobs", [{"prompts": ("odd",)}, {"samples": 0}, {"longest": 1}, {"language": "fr"}])
def test_bad_knobs(knobs: dict[str, object]) -> None:
    with pytest.raises(SynthgainError):
        SPA(**knobs)  # type: ignore[arg-type]

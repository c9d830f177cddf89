"""Chunk-wise rewriting: each passage sees what was written before, the passages stitch without loss, and what is unfaithful goes no further."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doubles.drafting import Desk, drafted
from synthgain.passages import chunks, last_of, tokens
from synthgain.recipes.kimi_rephrase import RECIPE, STYLES, KimiRephrase, without_echo
from synthgain.types import Anchor, Prompt, Row, SynthgainError

LONG = Anchor(
    "\n\n".join(f"Passage {n} is about bell {n}. " + "It says a little more about the sea. " * 4 for n in range(6)),
    "",
    {"title": "Bells"},
)
ONE = replace(RECIPE, draft=KimiRephrase(styles=("report",), chunk=60, carry=60))
GERMAN = Anchor("Die Glocke von Uhlen hängt unter Wasser. Man hört sie nur bei Ebbe, und auch dann nicht an jedem Tag.")


def said(prompt: Prompt) -> str:
    return prompt.messages[-1]["content"]


def number(prompt: Prompt) -> int:
    """Of the passage that a prompt is about."""
    found = re.search(r"(?:Next passage|Source):\n\nPassage (\d)", said(prompt))
    assert found
    return int(found[1])


def written(n: int, style: str = "") -> str:
    return f"Rewritten {style}{n}: of bell {n} something is told in words of its own, and more of the sea."


def score(prompt: Prompt) -> int:
    return 4


def replying(score=score):  # type: ignore[no-untyped-def]
    def reply(prompt: Prompt) -> str:
        if prompt.to == "judge":
            return json.dumps({"reason": "so", "score": score(prompt)})
        return written(number(prompt))

    return reply


def kept(rows: list[Row]) -> list[Row]:
    return [row for row in rows if not row.fallen]


async def test_what_was_written_is_carried_from_passage_to_passage() -> None:
    desk = Desk(replying())
    await drafted(ONE, LONG, desk)
    asked = [p for p in desk.asked if p.to == "writer"]
    assert [number(p) for p in asked] == list(range(6))
    assert "Rewritten" not in said(asked[0])
    for n, prompt in enumerate(asked[1:], 1):
        before = said(prompt).partition("Next passage:")[0]
        assert written(n - 1) in before and before.startswith("Title: Bells\n\nRewritten so far")
        assert f"Passage {n - 1} is" not in said(prompt)  # what was written, not the source
        assert tokens(before) < 60 + 20 and written(n - 3) not in before  # its end only
        assert "repeats nothing" in said(prompt)


async def test_passages_stitch_without_loss() -> None:
    desk = Desk(replying())
    (row,) = await drafted(ONE, LONG, desk)
    assert row.text == "\n\n".join(map(written, range(6)))
    shown = [
        said(p).partition("Next passage:\n\n")[2].partition("\n\n(End of the passage)")[0]
        for p in desk.asked
        if p.to == "writer"
    ]
    assert "\n\n".join(shown).split() == LONG.text.split()
    fields = {"style": "report", "chunks": 6, "first": 0, "last": 5, "fidelity": [4] * 6, "retried": 0}
    assert row.fields == fields and len(row.calls) == 12


async def test_styles_do_not_see_each_other() -> None:
    draft = KimiRephrase(styles=("report", "narrative"), chunk=60)
    desk = Desk(
        lambda p: '{"score": 5}' if p.to == "judge" else written(number(p), "R" if STYLES["report"] in said(p) else "N")
    )
    rows = await drafted(replace(RECIPE, draft=draft), LONG, desk)
    assert [row.fields["style"] for row in rows] == ["report", "narrative"]
    assert "Rewritten N" not in str(rows[0].text) and "Rewritten R" not in str(rows[1].text)
    assert not any("Rewritten N" in said(p) for p in desk.asked if STYLES["report"] in said(p))


async def test_each_passage_is_compared_with_its_own_source() -> None:
    desk = Desk(replying())
    await drafted(ONE, LONG, desk)
    judged = [p for p in desk.asked if p.to == "judge"]
    assert len(judged) == 6 and all(p.sampling.temperature == 0 for p in judged)
    for n, prompt in enumerate(judged):
        assert (
            chunks(LONG.text, 60)[n] in said(prompt)
            and written(n) in said(prompt)
            and written(n - 1) not in said(prompt)
        )


async def test_what_is_unfaithful_is_tried_again_and_never_carried() -> None:
    def reply(prompt: Prompt) -> str:
        if prompt.to == "judge":
            return '{"score": 2}' if "INVENTED" in said(prompt) else '{"score": 5}'
        return (
            "INVENTED: the bell was made of gold."
            if number(prompt) == 2 and prompt.draw == 0
            else written(number(prompt))
        )

    desk = Desk(reply)
    rows = await drafted(ONE, LONG, desk)
    fell, row = rows
    assert fell.fallen and (fell.fallen.check, fell.fallen.reason, fell.fallen.score) == (
        "gate",
        "not faithful to its passage",
        2,
    )
    assert (fell.fields["first"], fell.fields["last"], fell.fields["fidelity"]) == (2, 2, [2])
    assert row.text == "\n\n".join(map(written, range(6))) and row.fields["retried"] == 1
    assert not any("INVENTED" in said(p) for p in desk.asked if p.to == "writer")


@pytest.mark.parametrize(("bad", "runs"), [(0, [(1, 5)]), (3, [(0, 2), (4, 5)]), (5, [(0, 4)])])
async def test_where_all_tries_fall_the_text_ends_and_begins_anew(bad: int, runs: list[tuple[int, int]]) -> None:
    desk = Desk(replying(lambda p: 1 if number(p) == bad else 5))
    rows = await drafted(ONE, LONG, desk)
    assert [(row.fields["first"], row.fields["last"]) for row in kept(rows)] == runs
    assert [row.fields["first"] for row in rows if row.fallen] == [bad, bad]
    assert [row.text for row in kept(rows)] == ["\n\n".join(map(written, range(a, b + 1))) for a, b in runs]
    held = {n for row in rows for n in range(row.fields["first"], row.fields["last"] + 1)}
    assert held == set(range(6))  # every passage stays, or falls with its reason


async def test_what_is_cut_off_or_empty_falls_without_a_judge() -> None:
    for answer, finish, reason in (
        ("half a", "length", "a passage cut off at the token limit"),
        ("…", "stop", "a passage without text"),
    ):
        desk = Desk(lambda p, answer=answer: answer, finish=finish)  # type: ignore[misc]
        rows = await drafted(ONE, LONG, desk)
        assert {row.fallen.reason for row in rows if row.fallen} == {reason} and len(rows) == 12
        assert not any(p.to == "judge" for p in desk.asked)


async def test_a_judge_that_gives_no_score_accepts_nothing() -> None:
    desk = Desk(lambda p: "It is fine." if p.to == "judge" else written(number(p)))
    rows = await drafted(ONE, LONG, desk)
    assert {row.fallen.reason for row in rows if row.fallen} == {"the judge gave no score"} and not kept(rows)


async def test_an_echo_of_the_text_before_is_cut_off() -> None:
    desk = Desk(
        lambda p: (
            '{"score": 5}'
            if p.to == "judge"
            else (f"{written(number(p) - 1)}\n\n" if number(p) else "") + written(number(p))
        )
    )
    (row,) = await drafted(ONE, LONG, desk)
    assert row.text == "\n\n".join(map(written, range(6)))
    for heading in ("Rewritten so far:", "**Rewritten so far (its end):**\n\n**Next passage:**", "Next passage:"):
        assert without_echo(f"{heading}\n\n{written(1)}\n{written(2)}", written(1)) == written(2)
    assert without_echo("The next passage: a lock.", "") == "The next passage: a lock."
    assert without_echo("The bell rang.", "The bell rang.") == "The bell rang."  # too short to be an echo


async def test_learning_notes_and_another_language() -> None:
    draft = KimiRephrase(styles=("learning-note",), language="English")
    desk = Desk(lambda p: '{"score": 5}' if p.to == "judge" else "A note.")
    (row,) = await drafted(replace(RECIPE, draft=draft), GERMAN, desk)
    assert row.fields["style"] == "learning-note" and said(desk.asked[0]).endswith("Write in English.")
    desk = Desk(lambda p: '{"score": 5}' if p.to == "judge" else "Eine Notiz.")
    await drafted(RECIPE, GERMAN, desk)
    assert "Write in the language of the text above" in said(desk.asked[0])


@given(st.lists(st.text(alphabet="ab.!? \n。港", min_size=1, max_size=120), max_size=12), st.integers(10, 60))
def test_the_end_of_a_text_is_its_end_and_small(paragraphs: list[str], most: int) -> None:
    text = "\n\n".join(paragraphs)
    end = last_of(text, most)
    assert tokens(end) <= most and "".join(text.split()).endswith("".join(end.split()))
    assert bool(end) == bool(text.strip())


@pytest.mark.parametrize(
    "knobs", [{"styles": ("odd",)}, {"chunk": 1}, {"carry": 0}, {"tries": 0}, {"language": "de-AT"}]
)
def test_bad_knobs(knobs: dict[str, object]) -> None:
    with pytest.raises(SynthgainError):
        KimiRephrase(**knobs)  # type: ignore[arg-type]

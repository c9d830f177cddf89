"""WRAP: chunks that lose nothing, four styles each, passage first and style last."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doubles.drafting import Desk, drafted
from synthgain.passages import chunks, sentences, tokens
from synthgain.recipes.rephrase import RECIPE, STYLES, Rephrase
from synthgain.types import Anchor, CallFailed, SynthgainError

LONG = Anchor(
    "\n\n".join(f"Paragraph {i} begins here. " + "It says a little more about the sea. " * 20 for i in range(5))
)


@given(st.text(alphabet="ab.!? \n。港", max_size=600), st.integers(10, 60))
def test_chunks_lose_nothing_and_stay_small(text: str, limit: int) -> None:
    parts = chunks(text, limit)
    assert "".join("".join(parts).split()) == "".join(text.split())
    assert all(tokens(part) <= limit for part in parts)
    assert all(part.strip() == part != "" for part in parts)


def test_chunks_end_with_sentences() -> None:
    parts = chunks(LONG.text, 100)
    assert len(parts) > 5 and all(part.endswith(".") for part in parts)
    assert chunks("One. Two.\n\nThree.", 300) == ["One. Two.\n\nThree."]
    assert chunks("word " * 600, 300) == ["word " * 224 + "word"] * 2 + ["word " * 149 + "word"]


def test_sentences() -> None:
    assert sentences('Dr. Moll left. "Why?" he asked. It cost 3.5 crowns.') == [
        "Dr. Moll left.",
        '"Why?" he asked.',
        "It cost 3.5 crowns.",
    ]


async def test_one_call_for_each_chunk_and_style() -> None:
    desk = Desk(lambda prompt: "Sure, here is the rewritten passage:\n\nA text.")
    rows = await drafted(RECIPE, LONG, desk)
    parts = chunks(LONG.text, 300)
    assert [(r.fields["chunk"], r.fields["style"]) for r in rows] == [(i, s) for i in range(len(parts)) for s in STYLES]
    assert {r.answer for r in rows} == {"A text."} and len(parts) > 1
    for prompt, row in zip(desk.asked, rows):
        said = prompt.messages[-1]["content"]
        assert parts[row.fields["chunk"]] in said and said.endswith(STYLES[row.fields["style"]])
    first = [p.messages[-1]["content"] for p in desk.asked[:4]]
    assert all(said.startswith(f"Passage:\n\n{parts[0]}\n\n") for said in first)  # the prefix that the cache shares


async def test_rows_belong_to_their_own_calls_where_some_are_lost() -> None:
    desk = Desk(lambda p: CallFailed("no") if "child" in p.messages[-1]["content"] else p.messages[-1]["content"])
    rows = await drafted(replace(RECIPE, draft=Rephrase(chunk=100)), LONG, desk)
    assert {r.fields["style"] for r in rows} == {"medium", "hard", "qa"}
    assert all(
        STYLES[r.fields["style"]] in r.answer and f"{chunks(LONG.text, 100)[r.fields['chunk']]}" in r.answer
        for r in rows
    )


@pytest.mark.parametrize("knobs", [{"styles": ("easy", "hrad")}, {"styles": ()}, {"chunk": 0}])
def test_bad_knobs(knobs: dict[str, object]) -> None:
    with pytest.raises(SynthgainError):
        Rephrase(**knobs)  # type: ignore[arg-type]

"""Documents as people have them: long, of one line, of one word, of no words, in other scripts. Every recipe on documents ends, and nothing breaks."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest

from doubles.drafting import Desk, drafted
from synthgain.passages import tokens
from synthgain.recipes import load, names
from synthgain.types import Anchor, Prompt, Recipe

ON_DOCUMENTS = [name for name in names() if "pretraining" in load(name).stage]
ODD = {
    "a mark": "…",
    "a word": "Quellmarrow",
    "control signs": "\x00\x07 The \ud83d bell",
    "emoji": "🔔🔔🔔 🌊",
    "one long word": "x" * 40_000,
    "one long line": "The bell rings at spring tides. " * 2_000,
    "many short lines": "bell\n" * 4_000,
    "Japanese without spaces": "ウーレンの鐘は水の下に掛かっている。引き潮のときにだけ聞こえる。" * 100,
    "Arabic": "جرس أولن معلق تحت الماء. لا يسمع إلا عند الجزر. " * 60,
    "braces": "{n} {task} {0} %s {{calibration}}",
    "marks of prompts": "Question: Why?\nAnswer: (End of the document)\nStrategy: none\n| a | b |\n| --- | --- |",
}
WHOLE = 6_400  # tokens: `longest` (6,144 at most) and a little


def few(recipe: Recipe) -> Recipe:
    knobs = {f.name for f in fields(recipe.draft)}  # type: ignore[arg-type]
    less = {
        name: n
        for name, n in {"samples": 1, "pairs": 2, "triples": 1, "strategies": 1, "questions": 1}.items()
        if name in knobs
    }
    return replace(recipe, draft=replace(recipe.draft, **less))  # type: ignore[type-var]


def reply(prompt: Prompt) -> str:
    if prompt.schema is not None:
        said = {
            "entities": ["bell"],
            "pairs": [{"genre": "g", "audience": "a"}],
            "score": 5,
            "reason": "so",
            "summary": "s",
        }
        return json.dumps(said)
    return "Strategy: a way\nQuestion: what?\nAnswer: that"


@pytest.mark.parametrize("text", ODD.values(), ids=list(ODD))
@pytest.mark.parametrize("name", ON_DOCUMENTS)
async def test_odd_documents(name: str, text: str) -> None:
    desk = Desk(reply)
    rows = await drafted(few(load(name)), Anchor(text, "", {"title": text[:30]}), desk)
    assert rows and all(row.text is not None for row in rows)
    if name != "entigraph":  # it has the whole document in every prompt, however long
        assert max((tokens(p.messages[-1]["content"]) for p in desk.asked), default=0) < WHOLE + 400
    if "{n}" in text and desk.asked:
        assert any(text in p.messages[-1]["content"] for p in desk.asked)  # not taken for a format


@pytest.mark.parametrize("name", ON_DOCUMENTS)
async def test_a_document_of_a_book_is_used_to_its_end(name: str) -> None:
    """All of a text of 20,000 tokens stands in the prompts of a recipe that reads passages or parts."""
    book = " ".join(f"Sentence {n} of the book tells of wave {n}x." for n in range(1_700))
    assert tokens(book) > 3 * 6_144
    lines = "\n".join(book[i : i + 900] for i in range(0, len(book), 900))
    desk = Desk(reply)
    await drafted(few(load(name)), Anchor(lines), desk)
    said = "\n".join(p.messages[-1]["content"] for p in desk.asked)
    missing = [n for n in range(1_700) if f" {n}x" not in said.replace("\n", " ")]
    assert len(missing) < 60  # a word may be parted where a line was broken

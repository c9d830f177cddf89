"""docs/continued-pretraining.md says what a document costs in each recipe: the recipes are run, with the scripted answers, and counted."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from doubles.drafting import Desk, drafted
from synthgain.passages import tokens
from synthgain.recipes import load, names
from synthgain.types import Anchor, Prompt

PAGE = Path(__file__).parents[2] / "docs" / "continued-pretraining.md"
ENTITIES = [f"Keeper{n}" for n in range(10)]
PAIRS = [{"genre": f"letter {n}", "audience": "nurses"} for n in range(5)]
JSON = {"entities": ENTITIES, "summary": "s", "title": "t", "pairs": PAIRS, "score": 5, "reason": "so"}


def reply(prompt: Prompt) -> str:
    """An answer that no other prompt gets, with as many of everything as a recipe takes."""
    own = prompt.id("m")[:8]
    lines = [f"Strategy: way {n} {own}\nQuestion: what of {n} {own}?\nAnswer: that it is {n}" for n in range(20)]
    return json.dumps(JSON) if prompt.schema is not None else "\n".join(lines)


def document(size: int) -> Anchor:
    """A text of that many tokens: paragraphs of thirty words, and among them the ten entities."""
    paragraphs = [
        f"{ENTITIES[n % 10]} wrote in {n} of it" + " and the water" * 7 + " and waves again." for n in range(size // 40)
    ]
    text = "\n\n".join(paragraphs)
    assert abs(tokens(text) - size) < 0.02 * size
    return Anchor(text)


async def calls(name: str, size: int) -> int:
    desk = Desk(reply)
    await drafted(load(name), document(size), desk)
    return len({prompt.id("m") for prompt in desk.asked})


def table() -> dict[str, tuple[int, int]]:
    rows = re.findall(r"^\| `([a-z-]+)` \|[^|]*\| ([\d,]+) \| ([\d,]+) \|", PAGE.read_text("utf-8"), re.M)
    return {name: (int(small.replace(",", "")), int(large.replace(",", ""))) for name, small, large in rows}


def test_the_page_has_every_recipe_on_documents() -> None:
    assert set(table()) == {name for name in names() if "pretraining" in load(name).stage}


@pytest.mark.parametrize("name", [name for name in names() if "pretraining" in load(name).stage])
async def test_the_page_says_what_a_document_costs(name: str) -> None:
    assert table()[name] == (await calls(name, 1_000), await calls(name, 4_000))


@pytest.mark.parametrize("name", [name for name in names() if "pretraining" in load(name).stage])
async def test_what_a_prompt_shares_comes_first(name: str) -> None:
    """On one document, or passage, at least three calls in four begin alike: every engine's prefix cache then works."""
    desk = Desk(reply)
    await drafted(load(name), document(240), desk)
    bodies = [prompt.messages[-1]["content"] for prompt in desk.asked if prompt.to == "writer"]
    heads = [body[:300] for body in bodies]
    assert max(map(heads.count, heads)) >= 0.75 * len(heads)

"""Recipes are found by file name, or by the path of anybody's file."""

from __future__ import annotations

from pathlib import Path

import pytest

from synthgain.api.asking import knobs_of
from synthgain.recipes import load, names
from synthgain.types import SynthgainError

MINE = """
from synthgain.types import Prompt, Recipe, Row, user

async def draft(models, anchor):
    call = await models(Prompt((user(anchor.text),)))
    yield Row(text=call.text, calls=(call,))

RECIPE = Recipe(name="mine", version="1", draft=draft)
"""


def test_shipped_recipes() -> None:
    assert {"rft", "rephrase", "entigraph"} <= set(names())
    assert [load(name).name for name in names()] == names()


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(MINE)
    assert load(str(file)).name == load(file).name == "mine"


@pytest.mark.parametrize(
    ("name", "words"),
    [("entigraf", "did you mean 'entigraph'?"), ("zzz", "the recipes are:"), ("./nowhere.py", "there is no such file")],
)
def test_mistakes_are_explained(name: str, words: str) -> None:
    with pytest.raises(SynthgainError) as error:
        load(name)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("x = 1\nRECIPE = (", "bad.py:2"),
        ("x = 1\n", "no RECIPE"),
        ("RECIPE = 3", "is a int, not a Recipe"),
        ("\nraise ValueError('oh')", "bad.py:2: ValueError: oh"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path: Path, code: str, words: str) -> None:
    (tmp_path / "bad.py").write_text(code)
    with pytest.raises(SynthgainError) as error:
        load(tmp_path / "bad.py")
    assert words in str(error.value)


@pytest.mark.parametrize("name", names())
def test_every_knob_says_where_its_default_comes_from(name: str) -> None:
    recipe = load(name)
    assert set(recipe.sources) == set(knobs_of(recipe))
    assert recipe.source and recipe.calls and recipe.anchors and recipe.examples and recipe.departures

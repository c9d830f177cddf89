"""Settings go to JSON and come back, of every shipped check and recipe; what is no setting is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from synthgain.curate import load, names
from synthgain.recipes import load as load_recipe
from synthgain.recipes import names as recipe_names
from synthgain.settings import settings_of, with_settings
from synthgain.types import SynthgainError


@pytest.mark.parametrize(
    "spec", [*names(), "language=de:letters=3", "length=20:most=none", "near-duplicate=1:n=5", "truncated=yes"]
)
def test_a_shipped_check_is_made_again_from_its_settings(spec: str) -> None:
    check = load(spec)
    held = json.loads(json.dumps(settings_of(check)))
    assert check.name in names()
    again = with_settings(load(check.name), held)
    assert again == check and type(again) is type(check)


@pytest.mark.parametrize("name", recipe_names())
def test_a_shipped_recipe_is_made_again_from_its_knobs(name: str) -> None:
    draft: Any = load_recipe(name).draft
    assert with_settings(draft, json.loads(json.dumps(settings_of(draft)))) == draft


@dataclass(frozen=True)
class Mine:
    words: Any = ("a", ("b", "c"))
    most: float = 0.5
    name: str = "mine"


def test_tuples_and_numbers_come_back_as_they_were() -> None:
    again = with_settings(Mine(), {"words": ["x", ["y", "z"]], "most": 1})
    assert again == Mine(("x", ("y", "z")), 1.0) and isinstance(again.most, float)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"raw", {1: 2}, {"a": object()}, Path("x")])
def test_a_setting_without_a_json_form_is_refused(value: object) -> None:
    with pytest.raises(SynthgainError, match="no JSON form"):
        settings_of(Mine(value))


def test_settings_outside_fields_are_refused() -> None:
    class Loose:
        name = "loose"

        def __init__(self, most: float) -> None:
            self.most = most

    with pytest.raises(SynthgainError, match="cannot be written down") as error:
        settings_of(Loose(0.5))
    assert "frozen dataclass" in error.value.next


@pytest.mark.parametrize(
    "settings", [{"want": 3}, {"letters": "20"}, {"letters": True}, {"letters": None}, {"wnat": "de"}, {"want": ["de"]}]
)
def test_settings_that_are_not_the_checks_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(SynthgainError, match=next(iter(settings))):
        with_settings(load("language"), settings, "run.json")


@pytest.mark.parametrize("tolerance", [float("nan"), float("inf"), "1", None])
def test_what_is_no_number_is_refused(tolerance: object) -> None:
    with pytest.raises(SynthgainError, match="tolerance"):
        with_settings(load("equations"), {"tolerance": tolerance})


def test_a_value_that_the_check_refuses_is_refused_from_a_record_too() -> None:
    with pytest.raises(SynthgainError, match="between 0 and 1"):
        with_settings(load("near-duplicate"), {"threshold": 2.0})

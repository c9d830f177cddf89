"""Checks and roles that hang on a draft's knobs go with the knobs, whoever sets them; a recipe's `checks` come on top."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import synthgain as sg
from synthgain.curate.copied import Copied
from synthgain.curate.judge_score import JudgeScore
from synthgain.recipes.mga import MGA
from synthgain.recipes.mga import RECIPE as MGA_RECIPE
from synthgain.recipes.rephrase import RECIPE, Rephrase
from synthgain.types import Recipe

TEXT = ["The mill of Orrin has two wheels. Its miller is Tessa Holm, who came from the coast."]


def made(recipe: Recipe, out: Path, **more: Any) -> set[str]:
    """The names of the checks of a run."""
    run = sg.generate(recipe, TEXT, model="scripted/echo", out=out, **more)
    return {check["name"] for check in run.record["recipe"]["checks"]}


def test_another_draft_brings_its_checks_and_roles(tmp_path: Path) -> None:
    judged = replace(RECIPE, draft=Rephrase(judged=True))
    assert "entailed" in made(judged, tmp_path / "a") and "entailed" not in made(RECIPE, tmp_path / "b")
    assert judged.all_roles == ("writer", "judge") and RECIPE.all_roles == ("writer",)
    unjudged = replace(MGA_RECIPE, draft=MGA(judge=False))
    assert "judge-score" not in {check.name for check in unjudged.all_checks}


def test_checks_that_a_user_adds_stay_whatever_the_knobs(tmp_path: Path) -> None:
    mine = replace(RECIPE, checks=(*RECIPE.checks, Copied()))
    assert "copied" in made(mine, tmp_path / "a", knobs={"chunk": 100})
    assert {"copied", "entailed"} <= made(mine, tmp_path / "b", knobs={"judged": "true"})


def test_a_check_of_the_recipe_takes_the_place_of_the_drafts(tmp_path: Path) -> None:
    mine = replace(MGA_RECIPE, checks=(JudgeScore(5, "fidelity"),))
    assert [check.least for check in mine.all_checks if isinstance(check, JudgeScore)] == [5]

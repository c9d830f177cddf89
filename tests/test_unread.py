"""A judge whose answers cannot be read is not paid to the end of the run."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import synthgain as sg
from synthgain.curate.judges import Rubric
from synthgain.types import Anchor, Models, Prompt, Recipe, Row, SynthgainError, Verdict, assistant, keep, user

MANY = 80
RUBRIC = Rubric()


async def rated(models: Models, anchor: Anchor) -> AsyncIterator[Row]:
    call = await models(Prompt((user(anchor.text),)))
    judged = await models(RUBRIC.score_prompt(anchor.text, call.text))
    chat = (user(anchor.text), assistant(call.text))
    yield Row(messages=chat, calls=(judged, call), fields={"judge_score": RUBRIC.score(judged.text)})


RECIPE = Recipe("rated", "1", rated, roles=("writer", "judge"))
JUNK = "I would rather talk about the weather, " + "which is fine. " * 20


def texts(n: int) -> list[Anchor]:
    return [
        Anchor(f"The mill of Orrin, number {i}, has {i + 2} wheels and stands on a lake.", f"t#{i}") for i in range(n)
    ]


class Pair:
    """A writer, and a judge that says `said` (from its answer number `from_` on "Score: 9")."""

    def __init__(self, said: str = JUNK, from_: int = 10**9) -> None:
        self.judged, self.said, self.from_ = 0, said, from_
        self.models = {"writer": sg.Scripted(self._write, width=1), "judge": sg.Scripted(self._judge, width=1)}

    def _write(self, prompt: Prompt) -> str:
        return f"An answer to {zlib.crc32(prompt.content.encode()):o}, draw {prompt.draw}."

    def _judge(self, prompt: Prompt) -> str:
        self.judged += 1
        return "Score: 9" if self.judged >= self.from_ else self.said


def test_a_judge_that_never_gives_a_score_ends_the_run(tmp_path: Path) -> None:
    pair = Pair()
    with pytest.raises(SynthgainError) as error:
        sg.generate(RECIPE, texts(MANY), model=pair.models, out=tmp_path / "run", with_=["judge-score=5"])
    assert error.value.code == 5 and 20 <= pair.judged < 30
    said = str(error.value)
    assert "a number in the field 'judge_score'" in said and "the weather" in said and "in the role judge" in said
    assert "-m judge=URI" in said and "--without judge-score" in said
    assert sg.Run.at(tmp_path / "run").record["status"] == "stopped"


def test_with_another_judge_it_goes_on_and_the_writer_is_not_asked_again(tmp_path: Path) -> None:
    pair, mended = Pair(), Pair(from_=1)
    with pytest.raises(SynthgainError):
        sg.generate(RECIPE, texts(MANY), model=pair.models, out=tmp_path / "run", with_=["judge-score=5"])
    models = {"writer": pair.models["writer"], "judge": sg.Scripted(mended._judge, width=1, name="mended")}
    run = sg.generate(RECIPE, texts(MANY), model=models, out=tmp_path / "run", with_=["judge-score=5"], replace=True)
    assert run.record["counts"]["kept"] == mended.judged == MANY
    assert run.record["counts"]["calls_reused"] >= 20


def test_one_score_is_enough(tmp_path: Path) -> None:
    pair = Pair(from_=20)
    run = sg.generate(RECIPE, texts(MANY), model=pair.models, out=tmp_path / "run", with_=["judge-score=5"])
    assert run.record["counts"]["kept"] == MANY - 19


def test_few_rows_end_as_rows(tmp_path: Path) -> None:
    run = sg.generate(RECIPE, texts(3), model=Pair().models, out=tmp_path / "run", with_=["judge-score=5"])
    assert run.record["dropped_by"] == {"judge-score": 3}


@pytest.mark.parametrize(
    "recipe", ["best-of-n", "judge-pairs", "kimi-rephrase", "evol-instruct", "magpie", "rephrase", "sky-t1"]
)
def test_of_the_shipped_recipes_too(recipe: str, tmp_path: Path) -> None:
    of: dict[str, dict[str, Any]] = {
        "rephrase": {"judged": True},
        "sky-t1": {"easiest": 2},
        "kimi-rephrase": {"styles": ["exposition"]},
        "magpie": {"k": 2, "opening": "{system} User:"},
    }
    knobs = of.get(recipe, {})
    pair = Pair()
    anchors = [Anchor(one.text, one.source, {"answer": "7"}) for one in texts(MANY)]
    model = {**pair.models, **({"editor": pair.models["writer"]} if recipe == "sky-t1" else {})}
    with pytest.raises(SynthgainError, match="the weather") as error:
        sg.generate(recipe, anchors, model=model, out=tmp_path / "run", knobs=knobs)
    assert error.value.code == 5 and 20 <= pair.judged < 40


def test_a_preview_says_so(tmp_path: Path) -> None:
    seen = sg.preview(RECIPE, texts(3), model=Pair().models, out=tmp_path / "run", with_=["judge-score=5"])
    assert "none of 3 rows has a number in the field 'judge_score'" in seen.note


def test_a_part_that_fails_when_it_is_asked_is_named(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Odd:
        name: str = "odd"

        def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
            return keep()

        def unread(self, row: Row) -> str | None:
            return str(1 / 0)

    with pytest.raises(SynthgainError, match="odd: its `unread` failed: ZeroDivisionError"):
        sg.generate(RECIPE, texts(3), model=Pair().models, out=tmp_path / "run", with_=[Odd()])

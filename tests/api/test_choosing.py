"""Multiple choice of a model's weights: what was scored is remembered by content, and the open book is opened."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from doubles.tiny import tiny_model
from synthgain.api import choosing
from synthgain.api.choosing import OPEN_BOOK, ChoiceExaminer, choices
from synthgain.evaluate import Question, closed_book
from synthgain.loop import BASE, Arm
from synthgain.types import SynthgainError

ASKED = [
    Question("1", "Which river?", options=("Tolmar", "Quell"), gold=0, document="town"),
    Question("2", "Who built the bridge?", options=("Ada", "the widow"), gold=1, document="town"),
]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("weights") / "tiny")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the questions that are scored, as they are."""
    ids: list[str] = []
    inner = choosing.scored

    def scored(scorer: Any, questions: Any, **more: Any) -> Any:
        ids.extend(q.id for q in questions)
        return inner(scorer, questions, **more)

    monkeypatch.setattr(choosing, "scored", scored)
    return ids


def test_what_was_scored_is_not_scored_again(weights: Path, tmp_path: Path, counted: list[str]) -> None:
    first = choices(weights, ASKED[:1], tmp_path / "answers")
    both = choices(weights, ASKED, tmp_path / "answers")
    assert counted == ["1", "2"] and both.margins["1"] == first.margins["1"]
    moved = shutil.copytree(weights, tmp_path / "moved")
    assert choices(moved, ASKED, tmp_path / "answers") == both and counted == ["1", "2"]
    other = tiny_model(tmp_path / "other", seed=1)
    assert choices(other, ASKED, tmp_path / "answers").margins != both.margins and len(counted) == 4
    for file in (tmp_path / "answers").iterdir():
        file.write_text(json.dumps(["torn"]))
    assert choices(weights, ASKED, tmp_path / "answers").margins == pytest.approx(both.margins)


def test_the_open_book_stands_before_the_question(weights: Path, tmp_path: Path) -> None:
    document = "The river Tolmar flows past the town of Quell. The salt widow built the bridge."
    examine = ChoiceExaminer(ASKED, tmp_path, {"town": document}, lambda said: None)
    book = Arm("open", exam=OPEN_BOOK)
    asked = choices(weights, ASKED, context=lambda q: f"{document}\n\n{closed_book(q)}")
    assert examine(book, weights).margins == pytest.approx(asked.margins)
    assert examine(BASE, weights).margins != pytest.approx(asked.margins)
    with pytest.raises(SynthgainError):
        ChoiceExaminer(ASKED, tmp_path, {}, lambda said: None)(book, weights)

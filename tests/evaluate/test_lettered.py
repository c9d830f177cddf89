"""Letters: how options are put, and what an answer names."""

from __future__ import annotations

import pytest

from synthgain.evaluate import Question, by_letter, picked
from synthgain.evaluate.lettered import lettered
from synthgain.types import SynthgainError

ASKED = Question("1", "Who built it?", options=("a mason", "A. Kettering", "the tide"), gold=1, title="The raft")


def test_options_stand_under_letters() -> None:
    assert lettered(ASKED) == (
        "About: The raft\nQuestion: Who built it?\nA. a mason\nB. A. Kettering\nC. the tide\nAnswer:"
    )
    put = by_letter([ASKED])[0]
    assert put.question == lettered(ASKED) and put.options == ("A", "B", "C") and put.gold == 1
    many = Question("2", "?", options=tuple(map(str, range(27))), gold=0)
    with pytest.raises(SynthgainError, match="more than 26"):
        lettered(many)


@pytest.mark.parametrize(
    ("said", "option"),
    [
        ("B", 1),
        (" (C) the tide", 2),
        ("The correct answer is: B.", 1),
        ("**A**, because", 0),
        ("The tide rings it.", 2),
        ("a mason", 0),
        ("A mason built it", 0),
        ("a mason or the tide", None),
        ("D", None),
        ("I cannot say.", None),
        ("", None),
    ],
)
def test_an_answer_names_an_option_by_letter_or_by_words(said: str, option: int | None) -> None:
    assert picked(said, ASKED.options) == option


def test_an_option_inside_another_is_not_named_by_it() -> None:
    assert picked("It was the old king of Varn.", ("the old king", "the old king of Varn")) == 1

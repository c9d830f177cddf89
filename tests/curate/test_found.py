"""What is read out of answers: lines under a mark, questions with answers, a judge's score."""

from __future__ import annotations

import pytest

from synthgain.curate.found_lines import listed, marked, once
from synthgain.curate.found_pairs import pairs
from synthgain.curate.found_score import score_in


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Way: a\nWay: b", ["a", "b"]),
        ("way 1: a\n\nWAY 2 - no mark\n**Way 3:** b", ["a", "b"]),
        ("Way: a\ngoes on\n\nbut not here\nWay: b\nNote: not this", ["a goes on", "b"]),
        ("Way:\n\na\n\nno\nWay:\nb", ["a", "b"]),
        ("Way: a\nWay: A\nWay: *a*\nWay: …", ["a"]),
        ("Wayward: a\nAway: b", []),
        ("Way： a", ["a"]),
        ("", []),
    ],
)
def test_lines_under_a_mark(text: str, found: list[str]) -> None:
    assert marked(text, "Way") == found


def test_items_of_lists() -> None:
    assert listed("Two:\n1. a\n2) *b*\n- c\n• A\nd") == ["a", "b", "c"]
    assert once([" a  b ", "A b", "--", ""]) == ["a b"]


@pytest.mark.parametrize(
    "text",
    [
        "Frage: Wie lange?\nAntwort: 40 Minuten",
        "**Pregunta 1:** Wie lange?\n**Respuesta 1:** 40 Minuten",
        "问题：Wie lange?\n答案：40 Minuten",
        "質問： Wie lange?\n回答： 40 Minuten",
        "Вопрос: Wie lange?\nОтвет: 40 Minuten",
        "Question : Wie lange?\nRéponse : 40 Minuten",
        "Q1: Wie lange?\nA1: 40 Minuten",
    ],
)
def test_marks_of_other_languages(text: str) -> None:
    assert pairs(text) == [("Wie lange?", "40 Minuten")]


def test_words_that_only_begin_like_a_mark_are_none() -> None:
    assert pairs("Questions: many\nAnswers: few\nAn answer: no") == []
    assert pairs("Wie lange？ 40 Minuten") == [] and pairs("1. 多久？ 40") == [("多久？", "40")]


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ('{"reason": "so", "score": 4}', 4),
        ('thinking {"score": 1} then ```json\n{"score": "5"}\n```', 5),
        ('{"score": 4.0}', 4),
        ("The score is 3.", 3),
        ("**Score:** 2/5", 2),
        ("Score = 3", 3),
        (" 4/5 ", 4),
        ("**5**", 5),
        ('{"score": 6}', None),
        ('{"score": 0}', None),
        ('{"score": -3}', None),
        ('{"score": 3.5}', 3.5),
        ('{"score": true}', None),
        ('{"score": null}', None),
        ('{"score": "inf"}', None),
        ('{"score": "nan"}', None),
        ("Rating: [[4]]", 4),
        ("first [2], then [ 4.5 ]", 4.5),
        ("as in [2, 3]", None),
        ("<think>Score: 1</think>Score: 5", 5),
        ("<think>Score: 5", None),
        ('{"score": "four"}', None),
        ("Score: 4. I took a point off for the claim in sentence [3].", 4),
        ("Rating: 4/5\n\nSources: [1], [2]", 4),
        ("Score (1-5): 4", 4),
        ("Score [1 to 5]: 2", 2),
        ("The score is 4. It is at grade 2 level.", 4),
        ("It falls short.\n[3]", 3),
        ("It falls short. [[3]]", 3),
        ("of 5 statements 3 are right", None),
        ("", None),
        ("[" * 9_000, None),
    ],
)
def test_scores(text: str, score: float | None) -> None:
    assert score_in(text, 1, 5) == score

"""BM25 against the formula written out slowly, and passages that are found."""

from __future__ import annotations

import math

import pytest

from synthgain.evaluate import Passages
from synthgain.words import words

DOCUMENTS = {
    "mill": "The mill of Quell has two wheels.\n\nIts wheels were cut by a mason, and a mason mends them.",
    "bell": "The bell of Sorrel is rung by the tide. A mason built its raft.",
    "fair": "At the fair of Varn the bakers sell bread by the arm.",
}


def slow(passages: Passages, question: str, at: int) -> float:
    texts = [words(p.text) for p in passages.all]
    mean = sum(map(len, texts)) / len(texts)
    total = 0.0
    for word in words(question):
        held = sum(word in text for text in texts)
        f = texts[at].count(word)
        idf = math.log(1 + (len(texts) - held + 0.5) / (held + 0.5))
        total += idf * f * 2.2 / (f + 1.2 * (0.25 + 0.75 * len(texts[at]) / mean))
    return total


def test_scores_are_those_of_the_formula() -> None:
    passages = Passages(DOCUMENTS, size=12)
    assert len(passages.all) > 3
    for question in ("Which mason mends the wheels of the mill?", "bread bread", "nothing here"):
        expected = [slow(passages, question, at) for at in range(len(passages.all))]
        assert passages.scores(question).tolist() == pytest.approx(expected)


def test_the_best_passage_stands_last_and_strangers_are_none() -> None:
    passages = Passages(DOCUMENTS)
    found = passages.find("Who cut the wheels of the mill of Quell?", 2)
    assert [p.document for p in found][-1] == "mill" and len(found) == 2
    assert passages.find("zebra", 3) == [] and Passages({}).find("anything", 3) == []

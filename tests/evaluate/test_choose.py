from collections.abc import Sequence

import pytest

from synthgain.evaluate import Question, choose
from synthgain.intervals import wilson
from synthgain.types import Message, SynthgainError, user


class Bytes:
    """A scorer with one token a word; a word costs what the table says, else 3 nats."""

    def __init__(self, costs: dict[str, float]) -> None:
        self.costs = costs
        self.contexts: list[str | Sequence[Message]] = []

    @property
    def identity(self) -> str:
        return "words"

    def logprobs(self, pairs: Sequence[tuple[str | Sequence[Message], str]]) -> list[list[float]]:
        self.contexts += [context for context, _ in pairs]
        return [[-self.costs.get(word, 3.0) for word in text.split()] for _, text in pairs]


QUESTIONS = [
    Question("1", "Which river?", options=("Tol", "the broad Tolmarrish"), gold=1, document="q", title="Quell"),
    Question("2", "Who?", options=("Ann", "Bob"), gold=0, document="q"),
]


def test_the_three_scores_and_what_they_favour() -> None:
    """Tol costs 3 nats in 3 bytes and 1 token; the broad Tolmarrish 6 nats in 20 bytes and 3 tokens."""
    scorer = Bytes({"the": 1.0, "broad": 2.0, "Ann": 1.0})
    solved = choose(scorer, QUESTIONS)
    assert solved.right == {"1": [True], "2": [True]} and solved.said["1"] == ["the broad Tolmarrish"]
    assert solved.reading("accuracy_sum").value == 0.5
    assert solved.reading("accuracy_per_token").value == 1.0
    accuracy = solved.reading("accuracy")
    assert (accuracy.value, accuracy.low, accuracy.high, accuracy.n) == (1.0, *wilson(2, 2), 2)
    assert "0.5" in accuracy.note
    assert choose(scorer, QUESTIONS, by="sum").reading("accuracy").value == 0.5


def test_the_title_stands_in_the_question_and_the_document_does_not() -> None:
    scorer = Bytes({})
    choose(scorer, QUESTIONS)
    assert "Quell" in scorer.contexts[0] and "Quell" not in scorer.contexts[2]
    assert str(scorer.contexts[0]).endswith("Answer:")
    chat = Bytes({})
    choose(chat, QUESTIONS, context=lambda q: (user(q.question),))
    assert chat.contexts[0] == (user("Which river?"),)


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(SynthgainError):
        choose(Bytes({}), [])
    with pytest.raises(SynthgainError):
        choose(Bytes({}), [Question("v", "2 + 2?", answer="4")])
    with pytest.raises(SynthgainError):
        choose(Bytes({}), QUESTIONS, by="letters")
    with pytest.raises(SynthgainError):
        choose(Bytes({"Ann": float("nan")}), QUESTIONS)

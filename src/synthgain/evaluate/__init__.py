"""Err(π): how good a student is. Verifiable questions, closed-book multiple choice, and forgetting, each with an interval."""

from synthgain.evaluate.choose import choose, closed_book
from synthgain.evaluate.difference import difference
from synthgain.evaluate.forgetting import forgetting
from synthgain.evaluate.questions import Question, Solved, load_questions
from synthgain.evaluate.solve import GREEDY, ask, solve

__all__ = [
    "GREEDY",
    "Question",
    "Solved",
    "ask",
    "choose",
    "closed_book",
    "difference",
    "forgetting",
    "load_questions",
    "solve",
]

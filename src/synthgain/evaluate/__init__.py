"""Err(π): how good a student is. Verifiable questions, closed-book multiple choice, preference pairs, and forgetting, each with an interval."""

from synthgain.evaluate.averaged import averaged
from synthgain.evaluate.choose import choose, chosen, closed_book, scored
from synthgain.evaluate.difference import difference, differences
from synthgain.evaluate.forgetting import forgetting
from synthgain.evaluate.margin import margin, margin_difference
from synthgain.evaluate.prefer import Preference, prefer, preference_differences
from synthgain.evaluate.questions import Question, Solved, load_questions
from synthgain.evaluate.solve import GREEDY, ask, solve

__all__ = [
    "GREEDY",
    "Preference",
    "Question",
    "Solved",
    "ask",
    "averaged",
    "choose",
    "chosen",
    "closed_book",
    "difference",
    "differences",
    "forgetting",
    "load_questions",
    "margin",
    "margin_difference",
    "prefer",
    "preference_differences",
    "scored",
    "solve",
]

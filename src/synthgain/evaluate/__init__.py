"""Err(π): how good a student is. Verifiable questions, closed-book multiple choice, and forgetting, each with an interval."""

from synthgain.evaluate.choose import choose, closed_book
from synthgain.evaluate.forgetting import forgetting
from synthgain.evaluate.intervals import clustered, difference, mean_t, t_quantile, wilson
from synthgain.evaluate.questions import Question, Solved, load_questions
from synthgain.evaluate.solve import GREEDY, ask, solve

__all__ = [
    "GREEDY",
    "Question",
    "Solved",
    "ask",
    "choose",
    "closed_book",
    "clustered",
    "difference",
    "forgetting",
    "load_questions",
    "mean_t",
    "solve",
    "t_quantile",
    "wilson",
]

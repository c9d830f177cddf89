"""Err(π): how good a student is. Verifiable questions, closed-book multiple choice, preference pairs, and forgetting, each with an interval."""

from synthgain.evaluate.averaged import averaged
from synthgain.evaluate.budget_forcing import BudgetForcing, thinking
from synthgain.evaluate.choose import choose, chosen, closed_book, scored
from synthgain.evaluate.crossed import averaged_values, crossed, crossed_difference, units_of, values_of
from synthgain.evaluate.difference import difference, differences, pass_differences
from synthgain.evaluate.forgetting import forgetting
from synthgain.evaluate.lettered import after_letters, asked_for_a_letter, asked_raw, by_letter, picked
from synthgain.evaluate.margin import margin, margin_difference
from synthgain.evaluate.order import Order, order_of
from synthgain.evaluate.pass_at_k import ks_of, passed
from synthgain.evaluate.perplexity import perplexity
from synthgain.evaluate.prefer import Preference, prefer, preference_differences
from synthgain.evaluate.questions import Question, Solved, load_questions
from synthgain.evaluate.retrieval import Passage, Passages
from synthgain.evaluate.solve import GREEDY, ask, solve

__all__ = [
    "GREEDY",
    "BudgetForcing",
    "Order",
    "Passage",
    "Passages",
    "Preference",
    "Question",
    "Solved",
    "after_letters",
    "ask",
    "asked_for_a_letter",
    "asked_raw",
    "averaged",
    "averaged_values",
    "by_letter",
    "choose",
    "chosen",
    "closed_book",
    "crossed",
    "crossed_difference",
    "difference",
    "differences",
    "forgetting",
    "ks_of",
    "load_questions",
    "margin",
    "margin_difference",
    "order_of",
    "pass_differences",
    "passed",
    "perplexity",
    "picked",
    "prefer",
    "preference_differences",
    "scored",
    "solve",
    "thinking",
    "units_of",
    "values_of",
]

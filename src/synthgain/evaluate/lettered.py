"""Multiple choice with its options in sight: by the letter that is likeliest, or by what the model writes.

Both ask for more than knowing: a model must follow the letters. A small or untrained one prefers one of them whatever is asked, so the figure
by the likelihood of the options themselves (`choose.py`) is the first to look at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from synthgain.evaluate.questions import Question
from synthgain.types import Message, SynthgainError, user

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SAID = re.compile(
    r"^\W*(?:(?:the|my|correct|right|best|final|answer|option|choice|is)\b[\s:*\"']*){0,6}\(?\*{0,2}([A-Z])(?=\s*(?:$|[.):,*\n]))",
    re.IGNORECASE,
)
Context = Callable[[Question], str]


def lettered(question: Question) -> str:
    """The question with its options under letters, closed book; the document's title stands first where one is given."""
    if len(question.options) > len(LETTERS):
        raise SynthgainError(
            f"there are more than {len(LETTERS)} options",
            where=f"question {question.id}",
            next="leave options out, or take the question away",
        )
    about = f"About: {question.title}\n" if question.title else ""
    options = "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, question.options))
    return f"{about}Question: {question.question}\n{options}\nAnswer:"


def by_letter(questions: Sequence[Question]) -> list[Question]:
    """The questions whose options are letters, to be scored after `lettered` of the question with its own options."""
    return [replace(q, question=lettered(q), options=tuple(LETTERS[: len(q.options)]), title="") for q in questions]


def after_letters(question: Question) -> str:
    """The context of a question of `by_letter`."""
    return question.question


def asked_for_a_letter(question: Question) -> tuple[Message, ...]:
    """The chat that asks for a letter."""
    text = lettered(question).removesuffix("\nAnswer:")
    return (user(f"{text}\n\nAnswer with the letter of the right option only."),)


def asked_raw(question: Question) -> tuple[Message, ...]:
    """The same for a model without a chat template: text that goes on with a letter."""
    return ({"role": "raw", "content": lettered(question)},)


def picked(text: str, options: Sequence[str]) -> int | None:
    """The option that an answer names: by its letter at the beginning, else by its words where no other's stand there. None: neither."""
    said = _SAID.match(text.strip())
    letter = said[1] if said is not None else ""
    if letter.isupper() and LETTERS.index(letter) < len(options):
        return LETTERS.index(letter)
    folded = text.casefold()
    there = [i for i, option in enumerate(options) if option.casefold() in folded]
    longest = [i for i in there if not any(i != j and options[i].casefold() in options[j].casefold() for j in there)]
    return longest[0] if len(longest) == 1 else None

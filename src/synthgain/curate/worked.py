"""Worked solutions: where one ends, the bare gold answer of a question, and a person's own solution."""

from __future__ import annotations

import re

from synthgain.curate.answers import final_answer
from synthgain.types import Anchor, Message, assistant, system, user

_ANSWER_LINE = re.compile(
    r"(?im)^[^\n]*?(?:\banswer\b[ \t*]*:[ \t*]*(?=[^\s*])|####[ \t]*(?=\S))[^\n]*|^A:[ \t]*\S[^\n]*"
)


def cut(text: str) -> str:
    """The answer up to the end of the first line that states a final answer."""
    line = _ANSWER_LINE.search(text)
    return (text[: line.end()] if line else text).strip()


def gold_answer(anchor: Anchor) -> str:
    """The bare gold answer of the field `answer`: "18", 18, or of a solution that ends in "#### 18"."""
    answer = str(anchor.fields["answer"]).strip()
    return final_answer(answer) or answer


def human_solution(anchor: Anchor) -> str | None:
    """The solution a person wrote: the field `worked`, or an `answer` that is more than an answer."""
    worked = anchor.fields.get("worked")
    if worked:
        return str(worked).strip()
    answer = str(anchor.fields["answer"]).strip()
    return answer if "\n" in answer and final_answer(answer) is not None else None


def shown(shots: tuple[tuple[str, str], ...]) -> list[Message]:
    """Worked examples (question, solution) as earlier turns."""
    return [turn for asked, solution in shots for turn in (user(asked), assistant(solution))]


def asked_before(shots: tuple[tuple[str, str], ...], instruction: str) -> list[Message]:
    """What stands before every question: worked examples, or without any the instruction that asks for the form of an answer."""
    return shown(shots) if shots else [system(instruction)] if instruction else []


def question_id(anchor: Anchor) -> dict[str, str]:
    """The field by which rows name their question: the anchor's own `id`, where it has one."""
    return {"question_id": str(anchor.fields["id"])} if "id" in anchor.fields else {}


def are_shots(shots: object) -> bool:
    """Whether these are pairs of two texts."""
    return isinstance(shots, tuple) and all(
        isinstance(shot, tuple) and len(shot) == 2 and all(isinstance(part, str) for part in shot) for shot in shots
    )

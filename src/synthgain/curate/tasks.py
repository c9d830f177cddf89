"""What an anchor holds of a conversation or a task that somebody else wrote down: what was asked, and the answer given."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from synthgain.turns import ANSWERED, before_answer, turn_text
from synthgain.types import Anchor, Message, user

HELD = ("messages?", "input?", "instances?", *(f"{name}?" for name in ANSWERED))  # `needs` of a recipe that reads one


@dataclass(frozen=True)
class Task:
    """An instruction, what it is applied to ("" where nothing is), and the output ("" where none is given)."""

    instruction: str
    input: str = ""
    output: str = ""

    @property
    def asked(self) -> str:
        """Instruction and input as a user says them."""
        return f"{self.instruction}\n\n{self.input}" if self.input else self.instruction


def task_of(anchor: Anchor) -> Task:
    """The task that an anchor is: of `instances` (Self-Instruct's seed tasks) the first, of a chat of two turns its columns or its turns."""
    fields = anchor.fields
    instruction = fields["instruction"] if isinstance(fields.get("instruction"), str) else anchor.text
    if instance := _instance(fields.get("instances")):
        return Task(instruction.strip(), _text(instance.get("input")), _text(instance.get("output")))
    turns, answer = conversation(anchor)
    applied = _text(fields.get("input")) if instruction is not anchor.text else ""
    said = instruction if instruction is not anchor.text else turn_text(turns[-1]) if turns else anchor.text
    return Task(said.strip(), applied, answer)


def conversation(anchor: Anchor) -> tuple[tuple[Message, ...], str]:
    """The turns before the answer that an anchor holds, and that answer ("" where it holds none)."""
    turns = anchor.fields.get("messages")
    if isinstance(turns, list | tuple) and turns:
        before = before_answer(turns)
        return tuple(before), turn_text(turns[-1]) if len(before) < len(turns) else ""  # type: ignore[arg-type]
    if instance := _instance(anchor.fields.get("instances")):
        asked = Task(anchor.text.strip(), _text(instance.get("input"))).asked
        return (user(asked),), _text(instance.get("output"))
    given = (_text(anchor.fields.get(name)) for name in ANSWERED)
    return (user(anchor.text),), next(filter(None, given), "")


def _instance(held: Any) -> Mapping[str, Any] | None:
    """The first of the instances, which a table may hold as JSON text."""
    if isinstance(held, str):
        try:
            held = json.loads(held)
        except (ValueError, RecursionError):
            return None
    first = held[0] if isinstance(held, list | tuple) and held else None
    return first if isinstance(first, Mapping) else None


def _text(value: Any) -> str:
    return "" if value is None or isinstance(value, list | tuple | Mapping) else str(value).strip()

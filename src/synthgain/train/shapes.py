"""A row to learn from, and where it stands. What other people's rows mean is in `synthgain/turns.py`.

Thinking inside an answer is set apart as `reasoning` (`synthgain/thinking.py`): it is learnt only where that is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from synthgain.thinking import set_apart
from synthgain.turns import Turns, content_of
from synthgain.types import Message, SynthgainError


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One row to learn from: a chat or a text, never both. `where` is "file:line" or "file#row".

    Tool calls have OpenAI's shape, their `arguments` as JSON text. `rejected` are the turns that could stand in place of the
    last answer and are worse. `anchors` are the ids of the anchors it was made from, empty where not known.
    """

    where: str
    messages: Turns | None = None
    text: str | None = None
    tools: tuple[Mapping[str, Any], ...] = ()
    rejected: Turns | None = None
    anchors: tuple[str, ...] = ()


def row_of(record: Any, where: str) -> TrainingRow | None:
    """The row of one record; None where there is nothing in it. SynthgainError: it has no shape that is known, or a faulty one."""
    try:
        content = content_of(record)
    except SynthgainError as error:
        raise SynthgainError(error.what, where=where, next=error.next or "mend or remove the row") from None
    if content is None:
        return None
    ids = record.get("anchor_ids")
    anchors = tuple(ids) if isinstance(ids, list) and all(isinstance(i, str) for i in ids) else ()
    messages, rejected = (turns and tuple(map(_answered, turns)) for turns in (content.messages, content.rejected))
    return TrainingRow(where, messages, content.text, content.tools, rejected, anchors)


def _answered(turn: Message) -> Message:
    return set_apart(turn) if turn["role"] == "assistant" else turn

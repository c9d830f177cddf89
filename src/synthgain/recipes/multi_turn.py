"""Conversations of several turns: a model in the role of the user asks on, another one answers, side by side.

Ours, of an old and common kind: no published system's number is used here. The user's model is told who it plays and sees the conversation so far; it writes
what that person says next, or that they are done. The assistant's model gets the conversation as a chat and answers as it would anybody.

An anchor is what a conversation begins with: a question, or a topic that the user has in mind (`opening=false`, then the user's model writes the first turn too).
A field `persona` says who the user is.

Cost: 2 `turns` - 1 calls for a conversation (5), or 2 `turns` where the user opens it; `k` conversations an anchor.

Where the numbers come from
    turns = 3, k = 1, temperature = 0.8, user_tokens = 200, max_tokens = 512     ours

Rows are chats that end with an answer. Fields: `exchanges` (questions with their answers), `ended` ("turns", "done" where the user said so, "no question" or "repeated"
where what came was none), `draw`. A conversation whose user breaks off later is kept up to its last answer; one without any falls (check `parse`), as does one with
an answer that is empty or was cut off.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from synthgain.curate.empty import NotEmpty
from synthgain.curate.exact_duplicate import ExactDuplicate
from synthgain.curate.near_duplicate import NearDuplicate
from synthgain.curate.refusal import Refusal
from synthgain.settings import at_least
from synthgain.types import (
    Anchor,
    Call,
    Message,
    Models,
    Prompt,
    Recipe,
    Row,
    Sampling,
    assistant,
    drop,
    user,
)

DONE = "[DONE]"
PLAY = (
    "You play a person who talks to an assistant. {who}You are not the assistant: never answer, explain or help. Write only what this person types next, in their own "
    "words: ask on about something in the last answer, ask for a change, give a detail that was missing, or go on to the next thing that follows. "
    f"Say no thanks and no goodbyes: when the person has what they came for, write {DONE}."
)
OPEN = "The conversation has not begun. Write what this person types first. They have this in mind: {topic}"
NEXT = "The conversation so far:\n\n{said}\n\nWrite what the person types next, or {done}."
NAMES = {"user": "PERSON", "assistant": "ASSISTANT"}
_LABEL = re.compile(r"(?i)\A[\s*_#]*(?:person|user|human|me|you)\b[\s*_]*:[\s*_]*")
_OTHER = re.compile(r"(?im)^[\s*_#]*(?:assistant|ai|person|user|human)\b[\s*_]*:")


def play(anchor: Anchor, said: Sequence[Message], draft: MultiTurn, draw: int) -> Prompt:
    """The user's model: who it plays first, the conversation last."""
    persona = anchor.fields.get("persona")
    who = f"This is who they are: {' '.join(str(persona).split())} " if persona else ""
    told = "\n\n".join(f"{NAMES[turn['role']]}: {turn['content']}" for turn in said)
    task = NEXT.format(said=told, done=DONE) if said else OPEN.format(topic=anchor.text.strip())
    law = Sampling(temperature=draft.temperature, max_tokens=draft.user_tokens)
    return Prompt((user(f"{PLAY.format(who=who)}\n\n{task}"),), to="user", sampling=law, draw=draw)


def spoken(text: str) -> str:
    """What the person says: without a label before it, and up to where the model goes on for both."""
    said = _LABEL.sub("", text.strip(), count=1)
    other = _OTHER.search(said)
    said = (said[: other.start()] if other else said).strip()
    inside = said[1:-1]
    return inside.strip() if said[:1] + said[-1:] in ('""', "“”") and not set('"“”') & set(inside) else said


@dataclass(frozen=True)
class MultiTurn:
    """`k` conversations of at most `turns` exchanges. `opening`: the anchor is the first thing said; else what the user has in mind."""

    turns: int = 3
    k: int = 1
    opening: bool = True
    temperature: float = 0.8
    user_tokens: int = 200
    max_tokens: int = 512

    def __post_init__(self) -> None:
        at_least(self, "multi-turn", turns=1, k=1)

    async def __call__(self, models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        async for row in models.side_by_side(self._talk(models, anchor, draw) for draw in range(self.k)):
            yield row

    async def _talk(self, models: Models, anchor: Anchor, draw: int) -> Row:
        said: list[Message] = [user(anchor.text.strip())] if self.opening else []
        calls: list[Call] = []
        ended = "turns"
        for exchange in range(self.turns):
            if exchange or not self.opening:
                call = await models(play(anchor, said, self, draw))
                asked = spoken(call.text)
                ended = over(call, asked, said)
                if ended:
                    calls += (
                        [] if exchange else [call]
                    )  # of a conversation that has answers, the last call is an answer
                    break
                calls.append(call)
                said.append(user(asked))
            law = Sampling(temperature=self.temperature, max_tokens=self.max_tokens)
            answer = await models(Prompt(tuple(said), sampling=law, draw=draw))
            calls.append(answer)
            said.append(assistant(answer.text.strip(), answer.message.get("reasoning", "")))
            ended = "turns"
            if (
                why := "no answer"
                if not answer.text.strip()
                else "an answer was cut off"
                if answer.finish == "length"
                else ""
            ):
                return self._row(said, calls, draw, why, why)
        answered = any(turn["role"] == "assistant" for turn in said)
        return self._row(said, calls, draw, ended, "" if answered else f"nothing was asked ({ended})")

    def _row(self, said: list[Message], calls: list[Call], draw: int, ended: str, why: str = "") -> Row:
        exchanges = sum(turn["role"] == "assistant" for turn in said)
        fields = {"exchanges": exchanges, "ended": ended, "draw": draw}
        verdicts = (drop(why, check="parse"),) if why else ()
        return Row(messages=tuple(said or [user("")]), calls=tuple(calls), fields=fields, verdicts=verdicts)


def over(call: Call, asked: str, said: Sequence[Message]) -> str:
    """Why the user says nothing more; "" where they do."""
    if DONE.lower() in call.text.lower() or re.fullmatch(r"(?i)[\s*_.\[(]*done[\s*_.\])]*", call.text):
        return "done"
    if call.finish == "length" or not any(c.isalnum() for c in asked):
        return "no question"
    before = {" ".join(turn["content"].casefold().split()) for turn in said}
    return "repeated" if " ".join(asked.casefold().split()) in before else ""


EXAMPLES = (
    Anchor("My sourdough smells of glue. What went wrong?", "example#1"),
    Anchor(
        "I want to walk along a river for four days in October. Where should I begin?",
        "example#2",
        {"persona": "A retired surveyor who walks slowly and hates crowds."},
    ),
)

RECIPE = Recipe(
    name="multi-turn",
    version="1",
    draft=MultiTurn(),
    roles=("user", "writer"),
    checks=(NotEmpty(), Refusal(), ExactDuplicate(), NearDuplicate()),
    fields=("exchanges", "ended", "draw"),
    examples=EXAMPLES,
    needs=("persona?",),
    source="ours",
    stage="post-training (supervised)",
    anchors="what conversations begin with; a field persona says who the user is",
    calls="k (2 turns - 1) (5)",
    sources={name: "ours" for name in ("turns", "k", "opening", "temperature", "user_tokens", "max_tokens")},
    departures=("a recipe of ours: it follows no published system",),
)

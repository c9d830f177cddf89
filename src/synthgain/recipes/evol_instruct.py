"""Evol-Instruct: instructions rewritten into harder and into rarer ones, round after round, with those that failed taken out.

Xu et al. (WizardLM), arXiv 2304.12244; code nlpxucan/WizardLM. In each round one of six operators is drawn: five that deepen an instruction (a
constraint more, a deeper question, concrete in place of general, more steps of reasoning, an input that is harder to handle) and one that
writes another, rarer instruction of the same domain. A judge says whether anything new was asked, and the writer answers. What fails is eliminated,
and the instruction goes into the next round as it was.

An anchor is an instruction (`text`). An answer that stands beside it (`output`, `answer`, a chat) becomes a row of the set, as in the source,
whose training set is drawn from the seeds and all rounds.

Cost: at most 3 `rounds` (12) calls an anchor: evolve, judge, answer. What is eliminated before its answer takes 1 or 2.

Where the numbers come from
    rounds = 4, six operators at equal chance                  paper (by a card). The released script is one round with five operators and eliminates nothing
    temperature = 1.0, top_p = 0.9, max_tokens = 2048          paper (by a card)
    10 to 20 words more, no words of the prompt in the result  code
    elimination: nothing new; an apology under 80 words; only punctuation and stop words; words of the prompt in it       paper (by a card)
    judge at temperature 0, 16 tokens                          ours

Rows are chats of two turns; all rounds are part of the set. Fields: `instruction`, `depth` (rounds that changed it so far), `step` (the round, from 1),
`operator`, `human` (the anchor with its own answer). A row that is eliminated has the reason (check `elimination`).

Departures
    The judge is a role of its own (`-m judge=…`); the source asks the same model.
    An instruction with words of the prompt in it, and one that adds nothing, get no answer: the source buys it first.
    The operator of each round is drawn by the anchor and the draw, so that a run can be made again.
    Prompts are our own.
"""

from __future__ import annotations

import random
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from synthgain.curate.empty import NotEmpty
from synthgain.curate.exact_duplicate import ExactDuplicate
from synthgain.curate.judges import unread
from synthgain.curate.tasks import HELD, task_of
from synthgain.curate.truncated import Truncated
from synthgain.types import (
    Anchor,
    Call,
    Models,
    Prompt,
    Recipe,
    Row,
    Sampling,
    SynthgainError,
    assistant,
    drop,
    user,
)
from synthgain.words import count, words

DEPTH = (
    "You make instructions harder. Rewrite the instruction below so that even a capable assistant has more to do, while a person still finds it "
    "reasonable and can understand and answer it. Leave out nothing of it, tables and code included. {how} Add 10 to 20 words, no more. "
    'Do not use the words "given instruction", "rewritten instruction", "harder instruction".'
    "\n\nInstruction:\n{instruction}\n\nAnswer with the new instruction alone."
)
HOW = {
    "constraint": "Add one constraint or requirement.",
    "deepen": "Where it asks about something, ask about it more widely and more deeply.",
    "concrete": "Put something specific in the place of something general.",
    "reasoning": "Where it can be done in a few simple steps of thought, ask for several steps explicitly.",
    "input": "Add an input that it is applied to and that is harder to handle: a table, a piece of code, a formula or a document.",
}
BREADTH = (
    "You make up instructions. Take the one below as inspiration for a new one of the same domain that is rarer. It should be about as long and as hard, "
    "and a person must find it reasonable and be able to understand and answer it. "
    'Do not use the words "given instruction", "new instruction", "created instruction".'
    "\n\nInstruction:\n{instruction}\n\nAnswer with the other instruction alone."
)
OPERATORS = (*HOW, "breadth")
JUDGE = (
    "Two instructions follow. Are they equal: the same constraints and requirements, and the same depth and breadth of what is asked?\n\n"
    "First:\n{first}\n\nSecond:\n{second}\n\nAnswer with one word: Equal or Different."
)
NEITHER = "the judge said neither equal nor different"
LEAKS = re.compile(
    r"(?i)\b(?:given|rewritten|harder|new|created|other)[ _]instruction\b|#(?:given|rewritten|created) prompt#|\b10 to 20 words\b"
)
_LABEL = re.compile(r"(?i)\A[\s*#]*(?:the\s+)?(?:new |rewritten |other |harder )?instruction\s*[*]*\s*:[*]*\s*")
STOP_WORDS = frozenset(
    words(
        "a an and are as at be been but by can could did do does for from had has have he her his how i if in is it its me my no not of on or our "
        "she so that the their them then there these they this to us was we were what when which who will with would you your"
    )
)
SHORT = 80  # words: an apology in fewer is a refusal


def evolve(instruction: str, operator: str, draft: EvolInstruct, draw: int) -> Prompt:
    """The prompt of one operator: the task first, the instruction after it."""
    if operator == "breadth":
        text = BREADTH.format(instruction=instruction)
    else:
        text = DEPTH.format(how=HOW[operator], instruction=instruction)
    return Prompt((user(text),), sampling=draft.law, draw=draw)


def compare(first: str, second: str) -> Prompt:
    """Whether the second asks for anything that the first does not."""
    text = JUDGE.format(first=first, second=second)
    return Prompt((user(text),), to="judge", sampling=Sampling(temperature=0.0, max_tokens=16))


def read(text: str) -> str:
    """The instruction of an answer, without a heading before it and quotation marks around it."""
    said = _LABEL.sub("", text.strip(), count=1).strip()
    inside = said[1:-1]
    return inside.strip() if said[:1] + said[-1:] in ('""', "“”") and not set('"“”') & set(inside) else said


def adds_nothing(verdict: str) -> bool | None:
    """What a judge said: True for equal; None where it said neither."""
    found = re.search(r"(?i)\b(not\s+equal|unequal|different|equal)\b", verdict)
    return None if found is None else found[1].lower() == "equal"


def poor(answer: str) -> str:
    """Why an answer shows that its instruction cannot be followed; "" where it does not."""
    said = words(answer)
    if "sorry" in said and count(answer) < SHORT:
        return "the answer apologises"
    if all(word in STOP_WORDS for word in said):
        return "the answer is only punctuation and stop words"
    return ""


@dataclass(frozen=True)
class EvolInstruct:
    """`rounds` evolutions of each instruction, each from the last that was not eliminated."""

    rounds: int = 4
    temperature: float = 1.0
    top_p: float = 0.9
    max_tokens: int = 2048
    operators: tuple[str, ...] = OPERATORS

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise SynthgainError(f"rounds is 1 or more, not {self.rounds}", where="evol-instruct")
        if unknown := [name for name in self.operators if name not in OPERATORS] or [""] * (not self.operators):
            raise SynthgainError(
                f"there is no operator {unknown[0]!r}",
                where="evol-instruct",
                next=f"the operators are: {', '.join(OPERATORS)}",
            )

    @property
    def law(self) -> Sampling:
        return Sampling(self.temperature, self.top_p, max_tokens=self.max_tokens)

    async def __call__(self, models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        task = task_of(anchor)
        if task.output:
            fields = {"instruction": task.asked, "depth": 0, "step": 0, "operator": "", "human": True}
            yield Row(messages=(user(task.asked), assistant(task.output)), fields=fields)
        now, depth = task.asked, 0
        for step in range(1, self.rounds + 1):
            operator = random.Random(f"operator {anchor.id} {step}").choice(self.operators)
            row = await self._step(models, now, operator, step)
            row = row.stamped(fields={**row.fields, "depth": depth + (row.fallen is None)})
            if row.fallen is None:
                now, depth = str(row.fields["instruction"]), depth + 1
            yield row

    async def _step(self, models: Models, now: str, operator: str, step: int) -> Row:
        """One round: the row of what came of it, with a verdict where it was eliminated."""
        call = await models(evolve(now, operator, self, step - 1))
        said = read(call.text)
        about: dict[str, str | int] = {"instruction": said, "step": step, "operator": operator}
        why = self._unfit(call, said, now)
        if why:
            return eliminated(about, (call,), why)
        judged = await models(compare(now, said))
        equal = adds_nothing(judged.text)
        if equal is not False:
            why = "asks for nothing new" if equal else NEITHER
            return eliminated(about, (call, judged), why)
        answer = await models(Prompt((user(said),), sampling=self.law))
        text = answer.text.strip()
        calls = (call, judged, answer)
        if why := poor(text) if text else "no answer":
            return eliminated(about, calls, why, text)
        return Row(
            messages=(user(said), assistant(text, answer.message.get("reasoning", ""))), calls=calls, fields=about
        )

    def unread(self, row: Row) -> str | None:
        """The judge's verdict, where it gave none."""
        return unread(row, NEITHER, "a verdict of the judge (equal or different)")

    def _unfit(self, call: Call, said: str, now: str) -> str:
        if call.finish == "length":
            return "the instruction was cut off"
        if not any(c.isalnum() for c in said):
            return "no instruction"
        if said.casefold() == now.casefold():
            return "asks for nothing new"
        leaked = LEAKS.search(said)
        return "words of the prompt in it" if leaked and not LEAKS.search(now) else ""


def eliminated(about: dict[str, str | int], calls: tuple[Call, ...], why: str, answer: str = "") -> Row:
    """A round that failed."""
    turns = (user(str(about["instruction"])), *((assistant(answer),) if answer else ()))
    return Row(messages=turns, calls=calls, fields=about, verdicts=(drop(why, check="elimination"),))


EXAMPLES = (
    Anchor(
        "Describe how a sundial tells the time.", "example#1", {"output": "The shadow of a rod moves over a scale."}
    ),
    Anchor("Suggest a name for a boat.", "example#2"),
)

RECIPE = Recipe(
    name="evol-instruct",
    version="1",
    draft=EvolInstruct(),
    roles=("writer", "judge"),
    checks=(NotEmpty(), Truncated(), ExactDuplicate()),
    fields=("instruction", "depth", "step", "operator", "human"),
    examples=EXAMPLES,
    needs=("instruction?", *HELD),
    source="Evol-Instruct (WizardLM), arXiv 2304.12244; code nlpxucan/WizardLM",
    stage="post-training (supervised)",
    anchors="instructions, with or without an answer",
    calls="at most 3 rounds (12)",
    sources={
        "rounds": "paper (by a card); the released script is one round",
        "operators": "paper (by a card): six, at equal chance",
        "temperature": "paper (by a card)",
        "top_p": "paper (by a card)",
        "max_tokens": "paper (by a card)",
    },
    departures=(
        "the judge is a role of its own",
        "what adds nothing, or has words of the prompt in it, gets no answer",
        "prompts are our own; operators are drawn by the anchor, so that a run can be made again",
    ),
)

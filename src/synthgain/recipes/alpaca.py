"""Alpaca: many tasks with their answers in one call to a stronger model.

tatsu-lab, 2023; code tatsu-lab/stanford_alpaca (`generate_instruction.py`). Three seed tasks are shown, never any of the model's own, and twenty
are asked for at once, under a list of requirements. It is a distillation: the writer should be far stronger than the student.

An anchor is a seed task: an instruction (`text`, or the field `instruction`) with an output (`instances`, as Self-Instruct's seed tasks have it, or
`output`, or a chat). Three or more are needed.

Cost: 1 call a request, which gives up to 17 tasks. `requests` bounds them, `-n` stops when so many rows are accepted.

Where the numbers come from
    shown = 3, tasks = 20                     code: tasks 1 to 3 are the seeds
    temperature = 1.0, top_p = 1, max_tokens = 3072, stop at item 20    code; the temperature is where the variety comes from
    3 < words <= 150, the banned words        code, in the check `instruction`: Self-Instruct's, and video, audio, music, flowchart, diagram
    ROUGE-L 0.7                               code, in the check `novelty`: against all seeds and all that was kept
    requests = 1000                           ours

A block that has not all three parts falls (check `parse`), and so does the last one of an answer that was cut off. Rows are chats of two turns. Fields:
`instruction`, `input` ("" where none), `output`, `place` (its number in the answer).

Departures
    The source forbids the end of the text (logit_bias), so that the model cannot stop early; here it may.
    The source numbers a requirement twice; ours are our own words.
    The student reads a chat template; the source has one fixed template with and one without an input.
    ROUGE-L is over the words of `words.py`.
"""

from __future__ import annotations

import random
import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from synthgain.curate.empty import NotEmpty
from synthgain.curate.exact_duplicate import ExactDuplicate
from synthgain.curate.instruction import BANNED, MEDIA, Instruction
from synthgain.curate.novelty import Novelty
from synthgain.curate.tasks import HELD, Task, task_of
from synthgain.settings import at_least
from synthgain.types import (
    Anchor,
    Call,
    Corpus,
    Group,
    Models,
    Pool,
    Prompt,
    Recipe,
    Row,
    Sampling,
    SynthgainError,
    assistant,
    drop,
    user,
)

NO_INPUT = "<noinput>"
REQUIREMENTS = (
    "Make a set of {tasks} different tasks for an assistant that reads and writes text, and do each of them. They must satisfy this:\n"
    "1. No two tasks begin with the same verb, as far as possible.\n"
    "2. Their wording varies: some are questions, others are requests.\n"
    "3. Their kinds vary: open writing, classification, editing, rewriting, explaining, planning, and more.\n"
    "4. A model of text can do them: nothing that needs to be seen or heard, made visible, or remembered for later.\n"
    "5. They are in English, and an instruction is one or two sentences long.\n"
    "6. Where a task is applied to something, the input holds it: realistic, with real detail, at most a hundred words. "
    f"Where it needs none, the input is {NO_INPUT}.\n"
    "7. The output does what is asked, in fewer than a hundred words.\n"
    "Write each task in the form of those below, with ### before it. The {tasks} tasks:\n"
)


def block(n: int, task: Task) -> str:
    """A task as it stands in prompt and answer."""
    return f"###\n{n}. Instruction: {task.instruction}\n{n}. Input:\n{task.input or NO_INPUT}\n{n}. Output:\n{task.output}\n"


def asked(shown: Iterable[Anchor], draft: Alpaca) -> Prompt:
    """The requirements first, the demonstrations last, and the next number open."""
    blocks = [block(n, task_of(anchor)) for n, anchor in enumerate(shown, 1)]
    text = REQUIREMENTS.format(tasks=draft.tasks) + "".join(blocks) + f"###\n{len(blocks) + 1}. Instruction:"
    stop = (f"\n{draft.tasks}", f"{draft.tasks}.")
    law = Sampling(temperature=draft.temperature, max_tokens=draft.max_tokens, stop=stop)
    return Prompt((user(text),), sampling=law)


_PART = re.compile(r"(?m)^[ \t*#]*(?:\d{1,3}\s*[.)]\s*)?[*_]*(Instruction|Input|Output)[*_]*[ \t]*:[*_]*[ \t]*", re.I)
_BETWEEN = re.compile(r"(?im)^[ \t]*#{3,}[ \t]*$|^(?=[ \t*#]*\d{1,3}\s*[.)]\s*[*_]*Instruction\b)")
_NONE = re.compile(r"(?i)^[<(\[]?\s*(?:no[\s_-]*input|none|n/a)\s*[>)\]]?\.?$")


def tasks_in(text: str) -> list[Task | str]:
    """The tasks of an answer in their order; of a block that has not the three parts in their order the block itself."""
    found: list[Task | str] = []
    for said in _BETWEEN.split(text):
        if said.strip():
            parts = _PART.split(said)
            names = [name.lower() for name in parts[1::2]]
            if names != ["instruction", "input", "output"]:
                found.append(said.strip())
                continue
            instruction, applied, output = (part.strip() for part in parts[2::2])
            applied = "" if _NONE.match(applied) else applied
            found.append(Task(" ".join(instruction.split()), applied, re.sub(r"\n\s*\d{1,3}\s*[.)]?\s*\Z", "", output)))
    return found


@dataclass(frozen=True)
class SeedsOnly:
    """`requests` groups of `shown` seeds, drawn anew for each."""

    requests: int = 1000
    shown: int = 3

    def __post_init__(self) -> None:
        at_least(self, "alpaca", requests=1, shown=1)

    def total(self, corpus: Corpus) -> int:
        return self.requests

    def __call__(self, corpus: Corpus, pool: Pool, seed: int) -> Iterable[Group]:
        if len(corpus) < self.shown:
            raise SynthgainError(
                f"a request shows {self.shown} seed tasks, and there are {len(corpus)}",
                where="anchors",
                next=f"give more seed tasks, or --set shown={len(corpus) or 1}",
            )
        for number in range(self.requests):
            dice = random.Random(f"seeds {seed} {number}")
            yield tuple(corpus[at] for at in dice.sample(range(len(corpus)), self.shown))


@dataclass(frozen=True)
class Alpaca:
    """One call that asks for `tasks` tasks, of which the first are the seeds."""

    tasks: int = 20
    temperature: float = 1.0
    max_tokens: int = 3072

    def ready(self, *shown: Anchor) -> None:
        """SynthgainError where a request shows as many tasks as it is to hold."""
        if self.tasks <= len(shown):
            raise SynthgainError(
                f"tasks is more than the {len(shown)} that are shown, not {self.tasks}",
                where="alpaca",
                next=f"--set tasks={len(shown) + 1} or more, or a smaller --set shown=N",
            )

    async def __call__(self, models: Models, *shown: Anchor) -> AsyncIterator[Row]:
        call = await models(asked(shown, self))
        found = tasks_in(opened(call.text, len(shown) + 1))
        for place, task in enumerate(found):
            cut = call.finish == "length" and place == len(found) - 1
            yield row_of(task, call, place, "cut off at the token limit" if cut else "")
        if not found:
            yield row_of(call.text, call, 0, "no task")


def opened(text: str, n: int) -> str:
    """An answer with the opening that the prompt ended with, where it goes on from there and does not repeat it."""
    begins_anew = re.match(r"\s*(?:[^#\n]*\n){0,2}?\s*#{3,}", text) or _PART.match(text.lstrip())
    return text if begins_anew or not text.strip() else f"###\n{n}. Instruction: {text.lstrip()}"


def row_of(task: Task | str, call: Call, place: int, why: str = "") -> Row:
    """A task as a chat of two turns; a block that is none as a row that falls."""
    if isinstance(task, str):
        fields = {"instruction": "", "input": "", "output": "", "place": place}
        why = why or "not the three parts asked for"
        return Row(text=task, calls=(call,), fields=fields, verdicts=(drop(why, check="parse"),))
    fields = {"instruction": task.instruction, "input": task.input, "output": task.output, "place": place}
    verdicts = (drop(why, check="parse"),) if why else ()
    return Row(messages=(user(task.asked), assistant(task.output)), calls=(call,), fields=fields, verdicts=verdicts)


EXAMPLES = (
    Anchor("Give the plural of the noun.", "example#1", {"instances": [{"input": "goose", "output": "geese"}]}),
    Anchor("Say how a kettle can be cleaned of lime.", "example#2", {"output": "Boil it with vinegar and rinse it."}),
    Anchor("Tell whether the message is a complaint or a thank-you.", "example#3", {"output": "a complaint"}),
)

RECIPE = Recipe(
    name="alpaca",
    version="1",
    draft=Alpaca(),
    pick=SeedsOnly(),
    checks=(NotEmpty(), Instruction(banned=(*BANNED, *MEDIA)), Novelty(), ExactDuplicate()),
    fields=("instruction", "input", "output", "place"),
    examples=EXAMPLES,
    needs=("instruction?", *HELD),
    source="Alpaca, tatsu-lab 2023; code tatsu-lab/stanford_alpaca",
    stage="post-training (supervised)",
    anchors="seed tasks: instructions with an output (`instances`, `output` or a chat)",
    calls="a request: 1, for up to 17 tasks",
    sources={
        "requests": "ours: the source stops at a number of instructions; -n does",
        "shown": "code",
        "tasks": "code",
        "temperature": "code",
        "max_tokens": "code",
    },
    departures=(
        "the model may end its answer early: no logit bias against the end of the text",
        "the student reads its chat template, not the source's two templates",
        "prompts are our own",
    ),
)

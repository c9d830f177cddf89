"""Self-Instruct: a model grows a list of tasks out of some seed tasks, and does them itself.

Wang et al., arXiv 2212.10560; code yizhongw/self-instruct. A base model is shown eight instructions and goes on with the list; at most two of the
eight are its own from before. Of each new instruction it says whether it is a classification. If so it names a label first and then an input
that has it, else it writes inputs and then outputs. Then the same model is trained on what was kept. With a stronger model in its place this is a
distillation.

An anchor is a seed task: an instruction (`text`, or the field `instruction`) with an output (`instances`, as the published seed tasks have it,
or `output`, or a chat). Two or more are needed.

Cost: 1 call a request, and 2 for each new instruction in its answer that is fit (at most 7 of them). `requests` bounds them; `-n` stops when so
many rows are accepted, as the source stops at a number of instructions.

Where the numbers come from
    shown = 8, machine = 2, wave = 5       code (`bootstrap_instructions.py`): at most two demonstrations of the model's own, five requests a batch
    temperature 0.7, top_p 0.5, presence penalty 2, 1024 tokens, stop at a blank line or at item 16    code, for the list
    temperature 0, 3 tokens                code (`identify_clf_or_not.py`)
    temperature 0, presence penalty 1.5, 300 tokens for a classification and 350 else    code (`generate_instances.py`)
    instances = 5                          code: at most five of a task
    3 < words <= 150, the banned words     code, in the check `instruction`
    ROUGE-L 0.7                            code, in the check `novelty`: against all seeds and all that was kept
    requests = 1000                        ours

A list that was cut off at the token limit falls as a whole, an instance that was cut off alone. An instance falls (check `instance`) that has no output, repeats its
input, ends in a colon, or gives another output to the same input: then all of its task do. Rows are chats of two turns. Fields: `instruction`,
`input`, `output`, `classification`, `instance` (its number), `human` (a seed task: they are part of the set, as in the source, and come last).

Departures
    Whether an instruction is new is decided when its instances are bought already; a repeated one costs nothing, since the calls about it are at temperature 0.
    Only the first letter is set in upper case; the source lower-cases the rest, names too.
    ROUGE-L is over the words of `words.py`.
    Few-shot prompts are our own and shorter: 12 labelled instructions (the source: 31), three worked tasks of each kind.
    The source writes instruction and input by one of 13 templates; here a chat template parts the turns, and three ways of joining the two are drawn.
    top_p at temperature 0 is left out: it changes nothing.
    With `base=false` the same is asked of a chat model in a chat; a base model is given plain text to go on with (role "raw").
"""

from __future__ import annotations

import random
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from synthgain.curate.empty import NotEmpty
from synthgain.curate.exact_duplicate import ExactDuplicate
from synthgain.curate.instruction import Instruction
from synthgain.curate.novelty import Novelty
from synthgain.curate.tasks import HELD, Task, task_of
from synthgain.settings import at_least
from synthgain.types import (
    Anchor,
    Call,
    Corpus,
    Group,
    Message,
    Models,
    Pool,
    Prompt,
    Recipe,
    Row,
    Sampling,
    SynthgainError,
    assistant,
    drop,
    system,
    user,
)

LAST = 16  # the item at which the list stops (code)
LIST_LAW = Sampling(temperature=0.7, top_p=0.5, presence_penalty=2.0, max_tokens=1024, stop=("\n\n", f"\n{LAST}"))
KIND_LAW = Sampling(temperature=0.0, max_tokens=3, stop=("\n", "Task"))
LABELLED_LAW = Sampling(temperature=0.0, presence_penalty=1.5, max_tokens=300, stop=("\nExample 6", "\nTask:"))
WORKED_LAW = Sampling(temperature=0.0, presence_penalty=1.5, max_tokens=350, stop=("\nExample 6", "\nTask:"))
FIT = Instruction()

LIST = "A varied list of tasks that people give to an assistant that reads and writes text:\n\n"
KIND = "Say of each task whether its answer is one of a few fixed labels.\n\n"
KINDS = (
    ("Decide whether the review is favourable or not.", True),
    ("Write a short poem about a lighthouse.", False),
    ("Which of the two sentences has a spelling mistake?", True),
    ("Explain why bread rises.", False),
    ("Sort the animal into mammal, bird or fish.", True),
    ("Give me three names for a bakery.", False),
    ("Is the statement true or false?", True),
    ("Translate the sentence into Italian.", False),
    ("Tell if the number is odd or even.", True),
    ("Rewrite the note so that it is polite.", False),
    ("Choose the topic of the headline: sport, politics or weather.", True),
    ("Plan a day in a town without a car.", False),
)
LABELLED = (
    "Name a label of the task, then write an input that has this label. Go on with the next label.\n\n"
    "Task: Decide whether the review is favourable or not.\nLabel: favourable\n"
    "Input: The soup was hot, the bread was fresh and nobody hurried us.\nLabel: unfavourable\n"
    "Input: Two of the six chairs arrived broken, and no one answers the phone.\n\n"
    "Task: Sort the animal into mammal, bird or fish.\nLabel: bird\nInput: heron\nLabel: fish\nInput: pike\nLabel: mammal\nInput: otter\n\n"
    "Task: Is the claim supported by the text, yes or no?\nLabel: yes\n"
    "Input: Text: The mill closed in 1932 after the flood.\nClaim: The mill was shut in the thirties.\nLabel: no\n"
    "Input: Text: The mill closed in 1932 after the flood.\nClaim: The mill burned down.\n\n"
)
WORKED = (
    "Do each task. Where it needs an input, make some up and write up to five examples; where it needs none, write the output alone.\n\n"
    "Task: Put the words into alphabetical order.\nExample 1\nInput: plum, apple, quince\nOutput: apple, plum, quince\n"
    "Example 2\nInput: wood, iron, clay, tin\nOutput: clay, iron, tin, wood\n\n"
    "Task: Give me three names for a bakery.\nExample 1\nOutput: The Early Loaf, Crumb Street, Flour & Field\n\n"
    "Task: Say in one sentence what the note is about.\nExample 1\n"
    "Input: Dear all, the lift is out of order until Friday. Please use the stairs at the back.\n"
    "Output: The lift does not work until Friday and people should take the back stairs.\n\n"
)
CHAT = "You make up tasks for an assistant that reads and writes text. Follow the form of the examples exactly and write nothing else."


# ---------------------------------------------------------------------------------------------- prompts


def asked(text: str, law: Sampling, base: bool, task: str = "", draw: int = 0) -> Prompt:
    """A prompt that a base model goes on with, or the same in a chat with what is wanted said at its end."""
    turns: tuple[Message, ...] = (Message(role="raw", content=text),)
    if not base:
        turns = (system(CHAT), user(f"{text}\n\n{task}"))
        law = Sampling(law.temperature, law.top_p, max_tokens=law.max_tokens, presence_penalty=law.presence_penalty)
    return Prompt(turns, sampling=law, draw=draw)


def list_prompt(shown: Sequence[str], base: bool, draw: int = 0) -> Prompt:
    """The demonstrations as a numbered list whose next item is open."""
    numbered = "".join(f"{n}. {' '.join(text.split())}\n" for n, text in enumerate(shown, 1))
    first = len(shown) + 1
    task = f"Go on with the list: write items {first} to {LAST - 1}, one a line, each with its number. Make them differ from those above and from each other."
    return asked(LIST + numbered + (f"{first}." if base else ""), LIST_LAW, base, task, draw)


def kind_prompt(instruction: str, base: bool) -> Prompt:
    """Whether a task is a classification."""
    told = "".join(f"Task: {task}\nFixed labels: {'Yes' if yes else 'No'}\n\n" for task, yes in KINDS)
    task = "Answer for the last task with Yes or No."
    return asked(f"{KIND}{told}Task: {instruction}\nFixed labels:", KIND_LAW, base, task)


def instances_prompt(instruction: str, classification: bool, base: bool) -> Prompt:
    """Labels first of a classification, else inputs first."""
    text, law = (LABELLED, LABELLED_LAW) if classification else (WORKED, WORKED_LAW)
    task = "Go on for the last task only, " + (
        'with lines that begin with "Label:" and "Input:".'
        if classification
        else 'with "Example 1", "Input:" and "Output:".'
    )
    return asked(f"{text}Task: {instruction}\n" + ("Label:" if classification and base else ""), law, base, task)


# ---------------------------------------------------------------------------------------------- what is read

_ITEM = re.compile(r"(?m)^[ \t*#-]*(?:Task\s*)?(\d{1,2})\s*[.):][*_]*[ \t]*")
_MARKED = re.compile(r"(?m)^[ \t*_#-]*(Label|Class label|Input|Output|Example)\b[ \t]*\d*[ \t]*[:.]?[*_]*[ \t]*", re.I)


def items(text: str, first: int) -> list[str]:
    """The items of a numbered list from number `first` on, each on one line with a capital at its beginning."""
    parts = _ITEM.split(text)
    found = [" ".join(said.split()).strip("*_ ") for n, said in zip(parts[1::2], parts[2::2]) if first <= int(n) < LAST]
    return [said[:1].upper() + said[1:] for said in found if said]


def instances(call: Call, classification: bool, base: bool) -> list[tuple[str, str]]:
    """Inputs and outputs in their order; the last one is left out where the answer was cut off in it."""
    opened = "Label:" if classification and base else ""
    text = opened + call.text
    if not base:  # what a chat model repeats of the prompt, and what it goes on with
        text = re.split(r"(?m)^\s*Task\s*:.*$", text)[-1] if re.match(r"\s*Task\s*:", text) else text
        text = re.split(r"(?m)^\s*Task\s*:", text)[0]
    found = list(_labelled(text) if classification else _examples(text))
    return found[:-1] if call.finish == "length" else found


def _marked(text: str) -> Iterator[tuple[str, str]]:
    """What stands under each mark, in order; what stands before the first under ""."""
    parts = _MARKED.split(text)
    yield "", parts[0].strip()
    for mark, said in zip(parts[1::2], parts[2::2]):
        yield mark.lower().split()[-1], said.strip()


def _labelled(text: str) -> Iterator[tuple[str, str]]:
    label: str | None = None
    applied = ""
    for mark, said in _marked(text):
        if mark == "label":
            if label is not None:
                yield applied, label
            label, applied = said, ""
        elif mark == "input":
            applied = said
    if label is not None:
        yield applied, label


def _examples(text: str) -> Iterator[tuple[str, str]]:
    applied = ""
    for mark, said in _marked(text):
        if mark == "example":
            applied = ""
        elif mark == "input":
            applied = "" if said.lower() in ("none", "n/a", "no input", "<noinput>") else said
        elif mark == "output":
            yield applied, said
            applied = ""


def faults(found: Sequence[tuple[str, str]]) -> list[str]:
    """Of each instance why it is none; "" where it is one."""
    outputs: dict[str, set[str]] = {}
    for applied, output in found:
        outputs.setdefault(applied, set()).add(output)
    torn = any(applied and len(given) > 1 for applied, given in outputs.items())
    return [
        "no output"
        if not output
        else "the output is the input"
        if applied == output
        else "ends in a colon"
        if applied.endswith(":") or output.endswith(":")
        else "one input has several outputs"
        if torn
        else ""
        for applied, output in found
    ]


# ---------------------------------------------------------------------------------------------- rows

_FIELD_NAME = re.compile(r"\w+(?: \w+)?:\s*(?=\S)")
FORMS = ("{0}\n\n{1}", "{0}\n\nInput: {1}", "{0}\n{1}")


def asked_as(task: Task) -> str:
    """What the user says: one of three ways to join instruction and input, and half of the time without a field's name before the input."""
    if not task.input:
        return task.instruction
    dice = random.Random(f"form {task.instruction} {task.input}")
    form, bare = dice.choice(FORMS), dice.random() < 0.5
    applied = _FIELD_NAME.sub("", task.input, count=1) if bare and _FIELD_NAME.match(task.input) else task.input
    return form.format(task.instruction, applied)


def row_of(task: Task, calls: tuple[Call, ...], why: str = "", check: str = "instance", **fields: object) -> Row:
    """A chat of two turns; of a task without an output the user's turn alone."""
    turns = (user(asked_as(task)), assistant(task.output)) if task.output else (user(asked_as(task)),)
    named = {"instruction": task.instruction, "input": task.input, "output": task.output, **fields}
    return Row(messages=turns, calls=calls, fields=named, verdicts=(drop(why, check=check),) if why else ())


# ---------------------------------------------------------------------------------------------- pick and draft


@dataclass(frozen=True)
class Demonstrations:
    """`requests` groups of `shown` demonstrations, of which `machine` at most are rows accepted before; then each seed alone, as a row of the set."""

    requests: int = 1000
    shown: int = 8
    machine: int = 2
    wave: int = 5
    pooled: bool = True

    def __post_init__(self) -> None:
        at_least(self, "self-instruct", requests=0, shown=2, machine=0, wave=1)

    def total(self, corpus: Corpus) -> int:
        return self.requests + len(corpus)

    def __call__(self, corpus: Corpus, pool: Pool, seed: int) -> Iterable[Group]:
        if len(corpus) < 2:
            raise SynthgainError(
                f"self-instruct is shown several seed tasks, and there is {len(corpus)}",
                where="anchors",
                next="give two seed tasks or more",
            )
        for number in range(self.requests):
            dice = random.Random(f"demonstrations {seed} {number}")
            own = _own(pool, self.machine, dice)
            seeds = dice.sample(range(len(corpus)), min(len(corpus), self.shown - len(own)))
            group = [*own, *(corpus[at] for at in seeds)]
            dice.shuffle(group)
            yield tuple(group)
        yield from ((anchor,) for anchor in corpus)


def _own(pool: Pool, most: int, dice: random.Random) -> list[Anchor]:
    """Accepted rows of the model's own with different instructions, at most so many."""
    found: dict[str, Anchor] = {}
    for at in dice.sample(range(len(pool)), min(len(pool), 4 * most)):
        if len(found) < most and not pool[at].fields.get("human"):
            found.setdefault(task_of(pool[at]).instruction, pool[at])
    return list(found.values())


@dataclass(frozen=True)
class SelfInstruct:
    """A list, then for each new instruction its kind and at most `instances` instances. `base`: the model is one, and gets plain text."""

    base: bool = True
    instances: int = 5

    def __post_init__(self) -> None:
        if self.instances < 1:
            raise SynthgainError(f"instances is 1 or more, not {self.instances}", where="self-instruct")

    async def __call__(self, models: Models, *shown: Anchor) -> AsyncIterator[Row]:
        if len(shown) == 1:
            task = task_of(shown[0])
            if task.output:
                yield row_of(task, (), human=True, instance=0)
            return
        told = [task_of(anchor).instruction for anchor in shown]
        call = await models(list_prompt(told, self.base))
        first = len(told) + 1
        found = items(f"{first}.{call.text}" if self.base else call.text, first)
        if call.finish == "length" or not found:
            why = "the list was cut off" if call.finish == "length" else "no numbered instruction"
            yield Row(text=call.text, calls=(call,), verdicts=(drop(why, check="parse"),))
            return
        unfit = [(said, why) for said in found if (why := FIT.unfit(said))]
        for said, why in unfit:
            yield row_of(Task(said), (call,), why, FIT.name)
        fit = [said for said in found if not FIT.unfit(said)]
        async for rows in models.side_by_side(self._instances(models, call, said) for said in fit):
            for row in rows:
                yield row

    async def _instances(self, models: Models, listed: Call, instruction: str) -> list[Row]:
        kind = await models(kind_prompt(instruction, self.base))
        classification = kind.text.strip().lower().lstrip("*_ ").startswith("yes")
        call = await models(instances_prompt(instruction, classification, self.base))
        found, calls = instances(call, classification, self.base), (listed, kind, call)
        if not found:
            why = "cut off in its first instance" if call.finish == "length" else "no instance"
            return [row_of(Task(instruction), calls, why, classification=classification, instance=0)]
        tasks = [Task(instruction, applied, output) for applied, output in islice(found, self.instances)]
        return [
            row_of(task, calls, why, classification=classification, instance=n)
            for n, (task, why) in enumerate(zip(tasks, faults(found)))
        ]


EXAMPLES = (
    Anchor(
        "Name two things that float on water and two that sink.",
        "example#1",
        {"output": "Cork and ice; iron and sand."},
    ),
    Anchor(
        "Tell whether the word is a noun or a verb.",
        "example#2",
        {"instances": [{"input": "ladder", "output": "noun"}], "is_classification": True},
    ),
    Anchor("Explain to a child why the moon changes its shape.", "example#3", {"output": "We see only its lit part."}),
)

RECIPE = Recipe(
    name="self-instruct",
    version="1",
    draft=SelfInstruct(),
    pick=Demonstrations(),
    checks=(NotEmpty(), Instruction(), Novelty(), ExactDuplicate()),
    fields=("instruction", "input", "output", "classification", "instance", "human"),
    examples=EXAMPLES,
    needs=("instruction?", *HELD),
    source="Self-Instruct, arXiv 2212.10560; code yizhongw/self-instruct",
    stage="post-training (supervised)",
    anchors="seed tasks: instructions with an output (`instances`, `output` or a chat)",
    calls="a request: 1 + 2 for each new instruction (at most 7)",
    sources={
        "requests": "ours: the source stops at a number of instructions; -n does",
        "shown": "code",
        "machine": "code",
        "wave": "code: five requests a batch",
        "base": "code: a base model",
        "instances": "code",
    },
    departures=(
        "instances are bought before novelty is decided; calls about a repeated instruction are remembered",
        "only the first letter is set in upper case; the source lower-cases the rest",
        "few-shot prompts are our own, with 12 labelled instructions (the source: 31)",
        "a chat template parts the turns; three ways of joining instruction and input are drawn, the source has 13 templates",
        "with base=false the same is asked in a chat",
    ),
)

"""Active Reading: a model says how this very document could be studied, then studies it in each of those ways.

Lin et al., arXiv 2508.09494. Of each document a model first proposes ways of studying (strategies); each is then applied to the document in a call
of its own, and what comes of it is a training text. Two variants: the task-agnostic one asks what would help to understand and remember this
text; the task-specific one first imagines the questions of a coming exam. The diversity is in the strategies, which are made for each document:
one fixed list for all of them would be paraphrase.

An anchor is a whole document; its field `title` is used where given. Cost: variants × (1 + strategies) calls a document (2 × (1 + 8) = 18), as
many for each part of a document longer than `longest`.

Where the numbers come from (of the paper a summary was read, not itself)
    variants = agnostic, specific   paper
    strategies = 8                  ours: the paper's number was not found
    task                            ours: the paper's exams are of facts, answered without the document
    temperature = 0.7, top_p = 0.95 arXiv 2603.23562, which uses Active Reading's strategies (a summary)
    max_tokens = 2048               ours: 4,096 there
    longest = 6000                  ours: with the answer it fits a context of 8,192
    language = auto                 ours: the document's own

Rows are texts. Fields: `variant`, `strategy`, `place` (its number in the proposal, from 0), `proposed` (how many were proposed), `part`, `parts`. A
proposal without a strategy, and a strategy that was cut off, are rows that fall. No filter in the source; here empty, truncated and refusing answers
fall, and those that still talk about the task.

What the trainer must do, not this recipe: a tenth of general text (replay); repetition, paraphrase and question-answer sets of equally many
words beside it. The generator of the paper is of the student's own family and size, which did better than a larger one.

Departures
    Prompts are our own; the document stands first and the strategy last, so that all calls on a document share its prefix.
    The number of strategies is asked for.
    The task-specific variant is told of an exam in general; never give it the questions that you evaluate on.
    A document longer than `longest` is studied in parts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from synthgain.curate.empty import NotEmpty
from synthgain.curate.found_lines import listed, marked
from synthgain.curate.preamble import Preamble, strip_preamble
from synthgain.curate.refusal import Refusal
from synthgain.curate.truncated import Truncated
from synthgain.passages import whole_or_chunks
from synthgain.prompting import AUTO, check_language, headed, in_language
from synthgain.settings import at_least, chosen
from synthgain.types import Anchor, Call, Models, Prompt, Recipe, Row, Sampling, drop, system, user

SYSTEM = "You study documents thoroughly, and what you write holds nothing that they do not support."
PROPOSE = {
    "agnostic": (
        "Somebody wants to understand the document above and to remember all of it for good. Think of {n} different ways of studying that would "
        "help with this very document: each says what to do with which parts of it."
    ),
    "specific": (
        "Somebody is going to take {task}, about what the document above is about. First imagine five questions of that kind, each on a line that "
        'begins with "Question:". Then think of {n} different ways of studying the document that would prepare for all questions like these, '
        "not for those five alone: each says what to do with which parts of the document."
    ),
}
FORM = 'Write each way of studying on a line of its own that begins with "Strategy:", in one or two sentences.'
APPLY = (
    "Study the document above in the way that is described below, and write out in full all that such studying yields. Who reads it will not have "
    "the document: name what it is about, keep every name and number that you use exact, and add nothing that the document does not support."
)


def proposal(head: str, variant: str, draft: ActiveReading) -> Prompt:
    """The prompt that asks for strategies."""
    task = PROPOSE[variant].format(n=draft.strategies, task=draft.task)
    return _asked(f"{head}\n\n{task} {FORM}", draft)


def application(head: str, strategy: str, draft: ActiveReading, wish: str = "") -> Prompt:
    """The prompt that applies one strategy; `wish` is the sentence that asks for a language."""
    return _asked(f"{head}\n\n{APPLY}{wish}\n\nWay of studying: {strategy}", draft)


def _asked(said: str, draft: ActiveReading) -> Prompt:
    law = Sampling(temperature=draft.temperature, top_p=draft.top_p, max_tokens=draft.max_tokens)
    return Prompt((system(SYSTEM), user(said)), sampling=law)


def strategies(text: str) -> list[str]:
    """The strategies of a proposal; where the marks were left out, the items of its list that ask nothing."""
    return marked(text, "Strategy") or [item for item in listed(text) if not item.endswith(("?", "？"))]


@dataclass(frozen=True)
class ActiveReading:
    """Strategies of each of `variants`, then one text for each of at most `strategies`. `task` completes "Somebody is going to take …"."""

    variants: tuple[str, ...] = tuple(PROPOSE)
    strategies: int = 8
    task: str = "an exam of short questions about facts, to be answered from memory"
    longest: int = 6000
    temperature: float = 0.7
    top_p: float = 0.95
    max_tokens: int = 2048
    language: str = AUTO

    def __post_init__(self) -> None:
        chosen(self.variants, PROPOSE, "variant", "active-reading")
        at_least(self, "active-reading", strategies=1, longest=10)
        check_language(self.language, "active-reading")

    async def __call__(self, models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        heads = [headed(part, anchor.fields) for part in whole_or_chunks(anchor.text, self.longest)]
        wanted = [(part, variant) for part in range(len(heads)) for variant in self.variants]
        proposals = (((part, variant), proposal(heads[part], variant, self)) for part, variant in wanted)
        found: list[tuple[dict[str, Any], Call, int, str]] = []
        async for (part, variant), call in models.each(proposals):
            fields = {"variant": variant, "part": part, "parts": len(heads)}
            proposed, fell = self._read(call, fields)
            for row in fell:
                yield row
            fields |= {"proposed": len(proposed)}
            found += [(fields, call, place, one) for place, one in enumerate(proposed[: self.strategies])]
        wish = in_language(self.language, anchor.text)
        about = ((one, application(heads[one[0]["part"]], one[3], self, wish)) for one in found)
        async for (fields, asked, place, strategy), call in models.each(about):
            fields = {"variant": fields["variant"], "strategy": strategy, "place": place, **fields}
            yield Row(text=strip_preamble(call.text), calls=(asked, call), fields=fields)

    def _read(self, call: Call, fields: dict[str, Any]) -> tuple[list[str], list[Row]]:
        """The strategies of a proposal, and what of it falls: all of it, or the last one where it was cut off."""
        proposed = strategies(call.text)
        cut = [proposed.pop()] if proposed and call.finish == "length" and len(proposed) <= self.strategies else []
        why = "a strategy that was cut off" if cut else "" if proposed else "no strategy in the answer"
        text = cut[0] if cut else call.text
        told = {
            "variant": fields["variant"],
            "strategy": "",
            "place": len(proposed),
            **fields,
            "proposed": len(proposed),
        }
        return proposed, [
            Row(text=text, calls=(call,), fields=told, verdicts=(drop(why, check="parse"),))
        ] if why else []


EXAMPLES = (
    Anchor(
        "The tide clock of Marrow Quay has one hand and no numbers. Its maker, Hessa Brandt, cut eleven notches into the rim in 1783, one for each "
        "boat that was then moored there. When a boat was lost its notch was filled with lead. Four are open today, and the hand still takes "
        "twelve hours and twenty-five minutes to go round.",
        "example#1",
        {"title": "The tide clock of Marrow Quay"},
    ),
    Anchor(
        "Salt from the pans of Oryn is grey because it dries on slate. It is raked at dawn, before the wind, and sold in willow baskets of "
        "two sizes.",
        "example#2",
    ),
)

RECIPE = Recipe(
    name="active-reading",
    version="1",
    draft=ActiveReading(),
    checks=(NotEmpty(), Truncated(), Refusal(), Preamble()),
    fields=("variant", "strategy", "place", "proposed", "part", "parts"),
    examples=EXAMPLES,
    source="Active Reading, arXiv 2508.09494",
    stage="continued pretraining",
    anchors="whole documents; the field title is used where given",
    calls="variants (2) × (1 + strategies (8))",
    needs=("title?",),
    sources={
        "variants": "paper: task-agnostic and task-specific",
        "strategies": "ours: the paper's number was not found",
        "task": "ours: questions about facts, without the document",
        "longest": "ours: with the answer it fits a context of 8,192",
        "temperature": "arXiv 2603.23562 (a summary of it)",
        "top_p": "arXiv 2603.23562 (a summary of it)",
        "max_tokens": "ours: 4,096 in arXiv 2603.23562",
        "language": "ours: that of the document",
    },
    departures=(
        "prompts are our own; document first, strategy last",
        "the number of strategies is asked for",
        "documents longer than `longest` are studied in parts",
        "empty, truncated and refusing answers fall; the source has no filter",
        "a tenth of general text in training is the trainer's part",
    ),
)

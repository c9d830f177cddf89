"""SPA: seven prompts on the whole document, each asked many times.

arXiv 2603.22213; code Tangkexian/SPA (9450a50). A plain way to put a small corpus into the weights: seven prompts of three groups (learning
concepts, thinking critically, making something of the text), the same ones for every document, sampled again and again at temperature 1.
There is no plan and no filter; the diversity comes from the prompts and from sampling. At small numbers of samples other methods are ahead
(the source: up to about 27 a passage), so one sample a prompt is no SPA.

An anchor is a whole document; its field `title` is used where given. Cost: prompts × samples calls a document (7 × 5 = 35), as many for
each part of a document longer than `longest`.

Where the numbers come from
    prompts = all seven    code
    samples = 5            ours: the smallest budget that the source reports; it goes up to some 3,200 a passage
    temperature = 1.0      code
    top_p = 0.95           code, of its runs on SQuAD; 1 on QuALITY
    max_tokens = 2048      ours: the code allows 8,192 and more
    longest = 6000         ours: with the answer it fits a context of 8,192
    language = auto        ours: the document's own
    43 (seed of the draw)  code; in the check `balanced`

Rows are texts: the document's title on a line of its own, where it has one, then the answer; the document itself is not added (code).
Fields: `prompt`, `draw`, `part`, `parts`. The check `balanced` leaves as many tokens of each prompt as the one with the fewest has; the
code chooses other numbers of samples for each prompt by hand to that end. Only empty and truncated answers fall otherwise.

What the trainer must do, not this recipe: loss on all tokens, title too; replay at large budgets (the source does without, and reports forgetting at
455M tokens); a comparison at several budgets, because the order of methods changes.

Departures
    Prompts are our own; the document stands first and the task last, so that all calls on a document share its prefix.
    Chat models only; the code also has prompts for base models to go on from.
    What a model thought never enters a text; the code keeps it where it cannot part it from the answer.
    A document longer than `longest` is used in parts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from synthgain.curate.balanced import Balanced
from synthgain.curate.empty import NotEmpty
from synthgain.curate.preamble import strip_preamble
from synthgain.curate.truncated import Truncated
from synthgain.passages import whole_or_chunks
from synthgain.prompting import AUTO, check_language, headed, in_language, title_of
from synthgain.settings import at_least, chosen
from synthgain.types import Anchor, Models, Prompt, Recipe, Row, Sampling, system, user

SYSTEM = "You write texts from which people learn what a document says. Names, numbers and facts are always those of the document."
INSIDE = " Bring in nothing from outside the document."
PROMPTS = {
    "concepts": (
        "Which are the key concepts of the document above? Take them one after the other and explain each, together with the people, "
        "places, things and facts "
        "that the document ties to it." + INSIDE
    ),
    "map": (
        "Write a concept map of the document above as an outline: the main ideas, under each what belongs to it, and between them how they "
        "are related. Call every person, "
        "place and thing by its name." + INSIDE
    ),
    "implications": (
        "What follows from what the document above says? Write about its consequences, those that it states and those that a careful reader can "
        "infer, and from which statements they follow."
    ),
    "critical": (
        "Write questions on the document above that ask to analyse, to connect and to weigh what it says, and none that a single sentence "
        "of it would answer. Give each "
        'a full answer with its reasons. Begin each question with "Question:" and each answer with "Answer:".' + INSIDE
    ),
    "case": (
        "Write a case study in formal language on what the document above is about. Name its title or subject at the beginning, keep all "
        "important details, "
        "and show at which places facts bear on larger themes." + INSIDE
    ),
    "discussion": (
        "Write a conversation between two readers of the document above, who tell each other what they found in it, ask back, and put right "
        "what the other "
        "got wrong. They talk as people do, and about nothing but what stands there." + INSIDE
    ),
    "teacher": (
        "Explain the document above as a teacher would to students who hear of it for the first time: step by step, each part joined to the "
        "one before, "
        "everybody and everything called by name." + INSIDE
    ),
}
MARKED = ("critical",)  # prompts whose answers have marks


def asked(head: str, prompt: str, draft: SPA, draw: int, wish: str = "") -> Prompt:
    """One sample of one prompt; `wish` is the sentence that asks for a language."""
    law = Sampling(temperature=draft.temperature, top_p=draft.top_p, max_tokens=draft.max_tokens)
    return Prompt((system(SYSTEM), user(f"{head}\n\n{PROMPTS[prompt]}{wish}")), sampling=law, draw=draw)


@dataclass(frozen=True)
class SPA:
    """`samples` answers to each of `prompts` on a document."""

    prompts: tuple[str, ...] = tuple(PROMPTS)
    samples: int = 5
    longest: int = 6000
    temperature: float = 1.0
    top_p: float = 0.95
    max_tokens: int = 2048
    language: str = AUTO

    def __post_init__(self) -> None:
        chosen(self.prompts, PROMPTS, "prompt", "spa")
        at_least(self, "spa", samples=1, longest=10)
        check_language(self.language, "spa")

    async def __call__(self, models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        heads = [headed(part, anchor.fields) for part in whole_or_chunks(anchor.text, self.longest)]
        title = title_of(anchor.fields)
        marked = in_language(self.language, anchor.text, 'The marks "Question:" and "Answer:"')
        plain = in_language(self.language, anchor.text)
        prompts = (
            ((part, prompt, draw), asked(head, prompt, self, draw, marked if prompt in MARKED else plain))
            for part, head in enumerate(heads)
            for prompt in self.prompts
            for draw in range(self.samples)
        )
        async for (part, prompt, draw), call in models.each(prompts):
            said = strip_preamble(call.text)
            fields = {"prompt": prompt, "draw": draw, "part": part, "parts": len(heads)}
            yield Row(text=f"{title}\n{said}" if title and said else said, calls=(call,), fields=fields)


EXAMPLES = (
    Anchor(
        "The weavers of Low Tarn count in sevens, because a loom there has seven treadles. A week's cloth is seven ells, and a debt of less "
        "than seven "
        "pence need not be paid. In 1839 the schoolmaster Piers Oldroyd tried to bring in the ten; the children learnt it and used it for lies only.",
        "example#1",
        {"title": "Counting in Low Tarn"},
    ),
    Anchor(
        "Rainstone from Ivell turns dark two hours before rain. Shepherds carry a piece of it, but the darkest stones come from dry cellars.",
        "example#2",
    ),
)

RECIPE = Recipe(
    name="spa",
    version="1",
    draft=SPA(),
    checks=(NotEmpty(), Truncated(), Balanced("prompt")),
    fields=("prompt", "draw", "part", "parts"),
    examples=EXAMPLES,
    source="SPA, arXiv 2603.22213; code Tangkexian/SPA",
    stage="continued pretraining",
    anchors="whole documents; the field title is used where given",
    calls="prompts (7) × samples (5)",
    needs=("title?",),
    sources={
        "prompts": "code: seven, in three groups",
        "samples": "ours: the smallest budget that the source reports",
        "longest": "ours: with the answer it fits a context of 8,192",
        "temperature": "code",
        "top_p": "code, of its runs on SQuAD",
        "max_tokens": "ours: 8,192 and more in the code",
        "language": "ours: that of the document",
    },
    departures=(
        "prompts are our own; document first, task last",
        "equal tokens of each prompt by a check; the code chooses numbers of samples by hand",
        "no prompts for base models",
        "thinking never enters a text",
        "documents longer than `longest` are used in parts",
    ),
)

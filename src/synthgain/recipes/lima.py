"""LIMA: few examples that people wrote, their answers of one style and their prompts of many kinds. No model writes anything.

Zhou et al., arXiv 2305.11206 (numbers by a card). The claim is that a model that holds the knowledge learns the manner of an assistant from a thousand examples, if the answers are alike in style and
the prompts differ in content. So this recipe buys nothing: it takes questions with their answers, leaves out those that are not in an assistant's voice, and selects.

An anchor is a question with its answer (a chat, or a field `output`, `response` or `answer`); a field `category` (or what `by` of the selection names) says where it comes from, a field
`title` is a shorter form of the question, and one of the two is drawn as the prompt.

Cost: none.

Where the numbers come from
    most = 1000 rows                     paper: a thousand
    tau = 3                              recalled, not confirmed by a source that was read; in the selection `uniform-style`
    spread = 3, least = 0, most none (characters of an answer)      ours. The paper keeps answers within limits that were not confirmed, so none are set here
    first person at most 2 % of the words           ours, in the check `impersonal`; the paper takes none at all

Rows are chats of two turns. Fields: `category`, `human` (true: nothing was bought).

The two axes are measured apart: the score of `uniform-style` is how far a row's style is from the set's, and `synthgain measure` says how varied the prompts are. The paper's three arms are
three runs: `--without impersonal` (quality), anchors of one category (diversity), another `most` (quantity).

Departures
    People chose and edited by hand in the source; here rules choose, and nothing is edited.
    Training is not here: 15 epochs without warm-up, the checkpoint chosen by reading answers to 50 held-out prompts, because a lower loss is not a better one there.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass

from synthgain.curate.empty import NotEmpty
from synthgain.curate.exact_duplicate import ExactDuplicate
from synthgain.curate.impersonal import Impersonal
from synthgain.curate.near_duplicate import NearDuplicate
from synthgain.curate.tasks import HELD, conversation
from synthgain.curate.uniform_style import UniformStyle
from synthgain.types import Anchor, Models, Recipe, Row, SynthgainError, assistant, drop, user


@dataclass(frozen=True)
class LIMA:
    """The anchor's question and answer, the answer of `least` to `most` characters. `titles`: a title may stand for the question."""

    least: int = 0
    most: int | None = None
    titles: bool = True

    def __post_init__(self) -> None:
        if self.most is not None and self.most < self.least:
            raise SynthgainError(f"most is {self.least} or more, not {self.most}", where="lima")

    async def __call__(self, models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        asked, answer = conversation(anchor)
        title = anchor.fields.get("title")
        if self.titles and isinstance(title, str) and title.strip() and len(asked) == 1:
            asked = (random.Random(f"title {anchor.id}").choice((asked[0], user(title.strip()))),)
        fields = {"category": str(anchor.fields.get("category") or ""), "human": True}
        short, long = len(answer) < self.least, self.most is not None and len(answer) > self.most
        why = "" if answer else "no answer is given"
        why = why or ("answer too short" if short else "answer too long" if long else "")
        turns = (*asked, assistant(answer)) if answer else asked
        yield Row(messages=turns, fields=fields, verdicts=(drop(why, check="given"),) if why else ())


EXAMPLES = (
    Anchor(
        "How can a cracked wooden spoon be kept in use?",
        "example#1",
        {
            "output": "Sand the crack until its edges are smooth. Rub in oil until the wood takes no more. Let it dry for two days.",
            "category": "household",
            "title": "Cracked wooden spoon",
        },
    ),
    Anchor(
        "Why do rivers bend?",
        "example#2",
        {
            "output": "Water runs faster on the outside of any slight curve. There it takes soil away. On the inside it lets soil fall, so the bend grows.",
            "category": "earth",
        },
    ),
    Anchor(
        "What does a blind arch do in a wall?",
        "example#3",
        {
            "output": "It carries the load above it to both sides. The wall below can then be thinner. It also breaks up a large plain face.",
            "category": "building",
        },
    ),
)

RECIPE = Recipe(
    name="lima",
    version="1",
    draft=LIMA(),
    roles=(),
    checks=(NotEmpty(), Impersonal(), ExactDuplicate(), NearDuplicate(column="prompt"), UniformStyle()),
    fields=("category", "human"),
    examples=EXAMPLES,
    needs=("title?", "category?", *HELD),
    source="LIMA, arXiv 2305.11206",
    stage="post-training (supervised)",
    anchors="questions with their answers, written by people; fields category and title are used where given",
    calls="none",
    sources={
        "least": "ours: off",
        "most": "ours: off",
        "titles": "paper (recalled, not confirmed): title or description, drawn",
    },
    departures=(
        "rules choose where people chose and edited by hand",
        "training, and the choice of a checkpoint by reading, are not here",
    ),
)

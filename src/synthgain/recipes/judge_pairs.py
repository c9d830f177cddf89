"""Pairs by a judge: two answers are shown to a judge in both orders; a choice that holds in both makes a preference pair.

A judge that compares prefers a place, the first or the second, whatever stands there, so each pair is judged twice with the answers swapped (as in Zheng et al.,
arXiv 2306.05685). Where both verdicts name the same answer it is chosen; where they name the same place, or say that the two are as good, there is no pair.

An anchor is a question or an instruction (`text`, or a chat whose last answer is left out). Where it brings two answers (fields `output_1`, `output_2`) these are judged and none is written: so a judge
can be measured on pairs that people judged.

Cost: 4 calls an anchor: two answers, two verdicts; 2 where the answers are given. With `n` answers every two of them are judged: n + n(n-1).

Where the numbers come from
    n = 2, temperature = 1.0, max_tokens = 1024           ours
    both orders, inconsistent ones dropped                the paper's conservative way: a win counts where it holds in both
    judge at temperature 0                                ours

Rows are chats with `rejected`. Fields: `first` and `second`, what the judge chose with the answers in order and swapped, both in the numbers of the draws (0: the earlier answer, 1: the later
one, "tie", "" where it said nothing that can be read), `pair` (which draws). Reasons of what falls (check `tie`): "as good as each other", "the choice follows the place", "tie in one order", "no verdict".
Over a run they are the judge's consistency.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from synthgain.curate.empty import NotEmpty
from synthgain.curate.exact_duplicate import ExactDuplicate
from synthgain.curate.tasks import HELD, conversation
from synthgain.turns import readable
from synthgain.types import (
    Anchor,
    Call,
    Message,
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

JUDGE = (
    "A request and two answers to it follow. Which answer serves the person better? Look at whether it does what was asked and whether it is right; after that at clarity. "
    "Neither the order nor the length of the answers is a merit.\n\nRequest:\n{asked}\n\nAnswer A:\n{a}\n\n(End of answer A)\n\nAnswer B:\n{b}\n\n(End of answer B)\n\n"
    'Give your reason in one or two sentences. End with a line "Better: A", "Better: B" or "Better: tie".'
)
_VERDICT = re.compile(
    r"(?i)\bbetter(?:\s+(?:answer|one))?(?:\s+is)?\s*[*_]*\s*:?[\s*_\[(\"']*(?:answer\s+)?(a|b|tie|neither|both|equal)\b"
)
_ALONE = re.compile(r"(?i)\A[\s*_\[(\"']*(?:answer\s+)?(a|b|tie|neither|both|equal)\b[\s*_\])\"'.]*\Z")
_OTHER = re.compile(r"(?i)\banswer\s+(a|b)\s+(?:is|serves|does)\b[^.\n]{0,60}\bbetter\b")
Answer = tuple[Message, Call | None]


def compared(asked: Sequence[Message], a: str, b: str) -> Prompt:
    """The judge's question on two answers in this order."""
    text = JUDGE.format(asked=readable(asked), a=a, b=b)
    return Prompt((user(text),), to="judge", sampling=Sampling(temperature=0.0, max_tokens=160))


def verdict_in(text: str) -> str:
    """ "A", "B" or "tie": the last verdict that an answer states; "" where there is none."""
    stated = list(_VERDICT.finditer(text)) or list(_OTHER.finditer(text))
    found = stated[-1] if stated else _ALONE.match(text)
    if found is None:
        return ""
    return found[1].upper() if found[1].lower() in ("a", "b") else "tie"


def why_none(first: str, second: str) -> str:
    """Why two verdicts, both in the answers' own numbers, make no pair; "" where they do."""
    if not first or not second:
        return "no verdict"
    if first == second:
        return "as good as each other" if first == "tie" else ""
    return "tie in one order" if "tie" in (first, second) else "the choice follows the place"


@dataclass(frozen=True)
class JudgePairs:
    """`n` answers, and every two of them compared in both orders."""

    n: int = 2
    temperature: float = 1.0
    max_tokens: int = 1024

    def __post_init__(self) -> None:
        if self.n < 2:
            raise SynthgainError(f"n is 2 or more, not {self.n}", where="judge-pairs")

    async def __call__(self, models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        asked, _ = conversation(anchor)
        answers = given(anchor)
        if not answers:
            law = Sampling(temperature=self.temperature, max_tokens=self.max_tokens)
            prompts = ((draw, Prompt(asked, sampling=law, draw=draw)) for draw in range(self.n))
            async for draw, call in models.each(prompts):
                answers[draw] = (assistant(call.text.strip(), call.message.get("reasoning", "")), call)
        pairs = combinations(answers, 2)
        async for row in models.side_by_side(self._pair(models, asked, answers, *pair) for pair in pairs):
            yield row

    async def _pair(
        self, models: Models, asked: Sequence[Message], answers: dict[int, Answer], one: int, two: int
    ) -> Row:
        (a, call_a), (b, call_b) = answers[one], answers[two]
        wrote = tuple(call for call in (call_a, call_b) if call is not None)
        about = {"first": "", "second": "", "pair": [one, two]}
        if why := unusable(a, b, wrote):
            return Row(messages=(*asked, a), calls=wrote, fields=about, verdicts=(drop(why, check="parse"),))
        verdicts = [
            await models(compared(asked, a["content"], b["content"])),
            await models(compared(asked, b["content"], a["content"])),
        ]
        first = {"A": "0", "B": "1"}.get(said := verdict_in(verdicts[0].text), said)
        second = {"A": "1", "B": "0"}.get(said := verdict_in(verdicts[1].text), said)
        chosen, rejected = (b, a) if first == second == "1" else (a, b)
        why = why_none(first, second)
        return Row(
            messages=(*asked, chosen),
            rejected=(rejected,),
            calls=(*verdicts, *wrote),
            fields={**about, "first": first, "second": second},
            verdicts=(drop(why, check="tie"),) if why else (),
        )

    def unread(self, row: Row) -> str | None:
        """The judge's verdicts, where neither can be read."""
        if row.rejected is None:
            return None
        return "" if row.fields["first"] or row.fields["second"] else "a verdict of the judge (A, B or tie)"


def given(anchor: Anchor) -> dict[int, Answer]:
    """The two answers that an anchor brings along; none where it does not bring both."""
    texts = [anchor.fields.get(name) for name in ("output_1", "output_2")]
    if not all(isinstance(text, str) and text.strip() for text in texts):
        return {}
    return {n: (assistant(str(text).strip()), None) for n, text in enumerate(texts)}


def unusable(a: Message, b: Message, wrote: Sequence[Call]) -> str:
    """Why two answers are not worth a judge's look; "" where they are."""
    if any(call.finish == "length" for call in wrote):
        return "an answer was cut off"
    if not a["content"] or not b["content"] or any(call.fault for call in wrote):
        return "no answer"
    return "both answers are the same" if a["content"] == b["content"] else ""


EXAMPLES = (
    Anchor("Why does a kettle sing before it boils?", "example#1"),
    Anchor(
        "Is a whale a fish?",
        "example#2",
        {"output_1": "Yes, it swims in the sea.", "output_2": "No: it is a mammal that breathes air."},
    ),
)

RECIPE = Recipe(
    name="judge-pairs",
    version="1",
    draft=JudgePairs(),
    roles=("writer", "judge"),
    checks=(NotEmpty(), ExactDuplicate()),
    fields=("first", "second", "pair"),
    examples=EXAMPLES,
    needs=("output_1?", "output_2?", *HELD),
    source="position swap: arXiv 2306.05685; the recipe is ours",
    stage="post-training (preferences)",
    anchors="questions or instructions; fields output_1 and output_2 take the place of the answers",
    calls="n + n (n - 1) (4)",
    sources={name: "ours" for name in ("n", "temperature", "max_tokens")},
    departures=("a recipe of ours, with the position swap of the paper",),
)

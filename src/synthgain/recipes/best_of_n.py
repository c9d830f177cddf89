"""Best of n: several answers to a prompt, scored by a judge one by one; the best is chosen and the worst rejected.

The pairs of Magpie's preference set (arXiv 2406.08464; code magpie-align/magpie): five answers, of which a reward model's best and worst are a pair. Here a
judge with a rubric stands in the reward model's place.

An anchor is a question or an instruction (`text`, or a chat whose last answer is left out). Cost: 2 `n` calls an anchor (10): each answer, and a score for each that differs.

Where the numbers come from
    n = 5, temperature = 0.8           code (the preference variant)
    max_tokens = 1024, the rubric of 1 to 10, judge at temperature 0       ours

Rows are chats with `rejected`: `synthgain train` learns them by DPO. Fields: `chosen_score`, `rejected_score`, `margin`, `scores` (of all answers that differ, in the order of the
draws; null where the judge gave none). A pair whose best and worst score alike is a tie and falls (check `tie`); `--with judge-score=2:field=margin` asks for more than one point.

Departures
    A judge's score in place of ArmoRM's reward: coarser, so ties are many. `scores` bought of each answer at temperature 1 make it finer.
    Answers that are the same are scored once; one that was cut off is no candidate.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from synthgain.curate.empty import NotEmpty
from synthgain.curate.exact_duplicate import ExactDuplicate
from synthgain.curate.found_score import score_in
from synthgain.curate.tasks import HELD, conversation
from synthgain.settings import at_least
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
    assistant,
    drop,
    user,
)

RUBRIC = (
    "A request to an assistant and an answer follow. How good is the answer? Look at whether it does what was asked, whether it is right, whether it is complete "
    "without being long, and whether it says what it does not know. 1 is useless, 5 is fair, 10 could not be better.\n\n"
    "Request:\n{asked}\n\nAnswer:\n{answer}\n\n(End of the answer)\n\n"
    'Name the largest fault in one sentence. End with a line "Score: N", where N is a number from 1 to 10.'
)


def scored(asked: Sequence[Message], answer: str, draw: int, several: bool) -> Prompt:
    """The judge's question on one answer: greedy where one score is bought, else at temperature 1."""
    law = Sampling(temperature=1.0 if several else 0.0, max_tokens=128)
    text = RUBRIC.format(asked=readable(asked), answer=answer)
    return Prompt((user(text),), to="judge", sampling=law, draw=draw)


@dataclass(frozen=True)
class BestOfN:
    """`n` answers, `scores` scores of each, and the best with the worst."""

    n: int = 5
    temperature: float = 0.8
    max_tokens: int = 1024
    scores: int = 1

    def __post_init__(self) -> None:
        at_least(self, "best-of-n", n=2, scores=1)

    async def __call__(self, models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        asked, _ = conversation(anchor)
        law = Sampling(temperature=self.temperature, max_tokens=self.max_tokens)
        answers: dict[str, Call] = {}
        spoilt: list[Call] = []
        async for call in models.each(Prompt(asked, sampling=law, draw=draw) for draw in range(self.n)):
            said = call.text.strip()
            if not said or call.finish == "length" or call.fault:
                spoilt.append(call)
            else:
                answers.setdefault(said, call)
        if len(answers) < 2:
            why = "all answers are the same" if answers else "no whole answer"
            yield fallen(asked, [*answers.values(), *spoilt], why)
            return
        yield await self._pair(models, asked, answers)

    async def _pair(self, models: Models, asked: Sequence[Message], answers: dict[str, Call]) -> Row:
        several = self.scores > 1
        judged: dict[str, list[Call]] = {said: [] for said in answers}
        prompts = ((said, scored(asked, said, draw, several)) for said in answers for draw in range(self.scores))
        async for said, verdict in models.each(prompts):
            judged[said].append(verdict)
        scores = {said: mean_score(verdicts) for said, verdicts in judged.items()}
        known = {said: score for said, score in scores.items() if score is not None}
        calls = [call for said in answers for call in judged[said]]
        if len(known) < 2:
            why = "the judge gave fewer than two scores"
            return fallen(asked, [*answers.values(), *calls], why, list(scores.values()))
        best, worst = max(known, key=known.__getitem__), min(known, key=known.__getitem__)
        fields = {
            "chosen_score": known[best],
            "rejected_score": known[worst],
            "margin": known[best] - known[worst],
            "scores": list(scores.values()),
        }
        tie = known[best] == known[worst]
        return Row(
            messages=(*asked, _turn(answers[best])),
            rejected=(_turn(answers[worst]),),
            calls=(*(call for said, call in answers.items() if said != best), *calls, answers[best]),
            fields=fields,
            verdicts=(drop("all answers score alike", check="tie"),) if tie else (),
        )

    def unread(self, row: Row) -> str | None:
        """The judge's scores, where it gave none."""
        scores = row.fields["scores"]
        return ("a score of the judge" if all(score is None for score in scores) else "") if scores else None


def mean_score(verdicts: Sequence[Call]) -> float | None:
    """The mean of the scores that a judge gave; None where it gave none."""
    found = [score for call in verdicts if (score := score_in(call.text, 1, 10)) is not None]
    return fmean(found) if found else None


def _turn(call: Call) -> Message:
    return assistant(call.text.strip(), call.message.get("reasoning", ""))


def fallen(asked: Sequence[Message], calls: Sequence[Call], why: str, scores: Sequence[float | None] = ()) -> Row:
    """A prompt that gave no pair, with its first answer."""
    said = calls[0].text.strip() if calls else ""
    fields: dict[str, object] = {"chosen_score": None, "rejected_score": None, "margin": None, "scores": list(scores)}
    verdicts = (drop(why, check="parse"),)
    return Row(messages=(*asked, assistant(said)), calls=tuple(calls), fields=fields, verdicts=verdicts)


EXAMPLES = (
    Anchor("How do I keep basil alive in winter?", "example#1"),
    Anchor("Write two sentences that invite the neighbours to a street meal.", "example#2"),
)

RECIPE = Recipe(
    name="best-of-n",
    version="1",
    draft=BestOfN(),
    roles=("writer", "judge"),
    checks=(NotEmpty(), ExactDuplicate()),
    fields=("chosen_score", "rejected_score", "margin", "scores"),
    examples=EXAMPLES,
    needs=HELD,
    source="Magpie's preference pairs, arXiv 2406.08464; code magpie-align/magpie",
    stage="post-training (preferences)",
    anchors="questions or instructions",
    calls="n (1 + scores) (10)",
    sources={
        "n": "code",
        "temperature": "code",
        "max_tokens": "ours",
        "scores": "ours: one; a reward model needs no more",
    },
    departures=(
        "a judge with a rubric in place of a reward model",
        "answers that are the same are scored once; one that was cut off is no candidate",
    ),
)

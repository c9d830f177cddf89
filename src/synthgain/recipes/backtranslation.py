"""Instruction backtranslation: the instruction that a human-written text answers, and only the pairs that a model finds good.

Li et al. (Humpback), arXiv 2308.06259; there is no official code, all numbers are the paper's by a card. A text that somebody wrote is taken as the
answer, as it stands; a model says which instruction it answers; a judge, the model that is being trained in the source, scores the pair from 1 to 5, and what
it does not find good falls. The human text is never rewritten.

An anchor is a human-written text of 600 to 3,000 characters. One that is a question with its answer (a chat, or a field `output`) is a seed pair: it costs
nothing and is a row as it is.

Cost: 2 calls an anchor (1 + `scores`).

Where the numbers come from
    temperature = 0.7, top_p = 0.9, 600 to 3,000 characters     paper
    a score of 4.5 or more (the other arm of the paper: 4)      paper, in the check `judge-score`
    tags                                                        paper: seed pairs and web pairs stand under different system messages (66 against 60 of its score without)
    scores = 1, tokens = 256                                    ours

Rows are chats: the tag as system message, the instruction, the text. Fields: `instruction`, `score` (mean of the judge's, null where it gave none), `human`.
`synthgain curate RUN --without judge-score` is the arm without curation, which in the paper does not help at any size; `--with judge-score=4` the larger one.

Departures
    The backward model is asked in a chat; the source trains one on 3,200 seed pairs. `shots` (pairs of text and instruction) stand in the prompt for it.
    One round: for the second train on this set (`synthgain train`) and name the student as the judge (`-m judge=hf/STUDENT`).
    The rubric is our own.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from statistics import fmean

from synthgain.curate.empty import NotEmpty
from synthgain.curate.exact_duplicate import ExactDuplicate
from synthgain.curate.found_score import score_in
from synthgain.curate.judge_score import JudgeScore
from synthgain.curate.preamble import strip_preamble
from synthgain.curate.tasks import HELD, conversation
from synthgain.turns import turn_text
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
    system,
    user,
)

SEED_TAG = "Answer in the manner of an assistant."
WEB_TAG = "Answer with knowledge from the web."
BACKWARD = (
    "Text:\n\n{text}\n\n(End of the text)\n\nSomebody was asked something, and the text above is their whole answer. What were they asked? Write the "
    "request alone, as a person would type it, so that it can be understood without the text."
)
JUDGE = (
    "A user's request, and a text that is put forward as its answer, follow. How good an answer is it, as an assistant's? Give points:\n"
    "1: incomplete, vague, beside the point, or it holds something else besides, such as advertising or navigation.\n"
    "2: it covers most of what was asked but not directly, such as one person's story in place of an answer.\n"
    "3: it is helpful and covers what was asked, but it is written from somebody else's point of view than an assistant's.\n"
    "4: it is written from an assistant's point of view, complete and well put, with little to improve.\n"
    "5: it is a perfect answer: to the point, expert, well put, and nothing in it is superfluous.\n\n"
    "Request:\n{instruction}\n\nText:\n{text}\n\n(End of the text)\n\n"
    'Say why in one or two sentences. End with a line "Score: N", where N is a number from 1 to 5.'
)
_LABEL = re.compile(
    r"(?i)\A[\s*#]*(?:the\s+)?(?:request|instruction|question|prompt)(?:\s+(?:was|is))?\s*[*]*\s*:[*]*\s*"
)


def backward(text: str, draft: Backtranslation) -> Prompt:
    """What was asked: worked examples as earlier turns, the text last."""
    shown: list[Message] = []
    for answered, asked in draft.shots:
        shown += [user(BACKWARD.format(text=answered.strip())), assistant(asked)]
    law = Sampling(temperature=draft.temperature, top_p=draft.top_p, max_tokens=draft.tokens)
    return Prompt((*shown, user(BACKWARD.format(text=text))), sampling=law)


def judged(text: str, instruction: str, draw: int, several: bool) -> Prompt:
    """How good the text answers: greedy where one score is bought, else at temperature 1."""
    law = Sampling(temperature=1.0 if several else 0.0, max_tokens=192)
    said = JUDGE.format(instruction=instruction, text=text)
    return Prompt((user(said),), to="judge", sampling=law, draw=draw)


def instruction_in(text: str) -> str:
    """The instruction of an answer, without a preamble, a heading, or quotation marks around it."""
    said = _LABEL.sub("", strip_preamble(text), count=1).strip()
    inside = said[1:-1]
    return inside.strip() if said[:1] + said[-1:] in ('""', "“”") and not set('"“”') & set(inside) else said


@dataclass(frozen=True)
class Backtranslation:
    """The instruction to each text of `least` to `most` characters, and the mean of `scores` scores of the pair."""

    least: int = 600
    most: int = 3000
    scores: int = 1
    temperature: float = 0.7
    top_p: float = 0.9
    tokens: int = 256
    web_tag: str = WEB_TAG
    seed_tag: str = SEED_TAG
    shots: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if self.scores < 1:
            raise SynthgainError(f"scores is 1 or more, not {self.scores}", where="backtranslation")
        if any(isinstance(shot, str) or len(shot) != 2 for shot in self.shots):
            raise SynthgainError("shots are pairs of a text and its instruction", where="backtranslation")

    async def __call__(self, models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        text = anchor.text.strip()
        asked, answer = conversation(anchor)
        if answer:
            yield self._row(turn_text(asked[-1]) if asked else text, answer, self.seed_tag, human=True)
        elif not self.least <= len(text) <= self.most:
            why = "text too short" if len(text) < self.least else "text too long"
            verdicts = (drop(why, check="segment"),)
            yield Row(text=text, fields={"instruction": "", "score": None, "human": True}, verdicts=verdicts)
        else:
            yield await self._pair(models, text)

    async def _pair(self, models: Models, text: str) -> Row:
        call = await models(backward(text, self))
        said = instruction_in(call.text)
        why = "the instruction was cut off" if call.finish == "length" else "" if _says(said) else "no instruction"
        if why:
            return self._row(said, text, self.web_tag, (call,)).stamped(verdicts=(drop(why, check="parse"),))
        calls, scores = [call], list[float]()
        async for verdict in models.each(judged(text, said, draw, self.scores > 1) for draw in range(self.scores)):
            calls.append(verdict)
            if (score := score_in(verdict.text, 1, 5)) is not None:
                scores.append(score)
        return self._row(said, text, self.web_tag, tuple(calls), fmean(scores) if scores else None)

    def _row(
        self,
        instruction: str,
        text: str,
        tag: str,
        calls: tuple[Call, ...] = (),
        score: float | None = None,
        human: bool = False,
    ) -> Row:
        turns = (*((system(tag),) if tag else ()), user(instruction), assistant(text))
        return Row(messages=turns, calls=calls, fields={"instruction": instruction, "score": score, "human": human})


def _says(text: str) -> bool:
    return any(c.isalnum() for c in text)


EXAMPLES = (
    Anchor(
        "Before you move a hive, wait until the evening, when the foragers are home, and close the entrance with a strip of foam that lets air "
        "through. Strap floor, box and roof together, for a lid that slides on a bumpy road is the commonest accident. Carry the hive level. If the new "
        "place is less than five kilometres away the bees know the country and fly back to the old stand; so either move them farther off for three weeks, or "
        "go by steps of less than a metre a day. At the new stand turn the entrance to the morning sun, pull out the foam, and lay a branch across the "
        "flight board. The bees that come out meet something strange, stop, and learn the place anew before they fly.",
        "example#1",
    ),
    Anchor(
        "A dry stone wall holds by its weight alone. Dig the trench down to firm ground and fill it with the largest stones, long side inwards. Build both "
        "faces at once and fill the middle as you go, with every stone placed and none thrown, because a loose heart lets the faces bulge. Each stone "
        "should sit on two and under two. Let the faces lean towards each other, a hand's breadth for every metre of height. Every metre lay through-stones "
        "that reach from face to face and tie the two. Finish with a row of heavy cope stones set on edge, wedged tight with slivers driven in from above. A wall "
        "built like that stands for a hundred years and can be mended with what fell out of it.",
        "example#2",
    ),
    Anchor(
        "How do I get red wine out of a rug?",
        "example#3",
        {"output": "Rub salt into it, wait, and brush it out when it is dry."},
    ),
)

RECIPE = Recipe(
    name="backtranslation",
    version="1",
    draft=Backtranslation(),
    roles=("writer", "judge"),
    checks=(NotEmpty(), JudgeScore(4.5, "score"), ExactDuplicate()),
    fields=("instruction", "score", "human"),
    examples=EXAMPLES,
    needs=HELD,
    source="Instruction backtranslation (Humpback), arXiv 2308.06259",
    stage="post-training (supervised)",
    anchors="human-written texts of 600 to 3,000 characters; questions with an answer are seed pairs",
    calls="1 + scores (2)",
    sources={
        "least": "paper (by a card)",
        "most": "paper (by a card)",
        "scores": "ours",
        "temperature": "paper (by a card)",
        "top_p": "paper (by a card)",
        "tokens": "ours",
        "web_tag": "ours: the paper (by a card) tags web and seed data apart; the words are not ours to copy",
        "seed_tag": "ours: as web_tag",
        "shots": "ours: in place of a trained backward model",
    },
    departures=(
        "the backward model is asked in a chat, not trained on seed pairs",
        "one round; the second is another run with the student as judge",
        "the rubric is our own",
    ),
)

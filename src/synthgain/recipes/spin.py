"""SPIN: the answer that was given is chosen, what the model itself says is rejected; no judge and no reward.

Chen et al., arXiv 2401.01335; code uclaml/SPIN. The model of the last round, the opponent, answers each prompt once. The pair teaches the next model to tell its own answers from
the given ones, with a loss of DPO's form against the opponent. It needs the given answers, and they bound what it can reach: where the model writes like them there is nothing left to learn.

An anchor is a prompt with its answer: a chat, or a question with a field `output`, `response` or `answer`.

Cost: 1 call an anchor (`k` of them make k pairs).

Where the numbers come from
    temperature = 1.0, top_p = 1, max_tokens = 256, one sample       code
    training, not here: beta 0.1 (5.0 in the last script), learning rate 5e-7 and then 1e-7, from the previous model, on the pairs of this and the last iteration       code

Rows are chats with `rejected`. Fields: `draw`. A sample that is the given answer, apart from white space, teaches nothing and falls (check `same`). A sample that was cut off at 256 tokens
stays, as in the source, which cuts all; field `cut` says so.

A further iteration is another run with the student as the model (`-m hf/STUDENT`), trained from that student on both runs' rows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from synthgain.curate.empty import NotEmpty
from synthgain.curate.tasks import HELD, conversation
from synthgain.types import (
    Anchor,
    Models,
    Prompt,
    Recipe,
    Row,
    Sampling,
    SynthgainError,
    assistant,
    drop,
)


@dataclass(frozen=True)
class SPIN:
    """`k` samples a prompt, each the rejected answer of a pair."""

    k: int = 1
    temperature: float = 1.0
    max_tokens: int = 256

    def __post_init__(self) -> None:
        if self.k < 1:
            raise SynthgainError(f"k is 1 or more, not {self.k}", where="spin")

    async def __call__(self, models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        asked, answer = conversation(anchor)
        if not answer:
            fields = {"draw": 0, "cut": False, "human": True}
            yield Row(messages=asked, fields=fields, verdicts=(drop("no answer is given", check="given"),))
            return
        law = Sampling(temperature=self.temperature, max_tokens=self.max_tokens)
        prompts = ((draw, Prompt(asked, sampling=law, draw=draw)) for draw in range(self.k))
        async for draw, call in models.each(prompts):
            said = call.text.strip()
            same = " ".join(said.split()) == " ".join(answer.split())
            why = ("empty", "no sample") if not said else ("same", "the sample is the given answer") if same else None
            yield Row(
                messages=(*asked, assistant(answer)),
                rejected=(assistant(said),) if said else None,
                calls=(call,),
                fields={"draw": draw, "cut": call.finish == "length", "human": False},
                verdicts=(drop(why[1], check=why[0]),) if why else (),
            )


EXAMPLES = (
    Anchor("Why is the sea salty?", "example#1", {"output": "Rivers carry salts into it, and only water evaporates."}),
    Anchor("Name a use for old newspapers.", "example#2", {"answer": "Lining drawers."}),
    Anchor(
        "user: Is tea a herb?",
        "example#3",
        {
            "messages": [
                {"role": "user", "content": "Is tea a herb?"},
                {"role": "assistant", "content": "It is a shrub whose leaves are dried."},
            ]
        },
    ),
)

RECIPE = Recipe(
    name="spin",
    version="1",
    draft=SPIN(),
    checks=(NotEmpty(),),
    fields=("draw", "cut", "human"),
    examples=EXAMPLES,
    needs=HELD,
    source="SPIN, arXiv 2401.01335; code uclaml/SPIN",
    stage="post-training (preferences)",
    anchors="prompts with their answers: chats, or a field `output`, `response` or `answer`",
    calls="k (1)",
    sources={"k": "code: one sample", "temperature": "code", "max_tokens": "code"},
    departures=("a sample that is the given answer falls",),
)

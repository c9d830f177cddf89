"""ReST-EM: many draws a problem, of which at most ten right ones stay.

Singh et al., arXiv 2312.06585 (there is no public code). Expectation: a model answers each training problem 32 times, and what comes to the gold
answer is kept, at most ten a problem, so that easy problems do not fill the set. Maximisation: the *original* model is trained on the newest
data, until validation says stop.

An anchor is a problem (`text`) with its gold answer (field `answer`: "18", 18, or a solution ending in "#### 18"). An `id` is carried along.

Cost: k calls an anchor.

Where the numbers come from
    k = 32                  paper, MATH (64 for APPS)
    temperature = 0.7       paper
    top_k = 40              paper
    at most 10 a problem    paper, in the check `at-most`
    prompt_in_row = True    paper: the few-shot prompt is the input that is trained on, with loss on the target alone
    max_tokens = 512        ours: the paper names none
    shots, instruction, stop   ours; see departures

Rows are chats: what stood before the problem (not learnt), the problem, the solution. With `prompt_in_row=false` rows have the problem and the solution alone, as
`rft` has them; take that where the student is asked without the prompt, as `synthgain evaluate` asks without `--shots`. Fields: `answer` (gold), and the
anchor's `id` as `question_id`. No duplicate falls, as in the source.

For the loop the source says: three rounds on MATH came to 41.9 and one round with three times the draws to 40.3; on code the second round was worse.
So take an untouched test set, and the one-shot control with as many draws.

Departures
    Without `shots` an `instruction` asks for the form of the answer; the source has few-shot prompts.
    The text is cut after the line with the final answer; small models go on with new problems.
    Problems with gold answers only: the source's code problems (APPS) are judged by their tests, and have no gold answer to compare with.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from synthgain.curate.at_most import AtMost
from synthgain.curate.empty import NotEmpty
from synthgain.curate.final_answer import FinalAnswer
from synthgain.curate.worked import are_shots, asked_before, cut, gold_answer, question_id
from synthgain.types import (
    Anchor,
    Message,
    Models,
    Prompt,
    Recipe,
    Row,
    Sampling,
    SynthgainError,
    assistant,
    user,
)

INSTRUCTION = (
    "Work the problem out in small steps and write every calculation as an equation, for example 3 * 4 = 12. "
    'Close with one line "Answer: N", where N is the final answer and nothing else.'
)


@dataclass(frozen=True)
class ReSTEM:
    """`k` draws a problem. `shots` are (problem, worked answer) pairs shown as earlier turns."""

    k: int = 32
    temperature: float = 0.7
    top_k: int = 40
    max_tokens: int = 512
    shots: tuple[tuple[str, str], ...] = ()
    instruction: str = INSTRUCTION
    stop: tuple[str, ...] = ("\nQuestion:",)
    prompt_in_row: bool = True

    def __post_init__(self) -> None:
        if self.k < 1:
            raise SynthgainError(f"k is how often each problem is answered: 1 or more, not {self.k}", where="rest-em")
        if not are_shots(self.shots):
            raise SynthgainError("shots are pairs of a problem and its worked answer", where="rest-em")

    async def __call__(self, models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        gold, first = gold_answer(anchor), asked_before(self.shots, self.instruction)
        law = Sampling(
            temperature=self.temperature, top_k=self.top_k, max_tokens=self.max_tokens, stop=tuple(self.stop)
        )
        unlearnt = [_unlearnt(turn) for turn in first] if self.prompt_in_row else []
        asked = user(anchor.text)
        async for call in models.each(Prompt((*first, asked), sampling=law, draw=draw) for draw in range(self.k)):
            solution = assistant(cut(call.text), call.message.get("reasoning", ""))
            yield Row(
                messages=(*unlearnt, asked, solution), calls=(call,), fields={"answer": gold, **question_id(anchor)}
            )


def _unlearnt(turn: Message) -> Message:
    """A shown answer is input, and no target."""
    return {**turn, "learn": False} if turn["role"] == "assistant" else turn


EXAMPLES = (
    Anchor(
        "A bus makes 5 trips a day with 6 riders on each. How many riders does it carry in a day?",
        "example#1",
        {"id": "e1", "answer": "30"},
    ),
    Anchor(
        "Vel reads 14 pages on each of 3 evenings. The book has 60 pages. How many are left?",
        "example#2",
        {"id": "e2", "answer": 18},
    ),
    Anchor(
        "What is the least whole number whose square is above 200?",
        "example#3",
        {"answer": "14 squared is 196 and 15 squared is 225.\n#### 15"},
    ),
)

RECIPE = Recipe(
    name="rest-em",
    version="1",
    draft=ReSTEM(),
    checks=(NotEmpty(), FinalAnswer(), AtMost(10)),
    fields=("answer", "question_id"),
    examples=EXAMPLES,
    needs=("answer",),
    source="ReST-EM, arXiv 2312.06585",
    stage="post-training (supervised)",
    anchors="problems with gold answers (field `answer`)",
    calls="k (32)",
    sources={
        "k": "paper: 32 for MATH, 64 for APPS",
        "temperature": "paper",
        "top_k": "paper",
        "max_tokens": "ours: the paper names none",
        "shots": "ours: the paper has few-shot prompts",
        "instruction": "ours: asks for the form of the answer where no shots do",
        "stop": "ours",
        "prompt_in_row": "paper: the few-shot prompt is the input",
    },
    departures=(
        "an instruction takes the place of the few-shot prompt, unless shots are given",
        "the text is cut after the line with the final answer",
        "problems with gold answers only, not the source's code problems",
        "rounds, training the original model, and stopping by validation are the loop's part",
    ),
)

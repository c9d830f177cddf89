"""Rejection-sampling fine-tuning: many answers to a question, of which the right and different ones stay.

Yuan et al., arXiv 2308.01825; code OFA-Sys/gsm8k-ScRel (25d2c40). A model answers each training question k times.
An answer stays if its final answer is the gold one and every calculation written in it holds; of the answers to
one question with the same list of equations one stays, the one farthest from the others in edit distance. The
human solution is added. Then the base model is trained on what is left.

An anchor is a question (`text`) with its gold answer (field `answer`: "18", 18, or a solution ending in "#### 18").
Two golds for one question are two anchors. A field `worked` may hold a human solution; an `answer` that is a whole solution serves as one too. An `id` is carried along.

Cost: k calls an anchor.

Where the numbers come from
    k = 100                 code (`collect_rejection_sampling.py`, 100 seeds) and paper
    temperature = 0.7       code (files of generations are named by it) and paper
    max_tokens = 256        paper
    gold = True             code: each question's own line is written before the sampled ones
    |lhs - rhs| < 0.001     code (`check_equation`), in the check `equations`
    shots, instruction, stop   ours; see departures

Rows are chats of two turns, the question as it stands in the anchor and the answer, without examples or
instruction, because the student is trained and asked without them. Fields: `answer` (gold), `equations` (the
list that makes the path), `paths` (distinct lists among this question's right answers up to this one: the
largest over a question's rows is the distinct-path count, the quantity to log), `human`, and the anchor's `id` as `question_id`.

Departures
    The paper samples from a model that was fine-tuned on the human solutions. Here any model answers: `shots` shows
    worked examples as earlier turns; without them `instruction` asks for the form of the answer.
    The text is cut after the line with the final answer; small models go on with new questions.
    What a model thought stands apart in the answer's `reasoning`: it is not graded, and learnt only where that is asked for.
    Plain calculations ("3 + 4 = 7") are checked and compared where a text has no annotated ones (`<<3+4=7>>`).
    Rows with the same question and answer fall first (`exact-duplicate`), which changes no distinct path.
    Pooling several models (the paper's U13B) is several runs, one a model.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from synthgain.curate.answers import final_answer, same_answer
from synthgain.curate.arithmetic import equations
from synthgain.curate.distinct_equations import DistinctEquations
from synthgain.curate.empty import NotEmpty
from synthgain.curate.equations import Equations
from synthgain.curate.exact_duplicate import ExactDuplicate
from synthgain.curate.final_answer import FinalAnswer
from synthgain.curate.worked import are_shots, asked_before, cut, gold_answer, human_solution, question_id
from synthgain.types import (
    Anchor,
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
    "Solve the problem step by step. Write every calculation as an equation, for example 3 * 4 = 12. "
    'End with one line of the form "Answer: N", where N is the final answer alone.'
)


def question(anchor: Anchor, draft: RFT, draw: int) -> Prompt:
    """The prompt of one draw: what all questions share first, the question last."""
    law = Sampling(temperature=draft.temperature, max_tokens=draft.max_tokens, stop=tuple(draft.stop))
    return Prompt((*asked_before(draft.shots, draft.instruction), user(anchor.text)), sampling=law, draw=draw)


@dataclass(frozen=True)
class RFT:
    """`k` answers a question. `shots` are (question, worked answer) pairs shown as earlier turns."""

    k: int = 100
    temperature: float = 0.7
    max_tokens: int = 256
    shots: tuple[tuple[str, str], ...] = ()
    instruction: str = INSTRUCTION
    stop: tuple[str, ...] = ("\nQuestion:",)
    gold: bool = True

    def __post_init__(self) -> None:
        if self.k < 1:
            raise SynthgainError(f"k is how often each question is answered: 1 or more, not {self.k}", where="rft")
        if not are_shots(self.shots):
            raise SynthgainError("shots are pairs of a question and its worked answer", where="rft")

    async def __call__(self, models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        gold = gold_answer(anchor)
        paths: set[tuple[str, ...]] = set()

        def row(answer: str, human: bool, thought: str = "") -> Row:
            path = equations(answer)
            stated = None if human else final_answer(answer)
            if stated is not None and same_answer(stated, gold):
                paths.add(tuple(path))
            fields = {"answer": gold, "equations": path, "paths": len(paths), "human": human, **question_id(anchor)}
            return Row(messages=(user(anchor.text), assistant(answer, thought)), fields=fields)

        solution = human_solution(anchor) if self.gold else None
        if solution is not None:
            yield row(solution, human=True)
        async for call in models.each(question(anchor, self, draw) for draw in range(self.k)):
            thought = call.message.get("reasoning", "")
            yield row(cut(call.text), human=False, thought=thought).stamped(calls=(call,))


EXAMPLES = (
    Anchor(
        "Ilka has 5 jars of plum jam. Each jar fills 6 pancakes. How many pancakes can she fill?",
        "example#1",
        {
            "id": "e1",
            "answer": "30",
            "worked": "Each jar fills 6 pancakes and there are 5 jars.\n5 * 6 = <<5*6=30>>30\nAnswer: 30",
        },
    ),
    Anchor(
        "A ferry carries 48 people. At the first stop 19 get off and 7 get on. How many people are on it now?",
        "example#2",
        {"id": "e2", "answer": 36},
    ),
    Anchor(
        "Three friends pay $13.50 together and share it equally. How many dollars does each of them pay?",
        "example#3",
        {"id": "e3", "answer": "Each pays a third.\n13.50 / 3 = $<<13.50/3=4.5>>4.50\n#### 4.50"},
    ),
)

RECIPE = Recipe(
    name="rft",
    version="1",
    draft=RFT(),
    checks=(NotEmpty(), FinalAnswer(), Equations(), ExactDuplicate(), DistinctEquations()),
    fields=("answer", "equations", "paths", "human", "question_id"),
    examples=EXAMPLES,
    needs=("answer", "worked?"),
    source="RFT, arXiv 2308.01825; code OFA-Sys/gsm8k-ScRel",
    stage="post-training (supervised)",
    anchors="questions with gold answers (field `answer`)",
    calls="k (100)",
    sources={
        "k": "paper and code",
        "temperature": "paper and code",
        "max_tokens": "paper",
        "shots": "ours: the paper samples from a fine-tuned model without examples",
        "instruction": "ours: asks for the form of the answer where no shots do",
        "stop": "ours",
        "gold": "code: the human solution is added",
    },
    departures=(
        "any model answers, with shots or an instruction; the paper's was fine-tuned on the human solutions first",
        "the text is cut after the line with the final answer",
        "plain calculations count where a text has no annotated ones",
        "pooling over models is several runs",
    ),
)

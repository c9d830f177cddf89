"""STaR: a model's own right solutions, and where it was wrong, solutions that it writes knowing the answer.

Zelikman et al., arXiv 2203.14465; code ezelikman/STaR (6ffd3c4). A model answers each training question once, as likely as it can. Where it is
wrong it is asked again with the answer as a hint (rationalisation). What comes to the gold answer is kept, and the hint is taken out of the
question: the student learns to reason as if nobody had told it.

An anchor is a question (`text`) with its gold answer (field `answer`: "18", 18, or a solution ending in "#### 18"). An `id` is carried along.

Cost: 1 call an anchor, and 1 more where it was wrong.

Where the numbers come from
    temperature = 0         ours: the code's 0.01 with top_p 0.9 is greedy but for near ties
    max_tokens = 256        ours: the code's 96 (`gen_length`) is for its own short rationales
    rationalise = True      code and paper (CommonsenseQA 68.8 without, 72.5 with)
    shots, instruction      ours; see departures

Rows are chats of two turns, the question as it stands in the anchor and the solution. Fields: `answer` (gold), `rationalised`, and the anchor's `id`
as `question_id`. A wrong first solution is a row too, and falls by `final-answer`; so every question that no hint could mend is in the record.
A right answer may rest on wrong reasoning, after a hint more often: no check here sees it.

The source trains the *original* model in every round, on the newest data (40 steps first, 1.2 times more each round), never the last student: that is
`synthgain loop … --from base`.

Departures
    The hint is the bare answer. The code's is, on GSM8K, the field `answer`, which is the whole human solution.
    Without `shots` an `instruction` asks for the form of the answer; the source shows about ten worked examples (with the hint where a hint is given, as here).
    The text is cut after the line with the final answer. A hinted solution that speaks of the hint, or says nothing but it, falls (`hint-left`).
    `p_show_hint_save` of the code (rows that keep the hint) is 0 there, and is left out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from synthgain.curate.answers import final_answer
from synthgain.curate.empty import NotEmpty
from synthgain.curate.final_answer import FinalAnswer
from synthgain.curate.hint_left import HintLeft
from synthgain.curate.worked import are_shots, cut, gold_answer, question_id, shown
from synthgain.types import (
    Anchor,
    Call,
    Models,
    Prompt,
    Recipe,
    Row,
    Sampling,
    SynthgainError,
    assistant,
    system,
    user,
)

INSTRUCTION = (
    "Solve the problem step by step, one step a line. Write every calculation as an equation, for example 3 * 4 = 12. "
    'The last line has the form "Answer: N", where N is the final answer alone.'
)
HINTED = (
    "Behind each question its final answer stands in brackets. Write the steps that lead to it as if you had found it yourself, "
    "and do not speak of it before the last line."
)


def question(anchor: Anchor, draft: STaR, hint: str = "") -> Prompt:
    """The prompt of a solution: what all questions share first, the question last, with the answer in brackets behind it where there is a hint."""
    shots = tuple((_hinted(asked, final_answer(worked) or "" if hint else ""), worked) for asked, worked in draft.shots)
    said = " ".join(part for part in ("" if shots else draft.instruction, HINTED if hint else "") if part)
    law = Sampling(temperature=draft.temperature, max_tokens=draft.max_tokens, stop=tuple(draft.stop))
    before = [system(said)] if said else []
    return Prompt((*before, *shown(shots), user(_hinted(anchor.text, hint))), sampling=law)


def _hinted(asked: str, hint: str) -> str:
    return f"{asked} ({hint})" if hint else asked


@dataclass(frozen=True)
class STaR:
    """One solution a question, and one with a hint where it is wrong. `shots` are (question, worked answer) pairs shown as earlier turns."""

    temperature: float = 0.0
    max_tokens: int = 256
    rationalise: bool = True
    shots: tuple[tuple[str, str], ...] = ()
    instruction: str = INSTRUCTION
    stop: tuple[str, ...] = ("\nQuestion:",)

    def __post_init__(self) -> None:
        if not are_shots(self.shots):
            raise SynthgainError("shots are pairs of a question and its worked answer", where="star")

    async def __call__(self, models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        gold = gold_answer(anchor)
        first = _row(anchor, gold, await models(question(anchor, self)), rationalised=False)
        yield first
        if self.rationalise and not FinalAnswer()(first, (anchor,)).keeps:
            call = await models(question(anchor, self, gold))
            yield _row(anchor, gold, call, rationalised=True)


def _row(anchor: Anchor, gold: str, call: Call, rationalised: bool) -> Row:
    """A solution under the question as it stands in the anchor: no hint."""
    fields = {"answer": gold, "rationalised": rationalised, **question_id(anchor)}
    solution = assistant(cut(call.text), call.message.get("reasoning", ""))
    return Row(messages=(user(anchor.text), solution), calls=(call,), fields=fields)


EXAMPLES = (
    Anchor(
        "A crate holds 6 rows of 5 pears. How many pears are in it?",
        "example#1",
        {"id": "e1", "answer": "30"},
    ),
    Anchor(
        "Tarn has 40 beads and threads 7 necklaces of 4 beads each. How many beads are left?",
        "example#2",
        {"id": "e2", "answer": 12},
    ),
    Anchor(
        "A rope of 18 metres is cut into pieces of 1.5 metres. How many pieces are there?",
        "example#3",
        {"answer": "Divide the length.\n18 / 1.5 = <<18/1.5=12>>12\n#### 12"},
    ),
)

RECIPE = Recipe(
    name="star",
    version="1",
    draft=STaR(),
    checks=(NotEmpty(), FinalAnswer(), HintLeft()),
    fields=("answer", "rationalised", "question_id"),
    examples=EXAMPLES,
    needs=("answer",),
    source="STaR, arXiv 2203.14465; code ezelikman/STaR",
    stage="post-training (supervised)",
    anchors="questions with gold answers (field `answer`)",
    calls="1, and 1 more where the answer is wrong",
    sources={
        "temperature": "ours: the code's 0.01 with top_p 0.9 is greedy but for near ties",
        "max_tokens": "ours: the code's 96 is for its own short rationales",
        "rationalise": "paper and code",
        "shots": "ours: the source shows about ten worked examples",
        "instruction": "ours: asks for the form of the answer where no shots do",
        "stop": "ours",
    },
    departures=(
        "the hint is the bare answer; the code's is the whole human solution on GSM8K",
        "an instruction takes the place of the source's ten worked examples, unless shots are given",
        "the text is cut after the line with the final answer, and a solution that speaks of the hint, or only repeats it, falls",
        "rounds, and training the original model in each, are the loop's part",
    ),
)

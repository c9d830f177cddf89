"""Budget forcing: accuracy against the tokens that a model may think (s1, Muennighoff et al., arXiv 2501.19393).

The model goes on with an answer that begins with the mark of thinking. At a budget its thinking is cut, the closing mark is written for
it, and it answers. Where it would end its thinking before, the mark is left out up to `again` times and "Wait" stands in its place (s1: more than
about six times bring nothing). With 0 tokens the thinking is empty.

All budgets of one draw share one thinking: what was thought up to 64 tokens is gone on with up to 128. So two budgets differ in nothing but
the tokens between them, and a curve costs the thinking of its largest budget and an answer at each.

What counts is what the model wrote: "Wait" is not counted, nor are the marks, as far as a runtime's count can be parted (it may count the mark that it
stopped at). A budget may fall inside the closing mark. The piece of a mark that a thought then ends with is left out before the answer is asked, and its
tokens count; the next budget goes on behind the piece, and where that completes the mark, nothing of what came is thought, and none of it counts.

s1 decodes greedily; here the law is the evaluation's. Its marks are two roles of its own template (`think`, `answer`); here they are text, by default
what most models that think have learnt.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from synthgain.evaluate.difference import ALIKE, bounded_mean, difference
from synthgain.evaluate.questions import Question, Solved
from synthgain.evaluate.solve import Answering, answered, ask, check, graded
from synthgain.thinking import opening_of
from synthgain.types import Call, CallFailed, Message, Prompt, Reading, Sampling, SynthgainError


@dataclass(frozen=True)
class Thought:
    """What came of one budget: tokens thought, how often "Wait" was written, whether the model ended its thinking itself, and its answer."""

    tokens: int
    again: int
    ended: bool
    call: Call


@dataclass(frozen=True)
class BudgetForcing:
    """Thinking of at most so many tokens, for each of `budgets`. `answer` begins the answer (s1: "Final Answer:", or nothing)."""

    budgets: tuple[int, ...]
    again: int = 0
    opening: str = "<think>\n"
    closing: str = "\n</think>\n\n"
    word: str = "Wait"
    answer: str = ""

    def __post_init__(self) -> None:
        if not self.budgets or any(tokens < 0 for tokens in self.budgets) or len(set(self.budgets)) < len(self.budgets):
            raise SynthgainError(
                f"the budgets are {list(self.budgets)}", where="--think", next="write different ones, such as 0,64,256"
            )
        if self.again < 0:
            what = f"thinking again is 0 times or more, not {self.again}"
            raise SynthgainError(what, where="--think-again", next="write --think-again 2, or leave it out")
        if not self.closing.strip():
            raise SynthgainError("the mark that ends thinking is empty", where="--think-marks", next="write </think>")

    async def __call__(self, model: Answering, asked: Prompt) -> list[Thought]:
        """A thought for each budget, the smallest first. `asked` is the question, and the law of the answer."""
        text, tokens, again, ended = self.opening, 0, 0, False  # ended: by the model itself
        found: list[Thought] = []
        before = ""
        for budget in sorted(self.budgets):
            while tokens < budget:
                if ended and again == self.again:
                    break
                if ended:
                    text, again = f"{text.rstrip()}\n{self.word}", again + 1
                part = await model(self._thinking(asked, text, budget - tokens))
                if part.fault:
                    raise CallFailed(part.fault)
                written, start = _written(part, budget - tokens), len(text)
                text += _as_it_came(part, text)
                mark = text.find(self.closing.strip(), len(self.opening))
                tokens += 0 if 0 <= mark < start else written
                text, ended = text[:mark] if mark >= 0 else text, mark >= 0 or part.finish != "length"
                if not ended:
                    break
            thought = text if ended else self._without_a_piece_of_the_mark(text)
            thought = thought.rstrip() if thought != self.opening else thought
            if not found or thought != before:
                call = await model(_begun(asked, f"{thought}{self.closing}{self.answer}"))
            found.append(Thought(tokens, again, ended, call))
            before = thought
        return found

    def _without_a_piece_of_the_mark(self, text: str) -> str:
        """The text without the beginning of a closing mark that it ends with."""
        mark, room = self.closing.strip(), len(text) - len(self.opening)
        pieces = (mark[:n] for n in range(min(room, len(mark) - 1), 0, -1))
        return text.removesuffix(next(filter(text.endswith, pieces), ""))

    def _thinking(self, asked: Prompt, text: str, most: int) -> Prompt:
        law = replace(asked.sampling, max_tokens=most, stop=(self.closing.strip(),))
        return replace(_begun(asked, text), sampling=law)


def _begun(asked: Prompt, text: str) -> Prompt:
    """The question with an answer that begins so."""
    return replace(asked, messages=(*asked.messages, Message(role="raw", name="assistant", content=text)))


def _as_it_came(call: Call, before: str) -> str:
    """What was written behind `before`, thinking and all; some runtimes give the opening mark of the prompt back with it."""
    said = (call.raw or call.message)["content"]
    return said.removeprefix(opening_of(before))


def _written(call: Call, most: int) -> int:
    """Tokens that were thought. SynthgainError where nobody says how many."""
    out = call.counted[1]
    if out is None:
        what = "the server does not say how many tokens it wrote, so that thinking cannot be counted"
        raise SynthgainError(what, where=call.model, next="use local/… or hf/…, or a server that gives `usage`")
    return min(out, most)


# ---------------------------------------------------------------------------------------------- a curve


@dataclass(frozen=True)
class Curve:
    """What a model made of the same questions at each budget: `solved` by budget, and all of it as `readings`."""

    solved: Mapping[int, Solved]
    readings: tuple[Reading, ...] = field(default=())


async def thinking(
    model: Answering,
    questions: Sequence[Question],
    correct: Callable[[str, str], bool],
    forcing: BudgetForcing,
    *,
    draws: int = 1,
    sampling: Sampling,
    few_shot: tuple[Message, ...] = (),
    parsable: Callable[[str], bool] | None = None,
    seed: int = 0,
    width: int = 32,
    watch: Callable[[int, int], None] | None = None,
) -> Curve:
    """Readings `thinking_tokens/think=N` (the mean that was thought) and `accuracy/think=N` of each budget N, then `accuracy difference/think=N`, paired
    by question, to the smallest; `pass_at_k`, `parsable` and `cut_off` (of the answers) as `solve` has them. `sampling` is the law of thinking and answer
    both, its limit the answer's alone.
    """
    check(questions, draws, sampling, ())
    asked = [
        Prompt((*few_shot, *ask(q)), sampling=sampling, seed=seed, draw=draw)
        for q in questions
        for draw in range(draws)
    ]
    found = await answered([partial(forcing, model, prompt) for prompt in asked], width, watch)
    budgets = sorted(forcing.budgets)
    thoughts = {budget: [None if one is None else one[at] for one in found] for at, budget in enumerate(budgets)}
    solved = {
        budget: graded(
            questions,
            [None if one is None else one.call for one in mine],
            correct,
            limit=sampling.max_tokens,
            parsable=parsable,
        )
        for budget, mine in thoughts.items()
    }
    return Curve(solved, tuple(_readings(solved, thoughts, draws)))


def _readings(
    solved: Mapping[int, Solved], thoughts: Mapping[int, Sequence[Thought | None]], draws: int
) -> list[Reading]:
    curve, gains, rest = list[Reading](), list[Reading](), list[Reading]()
    first = min(solved)
    for budget, one in solved.items():
        curve.append(_tokens(budget, thoughts[budget], draws))
        curve += [_at(r, budget) for r in one.readings if r.name == "accuracy"]
        rest += [_at(r, budget) for r in one.readings if r.name != "accuracy"]
        if budget != first:
            gain = difference(one, solved[first], name=f"accuracy difference/think={budget}")
            note = "; ".join(filter(None, (f"less think={first}, question by question", gain.note)))
            gains.append(replace(gain, note=note))
    return [*curve, *gains, *rest]


def _at(reading: Reading, budget: int) -> Reading:
    return replace(reading, name=f"{reading.name}/think={budget}")


def _tokens(budget: int, thoughts: Sequence[Thought | None], draws: int) -> Reading:
    """The mean of tokens thought, with questions as the unit, and how the thoughts ended."""
    name, estimator = f"thinking_tokens/think={budget}", "mean over questions, t interval"
    each = [[t.tokens for t in thoughts[n : n + draws] if t] for n in range(0, len(thoughts), draws)]
    means = [math.fsum(some) / len(some) for some in each if some]
    there = [t for t in thoughts if t]
    if not means:
        return Reading(name, None, unit="tokens", estimator=estimator, note="no question was answered")
    mean, low, high = bounded_mean(means, 0.0, budget)
    again = math.fsum(t.again for t in there)
    note = f"{sum(t.ended for t in there)} of {len(there)} thoughts ended by themselves" if budget else "no thinking"
    note += f', "Wait" was written {again:g} times' if again else ""
    note += f"; {ALIKE}" if budget and max(means) == min(means) else ""
    return Reading(name, mean, low, high, unit="tokens", n=len(means), estimator=estimator, note=note)

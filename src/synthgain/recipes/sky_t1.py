"""Sky-T1: a reasoning teacher's traces, put into one form by a second model, and verified after that.

NovaSky, Sky-T1-32B-Preview (January 2025); code NovaSky-AI/SkyThought (0d190f1), `recipes/sky-t1-preview`. A judge labels how hard each problem is. A
teacher thinks it through. An editor rewrites the trace into two sections, thought and solution, in nearly the same words. The
*rewritten* solution is compared with the gold answer: a rewrite can change an answer, and can make one readable (the source could read a
quarter of the teacher's code answers before, and nine of ten after).

An anchor is a problem (`text`) with its gold answer (field `answer`). A field `difficulty` takes the place of the judge's label. An `id` is carried along.

Cost: 2 calls an anchor, and 1 for the label (`label=false` buys none).

Where the numbers come from
    temperature = 0         code: the teacher is greedy
    max_tokens = 16384      code: teacher and editor
    edit_temperature = 0.7  code
    label_temperature = 0.7 code (`label_math_difficulty.py`), and 2,048 tokens for the label
    easiest = 0, hardest = 10   ours: labels stand in the code, and no limit does; a problem outside of them buys no trace
    label = True            code

Rows are chats of two turns: the problem, and the solution with the thought as its `reasoning` (learnt with `--learn reasoning`). Fields: `answer` (gold),
`difficulty` (1 to 10, on the scale of competitions; null where the label could not be read), `teacher_right` (whether the trace stated the gold answer before the rewrite), and the anchor's `id` as `question_id`. A
trace that the editor's answer does not part into two sections, or a cut one, is a row that falls (`parse`).

The source's 17,000 are 10,000 of mathematics and 5,000 of code, verified, and 1,000 of science that this pipeline does not verify. Look at other skills
beside the target: instruction following and tool calls fell (IFEval 78.7 to 75.8, BFCL 58.9 to 53.2).

Departures
    Mathematics only: code problems need their tests run, which no default here does.
    Answers are compared by the rules of `answers.py`; the code has its own.
    The source trains with a long system prompt about thinking; rows here have none.
    Difficulty limits keep a trace from being bought. The source labels Numina's subsets and does not say what was left out for it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from synthgain.curate.answers import same_answer
from synthgain.curate.empty import NotEmpty
from synthgain.curate.final_answer import FinalAnswer
from synthgain.curate.found_score import score_in
from synthgain.curate.judges import unread
from synthgain.curate.truncated import Truncated
from synthgain.curate.worked import gold_answer, question_id
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
    drop,
    system,
    user,
)

NO_DIFFICULTY = "its difficulty could not be read"
LABEL_TOKENS = 2048  # code
THINK = "Think carefully, step by step, before you answer. Check what you find, and go back where something is wrong."
BOXED = "Put the final answer into \\boxed{}."
LABELLER = "You judge how hard problems of mathematics are."
SCALE = """Rate how hard a problem is, from 1 to 10, by the competitions it could stand in:
1 a first contest of pupils of about twelve; one step, no idea needed
2 its harder problems, or the first ones of a contest for older pupils; two or three plain steps
3 the middle of such a contest; a standard idea has to be found
4 its last problems, and the first ones of a qualifying round; several ideas have to be joined
5 the middle of a qualifying round, or a plain proof of a national olympiad of a smaller country
6 the last problems of a qualifying round, the first problem of a national olympiad
7 the middle of a national olympiad, the first problem of the international one
8 the last problems of a national olympiad, the middle of the international one
9 the last problems of the international olympiad
10 harder than what such an exam can ask
Say in one or two sentences what has to be found. Then write the rating alone in double square brackets, as in [[3]]; halves may be used.

Problem:
"""
EDITOR = "You put solutions into a fixed form and change as little of their wording as you can."
FORM = """Below stand a problem and a solution with the thinking that led to it. Write it again in two sections.

Under the line "### Thought" stands the whole course of thinking: every attempt, check and correction, in the order and nearly in the words in which it was thought; do not
shorten it. Under the line "### Solution" stands the final solution that follows from it, clean and complete, with its final answer in \\boxed{}. Do not correct or add
anything that is not there.

An example of the form:

Problem: A tram has 14 seats and 5 people stand. How many people are on it if every seat is taken?

Its solution: Every seat taken is 14 people. Then 14 - 5... no, the 5 stand besides, so they are added. 14 + 5 = 19. Check: 19 - 5 = 14, right. \\boxed{19}

Written again:

### Thought
Every seat taken is 14 people. Then 14 - 5... no, the 5 stand besides, so they are added. 14 + 5 = 19. Check: 19 - 5 = 14, right.

### Solution
The 14 seats are taken and 5 people stand besides: 14 + 5 = 19. The final answer is \\boxed{19}.

(End of the example)

"""
_THOUGHT = re.compile(r"(?im)^[ \t]*(?:#{1,6}[ \t]*)?\**[ \t]*thoughts?[ \t]*:?[ \t]*\**[ \t]*:?[ \t]*$")
_SOLUTION = re.compile(
    r"(?im)^[ \t]*(?:#{1,6}[ \t]*)?\**[ \t]*(?:final[ \t]+)?solution[ \t]*:?[ \t]*\**[ \t]*:?[ \t]*$"
)


# ---------------------------------------------------------------------------------------------- prompts and what is read


def labelled(anchor: Anchor, draft: SkyT1) -> Prompt:
    """The prompt for a difficulty: the scale first, the problem last."""
    law = Sampling(temperature=draft.label_temperature, max_tokens=LABEL_TOKENS)
    return Prompt((system(LABELLER), user(SCALE + anchor.text)), to="judge", sampling=law)


def thought_through(anchor: Anchor, draft: SkyT1) -> Prompt:
    """The teacher's prompt."""
    law = Sampling(temperature=draft.temperature, max_tokens=draft.max_tokens)
    return Prompt((system(THINK), user(f"{BOXED}\n\n{anchor.text}")), sampling=law)


def rewritten(anchor: Anchor, trace: str, draft: SkyT1) -> Prompt:
    """The editor's prompt: form and example first, problem and trace last."""
    law = Sampling(temperature=draft.edit_temperature, max_tokens=draft.max_tokens)
    said = f"{FORM}Problem: {anchor.text}\n\nIts solution:\n\n{trace}"
    return Prompt((system(EDITOR), user(said)), to="editor", sampling=law)


def difficulty(text: str) -> float | None:
    """The rating that is said last, from 1 to 10; None where there is none."""
    return score_in(text, 1, 10)


def trace_of(call: Call) -> str:
    """All that the teacher said: what it thought, and what it answered."""
    return "\n\n".join(part for part in (call.message.get("reasoning", ""), call.text.strip()) if part)


def sections(text: str) -> tuple[str, str] | None:
    """Thought and solution of an edited trace; None where it has not both, in this order, with something in them."""
    thought = _THOUGHT.search(text)
    if thought is None:
        return None
    solutions = list(_SOLUTION.finditer(text, thought.end()))
    if not solutions:
        return None
    last = solutions[-1]  # a trace may have a heading of that name inside
    parts = text[thought.end() : last.start()].strip(), text[last.end() :].strip()
    return parts if all(parts) else None


# ---------------------------------------------------------------------------------------------- draft


@dataclass(frozen=True)
class SkyT1:
    """A label, a trace, its rewriting. Problems easier than `easiest` or harder than `hardest` buy no trace."""

    temperature: float = 0.0
    max_tokens: int = 16_384
    edit_temperature: float = 0.7
    label_temperature: float = 0.7
    label: bool = True
    easiest: float = 0.0
    hardest: float = 10.0

    def __post_init__(self) -> None:
        if self.easiest > self.hardest:
            raise SynthgainError(
                f"easiest ({self.easiest:g}) lies above hardest ({self.hardest:g})", where="sky-t1", next="swap them"
            )
        if self.limited and not self.label:
            raise SynthgainError(
                "limits of difficulty need a label", where="sky-t1", next="leave --set label=false out"
            )

    @property
    def limited(self) -> bool:
        return self.easiest > 0 or self.hardest < 10

    async def __call__(self, models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        fields: dict[str, Any] = {
            "answer": gold_answer(anchor),
            "difficulty": None,
            "teacher_right": None,
            **question_id(anchor),
        }
        bought: list[Call] = []
        if anchor.fields.get("difficulty") is not None:
            fields["difficulty"] = difficulty(f"[[{anchor.fields['difficulty']}]]")
        elif self.label:
            bought.append(await models(labelled(anchor, self)))
            fields["difficulty"] = difficulty(bought[0].text)
        if self.limited and (why := self._outside(fields["difficulty"])):
            asked = (user(anchor.text),)
            yield Row(messages=asked, calls=tuple(bought), fields=fields, verdicts=(drop(why, check="difficulty"),))
            return
        taught = await models(thought_through(anchor, self))
        trace = trace_of(taught)
        fields["teacher_right"] = same_answer(taught.text, gold_answer(anchor))
        if taught.finish == "length" or not trace:
            why = "the trace was cut off" if trace else "the teacher said nothing"
            yield _unread(anchor, trace, (*bought, taught), fields, why)
            return
        edited = await models(rewritten(anchor, trace, self))
        calls, parts = (*bought, taught, edited), sections(edited.text)
        if parts is None:
            yield _unread(anchor, edited.text, calls, fields, "not the two sections asked for")
        else:
            yield Row(messages=(user(anchor.text), assistant(parts[1], parts[0])), calls=calls, fields=fields)

    def unread(self, row: Row) -> str | None:
        """The difficulty, where problems are chosen by it and it cannot be read."""
        return unread(row, NO_DIFFICULTY, "a difficulty from 1 to 10")

    def _outside(self, difficulty: float | None) -> str:
        """Why a problem of that difficulty is not asked; "" where it is."""
        if difficulty is None:
            return NO_DIFFICULTY
        return "too easy" if difficulty < self.easiest else "too hard" if difficulty > self.hardest else ""


def _unread(anchor: Anchor, said: str, calls: tuple[Call, ...], fields: dict[str, Any], why: str) -> Row:
    chat = (user(anchor.text), assistant(said))
    return Row(messages=chat, calls=calls, fields=fields, verdicts=(drop(why, check="parse"),))


EXAMPLES = (
    Anchor(
        "Five mills grind 6 sacks each in an hour. How many sacks do they grind together in an hour?",
        "example#1",
        {"id": "e1", "answer": "30"},
    ),
    Anchor(
        "For which whole numbers n above 1 does n divide 2^n - 1? Give their number.",
        "example#2",
        {"id": "e2", "answer": "0"},
    ),
    Anchor(
        "A square and a triangle with three equal sides have the same perimeter of 12. What is the square's area?",
        "example#3",
        {"answer": "9", "difficulty": 1.5},
    ),
)

RECIPE = Recipe(
    name="sky-t1",
    version="1",
    draft=SkyT1(),
    roles=("writer", "editor", "judge"),
    checks=(NotEmpty(), FinalAnswer(), Truncated()),
    fields=("answer", "difficulty", "teacher_right", "question_id"),
    examples=EXAMPLES,
    needs=("answer", "difficulty?"),
    source="Sky-T1-32B-Preview (2025); code NovaSky-AI/SkyThought",
    stage="post-training (supervised, reasoning)",
    anchors="problems with gold answers (field `answer`); the field difficulty is used where given",
    calls="3: label (judge), trace (writer), rewriting (editor)",
    sources={
        "temperature": "code",
        "max_tokens": "code",
        "edit_temperature": "code",
        "label_temperature": "code",
        "label": "code",
        "easiest": "ours: the code labels and names no limit",
        "hardest": "ours: the code labels and names no limit",
    },
    departures=(
        "mathematics only: code problems need their tests run",
        "answers are compared by our own rules",
        "rows have no system prompt about thinking",
        "limits of difficulty, off by default, keep a trace from being bought",
    ),
)

"""s1: a thousand questions that two students fail, from every domain, with long traces of a teacher.

Muennighoff et al., arXiv 2501.19393; code simplescaling/s1 (77272c6), `data/`. Three filters, each of which can be taken away:

    quality      damaged questions fall                                          check `broken-question`
    difficulty   questions that either of two students answers rightly fall      knob `difficulty`
    diversity    until there are 1,000: a domain uniformly, in it a row with weight 2^-rank by length of trace   selection `s1`

An anchor is a question (`text`) with its reference answer (field `answer`). The fields `domain` (takes the place of the label) and `source` (for the preselection) are used where
given. An `id` is carried along.

Cost: 4 calls an anchor (two students, the teacher, the domain); a question that a student answers ends after 1 or 2.

Where the numbers come from
    students: temperature = 0.05    code (`bulk_inference.py`): the roles `small` and `large`, Qwen2.5-7B and 32B there: take models of the family that you train
    difficulty = True       paper and code
    teacher_temperature = 1.0       ours: the source's teacher ran with its service's own setting, which is not stated
    max_tokens = 32768      paper: the length that is trained on, untruncated
    student_tokens = 4096   ours
    domains = 61            code (`msc.json`): the areas of the Mathematics Subject Classification that it lists, by their two-digit codes
    label_tokens = 512      ours
    always = gpqa, aime     paper and code: rows of these sources with a right answer are preselected
    long_sources = math, long = 5600    paper and code: these too, with a right answer and a trace of more than 5,600 tokens
    1,000 rows              paper, in the selection `s1`

Rows are chats of two turns: the question, and the teacher's answer with its thinking as `reasoning`. Nothing asks for a right answer: 53.6 % of s1K's are. Fields: `answer`
(reference), `domain`, `source`, `right` (whether the teacher's final answer is the reference), `trace_tokens`, `preselected`, `solved_by` ("", "small" or "large"), and the anchor's
`id` as `question_id`.

The arms of the paper: random `--without s1 --with random`; longest `--without s1 --with longest:by=trace_tokens`; diverse alone `--set difficulty=false`; all `--without all`.
Against evaluation sets: `--with decontaminate=EVALS:n=8,indel=0` (8 words in a row, as in the code).

Departures
    Students come first and the teacher after them, so that no trace is bought for a question that falls; the source bought all 59,029 first.
    Students are graded by the rules of `answers.py`; the source asks a model, with the reference before it. An answer that no rule can
    read counts as not right and its question stays, as a missing grade does there.
    The large student is not asked where the small one is right.
    All domains are drawn uniformly, as in the paper; the notebook draws the last 300 by its benchmarks' domains.
    The teacher is asked the question as it stands. Tokens are the server's count of the whole answer, or an estimate of its text.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from synthgain.curate.answers import same_answer
from synthgain.curate.broken_question import BrokenQuestion
from synthgain.curate.empty import NotEmpty
from synthgain.curate.final_answer import FinalAnswer
from synthgain.curate.s1 import S1
from synthgain.curate.truncated import Truncated
from synthgain.curate.worked import gold_answer, question_id
from synthgain.passages import tokens
from synthgain.types import (
    Anchor,
    Call,
    Models,
    Prompt,
    Recipe,
    Row,
    Sampling,
    assistant,
    drop,
    system,
    user,
)

STUDENTS = ("small", "large")
SOLVE = 'Solve the problem. End with one line of the form "Answer: N", where N is the final answer alone.'
SORT = "You sort questions into fields of knowledge by the subjects below. Say in one sentence what a question is about, then write on a line of its own the two-digit code of the one subject that fits best."
DOMAINS = (  # Mathematics Subject Classification 2020, first two digits, as s1 lists them
    "03 logic and foundations", "05 combinatorics", "06 ordered structures", "08 general algebraic systems", "11 number theory",
    "12 fields and polynomials", "13 commutative algebra", "14 algebraic geometry", "15 linear algebra", "16 associative rings",
    "17 nonassociative rings", "18 category theory", "19 K-theory", "20 group theory", "22 topological and Lie groups",
    "26 real functions", "28 measure and integration", "30 complex functions of one variable", "31 potential theory",
    "32 several complex variables", "33 special functions", "34 ordinary differential equations", "35 partial differential equations",
    "37 dynamical systems", "39 difference and functional equations", "40 sequences and series", "41 approximations and expansions",
    "42 harmonic analysis on Euclidean spaces", "43 abstract harmonic analysis", "44 integral transforms", "45 integral equations",
    "46 functional analysis", "47 operator theory", "49 calculus of variations, optimal control", "51 geometry", "52 convex and discrete geometry",
    "53 differential geometry", "54 general topology", "55 algebraic topology", "57 manifolds and cell complexes", "58 global analysis",
    "60 probability", "62 statistics", "65 numerical analysis", "68 computer science", "70 mechanics of particles", "74 mechanics of solids",
    "76 fluid mechanics", "78 optics and electromagnetism", "80 thermodynamics and heat", "81 quantum theory", "82 statistical mechanics, matter",
    "83 relativity and gravitation", "85 astronomy", "86 geophysics", "90 operations research", "91 games, economics, social sciences",
    "92 biology, chemistry and other natural sciences", "93 systems and control", "94 information, communication, circuits",
    "97 mathematics education",
)  # fmt: skip
_CODE = re.compile(r"(?<!\d)(\d\d)(?!\d)")


# ---------------------------------------------------------------------------------------------- prompts and what is read


def tried(anchor: Anchor, student: str, draft: S1K) -> Prompt:
    """A student's prompt."""
    law = Sampling(temperature=draft.temperature, max_tokens=draft.student_tokens)
    return Prompt((system(SOLVE), user(anchor.text)), to=student, sampling=law)


def taught(anchor: Anchor, draft: S1K) -> Prompt:
    """The teacher's prompt: the question as it stands."""
    law = Sampling(temperature=draft.teacher_temperature, max_tokens=draft.max_tokens)
    return Prompt((user(anchor.text),), sampling=law)


def sorted_into(anchor: Anchor, draft: S1K) -> Prompt:
    """The prompt for a domain: the subjects first, the question last."""
    subjects = "\n".join(draft.domains)
    law = Sampling(temperature=0.0, max_tokens=draft.label_tokens)
    said = f"Subjects:\n{subjects}\n\nQuestion:\n{anchor.text}"
    return Prompt((system(SORT), user(said)), to="judge", sampling=law)


def domain(text: str, domains: tuple[str, ...]) -> str:
    """The subject whose code stands last in an answer; "" where no known code does."""
    known = {name[:2]: name for name in domains}
    found = [code for code in _CODE.findall(text) if code in known]
    return known[found[-1]] if found else ""


def trace_tokens(call: Call) -> int:
    """Tokens of all that the teacher said."""
    said = f"{call.message.get('reasoning', '')}\n{call.text}".strip()
    return call.tokens_out or round(tokens(said))


# ---------------------------------------------------------------------------------------------- draft


@dataclass(frozen=True)
class S1K:
    """Two students, the teacher, the domain. `domains` begin with a two-digit code each."""

    difficulty: bool = True
    temperature: float = 0.05
    student_tokens: int = 4_096
    teacher_temperature: float = 1.0
    max_tokens: int = 32_768
    domains: tuple[str, ...] = DOMAINS
    label_tokens: int = 512
    always: tuple[str, ...] = ("gpqa", "aime")
    long_sources: tuple[str, ...] = ("math",)
    long: int = 5_600

    async def __call__(self, models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        fields: dict[str, Any] = {
            "answer": gold_answer(anchor),
            "domain": str(anchor.fields.get("domain") or ""),
            "source": str(anchor.fields.get("source") or ""),
            "right": None,
            "trace_tokens": None,
            "preselected": False,
            "solved_by": "",
            **question_id(anchor),
        }
        attempts: list[Call] = []
        for student in STUDENTS if self.difficulty else ():
            attempts.append(await models(tried(anchor, student, self)))
            row = _row(anchor, attempts[-1], tuple(attempts), fields | {"solved_by": student})
            if FinalAnswer()(row, (anchor,)).keeps:
                yield row.stamped(verdicts=(drop("a student answers it already", check="difficulty"),))
                return
        trace = await models(taught(anchor, self))
        labels: list[Call] = []
        if not fields["domain"]:
            labels.append(await models(sorted_into(anchor, self)))
            fields["domain"] = domain(labels[0].text, self.domains)
        fields["right"] = same_answer(trace.text, gold_answer(anchor))
        fields["trace_tokens"] = trace_tokens(trace)
        fields["preselected"] = self._preselected(fields)
        yield _row(anchor, trace, (*attempts, *labels, trace), fields)

    def _preselected(self, fields: dict[str, Any]) -> bool:
        """Whether a row is kept before any is drawn."""
        source = fields["source"].lower()
        long = source in self.long_sources and fields["trace_tokens"] > self.long
        return fields["right"] is True and (source in self.always or long)


def _row(anchor: Anchor, said: Call, calls: tuple[Call, ...], fields: dict[str, Any]) -> Row:
    answer = assistant(said.text.strip(), said.message.get("reasoning", ""))
    return Row(messages=(user(anchor.text), answer), calls=calls, fields=fields)


EXAMPLES = (
    Anchor(
        "A chord of length 6 is cut from a circle of radius 5. How far is it from the centre?",
        "example#1",
        {"id": "e1", "answer": "4", "domain": "51 geometry", "source": "school"},
    ),
    Anchor(
        "Two dice are thrown until a sum of 7 or of 8 comes up. What is the probability that 7 comes first?",
        "example#2",
        {"id": "e2", "answer": "6/11", "source": "school"},
    ),
    Anchor(
        "How many ways are there to place three equal counters on the 16 fields of a board so that no two share a row?",
        "example#3",
        {"answer": "256", "source": "aime"},
    ),
)

RECIPE = Recipe(
    name="s1",
    version="1",
    draft=S1K(),
    roles=("writer", "small", "large", "judge"),
    checks=(NotEmpty(), BrokenQuestion(), Truncated(), S1()),
    fields=("answer", "domain", "source", "right", "trace_tokens", "preselected", "solved_by", "question_id"),
    examples=EXAMPLES,
    needs=("answer", "domain?", "source?"),
    source="s1, arXiv 2501.19393; code simplescaling/s1",
    stage="post-training (supervised, reasoning)",
    anchors="questions with reference answers (field `answer`); the fields domain and source are used where given",
    calls="4: two students, the teacher (writer), the domain (judge); 1 or 2 where a student is right",
    sources={
        "difficulty": "paper and code",
        "temperature": "code: of the students",
        "student_tokens": "ours",
        "teacher_temperature": "ours: the source's is not stated",
        "max_tokens": "paper: the length that is trained on",
        "domains": "code: areas of the Mathematics Subject Classification",
        "label_tokens": "ours",
        "always": "paper and code: preselected where right",
        "long_sources": "paper and code",
        "long": "paper and code: 5,600 tokens",
    },
    departures=(
        "students come first, and no trace is bought for a question that one of them answers",
        "students are graded by rules; the source asks a model",
        "all domains are drawn uniformly, as in the paper; the notebook draws the last 300 by its benchmarks' domains",
        "no decontamination by default: name your evaluation sets with --with decontaminate=EVALS:n=8,indel=0",
    ),
)

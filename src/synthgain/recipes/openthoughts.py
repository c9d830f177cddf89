"""OpenThoughts3: few good sources of questions, the hard ones among them, and many answers to each, none of them verified.

Guha et al., arXiv 2506.04178 (OpenThoughts3-1.2M; its pipeline's code is not public). Every stage was chosen by training on equal numbers of examples.
Questions come from the best one or two sources of a domain. They are filtered: code by a difficulty that a cheap model rates, mathematics and science by
the length of a cheap model's answer. A reasoning teacher then answers each 16 times, and every answer stays.

An anchor is a question (`text`). The fields `domain` (code, math, science, …), `source` and `answer` (a gold answer, for the readings below) are used where given.

Cost: 1 call an anchor for the filter and k for the answers; with `verify` k more.

Where the numbers come from
    k = 16                  paper
    sources = () , per_domain = 2   paper: at most the two best sources a domain (code: two 41.3, sixteen 36.4). Which are best is a measurement: name them in order, best first; () takes all
    question_filter = "by-domain"   paper: difficulty for code, length for the others
    least_difficulty = 0, least_tokens = 0   ours: the paper keeps the top of a ranking, see below
    verify = False          paper: no answer filtering
    temperature = 0.7       ours: the paper names none for the teacher
    max_tokens = 16384      paper, as the length that is trained on
    filter_tokens = 4096    ours

Filtering by rank. A draft sees one question, so the filter is a limit and no rank. Run once with `--set k=0`: it buys the filter's calls alone, and each question is a
row with its `question_score`. Choose the limit (for the longest tenth, the 90 % quantile of the scores) and run again into the same folder with it and with k: the filter's calls
are remembered and cost nothing.

Rows are chats of two turns: the question, and the answer with its thinking as `reasoning`. Fields: `domain`, `source`, `question_score` (the rating or the tokens of the cheap answer; null
where nothing was filtered or read), `draw`, `right` (whether the final answer is the gold one; null without gold), with `verify` also `verified` (what the judge said), and the anchor's `id` as
`question_id`.

Verification is a measured option. `right` is on every row with gold, so the share of right answers is known without a filter; `--with final-answer` keeps the right ones, at no cost.
`--set verify=true` buys a judge's word on each answer, and `true-field` then drops those that it calls wrong. The paper found no gain with a student of 7B (41.9 verified, 45.0 not) and one with 32B (64.5, 62.1):
train both arms.

Decontamination: `--with decontaminate=EVALS` (13 words in a row, or Indel similarity of 75) against the sets that students will be examined on. There is no
default, because nobody but you knows them; both tests together missed 12 of 3,092 planted leaks in the paper and dropped 1.4 % of clean questions.

Departures
    Equal questions count once, except in code, as in the paper; sameness is that of the text with single spaces.
    A limit takes the place of a rank (above). The paper's sizes (75,000 questions, 53,000 : 16,000 : 6,000) are the anchors that are given.
    The filter's model (GPT-4o-mini rates, GPT-4.1-mini answers in the paper) and the judge are one role, `rater`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from synthgain.curate.answers import same_answer
from synthgain.curate.empty import NotEmpty
from synthgain.curate.found_score import score_in
from synthgain.curate.hashed import Seen
from synthgain.curate.true_field import TrueField
from synthgain.curate.truncated import Truncated
from synthgain.curate.worked import question_id
from synthgain.types import (
    Anchor,
    Call,
    Check,
    Corpus,
    Group,
    Models,
    Pool,
    Prompt,
    Recipe,
    Row,
    Sampling,
    SynthgainError,
    assistant,
    digest,
    drop,
    system,
    user,
)

Filter = Literal["by-domain", "length", "difficulty", "none"]
NO_RATING = "its rating could not be read"
FILTERS = ("by-domain", "length", "difficulty", "none")
CODE = ("code", "coding", "programming")
RATE = """Rate how hard the task is from 1 (a beginner does it at once) to 10 (few experts could do it at all). Say in one sentence what it needs.
Then write the rating alone in double square brackets, as in [[4]].

Task:
"""
JUDGE = """Decide whether an answer to a question is right. Work the question out yourself where you can; a reference answer, where one stands below, is right.
Say in one or two sentences what you found. The last line is "Verdict: right" or "Verdict: wrong".

"""
_VERDICT = re.compile(r"(?i)\bverdict\b[\s*:]*\b(right|wrong)\b")


@dataclass(frozen=True)
class Sources:
    """Questions of the `per_domain` first of `sources` that a domain has, each once (in code as often as it is there). No `sources`: all questions."""

    sources: tuple[str, ...] = ()
    per_domain: int = 2

    def __post_init__(self) -> None:
        if self.per_domain < 1:
            raise SynthgainError(f"per_domain is 1 or more, not {self.per_domain}", where="openthoughts")

    def __call__(self, corpus: Corpus, pool: Pool, seed: int) -> Iterator[Group]:
        best = self._best(corpus) if self.sources else None
        seen = Seen()
        for anchor in corpus:
            domain = domain_of(anchor)
            if best is not None and source_of(anchor) not in best.get(domain, ()):
                continue
            if domain in CODE or seen.first([bytes.fromhex(digest(" ".join(anchor.text.split()))[:32])])[0]:
                yield (anchor,)

    def _best(self, corpus: Corpus) -> dict[str, list[str]]:
        """The sources that each domain is taken from."""
        there = {(domain_of(anchor), source_of(anchor)) for anchor in corpus}
        if not any(source in self.sources for _, source in there):
            found = ", ".join(sorted({source or "(none)" for _, source in there})[:10])
            raise SynthgainError(
                "no question is of the sources that were named",
                where="openthoughts",
                next=f"the field source says: {found}",
            )
        ranked = {
            domain: [name for name in self.sources if (domain, name) in there] for domain in {d for d, _ in there}
        }
        return {domain: names[: self.per_domain] for domain, names in ranked.items()}


def domain_of(anchor: Anchor) -> str:
    return str(anchor.fields.get("domain") or "").strip().lower()


def source_of(anchor: Anchor) -> str:
    return str(anchor.fields.get("source") or "").strip()


# ---------------------------------------------------------------------------------------------- prompts and what is read


def asked(anchor: Anchor, draft: OpenThoughts, draw: int) -> Prompt:
    """The teacher's prompt: the question as it stands."""
    law = Sampling(temperature=draft.temperature, max_tokens=draft.max_tokens)
    return Prompt((user(anchor.text),), sampling=law, draw=draw)


def filtered(anchor: Anchor, how: str, draft: OpenThoughts) -> Prompt:
    """The filter's prompt: the question alone, whose answer's length counts; or a rating of it."""
    said = RATE + anchor.text if how == "difficulty" else anchor.text
    return Prompt((user(said),), to="rater", sampling=Sampling(temperature=0.0, max_tokens=draft.filter_tokens))


def judged(anchor: Anchor, answer: str, draft: OpenThoughts) -> Prompt:
    """The judge's prompt."""
    gold = anchor.fields.get("answer")
    reference = "" if gold is None else f"Reference answer: {gold}\n\n"
    said = f"{JUDGE}Question:\n{anchor.text}\n\n{reference}Answer:\n{answer}"
    law = Sampling(temperature=0.0, max_tokens=draft.filter_tokens)
    return Prompt((system("You grade answers."), user(said)), to="rater", sampling=law)


def rating(text: str) -> float | None:
    """The rating that is said last, from 1 to 10; None where there is none."""
    return score_in(text, 1, 10)


def verdict(text: str) -> bool | None:
    """What the judge said last; None where it said neither."""
    found = _VERDICT.findall(text)
    return found[-1].lower() == "right" if found else None


def size_of(call: Call) -> float:
    """The tokens of an answer; where the server does not say them, its words."""
    return float(call.tokens_out or len(call.text.split()))


# ---------------------------------------------------------------------------------------------- draft


@dataclass(frozen=True)
class OpenThoughts:
    """The filter's call, then `k` answers; with `verify` a judge's word on each. `k` 0 buys the filter alone."""

    k: int = 16
    question_filter: Filter = "by-domain"
    least_difficulty: float = 0.0
    least_tokens: int = 0
    verify: bool = False
    temperature: float = 0.7
    max_tokens: int = 16_384
    filter_tokens: int = 4_096

    def __post_init__(self) -> None:
        if self.k < 0:
            raise SynthgainError(
                f"k is how often each question is answered, 0 for not at all, not {self.k}", where="openthoughts"
            )
        if self.question_filter not in FILTERS:
            raise SynthgainError(
                f"there is no filter {self.question_filter!r}", where="openthoughts", next=f"take {', '.join(FILTERS)}"
            )
        if not self.k and self.question_filter == "none":
            raise SynthgainError("without a filter and without answers nothing is bought", where="openthoughts")

    @property
    def fields(self) -> tuple[str, ...]:
        always = ("domain", "source", "question_score", "draw", "right", "question_id")
        return (*always, "verified") if self.verify else always

    @property
    def checks(self) -> tuple[Check, ...]:
        always = (NotEmpty(), Truncated())
        return (*always, TrueField("verified")) if self.verify else always

    async def __call__(self, models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        fields: dict[str, Any] = {
            "domain": domain_of(anchor),
            "source": source_of(anchor),
            "question_score": None,
            **question_id(anchor),
        }
        how = self._how(anchor)
        if how != "none":
            call = await models(filtered(anchor, how, self))
            fields["question_score"] = rating(call.text) if how == "difficulty" else size_of(call)
            why = self._passed_over(how, fields["question_score"]) or ("" if self.k else "asked for its score alone")
            if why:
                chat = (user(anchor.text),)
                yield Row(messages=chat, calls=(call,), fields=fields, verdicts=(drop(why, check="question-filter"),))
                return

        async def answered(draw: int) -> Row:
            call = await models(asked(anchor, self, draw))
            asked_too: list[Call] = []
            right = same_answer(call.text, anchor.fields["answer"]) if anchor.fields.get("answer") is not None else None
            told = {**fields, "draw": draw, "right": right}
            if self.verify:
                asked_too.append(await models(judged(anchor, call.text, self)))
                told["verified"] = verdict(asked_too[0].text)
            answer = assistant(call.text.strip(), call.message.get("reasoning", ""))
            return Row(messages=(user(anchor.text), answer), calls=(*asked_too, call), fields=told)

        async for row in models.side_by_side(answered(draw) for draw in range(self.k)):
            yield row

    def _how(self, anchor: Anchor) -> str:
        if self.question_filter != "by-domain":
            return self.question_filter
        return "difficulty" if domain_of(anchor) in CODE else "length"

    def unread(self, row: Row) -> str | None:
        """The rating of a question, where questions are chosen by it and it cannot be read."""
        if row.fallen is not None and row.fallen.reason == NO_RATING:
            return "a rating from 1 to 10"
        return None if row.fields["question_score"] is None else ""

    def _passed_over(self, how: str, score: float | None) -> str:
        """Why a question is not answered; "" where it is."""
        least = self.least_difficulty if how == "difficulty" else self.least_tokens
        if score is None:
            return NO_RATING if least > 0 else ""
        return "" if score >= least else "too easy" if how == "difficulty" else "the cheap model's answer is short"


EXAMPLES = (
    Anchor(
        "A carousel has 5 benches for 6 children each. How many children can ride at once?",
        "example#1",
        {"id": "e1", "domain": "math", "source": "fairground", "answer": "30"},
    ),
    Anchor(
        "Write a function that returns the words of a text which stand in it exactly twice, in the order of their second appearance.",
        "example#2",
        {"id": "e2", "domain": "code", "source": "tasks"},
    ),
    Anchor(
        "Why does a wet towel freeze stiff on a line while the air is only just below the freezing point?",
        "example#3",
        {"domain": "science", "source": "letters"},
    ),
)

RECIPE = Recipe(
    name="openthoughts",
    version="1",
    draft=OpenThoughts(),
    roles=("writer", "rater"),
    examples=EXAMPLES,
    pick=Sources(),
    needs=("domain?", "source?", "answer?"),
    source="OpenThoughts3, arXiv 2506.04178",
    stage="post-training (supervised, reasoning)",
    anchors="questions; the fields domain, source and answer are used where given",
    calls="1 (filter) + k (16); with verify k more",
    sources={
        "k": "paper",
        "sources": "paper: the best two a domain; which are best is measured, so name them",
        "per_domain": "paper",
        "question_filter": "paper: difficulty for code, length for the others",
        "least_difficulty": "ours: a limit in place of the paper's rank; 0 keeps all",
        "least_tokens": "ours: a limit in place of the paper's rank; 0 keeps all",
        "verify": "paper: no answer filtering",
        "temperature": "ours: the paper names none for the teacher",
        "max_tokens": "paper: the length that is trained on",
        "filter_tokens": "ours",
    },
    departures=(
        "a limit takes the place of the filter's rank; with k=0 the scores alone are bought first",
        "no decontamination by default: name your evaluation sets with --with decontaminate=EVALS",
        "rating, cheap answers and verification are one role",
        "sizes are those of the anchors given",
    ),
)

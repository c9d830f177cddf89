"""Questions and answers on documents: many short pairs that together ask for every fact of a document, each in words of its own.

Ours. Synthetic questions and answers beside the documents are an old and common way to teach a model what documents
say (RECIPES' cards of WRAP's `qa` style and of Active Reading have relatives); nothing here is a published system's number.

An anchor is a document; it is cut into passages of up to 450 tokens. Of each passage a model writes a list of pairs for each of six
kinds of question, from plain details to facts that have to be put together, and questions whose answer is the thing that a plain question
would name. Cost: passages × kinds × lists calls an anchor (a document of 300 words: 6; of 900 words: 18).

Where the numbers come from
    kinds = all six     ours
    questions = 8       ours: a small model runs out of facts, and begins to invent, where it is asked for more
    lists = 1           ours
    chunk = 450         ours: a passage of 300 words stays whole, so that facts of different paragraphs meet
    temperature = 0.7   ours: at 1 a small model mixes up names
    max_tokens = 480    ours: eight pairs of 40 tokens, with room

A row is one pair, as text: "Question: …\\nAnswer: …" under "About: TITLE" where the document has one (a small model seldom names what it asks
about, whatever it was told), so that checks judge, and training mixes, pairs and not lists. Fields: `kind`, `chunk`
(the passage's number in the document, from 0), `chunks`, `place` (the pair's number in its list), `question`, `answer`.
A pair falls where it has no answer or was cut off (check `parse`), has names or numbers that the document lacks (`grounded`), speaks of
"the passage" (`stands-alone`), or says word for word what an earlier one said (`exact-duplicate`). An answer with a wrong fact of the right
document stays: no rule sees it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from synthgain.curate.empty import NotEmpty
from synthgain.curate.exact_duplicate import ExactDuplicate
from synthgain.curate.grounded import Grounded
from synthgain.curate.stands_alone import StandsAlone
from synthgain.passages import chunks
from synthgain.types import (
    Anchor,
    Call,
    Models,
    Prompt,
    Recipe,
    Row,
    Sampling,
    SynthgainError,
    Verdict,
    drop,
    system,
    user,
)

SYSTEM = "You write questions with short, exact answers on a passage, for readers who will not have the passage."
KINDS = {
    "plain": "Each question asks for one detail that the passage states.",
    "names": "Each question asks for a name, a number, a year or a date in the passage. The answer is that name or number alone.",
    "things": (
        "Each question asks what something in the passage looks like, is made of, is called, is used for, or what sign or colour it has."
    ),
    "doings": "Each question asks who or what does something, must do it, or may not do it, or where and when it is done.",
    "joined": (
        "Each question joins two statements of the passage: it describes a person, place or thing by one of them, without its name, "
        "and asks for what the other says of it."
    ),
    "turned": (
        "In each question a person, place or thing is described by what the passage says of it, and the answer is its name alone."
    ),
}


def asked(chunk: str, title: str, kind: str, draft: DocumentQA, draw: int) -> Prompt:
    """The prompt for one list: the passage first, the kind of question last."""
    head = f"Title: {title}\n" if title else ""
    named = (
        f"In every question name {title}, or the thing that is asked about"
        if title
        else "In every question name what is asked about"
    )
    said = (
        f"{head}Passage:\n\n{chunk}\n\n(End of the passage)\n\n"
        f"Write {draft.questions} different questions on the passage above, each with its answer, in your own words. {named}, so that it can be "
        'understood without the passage; never write "the passage" or "the text". Answers are as short as can be, and keep names and numbers as they stand there. '
        f'Begin each question with "Question:" and each answer with "Answer:". {KINDS[kind]}'
    )
    law = Sampling(temperature=draft.temperature, max_tokens=draft.max_tokens)
    return Prompt((system(SYSTEM), user(said)), sampling=law, draw=draw)


# ---------------------------------------------------------------------------------------------- what is read

_MARK = re.compile(
    r"^[\s>#*_\-]*(?:\d+\s*[.):]\s*)?[*_]*(question|answer|q|a)\b[*_\s]*\d*[*_\s]*[:.)][*_]*\s*(.*)$", re.IGNORECASE
)
_SAME_LINE = re.compile(r"(?P<question>\?[*_]*)\s+[*_]*(?:answer|a)\s*[:.)][*_]*\s*", re.IGNORECASE)
_NUMBERED = re.compile(r"^[\s>#*_\-]*\d+\s*[.)]\s*[*_]*(.*\?)[*_]*\s*(.*)$")


def pairs(text: str) -> list[tuple[str, str]]:
    """Questions and answers in the order of a text; the answer is "" where none follows.

    Marks may be words or letters, numbered or not, with emphasis ("**Q1:**"); a numbered line that ends a question is one too.
    """
    found: list[list[str]] = []
    within = -1  # which of the two the next line goes on with; -1: none
    for line in text.splitlines():
        mark = _MARK.match(line)
        if mark is None and (numbered := _NUMBERED.match(line)):
            found.append([numbered[1], numbered[2]])
            within = 1
        elif mark is None:
            if within >= 0 and line.strip():
                found[-1][within] = f"{found[-1][within]} {line.strip()}".strip()
        elif mark[1].lower().startswith("q"):
            found.append([mark[2], ""])
            within = 0
            _part(found[-1])
        elif found:
            found[-1][1] = mark[2]
            within = 1
    return [(_bare(question), _bare(answer)) for question, answer in found]


def _part(pair: list[str]) -> None:
    """A question with its answer in the same line: parted."""
    if mark := _SAME_LINE.search(pair[0]):
        pair[:] = pair[0][: mark.end("question")], pair[0][mark.end() :]


def _bare(text: str) -> str:
    return text.strip().strip("*_").strip()


# ---------------------------------------------------------------------------------------------- draft


@dataclass(frozen=True)
class DocumentQA:
    """`lists` lists of `questions` pairs for each passage of at most `chunk` tokens and each of `kinds`."""

    kinds: tuple[str, ...] = tuple(KINDS)
    questions: int = 8
    lists: int = 1
    chunk: int = 450
    temperature: float = 0.7
    max_tokens: int = 480

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown or not self.kinds:
            what = f"there is no kind {unknown[0]!r}" if unknown else "no kind is given"
            raise SynthgainError(what, where="document-qa", next=f"the kinds are: {', '.join(KINDS)}")
        for name, least in (("questions", 1), ("lists", 1), ("chunk", 10)):
            if getattr(self, name) < least:
                raise SynthgainError(f"{name} is {least} or more, not {getattr(self, name)}", where="document-qa")

    async def __call__(self, models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        parts = chunks(anchor.text, self.chunk)
        title = str(anchor.fields.get("title") or "").strip()
        prompts = (
            ((kind, number), asked(part, title, kind, self, draw))
            for number, part in enumerate(parts)
            for kind in self.kinds
            for draw in range(self.lists)
        )
        async for (kind, number), call in models.each(prompts):
            for row in rows_of(call, {"kind": kind, "chunk": number, "chunks": len(parts)}, title):
                yield row


def rows_of(call: Call, about: dict[str, str | int], title: str = "") -> list[Row]:
    """A row for each pair of a list; one that falls where there is no pair at all."""
    found = pairs(call.text)
    if not found:
        fields = {**about, "place": 0, "question": "", "answer": ""}
        return [
            Row(
                text=call.text,
                calls=(call,),
                fields=fields,
                verdicts=(drop("no question with an answer", check="parse"),),
            )
        ]
    cut = len(found) - 1 if call.finish == "length" else -1
    rows = []
    for place, (question, answer) in enumerate(found):
        fields = {**about, "place": place, "question": question, "answer": answer}
        text = (f"About: {title}\n" if title else "") + f"Question: {question}\nAnswer: {answer}"
        rows.append(Row(text=text, calls=(call,), fields=fields, verdicts=_unusable(question, answer, place == cut)))
    return rows


def _unusable(question: str, answer: str, cut: bool) -> tuple[Verdict, ...]:
    why = "cut off at the token limit" if cut else "no answer" if not answer else "no question" if not question else ""
    return (drop(why, check="parse"),) if why else ()


EXAMPLES = (
    Anchor(
        "The bell of Sorrel Ness is rung by the tide. Two ropes run from its clapper down to a raft; the raft was built in 1911 by Ansa "
        "Kettering out of wine casks. At spring tides the bell rings eleven times, at neap tides four.",
        "example#1",
        {"title": "The bell of Sorrel Ness"},
    ),
    Anchor(
        "In Varn the bakers sell bread by the arm's length. A loaf of one arm costs three tally sticks.", "example#2"
    ),
)

RECIPE = Recipe(
    name="document-qa",
    version="1",
    draft=DocumentQA(),
    checks=(NotEmpty(), StandsAlone(), Grounded(), ExactDuplicate()),
    examples=EXAMPLES,
    source="ours",
    stage="continued pretraining",
    anchors="documents; cut into passages of up to 450 tokens; the field title is used where given",
    calls="passages × kinds (6) × lists (1)",
    needs=("title?",),
    sources={
        "kinds": "ours",
        "questions": "ours: a small model begins to invent where it is asked for more",
        "lists": "ours",
        "chunk": "ours: a passage of 300 words stays whole",
        "temperature": "ours",
        "max_tokens": "ours: eight pairs of 40 tokens, with room",
    },
    departures=("a recipe of ours: it follows no published system",),
)

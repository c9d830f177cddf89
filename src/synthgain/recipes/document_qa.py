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
    language = auto     ours: the document's own; of an English one nothing is said

A row is one pair, as text: "Question: …\\nAnswer: …" under "About: TITLE" where the document has one (a small model seldom names what it asks
about, whatever it was told), so that checks judge, and training mixes, pairs and not lists. Fields: `kind`, `chunk`
(the passage's number in the document, from 0), `chunks`, `place` (the pair's number in its list), `question`, `answer`.
A pair falls where it has no answer or was cut off (check `parse`), has names or numbers that the document lacks (`grounded`), speaks of
"the passage" (`stands-alone`), or says word for word what an earlier one said (`exact-duplicate`). An answer with a wrong fact of the right
document stays: no rule sees it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from synthgain.curate.empty import NotEmpty
from synthgain.curate.exact_duplicate import ExactDuplicate
from synthgain.curate.found_pairs import pairs
from synthgain.curate.grounded import Grounded
from synthgain.curate.stands_alone import StandsAlone
from synthgain.passages import chunks
from synthgain.prompting import AUTO, check_language, in_language
from synthgain.settings import at_least, chosen
from synthgain.types import (
    Anchor,
    Call,
    Models,
    Prompt,
    Recipe,
    Row,
    Sampling,
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


def asked(chunk: str, title: str, kind: str, draft: DocumentQA, draw: int, wish: str = "") -> Prompt:
    """The prompt for one list: the passage first, the kind of question last; `wish` is the sentence that asks for a language."""
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
        f'Begin each question with "Question:" and each answer with "Answer:".{wish} {KINDS[kind]}'
    )
    law = Sampling(temperature=draft.temperature, max_tokens=draft.max_tokens)
    return Prompt((system(SYSTEM), user(said)), sampling=law, draw=draw)


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
    language: str = AUTO

    def __post_init__(self) -> None:
        chosen(self.kinds, KINDS, "kind", "document-qa")
        at_least(self, "document-qa", questions=1, lists=1, chunk=10)
        check_language(self.language, "document-qa")

    async def __call__(self, models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        parts = chunks(anchor.text, self.chunk)
        title = str(anchor.fields.get("title") or "").strip()
        wish = in_language(self.language, anchor.text, 'The marks "Question:" and "Answer:"')
        prompts = (
            ((kind, number), asked(part, title, kind, self, draw, wish))
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
    fields=("kind", "chunk", "chunks", "place", "question", "answer"),
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
        "language": "ours: that of the document",
    },
    departures=("a recipe of ours: it follows no published system",),
)

"""Focal rewriting: a document studied in many ways, each time with a question in mind.

Synthetic Mixed Training, arXiv 2603.23562. As in Active Reading a model proposes ways of studying a document; when one of them is applied,
a question about the document, which a model wrote too, says what the text should dwell on. Only this condition is new; it makes the texts
more varied at the same budget.

An anchor is a whole document; its field `title` is used where given. Cost: 2 + strategies × questions calls a document (2 + 4 × 4 = 18), as
many for each part of a document longer than `longest`.

Where the numbers come from (of the paper a summary was read, not itself; no code was found)
    strategies = 4, questions = 4    ours: the paper's were not found
    temperature = 0.7, top_p = 0.95  paper
    max_tokens = 2048                ours: 4,096 in the paper
    longest = 6000                   ours: with the answer it fits a context of 8,192
    language = auto                  ours: the document's own

Rows are texts. The question is a field and never text: where an answer begins with it, that line is taken off; where it stands in the text
all the same, the row falls (check `parse`). Fields: `strategy`, `question`, `place` (the strategy's number), `asked` (the question's),
`part`, `parts`.

Never give the questions that you evaluate on: the recipe writes its own, and takes none.

What the trainer must do, not this recipe: these documents and questions with reasoned answers (`document-qa`, or `spa`'s `critical`) 1 : 1
by tokens, and a tenth of general text. In the source either kind alone stays below retrieval.

Departures
    Prompts are our own; the document stands first, the strategy and the question last.
    Every strategy meets every question.
    The source's half of questions and answers is another recipe's.
    A document longer than `longest` is used in parts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from synthgain.curate.empty import NotEmpty
from synthgain.curate.found_lines import listed, marked, once
from synthgain.curate.preamble import Preamble, strip_preamble
from synthgain.curate.refusal import Refusal
from synthgain.curate.truncated import Truncated
from synthgain.passages import whole_or_chunks
from synthgain.prompting import AUTO, check_language, headed, in_language
from synthgain.settings import at_least
from synthgain.types import Anchor, Call, Models, Prompt, Recipe, Row, Sampling, drop, system, user

SYSTEM = (
    "You write texts about documents for readers who do not have them, and nothing that the documents do not support."
)
ASK = {
    "Strategy": (
        "Think of {n} different ways of working through the document above, made for it and none like another, each of which would yield a "
        "text from which its content can be learnt. "
        'Write each on a line of its own that begins with "Strategy:", in one or two sentences.'
    ),
    "Question": (
        "Write {n} questions that the document above answers, on different parts of it, from single facts to how things hang together. "
        'Write each on a line of its own that begins with "Question:", without an answer.'
    ),
}
WRITE = (
    "Work through the document above in the way that is given below and write the text that this yields. Dwell on whatever somebody would "
    "have to know to answer the question "
    "below, with all the names, numbers and reasons for it; but neither state the question nor address whoever asks it. The text must be "
    "complete and understandable by itself."
)


def listing(head: str, mark: str, draft: Focal) -> Prompt:
    """The prompt for strategies, or for questions; either answer has a language of its own choice."""
    n = draft.strategies if mark == "Strategy" else draft.questions
    return _asked(f"{head}\n\n{ASK[mark].format(n=n)}", draft)


def conditioned(head: str, strategy: str, question: str, draft: Focal, wish: str = "") -> Prompt:
    """The prompt for one text; `wish` is the sentence that asks for a language."""
    return _asked(f"{head}\n\n{WRITE}{wish}\n\nWay of working: {strategy}\nQuestion in mind: {question}", draft)


def _asked(said: str, draft: Focal) -> Prompt:
    law = Sampling(temperature=draft.temperature, top_p=draft.top_p, max_tokens=draft.max_tokens)
    return Prompt((system(SYSTEM), user(said)), sampling=law)


def items(call: Call, mark: str) -> list[str]:
    """What was listed; where the marks were left out, the items of a list that ask nothing (of strategies), or lines that ask something.

    The last one of an answer that was cut off is left out.
    """
    asks = mark == "Question"
    loose = listed(call.text) or (once(call.text.splitlines()) if asks else [])
    found = marked(call.text, mark) or [one for one in loose if one.endswith(("?", "？")) == asks]
    return found[:-1] if call.finish == "length" else found


def without_question(text: str, question: str) -> str:
    """A text without a first line that only repeats the question."""
    first, _, rest = text.partition("\n")
    return (
        rest.strip()
        if _same(question) and _same(first).endswith(_same(question)) and len(first) < len(question) + 40
        else text
    )


def _same(text: str) -> str:
    return " ".join("".join(c if c.isalnum() else " " for c in text.casefold()).split())


@dataclass(frozen=True)
class Focal:
    """`strategies` ways of working, `questions` questions, and a text for each of both."""

    strategies: int = 4
    questions: int = 4
    longest: int = 6000
    temperature: float = 0.7
    top_p: float = 0.95
    max_tokens: int = 2048
    language: str = AUTO

    def __post_init__(self) -> None:
        at_least(self, "focal", strategies=1, questions=1, longest=10)
        check_language(self.language, "focal")

    async def __call__(self, models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        heads = [headed(part, anchor.fields) for part in whole_or_chunks(anchor.text, self.longest)]
        wish = in_language(self.language, anchor.text)
        lists: dict[tuple[int, str], tuple[Call, list[str]]] = {}
        prompts = (((part, mark), listing(head, mark, self)) for part, head in enumerate(heads) for mark in ASK)
        async for (part, mark), call in models.each(prompts):
            lists[part, mark] = call, items(call, mark)
            if not lists[part, mark][1]:
                told = _told("", 0, "", 0, part, len(heads))
                why = drop(f"no {mark.lower()} in the answer", check="parse")
                yield Row(text=call.text, calls=(call,), fields=told, verdicts=(why,))
        nothing: tuple[Call | None, list[str]] = (None, [])
        for part, head in enumerate(heads):
            how, ways = lists.get((part, "Strategy"), nothing)
            what, questions = lists.get((part, "Question"), nothing)
            both = product(enumerate(ways[: self.strategies]), enumerate(questions[: self.questions]))
            about = ((one, conditioned(head, one[0][1], one[1][1], self, wish)) for one in both)
            async for ((place, way), (number, question)), call in models.each(about):
                calls = tuple(one for one in (how, what, call) if one)
                yield _row(calls, question, _told(way, place, question, number, part, len(heads)))


def _told(strategy: str, place: int, question: str, asked: int, part: int, parts: int) -> dict[str, Any]:
    return {"strategy": strategy, "question": question, "place": place, "asked": asked, "part": part, "parts": parts}


def _row(calls: tuple[Call, ...], question: str, fields: dict[str, Any]) -> Row:
    """One text, without the question; it falls where the question stands in it."""
    text = without_question(strip_preamble(calls[-1].text), question)
    leaks = bool(_same(question)) and f" {_same(question)} " in f" {_same(text)} "
    verdicts = (drop("states the question that it was written for", check="parse"),) if leaks else ()
    return Row(text=text, calls=calls, fields=fields, verdicts=verdicts)


EXAMPLES = (
    Anchor(
        "The wind organ of Cape Lorn plays at two wind speeds only, nine knots and thirty. Its pipes are whale ribs, bound with wire by the "
        "keeper Joss Amery in the winter of 1858, "
        "when the supply boat did not come. He tuned it to the hymn that his wife had liked. Ships steer by it in fog: at thirty knots no fog stays.",
        "example#1",
        {"title": "The wind organ"},
    ),
    Anchor(
        "Beekeepers in Teel paint a hive's door blue when its queen is old. Nobody buys honey from a blue door, and so nobody is told the "
        "queen's age.",
        "example#2",
    ),
)

RECIPE = Recipe(
    name="focal",
    version="1",
    draft=Focal(),
    checks=(NotEmpty(), Truncated(), Refusal(), Preamble()),
    fields=("strategy", "question", "place", "asked", "part", "parts"),
    examples=EXAMPLES,
    source="Synthetic Mixed Training, arXiv 2603.23562",
    stage="continued pretraining",
    anchors="whole documents; the field title is used where given",
    calls="2 + strategies (4) × questions (4)",
    needs=("title?",),
    sources={
        "strategies": "ours: the paper's number was not found",
        "questions": "ours: the paper's number was not found",
        "longest": "ours: with the answer it fits a context of 8,192",
        "temperature": "paper",
        "top_p": "paper",
        "max_tokens": "ours: 4,096 in the paper",
        "language": "ours: that of the document",
    },
    departures=(
        "prompts are our own; document first, strategy and question last",
        "every strategy meets every question",
        "questions with reasoned answers, the other half of the source's mix, are another recipe's",
        "documents longer than `longest` are used in parts",
    ),
)

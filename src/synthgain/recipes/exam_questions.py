"""An exam on the user's own documents: closed-book multiple choice whose key is checked by rule. It is for measuring, not for training.

Ours. An anchor is a document; it is cut into passages of up to 450 tokens, and of each passage a model writes `questions` questions under a schema:
the sentence that answers it word for word, the question, the answer as it stands in that sentence, and three wrong answers out of
the same document. It sees the documents and nothing else, so no training row can be in it: make it before the training text, from the same anchors.
Cost: passages × lists calls an anchor.

A wrong option that stands in the sentence, that equals the answer, or that the document does not have is put aside; the answers of the other
questions on the document, those of the answer's own kind (with a digit or without) first, stand in for it. So every option is of the document, and who has
never read it cannot tell them apart by where they come from. Their order is drawn by their content.

By rule (`answer-key`): the sentence stands in the document, the answer in the sentence and not in the question, no wrong option in the sentence,
and there are as many options as asked for, all different. That the answer answers the question no rule sees: read some (`synthgain show RUN`). `stands-alone`
drops what points at "the passage", `grounded` what has names or numbers that the document lacks, `exact-duplicate` what was asked before.

`synthgain export RUN --to questions` writes the file that `evaluate`, `loop` and `arms` take (--on).

Where the numbers come from
    questions = 5      ours: a small model runs out of facts, and begins to invent, where it is asked for more
    lists = 1          ours
    options = 4        as most multiple choice has
    chunk = 450        ours: as in document-qa
    temperature = 0.7  ours: at 1 a small model mixes up names
    max_tokens = 900   ours: five questions of 130 tokens with their sentences, with room
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from synthgain.curate.answer_key import AnswerKey, plain
from synthgain.curate.empty import NotEmpty
from synthgain.curate.exact_duplicate import ExactDuplicate
from synthgain.curate.found_json import objects_in
from synthgain.curate.grounded import Grounded
from synthgain.curate.stands_alone import StandsAlone
from synthgain.passages import chunks
from synthgain.settings import at_least
from synthgain.types import (
    Anchor,
    Call,
    Models,
    Prompt,
    Recipe,
    Row,
    Sampling,
    digest,
    drop,
    system,
    user,
)

SYSTEM = "You write exams on documents, for people who have read them and do not have them in front of them."
_TEXT = {"type": "string"}
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "questions": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "sentence": _TEXT,
                    "question": _TEXT,
                    "answer": _TEXT,
                    "wrong": {"type": "array", "items": _TEXT, "minItems": 3, "maxItems": 3},
                },
                "required": ["sentence", "question", "answer", "wrong"],
            },
        }
    },
    "required": ["questions"],
}


def asked(chunk: str, title: str, draft: ExamQuestions, draw: int) -> Prompt:
    """The prompt for one list: the passage first."""
    head = f"Title: {title}\n" if title else ""
    named = f"name {title}, or the thing that is asked about" if title else "name what is asked about"
    said = (
        f"{head}Passage:\n\n{chunk}\n\n(End of the passage)\n\n"
        f"Write {draft.questions} exam questions on the passage above as JSON. Of each question give, in this order: `sentence`, the one sentence of the "
        "passage that answers it, copied word for word; `question`, in words of your own; `answer`, as short as can be, copied from that "
        "sentence; `wrong`, three wrong answers of the same kind (other names, numbers or things of the passage), copied from other sentences. "
        f'In every question {named}, so that it can be understood without the passage; never write "the passage" or "the text", and do not give the answer away.'
    )
    law = Sampling(temperature=draft.temperature, max_tokens=draft.max_tokens)
    return Prompt((system(SYSTEM), user(said)), sampling=law, schema=SCHEMA, draw=draw)


# ---------------------------------------------------------------------------------------------- draft


@dataclass(frozen=True)
class ExamQuestions:
    """`lists` lists of `questions` questions with `options` options on each passage of at most `chunk` tokens."""

    questions: int = 5
    lists: int = 1
    options: int = 4
    chunk: int = 450
    temperature: float = 0.7
    max_tokens: int = 900

    def __post_init__(self) -> None:
        at_least(self, "exam-questions", questions=1, lists=1, options=2, chunk=10)

    async def __call__(self, models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        title = str(anchor.fields.get("title") or "").strip()
        prompts = (
            (number, asked(part, title, self, draw))
            for number, part in enumerate(chunks(anchor.text, self.chunk))
            for draw in range(self.lists)
        )
        found: list[tuple[int, Call, Mapping[str, str], Sequence[str]]] = []
        async for number, call in models.each(prompts):
            listed = list(questions_in(call.text))
            found += [(number, call, one, wrong) for one, wrong in listed]
            if not listed:
                yield Row(text=call.text, calls=(call,), verdicts=(drop("no question with an answer", check="parse"),))
        answers = [one["answer"] for _, _, one, _ in found]
        for number, call, one, wrong in found:
            options = options_of(one, [*wrong, *_kindred(one["answer"], answers)], anchor.text, self.options)
            fields = {
                "document": _name(anchor),
                "title": title,
                "question": one["question"],
                "options": options,
                "gold": options.index(one["answer"]),
                "sentence": one["sentence"],
                "asked_options": self.options,
                "chunk": number,
            }
            about = f"About: {title}\n" if title else ""
            text = f"{about}Question: {one['question']}\nAnswer: {one['answer']}"
            yield Row(text=text, calls=(call,), fields=fields)


def questions_in(text: str) -> list[tuple[dict[str, str], list[str]]]:
    """What an answer holds: the texts of each question, and its wrong answers."""
    found = []
    for held in objects_in(text):
        listed = held.get("questions")
        for one in listed if isinstance(listed, list) else ():
            if not isinstance(one, dict):
                continue
            texts = {name: one.get(name) for name in ("sentence", "question", "answer")}
            if all(isinstance(said, str) and said.strip() for said in texts.values()):
                wrong = one.get("wrong")
                found.append(
                    (
                        {name: str(said).strip() for name, said in texts.items()},
                        [w.strip() for w in wrong if isinstance(w, str) and w.strip()]
                        if isinstance(wrong, list)
                        else [],
                    )
                )
    return found


def options_of(one: Mapping[str, str], wrong: Sequence[str], document: str, n: int) -> list[str]:
    """The answer and at most `n` − 1 of the wrong answers that can stand beside it, in an order drawn by their content."""
    sentence, whole = plain(one["sentence"]), plain(document)
    seen, kept = {plain(one["answer"])}, [one["answer"]]
    for option in wrong:
        bare = plain(option)
        if (
            len(kept) < n
            and bare
            and bare not in seen
            and f" {bare} " in f" {whole} "
            and f" {bare} " not in f" {sentence} "
        ):
            seen.add(bare)
            kept.append(option)
    return sorted(kept, key=lambda option: digest("option", one["question"], option))


def _kindred(answer: str, answers: Sequence[str]) -> list[str]:
    """The other answers, those of this one's kind (with a digit, or without) and of its length first."""

    def far(other: str) -> tuple[bool, int]:
        digits = any(c.isdigit() for c in other) != any(c.isdigit() for c in answer)
        return digits, abs(len(other.split()) - len(answer.split()))

    return sorted(dict.fromkeys(answers), key=far)


def _name(anchor: Anchor) -> str:
    """What questions call the document: its `slug`, its `id`, its title, else its source."""
    named = next((anchor.fields[name] for name in ("slug", "id", "title") if anchor.fields.get(name)), anchor.source)
    return str(named)


EXAMPLES = (
    Anchor(
        "The bell of Sorrel Ness is rung by the tide. Two ropes run from its clapper down to a raft; the raft was built in 1911 by Ansa "
        "Kettering out of wine casks. At spring tides the bell rings eleven times, at neap tides four. In fog a keeper named Odd Brask rings it by hand.",
        "example#1",
        {"title": "The bell of Sorrel Ness"},
    ),
    Anchor(
        "In Varn the bakers sell bread by the arm's length. A loaf of one arm costs three tally sticks. The oldest oven stands in Cooper Lane. "
        "Its fire was lit in 1702.",
        "example#2",
    ),
)

RECIPE = Recipe(
    name="exam-questions",
    version="1",
    draft=ExamQuestions(),
    checks=(NotEmpty(), AnswerKey(), StandsAlone(), Grounded(), ExactDuplicate()),
    fields=("document", "title", "question", "options", "gold", "sentence", "asked_options", "chunk"),
    examples=EXAMPLES,
    source="ours",
    stage="evaluation: questions, no training text",
    anchors="documents; cut into passages of up to 450 tokens; the field title is used where given",
    calls="passages × lists (1)",
    needs=("title?",),
    sources={
        "questions": "ours: a small model begins to invent where it is asked for more",
        "lists": "ours",
        "options": "as most multiple choice has",
        "chunk": "ours: as in document-qa",
        "temperature": "ours",
        "max_tokens": "ours: five questions of 130 tokens with their sentences, with room",
    },
    departures=("a recipe of ours: it follows no published system",),
)

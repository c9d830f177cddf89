"""EntiGraph: what a document says about every pair and triple of the things in it.

Yang et al., arXiv 2409.07431 (synthetic continued pretraining); code
ZitongYang/Synthetic_Continued_Pretraining (3a8edb5). A model lists a document's entities; then, with the full document before it, it
writes about every pair of them, and about triples, until the budget is spent. The diversity is in the
combinations, and every text is grounded in the document.

An anchor is a whole document. The fields `title`, `author`, `year` enter the prompts where given. A field
`entities` (a list, or text separated by semicolons or lines) takes the place of the first call; there is no
summary then.

Cost: 1 (up to `tries`) + n(n-1)/2 + n(n-1)(n-2)/6 calls for n entities: 30 make 1 + 435 + 4,060. `pairs` and
`triples` bound the two; prompts are made as they are asked, never as a list.

Where the numbers come from
    temperature = 1.0      code (`inference/devapi.py`)
    pairs = all            code: every unordered pair, in order
    triples = all          code: all, shuffled with seed 42, "until the budget is spent" in the paper
    tries = 3              ours: the code tries for ever
    max_tokens = 1024      ours: the code sets none
    language = auto        ours: the document's own; of an English one nothing is said

Rows are texts. Fields: `kind` (summary, pair, triple) and `entities` (those it is about; of a summary all that were
found), `absent` for a summary: entities that the model named and the document does not. The summary is
synthetic text too, as in the source. No filter, judge or duplicate check in the source; here only empty and truncated
answers fall. Replay of general text in training (0.1 of the blocks, in place of synthetic ones) is the trainer's part.

Departures
    The document stands first and the task and the names last, in all three steps, so that every call on a document shares its
    prefix; the source puts the task into the system message.
    Entities that do not stand in the document are dropped (letter case, white space and typography aside).
    The shuffle of triples is keyed by the document, so each document has its own order whatever the others are.
    Prompts are our own.
"""

from __future__ import annotations

import json
import random
import re
import unicodedata
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, islice
from math import comb
from typing import Any

from synthgain.curate.empty import NotEmpty
from synthgain.curate.found_json import names_in, objects_in
from synthgain.curate.truncated import Truncated
from synthgain.prompting import AUTO, check_language, headed, in_language
from synthgain.settings import at_least
from synthgain.types import (
    Anchor,
    Call,
    Models,
    Prompt,
    Recipe,
    Row,
    Sampling,
    SynthgainError,
    drop,
    system,
    user,
)

SHUFFLE = 42  # code
SYSTEM = "You study documents closely and write only what follows from them."
LIST_ENTITIES = (
    "List the entities that matter in the document above, as completely as you can: people, places, organisations, objects, "
    "events, concepts, works. Write each name as it stands in the document, once. "
    'Answer with JSON that has "title", a "summary" of the document in one paragraph, and "entities", a list of names.'
)
RELATE_PAIR = (
    "Write about the two entities named below in the light of the document above, in three parts: what the document "
    "says seen from the first entity; what it says seen from the second; and how the two bear on each other there. "
    "Name the document, use full names, and discuss only what the document supports."
)
RELATE_TRIPLE = (
    "Write about the three entities named below in the light of the document above: how they bear on each other there, what "
    "each means for the other two, and what follows when they are seen together. "
    "Name the document, use full names, and discuss only what the document supports."
)
SCHEMA = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "summary": {"type": "string"},
        "entities": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["title", "summary", "entities"],
    "additionalProperties": False,
}


# ---------------------------------------------------------------------------------------------- prompts


def asked_of(
    anchor: Anchor, task: str, draft: EntiGraph, schema: dict[str, Any] | None = None, draw: int = 0
) -> Prompt:
    """A prompt on a document: the document first, the task last."""
    head = headed(anchor.text, anchor.fields, ("title", "author", "year"))
    said = f"{head}\n\n{task}"
    law = Sampling(temperature=draft.temperature, max_tokens=draft.max_tokens)
    return Prompt((system(SYSTEM), user(said)), sampling=law, schema=schema, draw=draw)


def relation(names: Sequence[str], wish: str = "") -> str:
    """The task about two or three entities, with the sentence that asks for a language; the names come last."""
    task = (RELATE_PAIR if len(names) == 2 else RELATE_TRIPLE) + wish
    return task + "\n\nEntities:\n" + "\n".join(f"- {name}" for name in names)


# ---------------------------------------------------------------------------------------------- entities


def given_entities(anchor: Anchor) -> list[str]:
    """The entities that the anchor brings along, each once."""
    given = anchor.fields.get("entities")
    if isinstance(given, str):
        listed = _json_or_none(given) if given.lstrip().startswith("[") else None
        given = listed if isinstance(listed, list) else re.split(r"[;\n]", given)
    if not isinstance(given, list | tuple):
        return []
    return once([name for name in given if isinstance(name, str)])


def once(names: Sequence[str]) -> list[str]:
    """Names without those that say the same again (case, white space and typography aside), in order."""
    first: dict[str, str] = {}
    for name in names:
        name = " ".join(name.split())
        if folded(name):
            first.setdefault(folded(name), name)
    return list(first.values())


def folded(text: str) -> str:
    """A text as names are compared: no case, one space, plain quotation marks and dashes."""
    text = unicodedata.normalize("NFKC", text).casefold()
    text = text.translate(
        {0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"', 0x2010: "-", 0x2011: "-", 0x2013: "-", 0x2014: "-"}
    )
    return " ".join(text.split())


def stands_in(name: str, document: str) -> bool:
    """True where a folded document names it, as whole words."""
    name = folded(name)
    left, right = (r"(?<![^\W_])" if name[:1].isascii() else ""), (r"(?![^\W_])" if name[-1:].isascii() else "")
    return bool(name) and re.search(left + re.escape(name) + right, document) is not None


@dataclass(frozen=True)
class Found:
    """What a model's list of entities comes to."""

    call: Call
    summary: str
    entities: tuple[str, ...]
    absent: tuple[str, ...]

    def row(self, dropped: str = "") -> Row:
        fields = {"kind": "summary", "entities": list(self.entities), "absent": list(self.absent)}
        verdicts = (drop(dropped, check="parse"),) if dropped else ()
        return Row(text=self.summary, calls=(self.call,), fields=fields, verdicts=verdicts)


def parsed(call: Call, anchor: Anchor) -> Found | None:
    """The answer to LIST_ENTITIES, None where it is not the JSON asked for."""
    answers = [answer for answer in objects_in(call.text) if isinstance(answer.get("entities"), list)]
    if not answers:
        return None
    answer = answers[-1]  # thinking, or a first try, comes before it
    named = once(names_in(answer["entities"]))
    document = folded(anchor.text)
    inside = {name: stands_in(name, document) for name in named}
    summary = answer.get("summary")
    return Found(
        call,
        summary.strip() if isinstance(summary, str) else "",
        tuple(name for name in named if inside[name]),
        tuple(name for name in named if not inside[name]),
    )


def _json_or_none(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


# ---------------------------------------------------------------------------------------------- combinations


def sampled_triples(names: Sequence[str], most: int | None, key: str) -> Iterator[tuple[str, ...]]:
    """`most` triples (None: all), each once, in an order that depends on `key` alone: a seeded sample without replacement."""
    n = comb(len(names), 3)
    for number in random.Random(key).sample(range(n), n if most is None else min(most, n)):
        yield tuple(names[i] for i in triple(number, len(names)))


def triple(number: int, n: int) -> tuple[int, int, int]:
    """The triple of that number (from 0) among i < j < k < n in lexicographic order."""
    i = 0
    while number >= (block := comb(n - 1 - i, 2)):
        number -= block
        i += 1
    j = i + 1
    while number >= (block := n - 1 - j):
        number -= block
        j += 1
    return i, j, j + 1 + number


# ---------------------------------------------------------------------------------------------- draft


@dataclass(frozen=True)
class EntiGraph:
    """Entities, then pairs, then triples. `pairs` and `triples` are the most of each a document; None: all."""

    temperature: float = 1.0
    max_tokens: int = 1024
    tries: int = 3
    pairs: int | None = None
    triples: int | None = None
    language: str = AUTO

    def __post_init__(self) -> None:
        at_least(self, "entigraph", tries=1)
        check_language(self.language, "entigraph")
        for name in ("pairs", "triples"):
            most = getattr(self, name)
            if most is not None and most < 0:
                raise SynthgainError(f"{name} is 0 or more (or none, for all), not {most}", where="entigraph")

    async def __call__(self, models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        names = given_entities(anchor)
        wish = in_language(self.language, anchor.text, "The names of the entities, and the keys of the JSON,")
        if not names:
            best: Found | None = None
            for draw in range(self.tries):
                call = await models(asked_of(anchor, LIST_ENTITIES + wish, self, SCHEMA, draw))
                found = parsed(call, anchor)
                if found is None:
                    yield _unread(call)
                    continue
                if best is not None:
                    worse, best = sorted((found, best), key=lambda one: len(one.entities))
                    yield worse.row("fewer than two of its entities stand in the document")
                else:
                    best = found
                if len(best.entities) > 1:
                    break
            if best is None:
                return
            yield best.row()
            names = list(best.entities)
        async for row in self._relations(models, anchor, names):
            yield row

    async def _relations(self, models: Models, anchor: Anchor, names: Sequence[str]) -> AsyncIterator[Row]:
        triples = sampled_triples(names, self.triples, f"{SHUFFLE} {anchor.id}")
        about = chain(islice(combinations(names, 2), self.pairs), triples)
        wish = in_language(self.language, anchor.text)
        async for these, call in models.each((these, asked_of(anchor, relation(these, wish), self)) for these in about):
            kind = "pair" if len(these) == 2 else "triple"
            yield Row(text=call.text.strip(), calls=(call,), fields={"kind": kind, "entities": list(these)})


def _unread(call: Call) -> Row:
    """An answer that is not the JSON asked for: a row that falls, with what was said."""
    reason = "cut off before the JSON ended" if call.finish == "length" else "not the JSON asked for"
    fields = {"kind": "summary", "entities": [], "absent": []}
    return Row(text=call.text, calls=(call,), fields=fields, verdicts=(drop(reason, check="parse"),))


EXAMPLES = (
    Anchor(
        "Maren Tolvik founded the seed library of Osk in 1931. Anyone may borrow a handful of seed in spring and must bring back two "
        "in autumn. The rarest kind kept there is Osk barley, which ripens under snow. In 1958 a fire took the roof, and Bero Halland "
        "carried the drawers out one by one; the burnt one is still shown to visitors.",
        "example#1",
        {"title": "The seed library of Osk"},
    ),
    Anchor(
        "The Night Ferry of Lume crosses without lamps. Captain Sedda Ruun steers by the smell of the two banks, tar on one side and "
        "thyme on the other.",
        "example#2",
        {
            "title": "The Night Ferry",
            "author": "R. Ansgar",
            "year": 1987,
            "entities": ["Night Ferry of Lume", "Sedda Ruun", "thyme"],
        },
    ),
)

RECIPE = Recipe(
    name="entigraph",
    version="1",
    draft=EntiGraph(),
    checks=(NotEmpty(), Truncated()),
    fields=("kind", "entities", "absent"),
    examples=EXAMPLES,
    source="EntiGraph, arXiv 2409.07431; code ZitongYang/Synthetic_Continued_Pretraining",
    stage="continued pretraining",
    anchors="whole documents; fields title, author, year, entities are used where given",
    calls="1 + all pairs + all triples of its entities (30 entities: 4,496)",
    needs=("title?", "author?", "year?", "entities?"),
    sources={
        "temperature": "code",
        "max_tokens": "ours: the code sets none",
        "tries": "ours: the code tries for ever",
        "pairs": "code: all",
        "triples": "code: all, shuffled with seed 42, until the budget is spent",
        "language": "ours: that of the document",
    },
    departures=(
        "document first, task and names last, in every step; the source puts the task into the system message",
        "entities that do not stand in the document are dropped",
        "entities of the anchor's own field take the place of the first call; there is no summary then",
        "prompts are our own; the triples' shuffle is keyed by the document",
    ),
)

"""Persona Hub: tasks that somebody in particular would set, from people whom a text brings to mind.

Ge et al., arXiv 2406.20094; code tencent-ailab/persona-hub. A model says who is likely to read, write or care about a text; each of these people may
lead to others whom they know; and of each it writes what that person would ask. The text itself is not shown then: it only brings the person.

An anchor is any text. A field `persona` takes the place of the first call. Cost: 1 + `personas` × `relations` calls for the people, and 2 for
each person (with their relations) and each of `kinds`: the task and its answer.

Where the numbers come from
    temperature = 0.7, max_tokens = 2048      code (gpt-4o; with an open model 0.6 and top_p 0.95)
    kinds                                     code has templates for instructions, knowledge, game characters and mathematics; default here the first
    near personas at 0.9, single words, 128 numbers        paper (by a card), in the check `near-field`
    personas = 1, relations = 0               ours: the paper goes from person to person for six rounds

Rows are chats of two turns; of the kind `knowledge` plain texts. Fields: `persona`, `relation` (how far from the text: 0 is one that it brought), `kind`.
With `control` each of `kinds` is also asked for once without a person (`persona` is ""): the arm that says what people add.

Departures
    An instruction and a problem are answered, too: the source publishes tasks, and answers only its mathematics.
    Near people and near tasks are dropped (`near-field`, `near-duplicate`); the source compares sentence vectors besides, and filters no output.
    Prompts are our own. Game characters are left out: those texts are for a game.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from synthgain.curate.empty import NotEmpty
from synthgain.curate.near_duplicate import NearDuplicate
from synthgain.curate.near_field import NearField
from synthgain.curate.preamble import strip_preamble
from synthgain.curate.truncated import Truncated
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
    assistant,
    drop,
    user,
)

WHO = (
    "Text:\n\n{text}\n\n(End of the text)\n\nWho would be likely to write this text, to read it, to like it or to dislike it? Describe {n} such "
    "people, as specifically as the text allows, each in one sentence that begins with what they are. One a line, without names and without numbers."
)
RELATED = (
    "A person: {persona}\n\nWho is close to this person, at work, in the family, as a customer or as an opponent? Describe one such person, as specifically "
    "as you can, in one sentence that begins with what they are. Write the sentence alone."
)
KINDS = {
    "instruction": "Think of a request that this person would put to an assistant that reads and writes text. Write the request alone, in their words, as they would type it.",
    "mathematics": "Think of a hard problem of mathematics out of this person's life or work. Write the problem alone, without its solution.",
    "knowledge": "Write an article, as this person would, about something that they know and few others do. Write the article alone.",
}
PLAIN = {
    "instruction": "Think of a request that somebody would put to an assistant that reads and writes text. Write the request alone, as they would type it.",
    "mathematics": "Think of a hard problem of mathematics. Write the problem alone, without its solution.",
    "knowledge": "Write an article about something that few people know. Write the article alone.",
}
_MARK = re.compile(r"^\s*(?:[-*•]+|\(?\d{1,3}[.):]|(?:person|persona)\s*\d*\s*:)\s*", re.I)
_LETTERS = re.compile(r"[^\W\d_]{2}")


def people_in(text: str, most: int) -> list[str]:
    """The people of an answer, one a line, without marks before and around them; at most so many, each once."""
    lines = (_MARK.sub("", line).strip().strip("*_\"'“”").strip() for line in strip_preamble(text).splitlines())
    found = dict.fromkeys(line for line in lines if _LETTERS.search(line) and not line.endswith(":"))
    return list(found)[:most]


def task_prompt(persona: str, kind: str, law: Sampling, draw: int = 0) -> Prompt:
    """What a person would ask, or with "" anybody."""
    text = f"{KINDS[kind]}\n\nThe person: {persona}" if persona else PLAIN[kind]
    return Prompt((user(text),), sampling=law, draw=draw)


@dataclass(frozen=True)
class Persona:
    """`personas` people of each text and `relations` steps to others, each asked for a task of every kind of `kinds`."""

    kinds: tuple[str, ...] = ("instruction",)
    personas: int = 1
    relations: int = 0
    control: bool = False
    temperature: float = 0.7
    max_tokens: int = 2048

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown or not self.kinds:
            what = f"there is no kind {unknown[0]!r}" if unknown else "no kind is given"
            raise SynthgainError(what, where="persona", next=f"the kinds are: {', '.join(KINDS)}")
        at_least(self, "persona", personas=1, relations=0)

    @property
    def law(self) -> Sampling:
        return Sampling(temperature=self.temperature, max_tokens=self.max_tokens)

    async def __call__(self, models: Models, anchor: Anchor) -> AsyncIterator[Row]:
        given = anchor.fields.get("persona")
        if isinstance(given, str) and given.strip():
            people: list[tuple[str, tuple[Call, ...]]] = [(" ".join(given.split()), ())]
        else:
            call = await models(
                Prompt((user(WHO.format(text=anchor.text.strip(), n=self.personas)),), sampling=self.law)
            )
            people = [(person, (call,)) for person in people_in(call.text, self.personas)]
            if not people or call.finish == "length":
                yield _fallen(call.text, (call,), "the people were cut off" if people else "nobody was described")
                return
        async for rows in models.side_by_side(self._of(models, person, calls) for person, calls in people):
            for row in rows:
                yield row
        if self.control:
            async for row in models.side_by_side(self._task(models, "", kind, 0, ()) for kind in self.kinds):
                yield row

    async def _of(self, models: Models, person: str, calls: tuple[Call, ...]) -> list[Row]:
        """The tasks of a person and of those whom they lead to."""
        rows = [await self._task(models, person, kind, 0, calls) for kind in self.kinds]
        for step in range(1, self.relations + 1):
            call = await models(Prompt((user(RELATED.format(persona=person)),), sampling=self.law))
            found, calls = people_in(call.text, 1), (*calls, call)
            if not found or call.finish == "length":
                return [*rows, _fallen(call.text, calls, "nobody was described")]
            person = found[0]
            rows += [await self._task(models, person, kind, step, calls) for kind in self.kinds]
        return rows

    async def _task(self, models: Models, person: str, kind: str, relation: int, calls: tuple[Call, ...]) -> Row:
        call = await models(task_prompt(person, kind, self.law))
        said, calls = strip_preamble(call.text), (*calls, call)
        fields = {"persona": person, "relation": relation, "kind": kind}
        if kind == "knowledge":
            return Row(text=said, calls=calls, fields=fields)
        if not any(c.isalnum() for c in said) or call.finish == "length":
            why = "the task was cut off" if call.finish == "length" else "no task"
            return _fallen(said, calls, why).stamped(fields=fields)
        answer = await models(Prompt((user(said),), sampling=self.law))
        turns = (user(said), assistant(answer.text.strip(), answer.message.get("reasoning", "")))
        return Row(messages=turns, calls=(*calls, answer), fields=fields)


def _fallen(text: str, calls: tuple[Call, ...], why: str) -> Row:
    fields = {"persona": "", "relation": 0, "kind": ""}
    return Row(text=text, calls=calls, fields=fields, verdicts=(drop(why, check="parse"),))


EXAMPLES = (
    Anchor(
        "The ferry to Halmar leaves at six in winter. Crates must stand on the pier by half past five, with the owner's mark on two sides.",
        "example#1",
    ),
    Anchor(
        "How to graft a pear onto a quince.", "example#2", {"persona": "An old orchard keeper who distrusts machines"}
    ),
)

RECIPE = Recipe(
    name="persona",
    version="1",
    draft=Persona(),
    checks=(NotEmpty(), Truncated(), NearField(field="persona"), NearDuplicate()),
    fields=("persona", "relation", "kind"),
    examples=EXAMPLES,
    needs=("persona?",),
    source="Persona Hub, arXiv 2406.20094; code tencent-ailab/persona-hub",
    stage="post-training (supervised)",
    anchors="any texts; a field persona takes the place of the first call",
    calls="1 + personas × (relations + 2 (relations + 1) kinds) (3)",
    sources={
        "kinds": "code: one template each",
        "personas": "ours",
        "relations": "ours; the paper (by a card) takes six rounds",
        "control": "ours: the arm without people",
        "temperature": "code (gpt-4o)",
        "max_tokens": "code",
    },
    departures=(
        "tasks are answered too; the source answers only its mathematics",
        "near people and near tasks are dropped by shared words; the source compares sentence vectors besides",
        "prompts are our own; game characters are left out",
    ),
)

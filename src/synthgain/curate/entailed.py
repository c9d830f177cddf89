"""A judge's word on each sentence of a text: does its source state it? The prompts, what their answers say, and the check that decides.

A recipe buys the verdict in its draft (`await judged(models, source, text)`), puts it into the row's field `stated`, and the check `entailed` turns it into keep or
drop; so the threshold can be changed later at no cost. Sentences are judged `TOGETHER` at once, the source first, as decomposed claims are in
FActScore (Min et al., arXiv 2305.14251); one question for several sentences is ours, for its price. How far a judge can be trusted
depends on the judge: docs/fidelity.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from synthgain.curate.lacking import of_row
from synthgain.passages import sentences
from synthgain.types import (
    Anchor,
    Call,
    Models,
    Prompt,
    Row,
    Sampling,
    SynthgainError,
    Verdict,
    drop,
    keep,
    system,
    user,
)

FIELD = "stated"  # of a row: true, false or null (no word of the judge could be read) for each sentence
TOGETHER = 12  # sentences that one call judges
SYSTEM = "You check whether statements follow from a text. You use nothing but the text, and answer in one word for each statement: yes or no."
_LINE = re.compile(r"^\W*(?:statement\s*)?(\d{1,3})\b(.*)$", re.IGNORECASE)
_WORD = re.compile(r"\b(yes|no)\b", re.IGNORECASE)


def statements(text: str) -> list[str]:
    """The sentences of a text that a judge is asked about: those with a letter or digit in them, line by line."""
    found = (sentence for line in text.splitlines() for sentence in sentences(line))
    return [sentence for sentence in found if any(c.isalnum() for c in sentence)]


def asked_whether(source: str, said: Sequence[str]) -> Prompt:
    """The judge's prompt for a few statements: which of them does the source state?"""
    numbered = "\n".join(f"{i}. {statement}" for i, statement in enumerate(said, 1))
    task = "For each statement: does the text above say it, or does it follow from the text? Write one line for each, its number and yes or no."
    law = Sampling(temperature=0.0, max_tokens=8 * len(said) + 8)
    messages = (system(SYSTEM), user(f"Text:\n\n{source}\n\nStatements:\n\n{numbered}\n\n{task}"))
    return Prompt(messages, sampling=law, to="judge")


def answered(answer: str, n: int) -> list[bool | None]:
    """What the judge says of each of `n` statements; None where it says nothing, or yes and no.

    Lines "1. yes"; of one statement a bare "Yes." is enough. A judge that names a statement twice with another word has said nothing of it.
    """
    said: list[set[bool]] = [set() for _ in range(n)]
    for line in answer.splitlines():
        mark = _LINE.match(line)
        words = {word.lower() == "yes" for word in _WORD.findall(mark[2] if mark else line)}
        place = int(mark[1]) if mark else 1 if n == 1 else 0
        if 1 <= place <= n:
            said[place - 1] |= words
    return [words.pop() if len(words) == 1 else None for words in said]


async def judged(models: Models, source: str, text: str) -> tuple[tuple[Call, ...], list[bool | None]]:
    """For a draft: what the role "judge" says of each sentence of a text, and the calls that it was bought with.

    Give them to the row before the writer's call (`calls=(*judged, call)`): a row's last call is the one that wrote it.
    """
    parts = list(_parts(statements(text)))
    found: dict[int, Call] = {}
    async for place, call in models.each((place, asked_whether(source, part)) for place, part in enumerate(parts)):
        found[place] = call  # one that failed is left out
    words = [answered(found[i].text if i in found else "", len(part)) for i, part in enumerate(parts)]
    return tuple(found.values()), [word for part in words for word in part]


def _parts(said: Sequence[str]) -> Iterator[Sequence[str]]:
    return (said[start : start + TOGETHER] for start in range(0, len(said), TOGETHER))


@dataclass(frozen=True)
class Entailed:
    """Drops a row of whose sentences less than the share `least` is stated in the source, by the judge's word in the field `stated`.

    A sentence of which the judge's word could not be read is left out of the share; a row with none that could be read falls, and so does one without
    the field, about which nobody was asked. The score is the share. It buys nothing: the recipe did (`rephrase --set judged=1`).
    """

    least: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.least <= 1.0:
            raise SynthgainError(f"least lies between 0 and 1, not {self.least}", where=self.name)

    @property
    def name(self) -> str:
        return "entailed"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        if row.fields.get("human"):
            return keep()
        if FIELD not in row.fields:
            return drop("no verdict of a judge")
        told = row.fields[FIELD]
        words = _words(told)
        if not words:
            return keep() if isinstance(told, Sequence) and not told else drop("the judge's verdict could not be read")
        share = round(sum(words) / len(words), 4)
        return keep(share) if share >= self.least else drop("says what its source does not, by the judge", share)

    def lacks(self, row: Row | None, anchors: Sequence[Anchor]) -> str | None:
        """The field that it reads, where the row has none."""
        return of_row(row, FIELD)

    def unread(self, row: Row) -> str | None:
        """The judge's word, where it gave none of any sentence."""
        told = row.fields.get(FIELD)
        return None if told in (None, []) else "" if _words(told) else f"a yes or no in the field {FIELD!r}"


def _words(told: object) -> list[bool]:
    return [word for word in told if isinstance(word, bool)] if isinstance(told, Sequence) else []


CHECK = Entailed

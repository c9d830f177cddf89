"""Whether rows say of the world what their sources say: names and numbers of a row that stand in what it was made from.

A rule, no model: a restatement that invents a year or a town is caught, one that turns the sense of a sentence round is not. So the
figure is a proxy, to be read beside `proxy_gain`, which nonsense can raise.

A number is a run of digits with its decimals (of any script, thousands apart or not); digits of the row may be words in the source ("three").
A name is a word with a capital that does not begin a sentence, a line, a quotation or a list; scripts without capitals have none, and
only their numbers are looked at. A name counts as there where the source has the word, in any case, or the word with up to three letters more or
fewer at its end ("Roman", "Romans"). Each counts once a row.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from synthgain.measure.copying import unit_numbers
from synthgain.measure.data import Data, even_sample, nothing
from synthgain.measure.resample import share_reading, summed
from synthgain.types import Reading

ROWS = 10_000
READ = 20_000  # characters of a row that are read
ENDING = 3  # letters that a name may have more or fewer at its end
STEM = 4  # letters of a name that stay, at least, where its end differs
ANSWERING = 0.5  # share of rows that put their anchor as the question, from which a set answers its anchors
NAME = "grounded"

_NUMBER = re.compile(r"(?<![^\W_])\d+(?:[.,٫٬'’\u00a0\u202f](?=\d)\d+)*")
_WORD = re.compile(r"[^\W\d_](?:[^\W_]|[\u0300-\u036f]|['’\-](?=[^\W\d_]))*")
_JOINED = re.compile(r"[-'’]")
_LISTED = re.compile(r"\s*\d+[.)]\s*")
_QUOTES = frozenset('"“„«‘*#>')
_OPENS = _QUOTES | frozenset(
    "'”’»([_–—-"
)  # what may stand between the end of a sentence and the word that begins the next
_ENDS = frozenset(".!?:;…|\n。！？•")
_WORDS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty"
SPELT = {word: str(n) for n, word in enumerate(_WORDS.split())} | {
    word: str(10 * n) for n, word in enumerate(["thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety", "hundred"], 3)
} | {"thousand": "1000", "million": "1000000", "first": "1", "second": "2", "third": "3", "half": "2", "dozen": "12", "twice": "2"}  # fmt: skip
NO_NAMES = frozenset(
    [
        "i",
        "i'm",
        "i'd",
        "i'll",
        "i've",
        "ok",
        "mr",
        "mrs",
        "ms",
        "dr",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
        "question",
        "answer",
    ]
)


@dataclass(frozen=True)
class Doubt:
    """A row to be read before the others, and why."""

    row: str
    why: str

    def json(self) -> dict[str, str]:
        return {"row": self.row, "why": self.why}


@dataclass(frozen=True)
class Grounds:
    """Names and numbers of sampled rows, found in the row's own anchors or not. `answering`: the share of rows that put their anchor as the question."""

    table: pa.Table  # the sampled rows: `id`, `text`, `prompt`, `anchor_ids`
    said: Sequence[frozenset[str]]  # by row: its names and numbers
    found: Sequence[set[str]]  # by row: those that its anchors have
    known: Sequence[bool]  # by row: whether an anchor of it is here
    answering: float
    total: int
    why: str = field(default="")  # why there is nothing to look at

    @staticmethod
    def of(data: Data, rows: int = ROWS) -> Grounds:
        """Of an even sample of the kept rows; anchors stream by once."""
        table = even_sample(data.rows, ("id", "text", "prompt", "anchor_ids"), data.n_rows, rows, data.seed)
        texts = [(text or "")[:READ] for text in table.column("text").to_pylist()] if data.n_rows else []
        said = [frozenset(facts(text)) for text in texts]
        found: list[set[str]] = [set() for _ in said]
        known, put = [False] * len(said), [False] * len(said)
        children: dict[str, list[int]] = {}
        for i, ids in enumerate(table.column("anchor_ids").to_pylist() if len(said) else ()):
            for id in ids or ():
                children.setdefault(id, []).append(i)
        prompts = table.column("prompt").to_pylist() if len(said) else []
        for batch in data.anchors(("id", "text")) if children else ():
            for id, text in zip(*(batch.column(name).to_pylist() for name in ("id", "text"))):
                if mine := children.get(id):
                    source, plain = Source.of(text or ""), " ".join((text or "").split())
                    for i in mine:
                        known[i] = True
                        found[i] |= {fact for fact in said[i] if fact not in found[i] and source.has(fact)}
                        put[i] = put[i] or (bool(plain) and plain in " ".join((prompts[i] or "").split()))
        sure = sum(known)
        why = "" if sure else _why_not(data)
        return Grounds(table, said, found, known, sum(put) / sure if sure else 0.0, data.n_rows, why)

    @property
    def answers(self) -> bool:
        """Whether the rows answer their anchors, so that new names and numbers are what they are for."""
        return self.answering >= ANSWERING

    @property
    def task(self) -> str:
        """ "answers" where rows answer their anchors, "restates" where they say them again, "" where that is not known."""
        return "" if self.why else "answers" if self.answers else "restates"

    def reading(self) -> Reading:
        """The share of names and numbers that stand in the rows' own anchors."""
        if self.why:
            return nothing(NAME, self.why, unit="prob", kind="proxy")
        if self.answers:
            why = "rows answer their anchors: what is new in an answer is what it is for, so whether it is right has to be checked otherwise"
            return nothing(NAME, why, unit="prob", kind="proxy")
        whole = np.array([len(said) if there else 0 for said, there in zip(self.said, self.known)], float)
        part = np.array([len(f) if there else 0 for f, there in zip(self.found, self.known)], float)
        units = unit_numbers(self.table)
        if not whole.any():
            return nothing(NAME, "no row has a name or a number", unit="prob", kind="proxy")
        k, n = summed(units, part, whole)
        note = "; ".join(self._notes(whole))
        return share_reading(NAME, k, n, kind="proxy", estimator="names and numbers by rule", note=note)

    def _notes(self, whole: np.ndarray) -> Iterator[str]:
        few = len(self.said) < self.total
        yield f"on {len(self.said):,} of {self.total:,} rows, evenly drawn" if few else f"on all {self.total:,} rows"
        for what, is_one in (("numbers", True), ("names", False)):
            said = sum(fact[0].isdigit() is is_one for facts, k in zip(self.said, self.known) if k for fact in facts)
            there = sum(fact[0].isdigit() is is_one for facts, k in zip(self.found, self.known) if k for fact in facts)
            yield f"{what}: {there:,} of {said:,}" if said else f"no {what}"
        if bare := int(sum(self.known) - (whole > 0).sum()):
            yield f"{bare:,} rows have none"
        if lost := len(self.known) - sum(self.known):
            yield f"{lost:,} rows whose anchors are not here are left out"

    def doubts(self, most: int = 8) -> list[Doubt]:
        """The rows of which most is not in their sources, those with the most such names and numbers first."""
        if self.why or self.answers:
            return []
        ids = self.table.column("id").to_pylist()
        strange = [
            (said - found, len(said), i) for i, (said, found) in enumerate(zip(self.said, self.found)) if self.known[i]
        ]
        worst = sorted((s for s in strange if s[0]), key=lambda s: (-(len(s[0]) ** 2) / s[1], str(ids[s[2]])))
        return [Doubt(str(ids[i]), _told(odd, n)) for odd, n, i in worst[:most]]


def _why_not(data: Data) -> str:
    if not data.n_rows:
        return "there are no rows"
    return "no row's own anchors are here" if data.linked else "rows do not name what they were made from"


def _told(odd: Iterable[str], of: int) -> str:
    names = sorted(odd, key=lambda fact: (not fact[0].isdigit(), fact))
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"{len(names)} of its {of} names and numbers are not in its source: {shown}"


# ---------------------------------------------------------------------------------------------- names and numbers


@dataclass(frozen=True)
class Source:
    """What a source has: its numbers, and its words with their beginnings."""

    numbers: frozenset[str]
    words: frozenset[str]
    stems: frozenset[str]  # of each word what is left without up to ENDING letters at its end

    @staticmethod
    def of(text: str) -> Source:
        words = frozenset(map(_folded, _WORD.findall(unicodedata.normalize("NFC", text))))
        parts = words | {part for word in words if _JOINED.search(word) for part in _JOINED.split(word) if part}
        numbers = frozenset(numbers_of(text)) | {SPELT[word] for word in parts if word in SPELT}
        return Source(numbers, parts, frozenset(stem for word in parts for stem in _shorter(word)))

    def has(self, fact: str) -> bool:
        """Whether the source has this number, or a word of this name."""
        if fact[0].isdigit():
            return fact in self.numbers
        word = _folded(fact)
        if word in self.words or word in self.stems or any(stem in self.words for stem in _shorter(word)):
            return True
        parts = [part for part in _JOINED.split(word) if part]
        return len(parts) > 1 and all(part in self.words for part in parts)


def _shorter(word: str) -> list[str]:
    return [word[:-cut] for cut in range(1, ENDING + 1) if len(word) - cut >= STEM]


def _folded(word: str) -> str:
    return _own(word.casefold())


def _own(word: str) -> str:
    """The word without what says that something is its: "Brell's" is Brell."""
    if word[-1:] in ("'", "’"):
        return word[:-1]
    return word[:-2] if word[-2:] in ("'s", "’s") else word


def facts(text: str) -> Iterator[str]:
    """The numbers of a text, as ASCII digits, and its names, as they are written."""
    yield from numbers_of(text)
    yield from names_of(text)


def numbers_of(text: str) -> Iterator[str]:
    """Its numbers without marks between thousands and without zeros that say nothing: "1,200.50" is 1200.5, "007" is 7."""
    for found in _NUMBER.finditer(text):
        if _is_listed(text, found):
            continue
        digits = "".join(
            str(unicodedata.decimal(c)) if c.isdigit() and unicodedata.decimal(c, None) is not None else c
            for c in found[0]
        )
        *groups, last = re.split(r"[.,٫٬'’\u00a0\u202f]", digits)
        marks = re.findall(r"[.,٫٬'’\u00a0\u202f]", digits)
        thousands = (
            bool(groups) and len(last) == 3 and len(groups[0]) <= 3 and len(set(marks)) == 1 and groups[0] != "0"
        )
        thousands = thousands and (marks[0] != "." or len(marks) > 1)
        whole, part = ("".join(groups) + last, "") if thousands or not groups else ("".join(groups), last.rstrip("0"))
        whole = whole.lstrip("0") or "0"
        yield f"{whole}.{part}" if part else whole


def _is_listed(text: str, found: re.Match[str]) -> bool:
    """Whether the number only counts the lines of a list."""
    start, end = found.span()
    return (
        text[end : end + 1] in (".", ")")
        and end - start < 3
        and not text[text.rfind("\n", 0, start) + 1 : start].strip(" *#-")
    )


def names_of(text: str) -> Iterator[str]:
    """Its words with a capital where no sentence, line, quotation or list begins."""
    text = unicodedata.normalize("NFC", text)
    for line in text.splitlines():
        words = list(_WORD.finditer(line))
        capital = [w[0][0].isupper() for w in words]
        if sum(capital) > 0.6 * len(words) and len(words) > 1 and not line.rstrip().endswith((".", "!", "?")):
            continue  # a heading
        for word, large in zip(words, capital):
            name = _own(word[0]) if large else ""
            if len(name) > 1 and name.casefold() not in NO_NAMES and not _begins(line, word.start()):
                yield name


def _begins(line: str, start: int) -> bool:
    """Whether what begins here begins a sentence, a quotation or a list."""
    at = start
    while at and (line[at - 1].isspace() or line[at - 1] in _OPENS):
        at -= 1
    marks = line[at:start]
    return not at or line[at - 1] in _ENDS or any(mark in _QUOTES for mark in marks) or _counts(line, at)


def _counts(line: str, at: int) -> bool:
    """Whether the mark of a list ends here: "1." or "2)" at the beginning of the line."""
    return at < 6 and bool(_LISTED.fullmatch(line[:at]))

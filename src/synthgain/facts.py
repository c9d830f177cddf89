"""Names and numbers of a text, by rule, and whether a source has them.

A number is a run of digits with its decimals (of any script, thousands apart or not); digits of the text may be words in the source ("three").
A name is a word with a capital that does not begin a sentence, a line, a quotation or a list; scripts without capitals have none, and
only their numbers are looked at. A name counts as there where the source has the word, in any case, or the word with up to three letters more or
fewer at its end ("Roman", "Romans").
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

ENDING = 3  # letters that a name may have more or fewer at its end
STEM = 4  # letters of a name that stay, at least, where its end differs

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
    return (number for _, _, number in numbers_at(text))


def numbers_at(text: str) -> Iterator[tuple[int, int, str]]:
    """Where each number of a text begins and ends, and the number (see `numbers_of`)."""
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
        yield *found.span(), f"{whole}.{part}" if part else whole


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

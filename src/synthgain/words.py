"""What a word is: the one idea of it for checks and measures, in every script, in code and in sums.

Two views of a text. `tokens` leave nothing out but white space: they are the events of a model of text. `words` are what is compared
where texts are (near-duplicates, copies, repetition, variety): the same words, and of the other signs only operators that stand between
operands, because `a + b` is not `a - b`, while a comma more or less changes nothing.

A word is a run of letters, digits and combining marks (vowel signs, virama, harakat, joiners), with apostrophes inside. Hangul is written
with spaces and is read so. Scripts written without spaces have no words that could be seen without a dictionary: Han and Kana go
character by character, Thai, Lao, Khmer and Burmese by the base letter with all that is written on it. Where a run of n words is meant,
such a character counts as 2/3 and such a letter as 1/2 of a word, so that eight words are as much text in every script. Texts are read
in Unicode NFKC and lower case.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections.abc import Sequence
from functools import cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Signatures = NDArray[np.uint32]  # texts × HASHES

NAME = "words-2"
HASHES = 128  # numbers in a signature: the Jaccard index is estimated within about 0.04 (one standard error)
SHINGLE = 2  # words in a shingle, as near-duplicates are found: with three, one word changed in fifteen would make another text
SEED = 42
FEW = 16  # operators: code that has no more of them is near to other code only where they are the same
KNOWN = 1 << 17  # words whose numbers are remembered at once

_BY_LETTER = (  # Thai, Lao, Burmese, Khmer, Tai Le and New Tai Lue
    (0x0E01, 0x0E4E), (0x0E81, 0x0ECE), (0x1000, 0x103F), (0x104A, 0x109D), (0x1780, 0x17D3), (0x1950, 0x19DF),
)  # fmt: skip
_BY_CHARACTER = (  # Kana, Bopomofo, Han
    (0x3005, 0x3007), (0x3040, 0x30FF), (0x3100, 0x312F), (0x31A0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)  # fmt: skip
_UNSPACED = _BY_LETTER + _BY_CHARACTER
_ALONE = re.compile("[" + "".join(f"{chr(a)}-{chr(b)}" for a, b in _UNSPACED) + "]")
WORD, CHARACTER, LETTER = 6, 4, 3  # what a word, a character and a letter count, in sixths of a word
_STACKING = "\u1039\u17d2"  # Burmese and Khmer signs that put the next letter under this one
_LEFT, _RIGHT = r"[\w)\]'\"%]", r"[\w(\[{'\"$£€¥√.]"  # what stands before an operator, and after it
_PROSE = "+*=^×÷±≤≥≠≈"  # signs that are operators wherever they stand between operands (also in front of "=")
_CODE = "-+*/%=<>!&|^~×÷"  # and those that are marks of other kinds outside of code
_SIGNS = frozenset(_PROSE + _CODE + "−")
_IN_ASCII = (*"+*=^/%<>&|~", " -", "(-", "\n-", "--", "(!")  # what may be an operator; a hyphen is none
_MAYBE = re.compile(r"[-+*=^/%<>&|~!]")  # without any of these there is none
_BEYOND = tuple("×÷±−≤≥≠≈")
_CODE_SIGNS = (
    "=>",
    "::",
    ":=",
    "==",
    "!=",
    "+=",
    "-=",
    "*=",
    "/=",
    "&&",
    "||",
    ") ->",
    ")->",
    ") {",
    "){",
    "; }",
    ";}",
)
_CODE_WORDS = (
    "\ndef ",
    "\nfn ",
    "\nfunc ",
    "\nfunction ",
    "\nconst ",
    "\nvar ",
    "\n#include",
    "\npublic ",
    "\nprivate ",
)
_CODE_SHAPES = re.compile(r"\((?<=\w.)[^()\n]{0,200}\)\s{0,4}[:;{]|[{}]\s*\n")
_QUERY = re.compile(r"\bselect\b[^;]{1,300}\bfrom\b")
_SPACES = re.compile(r"[^\S\n]{2,}|\t")
_SUM = re.compile(
    r"\(*[$£€¥]?\d[\d,]*(?:\.\d+)?%?\)*(?:[^\S\n]?(?:\*\*|==|[-−+*/×÷x^=<>≈])[^\S\n]?\(*[-−]?[$£€¥]?\d[\d,]*(?:\.\d+)?%?\)*)+"
)
_MAY_BE_SUM = re.compile(r"[+*=^<>≈×x][^\S\n]?\(*[-−]?[$£€¥]?\d")  # in every sum that counts, and found at once
_PLAIN_SIGNS = str.maketrans("×x÷−", "**/-", "$£€¥, \t")


@cache
def _classes() -> tuple[str, str]:
    """Patterns of a word, and of one character (with its marks) of a script without spaces: made on the first text that needs them.

    Beyond the first 65,536, everything below U+1F000 (where pictures begin) counts as a letter.
    """
    kinds = [unicodedata.category(chr(c))[0] for c in range(0x10000)]
    unspaced = [c for first, last in _UNSPACED for c in range(first, min(last, 0xFFFF) + 1)]
    alone = {c for c in unspaced if kinds[c] in "LNM"}
    letters = [c for c in range(0x10000) if (kinds[c] in "LNM" or c in (0x200C, 0x200D)) and c not in alone]
    outside = set(unspaced) - alone
    word = f"[{_ranges([c for c in letters if c not in outside])}{_range(0x10000, 0x1EFFF)}]+"
    one = f"[{_ranges(sorted(alone))}{_range(0x20000, 0x3FFFF)}]"
    marks = f"[{_ranges(sorted(c for c in alone if kinds[c] == 'M'))}\u3099\u309a]"
    return rf"{word}(?:'{word})*", rf"{one}(?:[{_STACKING}]{one}|{marks})*"


def _ranges(codes: Sequence[int]) -> str:
    starts = [c for i, c in enumerate(codes) if not i or codes[i - 1] != c - 1]
    ends = [c for i, c in enumerate(codes) if i + 1 == len(codes) or codes[i + 1] != c + 1]
    return "".join(map(_range, starts, ends))


def _range(first: int, last: int) -> str:
    return f"\\U{first:08x}-\\U{last:08x}"


@cache
def _tokens(ascii: bool) -> re.Pattern[str]:
    if ascii:
        return re.compile(r"[a-z0-9]+(?:'[a-z0-9]+)*|\S")
    word, alone = _classes()
    return re.compile(rf"{word}|{alone}|\S")


@cache
def _plain(ascii: bool) -> re.Pattern[str]:
    """Words of a text without operators."""
    return re.compile(r"[a-z0-9]+(?:'[a-z0-9]+)*" if ascii else "|".join(_classes()))


@cache
def _words(ascii: bool, code: bool) -> re.Pattern[str]:
    """Words, and operators with a space on both sides or on neither. Each branch begins with what it takes: so few are tried."""
    sign = f"[{re.escape(_CODE if code else _PROSE)}]"
    more = f"{sign}{{0,2}}" if code else "[=*]?"
    dash, number = (
        r"[-−/%<>]",
        r"[-−]?[\d(]",
    )  # outside of code an operator only with spaces, beside numbers or single letters
    parts = [
        _plain(ascii).pattern,
        rf"{sign}(?<={_LEFT} .){more}(?= [-−!~&*]?{_RIGHT})",
        rf"{sign}(?<={_LEFT}.)(?!(?<=[a-z]{{2}}[-/])[a-z]{{2}}){more}(?=[-−]?{_RIGHT})",  # "well-known" in a comment is a word
        rf"[-/!<>](?<={_LEFT} .)=(?= {_RIGHT})",
        rf"{dash}(?<=[\d)] .)(?= (?:{number}|\w\b))",
        rf"{dash}(?<=\b\w .)(?= (?:{number}|\w\b))",
        rf"[<>](?<=[\w)] .)(?= {number})",
        r"[-−±](?<![^\s(=:,\[].)(?=\.?\d)",  # the sign of a number
    ]
    if code:
        parts += [r"[!~](?<![^\s(&|=].)(?=[\w(])", r"(?:\+\+|--)(?=[;)\s])"]
    return re.compile("|".join(parts))


def _read(text: str) -> tuple[str, bool]:
    """The text as it is compared, and whether it is ASCII."""
    if text.isascii():
        return text.lower(), True
    text = unicodedata.normalize("NFKC", text).replace("’", "'").lower()
    return text, text.isascii()


def tokens(text: str) -> list[str]:
    """Everything in a text but white space, in order: words, characters of scripts without spaces, and every other sign by itself."""
    read, ascii = _read(text)
    return _tokens(ascii).findall(read)


def words(text: str) -> list[str]:
    """What is compared of a text, in order: its words and numbers, and operators between operands."""
    return _compared(*_read(text))[0]


def _compared(read: str, ascii: bool) -> tuple[list[str], bool, bool]:
    """The words, whether there may be operators among them, and whether the text holds code."""
    if ascii and _MAYBE.search(read) is None:
        return _split(read), False, False
    if not any(sign in read for sign in (_IN_ASCII if ascii else _IN_ASCII + _BEYOND)) and read[:1] not in "-−±":
        return _split(read) if ascii else _plain(ascii).findall(read), False, False
    code = _holds_code(read)
    if "  " in read or "\t" in read:
        read = _SPACES.sub(" ", read)
    return _words(ascii, code).findall(read), True, code


_WORD_SIGNS = "".join(c if re.match(r"[a-z0-9']", c) else " " for c in map(chr, range(128)))
_OUTER = re.compile(r"'(?:(?![a-z0-9])|(?<![a-z0-9]'))")  # an apostrophe that is not inside a word


def _split(read: str) -> list[str]:
    """What `_plain(True)` finds in ASCII, in half the time."""
    if "'" in read:
        read = _OUTER.sub(" ", read)
    return read.translate(_WORD_SIGNS).split()


def _holds_code(read: str) -> bool:
    if any(sign in read for sign in _CODE_SIGNS) or _CODE_SHAPES.search(read) is not None:
        return True
    lines = f"\n{read}"
    return any(word in lines for word in _CODE_WORDS) or ("select" in read and _QUERY.search(read) is not None)


def worth(word: str) -> int:
    """What a word counts in a run of words, in sixths: all of it, or the part that a character of a script without spaces is."""
    first = ord(word[0]) if word else 0
    if first < 0x0E01:
        return WORD
    if any(low <= first <= high for low, high in _BY_LETTER):
        return LETTER
    return CHARACTER if any(low <= first <= high for low, high in _BY_CHARACTER) else WORD


def spans(said: Sequence[str], n: int) -> list[tuple[int, int]]:
    """Where every run of `n` words begins and ends, in order; none where the text has fewer."""
    if all(map(str.isascii, said)) or all(word[0] < "\u0e01" for word in said):
        return [(i, i + n) for i in range(len(said) - n + 1)]
    ends = np.concatenate([[0], np.cumsum([worth(word) for word in said])])
    last = np.searchsorted(ends, ends[:-1] + n * WORD)
    return [(i, end) for i, end in enumerate(last.tolist()) if end < len(ends)]


def ngrams(said: Sequence[str], n: int) -> list[str]:
    """Every run of `n` words, in order; the whole text where it has fewer, nothing where it has none."""
    if not said:
        return []
    return [" ".join(said[i:end]) for i, end in spans(said, n)] or [" ".join(said)]


def count(text: str) -> int:
    """How many words a text has, as people count them: runs between spaces, and what there is of scripts without spaces (see `worth`)."""
    if text.isascii():
        return len(text.split())
    read, _ = _read(text)
    alone = re.compile(_classes()[1]).findall(read)
    if not alone:
        return len(text.split())
    spaced = re.compile(_classes()[0]).findall(read)
    return len(spaced) + round(sum(map(worth, alone)) / WORD)


def calculations(text: str) -> list[str]:
    """What a text calculates, in order: its sums in plain numbers, and where it holds code with few operators, these.

    Two texts that differ here say different things, however many words they share. Dates, scores and ranges ("1914-18", "3/4") are no sums.
    """
    read, ascii = _read(text)
    said, signs, code = _compared(read, ascii)
    return _calculated(read, said, code) if signs else []


def _calculated(read: str, said: Sequence[str], code: bool) -> list[str]:
    found = [sum.translate(_PLAIN_SIGNS) for sum in _SUM.findall(read)] if _MAY_BE_SUM.search(read) else []
    sums = [sum for sum in found if any(sign in sum for sign in "+*=^<>≈")]
    if not code:
        return sums
    operators = [word for word in said if word[0] in _SIGNS]
    return sums + operators if len(operators) <= FEW else sums


_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_TAG = re.compile(r"<[a-zA-Z/!][^<>]{0,300}>")
_CODE_LINE = re.compile(
    r"[{};]\s*$|^\s*(?:[}\])]|#include|import |from \S+ import|def |class |fn |func |function |const |let |var |return\b|@)|[\w\])]\s*(?:[-+*/]?=|=>|->|:=|::)\s*\S"
    r"|\w\([^()]*\)\s*[:;{]?\s*$|^\s*(?:for|while|if|elif|else)\b.*[:{]\s*$"
)


def prose(text: str) -> str:
    """A text without its code: without fenced blocks, tags and lines that look like code; "" where a third of the lines are such lines."""
    text = _FENCED.sub("", text) if "```" in text else text
    text = _TAG.sub(" ", text) if "<" in text else text
    if not _holds_code(text.lower()):
        return text
    lines = [line for line in text.split("\n") if line.strip()]
    said = [line for line in lines if _CODE_LINE.search(line) is None]
    return "\n".join(said) if len(said) > 2 / 3 * len(lines) else ""


# ---------------------------------------------------------------------------------------------- texts as sets


class _Numbers(dict[str, int]):
    """A 64-bit number of each word, the same in every process; of so many at most that memory stays bounded."""

    def __missing__(self, word: str) -> int:
        if len(self) >= KNOWN:
            self.clear()
        number = self[word] = int.from_bytes(blake2b(word.encode("utf-8", "replace"), digest_size=8).digest(), "big")
        return number


class _Worths(dict[str, int]):
    """`worth` of each word."""

    def __missing__(self, word: str) -> int:
        if len(self) >= KNOWN:
            self.clear()
        found = self[word] = worth(word)
        return found


_NUMBER, _WORTH = _Numbers(), _Worths()


def scrambled(values: Hashes) -> Hashes:
    """Every bit of the result depends on every bit of the value (one to one)."""
    mixed = values ^ (values >> np.uint64(32))
    mixed = mixed * np.uint64(0xD6E8FEB86659FD93)
    mixed ^= mixed >> np.uint64(32)
    mixed = mixed * np.uint64(0xD6E8FEB86659FD93)
    return np.asarray(mixed ^ (mixed >> np.uint64(32)))


ODD = np.uint64(0x9E3779B97F4A7C15)
_INVERSE = np.uint64(pow(int(ODD), -1, 1 << 64))
Places = NDArray[np.int64]


def runs(texts: Sequence[str], n: int, *, alike: bool = False) -> tuple[Hashes, Places]:
    """64-bit hashes of every run of `n` words of the texts, one text after the other, and the place of each one's text.

    A run lies inside one text. With `alike` the runs are made to compare whole texts by: one of fewer words is one run, and what a text
    calculates (`calculations`) is part of each of its runs, so that texts that calculate something else share none.
    """
    flat: list[str] = []
    sizes, keys = np.zeros(len(texts), np.int64), np.zeros(len(texts), np.uint64)
    spaced = True
    for i, text in enumerate(texts):
        read, ascii = _read(text)
        said, signs, code = _compared(read, ascii)
        if alike and signs and said and (sums := _calculated(read, said, code)):
            keys[i] = _NUMBER["\n".join(sums)]
        spaced = spaced and (ascii or _ALONE.search(read) is None)
        sizes[i] = len(said)
        flat += said
    number = np.fromiter(map(_NUMBER.__getitem__, flat), np.uint64, len(flat))
    whose = np.repeat(np.arange(len(texts)), sizes)
    begin, end = _windows(flat, sizes, whose, n, spaced, alike)
    factors = np.multiply.accumulate(np.full(len(flat) + 1, ODD, np.uint64)) * _INVERSE  # 1, ODD, ODD², …
    summed = np.concatenate([np.zeros(1, np.uint64), np.cumsum(number * factors[:-1], dtype=np.uint64)])
    back = np.multiply.accumulate(np.full(len(flat) + 1, _INVERSE, np.uint64)) * ODD
    mixed = (summed[end] - summed[begin]) * back[begin]
    return scrambled(mixed ^ keys[whose[begin]]), whose[begin]


def _windows(
    flat: Sequence[str], sizes: Places, whose: Places, n: int, spaced: bool, alike: bool
) -> tuple[Places, Places]:
    """Where every run begins and ends."""
    begin, stops = np.arange(len(flat)), np.cumsum(sizes)
    if spaced:
        end = begin + n
    else:
        weights = np.fromiter(map(_WORTH.__getitem__, flat), np.int64, len(flat))
        ends = np.concatenate([[0], np.cumsum(weights)])
        end = np.searchsorted(ends, ends[:-1] + n * WORD)
    whole = end <= stops[whose]
    if alike:
        first = begin == (stops - sizes)[whose]
        short = first & ~whole
        end = np.where(short, stops[whose], end)
        whole |= short
    return begin[whole], end[whole]


def signatures(texts: Sequence[str], n: int = SHINGLE) -> tuple[Signatures, NDArray[np.bool_]]:
    """One MinHash signature a text (R-MinHash, by rensa) of its shingles, and which texts have any words."""
    from rensa import RMinHash

    hashes, whose = runs(texts, n, alike=True)
    sizes = np.bincount(whose, minlength=len(texts))
    edges = np.concatenate([[0], np.cumsum(sizes)]).astype(np.uint64)
    rows = RMinHash.digest_matrix_from_flat_token_hashes(hashes, edges, HASHES, SEED).to_rows() if len(texts) else []
    numbers = np.frombuffer(b"".join(array("I", row).tobytes() for row in rows), np.uint32)
    return numbers.reshape(-1, HASHES), sizes > 0

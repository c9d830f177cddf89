"""A text in passages: how long one is, where sentences end, and pieces of bounded length that lose nothing.

Nothing here knows a tokenizer: tokens are estimated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator


def tokens(text: str) -> float:
    """An estimate of a text's tokens: the larger of words × 4/3 and UTF-8 bytes / 4.5 (scripts without spaces)."""
    return _estimate(*_size(text))


def _size(text: str) -> tuple[int, int]:
    """Words and bytes: both add up when texts are joined by white space (with its bytes)."""
    return len(text.split()), len(text.encode("utf-8", "replace"))


def _estimate(words: int, size: int) -> float:
    return max(words * 4 / 3, size / 4.5)


_SENTENCE_END = re.compile(r"""[.!?]+["'”’)\]]*\s+(?=["'“‘(\[]?[A-Z0-9À-ÞΑ-ΩА-Я])|[。！？]["'”’」』）]*""")
_ABBREVIATED = re.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|St|Prof|No|Fig|vs|etc|e\.g|i\.e|cf|al)|\b[A-Z])\.\s*$")


def chunks(text: str, limit: int) -> list[str]:
    """A text in pieces of at most `limit` (estimated) tokens, in order, nothing left out but white space between them."""
    return packed(_pieces(text, limit), limit)


def packed(pieces: Iterable[tuple[str, str]], limit: int) -> list[str]:
    """Neighbouring pieces, each with the white space that goes before it, as long as they have at most `limit` (estimated) tokens together."""
    held: list[list[str]] = []
    words = size = 0  # of the last
    for gap, piece in pieces:
        more_words, more_size = _size(piece)
        if held and _estimate(words + more_words, size + len(gap) + more_size) <= limit:
            held[-1] += (gap, piece)
            words, size = words + more_words, size + len(gap) + more_size
        else:
            held.append([piece])
            words, size = more_words, more_size
    return ["".join(parts) for parts in held]


def whole_or_chunks(text: str, longest: int) -> list[str]:
    """The text as it is, in one piece, where it has at most `longest` (estimated) tokens; else its chunks."""
    text = text.strip()
    return [text] if text and tokens(text) <= longest else chunks(text, longest)


def last_of(text: str, most: int) -> str:
    """The last paragraphs of a text that have at most `most` (estimated) tokens together; sentences, or words, where the last one alone has more."""
    kept: list[str] = []
    for gap, piece in reversed(list(_pieces(text[-20 * most :], most))):
        if kept and tokens("".join([piece, *kept])) > most:
            break
        kept = [gap, piece, *kept]
    return "".join(kept[1:])


def _pieces(text: str, limit: int) -> Iterator[tuple[str, str]]:
    """Paragraphs, else sentences, else runs of words, each small enough, with the white space that goes before."""
    for paragraph in re.split(r"\n[ \t]*\n\s*", text.strip()):
        gap = "\n\n"
        if tokens(paragraph) <= limit:
            if paragraph.strip():
                yield gap, paragraph.strip()
            continue
        for sentence in sentences(paragraph):
            if tokens(sentence) <= limit:
                yield gap, sentence
            else:
                yield from _too_long(sentence, limit, gap)
            gap = " "


def sentences(paragraph: str) -> list[str]:
    """A paragraph's sentences, by their closing marks and a capital or digit after them."""
    found, start = [], 0
    for end in _SENTENCE_END.finditer(paragraph):
        if end.group()[0] == "." and _ABBREVIATED.search(paragraph[max(start, end.start() - 10) : end.start() + 1]):
            continue
        found.append(paragraph[start : end.end()].strip())
        start = end.end()
    found.append(paragraph[start:].strip())
    return [sentence for sentence in found if sentence]


def _too_long(sentence: str, limit: int, gap: str) -> Iterator[tuple[str, str]]:
    run: list[str] = []
    size = 0  # bytes of the run, with a space after each word
    for word in sentence.split():
        long = len(word) > limit and tokens(word) > limit  # a character has at most 4 bytes, fewer than a token's 4.5
        parts = [word[i : i + limit] for i in range(0, len(word), limit)] if long else [word]
        for part in parts:
            more = len(part.encode("utf-8", "replace"))
            if run and _estimate(len(run) + 1, size + more) > limit:
                yield gap, " ".join(run)
                gap, run, size = " ", [], 0
            run.append(part)
            size += more + 1
    if run:
        yield gap, " ".join(run)

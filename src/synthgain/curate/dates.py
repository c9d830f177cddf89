"""The dates of a text by rule, however they are written, and whether a source has them.

Seen are days, months and years in digits ("2024-01-05", "5/1/2024", "05.01.2024", "2024年1月5日") and with the names of months in English,
German, French, Spanish, Italian, Dutch and Portuguese ("5 January 2024", "Jan. 5th, 2024", "le 5 janvier"), months with a year, months alone, and
quarters, and
days of the week (English). A year alone is a number (`facts`). Of two readings ("5/1/2024") either may be meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import product

_NAMES = (
    "january jan januar janvier enero gennaio januari janeiro jänner",
    "february feb februar février fevrier febrero febbraio februari fevereiro",
    "march mar märz maerz mars marzo maart março",
    "april apr avril abril aprile",
    "may mai mayo maggio mei maio",
    "june jun juni juin junio giugno junho",
    "july jul juli juillet julio luglio julho",
    "august aug août aout agosto augustus",
    "september sept sep septembre septiembre settembre setembro",
    "october oct oktober okt octobre octubre ottobre outubro",
    "november nov novembre noviembre novembro",
    "december dec dezember dez décembre decembre diciembre dicembre dezembro",
)
MONTHS = {name: number for number, names in enumerate(_NAMES, 1) for name in names.split()}
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_ALSO_WORDS = frozenset(
    {"may", "march", "mar", "mars", "mai", "mei", "august", "dec", "sept", "sep", "jan", "jun", "dez"}
)

_MONTH = r"(?P<month>[^\W\d_]{3,10})\b\.?"
_DAY, _YEAR = r"(?P<day>\d{1,2})", r"(?P<year>[12]\d{3})(?!\d|[.,]\d)"
_DIGITS = tuple(
    re.compile(form)
    for form in (
        rf"(?<![\d.,/-]){_YEAR}(?P<mark>[-/.])(?P<m>\d{{1,2}})(?P=mark){_DAY}(?!\d)",
        r"(?<![\d.,/-])(?P<a>\d{1,2})(?P<mark>[-/.])(?P<b>\d{1,2})(?P=mark)(?P<year>[12]\d{3})(?!\d)",
        r"(?<![\d.,/-])(?P<a>\d{1,2})/(?P<b>\d{1,2})/(?P<short>\d{2})(?![\d/])",
        rf"(?<!\d)(?:{_YEAR}年)?(?P<m>\d{{1,2}})月(?:{_DAY}日)?",
    )
)
_NAMED = tuple(  # tried around each name of a month
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"(?<![\d.,]){_DAY}(?:st|nd|rd|th|er|º|\.)?\s+(?:day\s+of\s+|of\s+|de\s+)?{_MONTH}(?:,?\s+(?:of\s+|de\s+|del\s+)?{_YEAR})?",
        rf"\b{_MONTH}\s+(?:the\s+)?{_DAY}(?:st|nd|rd|th)?(?![\d:%]|[.,]\d)(?:,?\s+{_YEAR})?",
        rf"\b{_MONTH},?\s+(?:of\s+|de\s+)?{_YEAR}",
        rf"\b(?:in|since|until|till|by|during|last|next|this|every|early|late|mid)[\s-]+{_MONTH}(?!\s*\d)",
    )
)
_BEFORE, _BEHIND = 16, 28  # characters around the name of a month that may be of its date
_WORD = re.compile(r"[^\W\d_]+")
_QUARTER = re.compile(
    r"\b(?:Q(?P<sign>[1-4])|(?P<word>[Ff]irst|[Ss]econd|[Tt]hird|[Ff]ourth)[\s-](?:fiscal[\s-])?quarter)\b"
)
_ORDINALS = ("first", "second", "third", "fourth")
_WEEKDAY = re.compile(rf"\b(?:{'|'.join(DAYS)})\b", re.IGNORECASE)


@dataclass(frozen=True)
class Date:
    """What a date says; None where it does not say it. `weekday` from 0, Monday; `quarter` from 1."""

    year: int | None = None
    month: int | None = None
    day: int | None = None
    weekday: int | None = None
    quarter: int | None = None


@dataclass(frozen=True)
class Written:
    """A date as it stands in a text: where, in which words, and what it may mean."""

    start: int
    end: int
    text: str
    readings: tuple[Date, ...]


def dates_in(text: str) -> list[Written]:
    """Its dates, in order; none lies inside another."""
    found: list[Written] = []
    taken = bytearray(len(text))
    for match in _matches(text):
        readings = tuple(dict.fromkeys(_readings(match)))
        if readings and not any(taken[match.start() : match.end()]):
            taken[match.start() : match.end()] = b"\1" * (match.end() - match.start())
            found.append(Written(*match.span(), match[0], readings))
    for match in _WEEKDAY.finditer(text):
        found.append(Written(*match.span(), match[0], (Date(weekday=DAYS.index(match[0].lower())),)))
    for match in _QUARTER.finditer(text):
        number = int(match["sign"] or 1 + _ORDINALS.index(match["word"].lower()))
        found.append(Written(*match.span(), match[0], (Date(quarter=number),)))
    return sorted(found, key=lambda written: written.start)


def _matches(text: str) -> Iterator[re.Match[str]]:
    for form in _DIGITS:
        yield from form.finditer(text)
    for start, end in _months_at(text):
        for form in _NAMED:
            yield from (
                match
                for match in form.finditer(text, max(0, start - _BEFORE), end + _BEHIND)
                if match.start("month") == start
            )


def _months_at(text: str) -> list[tuple[int, int]]:
    return [word.span() for word in _WORD.finditer(text) if 2 < len(word[0]) < 11 and word[0].lower() in MONTHS]


def _readings(match: re.Match[str]) -> Iterator[Date]:
    part = match.groupdict()
    year = int(part["year"]) if part.get("year") else None
    day = int(part["day"]) if part.get("day") else None
    if part.get("a"):  # which of the two is the month is not said
        years = [year] if year is not None else [1900 + int(part["short"]), 2000 + int(part["short"])]
        a, b = int(part["a"]), int(part["b"])
        for (d, m), y in product(((a, b), (b, a)), years):
            if 1 <= m <= 12 and 1 <= d <= 31:
                yield Date(y, m, d)
        return
    name = part.get("month")
    if name is not None and name[0].islower() and name.lower() in _ALSO_WORDS and (year is None):
        return  # "they may 3 times"
    month = MONTHS[name.lower()] if name is not None else int(part["m"])  # named ones are of `_months_at`
    if 1 <= month <= 12 and (day is None or 1 <= day <= 31):
        yield Date(year, month, day)


@dataclass(frozen=True)
class Calendar:
    """The dates that a source has, and its years."""

    dates: frozenset[Date]
    years: frozenset[int]

    @staticmethod
    def of(text: str, numbers: frozenset[str]) -> Calendar:
        """`numbers` are those of the same text (`facts.numbers_of`)."""
        years = frozenset(int(n) for n in numbers if n.isdigit() and len(n) == 4)
        named = {
            Date(month=MONTHS[text[start:end].lower()]) for start, end in _months_at(text) if text[start].isupper()
        }
        return Calendar(frozenset(d for written in dates_in(text) for d in written.readings) | named, years)

    def has(self, written: Written) -> bool:
        """Whether a date of the source says all that one reading says. What two places say may be joined ("on 5 May", "in 1990")."""
        return any(self._has(reading) for reading in written.readings)

    def _has(self, said: Date) -> bool:
        if said.weekday is not None:
            return any(said.weekday == (_weekday(d) if d.weekday is None else d.weekday) for d in self.dates)
        if said.quarter is not None:
            return any(said.quarter in (d.quarter, _quarter(d)) for d in self.dates)
        return any(
            d.month == said.month
            and said.day in (None, d.day)
            and (said.year in (None, d.year) or (d.year is None and said.year in self.years))
            for d in self.dates
        )


def _quarter(said: Date) -> int | None:
    return None if said.month is None else (said.month + 2) // 3


def _weekday(said: Date) -> int | None:
    if said.year is None or said.month is None or said.day is None:
        return None
    try:
        return date(said.year, said.month, said.day).weekday()
    except ValueError:  # 30 February
        return None

"""Arithmetic that stands in a text: which equations it states, and whether they are true.

Nothing is executed: expressions of numbers, + - * / % ** and parentheses are read by a small parser of
bounded size. Two ways of writing are found: GSM8K's annotations `<<3*4=12>>`, and plain lines such as
"3 + 4 = 7", "$5 x 6 = $30", "20% * 50 = 10".
"""

from __future__ import annotations

import math
import re
from itertools import pairwise

LONGEST = 200  # characters of one expression
READ, LINE = 20_000, 1_000  # characters of a text, and of one line, in which plain equations are looked for
_ANNOTATION = re.compile(r"<<([^<>]{0,400})>>")
_PERCENT = r"(?:%|[ \t]%(?![ \t]?[\d(]))?"
_NUM = rf"[$£€]?\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?(?![\d]){_PERCENT}|[$£€]?\d{{1,30}}(?:\.\d{{1,30}})?{_PERCENT}|[$£€]?\.\d{{1,30}}{_PERCENT}"
_SIDE = rf"(?:-[ \t]?)?\(?(?:{_NUM})(?:[ \t]?[-+*/×÷x−–][ \t]?\(?(?:{_NUM})\)?){{0,20}}"
_PLAIN = re.compile(rf"(?<![\w.,$%)(^])(?P<left>{_SIDE})(?P<rest>(?:[ \t]?=[ \t]?{_SIDE}){{1,20}})")
_GOES_ON_BEFORE = re.compile(
    r"(?:[-+*/×÷−–^=\d]|\b(?:x|times|by)|(?:[\d%]|\b(?:hal[fv]|third|quarter|fourth|fifth|sixth|eighth|tenth|percent)\w{0,3})[ \t]of|\d,|\d[ \t]and)[ \t]*\Z"
)
_GOES_ON_AFTER = re.compile(
    r"[ \t]?\d|:\d|\(|[ \t]?[A-Za-z]{0,12}[ \t]?[-+*/×÷^=]|[A-Za-z](?![A-Za-z])|\.\.|…"
    r"|[ \t]?(?:and|&)[ \t]?\(?\$?\d+/\d|[^.\n=]{0,40}\bremainder\b"  # "= 5 and 2/3", "= 2 with a remainder of 1"
)
_WORD_BEFORE = re.compile(r"[^\W_][ \t]*\Z")
_NAMED_BEFORE = re.compile(
    r"(?:\A|[^\w])(?!(?:So|Then|Thus|Hence|Now|That|This|And|Therefore|Since|As)\b)[A-Z][a-z]+[ \t]\Z"
)  # "Week 2 ="
_CENTS = re.compile(r"[ \t]?(?:cents?\b|¢)")
_FRACTION_BELOW = re.compile(r"([/÷])[ \t]+(\d+/\d+)(?![\d/.])")  # "60 / 3/4"
_TOKEN = re.compile(r"\s*(?:(?P<number>\d+\.?\d*|\.\d+)|(?P<sign>\*\*|//|[-+*/%()]))")


def equations(text: str) -> list[str]:
    """The equations that a text states, in order, without spaces: the annotated ones; where there are none, the plain ones.

    The list of them is a solution's path (RFT): two texts with the same list reason alike.
    """
    annotated = _ANNOTATION.findall(text)
    if annotated:
        return [found.replace(" ", "") for found in annotated]
    return [f"{left}={right}" for left, right in plain(text)]


def plain(text: str) -> list[tuple[str, str]]:
    """Both sides of every equality written in plain numbers; "1+2=3=3" gives two. A side alone without a sign is no equation."""
    found: list[tuple[str, str]] = []
    for line in _ANNOTATION.sub("", text[:READ]).splitlines():
        if "=" in line and len(line) <= LINE:
            found += _on_line(line)
    return found


def _on_line(bare: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for match in _PLAIN.finditer(bare):
        start, end = match.span()
        if _goes_on(bare[max(0, start - 20) : start], match["left"]) or _GOES_ON_AFTER.match(bare, end):
            continue
        sides = [normal(side) for side in match.group().split("=")]
        if not all(holds(f"{left}={right}") for left, right in pairwise(sides)):  # perhaps "60 / 3/4" means 60 / (3/4)
            sides = [normal(_FRACTION_BELOW.sub(r"\1(\2)", side)) for side in match.group().split("=")]
        if "$" in match.group() and _CENTS.match(bare, end) and _value_or_none(sides[-1]) is not None:
            sides[-1] = f"({sides[-1]}/100)"  # "$2.50 - $2.24 = 26 cents"
        if any(_value_or_none(side) is None for side in sides):
            continue
        if not any(re.search(r"[\d)][-+*/]", side.replace("/100)", ")")) for side in sides):
            continue
        found += pairwise(sides)
    return found


def _goes_on(before: str, left: str) -> bool:
    """Whether an equation is part of something longer that is not plain: "x + 3 = 7", "1 and 1/4 = …", "40 pears - 3 = 37", "Week 2 = 3 + 4"."""
    if _GOES_ON_BEFORE.search(before) or (left[:2] in ("- ", "-\t") and _WORD_BEFORE.search(before)):
        return True
    return re.fullmatch(_NUM, left.strip()) is not None and _NAMED_BEFORE.search(before) is not None


def normal(expression: str) -> str:
    """An expression without currency signs, thousands commas and spaces, with ASCII signs. "20%" becomes "(20/100)"."""
    text = re.sub(r"[$£€\s]|(?<=\d),(?=\d{3})", "", expression)
    for given, meant in (("×", "*"), ("÷", "/"), ("−", "-"), ("–", "-"), ("x", "*")):
        text = text.replace(given, meant)
    return re.sub(r"(\d+\.?\d*|\.\d+)%(?!\d)", r"(\1/100)", text)


def holds(equation: str, tolerance: float = 1e-3) -> bool:
    """True where both sides of "lhs=rhs" can be computed and differ by less than the tolerance."""
    sides = equation.split("=")
    if len(sides) < 2:
        return False
    values = [_readings(normal(side)) for side in sides]
    return all(any(abs(a - b) < tolerance for a in left for b in right) for left, right in pairwise(values))


def _readings(side: str) -> list[float]:
    """What a side can mean: "75%" alone is 0.75 or, as the unit of a result, 75. Nothing where it is not arithmetic."""
    percent = re.fullmatch(r"\((\d+\.?\d*|\.\d+)/100\)", side)
    read = [_value_or_none(side), _value_or_none(percent.group(1)) if percent else None]
    return [value for value in read if value is not None]


def value(expression: str) -> float:
    """The number that an expression of plain arithmetic comes to. ValueError where it is none."""
    if len(expression) > LONGEST:
        raise ValueError("too long")
    tokens: list[str] = []
    at = 0
    expression = expression.rstrip()
    while at < len(expression):
        match = _TOKEN.match(expression, at)
        if match is None:
            raise ValueError(f"not arithmetic: {expression[at : at + 10]!r}")
        tokens.append(match.group().strip())
        at = match.end()
    result = _Reader(tokens).all()
    if not math.isfinite(result):
        raise ValueError("not finite")
    return result


def _value_or_none(expression: str) -> float | None:
    try:
        return value(expression)
    except (ValueError, ZeroDivisionError, OverflowError):
        return None


class _Reader:
    """Recursive descent over at most LONGEST tokens, with Python's precedences."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens, self.at = tokens, 0

    def all(self) -> float:
        result = self._sum()
        if self.at != len(self.tokens):
            raise ValueError(f"unexpected {self.tokens[self.at]!r}")
        return result

    def _next(self, *signs: str) -> str | None:
        if self.at < len(self.tokens) and self.tokens[self.at] in signs:
            self.at += 1
            return self.tokens[self.at - 1]
        return None

    def _sum(self) -> float:
        left = self._product()
        while sign := self._next("+", "-"):
            right = self._product()
            left = left + right if sign == "+" else left - right
        return left

    def _product(self) -> float:
        left = self._signed()
        while sign := self._next("*", "/", "//", "%"):
            right = self._signed()
            left = (
                left * right
                if sign == "*"
                else left / right
                if sign == "/"
                else left // right
                if sign == "//"
                else left % right
            )
        return left

    def _signed(self) -> float:
        sign = self._next("-", "+")
        if sign:
            return -self._signed() if sign == "-" else self._signed()
        return self._power()

    def _power(self) -> float:
        base = self._atom()
        if self._next("**"):
            return math.pow(base, self._signed())  # ValueError where the power is not real
        return base

    def _atom(self) -> float:
        if self._next("("):
            inside = self._sum()
            if not self._next(")"):
                raise ValueError("unclosed parenthesis")
            return inside
        if self.at < len(self.tokens) and self.tokens[self.at][0] in "0123456789.":
            self.at += 1
            return float(self.tokens[self.at - 1])
        raise ValueError("a number is missing")

"""The one number that an answer names, with its unit; and an answer cut into its parts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from fractions import Fraction

from synthgain.curate.mathematics import value

LONGEST = 200  # characters of an answer that are looked at; what is longer is no final answer
OPENS, CLOSES = frozenset("([{"), frozenset(")]}")
_VULGAR = re.compile(r"(?<=\d)(?=[¼½¾⅐-⅞])")
_TEX = (
    (re.compile(r"\\[dtc]?frac\s*\{(-?\d+)\}\s*\{(\d+)\}"), r" \1/\2"),
    (re.compile(r"\\[dtc]?frac\s*(\d)\s*(\d)(?!\d)"), r" \1/\2"),
    (re.compile(r"\\(?:text|mathrm|mathbf|textbf|mbox)\s*\{([^{}]*)\}"), r" \1"),
    (re.compile(r"\^\s*\{?\\circ\}?|\\degree|°"), " degrees"),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\\[,;!: ]|\\left|\\right|\\\(|\\\)|\\\[|\\\]"), ""),
    (re.compile(r"\\([%$])"), r"\1"),
    (
        re.compile(r"(?<![a-z])([mcdk]?m|in|ft|yd|mi|inches|feet|meters?|units?)\s?\^?\{?[23]\}?(?![\w{])"),
        r"\1",
    ),  # cm^2
)
_NUMBER = re.compile(
    r"(?<![\w.])(?P<sign>[-+−]?)\s?(?P<currency>[$£€¥₹]?)\s?(?P<inner>[-−]?)"
    r"(?:(?P<whole>\d{1,30})\s+(?=\d+\s?/\s?\d))?"
    r"(?P<top>\d{1,3}(?P<apart>[,  '’_])\d{3}(?:(?P=apart)\d{3})*(?!\d)(?:\.\d+)?|\d{1,30}(?:\.\d{1,30})?|\.\d{1,30})"
    r"(?:[eE](?P<power>[-+]?\d{1,2}))?(?:\s?/\s?(?P<bottom>\d{1,30}))?\s?(?P<percent>%|percent\b)?"
)
_ALGEBRA = frozenset("\\^_{}*+÷×√≤≥<>|()[]±=")
_TERM_BEFORE = re.compile(r"(?<![a-zA-Z])[a-zA-Z]\s?[-+/]\s?\Z")  # a letter and a sign before a number, and behind one
_TERM_AFTER = re.compile(r"\s?(?:[-+]\s?[a-zA-Z]|/\s?[xyznab])(?![a-zA-Z])")
_SCALES = {
    "hundred": 100,
    "thousand": 1_000,
    "million": 1_000_000,
    "billion": 1_000_000_000,
    "trillion": 10**12,
    "k": 1_000,
}
_UNITS: Mapping[str, tuple[str, Fraction]] = {
    unit: (kind, Fraction(size))
    for kind, sizes in {
        "length": {"mm": "1/1000", "cm": "1/100", "m": "1", "km": "1000", "meter": "1", "metre": "1", "kilometer": "1000", "centimeter": "1/100"},
        "mass": {"mg": "1/1000", "g": "1", "kg": "1000", "gram": "1", "kilogram": "1000"},
        "volume": {"ml": "1/1000", "l": "1", "liter": "1", "litre": "1", "milliliter": "1/1000"},
        "time": {"second": "1", "minute": "60", "hour": "3600", "day": "86400", "week": "604800"},
        "money": {"cent": "1/100", "dollar": "1", "$": "1"},
    }.items()
    for unit, size in sizes.items()
}  # fmt: skip


def number(answer: str) -> tuple[Fraction, bool] | None:
    """The one number that an answer names, and whether it carries a percent sign; None where it is not plainly one.

    Words around it (units, "the total is") do not matter, nor does a remark in parentheses after it; a second number, an
    alternative, a denial or an algebraic sign does. What calculates to one exact number ("10^6", "3 + 4") is one.
    """
    if len(answer) > LONGEST:
        return None
    answer = unicodedata.normalize("NFKC", _VULGAR.sub(" ", answer)).replace("\u2044", "/").replace("−", "-")
    for pattern, written in _TEX:
        answer = pattern.sub(written, answer)
    answer = re.sub(
        r"(?<=[\w%.])\s*\((?![^()]*\bor\b)[^()]*[^\W\d_]{2}[^()]*\)\s*$", "", answer
    )  # "7 (seven)", "18 (as 3 * 6 = 18)"
    answer = re.sub(
        r"(?<=[\w%.])\s*[,;:]?\s*\b(?:because|since|which|where)\b.*$", "", answer
    )  # "18, since 9 + 9 = 18"
    answer = re.sub(r"(?<=\d)\s*x\s*(?=\d)", "*", answer).strip().strip("$").strip()
    if "=" in answer and len(parts_of(answer)) > 1:
        return None  # "x = 3 or x = 5"
    named = _named(answer.rsplit("=", 1)[-1].strip().strip("$").strip())
    if named is not None:
        return named
    if not re.search(r"[*^×+/÷(]|\\(?:cdot|times)", answer):
        return None
    exact = value(answer.rsplit("=", 1)[-1].rstrip(" ."))
    return (exact, False) if isinstance(exact, Fraction) else None


def _named(answer: str) -> tuple[Fraction, bool] | None:
    if any(sign in answer for sign in _ALGEBRA):
        return None
    found = list(_NUMBER.finditer(answer))
    if len(found) != 1:
        return None
    match = found[0]
    rest = answer[match.end() :]
    outside = answer[: match.start()] + rest
    if re.match(r"[a-zA-Z](?![a-zA-Z])", rest) and rest[0] not in "mgshLlNJWVFCkK":  # 2x is not 2
        return None
    if _TERM_BEFORE.search(answer[: match.start("top")]) or _TERM_AFTER.match(rest):
        return None  # x − 12 is not 12
    if any(c.isdigit() for c in outside) or re.search(r"(?i)\bor\b|\bnot\b|n't\b", outside):
        return None
    found_value = _value(match)
    if found_value is None:
        return None
    scale = re.match(r"\s*-?([a-z]+)", rest.lower())
    scaled = scale is not None and (scale.group(1) != "k" or not rest[0].isspace())
    return found_value * (_SCALES.get(scale.group(1), 1) if scale and scaled else 1), bool(match["percent"])


def _value(match: re.Match[str]) -> Fraction | None:
    bottom = match["bottom"]
    if bottom is not None and int(bottom) == 0:
        return None
    result = Fraction(re.sub(r"[,  '’_]", "", match["top"]))
    if match["power"]:
        result *= Fraction(10) ** int(match["power"])
    if bottom is not None:
        result /= int(bottom)
    result += int(match["whole"] or 0)
    minus = (match["sign"] in ("-", "−")) != (match["inner"] in ("-", "−"))
    return -result if minus else result


def unit(answer: str) -> tuple[str, Fraction] | None:
    """What kind of unit an answer carries, and its size; None where it has none that is known."""
    priced = re.match(r"[-+−]?\s?\$\s?[-−]?[.\d]", answer) and not answer.endswith("$")
    said = "$" if priced else next(iter(re.findall(r"\d\s?([a-zA-Z]+)\b", answer)), "")
    return _UNITS.get(said) or _UNITS.get(said.lower()) or _UNITS.get(said.lower().removesuffix("s"))


def close(a: Fraction, b: Fraction) -> bool:
    """Equal: whole numbers exactly, others within one part in a million."""
    if a == b:
        return True
    if a.denominator == b.denominator == 1:
        return False
    return bool(abs(a - b) <= max(abs(a), abs(b)) / 1_000_000)


def closed(inside: str) -> bool:
    """Whether no bracket closes in a text that was not opened there."""
    depth = 0
    for character in inside:
        depth += (character in OPENS) - (character in CLOSES)
        if depth < 0:
            return False
    return True


def parts_of(answer: str) -> list[str]:
    """An answer cut at its commas, semicolons, "and" and "or" outside of brackets."""
    parts, depth, start, at = list[str](), 0, 0, 0
    cut = re.compile(r"[;,](?!\d{3}(?!\d))|\s(?:and|or)\s|\s?(?:\\cup(?![a-zA-Z])|∪)\s?")
    while at < len(answer):
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(answer[at], 0)
        if depth <= 0 and (found := cut.match(answer, at)):
            parts.append(answer[start:at])
            start = at = found.end()
        else:
            at += 1
    return [part for part in [*parts, answer[start:]] if part.strip()] or [""]

"""Final answers: where a text states one, and when two of them are the same.

A text states its answer after the last of these marks: `Answer:`, a line that begins with `A:`,
`####` (GSM8K), `\\boxed{…}` (MATH), "the answer is". Without a mark there is no final answer: a number
that merely stands last is not one.

Two answers are the same where they are the same number: commas, currency signs, units, percent signs,
fractions, mixed numbers, thousands and millions in words, LaTeX fractions are read here, exactly, in a
few microseconds. "50%" counts as 50 and as 0.5. What is not one plain number (intervals, roots, symbols) goes to
math-verify; equal wording counts too.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from fractions import Fraction
from importlib.util import find_spec

from synthgain.types import SynthgainError

LONGEST = 200  # characters of an answer that are looked at; what is longer is no final answer
_MARK = re.compile(
    r"(?i)####|\bfinal[ \t]{1,3}answer[ \t]{0,3}(?:is\b|:)|\banswer[ \t]{0,3}\*{0,3}[ \t]{0,3}(?::|is\b)"
    r"|^[ \t>*]{0,8}A:|\\boxed[ \t]{0,3}\{",
    re.MULTILINE,
)
_NUMBER = re.compile(
    r"(?<![\w.])(?P<sign>[-+−]?)\s?(?P<currency>[$£€¥]?)\s?(?P<inner>[-−]?)"
    r"(?:(?P<whole>\d{1,30})\s+)?(?P<top>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,30}(?:\.\d{1,30})?|\.\d{1,30})"
    r"(?:[eE](?P<power>[-+]?\d{1,2}))?(?:\s?/\s?(?P<bottom>\d{1,30}))?\s?(?P<percent>%?)"
)
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_TEX = (
    (re.compile(r"\\[dt]?frac\s*\{(\d+)\}\s*\{(\d+)\}"), r" \1/\2"),
    (re.compile(r"\\(?:text|mathrm|mathbf|textbf)\s*\{([^{}]*)\}"), r" \1"),
    (re.compile(r"\\[,;!: ]|\\left|\\right|\\\(|\\\)|\\\[|\\\]"), ""),
    (re.compile(r"\\([%$])"), r"\1"),
)


def final_answer(text: str) -> str | None:
    """The answer that the text states last, as written there; None where it states none."""
    for mark in reversed(list(_MARK.finditer(text))):
        stated = _boxed(text, mark.end()) if mark.group().startswith("\\") else _rest(text, mark.end())
        if stated:
            return stated
    return None


def _rest(text: str, start: int) -> str:
    """What follows a mark on its line."""
    line, newline, _ = text[start : start + LONGEST + 1].partition("\n")
    if len(line) > LONGEST and not newline:
        return ""
    boxed = re.search(r"\\boxed\s*\{", line)
    if boxed:
        return _boxed(line, boxed.end())
    return line.strip().strip("*:` \t").removesuffix(".").strip()


def _boxed(text: str, start: int) -> str:
    """What the braces that opened just before `start` hold."""
    depth = 1
    for i in range(start, min(len(text), start + LONGEST)):
        depth += {"{": 1, "}": -1}.get(text[i], 0)
        if depth == 0:
            return text[start:i].strip()
    return ""


def same_answer(text: str, gold: str | int | float) -> bool:
    """True where the final answer of `text` is the gold answer.

    `text` is a solution or the bare answer; `gold` is an answer, or a worked solution that states one.
    """
    given = final_answer(text)
    if given is None:
        if len(text) > LONGEST:
            return False
        given = text.strip()
    wanted = str(gold).strip()
    wanted = final_answer(wanted) or wanted
    return _same(given, wanted)


def _same(given: str, wanted: str) -> bool:
    left, right = number(given), number(wanted)
    if left is not None and right is not None:
        lefts = {left[0], left[0] / 100} if left[1] else {left[0]}
        rights = {right[0], right[0] / 100} if right[1] else {right[0]}
        return any(_close(a, b) for a in lefts for b in rights)
    if _folded(given) == _folded(wanted) != "":
        return True
    return _same_in_mathematics(given, wanted, needed=right is None)


def _close(a: Fraction, b: Fraction) -> bool:
    """Equal: whole numbers exactly, others within one part in a million."""
    if a == b:
        return True
    if a.denominator == b.denominator == 1:
        return False
    return bool(abs(a - b) <= max(Fraction(1), abs(b)) / 1_000_000)


def number(answer: str) -> tuple[Fraction, bool] | None:
    """The one number that an answer names, and whether it carries a percent sign; None where it is not plainly one.

    Words around it (units, "the total is") do not matter; a second number or an algebraic sign does.
    """
    if len(answer) > LONGEST:
        return None
    for pattern, written in _TEX:
        answer = pattern.sub(written, answer)
    answer = answer.replace("−", "-").rsplit("=", 1)[-1].strip().strip("$").strip()
    if any(sign in answer for sign in "\\^_{}*+÷×√≤≥<>|()[]"):
        answer = re.sub(r"\([^()0-9]*\)", "", answer)  # "(seven)", "(dollars)"
        if any(sign in answer for sign in "\\^_{}*+÷×√≤≥<>|()[]"):
            return None
    found = list(_NUMBER.finditer(answer))
    if len(found) != 1:
        return None
    match = found[0]
    rest = answer[match.end() :]
    outside = answer[: match.start()] + rest
    if re.match(r"[a-zA-Z](?![a-zA-Z])", rest) and rest[0] not in "mgshLlNJWVFC":  # 2x is not 2, 5k is not 5
        return None
    if any(c.isdigit() for c in outside):
        return None
    value = _value(match)
    if value is None:
        return None
    scale = re.match(r"\s*-?([a-z]+)", rest.lower())
    return value * _SCALES.get(scale.group(1) if scale else "", 1), bool(match["percent"])


def _value(match: re.Match[str]) -> Fraction | None:
    bottom = match["bottom"]
    if bottom is not None and int(bottom) == 0:
        return None
    if match["whole"] is not None and bottom is None:
        return None  # two numbers beside each other
    value = Fraction(match["top"].replace(",", ""))
    if match["power"]:
        value *= Fraction(10) ** int(match["power"])
    if bottom is not None:
        value /= int(bottom)
    value += int(match["whole"] or 0)
    minus = (match["sign"] in ("-", "−")) != (match["inner"] in ("-", "−"))
    return -value if minus else value


def _folded(answer: str) -> str:
    """Wording without case, spaces around, final stop and quotation marks."""
    text = unicodedata.normalize("NFKC", answer).casefold()
    return re.sub(r"\s+", " ", text).strip(" .\"'`*$")


_MATHEMATICAL = re.compile(r"\\|\^|_|\d[a-z]|[a-z]\s*[=+*/]|[+*/(\[]\s*\d|√|π|∞")


def _same_in_mathematics(given: str, wanted: str, needed: bool) -> bool:
    """Equal as mathematics (math-verify). `needed`: the gold answer itself is no plain number."""
    if not (_MATHEMATICAL.search(given) or _MATHEMATICAL.search(wanted)):
        return False
    if _endless(given) or _endless(wanted):
        return False
    if find_spec("math_verify") is None:
        if needed and _MATHEMATICAL.search(wanted):
            raise SynthgainError(
                "comparing mathematical answers needs math-verify",
                where=f"gold answer {wanted!r}",
                next='pip install "synthgain[maths]"',
            )
        return False
    import math_verify

    # its time limits are signals, which only the main thread may set
    seconds = 3 if threading.current_thread() is threading.main_thread() else None
    left, right = (math_verify.parse(f"${text.strip('$')}$", parsing_timeout=seconds) for text in (wanted, given))
    return bool(left and right and math_verify.verify(left, right, timeout_seconds=seconds))


def _endless(answer: str) -> bool:
    """Powers and factorials that nobody can compute: such an answer is not looked at."""
    return (
        len(answer) > LONGEST
        or re.search(r"(\^|\*\*)\s*[{(]?\s*-?\d{4,}|\d{4,}\s*!|!\s*!", answer) is not None
        or len(re.findall(r"\^|\*\*", answer)) > 6
        or re.search(r"(\^|\*\*)[^+\-*/=,;]*(\^|\*\*)", answer) is not None
    )

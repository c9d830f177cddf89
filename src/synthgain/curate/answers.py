"""Final answers: where a text states one, and when two of them are the same.

A text states its answer after the last of these marks: `Answer:` (also in other languages, and as a heading), a line that begins with `A:`,
`####` (GSM8K), `\\boxed{…}` (MATH), `<answer>`, "the answer is". What stands on the mark's line counts, or else the next line with text.
What was thought states nothing. What is said of an answer behind a boxed one ("the answer is correct") is no answer either. Without a mark there is no final answer, unless the whole text is nothing but one ("50 %", "(C)"): a
number that merely stands last is not one. A mark that is denied ("the answer is not 20") is none.

Two answers are the same where they are

    the same number     commas, thin spaces, currency, units, percent signs, fractions, mixed numbers, powers, thousands and millions in
                        words; "50 %" counts as 50 and as 0.5; of two units of one kind (5 km, 5000 m) each is converted
    the same letter     "(C)", "C) 18", "option C"; of such an answer what follows the letter counts, too
    the same values     "3 and 5", "{5, 3}", "±5"; a pair or an interval in its order. One value is never several: a hedged answer is wrong
    the same mathematics  (`mathematics.py`)
    the same words      without case, quotation marks and final stop

All of it is read here, by no library: a verdict must not depend on what is installed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from synthgain.curate.mathematics import equal
from synthgain.curate.quantities import CLOSES, LONGEST, OPENS, close, closed, number, parts_of, unit
from synthgain.thinking import parted

Gold = str | int | float | Sequence[object]
_WORDS = (  # as MGSM's prompts and models of these languages say it
    *(
        "答案",
        "答え",
        "解答",
        "정답",
        "답",
        "antwort",
        "réponse",
        "respuesta",
        "risposta",
        "resposta",
        "ответ",
        "उत्तर",
        "คำตอบ",
    ),
    *("đáp án", "jawaban", "cevap", "الجواب", "الإجابة", "উত্তর", "jibu"),
)
_ELSEWHERE = "|".join(_WORDS)
_IS = r"[ \t]{0,3}\*{0,3}[ \t]{0,3}(?::|：|=|是|は|\b(?:is|est|ist|es|è|é)\b)(?!\**[ \t]*(?:not\b|n't))"
_SIGNED = re.compile(r"####|\\(?:boxed|fbox)[ \t]{0,3}\{|<answer>")
_WORDED = re.compile(rf"(?:[Aa]nswer|ANSWER)(?:[ \t]{{1,3}}to[ \t][^.\n:]{{1,80}}?)?{_IS}")
_WORDED_ELSEWHERE = re.compile(rf"(?i:{_ELSEWHERE}){_IS}")
_LINE = re.compile(
    rf"^[ \t>]{{0,4}}(?:#{{1,6}}|\*\*|__)[ \t]*(?i:final[ \t]+)?(?i:answer|{_ELSEWHERE})[ \t]*(?:\*\*|__)?[ \t]*$|^[ \t>*]{{0,8}}A:",
    re.MULTILINE,
)
_ABOUT = re.compile(  # behind a boxed answer "the answer is correct" says something about it, and states none
    r"(?i:(?:in)?correct|right|wrong|positive|negative|valid|reasonable|plausible|consistent|verified|confirmed|unique)\b"
)
_DECORATION = " \t\r*_`:：#>=~≈|"  # around an answer, without meaning of their own
_BOX = re.compile(r"\\(?:boxed|fbox)[ \t]{0,3}\{")
_TEXT = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")
_BULLET = re.compile(r"[-*•]\s+")
_OPTION = re.compile(r"(?i:option|choice|answer)?\s*[(\[]?([A-J])[)\].:]?")
_WITH_OPTION = re.compile(
    r"(?i:option|choice|answer)?\s*(?:[(\[]([A-J])[)\]]|([A-J])[).:]|([A-J])\s[-–—])\s*(.+)", re.DOTALL
)
_OTHER_OPTION = re.compile(r"(?:^|[\s(\[])[A-J][).\]]|\b(?:or|and)\s+[(\[]?[A-J]\b")


def final_answer(text: str) -> str | None:
    """The answer that the text states last, as written there; None where it states none. What was thought is not looked at."""
    said = parted(text).content
    marks = _marks(said)
    signed = [place for place, mark in enumerate(marks) if _SIGNED.match(mark.group())]
    for place in range(len(marks) - 1, -1, -1):
        stated = _boxes(said, marks[place]) if marks[place].group().startswith("\\") else _behind(said, marks[place])
        if stated and not (signed and signed[0] < place not in signed and _ABOUT.match(stated)):
            return stated
    return None


def found_answer(text: str) -> str | None:
    """What the final-answer check compares: the answer that is stated, or the whole text where it is nothing but an answer."""
    stated = final_answer(text)
    bare = _plain(parted(text).content)
    return stated if stated is not None else bare if _is_bare(bare) else None


def _is_bare(text: str) -> bool:
    """Whether a line is a number (two words of units may follow it) or an option's letter, and nothing else."""
    if not text or "\n" in text or len(text) > LONGEST:
        return False
    begins = re.match(r"[-+−±(]?\s?[$£€¥₹]?\s?[-−]?[.\d\\]", text) is not None
    return _OPTION.fullmatch(text) is not None or (
        begins and number(text) is not None and len(re.findall(r"[^\W\d_]{2,}", text)) <= 2
    )


def gold_of(gold: Gold) -> list[str]:
    """The answers that a gold field holds, bare: one, or those of a list (several wordings of one answer, or several values)."""
    if isinstance(gold, str) or not isinstance(gold, Sequence):
        wanted = str(gold).strip()
        return [final_answer(wanted) or wanted]
    return [
        one for element in gold for one in gold_of(element if isinstance(element, str | int | float) else str(element))
    ]


def same_answer(text: str, gold: Gold) -> bool:
    """True where the final answer of `text` is the gold answer.

    `text` is a solution or the bare answer; `gold` is an answer, or a worked solution that states one. A list of different
    numbers is one answer with several values; any other list holds wordings of which one must be met.
    """
    given = final_answer(text)
    if given is None:
        given = parted(text).content.strip()
        if not given or len(given) > LONGEST:
            return False
    wanted = gold_of(gold)
    numbers = [read[0] for one in wanted if (read := number(one)) is not None]
    if len(set(numbers)) == len(wanted) > 1:
        return _same(given, ", ".join(wanted))
    return any(_same(given, one) for one in wanted)


# ---------------------------------------------------------------------------------------------- where an answer stands


def _marks(text: str) -> list[re.Match[str]]:
    """The marks of final answers, in order. Each pattern is tried where its rare word is, so that long texts are passed over quickly."""
    lowered = text.lower()
    found = list(_SIGNED.finditer(text)) if "#" in text or "\\" in text or "<" in text else []
    answers = "answer" in lowered
    if answers:
        found += _WORDED.finditer(text)
    elsewhere = any(word in lowered for word in _WORDS)
    if elsewhere:
        found += _WORDED_ELSEWHERE.finditer(text)
    if answers or elsewhere or "A:" in text:
        found += _LINE.finditer(text)
    return sorted(found, key=re.Match.start)


def _behind(text: str, mark: re.Match[str]) -> str:
    """What follows a mark on its line, or the next line that says something."""
    if mark.group().lower() == "<answer>":
        return _plain(text[mark.end() : mark.end() + LONGEST].partition("</")[0])
    lines = text[mark.end() : mark.end() + 2 * LONGEST].split("\n")[:5]
    for place, line in enumerate(lines):
        if len(line) > LONGEST:
            return ""
        if box := _BOX.search(line):
            return _boxes(line, box)
        if plain := _plain(_BULLET.sub("", line.lstrip(), count=1) if place and _BULLET.match(line.lstrip()) else line):
            return plain if place == 0 or not _marks(line) else ""
    return ""


def _plain(line: str) -> str:
    """A line without the decoration around it and its final stop."""
    line = line.strip().strip(_DECORATION)
    line = line.removesuffix(".").removesuffix("。").strip(_DECORATION)
    return line.strip("$").strip() if line[:1] == line[-1:] == "$" else line


def _boxes(text: str, mark: re.Match[str]) -> str:
    """What a box holds; several where boxes stand beside each other with nothing but "and" and commas between them."""
    held, start = _boxed(text, mark.end()), mark.start()
    for before in reversed(list(_BOX.finditer(text, max(0, mark.start() - LONGEST), mark.start()))):
        inside = _boxed(text, before.end())
        between = text[before.end() + len(inside) + 1 : start]
        if not inside or not re.fullmatch(r"[\s,;$&]*(?:and|or|und|et|y)?[\s,;$&]*", between) or "\n\n" in between:
            break
        held, start = f"{inside}, {held}", before.start()
    return held


def _boxed(text: str, start: int) -> str:
    """What the braces that opened just before `start` hold."""
    depth = 1
    for i in range(start, min(len(text), start + LONGEST)):
        depth += {"{": 1, "}": -1}.get(text[i], 0)
        if depth == 0:
            return text[start:i].strip()
    return ""


# ---------------------------------------------------------------------------------------------- when two are the same


def _same(given: str, wanted: str) -> bool:
    given, wanted = (_plain(_TEXT.sub(r"\1", side)) for side in (given, wanted))
    if _folded(given) == _folded(wanted) != "":
        return True
    if option := _OPTION.fullmatch(wanted.upper() if len(wanted) == 1 else wanted):
        return _letter(given) == option.group(1)
    if (chosen := _WITH_OPTION.fullmatch(wanted)) and _letter(wanted):
        return _letter(given) == _letter(wanted) or _same(given, chosen.group(4))
    left, right = _values(given), _values(wanted)
    if left is not None and right is not None and _same_values(left, right):
        return True
    chosen = _WITH_OPTION.fullmatch(given)
    return chosen is not None and _letter(given) != "" and _same(chosen.group(4), wanted)


def _letter(given: str) -> str:
    """The one option that an answer chooses, "" where it chooses none or hedges."""
    if alone := _OPTION.fullmatch(given):
        return alone.group(1)
    chosen = _WITH_OPTION.fullmatch(given)
    if chosen is None or _OTHER_OPTION.search(chosen.group(4)):
        return ""
    return chosen.group(1) or chosen.group(2) or chosen.group(3)


Values = tuple[
    str, list[str]
]  # the brackets where they have a meaning ("" for one value, "{}" for several), and the values


def _values(answer: str) -> Values | None:
    """The values that an answer gives; None where it is too long to be one."""
    if not answer or len(answer) > LONGEST:
        return None
    if number(answer) is not None:
        return "", [answer]
    answer = re.sub(r"\\text\s*\{\s*(and|or)\s*\}", r" \1 ", answer)
    answer = re.sub(r"\\(?:left|right)(?![a-zA-Z])|\\[,;!: ]", "", answer).strip().strip("$").strip()
    if re.search(r"±|\\pm(?![a-zA-Z])", answer):
        return "{}", [re.sub(r"±|\\pm(?![a-zA-Z])", sign, answer) for sign in "+-"]
    answer = re.sub(r"^[a-z]\s*(?:=|\\in(?![a-zA-Z])|∈)\s*(?=[\[({\\])", "", answer)
    answer = re.sub(r"\\([{}])", r"\1", answer)
    brackets = f"{answer[:1]}{answer[-1:]}"
    if brackets in ("{}", "()", "[]", "(]", "[)") and closed(answer[1:-1]) and len(parts := parts_of(answer[1:-1])) > 1:
        brackets = "{}" if brackets == "[]" and len(parts) != 2 else brackets
    else:
        parts = parts_of(answer)
        brackets = "{}" if len(parts) > 1 else ""
    return brackets, [part.strip() for part in parts]


def _same_values(left: Values, right: Values) -> bool:
    (how, given), (asked, wanted) = left, right
    if len(given) == len(wanted) == 1:
        return _same_value(given[0], wanted[0])
    if (
        len(wanted) == 1
        and len(given) == 2
        and re.fullmatch(r"[-−]?\d+\s*,\s?\d{1,2}\D*", ",".join(given))
        and how == "{}"
    ):
        return _same_value(".".join(part.strip() for part in given), wanted[0])  # a decimal comma
    ordered = {how, asked} - {"", "{}"}  # a pair or an interval; one without brackets may be meant
    if ordered:
        return len(ordered) == 1 and len(given) == len(wanted) and all(map(_same_value, given, wanted))
    met = [[i for i, one in enumerate(wanted) if _same_value(value, one)] for value in given]
    return all(met) and len({i for some in met for i in some}) == len(wanted)


def _same_value(given: str, wanted: str) -> bool:
    if _EQUATION.search(given) and _EQUATION.search(wanted):
        return equal(given, wanted)
    left, right = number(given), number(wanted)
    if left is not None and right is not None:
        ours, theirs = unit(given), unit(wanted)
        if ours and theirs and ours[0] == theirs[0] and ours[1] != theirs[1]:
            return close(left[0] * ours[1], right[0] * theirs[1])
        lefts = {left[0], left[0] / 100} if left[1] else {left[0]}
        rights = {right[0], right[0] / 100} if right[1] else {right[0]}
        return any(close(a, b) for a in lefts for b in rights)
    if _folded(given) == _folded(wanted) != "":
        return True
    if all(side[:1] in OPENS and side[-1:] in CLOSES for side in (given, wanted)):  # pairs and intervals among several
        one, other = _values(given), _values(wanted)
        if one is not None and other is not None and len(one[1]) == len(other[1]) > 1:
            return _same_values(one, other)
    return all(_MATHEMATICAL.search(side) for side in (given, wanted)) and equal(given, wanted)


_EQUATION = re.compile(r"[a-zA-Z)]\s*[-+*/^].*=|[-+*/^\d]\s*[a-z]\b.*=")  # more than the naming of a value
_MATHEMATICAL = re.compile(r"[\d\\^=+*/<>≤≥√π∞-]")


def _folded(answer: str) -> str:
    """Wording without case, spaces around, final stop and quotation marks."""
    text = unicodedata.normalize("NFKC", answer).casefold()
    return re.sub(r"\s*:\s*", ":", re.sub(r"\s+", " ", text)).strip(" .\"'`*$“”‘’")

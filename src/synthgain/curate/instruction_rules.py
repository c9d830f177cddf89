"""IFEval's 25 kinds of instruction that a program can verify, each as a rule on an answer.

Zhou et al., arXiv 2311.07911; code google-research/instruction_following_eval. Names and arguments are those of its data, and a rule decides
as its code does. Where it departs, on purpose:

    keywords        are words, not patterns: "c++" means c++
    highlights      are not begun by the star of a bullet
    bullets         a line of dashes or stars alone is a divider and no bullet
    paragraphs      of `nth_paragraph_first_word` are counted without empty ones, also for their places
    sentences       end at ".", "!" or "?" before white space, not behind an abbreviation or an initial; the original asks a trained tokenizer
    words in capitals   are found by a pattern instead of that tokenizer
    letters         may be signs ("#", "!"): the original draws another letter for these
    words           keep their vowel signs (Hindi): the original cuts words at them
    languages       are told by `language_of`; a text with too few letters to tell passes, as where the original's detector gives up

Every rule takes time linear in the answer's length.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from synthgain.curate.language import language_of

Arguments = Mapping[str, Any]
RELATIONS = ("at least", "less than")
OPTIONS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")  # of constrained_response
_WORD = re.compile(r"\w+")
_CODE_SIGNS = re.compile(r"[{}\[\]\"<>=;`|]")
_CAPITALS = re.compile(r"[^\W_]+(?:[-./&][^\W_]+)*")
_DIVIDER = re.compile(r"(?:[-*_][ \t]*){3,}")
_STARS = re.compile(r"\s?\*{3}\s?")
_HIGHLIGHT = re.compile(r"\*[^\n*]*\*")
_BULLET = re.compile(r"^[ \t]{0,20}\*[ \t]", re.MULTILINE)
_STRONG = re.compile(r"\*\*[^\n*]*\*\*")
_END = re.compile(r"[.!?]+[\"'”’)\]*]*(?=\s)")
_ABBREVIATED = re.compile(
    r"(?:\b(?:[Mm]rs?|[Mm]s|[Dd]r|[Ss]t|[Pp]rof|[Gg]en|[Ss]r|[Jj]r|vs|etc|e\.g|i\.e|cf|al|[Nn]o|[Ii]nc|[Cc]o|[Ll]td|a\.m|p\.m)|\b[A-Za-z](?:\.[A-Za-z])*)\Z"
)
_NUMBERED = re.compile(r"(?:^|\n)[ \t]*\d{1,3}\Z")
_FENCE = re.compile(r"\A```(?:json|Json|JSON)?|```\Z")


@dataclass(frozen=True)
class Rule:
    """`holds(answer, arguments)` decides; `arguments` are those that it needs; `broken` is why a row falls."""

    broken: str
    holds: Callable[[str, Arguments], bool]
    arguments: tuple[str, ...] = ()


def _counted(relation: str, least: str, count: Callable[[str, Arguments], int]) -> Callable[[str, Arguments], bool]:
    """A count that is at least, or less than, what an argument says."""

    def holds(answer: str, said: Arguments) -> bool:
        if said[relation] not in RELATIONS:
            raise ValueError(f"the relation {said[relation]!r}")
        enough = count(answer, said) >= int(said[least])
        return enough if said[relation] == "at least" else not enough

    return holds


# ---------------------------------------------------------------------------------------------- what is counted


def sentences(text: str) -> int:
    """How many sentences a text has: its ends of sentences, and what stands behind the last."""
    text, found, start = text.strip(), 0, 0
    cased = text != text.lower()
    for end in _END.finditer(text):
        before = text[max(start, end.start() - 12) : end.start()]
        if end.group() == ".":
            following = text[end.end() : end.end() + 80].lstrip("\"'“‘(*#-• \t\n")[:1]
            if _ABBREVIATED.search(before) or _NUMBERED.search(before) or (cased and following.islower()):
                continue
        found, start = found + 1, end.end()
    return found + bool(text[start:].strip())


def placeholders(text: str) -> int:
    """How often something stands in square brackets within a line."""
    found = 0
    for line in text.split("\n"):
        at = line.find("[")
        while at >= 0 and (end := line.find("]", at)) >= 0:
            found += 1
            at = line.find("[", end)
    return found


def bullets(text: str) -> int:
    """Lines that begin with a dash, or with one star; a divider is none."""
    lines = (line.strip() for line in text.split("\n"))
    return sum(
        line[:1] == "-" or (line[:1] == "*" and line[1:2] not in ("", "*"))
        for line in lines
        if not _DIVIDER.fullmatch(line)
    )


def highlights(text: str) -> int:
    """Spans in stars; a span in two stars counts like one in one, and the star of a bullet begins none."""
    text = _BULLET.sub("", text)
    single = sum(bool(span.strip("*").strip()) for span in _HIGHLIGHT.findall(text))
    return single + sum(bool(span[2:-2].strip()) for span in _STRONG.findall(text))


def words_in_capitals(text: str) -> int:
    return sum(word.isupper() for word in _CAPITALS.findall(text))


def words(text: str) -> int:
    """Runs of letters and digits, so that "don't" counts two; vowel signs belong to their words."""
    if not text.isascii():
        text = "".join(c for c in text if unicodedata.category(c)[0] != "M")
    return len(_WORD.findall(text))


def _keyword(answer: str, said: Arguments) -> int:
    return len(re.findall(re.escape(str(said["keyword"])), answer, re.IGNORECASE))


def _letter(answer: str, said: Arguments) -> int:
    return answer.lower().count(str(said["letter"]).lower())


# ---------------------------------------------------------------------------------------------- what must hold


def _all_keywords(answer: str, said: Arguments) -> bool:
    return all(re.search(re.escape(str(word)), answer, re.IGNORECASE) for word in _texts(said["keywords"]))


def _no_forbidden(answer: str, said: Arguments) -> bool:
    words = _texts(said["forbidden_words"])
    return not any(re.search(rf"(?<!\w){re.escape(str(word))}(?!\w)", answer, re.IGNORECASE) for word in words)


def _texts(given: Any) -> list[str]:
    """A list of texts; ValueError for anything else."""
    if isinstance(given, str) or not all(isinstance(one, str) for one in given):
        raise ValueError("no list of words")
    return list(given)


def _sections(answer: str, said: Arguments) -> bool:
    heading = rf"{re.escape(str(said['section_spliter']).strip())}\s?\d+"
    return len(re.findall(heading, answer)) >= int(said["num_sections"])


def _paragraphs(answer: str, said: Arguments) -> bool:
    """Parts between `***`: exactly so many, none of them empty but before the first and behind the last divider."""
    parts = [part.strip() for part in _STARS.split(answer)]
    inner = parts[bool(not parts[0]) : len(parts) - (len(parts) > 1 and not parts[-1])]
    return all(inner) and len(inner) == int(said["num_paragraphs"])


def _first_word(answer: str, said: Arguments) -> bool:
    parts = [part for part in answer.split("\n\n") if part.strip()]
    place = int(said["nth_paragraph"])
    if len(parts) != int(said["num_paragraphs"]) or not 1 <= place <= len(parts):
        return False
    word = parts[place - 1].split(maxsplit=1)[0].lstrip("'").lstrip('"')
    return re.split(r"[.,?!'\"]", word, maxsplit=1)[0].lower() == str(said["first_word"]).lower()


def _postscript(answer: str, said: Arguments) -> bool:
    marker = str(said["postscript_marker"]).strip()
    pattern = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}.get(marker, re.escape(marker.lower()))
    return re.search(pattern, answer.lower()) is not None


def _json(answer: str, said: Arguments) -> bool:
    try:
        json.loads(_FENCE.sub("", answer.strip()).strip())
    except (ValueError, RecursionError):
        return False
    return True


def _title(answer: str, said: Arguments) -> bool:
    for line in answer.split("\n"):
        at = line.find("<<")
        end = line.rfind(">>")
        if 0 <= at < end - 1 and line[at:end].strip("<> \t"):
            return True
    return False


def _two(answer: str, said: Arguments) -> bool:
    """Two different answers with six stars between them; what is empty may stand at either end."""
    parts = [part.strip() for part in answer.split("******")]
    said_parts = [part for part in parts if part]
    return all(parts[1:-1]) and len(said_parts) == 2 and said_parts[0] != said_parts[1]


def _ends(answer: str, said: Arguments) -> bool:
    return answer.strip().strip('"').lower().endswith(str(said["end_phrase"]).strip().lower())


def _repeats(answer: str, said: Arguments) -> bool:
    return answer.strip().lower().startswith(str(said["prompt_to_repeat"]).strip().lower())


def _quoted(answer: str, said: Arguments) -> bool:
    answer = answer.strip()
    return len(answer) > 1 and answer[0] == answer[-1] == '"'


def _written_in(answer: str, language: str, letters: int = 10) -> bool:
    found = language_of(_CODE_SIGNS.sub(" ", answer), letters)  # JSON has a language too
    return found is None or found[0] == re.split("[-_]", language.lower())[0]


RULES: dict[str, Rule] = {
    "keywords:existence": Rule("a keyword is missing", _all_keywords, ("keywords",)),
    "keywords:frequency": Rule(
        "a keyword stands too often or too seldom",
        _counted("relation", "frequency", _keyword),
        ("keyword", "frequency", "relation"),
    ),
    "keywords:forbidden_words": Rule("a forbidden word", _no_forbidden, ("forbidden_words",)),
    "keywords:letter_frequency": Rule(
        "a letter stands too often or too seldom",
        _counted("let_relation", "let_frequency", _letter),
        ("letter", "let_frequency", "let_relation"),
    ),
    "language:response_language": Rule(
        "another language", lambda answer, said: _written_in(answer, str(said["language"])), ("language",)
    ),
    "length_constraints:number_sentences": Rule(
        "too many or too few sentences",
        _counted("relation", "num_sentences", lambda answer, said: sentences(answer)),
        ("num_sentences", "relation"),
    ),
    "length_constraints:number_paragraphs": Rule("another number of paragraphs", _paragraphs, ("num_paragraphs",)),
    "length_constraints:number_words": Rule(
        "too many or too few words",
        _counted("relation", "num_words", lambda answer, said: words(answer)),
        ("num_words", "relation"),
    ),
    "length_constraints:nth_paragraph_first_word": Rule(
        "another first word of a paragraph", _first_word, ("num_paragraphs", "nth_paragraph", "first_word")
    ),
    "detectable_content:number_placeholders": Rule(
        "too few placeholders",
        lambda answer, said: placeholders(answer) >= int(said["num_placeholders"]),
        ("num_placeholders",),
    ),
    "detectable_content:postscript": Rule("no postscript", _postscript, ("postscript_marker",)),
    "detectable_format:number_bullet_lists": Rule(
        "another number of bullets", lambda answer, said: bullets(answer) == int(said["num_bullets"]), ("num_bullets",)
    ),
    "detectable_format:constrained_response": Rule(
        "none of the allowed answers", lambda answer, said: any(option in answer for option in OPTIONS)
    ),
    "detectable_format:number_highlighted_sections": Rule(
        "too few highlights",
        lambda answer, said: highlights(answer) >= int(said["num_highlights"]),
        ("num_highlights",),
    ),
    "detectable_format:multiple_sections": Rule("too few sections", _sections, ("section_spliter", "num_sections")),
    "detectable_format:json_format": Rule("not JSON", _json),
    "detectable_format:title": Rule("no title", _title),
    "combination:two_responses": Rule("not two different answers", _two),
    "combination:repeat_prompt": Rule("does not repeat the request first", _repeats, ("prompt_to_repeat",)),
    "startend:end_checker": Rule("another end", _ends, ("end_phrase",)),
    "startend:quotation": Rule("not in double quotation marks", _quoted),
    "change_case:capital_word_frequency": Rule(
        "too many or too few words in capitals",
        _counted("capital_relation", "capital_frequency", lambda answer, said: words_in_capitals(answer)),
        ("capital_frequency", "capital_relation"),
    ),
    "change_case:english_capital": Rule(
        "not in English capitals", lambda answer, said: answer.isupper() and _written_in(answer.lower(), "en", 40)
    ),
    "change_case:english_lowercase": Rule(
        "not in English small letters", lambda answer, said: answer.islower() and _written_in(answer, "en", 40)
    ),
    "punctuation:no_comma": Rule("a comma", lambda answer, said: "," not in answer),
}

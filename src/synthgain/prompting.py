"""What prompts on documents share: the document under its head, the language that is asked for, and what a judge of a rewriting is asked.

Whether a document is English is told by rule and not by a model of languages: which prompt is made, and so which call is bought, must not
depend on what is installed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from synthgain.types import Prompt, Sampling, SynthgainError, system, user

AUTO = "auto"
READ = 4_000  # characters of a document by which its language is told
_FREQUENT = (
    "the of and that with from this which is it its by are were they been but his have has what these their there"
)
ENGLISH = frozenset(_FREQUENT.split())
LEAST = 0.08  # share of those among the words of English prose; of other languages' words it is below (tests/test_prompting.py)
_WORD = re.compile(r"[^\W\d_]+")
_CODE = re.compile(r"[a-z]{2}(?:[-_]\w+)?")
JUDGE = "You compare a text that was rewritten with its source, strictly and by what they say alone."
JUDGED = (
    "How faithful is the rewritten text to the source? Style, order, length and readers may be others; names, numbers, units, dates, denials and "
    "who did what to whom may not. Give a score:\n"
    "5: everything that it states stands in the source, and nothing that matters is left out.\n"
    "4: all it states is right; small things are left out.\n"
    "3: the core is right; some details are missing, or harmless ones were added.\n"
    "2: something that matters is wrong, invented or left out.\n"
    "1: it says something else, or it is no rewritten text.\n"
    'Answer with JSON that has "reason", one sentence, and "score", a number from 1 to 5.'
)
SCORE = {
    "type": "object",
    "properties": {"reason": {"type": "string"}, "score": {"type": "integer", "minimum": 1, "maximum": 5}},
    "required": ["reason", "score"],
    "additionalProperties": False,
}


def headed(text: str, fields: Mapping[str, Any], names: Sequence[str] = ("title",)) -> str:
    """A document as it begins a prompt, under what is known of it (the fields of these names)."""
    known = [(name, fields.get(name)) for name in names]
    head = "".join(f"{name.capitalize()}: {value}\n" for name, value in known if value not in (None, ""))
    return f"{head}Document:\n\n{text.strip()}\n\n(End of the document)"


def title_of(fields: Mapping[str, Any]) -> str:
    """The field `title` as text, "" where there is none."""
    value = fields.get("title")
    return "" if value is None else " ".join(str(value).split())


# ---------------------------------------------------------------------------------------------- languages


def in_language(language: str, document: str, marks: str = "") -> str:
    """The sentence that asks for a language, with a space before it; "" for an English document whose language is asked for ("auto").

    `marks` are words of the prompt by which the answer is read; they are not to be translated.
    """
    if language == AUTO and is_english(document):
        return ""
    where = f"in {language}" if language != AUTO else "in the language of the text above, not in that of this request"
    kept = f" {marks} stay as they are." if marks else ""
    return f" Write {where}.{kept}"


def is_english(text: str) -> bool:
    """Whether at least a share LEAST of a text's first words are such as only English has, or has so often."""
    words = [word.lower() for word in _WORD.findall(text[:READ])]
    return bool(words) and sum(word in ENGLISH for word in words) >= LEAST * len(words)


def check_language(language: str, where: str) -> None:
    """SynthgainError where a knob `language` is neither "auto" nor the name of a language."""
    if not language.strip() or len(language) > 40 or "\n" in language or _CODE.fullmatch(language):
        raise SynthgainError(
            f"the language is {language!r}", where=where, next='give its English name ("German"), or "auto"'
        )


# ---------------------------------------------------------------------------------------------- fidelity


def faithfulness(source: str, rewritten: str, max_tokens: int) -> Prompt:
    """What the judge is asked about one rewriting: a score from 1 to 5, greedily. The source stands first: its rewritings share it."""
    said = f"Source:\n\n{source.strip()}\n\n(End of the source)\n\nRewritten text:\n\n{rewritten.strip()}\n\n(End of the rewritten text)\n\n{JUDGED}"
    law = Sampling(temperature=0.0, max_tokens=max_tokens)
    return Prompt((system(JUDGE), user(said)), to="judge", sampling=law, schema=SCORE)

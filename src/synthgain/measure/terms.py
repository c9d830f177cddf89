"""Who wrote a data set, and under which terms, as far as its card says so. The terms were read in public copies
in 2026-11; they change, and nothing here is advice on law."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LONGEST = 200_000  # characters of a card that are read


@dataclass(frozen=True)
class Teacher:
    """A family of models by the names that cards use, and what its provider's terms say of training on outputs."""

    name: str
    pattern: str
    terms: str
    binds: bool = True
    licence: str = ""  # a pattern of the names that its own licence has


TEACHERS: tuple[Teacher, ...] = (
    Teacher(
        "OpenAI",
        r"gpt-?(?:3(?:\.5)?|4o?|4\.\d|5)(?:-?turbo|-?mini)?\b|text-davinci-00\d|\bdavinci-003|chatgpt|code-?davinci|\bo[134]-(?:mini|preview)",
        "OpenAI's terms forbid using output to develop models that compete with OpenAI",
    ),
    Teacher(
        "Anthropic",
        r"\bclaude\b",
        "Anthropic's terms forbid training models on outputs that compete with its own",
    ),
    Teacher(
        "Google",
        r"\bgemini\b|\bpalm[- ]?2\b",
        "Google's terms for Gemini's API forbid developing models that compete with its services",
    ),
    Teacher(
        "Meta Llama",
        r"\bllama[- ]?(?:2|3|4)(?:\.\d)?\b",
        "Llama's licence asks that a model which is trained on its outputs and passed on has Llama in front of its name",
        licence=r"llama",
    ),
    Teacher(
        "Cohere",
        r"\bcommand[- ]?r\+?\b|\baya\b",
        "Cohere's models have several licences: look up the one that wrote this",
        False,
    ),
    Teacher(
        "Mistral",
        r"\bmi(?:s|x)tral[\w.-]*",
        "Mistral's models have several licences: look up the one that wrote this",
        False,
    ),
    Teacher("Qwen", r"\bqwen[\w.-]*", "Qwen's models have several licences: look up the one that wrote this", False),
    Teacher(
        "DeepSeek",
        r"\bdeepseek[\w.-]*",
        "DeepSeek's models have several licences: look up the one that wrote this",
        False,
    ),
    Teacher(
        "Gemma",
        r"\bgemma[\w.-]*",
        "Gemma's terms (before Gemma 4) bind models trained on its outputs to do as it does",
        licence=r"gemma",
    ),
)
_NON_COMMERCIAL = re.compile(r"(?i)\bcc[- ]by[- ](?:sa[- ])?nc\b|\bcc-by-nc[\w.-]*|non-?commercial")
_SHARE_ALIKE = re.compile(r"(?i)\bcc[- ]by[- ]sa\b|\bcc-by-sa[\w.-]*|\bgpl|\bodbl\b|share-?alike")
_LICENCE_LINE = re.compile(r"(?im)^\s*licen[cs]e(?:_name)?\s*:\s*[\"']?([\w .+-]{2,60})")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])|\n\s*\n|\n(?=\s*[-*|#>])")
_TALKED = re.compile(
    r"(?i)generat|written by|output of|outputs? from|distill|synthetic|teacher|produced|prompt|respon|answers? (?:by|from|of)"
)


def what_follows(licence: str | None, *names: str) -> str:
    """What a model's licence asks of data that it wrote, in a sentence; "" where nothing is known to follow.

    `licence` is as the weights name it. Where they name none, or one called "other", the model's `names` decide; an open licence asks nothing,
    whatever the model is called.
    """
    said = (licence or "").strip().lower()
    if _NON_COMMERCIAL.search(said) or "research" in said:
        return f"Its licence ({licence}) does not allow commercial use."
    for teacher in TEACHERS:
        unsaid = said in ("", "other", "unknown") and any(
            re.search(teacher.pattern, name, re.IGNORECASE) for name in names
        )
        if teacher.licence and (re.search(teacher.licence, said) or unsaid):
            why = f"licence {licence}" if said else "by its name: its file names no licence"
            return f"{teacher.terms} ({why})."
    if _SHARE_ALIKE.search(said):
        return f"Its licence ({licence}) asks for the same licence on what is made of it."
    return ""


def terms_of(card: str, columns: Mapping[str, Sequence[str]] | None = None) -> dict[str, Any]:
    """{"licence", "teachers": [{"name", "said", "terms"}], "binding": [sentence]} of a card, and of values of columns that name models.

    A model counts as a teacher where the card names it in a sentence that speaks of generating; what is named elsewhere is not known to be one.
    """
    text = card[:LONGEST]
    lines = [sentence for sentence in _SENTENCE.split(text) if _TALKED.search(sentence)]
    licence = next((m[1].strip() for m in _LICENCE_LINE.finditer(text)), "")
    found = []
    for teacher in TEACHERS:
        pattern = re.compile(f"(?i){teacher.pattern}")
        said = next((m.group() for line in lines if (m := pattern.search(line))), "")
        said = said or next(
            (m.group() for values in (columns or {}).values() for v in values if (m := pattern.search(v))), ""
        )
        if said:
            found.append((teacher, said))
    binding = []
    if _NON_COMMERCIAL.search(licence or text):
        binding.append(f"Its card says {licence or 'non-commercial'}: not for commercial use.")
    elif _SHARE_ALIKE.search(licence):
        binding.append(f"Its licence ({licence}) asks for the same licence on what is made of it.")
    binding += [f"{teacher.terms} (the card names {said})." for teacher, said in found if teacher.binds]
    return {
        "licence": licence,
        "teachers": [{"name": teacher.name, "said": said, "terms": teacher.terms} for teacher, said in found],
        "binding": binding,
    }

"""Questions with their answers where they stand in a text, as models write them."""

from __future__ import annotations

import re

_ASKS = "question|frage|pregunta|domanda|pergunta|vraag|fråga|spørgsmål|pytanie|otázka|вопрос|питання|问题|問題|質問|질문|سؤال|प्रश्न|问|問|q"
_ANSWERS = "answer|antwort|respuesta|réponse|risposta|resposta|antwoord|svar|odpowiedź|odpověď|ответ|відповідь|答案|回答|答え|답변|جواب|उत्तर|答|a"
_MARK = re.compile(
    rf"^[\s>#*_\-]*(?:\d+\s*[.):]\s*)?[*_]*(?:(?P<asks>{_ASKS})|{_ANSWERS})(?!\w*[^\W\d])[*_\s]*\d*[*_\s]*[:.)：][*_]*\s*(?P<said>.*)$",
    re.IGNORECASE,
)
_SAME_LINE = re.compile(rf"(?P<question>[?？][*_]*)\s+[*_]*(?:{_ANSWERS})\s*[:.)：][*_]*\s*", re.IGNORECASE)
_NUMBERED = re.compile(r"^[\s>#*_\-]*\d+\s*[.)]\s*[*_]*(.*[?？])[*_]*\s*(.*)$")


def pairs(text: str) -> list[tuple[str, str]]:
    """Questions and answers in the order of a text; the answer is "" where none follows.

    Marks may be words or letters, numbered or not, with emphasis ("**Q1:**"), and words of some other languages ("Frage:"); a numbered
    line that ends a question is one too.
    """
    found: list[list[str]] = []
    within = -1  # which of the two the next line goes on with; -1: none
    for line in text.splitlines():
        mark = _MARK.match(line)
        if mark is None and (numbered := _NUMBERED.match(line)):
            found.append([numbered[1], numbered[2]])
            within = 1
        elif mark is None:
            if within >= 0 and line.strip():
                found[-1][within] = f"{found[-1][within]} {line.strip()}".strip()
        elif mark["asks"]:
            found.append([mark["said"], ""])
            within = 0
            _part(found[-1])
        elif found:
            found[-1][1] = mark["said"]
            within = 1
    return [(_bare(question), _bare(answer)) for question, answer in found]


def _part(pair: list[str]) -> None:
    """A question with its answer in the same line: parted."""
    if mark := _SAME_LINE.search(pair[0]):
        pair[:] = pair[0][: mark.end("question")], pair[0][mark.end() :]


def _bare(text: str) -> str:
    return text.strip().strip("*_").strip()

"""Multiple-choice questions whose key does not hold by rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from synthgain.curate.lacking import of_row
from synthgain.types import Anchor, Row, Verdict, drop, keep
from synthgain.words import words


@dataclass(frozen=True)
class AnswerKey:
    """Drops a question (fields `question`, `options`, `gold`, `sentence`) whose key does not hold: the sentence that answers it stands in no anchor,
    the right option is not in the sentence or is given away in the question, a wrong option stands in the sentence too, options are the same, or
    there are fewer than `least` (0: as many as the row's `asked_options` says).

    Texts are compared by their words. Whether the sentence answers the question is not seen. Rows without these fields stay.
    """

    least: int = 0

    @property
    def name(self) -> str:
        return "answer-key"

    def lacks(self, row: Row | None, anchors: Sequence[Anchor]) -> str | None:
        """The options or their key, where the row has none."""
        return of_row(row, "options", "gold")

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        options, gold = row.fields.get("options"), row.fields.get("gold")
        if not isinstance(options, list | tuple) or not isinstance(gold, int) or not 0 <= gold < len(options):
            return keep()
        sentence, question = (plain(str(row.fields.get(name) or "")) for name in ("sentence", "question"))
        said = [plain(str(option)) for option in options]
        least = self.least or int(row.fields.get("asked_options") or 2)
        for wrong, why in (
            (
                not any(_within(sentence, plain(anchor.text)) for anchor in anchors),
                "its sentence is not in the document",
            ),
            (not _within(said[gold], sentence), "the answer is not in its sentence"),
            (_within(said[gold], question), "the question gives the answer away"),
            (
                any(_within(one, sentence) for at, one in enumerate(said) if at != gold),
                "a wrong option is in the sentence",
            ),
            (len(set(said)) < len(said), "two options are the same"),
            (len(said) < least, "too few options"),
        ):
            if wrong:
                return drop(why)
        return keep()


def plain(text: str) -> str:
    """The words of a text with one space between them."""
    return " ".join(words(text))


def _within(part: str, whole: str) -> bool:
    return bool(part) and f" {part} " in f" {whole} "


CHECK = AnswerKey

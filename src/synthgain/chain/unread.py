"""A judge that answers, and never so that it can be read: a run notices, and pays it no longer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from synthgain.chain.barren import cure
from synthgain.chain.buying import SOME
from synthgain.chain.judging import saw
from synthgain.types import AnyCheck, Call, Recipe, Row, SynthgainError

EXCERPT = 120  # characters of an answer that are shown
WRITER = "writer"  # the role that a prompt is put to where it names none


class Unread:
    """Of each part that goes by what a model says (a check, or the draft) and says so (`unread`): the answers that came to nothing, until one can be read."""

    def __init__(self, recipe: Recipe, checks: Sequence[AnyCheck]) -> None:
        self.order = [check.name for check in checks]  # in which they judge
        self.draft = recipe.name
        parts: dict[str, Any] = {check.name: check for check in checks} | {recipe.name: recipe.draft}
        self.asks = {name: part for name, part in parts.items() if hasattr(part, "unread")}
        self.answers = {name: set[str]() for name in self.asks}  # ids
        self.rows = {name: Counter[str]() for name in self.asks}  # by what could not be read
        self.first: dict[str, Call] = {}

    def look(self, row: Row) -> None:
        """Look at a row with the row checks' verdicts; one that nothing was bought for says nothing."""
        if not self.asks or not row.calls or row.fields.get("human"):
            return
        for name in (*saw(self.order, row), self.draft):
            said = self._asked(name, row) if name in self.asks else None
            if said:
                asked = _judges(row)
                self.answers[name] |= {call.id for call in asked}
                self.rows[name][said] += 1
                self.first.setdefault(name, asked[-1])
            elif said is not None:
                del self.asks[name]

    def _asked(self, name: str, row: Row) -> str | None:
        """What the part says; SynthgainError in its name where it fails."""
        try:
            said: str | None = self.asks[name].unread(row)
            return said
        except Exception as error:
            what = f"its `unread` failed: {type(error).__name__}: {error}"
            raise SynthgainError(what, where=name, next="mend it: it gives a text or None") from error

    def refusal(self, *, at_the_end: bool = False) -> SynthgainError | None:
        """What to say where none of the first 20 answers could be read, or at the end none of all."""
        for name in self.asks:
            if len(self.answers[name]) >= (1 if at_the_end else SOME):
                return _refusal(name, self.rows[name], self.first[name], is_check=name in self.order)
        return None


def _judges(row: Row) -> list[Call]:
    """The answers that were to judge a row: of other roles than the writer's, else those that are not the row itself, else all."""
    others = [call for call in row.calls if call.prompt.to != WRITER]
    return others or [call for call in row.calls if row.answer not in call.text] or list(row.calls)


def _refusal(part: str, rows: Counter[str], call: Call, *, is_check: bool) -> SynthgainError:
    text, role = call.text.strip(), call.prompt.to
    said = f"{text[:EXCERPT]!r}{' …' if len(text) > EXCERPT else ''}" if text else "nothing"
    cut = call.finish == "length" or "reasoning" in call.message
    without = f", or leave it out (--without {part})" if is_check else ""
    return SynthgainError(
        f"none of {rows.total():,} rows has {rows.most_common(1)[0][0]}, by which it judges; the first answer of {call.model} "
        f"in the role {role} was {said}",
        where=part,
        code=5,
        next=(f"{cure(call)}; or " if cut else "")
        + f"give the role another model (-m {role}=URI), or change what it is asked{without}: what it answered is not asked for again",
    )

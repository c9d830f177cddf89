"""Whether an answer has the form that a regular expression describes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import regex

from synthgain.curate.empty import no_answer
from synthgain.curate.lacking import of_anchors
from synthgain.thinking import parted
from synthgain.types import Anchor, Row, SynthgainError, Verdict, drop, keep

SECONDS = 1.0


@dataclass(frozen=True)
class Pattern:
    """Drops an answer in which the regular expression `pattern` matches nowhere; with `whole` one that it does not match from end to end.

    With `refuse` it is the other way round: an answer that matches falls. Where `pattern` is empty each row is judged by its anchor's
    field `field`; a row whose anchor has none falls. The syntax is that of Python's `re` and more (the library `regex`: `(?i)` at its head
    ignores case, `\\p{Han}` is a script). On the command line write a colon as `\\x3a`.

    Matching may take `seconds`, for a bad pattern can take for ever on a long answer: a row that takes longer falls, with that reason; it is the
    one verdict that a slower machine may give and a faster one not.
    """

    pattern: str = ""
    whole: bool = False
    refuse: bool = False
    field: str = "pattern"
    seconds: float = SECONDS

    def __post_init__(self) -> None:
        if self.seconds <= 0:
            raise SynthgainError(f"seconds is more than 0, not {self.seconds}", where=self.name)
        if self.pattern:
            try:
                _compiled(self.pattern)
            except regex.error as error:
                raise SynthgainError(
                    f"this is no regular expression: {error}", where=self.name, next="mend the pattern"
                ) from error

    @property
    def name(self) -> str:
        return "pattern"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        patterns = (
            [self.pattern] if self.pattern else [str(a.fields[self.field]) for a in anchors if a.fields.get(self.field)]
        )
        if not patterns:
            return drop("no pattern to match")
        if why := no_answer(row):
            return drop(why)
        answer = parted(row.answer).content.strip()
        try:
            found = [self._matches(pattern, answer) for pattern in patterns]
        except regex.error:
            return drop("its pattern is no regular expression")
        except TimeoutError:
            return drop("matching takes too long")
        if self.refuse:
            return drop("matches") if any(found) else keep()
        return keep() if all(found) else drop("does not match")

    def lacks(self, row: Row | None, anchors: Sequence[Anchor]) -> str | None:
        """The field of patterns, where none is set and no anchor has it."""
        return "" if self.pattern else of_anchors(anchors, self.field)

    def _matches(self, pattern: str, answer: str) -> bool:
        compiled = _compiled(pattern)
        match = compiled.fullmatch if self.whole else compiled.search
        return match(answer, timeout=self.seconds) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> regex.Pattern[str]:
    return regex.compile(pattern, regex.VERSION0)


CHECK = Pattern

"""A check that finds in no row what it judges by keeps or drops all of them: a run says so before a token is bought, or after a few rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

from synthgain.chain.buying import SOME
from synthgain.chain.judging import AGAIN, saw
from synthgain.types import Anchor, AnyCheck, Row, SynthgainError, user

SHOWN = 12  # fields that are named
PATIENCE = 5 * SOME  # rows without what it judges by that a check may keep: it may be in a few rows only


def refuse_blind(
    checks: Sequence[AnyCheck],
    anchors: Iterable[Anchor],
    fields: Sequence[str] = (),
    tried: Callable[[], Row | None] = lambda: None,
) -> None:
    """SynthgainError where a check needs of its anchors what none of them has, or a field that is not among those that rows can have (`fields`;
    none: not known). `anchors` are read up to the first that has it. `tried` gives a row of the recipe without buying anything (None: it cannot), for
    a check that judges by how a row was asked for.
    """
    row = Row(messages=(user(""),), fields=dict.fromkeys(fields))  # as far as it is known before there is one
    for check in checks:
        if not hasattr(check, "lacks"):
            continue
        first = tuple(islice(anchors, 1))
        if fields and first and not _asked(check, None, first) and (said := _asked(check, row, first)):
            raise _refusal(check.name, f"no row of this recipe has {said}", "rows", fields)
        of_calls = first and _asked(check, None, first) is None and _asked(check, row, first) is None
        made = tried() if of_calls else None
        said, held = "", dict[str, None]()
        for anchor in anchors:
            said = _asked(check, made, (anchor,)) or ""
            if not said:
                break
            held |= dict.fromkeys(anchor.fields)
        if said:
            raise _refusal(check.name, f"no anchor has {said}", "anchors", held)


class Lacking:
    """Which checks have not found yet, in any row that came to them, what they judge by (`lacks`)."""

    def __init__(self, checks: Sequence[AnyCheck]) -> None:
        self.order = [check.name for check in checks]  # in which they judge
        self.asks = {check.name: check for check in checks if hasattr(check, "lacks")}
        self.blind = {name: Counter[str]() for name in self.asks}  # what was lacking; not there once it was found
        self.dropped: set[str] = set()  # checks that drop such rows
        self.held: dict[str, None] = {}  # fields of such rows

    def look(self, row: Row, anchors: Sequence[Anchor]) -> None:
        """Look at a row with the row checks' verdicts: a check that comes behind the one that dropped it did not see it."""
        if not self.blind or row.fields.get("human"):
            return
        fallen = row.fallen
        for name in saw(self.order, row):
            if name in self.blind and (said := _asked(self.asks[name], row, anchors)) is not None:
                if said:
                    self.blind[name][said] += 1
                    if fallen is not None and fallen.check == name:
                        self.dropped.add(name)
                    self.held |= dict.fromkeys(row.fields)
                else:
                    del self.blind[name]

    def refusal(self, *, at_the_end: bool) -> SynthgainError | None:
        """What to say of a check that found nothing in its rows: in its first ones (20 where it drops them, 100 where it keeps them), or in all."""
        for name, said in self.blind.items():
            least = 1 if at_the_end else SOME if name in self.dropped else PATIENCE
            if said.total() >= least:
                return _refusal(
                    name, f"none of {said.total():,} rows has {said.most_common(1)[0][0]}", "rows", self.held
                )
        return None


def _asked(check: Any, row: Row | None, anchors: Sequence[Anchor]) -> str | None:
    """What the check says that it lacks; SynthgainError in its name where it fails."""
    try:
        said: str | None = check.lacks(row, anchors)
        return said
    except Exception as error:
        raise SynthgainError(
            f"the check failed: {type(error).__name__}: {error}", where=check.name, next=AGAIN
        ) from error


def no_anchor_has(name: str, anchors: Iterable[Anchor], said: str) -> SynthgainError | None:
    """What to say of a draft that broke because it reads this field; None where some anchor has it. `said` is how it broke, and where."""
    held = dict[str, None]()
    for anchor in anchors:
        if name in anchor.fields:
            return None
        held |= dict.fromkeys(anchor.fields)
    return SynthgainError(
        f"no anchor has the field {name!r}, which the draft reads",
        where=said,
        next=f"{_there('anchors', held)}; rename one, or read {name!r} with fields.get where it may be missing. A recipe that says "
        f"needs=({name!r},) is refused before anything is bought",
    )


def _there(of: str, fields: Iterable[str]) -> str:
    names = list(fields)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"these {of} have the fields {', '.join(names[:SHOWN])}{more}" if names else f"these {of} have no fields"


def _refusal(check: str, what: str, of: str, fields: Iterable[str]) -> SynthgainError:
    return SynthgainError(
        f"{what}, by which the check judges",
        where=check,
        next=f"{_there(of, fields)}; `synthgain checks {check}` says what it reads, and which setting names it; or leave the check out",
    )

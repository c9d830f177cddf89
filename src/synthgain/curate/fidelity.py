"""Rows that say other names, numbers, dates, units or denials than their anchors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from synthgain.curate.dates import Calendar, dates_in
from synthgain.curate.grounded import whole
from synthgain.curate.measured import LEAST_SPELT, Amounts, quantities_in
from synthgain.curate.negated import Claim, claims_of, turned_round
from synthgain.facts import Source, names_of
from synthgain.types import Anchor, Row, SynthgainError, Verdict, drop, keep

REASONS = {
    "dates": "a date not in its source",
    "units": "a number with another unit than in its source",
    "numbers": "a number not in its source",
    "names": "a name not in its source",
    "negations": "denies what its source states, or the other way round",
}


@dataclass(frozen=True)
class Fidelity:
    """Drops a row of whose names, numbers, dates, units and denials more than the share `most` is not as in its anchors' texts and fields.

    By rule, no model. It sees more than `grounded`, and fewer false alarms: the same date in other writing is equal, and so are 5 km, five kilometres
    and 5,000 m; 5 miles are another distance. Where a sentence says nearly what a sentence of the source says, a denial in only one of the two counts.
    The reason is that of the first of `kinds` (any of dates, units, numbers, names, negations) with something strange: the
    score is the share that is. Not seen: a wrong name or number of the same document, antonyms, and what follows from nothing. Measured in docs/fidelity.md.
    """

    most: float = 0.0
    kinds: tuple[str, ...] = tuple(REASONS)

    def __post_init__(self) -> None:
        if unknown := [kind for kind in self.kinds if kind not in REASONS]:
            raise SynthgainError(
                f"there is no kind {unknown[0]!r}", where=self.name, next=f"the kinds are: {', '.join(REASONS)}"
            )

    @property
    def name(self) -> str:
        return "fidelity"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        found = compare(row.answer, "\n".join(whole(anchor) for anchor in anchors))
        said = sum(found[kind].said for kind in self.kinds)
        strange = sum(len(found[kind].strange) for kind in self.kinds)
        share = round(strange / said, 4) if said else 0.0
        if not strange or share <= self.most:
            return keep(share)
        return drop(next(REASONS[kind] for kind in REASONS if kind in self.kinds and found[kind].strange), share)


@dataclass(frozen=True)
class Compared:
    """Of one kind: how much a text says, and what of it the source has not."""

    said: int
    strange: tuple[str, ...]


def compare(text: str, source: str) -> dict[str, Compared]:
    """By kind (see `REASONS`) what a text says and what of it is not in the source. Each thing counts once."""
    there = _read(source)
    written = dates_in(text)
    plain = _without(text, [(date.start, date.end) for date in written])
    counted = quantities_in(plain)
    amounts = {q.text: q for q in counted if not q.spelt or q.value >= LEAST_SPELT or q.units}.values()
    rest = _without(plain, [(q.start, q.end) for q in counted])
    dates = {date.text: there.calendar.has(date) for date in written}
    wrong_unit = {q.text: there.amounts.wrong_unit(q) for q in amounts if q.units}
    numbers = {q.text: there.amounts.has(q) or q.value in there.numbers for q in amounts}
    names = {name: _has_name(there.names, name) for name in names_of(rest)}
    compared, turned = turned_round(claims_of(text), there.claims)
    return {
        "dates": Compared(len(dates), tuple(d for d, known in dates.items() if not known)),
        "units": Compared(len(wrong_unit), tuple(q for q, wrong in wrong_unit.items() if wrong)),
        "numbers": Compared(len(numbers), tuple(q for q, known in numbers.items() if not known)),
        "names": Compared(len(names), tuple(name for name, known in names.items() if not known)),
        "negations": Compared(compared, tuple(dict.fromkeys(claim.text for claim in turned))),
    }


def _without(text: str, places: Sequence[tuple[int, int]]) -> str:
    """The text with what stands there cut out; an x stands for each, so that what follows begins no sentence."""
    parts, at = list[str](), 0
    for start, end in places:
        if start >= at:
            parts += [text[at:start], "x"]
            at = end
    return "".join([*parts, text[at:]])


def _has_name(source: Source, name: str) -> bool:
    """Also where one of the two is the plural of an abbreviation: "CNN", "CNNs"."""
    return source.has(name) or (name[:-1].isupper() and source.has(name[:-1] if name.endswith("s") else f"{name}s"))


@dataclass(frozen=True)
class _Whole:
    """A source, read for every kind."""

    names: Source
    numbers: frozenset[float]
    calendar: Calendar
    amounts: Amounts
    claims: list[Claim]


@lru_cache(maxsize=64)  # rows of one anchor come side by side
def _read(text: str) -> _Whole:
    source = Source.of(text)
    plain = _without(text, [(date.start, date.end) for date in dates_in(text)])  # the 5 of "5 May" is 5 of nothing
    return _Whole(
        source,
        frozenset(map(float, source.numbers)),
        Calendar.of(text, source.numbers),
        Amounts.of(plain),
        claims_of(text),
    )


CHECK = Fidelity

"""Rows with names and numbers that their anchors do not have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from synthgain.facts import Source, facts
from synthgain.types import Anchor, Row, Verdict, drop, keep

SHOWN = 3  # names and numbers that the reason lists


@dataclass(frozen=True)
class Grounded:
    """Drops a row of whose names and numbers more than the share `most` stand in none of its anchors' texts and fields.

    By rule, no model (`synthgain.facts`): an invented year or town is seen, a sentence turned round, or a wrong name of the same
    document, is not. The score is the share. Rows without names and numbers stay.
    """

    most: float = 0.0

    @property
    def name(self) -> str:
        return "grounded"

    def __call__(self, row: Row, anchors: Sequence[Anchor]) -> Verdict:
        said = list(dict.fromkeys(facts(row.answer)))
        sources = [_source(whole(anchor)) for anchor in anchors]
        strange = [fact for fact in said if not any(source.has(fact) for source in sources)]
        share = len(strange) / len(said) if said else 0.0
        if share <= self.most:
            return keep(round(share, 4))
        more = f" and {len(strange) - SHOWN} more" if len(strange) > SHOWN else ""
        return drop(f"not in its source: {', '.join(strange[:SHOWN])}{more}", round(share, 4))


def whole(anchor: Anchor) -> str:
    """The anchor's text, and what its fields say: what a row is held against."""
    return "\n".join([anchor.text, *(str(value) for value in anchor.fields.values())])


@lru_cache(maxsize=64)  # rows of one anchor come side by side
def _source(text: str) -> Source:
    return Source.of(text)


CHECK = Grounded

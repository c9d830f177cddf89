"""Long traces from every domain (a selection): the diversity stage of s1."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from synthgain.curate.chosen import check_size, flags, keyed, number, of_fields, size, verdicts
from synthgain.curate.lacking import of_row
from synthgain.types import Anchor, Row, Verdict, digest

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class S1:
    """Keeps `n` rows (or the `share`): a domain is drawn uniformly, and in it a row with weight 2^-rank, the longest trace having rank 0.

    Muennighoff et al., arXiv 2501.19393; code simplescaling/s1 (`data/filter.ipynb`). Ranks are taken anew after each draw, and a domain without rows is
    drawn no more, as in the code. Rows whose field `first` is true are kept before anything is drawn (the paper's preselection). `domain` and
    `length` name the fields with the domain and the trace's length; a row without a length ranks last of its domain, and rows
    without a domain are a domain of their own.

    The paper draws all domains uniformly, as here; the notebook draws the last 300 of 1,000 by the domains of its benchmarks (AIME and half of GPQA), which
    chooses towards the test and is left out. The result depends on the set and `seed`, not on the order of rows. Cost: a sort, and n draws.
    """

    n: int = 1_000
    share: float = 0.0
    seed: int = 0
    domain: str = "domain"
    length: str = "trace_tokens"
    first: str = "preselected"

    def __post_init__(self) -> None:
        check_size(self.n, self.share, self.name)

    @property
    def name(self) -> str:
        return "s1"

    @property
    def columns(self) -> tuple[str, ...]:
        return ("id", "fields")

    @property
    def selects(self) -> Literal[True]:
        return True

    def lacks(self, row: Row | None, anchors: Sequence[Anchor]) -> str | None:
        """The field of the trace's length, where the row has none."""
        return of_row(row, self.length)

    def __call__(self, table: pa.Table) -> Sequence[Verdict]:
        ties = keyed(table, f"s1 {self.seed}").tolist()
        domains: dict[str, list[tuple[float, int, int]]] = {}
        chosen: list[int] = []
        for place, fields in enumerate(of_fields(table)):
            length = number(fields.get(self.length))
            known = length if length == length else -1.0
            domains.setdefault(str(fields.get(self.domain) or ""), []).append((-known, ties[place], place))
            if fields.get(self.first) is True:
                chosen.append(place)
        ranked = {domain: [place for _, _, place in sorted(rows)] for domain, rows in sorted(domains.items())}
        wanted = size(len(table), self.n, self.share)
        stays = drawn(ranked, set(chosen), wanted, random.Random(digest("s1", str(self.seed))))
        return verdicts(flags(len(table), sorted(stays)), "not drawn")


def drawn(ranked: dict[str, list[int]], chosen: set[int], n: int, rng: random.Random) -> set[int]:
    """`chosen` and rows drawn from domains until there are `n`; `ranked` holds each domain's rows, the longest first, and is used up."""
    names = [domain for domain, rows in ranked.items() if rows]
    while len(chosen) < n and names:
        at = rng.randrange(len(names))
        rows = ranked[names[at]]
        chosen.add(rows.pop(_rank(len(rows), rng)))  # a chosen row may be drawn again, and then counts once
        if not rows:
            names[at] = names[-1]
            names.pop()
    return chosen


def _rank(n: int, rng: random.Random) -> int:
    """A rank below `n` with probability in proportion to 2^-rank."""
    while True:
        rank = 0
        while rank < n and rng.random() < 0.5:
            rank += 1
        if rank < n:
            return rank


CHECK = S1

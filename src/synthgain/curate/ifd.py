"""Rows whose question helps a model least with the answer, and still helps (a selection): IFD, the instruction-following difficulty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from synthgain.curate.chosen import Floats, best, check_size, flags, keyed, number, of_fields, size, verdicts
from synthgain.curate.lacking import of_row
from synthgain.types import Anchor, Row, SynthgainError, Verdict, drop

if TYPE_CHECKING:
    import pyarrow as pa

FORMS = ("losses", "perplexities")


@dataclass(frozen=True)
class IFD:
    """Keeps the `share` (or with share 0 the `n` rows) of the highest IFD below 1.

    IFD is loss(answer | question) / loss(answer), mean losses a token, in nats: of Li et al. (Cherry, arXiv 2308.12032; code tianyi-lab). With
    `form=perplexities` it is the ratio of the two perplexities, as Superfiltering has it (arXiv 2402.00530); the two order rows differently. A row at
    1 or above falls: its question makes the answer no likelier. The code drops above 1 (Cherry) and from 1 on (Superfiltering); both keep
    the highest 5 to 15 %. `synthgain score DATA -o OUT --scorer URI` writes the two losses into fields. The scorer of Cherry had a short training on
    the set first; a raw base model is another scorer.

    It likes short, broken and foreign answers and code: look at what it keeps. Cost: linear, and a sort.
    """

    share: float = 0.1
    n: int = 1_000
    form: str = "losses"
    given: str = "loss_given_question"
    alone: str = "loss_alone"

    def __post_init__(self) -> None:
        check_size(self.n, self.share, self.name)
        if self.form not in FORMS:
            raise SynthgainError(f"form is {' or '.join(FORMS)}, not {self.form!r}", where=self.name)

    @property
    def name(self) -> str:
        return "ifd"

    @property
    def columns(self) -> tuple[str, ...]:
        return ("id", "fields")

    @property
    def selects(self) -> Literal[True]:
        return True

    def __call__(self, table: pa.Table) -> Sequence[Verdict]:
        losses = np.array(
            [(number(fields.get(self.given)), number(fields.get(self.alone))) for fields in of_fields(table)],
            np.float64,
        ).reshape(-1, 2)
        scores = difficulty(losses[:, 0], losses[:, 1], self.form)
        helped = np.where(scores < 1, scores, np.nan)
        stays = best(helped, keyed(table, self.name), size(len(table), self.n, self.share))
        found = verdicts(flags(len(table), stays), "lower than others", scores, "no losses in its fields")
        for place in np.flatnonzero(scores >= 1).tolist():
            found[place] = drop("the question does not help with the answer", round(float(scores[place]), 6))
        return found

    def lacks(self, row: Row | None, anchors: Sequence[Anchor]) -> str | None:
        """The field that it reads, where the row has none."""
        return of_row(row, self.given, self.alone)


def difficulty(given: Floats, alone: Floats, form: str = "losses") -> Floats:
    """IFD of mean losses in nats a token; NaN where one is missing, negative, or (of a ratio of losses) nothing."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = given / alone if form == "losses" else np.exp(given - alone)
    return np.where((given >= 0) & (alone >= 0) & np.isfinite(ratio), ratio, np.nan)


CHECK = IFD

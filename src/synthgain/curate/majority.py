"""Majority vote over the draws of one question (a fold): what needs no gold answer."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from synthgain.curate.answers import found_answer
from synthgain.curate.voting import Vote, vote
from synthgain.types import Judge, SynthgainError, Verdict, drop, keep

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 1_024  # rows that are Python objects at the same time
LONGEST = 200  # characters of a final answer
COLUMNS = ("answer", "anchor_ids", "fields", "logprob", "tokens_out")


@dataclass(frozen=True)
class Majority:
    """Keeps the rows whose final answer is the one that most draws of their question (the rows with the same anchors) give.

    Self-consistency (Wang et al., arXiv 2203.11171) as a filter. The winner needs at least the part `share` of its question's draws, and a
    lead of `margin` over the runner-up (of the draws, too); `draws` is the least number for a vote to be held. Draws without a final answer
    count among the draws, and fall. Tied winners fall together, as "a tie"; with `ties` = "first" the one that was given first wins. `most`
    below 1 leaves out what is too easy: a question whose winner has a larger share falls. With `weighted` a draw counts for its likelihood a token,
    exp(log-probability / tokens), where every draw of the question has one (the paper found no better).

    When two answers are the same: `answers.py`. The score is the winner's share. It sees no right answer: where a model is wrong in one
    way more often than it is right, the vote is wrong, and surely so.

    A vote is held over the rows of one draft; where a question is drawn again in another pass, those draws vote by themselves. What fell before
    has no vote: put this check before `exact-duplicate` and `distinct-equations`, or leave them out, for draws that agree word for word are votes.
    Rows marked `human` in their fields stay and have no vote.
    """

    share: float = 0.0
    margin: float = 0.0
    draws: int = 2
    ties: str = "drop"
    most: float = 1.0
    weighted: bool = False

    def __post_init__(self) -> None:
        for name in ("share", "margin", "most"):
            if not 0 <= getattr(self, name) <= 1:
                raise SynthgainError(f"{name} lies in 0 to 1, not {getattr(self, name)}", where=self.name)
        if self.ties not in ("drop", "first"):
            raise SynthgainError(f"ties is drop or first, not {self.ties!r}", where=self.name)
        if self.draws < 1:
            raise SynthgainError(f"draws is 1 or more, not {self.draws}", where=self.name)

    @property
    def name(self) -> str:
        return "majority"

    @property
    def columns(self) -> tuple[str, ...]:
        return COLUMNS if self.weighted else COLUMNS[:3]

    def begin(self) -> Judge:
        """A judge; it remembers nothing, for a question's draws come together."""
        return self._judge

    def _judge(self, table: pa.Table) -> Sequence[Verdict]:
        verdicts = [keep()] * len(table)
        questions: dict[str, list[tuple[int, str | None, float | None]]] = {}
        for place, question, answer, nats in _draws(table.select(self.columns)):
            if question is not None:
                questions.setdefault(question, []).append((place, answer, nats))
        for drawn in questions.values():
            weights = [math.exp(nats) for _, _, nats in drawn if nats is not None]
            weighed = self.weighted and len(weights) == len(drawn)
            found = vote([answer for _, answer, _ in drawn], weights if weighed else None)
            for (place, _, _), kind in zip(drawn, found.of):
                verdicts[place] = self._verdict(found, kind, len(drawn))
        return verdicts

    def _verdict(self, found: Vote, kind: int | None, draws: int) -> Verdict:
        score = round(found.share, 4)
        if kind is None:
            return drop("no final answer", score)
        if draws < self.draws:
            return drop("too few draws for a vote", score)
        if found.tied and self.ties == "drop":
            return drop("a tie", score)
        if found.share < self.share or found.margin < self.margin:
            return drop("no clear majority", score)
        if found.share > self.most:
            return drop("too many draws agree", score)
        return keep(score) if kind == found.winner else drop("not the majority's answer", score)


def _draws(table: pa.Table) -> Iterator[tuple[int, str | None, str | None, float | None]]:
    """Of each row its place, question, final answer and log-probability a token; no question for a row that has no vote."""
    place = 0
    for batch in table.to_batches(max_chunksize=BATCH):
        for row in batch.to_pylist():
            yield place, _question(row), (found_answer(row["answer"] or "") or "")[:LONGEST] or None, _nats(row)
            place += 1


def _question(row: dict[str, Any]) -> str | None:
    told = row["fields"] or ""
    if '"human"' in told and json.loads(told).get("human"):
        return None
    return json.dumps(row["anchor_ids"] or [])


def _nats(row: dict[str, Any]) -> float | None:
    nats, tokens = row.get("logprob"), row.get("tokens_out")
    return None if nats is None or not tokens or math.isnan(nats) else min(0.0, nats / tokens)


CHECK = Majority

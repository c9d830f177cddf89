"""A model that answers and gives nothing, from the first answer on or from some answer on: a run notices, and buys no more."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from synthgain.chain.buying import SOME, TOO_MANY, Buyer
from synthgain.thinking import hollow
from synthgain.types import Call, SynthgainError

IN_A_ROW = 100  # answers with nothing, one after the other, end a run whose model did answer before


@dataclass
class _Heard:
    """What one model gave so far."""

    gives: bool = False  # whether it gave anything that was bought now
    remembered: int = 0  # answers of before that hold something
    hollow: Counter[str] = field(default_factory=Counter)  # bought since it last gave something, by reason

    @property
    def barren(self) -> bool:
        n = self.hollow.total()
        return n >= IN_A_ROW if self.gives else n >= SOME and n > TOO_MANY * (n + self.remembered)


@dataclass(frozen=True)
class Hearing:
    """Ends a run whose model answers nothing: all of the first SOME answers bought now, and more than TOO_MANY of what there is of it;
    or IN_A_ROW of a model that gave something before.
    """

    buyer: Buyer
    _heard: dict[str, _Heard] = field(default_factory=dict)

    def __call__(self, call: Call, bought: bool) -> None:
        heard = self._heard.setdefault(call.model, _Heard())
        why = hollow(call)
        if bought and not why:
            heard.gives = True
            heard.hollow.clear()
        elif not why:
            heard.remembered += 1
        elif bought:
            heard.hollow[why] += 1
            if heard.barren and self.buyer.stopped is None:
                self.buyer.fail(barren(call, heard.hollow, "last" if heard.gives else "first"))


class Barren(SynthgainError):
    """A model answers and gives nothing; what it gave is asked for again with `ask_again` only."""


def barren(call: Call, reasons: Counter[str], which: str = "first") -> Barren:
    """What to say of a model that gave only such answers, the last of which is `call`."""
    why, n = reasons.most_common(1)[0]
    what = f"its {which} {reasons.total():,} answers hold nothing; {n:,} of them: {why}"
    return Barren(what, where=call.model, code=5, next=cure(call))


def cure(call: Call) -> str:
    """What to change where a call holds nothing."""
    if call.finish == "length" or "reasoning" in call.message:
        return (
            "give answers more tokens (--set max_tokens=N) or let the model think less (--extra reasoning_effort=low)"
        )
    return (
        f"look at one answer (synthgain check {call.model}, with the same --base-url) and at the server's log; once it answers, "
        "--ask-again asks also for what came back with nothing"
    )

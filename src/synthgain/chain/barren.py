"""A model that answers and gives nothing: a run notices in its first tens of answers, and buys no more."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from synthgain.chain.buying import SOME, TOO_MANY, Buyer
from synthgain.thinking import hollow
from synthgain.types import Call, SynthgainError


@dataclass
class _Heard:
    """What one model gave so far."""

    gives: bool = False  # whether it gave anything that was bought now
    remembered: int = 0  # answers of before that hold something
    hollow: Counter[str] = field(default_factory=Counter)  # bought now, by reason


@dataclass(frozen=True)
class Hearing:
    """Ends a run whose model answers nothing: all of the first SOME answers bought now, and more than TOO_MANY of what there is of it."""

    buyer: Buyer
    _heard: dict[str, _Heard] = field(default_factory=dict)

    def __call__(self, call: Call, bought: bool) -> None:
        heard = self._heard.setdefault(call.model, _Heard())
        if heard.gives:
            return
        if not (why := hollow(call)):
            heard.gives, heard.remembered = bought, heard.remembered + 1
        elif bought:
            heard.hollow[why] += 1
            n = heard.hollow.total()
            if n >= SOME and n > TOO_MANY * (n + heard.remembered) and self.buyer.stopped is None:
                self.buyer.fail(barren(call, heard.hollow))


def barren(call: Call, reasons: Counter[str]) -> SynthgainError:
    """What to say of a model that gave only such answers, the last of which is `call`."""
    why, n = reasons.most_common(1)[0]
    what = f"its first {reasons.total():,} answers hold nothing; {n:,} of them: {why}"
    return SynthgainError(what, where=call.model, code=5, next=cure(call))


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

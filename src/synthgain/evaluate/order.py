"""Whether one arm beats another at every learning rate, in a sentence.

Small trainings order data recipes differently from learning rate to learning rate (arXiv 2512.24503), so an order that was seen at one rate is
no order. Of two arms the difference at each rate has its own interval; they agree where all lie on one side of zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from synthgain.numbers import interval
from synthgain.types import Reading

Holds = Literal["beats", "ahead", "flips", "alike", "unknown"]
NUMBERS = ("no", "one", "two", "three", "four", "five", "six")


@dataclass(frozen=True)
class Order:
    """What the differences a − b at each rate say together.

    `holds`: "beats" where every interval lies above zero (or every one below: then `a` and `b` are exchanged), "ahead" where all lean to one
    side and some interval holds zero, "flips" where they lean to both sides, "alike" where a difference is zero throughout, "unknown" where
    one is missing.
    """

    a: str
    b: str
    holds: Holds
    sentence: str

    def json(self) -> dict[str, str]:
        return {"a": self.a, "b": self.b, "holds": self.holds, "sentence": self.sentence}


def order_of(a: str, b: str, mean: Reading, by_rate: Mapping[float, Reading]) -> Order:
    """The order of two arms from their difference on the mean over rates and at each."""
    values = {rate: r.value for rate, r in by_rate.items() if r.value is not None}
    if len(values) < len(by_rate) or not by_rate or mean.value is None:
        return Order(a, b, "unknown", f"{a} and {b} were not compared at every learning rate.")
    if any(values.values()) and all(value <= 0 for value in values.values()):
        return order_of(b, a, turned(mean), {rate: turned(r) for rate, r in by_rate.items()})
    unit = f" {mean.unit}" if mean.unit else ""
    what = f" of {mean.name.removesuffix(' difference')}" if mean.unit else ""
    each = ", ".join(f"{_said(r)} at {rate:g}" for rate, r in by_rate.items())
    whole = f"{_said(mean)}{unit}{what}"
    places = _places(len(by_rate))
    if not any(values.values()):
        return Order(a, b, "alike", f"{a} and {b} do not differ {places}.")
    if any(value < 0 for value in values.values()):
        sure = [rate for rate, r in by_rate.items() if _apart(r)]
        told = f"told apart at {_rates(sure)}" if sure else "told apart at none"
        sentence = f"The order of {a} and {b} flips with the learning rate: {a} less {b} is {each} ({told})."
        return Order(a, b, "flips", sentence)
    unsure = [rate for rate, r in by_rate.items() if not _apart(r)]
    if unsure:
        sentence = (
            f"{a} is ahead of {b} {places}, by {whole} on their mean, and not told apart at {_rates(unsure)}: {each}."
        )
        return Order(a, b, "ahead", sentence)
    return Order(a, b, "beats", f"{a} beats {b} by {whole} {places}: {each}.")


def turned(r: Reading) -> Reading:
    """The difference the other way round."""
    if r.value is None:
        return r
    low, high = (None if end is None else -end for end in (r.high, r.low))
    return replace(r, value=-r.value, low=low, high=high)


def _apart(r: Reading) -> bool:
    return r.low is not None and r.high is not None and (r.low > 0 or r.high < 0)


def _said(r: Reading) -> str:
    value = r.value or 0.0
    return interval(value, r.low, r.high, signed=value < 0 or (r.low is not None and r.low < 0))


def _places(n: int) -> str:
    if n == 1:
        return "at the one learning rate that was tried"
    return f"at {'both' if n == 2 else f'all {NUMBERS[n] if n < len(NUMBERS) else n}'} learning rates"


def _rates(rates: Sequence[float]) -> str:
    return ", ".join(f"{rate:g}" for rate in rates)

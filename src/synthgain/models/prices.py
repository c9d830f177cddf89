"""What a call costs: US dollars per million tokens, from `prices.json` or from `--price IN,OUT`."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from synthgain.types import SynthgainError

_DATED = re.compile(r"(-\d{4}-\d{2}-\d{2})?")  # a snapshot costs what its family costs, unless it has its own entry


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens. `cached`: prompt tokens that the server had cached; None: as the others."""

    into: float
    out: float
    cached: float | None = None
    as_of: str = ""

    def cost(self, tokens_in: int, tokens_out: int, tokens_cached: int = 0) -> float:
        """US dollars for one call. `tokens_in` counts the cached ones too."""
        cached = self.into if self.cached is None else self.cached
        return (self.into * (tokens_in - tokens_cached) + cached * tokens_cached + self.out * tokens_out) / 1e6

    @staticmethod
    def parse(text: str) -> Price:
        """The price that "IN,OUT" or "IN,OUT,CACHED" says."""
        try:
            numbers = [float(part) for part in text.split(",")]
        except ValueError:
            numbers = []
        if len(numbers) not in (2, 3) or not all(math.isfinite(n) and n >= 0 for n in numbers):
            raise SynthgainError(
                f"{text!r} is no price",
                where="--price",
                next="give dollars per million tokens in and out, such as --price 0.15,0.60 (and a third for cached tokens in)",
            )
        return Price(numbers[0], numbers[1], numbers[2] if len(numbers) == 3 else None)


def known_price(name: str, host: str) -> Price | None:
    """The list price of a model at the host that sells it; None where the table has none.

    The same name at another host (a gateway, a server of one's own) has no known price.
    """
    sold = _table().get(host.lower(), {})
    for prefix in sorted(sold, key=len, reverse=True):
        if name.startswith(prefix) and _DATED.fullmatch(name[len(prefix) :]):
            entry = sold[prefix]
            return Price(entry["in"], entry["out"], entry.get("in_cached"), entry["as_of"])
    return None


@cache
def _table() -> dict[str, dict[str, dict[str, Any]]]:
    table: dict[str, dict[str, dict[str, Any]]] = json.loads(
        files(__package__).joinpath("prices.json").read_text("utf-8")
    )
    return table

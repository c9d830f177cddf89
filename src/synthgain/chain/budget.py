"""What may still be spent: every call in flight has its own price set aside before it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from synthgain.types import Call, Model, Prompt, SynthgainError, canonical

FRAME = 32  # tokens that a template puts around a prompt, at most as a rule
USUAL = 0.3  # tokens a byte, of a prompt of which nothing is known
SAFE, LEAST = (
    1.25,
    0.5,
)  # times the most tokens a byte that were seen so far; never fewer than this many (English has 0.25)


@dataclass
class Spent:
    """Tokens in and out, and US dollars (None: a call had no known price)."""

    tokens: int = 0
    cost: float | None = 0.0
    guessed: int = 0  # tokens of calls that the server did not count, estimated from bytes; no part of `tokens`

    def guess(self, call: Call) -> None:
        """Count a call of which the server said no counts."""
        said = call.message["content"] + call.message.get("reasoning", "")
        known = call.tokens_in + call.tokens_out
        self.guessed += max(0, int(LEAST * (_size(call.prompt) + len(said.encode("utf-8", "replace")))) - known)


class Budget:
    """At most `max_tokens` tokens and `max_cost` US dollars over all calls, those in flight at the most they can take.

    A prompt's tokens are estimated from its bytes: one a byte at first, then by what answered calls took. An answer may
    take its `max_tokens`. So the cap can be passed by what that estimate misses, and by nothing else.
    """

    def __init__(
        self, max_cost: float | None, max_tokens: int | None, models: Mapping[str, Model], spent: Spent
    ) -> None:
        self.max_cost, self.max_tokens, self.spent = max_cost, max_tokens, spent
        self.prices: dict[str, Any] = {role: getattr(model, "price", None) for role, model in models.items()}
        for role, model in models.items():
            if max_cost is not None and hasattr(model, "price") and model.price is None:
                raise SynthgainError(
                    f"--max-cost needs a price, and none is known for {model.uri} in the role {role!r}",
                    where=f"--max-cost {max_cost:g}",
                    next="give --price IN,OUT (USD per million tokens)",
                )
        self.tokens_a_byte = 1.0
        self.seen = self.answered = False
        self.dollars_a_token: dict[str, float] = {}
        self.set_aside: dict[str, tuple[int, float]] = {}  # by call: tokens, US dollars
        self.news = asyncio.Event()
        self.why = ""  # the first time that a call did not fit
        self.next = (0, 0.0)  # what that call may take

    async def set_apart(self, id: str, prompt: Prompt) -> str:
        """Wait until the call fits beside those in flight, and set its price aside. Why it never will; "" where it does."""
        while self._refused(prompt):
            if not self.set_aside:
                self.next = self._most(prompt)
                self.why = self.said()
                return self.why
            self.news.clear()
            await self.news.wait()
        self.set_aside[id] = self._most(prompt)
        return ""

    def settle(self, id: str, prompt: Prompt, call: Call | None) -> None:
        """The call has ended: what it really took is counted elsewhere, and shows what the next ones may take."""
        self.set_aside.pop(id, None)
        if call is not None:
            self.answered = True
            if call.tokens_in >= 4 * FRAME:  # of a short prompt the template says more than the text
                seen = SAFE * call.tokens_in / _size(prompt)
                self.tokens_a_byte = max(self.tokens_a_byte if self.seen else LEAST, seen)
                self.seen = True
            tokens = call.tokens_in + call.tokens_out
            if call.cost is not None and tokens:
                self.dollars_a_token[prompt.to] = max(self.dollars_a_token.get(prompt.to, 0.0), call.cost / tokens)
        self.news.set()

    def _most(self, prompt: Prompt) -> tuple[int, float]:
        came_in, out = FRAME + int(_size(prompt) * self.tokens_a_byte), prompt.sampling.max_tokens
        if (
            not self.answered and not self.set_aside
        ):  # the very first call shows what calls take: it goes where it likely fits
            came_in, out = int(_size(prompt) * USUAL), 0
        price = self.prices.get(prompt.to)
        if price is not None:
            return came_in + out, float(price.cost(came_in, out))
        return came_in + out, (came_in + out) * self.dollars_a_token.get(prompt.to, 0.0)

    def next_takes(self, answered: Iterable[Call]) -> float:
        """US dollars that the largest of calls like these may take, once answers showed how many tokens a byte has: less left, and no more
        such calls are sent."""
        calls = list(answered)
        seen = [SAFE * call.tokens_in / _size(call.prompt) for call in calls if call.tokens_in >= 4 * FRAME]
        rate = max((LEAST, *seen)) if seen else self.tokens_a_byte
        most = 0.0
        for call in calls:
            came_in, out = FRAME + int(_size(call.prompt) * rate), call.prompt.sampling.max_tokens
            price = self.prices.get(call.prompt.to)
            per_token = (call.cost or 0.0) / max(1, call.tokens_in + call.tokens_out)
            most = max(most, price.cost(came_in, out) if price is not None else per_token * (came_in + out))
        return most

    def said(self) -> str:
        """In words, that no more can be bought: what was spent by now, and what the next call may take."""
        tokens, cost = self.next
        if self.max_tokens is not None and self._tokens() + tokens > self.max_tokens:
            guessed = (
                f" (and about {self.spent.guessed:,} more that the server did not count)" if self.spent.guessed else ""
            )
            return (
                f"the budget of {self.max_tokens:,} tokens has no room for the next call: {self.spent.tokens:,} spent{guessed}, "
                f"and that call may take {tokens:,}"
            )
        spent = self.spent.cost or 0.0
        return (
            f"the budget of ${self.max_cost:g} has no room for the next call: ${spent:.4f} spent, "
            f"and that call may take ${cost:.4f}"
        )

    def larger(self) -> dict[str, float]:
        """The limit that stopped the run, twice as large, or as large as the next call needs."""
        tokens, cost = self.next
        if self.max_tokens is not None and self._tokens() + tokens > self.max_tokens:
            return {"max_tokens": max(2 * self.max_tokens, self._tokens() + tokens)}
        needs = 1.1 * ((self.spent.cost or 0.0) + cost)
        return {"max_cost": max(2 * (self.max_cost or 0.0), float(f"{needs:.2g}"))}

    def _tokens(self) -> int:
        return self.spent.tokens + self.spent.guessed

    def _refused(self, prompt: Prompt) -> bool:
        """Whether the call does not fit now."""
        tokens, cost = self._most(prompt)
        ahead_tokens = sum(t for t, _ in self.set_aside.values()) + tokens
        ahead_cost = sum(c for _, c in self.set_aside.values()) + cost
        if self.max_tokens is not None and self._tokens() + ahead_tokens > self.max_tokens:
            return True
        if self.max_cost is None:
            return False
        if self.spent.cost is None:
            raise SynthgainError(
                "--max-cost needs a price, and a call has none: no price is known, or the server does not count tokens",
                next="give --price IN,OUT (USD per million tokens); for a server that does not count, --max-tokens instead",
            )
        unknown = self.prices.get(prompt.to) is None and prompt.to not in self.dollars_a_token
        if unknown and self.set_aside:
            return True  # the first answer tells the price
        return self.spent.cost + ahead_cost > self.max_cost or (unknown and self.spent.cost >= self.max_cost > 0)


def _size(prompt: Prompt) -> int:
    """Bytes of what a model reads."""
    said = [m["content"] if len(m) == 2 else canonical(m) for m in prompt.messages]
    more = [canonical(prompt.tools)] if prompt.tools else []
    return max(1, sum(len(text.encode("utf-8", "replace")) for text in (*said, *more)))

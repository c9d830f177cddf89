"""What a run has done so far."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from synthgain.chain.budget import Spent
from synthgain.thinking import only_thought
from synthgain.types import Call

FEW, MANY = 3, 0.1  # answers without an answer, that the run speaks of: so many at least, and more than this share


@dataclass
class Tally(Spent):
    """What a run has done so far: read by progress panels, budgets and run.json."""

    label: str = ""
    groups_total: int | None = None
    groups_done: int = 0
    rows: int = 0
    kept: int = 0
    dropped_by: Counter[str] = field(default_factory=Counter)
    repeated: int = 0  # rows that a draft gave again: same content, anchors and calls
    beyond: int = 0  # rows drafted beyond the limit of candidates, not looked at
    broken: int = 0
    broken_by: Counter[str] = field(default_factory=Counter)
    not_bought: int = 0  # calls that a replay would have needed and that were never bought
    calls_bought: int = 0
    calls_reused: int = 0
    recorded: Counter[str] = field(default_factory=Counter)  # calls that were recorded elsewhere, by recording
    recorded_cost: float | None = (
        0.0  # what these cost who bought them (None: one had no known price); no part of `cost`
    )
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    uncounted: int = 0  # calls of which the server said no counts of tokens
    thought_only: int = 0  # answers that are reasoning and nothing else
    misread: int = 0  # prompts of which the server dropped a part
    unpriced: int = 0  # remembered calls that were bought when no price was known
    in_flight: int = 0
    width: int = 0
    target: int | None = None
    started: float = field(default_factory=time.monotonic)
    trouble: str = ""  # what is wrong just now, and when the next try is
    warnings: dict[str, str] = field(default_factory=dict)  # what has to be known of the run, by what it is about
    figures: Mapping[str, float] = field(default_factory=dict)  # running estimates

    @property
    def note(self) -> str:
        """What a panel shows besides figures."""
        return " · ".join(filter(None, (*self.warnings.values(), self.trouble)))

    def warn(self, about: str, text: str) -> None:
        """Say something of the run ("": no longer)."""
        if text:
            self.warnings[about] = text
        else:
            self.warnings.pop(about, None)

    @property
    def calls(self) -> int:
        """Answers, bought now, reused, or recorded elsewhere."""
        return self.calls_bought + self.calls_reused + self.recorded.total()

    @property
    def cost_in_all(self) -> float | None:
        """US dollars that all answers cost whoever bought them; None where one had no known price."""
        return None if self.cost is None or self.recorded_cost is None else self.cost + self.recorded_cost

    def count(self, call: Call, *, bought: bool, recording: str = "") -> None:
        """Count an answer. One that comes from a `recording` is no spending of this run's."""
        self.tokens_in += call.tokens_in
        self.tokens_out += call.tokens_out
        self.tokens_cached += call.tokens_cached
        self.uncounted += None in call.counted
        if recording:
            self.recorded[recording] += 1
            self.recorded_cost = _sum(self.recorded_cost, call.cost)
        else:
            self.calls_bought += bought
            self.calls_reused += not bought
            self.tokens += call.tokens_in + call.tokens_out
            self.cost = _sum(self.cost, call.cost)
            if None in call.counted:
                self.guess(call)
        if only_thought(call):
            self.thought_only += 1
            self._warn_of_thinking()
        if call.misread:
            self.misread += 1
            self._warn_of_misreading(call)

    def priced_later(self, call: Call) -> None:
        """Say of a remembered call without a cost that it counts at the price that is known now."""
        self.unpriced += 1
        self.warn(
            "price",
            f"{self.unpriced:,} calls were bought earlier, when no price was known for {call.model}: they count at today's price",
        )

    def _warn_of_thinking(self) -> None:
        n, all = self.thought_only, self.calls
        if n >= FEW and n > MANY * all:
            self.warn(
                "thinking",
                f"{n:,} of {all:,} answers are reasoning and nothing else: the budget goes into thinking. Give answers more tokens "
                "(--set max_tokens=N) or let the model think less (--extra reasoning_effort=low)",
            )

    def _warn_of_misreading(self, call: Call) -> None:
        self.warn(
            "misread",
            f"{self.misread:,} prompts were longer than what the server read of them (it says {call.tokens_in:,} tokens of at least "
            f"{call.prompt.least:,}): it drops a part and answers. Their rows are marked `prompt_cut`; give the server a longer context",
        )


def _sum(known: float | None, more: float | None) -> float | None:
    return None if known is None or more is None else known + more

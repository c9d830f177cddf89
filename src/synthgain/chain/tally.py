"""What a run has done so far."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from synthgain.chain.budget import Spent
from synthgain.types import Call


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
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    in_flight: int = 0
    width: int = 0
    target: int | None = None
    started: float = field(default_factory=time.monotonic)
    note: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)  # running estimates

    def count(self, call: Call, *, bought: bool) -> None:
        if bought:
            self.calls_bought += 1
        else:
            self.calls_reused += 1
        self.tokens_in += call.tokens_in
        self.tokens_out += call.tokens_out
        self.tokens_cached += call.tokens_cached
        self.tokens += call.tokens_in + call.tokens_out
        if call.cost is None:
            self.cost = None
        elif self.cost is not None:
            self.cost += call.cost

"""Where the value of rows lies: in the text itself (pretraining), or in the answer given its prompt (post-training).

What predicts questions better says nothing of answers, so every figure has to know. The rows and the held-out text say it: where rows are prompts with answers,
and so is the held-out text, or the rows' prompts are the anchors themselves, the answer is what a student is to learn. `--target-is` overrules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pyarrow.compute as pc

from synthgain.measure.data import Batches, Data, even_sample
from synthgain.measure.grounded import Grounds
from synthgain.types import SynthgainError

Part = Literal["text", "answer"]
PARTS: tuple[Part, ...] = ("text", "answer")
LOOKED_AT = 2_000  # rows, and held-out texts, by which it is told
MOST = 0.5  # the share that decides


@dataclass(frozen=True)
class Aim:
    """What a student is to learn of the rows, why that is thought, and the share of held-out texts that have an answer."""

    part: Part
    why: str
    answered: float = 0.0

    @property
    def answers(self) -> bool:
        return self.part == "answer"


def aim_of(data: Data, grounds: Grounds | None = None, given: str = "") -> Aim:
    """`given`: "text" or "answer" where somebody said so. SynthgainError: it is neither."""
    if given not in ("", *PARTS):
        raise SynthgainError(f"the target is {given!r}", where="--target-is", next="give text or answer")
    real, n = (data.anchors, data.n_anchors) if data.target is None else (data.target, data.n_target)
    asks, answered = _answered(data.rows, data.n_rows, data.seed), _answered(real, n, data.seed)
    if given:
        return Aim("text" if given == "text" else "answer", "by --target-is", answered)
    if asks >= MOST and (answered >= MOST or not n):
        who = "rows and held-out texts" if n else "rows"
        return Aim("answer", f"{who} are prompts with answers", answered)
    if asks >= MOST and grounds is not None and grounds.answers:
        return Aim("answer", "rows answer their anchors", answered)
    if asks >= MOST:
        return Aim("text", "rows have answers and the held-out texts have none, so the texts are read", answered)
    return Aim("text", "rows are plain text", answered)


def _answered(batches: Batches, total: int, seed: int) -> float:
    """The share that has a prompt and an answer."""
    if not total:
        return 0.0
    column = even_sample(batches, ("answered",), total, LOOKED_AT, seed).column("answered")
    return float(pc.sum(pc.is_valid(column)).as_py() or 0) / max(len(column), 1)

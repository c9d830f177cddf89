"""Replay: general text among the new, so that a student forgets less.

It comes from a file, or from what the base model itself says when it is given nothing but its
beginning-of-text token. In EntiGraph's code (arXiv 2409.07431, `data/cptdata.py`) a replay block is
*returned instead of* a synthetic one, with probability 0.1, drawn with replacement: the new data gives
way and the number of steps stays. That is the default here ("substitute"); "add" puts the replay
between the new data and makes the epoch longer.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from synthgain.train.tokens import Example
from synthgain.types import CallFailed, Message, Model, Models, Prompt, Sampling, SynthgainError


@dataclass(frozen=True)
class Schedule:
    """Every example a student will see, in order: `batch` of them make one optimiser step.

    `first` says of each place whether a row's example stands there for the first time: the first pass.
    """

    examples: tuple[Example, ...]
    batch: int
    steps: int
    epochs: float  # passes over the rows that were begun, replay not counted
    substituted: int = 0  # places that replay took from rows
    added: int = 0
    replay_tokens: int = 0
    first: tuple[bool, ...] = ()

    @property
    def tokens(self) -> int:
        """Tokens read, those without loss too; no padding."""
        return sum(len(e.ids) for e in self.examples)

    def tokens_by_step(self) -> list[int]:
        """Tokens read after each step."""
        total, after = 0, []
        for start in range(0, len(self.examples), self.batch):
            total += sum(len(e.ids) for e in self.examples[start : start + self.batch])
            after.append(total)
        return after

    def learnt_by_step(self) -> list[tuple[int, int]]:
        """(tokens with loss, those of them that belong to the first pass) of each step."""
        counts = [e.learnt for e in self.examples]
        firsts = [n if new else 0 for n, new in zip(counts, self.first)]
        steps = range(0, len(counts), self.batch)
        return [(sum(counts[i : i + self.batch]), sum(firsts[i : i + self.batch])) for i in steps]


def schedule(
    new: Sequence[Example],
    old: Sequence[Example] = (),
    *,
    batch: int,
    epochs: float = 1,
    max_steps: int | None = None,
    tokens: int | None = None,
    share: float = 0.0,
    mode: str = "substitute",
    seed: int = 0,
) -> Schedule:
    """The order of learning, fixed before it begins.

    Each pass over `new` has an order of its own; passes follow each other without a gap, so only the
    last step can be short. `max_steps` sets the number of steps and `tokens` the least number of tokens
    read; each takes the place of `epochs`, and with both the earlier one ends it. With
    probability `share` a place is taken by an element of `old`, drawn with replacement.
    """
    rng = random.Random(f"{seed}/schedule")
    most = None if max_steps is None else max_steps * batch
    passes = round(len(new) * epochs) if max_steps is None and tokens is None else None
    out: list[Example] = []
    first: list[bool] = []
    order: list[int] = []
    drawn = substituted = added = read = replay_tokens = 0
    while (
        (most is None or len(out) < most) and (tokens is None or read < tokens) and (passes is None or drawn < passes)
    ):
        takes = bool(old) and rng.random() < share
        if takes:
            picked = old[rng.randrange(len(old))]
            replay_tokens += len(picked.ids)
        if not takes or mode == "substitute":
            order = order or rng.sample(range(len(new)), len(new))
            row = new[order.pop()]
            drawn += 1
        out.append(picked if takes else row)
        first.append(not takes and drawn <= len(new))
        substituted += takes and mode == "substitute"
        added += takes and mode == "add"
        read += len(out[-1].ids)
    steps = -(-len(out) // batch)
    return Schedule(tuple(out), batch, steps, drawn / len(new), substituted, added, replay_tokens, tuple(first))


RAW: tuple[Message, ...] = (
    {"role": "raw", "content": ""},
)  # a completion of nothing: the beginning-of-text token only


async def sample(
    model: Model | Models,
    n: int,
    *,
    sampling: Sampling | None = None,
    seed: int = 0,
    to: str = "writer",
    width: int = 16,
) -> list[str]:
    """`n` texts that the model writes from nothing, at T = 1 untruncated unless `sampling` says otherwise.

    Each is one call with a single message of role "raw" and no content. Empty texts and failed calls are drawn
    again with the next index. SynthgainError: fewer than `n` after 2 n + 8 draws.
    """
    sampling = sampling or Sampling(max_tokens=256)
    found: list[str] = []
    failed, next_draw, last = 0, 0, 2 * n + 8
    while len(found) < n and next_draw < last:
        until = min(last, next_draw + min(width, n - len(found)))
        prompts = [Prompt(RAW, to=to, sampling=sampling, seed=seed, draw=draw) for draw in range(next_draw, until)]
        for answer in await asyncio.gather(*(model(prompt) for prompt in prompts), return_exceptions=True):
            if isinstance(answer, CallFailed):
                failed += 1
            elif isinstance(answer, BaseException):
                raise answer
            elif answer.text.strip():
                found.append(answer.text)
        next_draw = until
    if len(found) < n:
        raise SynthgainError(
            f"the model wrote only {len(found)} texts from nothing in {next_draw} draws ({failed} failed)",
            next="give replay text from a file instead (--replay FILE)",
        )
    return found


def write(texts: Sequence[str], path: Path) -> Path:
    """The texts as a JSONL file that `FineTune.replay` reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts), "utf-8")
    return path

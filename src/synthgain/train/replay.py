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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synthgain.types import CallFailed, Message, Model, Models, Prompt, Sampling, SynthgainError, digest

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Schedule:
    """Every example a student will see, in order, by its place: `batch` of them make one optimiser step.

    Places of replay are negative: −1 − the place among the old. `first` says of each whether a row's example stands there for
    the first time: the first pass. `tokens` and `learnt` are those that are read, and those with loss, of each.
    """

    order: Ints
    batch: int
    epochs: float  # passes over the rows that were begun, replay not counted
    first: NDArray[np.bool_]
    tokens: Ints
    learnt: Ints
    mode: str = "substitute"

    @property
    def steps(self) -> int:
        return -(-len(self.order) // self.batch)

    @property
    def tokens_seen(self) -> int:
        """Tokens read, those without loss too; no padding."""
        return int(self.tokens.sum())

    @property
    def replayed(self) -> int:
        """Places that replay has: taken from rows ("substitute"), or besides them ("add")."""
        return int((self.order < 0).sum())

    @property
    def replay_tokens(self) -> int:
        return int(self.tokens[self.order < 0].sum())

    def reached(self, n: int) -> NDArray[np.bool_]:
        """Which of the `n` new examples are learnt at least once."""
        seen = np.zeros(n, bool)
        seen[self.order[self.order >= 0]] = True
        return seen

    def tokens_by_step(self) -> list[int]:
        """Tokens read after each step."""
        return [int(n) for n in np.cumsum(self._by_step(self.tokens))]

    def learnt_by_step(self) -> list[tuple[int, int]]:
        """(tokens with loss, those of them that belong to the first pass) of each step."""
        every, first = self._by_step(self.learnt), self._by_step(self.learnt * self.first)
        return [(int(a), int(b)) for a, b in zip(every, first)]

    def _by_step(self, each: Ints) -> Ints:
        return np.asarray(np.add.reduceat(each, np.arange(0, len(each), self.batch)), np.int64)


@dataclass(frozen=True)
class Lengths:
    """Examples by their sizes: tokens read, and tokens with loss, of each."""

    tokens: Ints
    learnt: Ints

    def __len__(self) -> int:
        return len(self.tokens)


NOTHING = Lengths(np.zeros(0, np.int64), np.zeros(0, np.int64))


def schedule(
    new: Lengths,
    old: Lengths = NOTHING,
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
    dice = np.random.default_rng(int(digest(f"{seed}/schedule")[:16], 16))
    most = None if max_steps is None else max_steps * batch
    rows = round(len(new) * epochs) if max_steps is None and tokens is None else None
    size = np.concatenate([new.tokens, old.tokens[::-1]])  # −1 − place finds an old one from the end
    passes: list[Ints] = []
    places = drawn = read = 0
    while (most is None or places < most) and (tokens is None or read < tokens) and (rows is None or drawn < rows):
        one = _pass(len(new) if rows is None else min(len(new), rows - drawn), len(new), len(old), share, mode, dice)
        if tokens is not None:
            one = one[: int(np.searchsorted(np.cumsum(size[one]), tokens - read)) + 1]
        if most is not None:
            one = one[: most - places]
        passes.append(one)
        places, read = places + len(one), read + int(size[one].sum())
        drawn += len(one) if mode == "substitute" else int((one >= 0).sum())
    order = np.concatenate(passes)
    first = np.zeros(len(order), bool)
    first[: len(passes[0])] = passes[0] >= 0
    learnt = np.concatenate([new.learnt, old.learnt[::-1]])
    return Schedule(order, batch, drawn / len(new), first, size[order], learnt[order], mode)


def _pass(n: int, of: int, old: int, share: float, mode: str, dice: np.random.Generator) -> Ints:
    """One pass over the new, `n` of them, with replay in it."""
    order = dice.permutation(of)[:n].astype(np.int64)
    if not old or not share:
        return order
    if mode == "substitute":
        return np.where(dice.random(n) < share, -1 - dice.integers(old, size=n), order)
    before = dice.geometric(1 - share, size=n) - 1  # elements of replay in front of each new one
    whole = np.repeat(order, before + 1)
    ours = np.zeros(len(whole), bool)
    ours[np.cumsum(before + 1) - 1] = True
    return np.where(ours, whole, -1 - dice.integers(old, size=len(whole)))


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

"""What rows become as token ids and labels, in memory: small sets for tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from synthgain.train import TrainingRow, spelling
from synthgain.train.spelling import Example, Spelled


@dataclass
class Found:
    """What rows became, together."""

    each: list[Spelled]

    @property
    def examples(self) -> list[Example]:
        return [example for one in self.each for example in one.examples]

    def sum(self, name: str) -> int:
        return sum(int(getattr(one, name)) for one in self.each)


def found(each: Iterator[Spelled]) -> Found:
    kept = list(each)
    for one in kept:
        if one.refused is not None:
            raise one.refused
    return Found(kept)


def chats(rows: Iterable[TrainingRow], tokenizer: Any, length: int, **more: Any) -> Found:
    return found(spelling.chats(rows, tokenizer, length, **more))


def blocks(rows: Iterable[TrainingRow], tokenizer: Any, length: int) -> Found:
    return found(spelling.blocks(rows, tokenizer, length))

"""A few small steps of a student in memory, and back: what `measure.probe` asks before anybody trains.

Plain AdamW at one very small learning rate, on the tokens of answers (or of texts) alone; the tables of tokens stay as they are. One copy of what is trained is kept
beside the model and put back afterwards, so the student is the same to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from synthgain.train.spelling import IGNORED, Example
from synthgain.train.trainer import logprobs, padded
from synthgain.types import Message

Pair = tuple[str | Sequence[Message], str]
Tokens = Callable[[Sequence[Pair]], list[tuple[list[int], list[int]]]]
WINDOW = 320  # tokens of a row that are learnt from; of a longer prompt the end is read


@dataclass(frozen=True)
class Nudge:
    """`steps` of `batch` rows at `learning_rate`, 1e-5: one to two orders below what students are trained at (arXiv 2512.24503).

    `model` is in memory; `tokens` gives the ids of what stands before and of what is learnt, pair by pair.
    """

    model: Any
    tokens: Tokens
    steps: int = 8
    batch: int = 4
    learning_rate: float = 1e-5

    @property
    def rows(self) -> int:
        return self.steps * self.batch

    @property
    def said(self) -> str:
        return f"{self.steps} steps of {self.batch} rows at {self.learning_rate:g}"

    @contextmanager
    def __call__(self, rows: Sequence[Pair], seed: int) -> Iterator[None]:
        """Inside, the model has learnt from `rows` in their order; `seed` is not needed: nothing is drawn."""
        import torch

        tables = {id(p) for p in self._tables()}
        trained = [p for p in self.model.parameters() if p.is_floating_point() and id(p) not in tables]
        before = [p.detach().clone() for p in trained]
        wanted = [(p, p.requires_grad) for p in self.model.parameters()]
        try:
            self._learn(rows, trained, torch)
            yield
        finally:
            with torch.no_grad():
                for p, old in zip(trained, before):
                    p.copy_(old)
            for p, needs in wanted:
                p.requires_grad_(needs)
                p.grad = None

    def _learn(self, rows: Sequence[Pair], trained: Sequence[Any], torch: Any) -> None:
        for p in self.model.parameters():
            p.requires_grad_(False)
        for p in trained:
            p.requires_grad_(True)
        step = torch.optim.AdamW(trained, lr=self.learning_rate, weight_decay=0.0)
        examples = [_example(before, text) for before, text in self.tokens(rows)]
        device = next(self.model.parameters()).device
        for at in range(0, len(examples), self.batch):
            some = examples[at : at + self.batch]
            inputs = {name: held.to(device) for name, held in padded(some, pad=0).items()}
            learnt = sum(example.learnt for example in some)
            with torch.enable_grad():
                loss = -logprobs(self.model, inputs).sum() / max(learnt, 1)
                step.zero_grad(set_to_none=True)
                loss.backward()
            step.step()

    def _tables(self) -> list[Any]:
        tables = [self.model.get_input_embeddings(), self.model.get_output_embeddings()]
        return [p for table in tables if table is not None for p in table.parameters()]


def _example(before: Sequence[int], text: Sequence[int]) -> Example:
    """The end of what stands before, and the beginning of what is learnt, inside the window."""
    learnt = list(text)[: WINDOW - 1]
    given = list(before)[-(WINDOW - len(learnt)) :]
    return Example((*given, *learnt), (*[IGNORED] * len(given), *learnt))

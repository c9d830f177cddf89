"""Perplexity and the loss by place, worked by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from synthgain.evaluate import perplexity
from synthgain.intervals import t_quantile
from synthgain.types import SynthgainError


class Falling:
    """Of each word the loss is 2 nats at the first 16 places and 1 after; a text that says so costs half a nat more a word."""

    identity = "falling"

    def logprobs(self, pairs: Sequence[tuple[object, str]]) -> list[list[float]]:
        return [
            [-(2.0 if i < 16 else 1.0) - 0.5 * ("dear" in text) for i, _ in enumerate(text.split())]
            for _, text in pairs
        ]


def test_places_and_the_whole() -> None:
    texts = ["word " * 20, "dear " * 40, "word " * 8]
    found = {r.name: r for r in perplexity(Falling(), texts)}
    assert list(found) == ["perplexity", "loss_at/0-15", "loss_at/16-31", "loss_at/32-63"]
    nats, tokens = [36.0, 32 + 24 + 20.0, 16.0], [20, 40, 8]
    value = sum(nats) / sum(tokens)
    assert found["perplexity"].value == pytest.approx(math.exp(value))
    parts = [(a - value * b) / (68 / 3) for a, b in zip(nats, tokens)]
    spread = math.sqrt(sum((p - sum(parts) / 3) ** 2 for p in parts) / 2 / 3)
    assert found["perplexity"].high == pytest.approx(math.exp(value + t_quantile(0.95, 2) * spread))
    assert found["loss_at/0-15"].value == pytest.approx((32 + 40 + 16) / 40) and found["loss_at/0-15"].n == 3
    assert found["loss_at/16-31"].value == pytest.approx((4 + 24) / 20) and found["loss_at/16-31"].n == 2
    alone = found["loss_at/32-63"]
    assert (alone.value, alone.low, alone.n) == (1.5, None, 1)


def test_no_text_is_no_figure() -> None:
    with pytest.raises(SynthgainError, match="no text"):
        perplexity(Falling(), [" "])

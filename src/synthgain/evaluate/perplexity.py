"""How well held-out text is predicted: perplexity, and the loss by the place of a token in its text."""

from __future__ import annotations

import math
from collections.abc import Sequence

from synthgain.evaluate.forgetting import WINDOW, windows
from synthgain.intervals import mean_t
from synthgain.types import Reading, Scorer, SynthgainError

FIRST = 16  # tokens of the first place; each later place is as long as all before it together


def perplexity(scorer: Scorer, texts: Sequence[str], *, window: int = WINDOW, level: float = 0.95) -> list[Reading]:
    """Reading `perplexity`: exp(Σ nats / Σ tokens) over texts that were not learnt; and `loss_at/0-15`, `loss_at/16-31`, … in nats a token.

    Texts are the unit. The interval of the ratio is Student's on its linear part, carried through exp. Longer texts are scored in windows of
    `window` characters, each by itself; the places are those of first windows, where a token's place in its text is known.
    """
    cut = [list(windows(text, window)) for text in texts if text.strip()]
    if not cut:
        raise SynthgainError("there is no text to score", next="give held-out text that was not trained on")
    found = [scorer.logprobs([("", piece) for piece in pieces]) for pieces in cut]
    nats = [-math.fsum(x for one in text for x in one) for text in found]
    tokens = [sum(map(len, text)) for text in found]
    value, low, high = _ratio(nats, tokens, level)
    estimator = "exp of nats a token over texts; t interval over texts"
    least, most = (None if end is None else math.exp(end) for end in (low, high))
    note = f"in windows of {window} characters" if any(len(pieces) > 1 for pieces in cut) else ""
    whole = Reading("perplexity", math.exp(value), least, most, level, "", len(cut), estimator, "estimate", note)
    return [whole, *_by_place([text[0] for text in found], level)]


def _by_place(firsts: Sequence[Sequence[float]], level: float) -> list[Reading]:
    """The loss at each place, of the texts that reach it."""
    readings, start, width = [], 0, FIRST
    while any(len(one) > start for one in firsts):
        here = [one[start : start + width] for one in firsts if len(one) > start]
        value, low, high = _ratio([-math.fsum(one) for one in here], [len(one) for one in here], level)
        readings.append(
            Reading(
                f"loss_at/{start}-{start + width - 1}",
                value,
                low,
                high,
                level,
                "nats/token",
                len(here),
                "nats a token at this place, t interval over texts",
            )
        )
        start, width = start + width, start + width
    return readings


def _ratio(top: Sequence[float], below: Sequence[int], level: float) -> tuple[float, float | None, float | None]:
    """Σ top / Σ below with Student's interval on its linear part."""
    kept = [(a, b) for a, b in zip(top, below) if b]
    if not kept:
        raise SynthgainError("the texts have no tokens to score", next="give longer texts")
    value = math.fsum(a for a, _ in kept) / sum(b for _, b in kept)
    mean = sum(b for _, b in kept) / len(kept)
    _, low, high = mean_t([(a - value * b) / mean for a, b in kept], level)
    return value, None if low is None else value + low, None if high is None else value + high

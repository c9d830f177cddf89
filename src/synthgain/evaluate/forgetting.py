"""Forgetting: how much less likely general text is to the student than to its base."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from synthgain.intervals import mean_t
from synthgain.types import Reading, Scorer, SynthgainError

WINDOW = 2000  # characters


def forgetting(
    before: Scorer, after: Scorer, texts: Sequence[str], *, window: int = WINDOW, level: float = 0.95
) -> Reading:
    """Reading `forgetting`: nats a token that general text lost, after − before; above 0 means that the student forgot.

    Each text gives one difference of mean negative log-likelihoods per token; the value is their mean, with a t
    interval over texts, paired. Texts longer than `window` characters are scored in windows cut at white space, each by
    itself, and the note says how many. None where the two models cut text into tokens differently.
    """
    kept = [text for text in texts if text.strip()]
    if not kept:
        raise SynthgainError(
            "there is no text to measure forgetting on", next="give general text that was not trained on"
        )
    cut = [list(windows(text, window)) for text in kept]
    estimator = "mean over texts of the paired difference in NLL per token, t interval"
    note = _note(cut, len(texts) - len(kept), window)
    old, new = _losses(before, cut), _losses(after, cut)
    if [tokens for _, tokens in old] != [tokens for _, tokens in new]:
        return Reading(
            "forgetting",
            None,
            unit="nats/token",
            n=len(kept),
            estimator=estimator,
            note="the two models have different tokenizers",
        )
    gaps = [(b - a) / tokens for (a, tokens), (b, _) in zip(old, new)]
    mean, low, high = mean_t(gaps, level)
    if low is None:
        note = "; ".join(part for part in (note, "one text gives no interval") if part)
    return Reading("forgetting", mean, low, high, level, "nats/token", len(kept), estimator, "estimate", note)


def _losses(scorer: Scorer, cut: Sequence[Sequence[str]]) -> list[tuple[float, int]]:
    """(negative log-likelihood in nats, tokens) of each text."""
    losses = []
    for windows in cut:
        scored = scorer.logprobs([("", piece) for piece in windows])
        tokens = sum(map(len, scored))
        if not tokens:
            raise SynthgainError("a text has no tokens to score", where=repr(windows[0][:60]), next="give longer texts")
        losses.append((-math.fsum(x for one in scored for x in one), tokens))
    return losses


def windows(text: str, window: int) -> Iterator[str]:
    """Pieces of at most `window` characters, cut at white space where there is some in the second half."""
    while len(text) > window:
        at = max((i for i in range(window, window // 2, -1) if text[i].isspace()), default=window)
        if text[:at].strip():
            yield text[:at]
        text = text[at:].lstrip()
    if text.strip():
        yield text


def _note(cut: Sequence[Sequence[str]], empty: int, window: int) -> str:
    long = sum(len(windows) > 1 for windows in cut)
    parts = [f"{long} texts were scored in windows of {window} characters"] if long else []
    return "; ".join(parts + ([f"{empty} empty texts were left out"] if empty else []))

"""The laws that next tokens are drawn from, and the draws: a whole batch at once, on logits of torch.

The order of the settings changes a law (top-p after a high temperature keeps more than before it), so it is part of it:

    EMBEDDED      temperature, top-k, top-p, min-p     local/… (the order we ask the runtime for) and hf/…
    VLLM          temperature, min-p, top-k, top-p     vLLM's sampler
    LLAMA_SERVER  top-k, top-p, min-p, temperature     llama.cpp's server by default
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from synthgain.types import Sampling

EMBEDDED = ("temperature", "top_k", "top_p", "min_p")
VLLM = ("temperature", "min_p", "top_k", "top_p")
LLAMA_SERVER = ("top_k", "top_p", "min_p", "temperature")
LIKELY = 1024  # tokens among which a nucleus is looked for before the whole vocabulary is sorted
BLOCK = 256  # tokens whose chances are summed together


def shape(s: Sampling) -> Sampling:
    """What shapes a token's law, without what ends the answer."""
    return Sampling(
        s.temperature,
        s.top_p,
        s.top_k,
        s.min_p,
        presence_penalty=s.presence_penalty,
        frequency_penalty=s.frequency_penalty,
    )


def laws(logits: Any, s: Sampling, order: Sequence[str] = EMBEDDED) -> Any:
    """ln of the laws that next tokens are drawn from, row by row of `logits` (positions, vocabulary); -inf: never drawn."""
    import torch

    if s.temperature <= 0:
        law = torch.full_like(logits, -math.inf)
        return law.scatter_(1, logits.argmax(-1, keepdim=True), 0.0)
    for name in order:
        if name == "temperature" and s.temperature != 1:
            logits = logits / s.temperature
        elif name == "top_k" and s.top_k:
            least = logits.topk(min(s.top_k, logits.shape[-1]), dim=-1).values[:, -1:]
            logits = logits.masked_fill(logits < least, -math.inf)
        elif name == "top_p" and s.top_p < 1:
            logits = logits.masked_fill(_outside(logits.softmax(-1), s.top_p), -math.inf)
        elif name == "min_p" and s.min_p > 0:
            chances = logits.softmax(-1)
            logits = logits.masked_fill(chances < s.min_p * chances.amax(-1, keepdim=True), -math.inf)
    return logits.log_softmax(-1)


def _outside(chances: Any, p: float) -> Any:
    """True for tokens that are not among the likeliest which together have the mass `p`; of equal ones the first are in."""
    import torch

    def cut(places: Any) -> tuple[Any, Any]:
        """The places in the order of their chances, and which of them the mass before leaves out."""
        values, within = chances.gather(1, places).sort(dim=-1, descending=True, stable=True)
        out = values.cumsum(-1) - values >= p  # what stands before a token has the mass already
        out[:, 0] = False
        return places.gather(1, within), out

    places, out = cut(chances.topk(min(LIKELY, chances.shape[-1]), dim=-1).indices.sort(dim=-1).values)
    least = chances.gather(1, places[:, -1:])
    kept_least = chances.gather(1, places).masked_fill(out, math.inf).amin(-1, keepdim=True)
    if places.shape[-1] < chances.shape[-1] and bool((kept_least <= least).any()):  # a nucleus reaches further
        places, out = cut(torch.arange(chances.shape[-1], device=chances.device).expand_as(chances))
    return torch.ones_like(chances, dtype=torch.bool).scatter_(1, places, out)


def fined(logits: Any, s: Sampling, written: Sequence[Sequence[int]]) -> Any:
    """`logits` less the penalties for what each row has written already (in place)."""
    if s.presence_penalty or s.frequency_penalty:
        for row, tokens in zip(logits, written, strict=True):
            counts = Counter(tokens)
            if counts:
                often = row.new_tensor(list(counts.values()))
                row[list(counts)] -= s.presence_penalty + s.frequency_penalty * often
    return logits


def drawn(law: Any, points: Any) -> Any:
    """One token a row of `law` (ln): where the cumulative chance passes the row's point in [0, 1).

    Chances are summed by blocks in float64, so that the likeliest of 150,000 tokens do not swallow the unlikely ones.
    """
    import torch

    chances = law.exp()
    short = -chances.shape[-1] % BLOCK
    blocks = torch.nn.functional.pad(chances, (0, short)).unflatten(-1, (-1, BLOCK))
    heaps = blocks.sum(-1, dtype=torch.float64).cumsum(-1)
    mark = points.to(heaps)[:, None] * heaps[:, -1:]
    block = torch.searchsorted(heaps, mark, right=True).clamp(max=heaps.shape[-1] - 1)
    before = torch.nn.functional.pad(heaps, (1, 0)).gather(1, block)
    within = blocks.gather(1, block[:, :, None].expand(-1, -1, BLOCK))[:, 0].double().cumsum(-1)
    place = torch.searchsorted(within, mark - before, right=True).clamp(max=BLOCK - 1)
    tokens = (block * BLOCK + place)[:, 0].clamp(max=chances.shape[-1] - 1)
    possible = chances.gather(1, tokens[:, None])[:, 0] > 0  # not so where a sum was rounded at the border of a block
    return torch.where(possible, tokens, chances.argmax(-1))

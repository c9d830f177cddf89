"""First-order influence: does a step on the rows lower the loss on held-out text? cos(∇L_S, ∇L_dev) at π0, on the last layers.

A proxy: one step, from the student before training, as if it were plain gradient descent. It needs the student's weights
(a transformers folder) and torch; the cost is about a tenth of one training run on the sampled texts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from synthgain.intervals import t_quantile
from synthgain.measure.data import Data, even_sample, fold_of, nothing, units
from synthgain.types import Reading, SynthgainError

WINDOW = 512  # tokens of a text that are read: what stands behind is left out


def grad_align(
    data: Data,
    *,
    folder: str | Path,
    most: int = 256,
    layers: int = 2,
    shards: int = 8,
    window: int = WINDOW,
    device: str = "cpu",
) -> list[Reading]:
    """`grad_align` on an even sample of `most` rows and `most` held-out texts, over the last `layers` decoder layers.

    L is the mean negative log-likelihood per token of the whole text. The interval is a jackknife over `shards` shards of rows,
    whole prompts in one shard; the held-out texts are taken as they are. Memory: `shards` + 1 copies of the layers' gradients.
    """
    rows = even_sample(data.rows, ("text", "anchor_ids", "prompt"), data.n_rows, most, data.seed)
    if not len(rows):
        return [_nothing("there are no kept rows")]
    if data.target is None or not data.n_target:
        return [_nothing("there is no held-out text")]
    held_out = even_sample(data.target, ("text",), data.n_target, most, data.seed).column("text").to_pylist()
    owners = units(rows)
    parts: list[list[str]] = [[] for _ in range(shards)]
    for text, owner in zip(rows.column("text").to_pylist(), owners):
        parts[fold_of(owner, shards, data.seed)].append(text)
    gradients = _Gradients(Path(folder).expanduser(), layers, window, device)
    towards, words = gradients.of(held_out)
    found = [gradients.of(part) for part in parts if part]
    if not words or not sum(tokens for _, tokens in found):
        return [_nothing("the texts have no two tokens to learn from", n=len(set(owners)))]
    vectors = [*(gradient for gradient, _ in found), towards]
    products = np.array([[np.einsum("i,i->", a, b, dtype=np.float64) for b in vectors] for a in vectors])
    value, low, high = cosine_jackknife(products)
    if value is None:
        return [_nothing("a gradient is zero or not finite", n=len(set(owners)))]
    note = f"{len(rows):,} rows, {len(held_out):,} held-out texts, first {window} tokens each, last {layers} layers"
    note += (
        "; held-out texts taken as they are"
        if low is not None
        else "; the rows fill one shard, so there is no interval"
    )
    return [
        Reading(
            "grad_align",
            value,
            low,
            high,
            unit="unitless",
            n=len(set(owners)),
            kind="proxy",
            note=note,
            estimator=f"cosine of summed gradients, jackknife t over {len(found)} shards",
        )
    ]


def cosine_jackknife(products: np.ndarray, level: float = 0.95) -> tuple[float | None, float | None, float | None]:
    """Cosine of the sum of all vectors but the last with the last, from their inner products; leave-one-out t interval.

    `products` is the Gram matrix (m + 1, m + 1) of m shards and, last, the direction. None for a vector of length 0.
    """
    m = len(products) - 1
    shards, along, length = products[:m, :m], products[:m, m], products[m, m]
    total, squared = float(along.sum()), float(shards.sum())
    if not np.isfinite(products).all() or min(squared, length) <= 0:
        return None, None, None
    value = min(1.0, max(-1.0, total / math.sqrt(squared * length)))
    without = squared - 2 * shards.sum(1) + shards.diagonal()
    if m < 2 or without.min() <= 0:
        return value, None, None
    each = (total - along) / np.sqrt(without * length)
    half = t_quantile(level, m - 1) * math.sqrt((m - 1) / m * float(((each - each.mean()) ** 2).sum()))
    return value, max(-1.0, value - half), min(1.0, value + half)


def _nothing(why: str, n: int = 0) -> Reading:
    return nothing("grad_align", why, unit="unitless", kind="proxy", n=n)


class _Gradients:
    """Gradients of the summed negative log-likelihood over the last decoder layers of a folder's model."""

    def __init__(self, folder: Path, layers: int, window: int, device: str) -> None:
        try:
            import torch
            import transformers
        except ImportError as error:
            raise SynthgainError(
                "grad_align needs torch and transformers", next='pip install "synthgain[train]"'
            ) from error
        if not (folder / "config.json").is_file():
            raise SynthgainError(
                "this is no transformers folder (no config.json)", where=str(folder), next="give a student's folder"
            )
        try:
            self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
            model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        except (OSError, ValueError) as error:
            raise SynthgainError(
                f"transformers cannot read the folder ({str(error).splitlines()[0]})", where=str(folder)
            ) from error
        self.torch, self.device, self.model = torch, device, model.to(device).eval()
        context = getattr(model.config, "max_position_embeddings", None)
        self.window = window if context is None else min(window, int(context))
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        self.parameters: list[Any] = []
        for layer in list(_decoder_layers(model, torch))[-layers:]:
            for parameter in layer.parameters():
                if parameter.is_floating_point():
                    self.parameters.append(parameter.requires_grad_(True))

    def of(self, texts: Sequence[str]) -> tuple[np.ndarray, int]:
        """The gradient as one vector, and the number of tokens that were predicted."""
        torch, tokens = self.torch, 0
        for parameter in self.parameters:
            parameter.grad = None
        for text in texts:
            ids = self._ids(text)
            if len(ids) < 2:
                continue
            with torch.enable_grad():
                row = torch.tensor([ids], device=self.device)
                logits = self.model(input_ids=row, use_cache=False).logits[0, :-1].float()
                torch.nn.functional.cross_entropy(logits, row[0, 1:], reduction="sum").backward()
            tokens += len(ids) - 1
        parts = [
            np.zeros(p.numel(), np.float32) if p.grad is None else p.grad.float().cpu().numpy().ravel()
            for p in self.parameters
        ]
        return np.concatenate(parts), tokens

    def _ids(self, text: str) -> list[int]:
        """The token that begins a text, where there is one, and the first tokens of the text."""
        first = self.tokenizer.bos_token_id
        start = [] if first is None else [int(first)]
        some = text[: 64 * self.window]  # a 10 MB row is not tokenised to be thrown away
        return [*start, *self.tokenizer(some, add_special_tokens=False)["input_ids"]][: self.window]


def _decoder_layers(model: Any, torch: Any) -> Any:
    """The list of decoder layers: the outermost module list of the model."""
    found = next((module for module in model.modules() if isinstance(module, torch.nn.ModuleList)), None)
    if found is None:
        raise SynthgainError("the model has no list of layers", next="give a decoder-only transformers folder")
    return found

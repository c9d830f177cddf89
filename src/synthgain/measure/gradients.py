"""First-order influence: does a step on the rows lower the loss on held-out text? cos(∇L_S, ∇L_dev) at π0, on the last layers.

`grad_match` takes redundancy into account: shards of the rows are weighed so that their sum comes as near to the held-out gradient as it can, so what repeats
another counts once (kernel mean matching of data sets, arXiv 2605.16704, on shards of one set and with b ≥ 0).

A proxy: one step, from the student before training, as if it were plain gradient descent. It needs the student's weights
(a transformers folder) and torch; the cost is about a tenth of one training run on the sampled texts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from synthgain.intervals import t_quantile
from synthgain.measure.aim import Aim
from synthgain.measure.data import Data, even_sample, fold_of, nothing, units
from synthgain.measure.student_eye import Pair, conditioned
from synthgain.types import Message, Reading, SynthgainError

NAMES = ("grad_align", "grad_match")
COLUMNS = ("text", "asked", "answered")
TEXT = Aim("text", "nothing else was said")
PENALTY = 1e-2  # of the weights, as in the source's code, here relative to the largest product
WINDOW = 512  # tokens of a text that are read: what stands behind is left out


def grad_align(
    data: Data,
    *,
    folder: str | Path,
    aim: Aim = TEXT,
    most: int = 256,
    layers: int = 2,
    shards: int = 8,
    window: int = WINDOW,
    device: str = "cpu",
) -> list[Reading]:
    """`grad_align` and `grad_match` on an even sample of `most` rows and `most` held-out texts, over the last `layers` decoder layers.

    L is the mean negative log-likelihood per token of the whole text, or where `aim` is the answer of the answers given their prompts. The interval is a jackknife
    over `shards` shards of rows, whole prompts in one shard; the held-out texts are taken as they are. Memory: `shards` + 2 copies of the layers' gradients.
    """
    rows = even_sample(data.rows, ("anchor_ids", "prompt", *COLUMNS), data.n_rows, most, data.seed)
    if not len(rows):
        return _nothing("there are no kept rows")
    if data.target is None or not data.n_target:
        return _nothing("there is no held-out text")
    held_out = _pairs(even_sample(data.target, COLUMNS, data.n_target, most, data.seed), aim)
    if aim.answers and not held_out:
        return _nothing("the held-out texts have no answers: give a --target with whole answers")
    owners = units(rows)
    parts: list[list[Pair]] = [[] for _ in range(shards)]
    for i, owner in enumerate(owners):
        parts[fold_of(owner, shards, data.seed)] += _pairs(rows.slice(i, 1), aim)
    gradients = _Gradients(Path(folder).expanduser(), layers, window, device)
    halves = [gradients.of(held_out[start::2]) for start in (0, 1)]
    found = [gradients.of(part) for part in parts if part]
    n = len(set(owners))
    if not sum(tokens for _, tokens in halves) or not sum(tokens for _, tokens in found):
        return _nothing("the texts have no two tokens to learn from", n=n)
    vectors = [*(gradient for gradient, _ in found), *(gradient for gradient, _ in halves)]
    products = np.array([[np.einsum("i,i->", a, b, dtype=np.float64) for b in vectors] for a in vectors])
    what = f"{len(rows):,} rows, {len(held_out):,} held-out {'answers' if aim.answers else 'texts'}, first {window} tokens each, last {layers} layers"
    figures = (
        (
            "grad_align",
            cosine_jackknife(together(products)),
            "cosine of summed gradients",
            "held-out texts taken as they are",
        ),
        (
            "grad_match",
            match_jackknife(products),
            "cosine of matched gradients",
            "weights fitted on the other half of the held-out texts",
        ),
    )
    return [
        _reading(name, ends, n, f"{how}, jackknife t over {len(found)} shards", f"{what}; {note}")
        for name, ends, how, note in figures
    ]


def _reading(name: str, ends: tuple[float | None, float | None, float | None], n: int, how: str, note: str) -> Reading:
    value, low, high = ends
    if value is None:
        return nothing(name, "a gradient is zero or not finite", unit="unitless", kind="proxy", n=n)
    note += "" if low is not None else "; too few shards for an interval"
    return Reading(name, value, low, high, unit="unitless", n=n, kind="proxy", note=note, estimator=how)


def _pairs(table: pa.Table, aim: Aim) -> list[Pair]:
    """Texts after nothing, or answers after their prompts."""
    if not aim.answers:
        return [("", text or "") for text in table.column("text").to_pylist()]
    both = zip(table.column("asked").to_pylist(), table.column("answered").to_pylist())
    return [(conditioned(asked), answered) for asked, answered in both if asked and answered]


def together(products: np.ndarray) -> np.ndarray:
    """The Gram matrix with its last two vectors, the halves of the direction, made one."""
    m = len(products) - 2
    sums = np.concatenate([np.eye(m + 2)[:m], [np.r_[np.zeros(m), 1.0, 1.0]]])
    return np.asarray(sums @ products @ sums.T)


def matched(gram: np.ndarray, along: np.ndarray, penalty: float = PENALTY, rounds: int = 200) -> np.ndarray:
    """b ≥ 0 of least ½ b'Kb − c'b + λ Σ b, by coordinates; λ is `penalty` times the largest c, so that scale does not matter."""
    b, room = np.zeros(len(along)), penalty * float(np.abs(along).max(initial=0.0))
    for _ in range(rounds):
        before = b.copy()
        for i in range(len(b)):
            if gram[i, i] > 0:
                b[i] = max(0.0, (along[i] - room - gram[i] @ b + gram[i, i] * b[i]) / gram[i, i])
        if np.abs(b - before).max(initial=0.0) <= 1e-9 * (np.abs(b).max(initial=0.0) or 1.0):
            break
    return b


def match(products: np.ndarray) -> float | None:
    """Mean cosine of the matched sum of shards with either half of the direction, the weights fitted on the other half; None: a vector of length 0.

    `products` is the Gram matrix (m + 2, m + 2) of m shards and, last, the halves. Where no shard goes the direction's way the cosine is 0.
    """
    m = len(products) - 2
    if (
        not np.isfinite(products).all()
        or min(products[m, m], products[m + 1, m + 1]) <= 0
        or products[:m, :m].max() <= 0
    ):
        return None
    found = []
    for fitted, judged in ((m, m + 1), (m + 1, m)):
        b = matched(products[:m, :m], products[:m, fitted])
        length = float(b @ products[:m, :m] @ b)
        found.append(
            float(b @ products[:m, judged]) / math.sqrt(length * products[judged, judged]) if length > 0 else 0.0
        )
    return min(1.0, max(-1.0, sum(found) / 2))


def match_jackknife(products: np.ndarray, level: float = 0.95) -> tuple[float | None, float | None, float | None]:
    """`match` with its leave-one-out t interval over shards."""
    value, m = match(products), len(products) - 2
    if value is None or m < 3:
        return value, None, None
    without = [match(np.delete(np.delete(products, i, 0), i, 1)) for i in range(m)]
    each = np.array([np.nan if one is None else one for one in without])
    if np.isnan(each).any():
        return value, None, None
    half = t_quantile(level, m - 1) * math.sqrt((m - 1) / m * float(((each - each.mean()) ** 2).sum()))
    return value, max(-1.0, value - half), min(1.0, value + half)


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


def _nothing(why: str, n: int = 0) -> list[Reading]:
    return [nothing(name, why, unit="unitless", kind="proxy", n=n) for name in NAMES]


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
                f"transformers cannot read the folder ({str(error).splitlines()[0]})",
                where=str(folder),
                next="give a student's folder, whole: config, weights and tokenizer",
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

    def of(self, pairs: Sequence[Pair]) -> tuple[np.ndarray, int]:
        """The gradient as one vector, and the number of tokens that were predicted: those of each second text."""
        torch, tokens = self.torch, 0
        for parameter in self.parameters:
            parameter.grad = None
        for before, text in pairs:
            ids, given = self._ids(before, text)
            if len(ids) <= given:
                continue
            with torch.enable_grad():
                row = torch.tensor([ids], device=self.device)
                logits = self.model(input_ids=row, use_cache=False).logits[0, given - 1 : -1].float()
                torch.nn.functional.cross_entropy(logits, row[0, given:], reduction="sum").backward()
            tokens += len(ids) - given
        parts = [
            np.zeros(p.numel(), np.float32) if p.grad is None else p.grad.float().cpu().numpy().ravel()
            for p in self.parameters
        ]
        return np.concatenate(parts), tokens

    def _ids(self, before: str | Sequence[Message], text: str) -> tuple[list[int], int]:
        """The tokens, and how many of them are given: the token that begins a text, where there is one, or the prompt's."""
        some = text[: 64 * self.window]  # a 10 MB row is not tokenised to be thrown away
        said = self.tokenizer(some, add_special_tokens=False)["input_ids"]
        if not before:
            first = self.tokenizer.bos_token_id
            start = [] if first is None else [int(first)]
            return [*start, *said][: self.window], 1
        chat = [dict(turn) for turn in before if not isinstance(turn, str)]
        written = self.tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        start = self.tokenizer(written[-64 * self.window :], add_special_tokens=False)["input_ids"][-self.window // 2 :]
        return [*start, *said][: self.window], len(start)


def _decoder_layers(model: Any, torch: Any) -> Any:
    """The list of decoder layers: the outermost module list of the model."""
    found = next((module for module in model.modules() if isinstance(module, torch.nn.ModuleList)), None)
    if found is None:
        raise SynthgainError("the model has no list of layers", next="give a decoder-only transformers folder")
    return found

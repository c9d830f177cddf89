"""transformers models: students and any other folder, as a `Model` and as a `Scorer`.

    hf/PATH     answers by sampling token for token (`HF`)
    HFScorer    ln p of given texts (`Scorer`)

What is promised about seeds: each call draws with a generator of its own, seeded from the call's
identity. Calls that wait together are computed as one batch; a batch changes floating-point sums in the last
digits, so the same call answers the same unless a draw falls within that rounding.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synthgain.models import sharing
from synthgain.models.folders import Loaded, folder_identity, load
from synthgain.thinking import apart
from synthgain.types import (
    Call,
    CallFailed,
    Message,
    ModelInfo,
    Prompt,
    Sampling,
    SynthgainError,
    assistant,
)

ROWS = 128  # positions whose laws are made at once: sorting a vocabulary for each takes memory


# ---------------------------------------------------------------------------------------------- Model


class HF:
    """A transformers folder as a model. Calls that wait are answered in batches of at most `batch`."""

    def __init__(self, path: str | Path, *, device: str = "cpu", batch: int = 8) -> None:
        self._path, self._device, self._batch = Path(path).expanduser(), device, batch
        self._uri = f"hf/{path}"
        self._identity = ""
        self._loaded: Loaded | None = None
        self._waiting: list[tuple[Prompt, asyncio.Future[Call]]] = []
        self._worker: asyncio.Task[None] | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="synthgain-hf")

    @property
    def uri(self) -> str:
        return self._uri

    @property
    def identity(self) -> str:
        if not self._identity:
            self._identity = folder_identity(self._path)
        return self._identity

    @property
    def width(self) -> int:
        return self._batch

    async def __call__(self, prompt: Prompt) -> Call:
        if prompt.schema is not None:
            raise CallFailed("hf/… cannot follow a schema: use local/… or openai/…")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Call] = loop.create_future()
        self._waiting.append((prompt, answer))
        if self._worker is None or self._worker.done():
            self._worker = loop.create_task(self._work())
        return await answer

    async def info(self) -> ModelInfo:
        loaded = await asyncio.get_running_loop().run_in_executor(self._pool, self._ready)
        context = getattr(loaded.model.config, "max_position_embeddings", None)
        return ModelInfo(
            self.uri, context=context, logprobs=True, seeds=True, schema=False, note="transformers, float32"
        )

    async def aclose(self) -> None:
        await asyncio.to_thread(self._pool.shutdown)
        self._loaded = None

    def _ready(self) -> Loaded:
        if self._loaded is None:
            self._identity = folder_identity(self._path)
            self._loaded = load(self._path, self._device)
        return self._loaded

    async def _work(self) -> None:
        """Answers what waits, batch after batch. Everything a batch raises reaches its callers."""
        await asyncio.sleep(0)  # calls opened in the same turn of the loop come into one batch
        while self._waiting:
            now, self._waiting = self._waiting[: self._batch], self._waiting[self._batch :]
            now = [(prompt, future) for prompt, future in now if not future.done()]
            try:
                answers = await asyncio.get_running_loop().run_in_executor(
                    self._pool, self._answers, [p for p, _ in now]
                )
            except Exception as error:
                answers = [error] * len(now)
            for (_, future), answer in zip(now, answers, strict=True):
                if future.done():
                    continue
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)

    def _answers(self, prompts: list[Prompt]) -> list[Call | Exception]:
        loaded, began = self._ready(), time.perf_counter()
        answers: dict[int, Call | Exception] = {}
        drafts = []
        for at, prompt in enumerate(prompts):
            try:
                tokens = loaded.tokens(prompt.messages, prompt.tools)
                room = getattr(loaded.model.config, "max_position_embeddings", None)
                if room is not None and len(tokens) >= room:
                    raise CallFailed(f"the prompt has {len(tokens)} tokens, the context {room}")
                call_id = prompt.id(self.identity)
                most = (
                    prompt.sampling.max_tokens if room is None else min(prompt.sampling.max_tokens, room - len(tokens))
                )
                drafts.append(_Draft(at, prompt, call_id, tokens, most))
            except CallFailed as error:
                answers[at] = error
        _generate(loaded, drafts)
        for draft in drafts:
            call = Call(
                id=draft.call_id,
                prompt=draft.prompt,
                message=assistant(loaded.opening(draft.tokens) + draft.text),
                model=self.uri,
                finish=draft.finish,
                tokens_in=len(draft.tokens),
                tokens_out=len(draft.written),
                logprob=math.fsum(draft.logprobs),
                law=_law(draft.prompt.sampling),
                cost=0.0,
                seconds=time.perf_counter() - began,
            )
            answers[draft.at] = apart(call)
        return [answers[at] for at in range(len(prompts))]


@dataclass
class _Draft:
    """An answer that is being written."""

    at: int
    prompt: Prompt
    call_id: str
    tokens: list[int]
    most: int
    written: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    text: str = ""
    finish: str = ""

    def __post_init__(self) -> None:
        if self.most <= 0:
            self.finish = "length"

    def add(self, token: int, logprob: float, loaded: Loaded) -> None:
        """Takes the next token and sees whether the answer ends."""
        self.written.append(token)
        self.logprobs.append(logprob)
        ended = token in loaded.ends()
        self.text = loaded.tokenizer.decode(self.written[:-1] if ended else self.written, skip_special_tokens=True)
        cuts = [at for at in (self.text.find(stop) for stop in self.prompt.sampling.stop if stop) if at >= 0]
        if cuts:
            self.text, self.finish = self.text[: min(cuts)], "stop"
        elif ended:
            self.finish = "stop"
        elif len(self.written) >= self.most:
            self.finish = "length"


def _generate(loaded: Loaded, drafts: list[_Draft]) -> None:
    """Writes all drafts as one batch, prompts padded on the left."""
    torch = loaded.torch
    if not any(not draft.finish for draft in drafts):
        return
    seeds = {draft.at: int(draft.call_id[:8], 16) & 0x7FFFFFFF for draft in drafts}
    dice = {at: torch.Generator().manual_seed(seed) for at, seed in seeds.items()}
    longest = max(len(draft.tokens) for draft in drafts)
    pads = [longest - len(draft.tokens) for draft in drafts]
    ids = torch.tensor(
        [[loaded.first()] * pad + draft.tokens for pad, draft in zip(pads, drafts)], device=loaded.device
    )
    mask = torch.tensor([[0] * pad + [1] * (longest - pad) for pad in pads], device=loaded.device)
    places = (mask.cumsum(-1) - 1).clamp(min=0)
    cache = None
    with torch.inference_mode():
        while any(not draft.finish for draft in drafts):
            out = loaded.model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=places,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            cache, logits = out.past_key_values, out.logits[:, -1].float().cpu()
            step = []
            for draft, row in zip(drafts, logits, strict=True):
                if draft.finish:
                    step.append(draft.written[-1] if draft.written else draft.tokens[-1])
                    continue
                law = log_law(row, draft.prompt.sampling, draft.written)
                greedy = draft.prompt.sampling.temperature <= 0
                token = int(law.argmax()) if greedy else int(torch.multinomial(law.exp(), 1, generator=dice[draft.at]))
                draft.add(token, float(law[token]), loaded)
                step.append(token)
            ids = torch.tensor([[token] for token in step], device=loaded.device)
            mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
            places = places[:, -1:] + 1


def log_law(logits: Any, s: Sampling, written: Sequence[int] = ()) -> Any:
    """ln of the law that the next token is drawn from: penalties, temperature, top-k, top-p, min-p, in this order.

    `logits` is one row (vocabulary). Tokens outside the law have -inf. Penalties count the answer's tokens.
    """
    import torch

    row = logits.clone()
    if s.presence_penalty or s.frequency_penalty:
        for token, count in Counter(written).items():
            row[token] -= s.presence_penalty + s.frequency_penalty * count
    if s.temperature <= 0:
        law = torch.full_like(row, -math.inf)
        law[int(row.argmax())] = 0.0
        return law
    row = row / s.temperature
    if s.top_k:
        row[row < row.topk(min(s.top_k, row.numel())).values[-1]] = -math.inf
    if s.top_p < 1:
        ordered, order = row.softmax(-1).sort(descending=True, stable=True)
        outside = ordered.cumsum(-1) - ordered >= s.top_p  # what stands before a token has the mass already
        outside[0] = False
        row[order[outside]] = -math.inf
    if s.min_p > 0:
        chances = row.softmax(-1)
        row[chances < s.min_p * chances.max()] = -math.inf
    return row.log_softmax(-1)


def _law(s: Sampling) -> str:
    from synthgain.models.local import law_of

    return law_of(s)


# ---------------------------------------------------------------------------------------------- Scorer


def plain(logits: Any) -> Any:
    """ln of the softmax, row by row."""
    return logits.log_softmax(-1)


@dataclass
class HFScorer:
    """ln p of given texts under a transformers folder, in float32.

    Of a pair, the first is a text (taken raw; empty: the token that begins a text) or a chat (gets the
    template and the opening of an answer). The second is tokenised on its own, so that no token
    straddles the border. Pairs of like length share a batch of at most `batch_tokens` tokens; what neighbours begin with is read
    once where that saves much (`sharing.py`).

    With `ends`, one more value follows each text's: that of an end of the answer (all tokens that end it together).
    `law` makes ln of the laws that tokens are drawn from out of logits (positions, vocabulary).
    """

    path: Path
    device: str = "cpu"
    batch_tokens: int = 2048
    ends: bool = False
    law: Callable[[Any], Any] = plain
    _loaded: Loaded | None = field(init=False, default=None, repr=False)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        self.path = Path(self.path).expanduser()

    @property
    def identity(self) -> str:
        return folder_identity(self.path)

    @property
    def vocabulary(self) -> int:
        """How many token ids there are."""
        return int(self._ready().model.config.vocab_size)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The token ids that `logprobs([("", text)])` scores, text by text; with `ends` the first token that ends an answer is the last."""
        loaded = self._ready()
        end = sorted(loaded.ends())[:1] if self.ends else []
        return [[*loaded.text(text), *end] for text in texts]

    def logprobs(self, pairs: Sequence[tuple[str | Sequence[Message], str]]) -> list[list[float]]:
        """ln p(token | before), nats, for each token of the second text given the first, pair by pair."""
        loaded = self._ready()
        asked = [self._tokens(loaded, first, second) for first, second in pairs]
        found: list[list[float]] = [[] for _ in pairs]
        together = sharing.groups(asked)
        if sharing.can(loaded) and sharing.pays(together, asked):
            with loaded.torch.inference_mode():
                for some in sharing.batches(together, asked, self.batch_tokens):
                    for at, logits in sharing.logits_of(loaded, some, asked):
                        found[at] = self._values(loaded, logits, asked[at][1])
            return found
        for batch in self._batches([len(before) + len(text) for before, text in asked]):
            for at, values in zip(batch, self._score(loaded, [asked[at] for at in batch]), strict=True):
                found[at] = values
        return found

    def _ready(self) -> Loaded:
        with self._lock:
            if self._loaded is None:
                folder_identity(self.path)
                self._loaded = load(self.path, self.device)
                if self.ends and not self._loaded.ends():
                    raise SynthgainError("the folder names no token that ends an answer", where=str(self.path))
            return self._loaded

    def _tokens(self, loaded: Loaded, first: str | Sequence[Message], second: str) -> tuple[list[int], list[int]]:
        try:
            before = (loaded.text(first) or [loaded.first()]) if isinstance(first, str) else loaded.tokens(first)
        except CallFailed as error:
            raise SynthgainError(str(error), where=str(self.path)) from error
        text = loaded.text(second)
        room = getattr(loaded.model.config, "max_position_embeddings", None)
        if room is not None and len(before) + len(text) > room:
            raise SynthgainError(
                f"a text of {len(before) + len(text)} tokens does not fit the context of {room}",
                where=str(self.path),
                next="cut it into pieces, or leave it out",
            )
        return before, text

    def _batches(self, lengths: Sequence[int]) -> list[list[int]]:
        """Indices, like lengths together, at most `batch_tokens` tokens with padding (a longer text stands alone)."""
        batches: list[list[int]] = []
        for at in sorted(range(len(lengths)), key=lambda at: lengths[at]):
            if batches and lengths[at] * (len(batches[-1]) + 1) <= self.batch_tokens:
                batches[-1].append(at)
            else:
                batches.append([at])
        return batches

    def _score(self, loaded: Loaded, rows: Sequence[tuple[list[int], list[int]]]) -> list[list[float]]:
        """Padded on the right: what stands behind a token cannot change it, so no mask is needed."""
        torch = loaded.torch
        longest = max(len(before) + len(text) for before, text in rows)
        ids = torch.full((len(rows), longest), loaded.first(), device=loaded.device)
        for at, (before, text) in enumerate(rows):
            ids[at, : len(before) + len(text)] = torch.tensor(before + text, device=loaded.device)
        earliest = min(len(before) for before, _ in rows) - 1  # logits before the first text are never needed
        with torch.inference_mode():
            logits = loaded.model(input_ids=ids, logits_to_keep=longest - earliest).logits.float()
            found = []
            for row, (before, text) in zip(logits, rows, strict=True):
                start = len(before) - 1 - earliest
                found.append(self._values(loaded, row[start : start + len(text) + 1], text))
        return found

    def _values(self, loaded: Loaded, logits: Any, text: Sequence[int]) -> list[float]:
        """`logits` has a row for each token of the text and one for what follows it."""
        torch = loaded.torch
        values: list[float] = []
        for start in range(0, len(text), ROWS):
            some = torch.tensor(text[start : start + ROWS], device=loaded.device, dtype=torch.long)[:, None]
            values += self.law(logits[start : start + len(some)]).gather(1, some)[:, 0].tolist()
        if self.ends:
            last = self.law(logits[len(text) : len(text) + 1])[0]
            values.append(float(last[sorted(loaded.ends())].logsumexp(-1)))
        return values

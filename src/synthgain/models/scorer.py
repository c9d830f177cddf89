"""ln p of given texts under a transformers folder."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synthgain.models import sharing
from synthgain.models.folders import Loaded, folder_identity, load
from synthgain.types import CallFailed, Message, SynthgainError

ROWS = 128  # positions whose laws are made at once: sorting a vocabulary for each takes memory


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

    @property
    def model(self) -> Any:
        """The torch module in memory."""
        return self._ready().model

    def tokens(self, pairs: Sequence[tuple[str | Sequence[Message], str]]) -> list[tuple[list[int], list[int]]]:
        """The ids that `logprobs` reads: of what stands before, and of what is scored."""
        loaded = self._ready()
        return [self._tokens(loaded, first, second) for first, second in pairs]

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

"""reward/PATH: a reward model in a transformers folder, as a model whose answer is a score.

A conversation that ends with an assistant's turn goes in (or one text, as a message of the role "raw"), and the number of the folder's only label
comes out, written as text. So its scores are bought, remembered, resumed and paid for like any answer: a recipe names a role for it
(`-m reward=reward/PATH`), asks with `curate.judges.reward_prompt` and reads `curate.judges.reward_of(call.text)`.

With a chat template the conversation is written by it; without one the last answer is the second text of a pair and all before it the first, as encoders take them. A conversation that is longer than
the context fails, and is not cut. Nothing is drawn, so sampling settings do not matter.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthgain.models import memory
from synthgain.models.folders import (
    arithmetic,
    device_here,
    folder_identity,
    quiet,
    sizes,
    templated,
    torch_and_transformers,
)
from synthgain.models.hf import weights_bytes
from synthgain.models.promised import settle
from synthgain.types import Call, CallFailed, Message, ModelInfo, Prompt, SynthgainError, assistant

WIDTH = 16  # conversations that are read side by side
DIGITS = 6  # of a score; what stands beside a conversation changes floating-point sums in later ones


class Reward:
    """A transformers folder with a head of one label."""

    def __init__(self, path: str | Path, *, device: str | None = None, batch: int | None = None) -> None:
        self.folder = Path(path).expanduser()
        self._uri, self._identity = f"reward/{path}", ""
        self._device, self._width = device, batch or WIDTH
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="synthgain-reward")
        self._lock = threading.Lock()
        self._asked: list[_Asked] = []
        self._opened: _Opened | None = None
        self._closed = False
        memory.plan(self)

    @property
    def uri(self) -> str:
        return self._uri

    @property
    def identity(self) -> str:
        if not self._identity:
            self._identity = folder_identity(self.folder)
        return self._identity

    @property
    def width(self) -> int:
        return self._width

    async def __call__(self, prompt: Prompt) -> Call:
        if self._closed:
            raise SynthgainError("the model was closed", where=self.uri)
        if prompt.schema is not None or prompt.tools:
            raise CallFailed("a reward model answers with a number: it follows no schema and calls no tools")
        answer: asyncio.Future[Call] = asyncio.get_running_loop().create_future()
        with self._lock:
            self._asked.append(_Asked(prompt, prompt.id(self.identity), self.uri, answer, time.perf_counter()))
        self._thread.submit(self._work)
        return await answer

    async def info(self) -> ModelInfo:
        opened = await asyncio.get_running_loop().run_in_executor(self._thread, self._open)
        note = f"a reward model: its answer is a score; transformers on {opened.device}"
        return ModelInfo(
            self.uri,
            context=opened.context,
            logprobs=False,
            draws=False,
            seeds=True,
            schema=False,
            tools=False,
            note=note,
        )

    async def aclose(self) -> None:
        """Lets what is being read end, then frees the weights."""
        self._closed = True
        memory.let_go(self)
        await asyncio.to_thread(self._thread.shutdown)
        self._opened = None

    def need(self) -> memory.Need | None:
        """What loading will take; None where it is loaded, closed, or lies on a GPU."""
        device = self._device or device_here()
        if self._closed or self._opened is not None or device != "cpu":
            return None
        return memory.Need(self.uri, weights_bytes(self.folder, sizes(arithmetic(device))[0]))

    def _open(self) -> _Opened:
        if self._opened is None:
            memory.make_sure()
            self._opened = _opened(self.folder, self._device or device_here())
        return self._opened

    def _work(self) -> None:
        """Scores what is waiting, as many conversations at once as the width says."""
        with self._lock:
            asked, self._asked = self._asked[: self._width], self._asked[self._width :]
        asked = [one for one in asked if not one.answer.cancelled()]
        if not asked:
            return
        try:
            opened = self._open()
        except Exception as error:
            for one in asked:
                one.give(error)
            return
        ready: list[tuple[_Asked, list[int], dict[str, Any]]] = []
        for one in asked:
            try:
                given = opened.given(one.prompt.messages)
                ready.append((one, given["input_ids"], given))
            except Exception as error:
                one.give(error)
        for some in [ready] if opened.pads else [[one] for one in ready]:
            self._score(opened, some)

    def _score(self, opened: _Opened, some: Sequence[tuple[_Asked, list[int], dict[str, Any]]]) -> None:
        if not some:
            return
        try:
            scores = opened.scores([given for _, _, given in some])
        except Exception as error:
            for one, _, _ in some:
                one.give(error)
            return
        for (one, tokens, _), score in zip(some, scores):
            text = f"{score:.{DIGITS}g}"
            seconds = time.perf_counter() - one.began
            one.give(
                Call(
                    one.call_id, one.prompt, assistant(text), one.uri, tokens_in=len(tokens), cost=0.0, seconds=seconds
                )
            )


@dataclass(frozen=True)
class _Asked:
    """A call on its way."""

    prompt: Prompt
    call_id: str
    uri: str
    answer: asyncio.Future[Call]
    began: float

    def give(self, what: Call | Exception) -> None:
        """From the model's thread."""
        settle(self.answer, what)


@dataclass(frozen=True)
class _Opened:
    """A folder in memory."""

    model: Any
    tokenizer: Any
    torch: Any
    device: str
    context: int | None

    @property
    def pads(self) -> bool:
        """Whether conversations of different lengths can be read side by side."""
        known = self.model.config.get_text_config().pad_token_id
        return self.tokenizer.pad_token_id is not None and known == self.tokenizer.pad_token_id

    def given(self, messages: Sequence[Message]) -> dict[str, Any]:
        """A conversation's tokens, as the tokenizer gives them."""
        if [turn["role"] for turn in messages] == ["raw"]:
            found = self.tokenizer(messages[0]["content"])
        elif messages[-1]["role"] != "assistant":
            raise CallFailed("a reward model judges an answer: the conversation must end with an assistant's turn")
        elif self.tokenizer.chat_template:
            found = self.tokenizer(self._written(messages), add_special_tokens=False)
        else:
            before = "\n\n".join(turn["content"] for turn in messages[:-1])
            found = self.tokenizer(before, messages[-1]["content"])
        length = len(found["input_ids"])
        if not length:
            raise CallFailed("there is nothing to judge")
        if self.context is not None and length > self.context:
            raise CallFailed(f"the conversation has {length} tokens, the context {self.context}")
        return dict(found)

    def _written(self, messages: Sequence[Message]) -> str:
        try:
            written: str = self.tokenizer.apply_chat_template(templated(messages), tokenize=False)
        except Exception as error:  # a template raises what its author chose, for chats that it does not know
            raise CallFailed(f"the folder's chat template refuses this chat: {error}") from error
        return written

    def scores(self, given: list[dict[str, Any]]) -> list[float]:
        rows = self.tokenizer.pad(given, padding_side="right", return_tensors="pt") if len(given) > 1 else None
        if rows is None:
            rows = {name: self.torch.tensor([values]) for name, values in given[0].items()}
        with self.torch.inference_mode():
            logits = self.model(**{name: values.to(self.device) for name, values in rows.items()}).logits
        return [float(value) for value in logits[:, 0].float().cpu().tolist()]


def _opened(folder: Path, device: str) -> _Opened:
    torch, transformers = torch_and_transformers()
    folder_identity(folder)  # a folder that is none says so
    dtype = getattr(torch, arithmetic(device))
    try:
        with quiet(transformers):
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
            model, told = transformers.AutoModelForSequenceClassification.from_pretrained(
                folder, dtype=dtype, output_loading_info=True
            )
    except Exception as error:  # damaged weights raise each library's own kind
        what = f"transformers cannot read the folder as a reward model ({str(error).splitlines()[0]})"
        raise SynthgainError(what, where=str(folder)) from error
    if missing := sorted(told["missing_keys"]):
        raise SynthgainError(
            f"the folder holds no reward model: it lacks {missing[0]}, which would be random",
            where=str(folder),
            next="give a folder that was trained as AutoModelForSequenceClassification; a model that writes is hf/PATH",
        )
    if model.config.num_labels != 1:
        raise SynthgainError(
            f"the folder's model has {model.config.num_labels} labels, and a reward model has one", where=str(folder)
        )
    context = getattr(model.config, "max_position_embeddings", None)
    return _Opened(model.to(device).eval(), tokenizer, torch, device, context)

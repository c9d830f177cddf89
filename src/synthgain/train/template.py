"""A base model's own chat template: what it writes around a turn, and what ends one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from synthgain.types import Message, SynthgainError, offered

PROBE = "3f2a9c"  # stands for a content, to see what a template writes around it


@dataclass(frozen=True)
class Template:
    """The base model's own chat template. With `reasoning` it gets each turn's reasoning.

    As `reasoning_content`, where the template writes it; else in front of the content, between <think> and </think>.
    """

    tokenizer: Any
    reasoning: bool = False

    def __call__(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = (), ask: bool = False) -> str:
        """A chat as the model reads it; with `ask`, up to where its answer begins."""
        return self._written([self._turn(turn) for turn in messages], tools, ask)

    def _written(self, turns: list[dict[str, Any]], tools: Sequence[Mapping[str, Any]] = (), ask: bool = False) -> str:
        try:
            return str(
                self.tokenizer.apply_chat_template(
                    turns, tools=offered(tools) or None, tokenize=False, add_generation_prompt=ask
                )
            )
        except Exception as error:  # templates raise their own kinds for orders of roles that they do not know
            raise SynthgainError(
                f"the chat template refuses this chat ({error})",
                where=str(self.tokenizer.name_or_path),
                next="give chats whose roles it knows in an order that it knows, or another base",
            ) from error

    @cached_property
    def tail(self) -> str:
        """What the template writes after an answer."""
        asked = [{"role": "user", "content": "?"}, {"role": "assistant", "content": PROBE}]
        try:
            return self._written(asked).rpartition(PROBE)[2]
        except SynthgainError:
            return ""

    @cached_property
    def end(self) -> str:
        """The token that ends a turn: the first of the template's own behind an answer; "" where it writes words alone."""
        known = self.tokenizer.added_tokens_decoder
        ids = self.tokenizer(self.tail, add_special_tokens=False)["input_ids"] if self.tail else []
        return next((str(known[i].content) for i in ids if i in known), "")

    @cached_property
    def writes_reasoning(self) -> bool:
        """Whether the template itself has a place for reasoning."""
        answer = {"role": "assistant", "content": "!", "reasoning_content": PROBE}
        try:
            return PROBE in self._written([{"role": "user", "content": "?"}, answer])
        except SynthgainError:
            return False

    def ended(self, said: str) -> str:
        """An answer up to the token that ends the turn; the line break that a template puts after it is never generated."""
        bare = self.trimmed(said)
        stop = self.end or self.tokenizer.eos_token or ""
        return bare if bare.endswith(stop) else bare.rstrip() + stop

    def trimmed(self, said: str) -> str:
        """A turn up to the token that ends it; as it is, where the template writes none."""
        if self.end and said.endswith(self.tail):
            return said.removesuffix(self.tail) + self.tail[: self.tail.index(self.end) + len(self.end)]
        bare, end = said.rstrip(), self.end or self.tokenizer.eos_token
        return bare if end and bare.endswith(end) else said

    def _turn(self, turn: Message) -> dict[str, Any]:
        """A turn with what templates know: arguments of tool calls are objects for them, as transformers has it."""
        known: dict[str, Any] = {name: value for name, value in turn.items() if name not in ("learn", "reasoning")}
        if "tool_calls" in turn:
            known["tool_calls"] = [_with_object(call) for call in turn["tool_calls"]]
        if self.reasoning and turn.get("reasoning"):
            if self.writes_reasoning:
                known["reasoning_content"] = turn["reasoning"]
            else:
                known["content"] = f"<think>\n{turn['reasoning'].strip()}\n</think>\n\n{turn['content']}"
        return known


def _with_object(call: Mapping[str, Any]) -> dict[str, Any]:
    """A tool call whose arguments are an object, where their text is the JSON of one; a model may have written other text."""
    function = dict(call["function"])
    try:
        arguments = json.loads(function["arguments"])
    except (ValueError, RecursionError):
        return dict(call)
    return dict(call) | {"function": function | {"arguments": arguments}} if isinstance(arguments, dict) else dict(call)

"""What a server takes: learnt from its refusals for the length of a process, and said once. And the request under these terms.

Settings are sent even where they are neutral, because servers fill in what is missing from defaults of their own
(llama.cpp: top-k 40, top-p 0.95, min-p 0.05; vLLM: the model's generation_config.json). A neutral one that is refused by
name is left out from then on: the law stays the same. One that was really asked for is never left out; the run stops instead.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from synthgain.models import protocol
from synthgain.models.answers import Refusal
from synthgain.types import Message, Prompt, Sampling, SynthgainError, in_order, offered

EXTRAS = ("top_k", "min_p", "repetition_penalty")  # not in OpenAI's own protocol
NEUTRAL: Mapping[str, Any] = {
    "top_p": 1.0,
    "temperature": 1.0,
    "top_k": 0,
    "min_p": 0.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "stop": (),
}
FREE = ("repetition_penalty", "seed", "logprobs", "response_format", "stream")  # what no answer's law hangs on
OURS = frozenset({*NEUTRAL, *FREE, "model", "messages", "prompt", "n", "max_tokens", "max_completion_tokens", "tools"})
SAMPLERS = frozenset(
    {"logit_bias", "mirostat", "typical_p", "dry_multiplier", "xtc_probability", "top_n_sigma", "samplers"}
)
REFUSED = re.compile(
    r"support|recogni[sz]ed|unknown|unexpected|extra|permitted|allowed|cannot|can't|can not|invalid|only one|both|deprecated"
    r"|not accept|must not|not valid|not available|not enabled|not implemented|unavailable|disabled|forbidden",
    re.IGNORECASE,
)
WORDS = {
    "response_format": r"response_format|json_schema|guided|grammar|structured.output",
    "logprobs": r"(?:top_)?logprobs?",
}
NO_SYSTEM = re.compile(
    r"system.{0,20}(?:role|prompt|message|instruction)s?.{0,40}\bnot\b|(?:not|n't) support.{0,30}system"
    r"|only user(?:, | and )(?:model|assistant)(?:,? and tool)? roles|developer instruction is not",
    re.IGNORECASE,
)
IN_TURNS = re.compile(r"roles? must alternate|alternat\w+ (?:between )?.{0,10}user.{0,10}assistant", re.IGNORECASE)
TOO_LONG = re.compile(
    r"context.{0,10}(?:length|window|size|limit)|(?:prompt|input|request).{0,30}(?:too long|too large|exceeds?)|maximum.{0,20}tokens",
    re.IGNORECASE,
)
NAMES = {"response_format": "a schema", "logprobs": "log-probabilities", "seed": "seeds"}


@dataclass(frozen=True)
class Terms:
    """What to leave out (`without`), and whether the system turn goes into the first user turn (`folded`)."""

    without: frozenset[str] = frozenset()
    folded: bool = False

    def after(self, refused: Refusal, prompt: Prompt, where: str) -> Terms | None:
        """The terms under which to ask again after a refusal; None where it is none of a setting or a role.

        SynthgainError: a setting that was really asked for is refused, and leaving it out would change the law of the answers.
        """
        unread = refused.status in (400, 422, 500) and (NO_SYSTEM.search(refused.said) or IN_TURNS.search(refused.said))
        if unread and not self.folded:
            return replace(self, folded=True) if protocol.folded(prompt.messages) != list(prompt.messages) else None
        if refused.status not in (400, 422) or TOO_LONG.search(refused.said):
            return None
        if "max_completion_tokens" in refused.said and "max_tokens" not in self.without:
            return self._less("max_tokens")
        named = [
            name for name in (*NEUTRAL, *FREE, "tools") if self._is_sent(name, prompt) and _is_named(name, refused)
        ]
        if not named:
            return None
        free = [name for name in named if name in FREE or _is_neutral(name, prompt.sampling)]
        if {"temperature", "top_p"} <= set(named):  # refused together: one of them may stay
            free = free[:1]
        if not free:
            raise self._stop(named[0], refused, prompt, where)
        return self._less(*free)

    def _less(self, *names: str) -> Terms:
        return replace(self, without=self.without.union(names))

    def _is_sent(self, name: str, prompt: Prompt) -> bool:
        if name in self.without:
            return False
        if name in ("response_format", "tools"):
            return bool(prompt.schema is not None if name == "response_format" else prompt.tools)
        return name not in ("stop", "presence_penalty", "frequency_penalty") or not _is_neutral(name, prompt.sampling)

    def _stop(self, name: str, refused: Refusal, prompt: Prompt, where: str) -> SynthgainError:
        if name == "tools":
            what, after = "this server takes no tools", "name a model that calls tools"
        else:
            value = getattr(prompt.sampling, name)
            value, neutral = (list(value), "none") if name == "stop" else (value, f"{NEUTRAL[name]:g}")
            what = f"this server refuses {name}={value}, and without it the answers would follow another law"
            after = f"ask without it (--set {name}={neutral}, where the recipe has this knob), or name another server"
        return SynthgainError(f"{what}; it said: {refused.said[:200]}", where=where, next=after)

    def said(self, before: Terms) -> list[str]:
        """What is new since other terms, in words."""
        left = [
            NAMES.get(name, name)
            for name in sorted(self.without - before.without)
            if name not in ("max_tokens", "stream")
        ]
        told = [f"the server does not take {' and '.join(left)}: left out"] if left else []
        if self.folded and not before.folded:
            told.append("the model's template knows no system role: the system turn goes into the first user turn")
        return told

    # ------------------------------------------------------------------------------------------ the request

    def turns(self, messages: Sequence[Message]) -> list[Mapping[str, Any]]:
        """The messages as they are sent."""
        return protocol.sent(protocol.folded(messages) if self.folded else messages)

    def tail(self, sampling: Sampling, schema: str, tools: str, extra: str, *, text: bool = False) -> bytes:
        """What follows messages (or the text) and seed in the body. `schema`, `tools` and `extra` are JSON or ""."""
        most = "max_completion_tokens" if "max_tokens" in self.without else "max_tokens"
        told: dict[str, Any] = {most: sampling.max_tokens, "temperature": sampling.temperature, "top_p": sampling.top_p}
        told |= {
            "top_k": -1,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
        }  # -1: off for every server known; 0 is refused by some
        told |= {"logprobs": 1 if text else True, "stream": False}
        if "logprobs" not in self.without and not text:
            told["top_logprobs"] = 1  # without it llama.cpp sends twenty a token
        told = {name: value for name, value in told.items() if name not in self.without}
        for name in ("top_k", "min_p", "presence_penalty", "frequency_penalty", "temperature", "top_p"):
            if getattr(sampling, name) != NEUTRAL[name]:
                told[name] = getattr(sampling, name)
        if sampling.stop:
            told["stop"] = list(sampling.stop)
        if schema and "response_format" not in self.without:
            form = {"name": "answer", "schema": json.loads(schema), "strict": True}
            told["response_format"] = {"type": "json_schema", "json_schema": form}
        if tools:
            told["tools"] = json.loads(tools)
        return ("," + encode(told | (json.loads(extra) if extra else {}))[1:]).encode()


class Bodies:
    """The bodies of requests to the model `name`, with `extra` fields (JSON or "") in each."""

    def __init__(self, name: str, extra: str = "") -> None:
        self._head = b'{"model":' + json.dumps(name).encode()
        self._extra = extra
        self._tails: dict[tuple[Sampling, str, str, Terms, bool], bytes] = {}

    def __call__(self, prompt: Prompt, id: str, terms: Terms) -> bytes:
        """Of a chat."""
        tools = encode(offered(prompt.tools)) if prompt.tools else ""
        turns = b',"messages":' + encode(terms.turns(prompt.messages)).encode()
        return self._head + turns + self._seed(id, terms) + self._tail(prompt, tools, terms, text=False)

    def of_text(self, text: str, prompt: Prompt, id: str, terms: Terms, *, begins: bool = False) -> bytes:
        """Of text to go on with. `begins`: it holds the token that begins a text, and must get no other."""
        said = b',"prompt":' + encode(text).encode() + (b',"add_special_tokens":false' if begins else b"")
        return self._head + said + self._seed(id, terms) + self._tail(prompt, "", terms, text=True)

    def _seed(self, id: str, terms: Terms) -> bytes:
        return b"" if "seed" in terms.without else b',"seed":%d' % (int(id[:8], 16) & 0x7FFFFFFF)

    def _tail(self, prompt: Prompt, tools: str, terms: Terms, *, text: bool) -> bytes:
        schema = "" if prompt.schema is None else in_order(prompt.schema)
        key = (prompt.sampling, schema, tools, terms, text)
        tail = self._tails.get(key)
        if tail is None:
            if len(self._tails) >= 1024:
                self._tails.clear()
            tail = self._tails[key] = terms.tail(prompt.sampling, schema, tools, self._extra, text=text)
        return tail


def extra_fields(given: Mapping[str, Any], where: str) -> str:
    """Fields of a request besides ours, as canonical JSON ("" where there are none). SynthgainError: one is ours."""
    if mine := sorted(OURS & set(given)):
        raise SynthgainError(
            f"{mine[0]} is set by the recipe and by this program, not by an extra field",
            where=where,
            next=f"set the recipe's knob (--set {mine[0]}=…), where it has one",
        )
    return json.dumps(given, ensure_ascii=False, separators=(",", ":"), sort_keys=True) if given else ""


def _is_named(name: str, refused: Refusal) -> bool:
    if refused.param:
        return refused.param == name or refused.param.startswith(f"{name}.")
    return bool(re.search(rf"(?<![\w-])(?:{WORDS.get(name, name)})(?![\w-])", refused.said)) and bool(
        REFUSED.search(refused.said)
    )


def _is_neutral(name: str, sampling: Sampling) -> bool:
    return name in NEUTRAL and getattr(sampling, name) == NEUTRAL[name]


encode = json.JSONEncoder(separators=(",", ":")).encode

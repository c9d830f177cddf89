"""The body of a server's reply, read: an `Answer` that was paid for, or a `Refusal`.

Pure. An answer with choices, or with a count of tokens, was billed: whatever is odd in it, it is an answer and is never
asked for again. What cannot be read as one (no JSON, half a JSON, neither choices nor counts) is no answer.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from synthgain.characters import whole
from synthgain.models import protocol
from synthgain.types import Message, Sampling, assistant, canonical, in_order

PLAIN_LAW, NOT_LAW = "plain softmax at T=1 (server)", "server gives pre-sampling log-probabilities; sampled at "
NONE_GIVEN = "server gave no token log-probabilities"
BUSY_WORDS = re.compile(r"rate.?limit|overloaded|too.many.requests|over.?capacity", re.IGNORECASE)
NO_CHOICE = "the answer is no completion: it has no choices[0] with a message or text"
_PLAIN = Sampling()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered. Counts are 0 where it did not say them (`counted` is then false). `finish` is in our words."""

    message: Message
    finish: str
    tokens_in: int
    tokens_out: int
    tokens_cached: int
    counted: bool
    logprob: float | None
    law: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reply that is no answer: its status as meant (a gateway's 200 may hold another's 400), what it said, a code, and the setting it names."""

    status: int
    said: str
    code: str = ""
    param: str = ""


def read(status: int, raw: bytes, sampling: Sampling, *, text: bool = False) -> Answer | Refusal:
    """The reply as an answer of a chat, or (`text`) of text that goes on. A status of 200 in the refusal: the body is no completion."""
    if status != 200:
        return refusal(status, _json_or_text(raw))
    try:
        body = _decoded(raw.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        return Refusal(200, f"the answer is no completion: it is no JSON ({type(error).__name__})")
    if not isinstance(body, dict):
        return Refusal(200, NO_CHOICE)
    usage = body.get("usage")
    counts = _counts(usage if isinstance(usage, dict) else {})
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else None
    if choice is None and body.get("error"):
        return refusal(200, body)
    if choice is None or not choice.keys() & {"message", "error", *(["text"] if text else [])}:
        if not any(counts):
            return Refusal(200, NO_CHOICE)
        choice = {"message": {}, "finish_reason": "no answer"}
    return _answer(choice, counts, sampling)


def _answer(choice: Mapping[str, Any], counts: tuple[int | None, int | None, int], sampling: Sampling) -> Answer:
    given = choice["message"] if "message" in choice else {"content": choice.get("text")}
    ended = "error" if choice.get("error") else protocol.finish(choice.get("finish_reason"))
    try:
        message = protocol.answered(given if isinstance(given, dict) else {"content": given})
    except ValueError:  # paid all the same: kept as it came, and it is no whole answer
        message, ended = assistant(whole(in_order(given))), "error"
    logprob, law, tokens = _law(sampling, choice.get("logprobs"))
    came_in, went_out, cached = counts
    if went_out is None:
        went_out = tokens
    if ended == "stop" and went_out is not None and went_out >= sampling.max_tokens:
        ended = "length"
    counted = None not in (came_in, went_out)
    return Answer(message, ended, came_in or 0, went_out or 0, cached, counted, logprob, law)


# ---------------------------------------------------------------------------------------------- bodies


def _decoded(text: str) -> Any:
    """The JSON of a body that is JSON, JSON with event lines behind it, or a whole answer as server-sent events."""
    text = text.lstrip("\ufeff \t\r\n")
    if text.startswith(("{", "[")):
        value, end = json.JSONDecoder().raw_decode(text)
        if rest := text[end:].strip():
            list(_events(rest))  # ValueError where something else stands behind it
        return value
    chunks = list(_events(text))
    if not chunks:
        raise ValueError("nothing is said")
    return _joined(chunks)


def _events(text: str) -> Iterator[Any]:
    """The JSON of each event. Only a line feed or carriage return ends a line: JSON may hold what else Python takes for an end, such as U+2028."""
    for line in re.split(r"[\r\n]+", text):
        name, colon, value = line.partition(":")
        if not line.strip() or (colon and name in ("", "event", "id", "retry")):
            continue
        if not colon or name.strip() != "data":
            raise ValueError("no event")
        if value.strip() not in ("[DONE]", ""):
            yield json.loads(value)


def _joined(chunks: list[Any]) -> Any:
    """One answer out of the pieces of a stream."""
    body: dict[str, Any] = {}
    choice: dict[str, Any] = {}
    message: dict[str, Any] = {}
    tokens: list[Any] = []
    for chunk in chunks:
        if not isinstance(chunk, dict):
            raise ValueError("an event is no object")
        body |= {name: chunk[name] for name in ("usage", "error") if chunk.get(name)}
        for piece in _listed(chunk.get("choices")):
            if not isinstance(piece, dict) or piece.get("index"):
                continue
            if isinstance(piece.get("message"), dict):
                message |= piece["message"]
            _grow(message, piece.get("delta") or {"content": piece.get("text")})
            choice |= {name: piece[name] for name in ("finish_reason", "error") if piece.get(name)}
            tokens += _tokens(piece.get("logprobs"))
    if message or choice:
        if tokens:
            choice["logprobs"] = {"content": tokens}
        if body.get("error"):
            choice["error"] = body["error"]
        body["choices"] = [choice | {"message": message}]
    return body


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _grow(message: dict[str, Any], delta: Any) -> None:
    """Add a piece of a message to what is there."""
    for name, value in delta.items() if isinstance(delta, dict) else ():
        if name == "tool_calls" and isinstance(value, list):
            _grow_calls(message.setdefault("tool_calls", []), value)
        elif isinstance(value, str) and isinstance(message.get(name, ""), str):
            message[name] = message.get(name, "") + value
        elif isinstance(value, list):
            message[name] = [*_listed(message.get(name)), *value]
        elif value is not None:
            message[name] = value


def _grow_calls(calls: list[dict[str, Any]], pieces: list[Any]) -> None:
    for piece in pieces:
        if not isinstance(piece, dict):
            raise ValueError("a tool call is no object")
        n = protocol.count(piece.get("index")) or 0
        if n > len(calls):
            raise ValueError("tool calls come out of order")
        if n == len(calls):
            calls.append({"function": {"name": "", "arguments": ""}})
        calls[n] |= {"id": piece["id"]} if piece.get("id") else {}
        function = piece.get("function")
        for name in ("name", "arguments"):
            if isinstance(function, dict) and isinstance(function.get(name), str):
                calls[n]["function"][name] += function[name]


# ---------------------------------------------------------------------------------------------- counts and laws


def _counts(usage: Mapping[str, Any]) -> tuple[int | None, int | None, int]:
    """Tokens in, out, and in from a cache; None where the server said no possible number of the first two."""
    details = usage.get("prompt_tokens_details")
    cached = protocol.count(details.get("cached_tokens")) if isinstance(details, dict) else None
    came_in, went_out = protocol.count(usage.get("prompt_tokens")), protocol.count(usage.get("completion_tokens"))
    return came_in, went_out, cached if cached and came_in and cached <= came_in else 0


def _tokens(given: object) -> list[Any]:
    """An entry with `logprob` for each token: as chats have them, or made of the list that completions of text have."""
    if not isinstance(given, dict):
        return []
    return _listed(given.get("content")) or [{"logprob": value} for value in _listed(given.get("token_logprobs"))]


def _law(sampling: Sampling, given: object) -> tuple[float | None, str, int | None]:
    """The answer's log-probability in nats under the law it was sampled from, and that law; else None and why. And how many tokens it names."""
    tokens = _tokens(given)
    n = len(tokens) or None
    if n is None:
        return None, NONE_GIVEN, n
    if not sampling.plain:
        named = ("top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty")
        also = [f"{n}={getattr(sampling, n):g}" for n in named if getattr(sampling, n) != getattr(_PLAIN, n)]
        return None, NOT_LAW + ", ".join([f"T={sampling.temperature:g}", *also]), n
    try:
        total = math.fsum([token["logprob"] for token in tokens])
    except (LookupError, TypeError, ValueError, OverflowError):
        return None, "server gave token log-probabilities that are no numbers", n
    if not math.isfinite(total):
        return None, "server gave a token log-probability that is not a finite number", n
    return total, PLAIN_LAW, n


# ---------------------------------------------------------------------------------------------- refusals


def _json_or_text(raw: bytes) -> Any:
    text = raw.decode("utf-8", "replace").strip()
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def refusal(status: int, body: Any) -> Refusal:
    """What an error's body says, whatever its form. An error in a reply of status 200 means what its code says, else 400."""
    error: Any = body
    if isinstance(body, dict):
        error = body.get("error") or body.get("detail") or body.get("message") or ""
    code = param = kind = ""
    if isinstance(error, dict):
        code, param, kind = (str(error.get(name) or "") for name in ("code", "param", "type"))
        error = str(error.get("message") or canonical(error))
    said = error if isinstance(error, str) else _each_fault(error) or canonical(error)
    if status == 200:
        meant = code.isdecimal() and len(code) == 3 and int(code) >= 400
        status = int(code) if meant else 429 if BUSY_WORDS.search(f"{code} {kind} {said[:100]}") else 400
    return Refusal(status, said, code, param)


def _each_fault(faults: Any) -> str:
    """What is wrong with which field, of a list of faults as FastAPI gives it, without the request that it repeats; "" where it is none."""
    if not isinstance(faults, list) or not all(isinstance(f, dict) and {"loc", "msg"} <= f.keys() for f in faults):
        return ""
    places = (f["loc"] if isinstance(f["loc"], list) else [f["loc"]] for f in faults)
    return "; ".join(f"{'.'.join(map(str, place))}: {f['msg']}" for place, f in zip(places, faults))

"""One call's bad luck at a server: what went wrong so far, and whether to try again, to wait, or to give up."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import monotonic

import aiohttp

from synthgain.models.pacing import Gate, backoff
from synthgain.types import CallFailed, SynthgainError, canonical

BUSY = frozenset({429, 503, 529})  # waited for, however often: too many requests, loading, overloaded
TRIES = 8  # of one call: 5xx, dropped connections, answers that are no JSON
LATE = 3  # of one call: answers that did not come within the deadline
PASSING = frozenset({408, 409, 425})  # worth another try, as every 5xx is
KEY = "check OPENAI_API_KEY (of one role: OPENAI_API_KEY_ROLE, such as OPENAI_API_KEY_JUDGE), and that it belongs to this server"
URL_OR_NAME = (
    "check the base URL (--base-url, OPENAI_BASE_URL or openai/NAME@URL; it usually ends in /v1) and the model's name"
)
EXTRAS = ("top_k", "min_p", "repetition_penalty")  # not in OpenAI's own protocol
REFUSABLE = {"logprobs": "logprob", "seed": r"\bseed\b", "max_tokens": "max_completion_tokens"} | {
    name: name for name in EXTRAS
}


@dataclass(frozen=True)
class Server:
    """What retries need to know of a server: its name for people, the key (never shown), the deadline of one try in seconds."""

    where: str
    key: str
    deadline: float


class Retries:
    """The tries of the call `id`. Each method returns when it is time for the next one, and a place of the gate is held then."""

    def __init__(self, server: Server, gate: Gate, id: str, generation: int) -> None:
        self.server, self.gate, self.id, self.generation = server, gate, id, generation
        self.tries = self.late = self.waits = 0
        self.busy_since: float | None = None

    async def unanswered(self, error: Exception, began: float) -> None:
        """No answer came. CallFailed or SynthgainError where there is nothing to wait for."""
        gate, reason = self.gate, self._clean(str(error) or type(error).__name__)
        if isinstance(error, aiohttp.ClientSSLError | aiohttp.ClientConnectorCertificateError | aiohttp.InvalidURL):
            raise SynthgainError(reason, where=self.server.where, next=URL_OR_NAME, code=4) from error
        if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
            gate.pushed_back(began, reason)  # it never arrived: no try of this call's is used up
            gate.failed(began, reason, reached=False)
            await self._rest(0.25, 2.0)
        elif isinstance(error, TimeoutError):
            self.late += 1
            gate.failed(began, "no answer in time", reached=True)
            if self.late >= LATE:
                raise CallFailed(f"no answer within {self.server.deadline:g} s, {self.late} times") from error
            await self._rest(0.5, 30.0)
        else:
            gate.failed(began, reason, reached=False)
            await self._again(f"the connection broke: {reason}")

    async def unserved(
        self, status: int, headers: Mapping[str, str], raw: bytes, why: str, began: float, without: frozenset[str]
    ) -> frozenset[str]:
        """An answer that is no completion (`why`, where its status is 200): what to leave out at the next try."""
        gate, whole, code = self.gate, *error_in(raw)
        said = self._clean(whole)
        if status == 200 and code.isdecimal() and len(code) == 3 and int(code) >= 400:
            status = int(code)  # gateways put the model's own error into an answer of theirs
        if status in BUSY and code != "insufficient_quota":
            await self._wait(retry_after(headers), began, f"{status} {said}")
        elif status in PASSING or status >= 500:
            gate.pushed_back(began, f"{status} {said}")
            gate.failed(began, f"{status} {said}", reached=True)
            later = retry_after(headers)
            if later:
                gate.hold(later)
            await self._again(f"{status} {said}")
        elif status == 200:
            gate.failed(began, f"an answer that is no completion: {why}", reached=True)
            await self._again(f"the answer is no chat completion: {why}" + (f" ({said})" if said else ""))
        else:
            gate.declined()
            if status in (401, 402, 403, 404, 405, 429) or status < 400:
                raise self._hopeless(status, said, headers)
            named = {name for name, word in REFUSABLE.items() if re.search(word, whole)} - without
            if status not in (400, 422) or not named:
                raise CallFailed(f"{status} {said}")
            without |= named
        return without

    async def _wait(self, asked: float | None, began: float, said: str) -> None:
        """Too many requests: slow down and wait, as long as others get through."""
        now, self.waits = monotonic(), self.waits + 1
        self.busy_since = self.busy_since or now
        if asked is not None and asked > self.gate.patience:
            self.gate.give_up(f"{said}: the server asks to wait {asked:.0f} s")
        else:
            self.gate.busy(began, asked, said)
        if now - self.busy_since > self.gate.patience and self.gate.generation == self.generation:
            raise CallFailed(f"{said}, for {now - self.busy_since:.0f} s")
        await self._rest(0.5 if asked is None else 0.05, 30.0 if asked is None else 1.0, self.waits)

    async def _again(self, reason: str) -> None:
        self.tries += 1
        if self.tries >= TRIES and self.gate.generation == self.generation:
            raise CallFailed(f"{reason} ({self.tries} tries)")
        await self._rest(0.5, 30.0, self.tries)

    async def _rest(self, first: float, most: float, tries: int = 1) -> None:
        if self.gate.generation != self.generation:
            raise self.gate.doom()
        pause = backoff(self.id, tries, first=first, most=min(most, self.gate.unreachable_after))
        await self.gate.step_aside(pause)

    def _hopeless(self, status: int, said: str, headers: Mapping[str, str]) -> SynthgainError:
        """Every other call would be told the same."""
        next = URL_OR_NAME
        if status == 401:
            what = "the server does not accept the key (401)" if self.server.key else "the server wants a key (401)"
            next = KEY
        elif status == 403:
            what, next = f"the server forbids this (403): {said}", KEY
        elif status in (402, 429):
            what = f"the account is used up ({status}): {said}"
            next = "top it up, then give the same command again"
        elif status < 400:
            what = f"no model answers here ({status}): the server redirects to {self._clean(headers.get('location', 'another URL'))}"
        else:
            what = f"no model answers here ({status}): {said}"
        return SynthgainError(what, where=self.server.where, next=next, code=4)

    def _clean(self, said: str) -> str:
        """What a server or library said, short, on one line, without the key."""
        key = self.server.key
        said = " ".join((said.replace(key, "(key)") if key else said).split())
        return said if len(said) <= 300 else said[:299] + "…"


def error_in(raw: bytes) -> tuple[str, str]:
    """The message and the code in an error's body, whatever its form."""
    text = raw.decode("utf-8", "replace").strip()
    try:
        error = json.loads(text)
    except (ValueError, RecursionError):
        return text, ""
    if isinstance(error, dict):
        error = error.get("error") or error.get("detail") or error.get("message") or ""
    if isinstance(error, dict):
        return str(error.get("message") or canonical(error)), str(error.get("code") or "")
    return error if isinstance(error, str) else canonical(error), ""


def retry_after(headers: Mapping[str, str]) -> float | None:
    """`Retry-After` in seconds, from now: a number or an HTTP date."""
    value = headers.get("retry-after", "")
    try:
        seconds = float(value) if value.strip() else float(headers.get("retry-after-ms", "")) / 1000
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None

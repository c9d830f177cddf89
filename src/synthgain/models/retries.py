"""One call's bad luck at a server: what went wrong so far, and whether to try again, to wait, or to give up."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from time import monotonic

import aiohttp

from synthgain.characters import whole
from synthgain.models.answers import Refusal
from synthgain.models.pacing import Gate, backoff
from synthgain.models.terms import TOO_LONG, Terms
from synthgain.types import CallFailed, Prompt, Sampling, SynthgainError, Unreachable

BUSY = frozenset({429, 503, 529})  # waited for, however often: too many requests, loading, overloaded
AWAY = frozenset({502, 504})  # a gateway whose server is away: waited for as long as a connection is
TRIES = 8  # of one call: 5xx, dropped connections, answers that are no JSON
LATE = 3  # of one call: answers that did not come within the deadline
PASSING = frozenset({408, 409, 425})  # worth another try, as every 5xx is
FORBIDDEN = 3  # different calls that are forbidden (403), and none ever served (before, neither): every other call would be, too
MODERATED = re.compile(r"content.?(?:filter|policy)|moderation|responsible.?ai", re.IGNORECASE)
KEY = "check OPENAI_API_KEY (of one role: OPENAI_API_KEY_ROLE, such as OPENAI_API_KEY_JUDGE), and that it belongs to this server"
URL_OR_NAME = (
    "check the base URL (--base-url, OPENAI_BASE_URL or openai/NAME@URL; it usually ends in /v1) and the model's name"
)


class Absent(Unreachable):
    """A server has no such address for any call (404, 405, or in words)."""


@dataclass
class Standing:
    """How a model fares at its server: what tells a refusal of one call from one of every call."""

    served: int = 0  # answers
    known: bool = False  # whether answers of before are remembered: this model is forbidden to nobody
    laws: set[Sampling] = field(default_factory=set)  # under which there were answers
    calls: int = 0  # in flight, or between two tries
    resting: int = 0  # of these, between two tries
    forbidden: int = 0  # calls that were refused with 403 while nothing had been served
    _refused: list[asyncio.Future[bool | None]] = field(default_factory=list)

    def begin(self) -> None:
        self.calls += 1

    def end(self, *, served: bool) -> None:
        """A call is over."""
        self.calls -= 1
        self.served += served
        self._settle()

    async def rest(self, gate: Gate, seconds: float) -> None:
        """Step aside between two tries."""
        self.resting += 1
        self._settle()
        try:
            await gate.step_aside(seconds)
        finally:
            self.resting -= 1

    async def serves_others(self) -> bool | None:
        """Of a call that was refused: True once any call is served, False when all in flight have been refused, None where the rest is resting.

        Whoever waits holds a place, so nobody who needs one is waited for.
        """
        if self.served:
            return True
        told: asyncio.Future[bool | None] = asyncio.get_running_loop().create_future()
        self._refused.append(told)
        self._settle()
        try:
            return await told
        finally:
            if told in self._refused:
                self._refused.remove(told)

    def _settle(self) -> None:
        if self._refused and (self.served or len(self._refused) >= self.calls - self.resting):
            waiting, self._refused = self._refused, []
            for told in waiting:
                if not told.done():
                    told.set_result(True if self.served else None if self.resting else False)


@dataclass(frozen=True)
class Server:
    """What retries need to know of a server: its name for people, the key (never shown), the deadline of one try in seconds."""

    where: str
    key: str
    deadline: float
    secrets: tuple[str, ...] = ()  # values of headers, never shown either
    tries: int = TRIES
    standing: Standing = field(default_factory=Standing)
    absent: str = "no model answers here"  # what 404 and 405 of every call mean
    instead: str = URL_OR_NAME  # and what to do about it
    never: re.Pattern[str] | None = None  # in words, what 404 says

    def has_none(self, status: int, said: str) -> bool:
        """Whether a refusal may be one of the address itself, and of every call; behind a gateway it may be this one request."""
        worded = status in (400, 422, 501) and self.never is not None and self.never.search(said) is not None
        return status in (404, 405) or status < 400 or worded


class Retries:
    """The tries of the call `id`. Each method returns when it is time for the next one, and a place of the gate is held then."""

    def __init__(self, server: Server, gate: Gate, id: str, generation: int) -> None:
        self.server, self.gate, self.id, self.generation = server, gate, id, generation
        self.tries = self.late = self.waits = 0
        self.busy_since: float | None = None
        self.away_since: float | None = None

    async def unanswered(self, error: Exception, began: float) -> None:
        """No answer came. CallFailed or SynthgainError where there is nothing to wait for."""
        gate, reason = self.gate, self._clean(str(error) or type(error).__name__)
        if isinstance(error, aiohttp.ClientSSLError | aiohttp.ClientConnectorCertificateError | aiohttp.InvalidURL):
            raise SynthgainError(reason, where=self.server.where, next=URL_OR_NAME, code=4) from error
        if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
            gate.pushed_back(began, reason)  # it never arrived: no try of this call's is used up
            gate.failed(began, reason, reached=False)
            await self._rest(reason, 0.25, 2.0)
        elif isinstance(error, TimeoutError):
            self.late += 1
            gate.failed(began, "no answer in time", reached=True)
            if self.late >= LATE:
                raise CallFailed(f"no answer within {self.server.deadline:g} s, {self.late} times") from error
            await self._rest(f"no answer within {self.server.deadline:g} s", 0.5, 30.0)
        else:
            gate.failed(began, reason, reached=False)
            await self._again(f"the connection broke: {reason}")

    async def unserved(
        self, refused: Refusal, headers: Mapping[str, str], began: float, terms: Terms, prompt: Prompt
    ) -> Terms:
        """A reply that is no answer: the terms of the next try."""
        gate, status = self.gate, refused.status
        said = self._clean(refused.said)
        other = self._other_terms(refused, terms, prompt)
        if other is not None:
            gate.declined()
            return other
        if status == 200:
            gate.failed(began, said, reached=True)
            await self._again(said)
        elif status in BUSY and refused.code != "insufficient_quota":
            await self._wait(retry_after(headers), began, f"{status} {said}")
        elif (status in PASSING or status >= 500) and not self.server.has_none(status, said):
            gate.pushed_back(began, f"{status} {said}")
            gate.failed(began, f"{status} {said}", reached=True, away=status in AWAY)
            later = retry_after(headers)
            if later:
                gate.hold(later)
            await self._again(f"{status} {said}", away=status in AWAY)
        else:
            gate.declined()
            await self._declined(refused, said, headers)
        return terms

    def _other_terms(self, refused: Refusal, terms: Terms, prompt: Prompt) -> Terms | None:
        try:
            return terms.after(refused, prompt, self.server.where)
        except SynthgainError:
            if prompt.sampling not in self.server.standing.laws:
                raise
            return None  # other prompts were served with these settings: it is this prompt that is refused

    async def _declined(self, refused: Refusal, said: str, headers: Mapping[str, str]) -> None:
        """Refused for good: this call alone, or every call."""
        status, standing = refused.status, self.server.standing
        if status in (401, 402, 429):
            raise self._hopeless(status, said, headers)
        if self.server.has_none(status, said):
            if await standing.serves_others() is False:
                raise self._hopeless(status, said, headers)
            await self._again(f"{status} {said}")
        elif status == 403:
            standing.forbidden += not standing.served
            others = await standing.serves_others()
            if others is None:
                return await self._again(f"{status} {said}")
            if not (others or standing.known) and standing.forbidden >= FORBIDDEN:
                raise self._hopeless(status, said, headers)
            raise CallFailed(f"the server refuses this prompt: {status} {said}", final=others)
        elif TOO_LONG.search(refused.said):
            raise CallFailed(f"longer than the model's context: {status} {said}")
        else:
            raise CallFailed(f"{status} {said}", final=bool(MODERATED.search(f"{refused.code} {refused.said}")))

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
        await self._rest(said, 0.5 if asked is None else 0.05, 30.0 if asked is None else 1.0, self.waits)

    async def _again(self, reason: str, *, away: bool = False) -> None:
        now, self.tries = monotonic(), self.tries + 1
        self.away_since = (self.away_since or now) if away else None
        waiting = away and now - (self.away_since or now) < self.gate.unreachable_after
        if self.tries >= self.server.tries and not waiting and self.gate.generation == self.generation:
            raise CallFailed(f"{reason} ({self.tries} tries)")
        await self._rest(reason, 0.5, 30.0 if not away else 5.0, self.tries)

    async def _rest(self, reason: str, first: float, most: float, tries: int = 1) -> None:
        if self.gate.generation != self.generation:
            raise self.gate.doom()
        pause = backoff(self.id, tries, first=first, most=min(most, self.gate.unreachable_after))
        self.gate.in_trouble(reason, pause)
        await self.server.standing.rest(self.gate, pause)

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
            what = f"{self.server.absent} ({status}): {said}"
            return Absent(what, where=self.server.where, next=self.server.instead, code=4)
        return SynthgainError(what, where=self.server.where, next=next, code=4)

    def _clean(self, said: str) -> str:
        """What a server or library said, short, on one line, writable, without the key."""
        for secret in filter(None, (self.server.key, *self.server.secrets)):
            said = said.replace(secret, "(key)")
        said = " ".join(said.split())
        said = "".join(c if c.isprintable() else "\ufffd" for c in whole(said[:2000]))
        return said if len(said) <= 300 else said[:299] + "…"


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

"""M behind any OpenAI-compatible server: POST {base_url}/chat/completions over HTTP.

A task that is cancelled gives its slot back and closes its connection, and an answer in flight is then
lost (the server may have charged for it). So whoever stops a run stops asking and waits for the calls in flight.

What a server says beside the text (`reasoning_content`, tool calls) is not part of the answer and is left out.

Settings are sent even where they are neutral, because servers fill in what is missing from defaults of their own
(llama.cpp: top-k 40, top-p 0.95, min-p 0.05; vLLM: the model's generation_config.json). A server that refuses a neutral
one by name (400, 422) is asked again without it, from then on; one that was really asked for is never left out.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import Any
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from synthgain.models.pacing import Deadline, Gate, Window, backoff
from synthgain.models.prices import Price, known_price
from synthgain.models.wire import Wire
from synthgain.types import KEEPER, Call, CallFailed, ModelInfo, Prompt, Sampling, SynthgainError, canonical, user

BUSY = frozenset({429, 503, 529})  # waited for, however often: too many requests, loading, overloaded
TRIES = 8  # of one call: 5xx, dropped connections, answers that are no JSON
LATE = 3  # of one call: answers that did not come within the deadline
PASSING = frozenset({408, 409, 425})  # worth another try, as every 5xx is
KEY = "check OPENAI_API_KEY, and that it belongs to the server at --base-url / OPENAI_BASE_URL"
URL_OR_NAME = "check --base-url / OPENAI_BASE_URL (it usually ends in /v1) and the model's name"
EXTRAS = ("top_k", "min_p", "repetition_penalty")  # not in OpenAI's own protocol
REFUSABLE = {"logprobs": "logprob", "seed": r"\bseed\b", "max_tokens": "max_completion_tokens"} | {
    name: name for name in EXTRAS
}
SURE, NOT_LAW = "plain softmax at T=1 (server)", "server gives pre-sampling log-probabilities; sampled at "


class OpenAI:
    """The model NAME at `base_url`.

    `deadline` is in seconds for one try; `served_as` stands for the URL in the identity of calls.
    Without `price`, the list price of the seller is used where the table has one, else cost is None.
    """

    def __init__(
        self, name: str, *, base_url: str, api_key: str = "", served_as: str = "", price: Price | None = None,
        concurrency: int | None = None, deadline: float = 600.0, logprobs: bool = True, unreachable_after: float = 30.0,
    ) -> None:  # fmt: skip
        self._url = endpoint(base_url)
        server = str(self._url).removesuffix("/chat/completions")
        if not api_key.isprintable():
            raise SynthgainError("the key holds a line break or another character that no key has", next=KEY)
        self._name, self._key, self._deadline = name, api_key, deadline
        self._uri, self._identity = f"openai/{name}", canonical([served_as or server, name])
        self._price = price or known_price(name, self._url.host or "")
        self._connect = min(10.0, unreachable_after / 3)
        self._unreachable_after, self._where = unreachable_after, f"{self._uri} at {server}"
        self._window = Window(concurrency)
        strict = EXTRAS if self._url.host == "api.openai.com" else ()
        self._refused = frozenset((*strict, *(() if logprobs else ("logprobs",))))  # what the server does not take
        self._tails: dict[tuple[Sampling, str, frozenset[str]], bytes] = {}
        self._head = b'{"model":' + json.dumps(name).encode() + b',"messages":'
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def uri(self) -> str:
        return self._uri

    @property
    def identity(self) -> str:
        return self._identity

    @property
    def width(self) -> int:
        return self._window.size

    # ------------------------------------------------------------------------------------------ one call

    async def __call__(self, prompt: Prompt) -> Call:
        if self._loop is not asyncio.get_running_loop():
            self._open()
        id = prompt.id(self._identity)
        gate, window, trouble = self._gate, self._window, None
        flights, task = self._flights, asyncio.current_task()
        without, generation, keep = self._refused, gate.generation, KEEPER.get()
        while True:
            body = self._body(prompt, id, without)
            if gate.clear and gate.flying < window.size:
                gate.flying += 1
            else:
                await gate.turn()
            failure: Exception | None = None
            call: Call | None = None
            flights[task] = began = monotonic()
            try:
                try:
                    status, headers, raw = await self._wire.post(body)
                except (aiohttp.ClientError, OSError) as error:
                    failure = error
                except asyncio.CancelledError:
                    if not self._watch.expired(task):
                        raise
                    failure = TimeoutError()
                finally:
                    flights.pop(task, None)
                now = monotonic()
                if failure is None and status == 200:
                    call = self._read(prompt, id, raw, now - began)
                    if call is not None and keep is not None:
                        await keep(call)
            finally:
                gate.leave()
            if call is not None:
                gate.answered(began, now, call.tokens_out)
                if without is not self._refused and without > self._refused:
                    self._refused = without  # sent without it, the same request was served
                return call
            if trouble is None:
                trouble = _Trouble(self, gate, id, generation)
            if failure is not None:
                await trouble.unanswered(failure, began)
            else:
                without = await trouble.unserved(status, headers, raw, began, without)

    def _body(self, prompt: Prompt, id: str, without: frozenset[str]) -> bytes:
        schema = "" if prompt.schema is None else canonical(prompt.schema)
        key = (prompt.sampling, schema, without)
        tail = self._tails.get(key)
        if tail is None:
            if len(self._tails) >= 1024:
                self._tails.clear()
            tail = self._tails[key] = _tail(prompt.sampling, schema, without)
        seed = b"" if "seed" in without else b',"seed":%d' % (int(id[:8], 16) & 0x7FFFFFFF)
        return self._head + _encode(prompt.messages).encode() + seed + tail

    def _read(self, prompt: Prompt, id: str, raw: bytes, seconds: float) -> Call | None:
        """The call that an answer holds; None where it holds none."""
        try:
            answer = json.loads(raw)
            choice = answer["choices"][0]
            text = choice["message"].get("content") or ""
            usage = answer.get("usage") or {}
            came_in, went_out = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
            cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
            logprob, law = _law(prompt.sampling, choice.get("logprobs"))
        except (ValueError, LookupError, TypeError, AttributeError):
            return None
        if not isinstance(text, str):
            return None
        if not text.isascii():
            text = _whole(text)
        price = self._price
        return Call(
            id, prompt, text, self._uri, choice.get("finish_reason") or "stop", came_in, went_out, cached, logprob, law,
            None if price is None or not usage else price.cost(came_in, went_out, cached), seconds,
        )  # fmt: skip

    # ------------------------------------------------------------------------------------------ the session

    def _open(self) -> None:
        """One keep-alive session for the running loop. The gate decides how many connections there are."""
        self._loop = asyncio.get_running_loop()
        self._watch = Deadline(self._deadline)
        self._flights = self._watch.flights
        self._gate = Gate(self._window, self._where, unreachable_after=self._unreachable_after)
        headers = {"Content-Type": "application/json", "User-Agent": "synthgain"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        self._wire = Wire(self._url, headers, connect=self._connect, proxy=proxy_of(self._url))

    async def aclose(self) -> None:
        if self._loop is not None:
            self._loop = None
            self._watch.stop()
            await self._wire.close()

    async def info(self) -> ModelInfo:
        """What the server says of the model: its list of models, and one call of at most 24 tokens."""
        if self._loop is not asyncio.get_running_loop():
            self._open()
        context = await self._context()
        shape = {
            "type": "object",
            "properties": {"ok": {"type": "boolean"}},
            "required": ["ok"],
            "additionalProperties": False,
        }
        ask = Prompt((user("Say hello."),), sampling=Sampling(max_tokens=24), schema=shape)
        try:
            call, schema = await self(ask), None
        except CallFailed as error:
            if "response_format" not in str(error) and "schema" not in str(error):
                raise SynthgainError(str(error), where=self._where, next=URL_OR_NAME, code=4) from error
            call, schema = await self(Prompt(ask.messages, sampling=ask.sampling)), False
        if schema is None:
            try:
                schema = isinstance(json.loads(call.text), dict)
            except ValueError:
                schema = None if call.finish == "length" else False
        seeds = False if "seed" in self._refused else None
        note = "" if seeds is False else "takes a seed; only two equal calls would show whether it is obeyed"
        return ModelInfo(
            self._uri, context=context, logprobs=call.logprob is not None, seeds=seeds, schema=schema, note=note
        )

    async def _context(self) -> int | None:
        try:
            async with asyncio.timeout(self._connect):
                status, _, raw = await self._wire.get(self._url.parent.parent / "models")
                listed = json.loads(raw)["data"] if status == 200 else []
            entry = next(e for e in listed if e.get("id") == self._name or len(listed) == 1)
            meta = entry.get("meta") or {}
            found = entry.get("max_model_len") or entry.get("context_length") or meta.get("n_ctx")
            return int(found) if found else None
        except (aiohttp.ClientError, OSError, ValueError, LookupError, TypeError, AttributeError, StopIteration):
            return None  # the list is optional: the call says whether the server is there


class _Trouble:
    """One call's bad luck: what went wrong so far, and whether to try again, wait, or give up."""

    def __init__(self, model: OpenAI, gate: Gate, id: str, generation: int) -> None:
        self.model, self.gate, self.id, self.generation = model, gate, id, generation
        self.tries = self.late = self.waits = 0
        self.busy_since: float | None = None

    async def unanswered(self, error: Exception, began: float) -> None:
        """No answer came: returns when it is time to try again."""
        gate, reason = self.gate, self._clean(str(error) or type(error).__name__)
        if isinstance(error, aiohttp.ClientSSLError | aiohttp.ClientConnectorCertificateError | aiohttp.InvalidURL):
            raise SynthgainError(
                reason, where=self.model._where, next="check --base-url / OPENAI_BASE_URL", code=4
            ) from error
        if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
            gate.pushed_back(began, reason)  # it never arrived: no try of this call's is used up
            gate.failed(began, reason, reached=False)
            await self._rest(0.25, 2.0)
        elif isinstance(error, TimeoutError):
            self.late += 1
            gate.failed(began, "no answer in time", reached=True)
            if self.late >= LATE:
                raise CallFailed(f"no answer within {self.model._deadline:g} s, {self.late} times") from error
            await self._rest(0.5, 30.0)
        else:
            gate.failed(began, reason, reached=False)
            await self._again(f"the connection broke: {reason}")

    async def unserved(
        self, status: int, headers: Mapping[str, str], raw: bytes, began: float, without: frozenset[str]
    ) -> frozenset[str]:
        """An answer that is no completion: returns what to leave out when it is time to try again."""
        gate, whole, code = self.gate, *_said(raw)
        said = self._clean(whole)
        if status == 200 and code.isdigit() and int(code) >= 400:
            status = int(code)  # gateways put the model's own error into an answer of theirs
        if status in BUSY and code != "insufficient_quota":
            await self._wait(_seconds(headers), began, f"{status} {said}")
        elif status in PASSING or status >= 500:
            gate.pushed_back(began, f"{status} {said}")
            gate.failed(began, f"{status} {said}", reached=True)
            later = _seconds(headers)
            if later:
                gate.hold(later)
            await self._again(f"{status} {said}")
        elif status == 200:
            gate.failed(began, "an answer that is no completion", reached=True)
            await self._again("the answer is no chat completion" + (f": {said}" if said else ""))
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
        if self.gate.generation == self.generation:
            await self.gate.rest(backoff(self.id, tries, first=first, most=min(most, self.gate.unreachable_after)))
        if self.gate.generation != self.generation:
            raise self.gate.doom()

    def _hopeless(self, status: int, said: str, headers: Mapping[str, str]) -> SynthgainError:
        """Every other call would be told the same."""
        where = self.model._where
        if status == 401:
            return SynthgainError(
                "the server does not accept the key (401)" if self.model._key else "the server wants a key (401)",
                where=where,
                next=KEY,
                code=4,
            )
        if status == 403:
            return SynthgainError(f"the server forbids this (403): {said}", where=where, next=KEY, code=4)
        if status in (402, 429):
            return SynthgainError(
                f"the account is used up ({status}): {said}",
                where=where,
                next="top it up, then give the same command again",
                code=4,
            )
        if status < 400:
            said = f"the server redirects to {headers.get('location', 'another URL')}"
        return SynthgainError(f"no model answers here ({status}): {said}", where=where, next=URL_OR_NAME, code=4)

    def _clean(self, said: str) -> str:
        """What a server or library said, short, on one line, without the key."""
        key = self.model._key
        said = " ".join((said.replace(key, "(key)") if key else said).split())
        return said if len(said) <= 300 else said[:299] + "…"


_encode = json.JSONEncoder(separators=(",", ":")).encode


def endpoint(base_url: str) -> URL:
    """The URL of chat completions under a base URL, scheme and host in lower case, no slash at the end."""
    wrong = SynthgainError(
        f"{base_url!r} is no base URL of a server",
        next="write it like http://HOST:PORT/v1 (--base-url or OPENAI_BASE_URL)",
    )
    try:
        url = URL(base_url.strip())
    except ValueError as error:
        raise wrong from error
    if url.scheme not in ("http", "https") or not url.host or url.query_string or url.fragment:
        raise wrong
    if url.user or url.password:
        raise SynthgainError(
            "the base URL holds a user or a password, which would be written down",
            next="put the key into OPENAI_API_KEY",
        )
    return URL.build(
        scheme=url.scheme,
        host=url.host,
        port=url.explicit_port,
        path=url.path.rstrip("/").removesuffix("/chat/completions") + "/chat/completions",
    )


def proxy_of(url: URL) -> URL | None:
    """The proxy that the environment names for this host, never for this machine itself."""
    host = url.host or ""
    found = None if host in ("localhost", "127.0.0.1", "::1") or proxy_bypass(host) else getproxies().get(url.scheme)
    return URL(found) if found else None


def _tail(sampling: Sampling, schema: str, without: frozenset[str]) -> bytes:
    """What follows messages and seed in the body."""
    sent: dict[str, Any] = {
        "max_completion_tokens" if "max_tokens" in without else "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
    }
    off = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}  # -1: off for every server known; 0 is refused by some
    sent |= {name: value for name, value in off.items() if name not in without}
    for name in ("top_k", "min_p", "presence_penalty", "frequency_penalty"):
        if getattr(sampling, name):
            sent[name] = getattr(sampling, name)
    if sampling.stop:
        sent["stop"] = list(sampling.stop)
    if "logprobs" not in without:
        sent["logprobs"] = True
    if schema:
        form = {"name": "answer", "schema": json.loads(schema), "strict": True}
        sent["response_format"] = {"type": "json_schema", "json_schema": form}
    return ("," + _encode(sent)[1:]).encode()


def _law(sampling: Sampling, given: Mapping[str, Any] | None) -> tuple[float | None, str]:
    """The answer's log-probability in nats under the law it was sampled from, and that law; else None and why."""
    if not sampling.plain:
        named = ("top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty")
        also = [f"{n}={getattr(sampling, n):g}" for n in named if getattr(sampling, n) != getattr(_PLAIN, n)]
        return None, NOT_LAW + ", ".join([f"T={sampling.temperature:g}", *also])
    tokens = given.get("content") if given else None
    if not tokens:
        return None, "server gave no token log-probabilities"
    total = math.fsum([token["logprob"] for token in tokens])
    if not math.isfinite(total):
        return None, "server gave a token log-probability that is not a finite number"
    return total, SURE


_PLAIN = Sampling()


def _whole(text: str) -> str:
    """The text with lone surrogates, which no file can hold, replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _said(raw: bytes) -> tuple[str, str]:
    """The message and the code in an error's body, whatever its form."""
    text = raw.decode("utf-8", "replace").strip()
    try:
        error = json.loads(text)
    except ValueError:
        return text, ""
    if isinstance(error, dict):
        error = error.get("error") or error.get("detail") or error.get("message") or ""
    if isinstance(error, dict):
        return str(error.get("message") or canonical(error)), str(error.get("code") or "")
    return error if isinstance(error, str) else canonical(error), ""


def _seconds(headers: Mapping[str, str]) -> float | None:
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

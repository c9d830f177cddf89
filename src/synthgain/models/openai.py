"""M behind any OpenAI-compatible server: POST {base_url}/chat/completions over HTTP.

Whoever calls holds a place of `gate` from before the call until the answer is on disk; the model gives it back between two
tries only. A call for which nobody holds a place takes one itself, for as long as it lasts.

A task that is cancelled closes its connection, and an answer in flight is then lost (the server may have charged for
it). So whoever stops a run stops asking and waits for the calls in flight.

Settings are sent even where they are neutral, because servers fill in what is missing from defaults of their own
(llama.cpp: top-k 40, top-p 0.95, min-p 0.05; vLLM: the model's generation_config.json). A server that refuses a neutral
one by name (400, 422) is asked again without it, from then on; one that was really asked for is never left out.
"""

from __future__ import annotations

import asyncio
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from synthgain.models import protocol
from synthgain.models.pacing import Gate, Window
from synthgain.models.prices import Price, known_price
from synthgain.models.retries import EXTRAS, KEY, URL_OR_NAME, Retries, Server
from synthgain.types import (
    Call,
    CallFailed,
    ModelInfo,
    Prompt,
    Sampling,
    SynthgainError,
    canonical,
    in_order,
    offered,
    user,
)

PLAIN_LAW, NOT_LAW = "plain softmax at T=1 (server)", "server gives pre-sampling log-probabilities; sampled at "

LARGE = 1 << 20  # bytes of a body that aiohttp wants to send piece by piece


class OpenAI:
    """The model NAME at `base_url`; `uri` is the name that it goes by in records.

    `deadline` is in seconds for one try; `served_as` stands for the URL in the identity of calls.
    Without `price`, the list price of the seller is used where the table has one, else cost is None.
    """

    def __init__(
        self,
        name: str,
        *,
        base_url: str,
        uri: str = "",
        api_key: str = "",
        served_as: str = "",
        price: Price | None = None,
        concurrency: int | None = None,
        deadline: float = 600.0,
        logprobs: bool = True,
        unreachable_after: float = 30.0,
    ) -> None:
        self._url = endpoint(base_url)
        server = str(self._url).removesuffix("/chat/completions")
        if not api_key.isprintable():
            raise SynthgainError("the key holds a line break or another character that no key has", next=KEY)
        self._name, self._uri, self._identity = name, uri or f"openai/{name}", canonical([served_as or server, name])
        self._price = price or known_price(name, self._url.host or "")
        self._connect = min(10.0, unreachable_after / 3)
        self._server = Server(f"openai/{name} at {server}", api_key, deadline)
        self._window = Window(concurrency)
        self.gate = Gate(self._window, self._server.where, unreachable_after=unreachable_after)
        self._calls = 0  # in flight or between two tries, each with a place
        strict = EXTRAS if self._url.host == "api.openai.com" else ()
        self._refused = frozenset((*strict, *(() if logprobs else ("logprobs",))))  # what the server does not take
        self._tails: dict[tuple[Sampling, str, str, frozenset[str]], bytes] = {}
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
        gate = self.gate
        own = self._calls >= gate.held + gate.aside  # every place has its call already: nobody holds one for this
        if own:
            await gate.enter(0)
        self._calls += 1
        try:
            return await self._answer(prompt)
        finally:
            self._calls -= 1
            if own:
                gate.leave()

    async def _answer(self, prompt: Prompt) -> Call:
        """The answer, after as many tries as it takes; a place is held when one begins, and at the end."""
        if self._loop is not asyncio.get_running_loop():
            self._open()
        id, gate = prompt.id(self._identity), self.gate
        without, generation = self._refused, gate.generation
        retries: Retries | None = None
        while True:
            body, began = self._body(prompt, id, without), monotonic()
            failure: Exception | None = None
            call: Call | str = ""
            try:
                status, headers, raw = await self._post(body)
            except (aiohttp.ClientError, OSError) as error:  # TimeoutError, too
                failure = error
            else:
                now = monotonic()
                if status == 200:
                    call = self._call_of(prompt, id, raw, now - began)
                    if isinstance(call, Call):
                        gate.answered(began, now, call.tokens_out)
                        if without is not self._refused and without > self._refused:
                            self._refused = without  # sent without it, the same request was served
                        return call
            retries = retries or Retries(self._server, gate, id, generation)
            if failure is not None:
                await retries.unanswered(failure, began)
            else:
                without = await retries.unserved(status, headers, raw, str(call), began, without)

    def _body(self, prompt: Prompt, id: str, without: frozenset[str]) -> bytes:
        schema = "" if prompt.schema is None else in_order(prompt.schema)
        tools = _encode(offered(prompt.tools)) if prompt.tools else ""
        key = (prompt.sampling, schema, tools, without)
        tail = self._tails.get(key)
        if tail is None:
            if len(self._tails) >= 1024:
                self._tails.clear()
            tail = self._tails[key] = _tail(prompt.sampling, schema, tools, without)
        seed = b"" if "seed" in without else b',"seed":%d' % (int(id[:8], 16) & 0x7FFFFFFF)
        return self._head + _encode(protocol.sent(prompt.messages)).encode() + seed + tail

    def _call_of(self, prompt: Prompt, id: str, raw: bytes, seconds: float) -> Call | str:
        """The call that an answer holds, or why it holds none."""
        try:
            answer = json.loads(raw)
        except (ValueError, RecursionError) as error:
            return f"it is no JSON ({type(error).__name__})"
        try:
            choice = answer["choices"][0]
            message = protocol.answered(choice["message"])
        except (LookupError, TypeError, AttributeError):
            return "it has no choices[0].message"
        except ValueError as error:
            return str(error)
        usage = answer.get("usage")
        counts = _counts(usage if isinstance(usage, dict) else {})
        came_in, went_out, cached = (counted or 0 for counted in counts)
        finish = choice.get("finish_reason") or "stop"
        logprob, law = _law(prompt.sampling, choice.get("logprobs"))
        price = None if None in counts else self._price
        return Call(
            id,
            prompt,
            message,
            self._uri,
            protocol.whole(finish) if isinstance(finish, str) else "unknown",
            came_in,
            went_out,
            cached,
            logprob,
            law,
            None if price is None else price.cost(came_in, went_out, cached),
            seconds,
        )

    # ------------------------------------------------------------------------------------------ the session

    def _open(self) -> None:
        """One keep-alive session for the running loop. The gate decides how many connections there are."""
        self._loop = asyncio.get_running_loop()
        headers = {"Content-Type": "application/json", "User-Agent": "synthgain"}
        if self._server.key:
            headers["Authorization"] = f"Bearer {self._server.key}"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=self._server.deadline, sock_connect=self._connect),
            proxy=proxy_of(self._url),
        )

    async def _post(self, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of the reply; aiohttp.ClientError or OSError where there is none."""
        data = body if len(body) < LARGE else io.BytesIO(body)
        async with self._session.post(self._url, data=data, allow_redirects=False) as response:
            return response.status, response.headers, await response.read()

    async def aclose(self) -> None:
        if self._loop is not None:
            self._loop = None
            await self._session.close()

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
                raise SynthgainError(str(error), where=self._server.where, next=URL_OR_NAME, code=4) from error
            call, schema = await self(Prompt(ask.messages, sampling=ask.sampling)), False
        if schema is None:
            try:
                schema = isinstance(json.loads(call.text), dict)
            except (ValueError, RecursionError):
                schema = None if call.finish == "length" else False
        seeds = False if "seed" in self._refused else None
        note = "" if seeds is False else "takes a seed; only two equal calls would show whether it is obeyed"
        return ModelInfo(
            self._uri, context=context, logprobs=call.logprob is not None, seeds=seeds, schema=schema, note=note
        )

    async def _context(self) -> int | None:
        """The context length in tokens that the server's list of models gives; the list is optional."""
        try:
            async with asyncio.timeout(self._connect):
                url = self._url.parent.parent / "models"
                async with self._session.get(url, allow_redirects=False) as response:
                    listed = json.loads(await response.read())["data"] if response.status == 200 else []
            entry = next(e for e in listed if e.get("id") == self._name or len(listed) == 1)
            meta = entry.get("meta") or {}
            return (
                protocol.count(entry.get("max_model_len") or entry.get("context_length") or meta.get("n_ctx")) or None
            )
        except (
            aiohttp.ClientError,
            OSError,
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
            StopIteration,
            RecursionError,
        ):
            return None  # the call says whether the server is there


_encode = json.JSONEncoder(separators=(",", ":")).encode


def endpoint(base_url: str) -> URL:
    """The URL of chat completions under a base URL, scheme and host in lower case, no slash at the end."""
    if re.search(r"^[^/]*@|//[^/]*@", base_url):
        raise SynthgainError(
            "the base URL holds a user or a password, which would be written down",
            next="put the key into OPENAI_API_KEY (of one role: OPENAI_API_KEY_ROLE, such as OPENAI_API_KEY_JUDGE)",
        )
    wrong = SynthgainError(
        f"{base_url!r} is no base URL of a server",
        next="write it like http://HOST:PORT/v1 (--base-url, OPENAI_BASE_URL or openai/NAME@URL)",
    )
    try:
        url = URL(base_url.strip())
    except ValueError as error:
        raise wrong from error
    if url.scheme not in ("http", "https") or not url.host or url.query_string or url.fragment or url.user:
        raise wrong
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


def _tail(sampling: Sampling, schema: str, tools: str, without: frozenset[str]) -> bytes:
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
    if tools:
        sent["tools"] = json.loads(tools)
    return ("," + _encode(sent)[1:]).encode()


def _counts(usage: Mapping[str, Any]) -> Sequence[int | None]:
    """Tokens in, out, and in from a cache; None where the server said no possible number of the first two."""
    details = usage.get("prompt_tokens_details")
    cached = protocol.count(details.get("cached_tokens")) if isinstance(details, dict) else None
    came_in, went_out = protocol.count(usage.get("prompt_tokens")), protocol.count(usage.get("completion_tokens"))
    return came_in, went_out, cached if cached and came_in and cached <= came_in else 0


def _law(sampling: Sampling, given: object) -> tuple[float | None, str]:
    """The answer's log-probability in nats under the law it was sampled from, and that law; else None and why."""
    if not sampling.plain:
        named = ("top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty")
        also = [f"{n}={getattr(sampling, n):g}" for n in named if getattr(sampling, n) != getattr(_PLAIN, n)]
        return None, NOT_LAW + ", ".join([f"T={sampling.temperature:g}", *also])
    tokens = given.get("content") if isinstance(given, dict) else None
    if not tokens:
        return None, "server gave no token log-probabilities"
    try:
        total = math.fsum([token["logprob"] for token in tokens])
    except (LookupError, TypeError, ValueError, OverflowError):
        return None, "server gave token log-probabilities that are no numbers"
    if not math.isfinite(total):
        return None, "server gave a token log-probability that is not a finite number"
    return total, PLAIN_LAW


_PLAIN = Sampling()
